"""What is explained of a case, with and without a report."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.cases.case import load_cases
from botticelli.kit.check import run_check
from botticelli.kit.errors import KitError
from botticelli.kit.explain import explain

if TYPE_CHECKING:
    from pathlib import Path

CASES = {case.key: case for case in load_cases()}


def explained(name: str, **options: Any) -> str:
    out = io.StringIO()
    explain(out, name, **options)
    return out.getvalue()


def test_a_case_is_shown_with_its_rule_its_bytes_and_what_is_right() -> None:
    text = explained("retry-after-seconds")
    assert "retry-after-seconds  (retry, must, " in text
    assert "  rule      https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3\n" in text
    assert "  rests on  official-client\n" in text
    assert "Call 0: generate\n" in text
    assert '"backoff": 0.01' in text
    assert "Answer 0\n  HTTP/1.1 429 Too Many Requests\\r\\n\n" in text
    assert "  Retry-After: 1\\r\\n\n" in text
    assert "  right is\n" in text
    assert '"Authorization": "Bearer [key]"' in text
    assert '"each": [{}, {"delay": {"min": 0.95}}]' in text


def test_a_rule_of_the_published_format_has_a_link() -> None:
    assert "rule      https://github.com/openai/openai-openapi #/components/" in explained("models-many")


def test_silence_resets_and_bytes_that_are_no_text_are_shown() -> None:
    assert "  waits for the client to leave\n  and closes the connection in the middle\n" in explained(
        "cancel-before-first-chunk"
    )
    assert "and resets the connection" in explained("connection-reset-mid-event")
    assert "\\x" in explained("error-body-gzip")


@pytest.mark.parametrize("key", [*CASES][::5])
def test_any_case_can_be_explained_in_visible_characters_and_without_its_key(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botticelli.kit.explain.load_cases", lambda: list(CASES.values()))
    text = explained(key)
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(text) < 200_000
    assert CASES[key].render(seed=0, port=8434).key not in text


def test_a_report_adds_how_it_went(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    sums, out = "botticelli.kit.selftest.mutants.bodies:SumsUsage", io.StringIO()
    run_check([sums], out=out, select=["usage-cumulative"], seed=3, paths={"json": path})
    document = json.loads(path.read_text())
    result = document["runs"][0]["results"][0]
    # The evidence as the schema has it, whatever else the report has of this run.
    result["evidence"] = {
        "calls": [{}],
        "outcomes": [{"crash": "it fell"}],
        "wire": [
            {"at": 0.5, "connection": 0, "from": "client", "event": "open"},
            {"at": 0.75, "connection": 0, "from": "client", "text": "GET / HTTP/1.1\r\n\r\n"},
            {"at": 1, "connection": 0, "from": "server", "base64": "AP8="},
            {"at": 1, "connection": 0, "from": "server", "omitted": 9},
        ],
        "output": "a word\x1b[31m\n",
        "command": "play it",
    }
    path.write_text(json.dumps(document))
    text = explained("usage-cumulative", report=path)
    assert CASES["usage-cumulative"].render(seed=3, port=8434).context.id in text, "the report's seed"
    assert f"{sums}: failed, silent\n" in text
    assert "    expected  " in text
    assert "       0.5000 s  #0 client > (open)\n" in text
    assert "       0.7500 s  #0 client > GET / HTTP/1.1\\r\\n\n" in text
    assert "server < \\x00\\xff\n" in text
    assert "server < (9 bytes left out)\n" in text
    assert '  outcome of call 0\n    {"crash": "it fell"}\n' in text
    assert "  printed meanwhile\n    a word\\x1b[31m\\n\n" in text
    assert text.endswith("  play it again: play it\n")
    with pytest.raises(KitError, match="there is no result of models-many in it"):
        explained("models-many", report=path)


def test_what_is_no_case_names_the_nearest() -> None:
    with pytest.raises(KitError, match="did you mean usage-cumulative"):
        explained("usage-cumulativ")
    with pytest.raises(KitError, match=r"'sse-\*' names [0-9]+ cases; explain one, such as sse-"):
        explained("sse-*")

"""The page, the Markdown, the badge: whole, within bounds, and safe from whatever a client or server sent."""

from __future__ import annotations

import dataclasses
import io
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from botticelli.contracts.jsonvalue import as_object
from botticelli.kit.cases.case import load_cases
from botticelli.kit.check import run_check
from botticelli.kit.report import model
from botticelli.kit.report.badge import badge
from botticelli.kit.report.machine import FORMS, junit
from botticelli.kit.report.markdown import markdown
from botticelli.kit.report.model import (
    Difference,
    Evidence,
    Report,
    Result,
    WireEvent,
    from_document,
    to_document,
)
from botticelli.kit.report.page import page
from botticelli.kit.report.text import describe, facts, write_report
from botticelli.kit.selftest.reference_client import ReferenceClient
from tests.kit.test_report_merging import result, run
from tests.reports import CLIENTS, matrix, report_with

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VOID = {"meta", "link", "input", "wbr", "br"}
IMPLIED = {"td", "li", "dt", "dd", "option", "tr"}  # whose end tags may be left out


class Parsed(HTMLParser):
    """What a page holds: its elements, and the texts outside style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID | IMPLIED:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID | IMPLIED:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def ten() -> str:
    return page(matrix())


SMALL = report_with(
    run(result("a-one"), result("a-two", "failed"), result("b-one", "noted", level="may"), name="m:one"),
    run(result("a-one", "known", reason="we know"), result("a-two", "not_claimed", reason="n"), name="m:two"),
)

HOSTILE = (
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)> --> </style> & &amp; "
    "\u202e\x00\ud83d |`*_"
)
MEMBERS = (
    "name version date problems case title area reason path expected got remarks spec provenance policy "
    "cause source operation message text base64 output command"
)


def hostile_everywhere() -> Report:
    """Return a report with the payload in every member that holds a text, but for closed sets of words."""
    closed = {"level", "profile", "status", "grade", "gravity", "from", "event", "shard"}

    def spoil(value: object, name: str = "") -> object:
        if isinstance(value, dict):
            items: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            return {key: spoil(each, key) for key, each in items.items()}
        if isinstance(value, list):
            entries: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            return [spoil(each, name) for each in entries]
        return f"{name} {HOSTILE}" if isinstance(value, str) and name not in closed else value

    seen = Evidence(
        calls=[{"operation": "stream", "model": "m"}],
        outcomes=[{"error": {"message": "x"}}],
        wire=[
            WireEvent(0.1, 0, "client", event="open"),
            WireEvent(0.1, 0, "client", text="GET / HTTP/1.1\r\nA: b\r\n\r\n"),
            WireEvent(0.2, 0, "server", text="x"),
            WireEvent(0.3, 0, "server", base64="/w=="),
        ],
        output="printed",
        command="play",
    )
    full: dict[str, Any] = {
        "reason": "r",
        "differences": [Difference("/p", "e", "g")],
        "remarks": ["r"],
        "spec": "s",
        "provenance": "p",
        "policy": "p",
        "cause": "c",
        "source": ["s"],
        "evidence": seen,
    }
    one = run(result("a-one", "failed", **full), version="1", date="d", problems=["p"])
    plain = to_document(report_with(one, dataclasses.replace(one, name="b")))
    return from_document(as_object(spoil(plain)))


def test_a_hostile_text_is_nothing_but_text_on_the_page() -> None:
    text = page(hostile_everywhere())
    parsed = Parsed(text)
    assert parsed.open == []
    assert len(parsed.all("script")) == 1
    assert parsed.all("img") == []
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    seen = re.sub(r"\s+", " ", parsed.text)
    for member in MEMBERS.split():
        assert f"{member} </script><script>alert(1)" in seen, member
    assert "\u202e" not in text
    assert "\x00" not in text
    assert "\\u202e" in text
    addresses = [attributes["href"] or "" for attributes in parsed.all("a")]
    assert all(re.match(r"#|https?://", address) for address in addresses)


def test_only_web_addresses_become_links() -> None:
    bad = result(
        "a-one",
        "failed",
        spec="javascript:alert(1)",
        source=["data:text/html,x", 'https://x/y?a=1&b="', "o/r#12"],
    )
    links = [each["href"] for each in Parsed(page(report_with(run(bad)))).all("a") if each.get("rel")]
    assert links == ["https://github.com/o/r/issues/12"]
    good = result("a-one", "failed", spec="https://x/y?a=1&b=2#c")
    links = [each["href"] for each in Parsed(page(report_with(run(good)))).all("a") if each.get("rel")]
    assert links == ["https://x/y?a=1&b=2#c"]


def test_a_hostile_text_is_nothing_but_text_in_the_other_forms() -> None:
    spoilt = hostile_everywhere()
    for text in (markdown(spoilt), badge(spoilt), junit(spoilt)):
        for tag in ("<script", "<img", "</style"):
            assert tag not in text
    for text in (badge(spoilt), junit(spoilt)):
        ET.fromstring(text.encode("utf-8", "backslashreplace"))
    table = [line for line in markdown(spoilt).splitlines() if line.startswith("| name")]
    assert len(table) == 2
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 9 for line in table), "no cell more than the head has"


def test_the_page_asks_for_nothing(ten: str) -> None:
    parsed = Parsed(ten)
    for _, attributes in parsed.elements:
        assert "src" not in attributes
        assert "style" not in attributes, "the page's own policy forbids it"
    assert [each["href"] for each in parsed.all("link")] == ["data:,"]
    assert "@import" not in ten
    assert "url(" not in ten
    [policy] = [each["content"] for each in parsed.all("meta") if "http-equiv" in each]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_ten_clients_fit_into_two_megabytes(ten: str) -> None:
    assert len(ten.encode()) < 2_000_000
    rows = Parsed(ten).all("tr")
    assert sum("data-l" in row for row in rows) == len(load_cases())
    shorter = matrix([(name, version, 1.0) for name, version, _ in CLIENTS])
    assert len(page(shorter).encode()) < 2_500_000, "who misses everything has no exchanges there"


def test_where_not_all_exchanges_fit_those_of_musts_do() -> None:
    def failing(number: int, level: str) -> Result:
        sent = WireEvent(0.1, 0, "server", text=f"{level} {number} " + "x" * 700)
        seen = Evidence(calls=[], outcomes=[], wire=[sent], output="", command=f"play {number}")
        return result(f"a-{number}", "failed", level=level, evidence=seen)

    text = page(report_with(run(*(failing(n, "must" if n % 10 == 0 else "should") for n in range(2500)))))
    assert len(text.encode()) < 2_000_000
    assert "must 0 xxx" in text
    assert "should 1 xxx" not in text
    assert "play 1<" in text, "the command is there for all"


def test_one_client_has_its_exchanges_whole() -> None:
    report = matrix(CLIENTS[2:3])
    text = page(report)
    [first] = [each for each in report.runs[0].results if each.case == "usage-cumulative" or each.evidence][
        :1
    ]
    assert first.evidence is not None
    for event in first.evidence.wire:
        for line in (event.text or "").split("\r\n"):
            assert line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in text
    assert first.evidence.command in text
    assert "usual header" not in text


def test_every_link_inside_the_page_leads_somewhere_and_no_id_comes_twice(ten: str) -> None:
    parsed = Parsed(ten)
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = {href[1:] for each in parsed.all("a") if (href := each["href"] or "").startswith("#")}
    assert inside <= set(ids)
    labelled = {each for _, attributes in parsed.elements if (each := attributes.get("aria-labelledby"))}
    assert labelled <= set(ids)


def test_cells_say_in_words_what_their_letter_means() -> None:
    parsed = Parsed(page(SMALL))
    [cells] = re.findall(r"(?s)<tbody data-a=.a.*?</tbody>", page(SMALL))
    words = [
        re.sub(r"<[^>]+>", "", cell).strip()
        for cell in re.findall(r"(?s)<td class=\"?[fkno].*?(?=<td|</tr)", cells)
    ]
    assert words == ["kept", "Silent, known*", "Silent", "not claimed"]
    assert {each.get("scope") for each in parsed.all("th")} == {"col", "row", "rowgroup", "colgroup"}


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (("org/tiny at http://127.0.0.1:1/v1", "big at https://h/v1"), ["tiny", "big"]),
        (("tiny at http://127.0.0.1:1/v1", "tiny at http://127.0.0.1:2/v1"), ["127.0.0.1:1", "127.0.0.1:2"]),
        (("/models/tiny/ at http://h/v1", "a.b:huggingface"), ["tiny", "huggingface"]),
        (("a at http://h/v1", "a at http://h/v2"), ["a at http://h/v1", "a at http://h/v2"]),
    ],
)
def test_a_column_of_an_endpoint_has_the_name_of_its_model(names: Sequence[str], columns: list[str]) -> None:
    one = SMALL.runs[0]
    text = page(report_with(*(dataclasses.replace(one, name=name, version="") for name in names)))
    assert re.findall(r'class="col"><span>(.*?)</span>', text) == columns


def test_what_an_endpoint_answered_is_not_called_handed_over() -> None:
    for outcome, words in (({"status": 200, "end": "complete"}, "How it ended"), ({}, "Handed over")):
        failed = dataclasses.replace(result("a-one", "failed"), evidence=Evidence([], [outcome], []))
        assert f"<h5>{words}</h5>" in page(report_with(run(failed, name="m:one")))


def test_levels_and_profiles_are_apart_on_the_page() -> None:
    text = Parsed(page(SMALL)).text
    assert re.search(r"one\s*50\s*1/2\s*–\s*0\s*0/1", text), "must, should, may of all"


def test_problems_of_a_run_are_on_every_form() -> None:
    report = report_with(run(result("a-one"), problems=["interrupted, with 3 cases to go"]), finished=False)
    assert "with 3 cases to go" in page(report)
    assert "isn’t finished" in page(report)
    assert "with 3 cases to go" in markdown(report)
    assert "with 3 cases to go" in junit(report)
    assert "unfinished" in badge(report)


def test_the_letters_of_the_gravities_differ() -> None:
    assert len({word[0] for word in model.GRAVITIES}) == len(model.GRAVITIES)


# Markdown


def test_markdown_is_a_table_with_folded_failures() -> None:
    text = markdown(SMALL)
    assert "| m:one | 50 % (1/2) | – | 0 % (0/1) | 50 % (1/2) | – | – | – |" in text.replace("\\", "")
    assert "<details><summary>m:one: 1 must not kept or stale</summary>" in text
    assert "<details><summary>m:one: 1 may not kept or stale</summary>" in text
    assert text.count("<details>") == text.count("</details>")
    assert "**FAILED**: 1 of 2 implementations passed" in text


def test_markdown_stays_below_what_github_shows() -> None:
    long = [
        result(f"a-{number}", "failed", differences=[Difference("/x", "é" * 400, "b" * 400)])
        for number in range(2000)
    ]
    text = markdown(report_with(run(*long)))
    assert len(text.encode()) < 1_000_000
    assert re.search(r"… and \d+ more, which don't fit here", text)
    assert text.count("<details>") == text.count("</details>")


# The badge


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (report_with(run(result("a-one"))), "100 % of musts"),
        (report_with(run(result("a-one"), result("a-two", "failed"))), "50 % of musts"),
        (report_with(run(result("a-one")), run(result("a-one", "failed"), name="b")), "0 % of musts"),
        (report_with(run(result("a-one", "failed", level="should"))), "not judged"),
        (report_with(run(result("a-one")), finished=False), "unfinished"),
        (report_with(), "not judged"),
    ],
)
def test_the_badge_says_how_many_musts_are_kept(report: Report, text: str) -> None:
    root = ET.fromstring(badge(report))
    space = "{http://www.w3.org/2000/svg}"
    assert root.attrib["role"] == "img"
    title = root.find(f"{space}title")
    assert title is not None
    assert title.text == f"chat format: {text}"
    assert [each.text for each in root.iter(f"{space}text")] == ["chat format", text]
    assert "http" not in badge(report).replace("http://www.w3.org/2000/svg", "")


# The terminal


def test_what_is_said_of_every_request_is_one_fact() -> None:
    same = [Difference(f"/requests/{number}/method", "POST", "GET") for number in range(18)]
    one = result("error-redirect", "failed", differences=[*same, Difference("/requests/3/body", "a", "b")])
    assert facts(one.differences) == [
        ("/requests/*/method", "POST", "GET", 18),
        ("/requests/3/body", "a", "b", 1),
    ]
    lines = list(describe(one, saved="my report.json"))
    assert lines == [
        "FAILED  error-redirect  (error, must, core, silent)",
        "  Does error-redirect",
        "  /requests/*/method: expected POST, got GET (18 times)",
        "  /requests/3/body: expected a, got b",
        "  botticelli explain error-redirect --report 'my report.json'",
    ]


def test_a_may_is_never_called_failed_and_a_should_neither() -> None:
    out = io.StringIO()
    write_report(run(result("a-one", "noted", level="may"), result("a-two", "failed", level="should")), out)
    assert "INFORMATIONAL  a-one" in out.getvalue()
    assert "NON-STRICT  a-two" in out.getvalue()
    assert not re.search(r"^FAILED  ", out.getvalue(), re.MULTILINE)


# Keys


class Shows(ReferenceClient):
    """Shows the key wherever a client can: in an answer, in an error, in a crash."""

    keys: set[str] = set()  # noqa: RUF012

    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        key = str(call["api_key"])
        self.keys.add(key)
        if len(self.keys) % 2:
            raise RuntimeError(f"the key is {key}")
        return {"error": {"kind": "api", "message": f"{key} \u200b{key}", key: key}}


def test_no_form_holds_a_key(tmp_path: Path) -> None:
    paths = {form: tmp_path / form for form in FORMS}
    out = io.StringIO()
    words = ["usage-cumulative", "sse-bom", "models-bare-array", "json-minimal"]
    assert run_check([f"{__name__}:Shows"], out=out, select=words, paths=paths, in_process=True) == 1
    assert len(Shows.keys) == len(words)
    texts = [out.getvalue(), *(path.read_text() for path in paths.values())]
    assert not [key for key in Shows.keys for text in texts if key in text]
    assert all(
        "[key]" in text for text in (texts[0], *(paths[form].read_text() for form in ("json", "html")))
    )

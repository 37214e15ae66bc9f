"""Case files: what is read, what is refused, what is filled in."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.cases.case import Case, case_files, check_folder, load_cases, main, overlay, read_file
from botticelli.kit.cases.causes import USUAL_CAUSES
from botticelli.kit.errors import CaseError

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {
    "id": "sse-plain",
    "title": "Reads a plain stream",
    "level": "must",
    "profile": "core",
    "side": "driver",
    "format": "openai",
    "area": "sse",
    "source": ["constructed"],
    "provenance": "prose",
    "spec": "https://example.org/#a",
    "calls": [{"operation": "stream", "expect": [{"response": {"text": "{{text}}"}}]}],
    "exchanges": [
        {
            "status": 200,
            "headers": [["Content-Type", "text/event-stream"], ["Date", "{{http-date:+0}}"]],
            "body": [{"delta": {"content": "{{text}}"}}, {"event": "[DONE]"}],
        }
    ],
    "requests": {"count": 1},
}


def write(folder: Path, document: object, name: str = "openai/sse/sse-plain") -> Path:
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def changed(**members: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), **members}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in changed().items() if key != name}


def call(**members: Any) -> dict[str, Any]:
    return {"operation": "generate", "expect": [{"response": {}}], **members}


def exchange(**members: Any) -> dict[str, Any]:
    return {"status": 200, **members}


def test_a_good_case_is_read(tmp_path: Path) -> None:
    [case] = read_file(write(tmp_path, GOOD))
    assert (case.id, case.area, case.level, case.spec) == ("sse-plain", "sse", "must", GOOD["spec"])
    assert case.listens
    assert Case(without("spec")).spec == ""
    assert list(check_folder(tmp_path)) == []
    assert [case.id for case in load_cases(tmp_path)] == ["sse-plain"]


BAD: list[tuple[dict[str, Any], str]] = [
    (changed(id="SSE"), "/id"),
    (changed(id="sse-other"), "not the file's name"),
    (changed(area="tool"), "not the folder's name"),
    (changed(level="perhaps"), "/level"),
    (changed(source=[]), "/source"),
    (changed(provenance="observed", source=["constructed", "cf. a/b#1"]), "/source"),
    (without("spec"), "/spec"),
    (changed(provenance="guessed"), "/provenance"),
    (changed(extra=1), "/extra: is not allowed here"),
    (changed(policy="yes"), "/policy"),
    (changed(calls=[]), "/calls"),
    (changed(calls=[call(expect=[])]), "/calls/0/expect"),
    (changed(calls=[call(expect=[{"response": {}, "error": {"kind": ["api"]}}])]), "/calls/0/expect/0"),
    (changed(calls=[call(expect=[{"error": {"kind": ["unknown"]}}])]), "/calls/0/expect/0/error/kind/0"),
    (changed(calls=[call(operation="chat")]), "/calls/0/operation"),
    (changed(calls=[call(options={"retries": 2})]), "call 0: /options"),
    (changed(calls=[call(request={"model": "m"})]), "call 0: /request"),
    (changed(calls=[call(request={"stream": True})]), "call 0: /request"),
    (changed(calls=[call(cancel_after={"words": 1})]), "call 0: /cancel_after"),
    (changed(calls=[call(base_url="{{orgin}}/v1")]), "unknown variable {{orgin}}"),
    (changed(title="Says {{ word }} with blanks"), "{{ word }}: not a variable"),
    (changed(calls=[call(expect=[{"cancelled": {}}])]), "without cancel_after"),
    (changed(calls=[call(expect=[{"models": []}])]), "models of another operation"),
    (changed(calls=[call(operation="models")]), "a response of operation models"),
    (changed(calls=[call(expect=[{"response": {"min_chunks": 1}}])]), "min_chunks is of a stream"),
    (changed(calls=[call(expect=[{"response": {"chunks_text": ""}}])]), "chunks_text is of a stream"),
    (changed(calls=[call(expect=[{"response": {"text": "a", "choices": []}}])]), "/calls/0/expect/0"),
    (
        changed(calls=[call(expect=[{"error": {"kind": ["api"], "min_chunks": 1}}])]),
        "min_chunks is of a stream",
    ),
    (changed(calls=[call(expect=[{"response": {"deviations": ["no-such-code"]}}])]), "no-such-code"),
    (changed(exchanges=[exchange(framing="close", end="keep-alive")]), "/exchanges/0: framing close"),
    (changed(exchanges=[exchange(body=[{"join": [{"sleep": 1}]}])]), "no sleep"),
    (changed(exchanges=[exchange(body=[{"text": "a", "hex": "00"}])]), "/exchanges/0/body/0"),
    (changed(exchanges=[exchange(body=[{"base64": "A"}])]), "/exchanges/0"),
    (changed(exchanges=[exchange(headers=[["A"]])]), "/exchanges/0/headers/0"),
    (changed(exchanges=[{"body": []}]), "/exchanges/0"),
    (changed(exchanges=[{}]), "/exchanges/0"),
    (changed(requests={"count": 1, "each": [{}, {}]}), "longer than count"),
    (changed(requests={}), "/requests"),
    (changed(requests={"all": {}}, calls=[call(options={"max_retries": 1})]), "/requests/count"),
    (changed(requests={"all": {"header": {}}}), "/requests/all"),
    (without("format"), "/format"),
    (changed(format="cohere"), "/format"),
    (changed(format="gemini"), "gemini is not the folder's name, openai"),
    (changed(traits=["sse"]), "/traits: only for a case of format any"),
    (changed(exchanges=[exchange(body=[{"event": 1, "line_end": "\r"}])]), "/exchanges/0/body/0"),
    (changed(exchanges=[exchange(body=[{"text": "a", "name": "n"}])]), "/exchanges/0/body/0"),
    (changed(exchanges=[exchange(body=[{"text": "a", "pause": 0.1}])]), "/exchanges/0/body/0"),
    (changed(exchanges=[exchange(body=[{"chunk": {}}])]), "/exchanges/0/body/0"),
    (changed(calls=[call(options={"bill_to": "x"})]), "call 0: /options"),
]

MUST: list[tuple[dict[str, Any], bool]] = [
    (call(options={"timeouts": {"idle": 5}}), False),
    (call(options={"timeouts": {"total": 59}}), False),
    (call(options={"timeouts": {"idle": 30, "total": 60}}), True),
    (call(options={"timeouts": {"idle": 0.3}}, expect=[{"error": {"kind": ["timeout"]}}]), True),
    (call(options={"timeouts": {"idle": 3}}, expect=[{"error": {"kind": ["timeout", "server"]}}]), False),
    (
        call(options={"timeouts": {"idle": 3}}, expect=[{"error": {"kind": ["timeout"]}}, {"response": {}}]),
        False,
    ),
    (
        call(
            options={"timeouts": {"idle": 1.9}},
            expect=[{"error": {"kind": ["timeout"], "partial": {"text": "a"}}}],
        ),
        False,
    ),
    (
        call(
            options={"timeouts": {"idle": 2}},
            expect=[{"error": {"kind": ["timeout"], "partial": {"text": "a"}}}],
        ),
        True,
    ),
    (call(cancel_after={"seconds": 1}, expect=[{"cancelled": {}}]), False),
    (call(operation="stream", cancel_after={"chunks": 1}, expect=[{"cancelled": {}}]), True),
]


@pytest.mark.parametrize(("written", "right"), MUST)
def test_a_must_does_not_depend_on_the_speed_of_the_machine(
    tmp_path: Path, written: dict[str, Any], *, right: bool
) -> None:
    write(tmp_path, changed(calls=[written]))
    assert (list(check_folder(tmp_path)) == []) is right
    write(tmp_path, changed(calls=[written], level="should"))
    assert list(check_folder(tmp_path)) == []


@pytest.mark.parametrize(("limit", "right"), [(2, True), (1.9, False)])
def test_around_a_timeout_that_is_due_a_must_leaves_room(
    tmp_path: Path, limit: float, *, right: bool
) -> None:
    limited: dict[str, Any] = {"options": {"timeouts": {"idle": limit}}}
    due = call(expect=[{"error": {"kind": ["timeout"]}}], **limited)
    write(tmp_path, changed(calls=[due, call(**limited)]))
    assert (list(check_folder(tmp_path)) == []) is right


def test_the_calls_to_one_address_are_configured_alike(tmp_path: Path) -> None:
    other = call(options={"backoff": 0.1})
    write(tmp_path, changed(calls=[call(), other]))
    [complaint] = check_folder(tmp_path)
    assert "call 1: other options than an earlier call" in complaint
    write(tmp_path, changed(calls=[call(), {**other, "base_url": "{{origin}}/other"}]))
    assert list(check_folder(tmp_path)) == []


@pytest.mark.parametrize(("delay", "right"), [({"min": 0.9}, True), ({"max": 3}, False), ({"max": 30}, True)])
@pytest.mark.parametrize("where", ["all", "each"])
def test_a_must_demands_no_quick_request(
    tmp_path: Path, where: str, delay: dict[str, float], *, right: bool
) -> None:
    rule: Any = {"delay": delay}
    write(tmp_path, changed(requests={"count": 1, where: [rule] if where == "each" else rule}))
    assert (list(check_folder(tmp_path)) == []) is right


ABSTRACT: dict[str, Any] = {
    **changed(format="any", traits=["sse"]),
    "exchanges": [exchange(body=[{"chunk": {"first": True, "text": "{{text}}", "finish": "stop"}}])],
}


CHANGES: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"traits": ["xml"]}, "/traits/0"),
    ({"exchanges": [exchange(body=[{"join": [{"delta": {}}]}])]}, "piece delta: of one format"),
    (
        {"exchanges": [exchange(body=[{"repeat": 2, "of": [{"event": "x"}]}])]},
        "piece event: of one format",
    ),
    ({"exchanges": [{"raw": [{"half": [{"message": {}}]}]}]}, "piece message: of one format"),
    ({"exchanges": [exchange(body=[{"text": "data: [DONE]\n\n"}])]}, "[DONE]: of one format"),
    ({"requests": {"all": {"path": "/v1/chat/completions"}}}, "chat/completions: of one format"),
    ({"calls": [call(request={"temperature": 1})]}, "/calls/0/request"),
    ({"calls": [call(expect=[{"response": {"deviations": ["no-such"]}}])]}, "deviation no-such"),
    ({"exchanges": [exchange(body=[{"text": "{{wrod}}"}])]}, "as openai: sse-plain: unknown variable"),
]


@pytest.mark.parametrize(("changes", "complaint"), CHANGES)
def test_an_abstract_case_is_of_no_format(
    tmp_path: Path, changes: dict[str, Any], complaint: str | None
) -> None:
    path = write(tmp_path, {**ABSTRACT, **changes}, "any/sse/sse-plain")
    complaints = list(check_folder(tmp_path))
    if complaint:
        assert any(complaint in line for line in complaints), complaints
    else:
        assert complaints == []
        [case] = read_file(path)
        assert (case.format.name, case.key, case.document["format"]) == ("openai", "sse-plain", "openai")


def test_an_unknown_format_is_reported(tmp_path: Path) -> None:
    write(tmp_path, changed(format="gemini"), "gemini/sse/sse-plain")
    [complaint] = check_folder(tmp_path)
    assert "gemini is not a known format: any, openai" in complaint


def test_a_credential_is_a_rule_for_the_header_of_the_format() -> None:
    rules = {"all": {"credential": "{{key}}", "headers": {"X-A": True}}, "each": [{"credential": False}, {}]}
    run = Case(changed(requests=rules)).render(seed=0, port=1)
    assert run.requests["all"] == {"headers": {"Authorization": f"Bearer {run.key}", "X-A": True}}
    assert run.requests["each"] == [{"headers": {"Authorization": False}}, {}]


@pytest.mark.parametrize(("document", "complaint"), BAD)
def test_what_is_wrong_with_a_case_is_reported(
    tmp_path: Path, document: dict[str, Any], complaint: str
) -> None:
    path = write(tmp_path, document)
    complaints = list(check_folder(tmp_path))
    assert any(complaint in line for line in complaints), complaints
    assert all(line.startswith(f"{path}: ") for line in complaints)
    with pytest.raises(CaseError):
        read_file(path)


NAN = json.dumps(GOOD).replace('{"text": "{{text}}"}', '{"finish_reason_raw": NaN}')


@pytest.mark.parametrize("text", ["{", "[]", '"a"', "\xff", NAN])
def test_a_case_that_is_not_a_json_object_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "openai" / "sse" / "sse-plain.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CaseError):
        read_file(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="cannot be read"):
        read_file(tmp_path / "openai" / "sse" / "sse-none.json")


def test_an_id_is_used_once_over_all_areas(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, changed(area="tool"), "openai/tool/sse-plain")
    [complaint] = check_folder(tmp_path)
    assert "also that of" in complaint


def test_only_files_in_areas_are_cases(tmp_path: Path) -> None:
    (tmp_path / "origins.json").write_text("{}")
    assert case_files(tmp_path) == []


def test_the_command_counts_and_complains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, GOOD)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 case files, 0 complaints\n"
    path.write_text("{")
    assert main([str(tmp_path)]) == 1
    assert "1 complaints" in capsys.readouterr().out


def needs(written: dict[str, Any], **members: Any) -> set[str]:
    return set(Case(changed(calls=[written], **members)).needs)


def assembling(*expect: dict[str, Any]) -> dict[str, Any]:
    return {"operation": "stream", "expect": list(expect)}


NEEDS: list[tuple[dict[str, Any], set[str]]] = [
    ({"operation": "models"}, {"models"}),
    ({"operation": "stream", "cancel_after": {"chunks": 1}}, {"stream", "cancel"}),
    ({"operation": "stream", "cancel_after": {"seconds": 1}}, {"stream", "cancel_any_time"}),
    ({"operation": "generate", "request": {"n": 2}}, {"generate", "n"}),
    ({"operation": "generate", "request": {"n": 1}}, {"generate"}),
    ({"operation": "generate", "request": {"n": None, "tools": []}}, {"generate"}),
    (
        {"operation": "generate", "request": {"tools": [{}], "extra": {"a": 1}}},
        {"generate", "tools", "extra"},
    ),
    ({"operation": "generate", "options": {"max_retries": 0}}, {"generate"}),
    ({"operation": "generate", "options": {"max_retries": 1}}, {"generate", "retry"}),
    ({"operation": "generate", "options": {"timeouts": {"idle": 1}}}, {"generate", "idle_timeout"}),
    ({"operation": "generate", "options": {"timeouts": {"idle": 30, "total": 90}}}, {"generate"}),
    ({"operation": "generate", "options": {"timeouts": {"total": 1}}}, {"generate", "total_timeout"}),
    (
        {"operation": "stream", "options": {"timeouts": {"progress": 1, "idle": 1}}},
        {"stream", "progress_timeout", "idle_timeout"},
    ),
    *(
        (
            {"operation": "generate", "options": {"timeouts": {limit: 1}}},
            {"generate", f"{limit}_timeout"},
        )
        for limit in ("pool", "connect", "first_byte")
    ),
    ({"operation": "generate", "options": {"max_retry_after": 0}}, {"generate", "max_retry_after"}),
    (assembling({"response": {"tool_calls": [{}]}}), {"stream", "assembles"}),
    (assembling({"response": {"logprobs": {}}}), {"stream"}),
    (assembling({"response": {"logprobs": {"content": []}}}), {"stream", "assembles"}),
    (assembling({"response": {"choices": [{}, {}]}}), {"stream", "assembles"}),
    (assembling({"response": {"choices": [{"tool_calls": [{}]}]}}), {"stream", "assembles"}),
    (assembling({"response": {"choices": [{}]}}, {"response": {"choices": []}}), {"stream"}),
    (assembling({"response": {"text": "a", "usage": None, "tool_calls": []}}), {"stream"}),
    (assembling({"error": {"kind": ["server"]}}, {"error": {"partial": None}}), {"stream"}),
    (assembling({"error": {"partial": {"tool_calls": [{}]}}}), {"stream", "assembles"}),
    (assembling({"cancelled": {}}), {"stream"}),
    ({"operation": "generate", "expect": [{"response": {"tool_calls": [{}]}}]}, {"generate"}),
    ({"operation": "generate", "api_key": None}, {"generate", "anonymous"}),
]


@pytest.mark.parametrize(("written", "claimed"), NEEDS)
def test_what_a_driver_must_claim_follows_from_the_calls(written: dict[str, Any], claimed: set[str]) -> None:
    assert needs(written) == claimed
    assert needs(written, capability=["reasoning"]) == claimed | {"reasoning"}


def test_a_play_has_defaults_under_what_is_written() -> None:
    written = {
        "operation": "generate",
        "expect": [{"response": {"model": "{{model}}"}}],
        "request": {"seed": 1},
        "options": {"max_retries": 2, "timeouts": {"idle": 0.3}},
        "times": 2,
        "pause": 0.5,
    }
    play = Case(changed(calls=[written, call(operation="models")])).render(seed=3, port=99)
    first, second, third = play.calls
    assert first.neutral["base_url"] == "http://127.0.0.1:99/v1"
    assert first.neutral["api_key"] == play.key
    assert first.neutral["model"] == play.context.model == first.expect[0]["response"]["model"]
    assert first.neutral["request"]["seed"] == 1
    assert first.neutral["request"]["messages"][0]["role"] == "user"
    assert first.neutral["options"]["max_retries"] == 2
    assert first.neutral["options"]["timeouts"]["idle"] == 0.3
    assert first.neutral["options"]["timeouts"]["connect"] == 30
    assert (first.pause, third.pause) == (0.5, 0.0)
    assert [one.neutral["last"] for one in play.calls] == [False, False, True]
    assert first.neutral == {**second.neutral}
    assert first.neutral is not second.neutral
    assert third.neutral["request"] == {}
    assert play.requests == {"count": 1}


def test_null_is_written_and_not_a_default() -> None:
    play = Case(changed(calls=[call(api_key=None)])).render(seed=0, port=1)
    assert play.calls[0].neutral["api_key"] is None


def test_overlay_goes_into_objects_and_replaces_the_rest() -> None:
    base = {"a": {"b": 1, "c": [1]}, "d": {"e": 1}}
    assert overlay(base, {"a": {"c": [2]}, "d": 5, "f": {}}) == {
        "a": {"b": 1, "c": [2]},
        "d": 5,
        "f": {},
    }
    assert base == {"a": {"b": 1, "c": [1]}, "d": {"e": 1}}


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({}, True),
        ({"provenance": "observed", "source": ["a/b#1"]}, False),
        ({"provenance": "observed", "source": ["a/b#1"], "policy": "Text would be lost."}, True),
        ({"provenance": "reasoned"}, False),
        ({"provenance": "official-client"}, True),
        ({"provenance": "official-client", "spec": None}, False),
        ({"provenance": "reasoned", "level": "should"}, True),
        ({"profile": None}, False),
        ({"profile": "strict"}, False),
        ({"since": "1.2", "until": "1.10"}, True),
        ({"since": "2", "until": "1.9"}, False),
        ({"until": "0.9"}, False),
    ],
)
def test_a_must_rests_on_a_rule_or_says_why(tmp_path: Path, changes: dict[str, Any], *, right: bool) -> None:
    document = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    write(tmp_path, document)
    assert (list(check_folder(tmp_path)) == []) is right


def test_a_case_says_what_usually_causes_it_or_its_area_does() -> None:
    assert Case({**GOOD, "cause": "The code splits at two line feeds."}).cause.startswith("The code splits")
    assert Case(GOOD).cause == USUAL_CAUSES["sse"]
    assert {case.area for case in load_cases()} == USUAL_CAUSES.keys()

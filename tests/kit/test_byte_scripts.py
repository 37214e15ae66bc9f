"""Variables, pieces and exchanges: what a case says, turned into bytes and pauses."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from botticelli import contracts
from botticelli.kit.cases.formats import OPENAI, Context
from botticelli.kit.cases.script import (
    VARIABLE,
    ByteScript,
    Pause,
    Step,
    Variables,
    compile_exchange,
    fill_dates,
    may_hold_usage,
    stored_brotli,
)
from botticelli.kit.errors import CaseError

NOW = datetime(2024, 1, 1, tzinfo=UTC)
CONTEXT = Context(OPENAI, "id-1", "org/m")
NAMES = ("word", "text", "prompt", "id", "call_id", "model", "key")


def script(exchange: dict[str, Any]) -> ByteScript:
    return compile_exchange(exchange, CONTEXT, NOW)


@pytest.mark.parametrize(("end", "promised"), [("keep-alive", 3), ("close", 3), ("cut", 4), ("reset", 4)])
def test_a_body_of_known_length_that_is_cut_has_too_few_bytes(end: str, promised: int) -> None:
    exchange = {"status": 200, "framing": "length", "body": [{"text": "abc"}], "end": end}
    head, body = script(exchange).steps
    assert isinstance(head, bytes)
    assert f"Content-Length: {promised}\r\n".encode() in head
    assert body == b"abc"


def test_what_is_beyond_an_answer_is_in_its_last_write() -> None:
    stale = {"status": 200, "framing": "length", "body": [{"text": "no"}], "end": "close"}
    line = {"raw": [{"text": "\r\n"}], "end": "keep-alive"}
    exchange = {"status": 200, "framing": "length", "body": [{"text": "a"}, {"text": "b"}]}
    played = script({**exchange, "beyond": [stale, line]})
    assert played.steps[1:] == (b"a", b"bHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno\r\n")
    assert played.end == "keep-alive"
    assert script({**exchange, "beyond": [line]}).steps[0] == script(exchange).steps[0]
    no_content = {"status": 204, "framing": "none", "beyond": [line]}
    assert script(no_content).steps == (b"HTTP/1.1 204 No Content\r\n\r\n\r\n",)


@pytest.mark.parametrize(
    ("last", "beyond"),
    [
        ({"sleep": 1}, {"text": "x"}),
        ({"text": "x"}, {"sleep": 1}),
        ({"hold": True}, {"text": "x"}),
    ],
)
def test_nothing_pauses_before_what_is_beyond(last: dict[str, Any], beyond: dict[str, Any]) -> None:
    with pytest.raises(CaseError, match="beyond"):
        script({"status": 200, "framing": "none", "body": [last], "beyond": [{"raw": [beyond]}]})


def test_a_usage_beyond_an_answer_is_sent_too() -> None:
    answer = {"status": 200, "body": [{"answer": {"text": "a"}}]}
    assert may_hold_usage([{"status": 204, "framing": "none", "beyond": [answer]}], CONTEXT)
    assert not may_hold_usage(
        [{"status": 204, "framing": "none", "beyond": [{"raw": [{"text": "\r\n"}]}]}], CONTEXT
    )


def body(*pieces: dict[str, Any]) -> list[Step]:
    head, *steps = script({"status": 200, "framing": "none", "body": list(pieces)}).steps
    assert head == b"HTTP/1.1 200 OK\r\n\r\n"
    return steps


@pytest.mark.parametrize(
    ("piece", "wire"),
    [
        ({"text": "é\r\n"}, b"\xc3\xa9\r\n"),
        ({"hex": "EFbb"}, b"\xef\xbb"),
        ({"base64": "AAE="}, b"\x00\x01"),
        ({"json": {"a": [1, "é/\u2028"]}}, '{"a":[1,"é/\u2028"]}'.encode()),
        ({"json": None}, b"null"),
        ({"event": {"a": 1}}, b'data: {"a":1}\n\n'),
        ({"event": "[DONE]"}, b"data: [DONE]\n\n"),
        ({"join": [{"text": "a"}, {"repeat": 3, "of": [{"text": "b"}]}]}, b"abbb"),
        ({"br": [{"text": "hello"}]}, b"\x40\x00\x10hello\x03"),
    ],
)
def test_a_piece_is_these_bytes(piece: dict[str, Any], wire: bytes) -> None:
    assert body(piece) == [wire]


HEAD = '{"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"org/m","choices":'
TOOL = {"id": "c", "name": "f", "arguments": "{}"}
CALL = '{"index":1,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}'
USAGE = '{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}'


@pytest.mark.parametrize(
    ("chunk", "deltas"),
    [
        ({"first": True, "text": "é"}, [('{"role":"assistant","content":"é"}', "null")]),
        ({"text": {"repeat": 3, "of": "ab"}}, [('{"content":"ababab"}', "null")]),
        ({"reasoning": "x", "text": "y"}, [('{"reasoning_content":"x","content":"y"}', "null")]),
        ({"tool_call": TOOL, "index": 1}, [(f'{{"tool_calls":[{CALL}]}}', "null")]),
        ({"finish": "tool_use"}, [("{}", '"tool_calls"')]),
        ({"text": "a", "finish": "length"}, [('{"content":"a"}', '"length"')]),
    ],
)
def test_a_chunk_is_the_events_of_the_format(chunk: dict[str, Any], deltas: list[tuple[str, str]]) -> None:
    assert body({"chunk": chunk}) == [
        f'data: {HEAD}[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}\n\n'.encode()
        for delta, reason in deltas
    ]


def test_usage_comes_in_an_event_of_its_own_after_the_finish() -> None:
    finish, usage = body({"chunk": {"finish": "stop", "usage": True}})
    assert [finish] == body({"chunk": {"finish": "stop"}})
    assert usage == f'data: {HEAD}[],"usage":{USAGE}}}\n\n'.encode()
    assert body({"chunk": {"usage": True}}) == [usage]


@pytest.mark.parametrize(
    ("layout", "wire"),
    [
        ({"line_end": "\r\n"}, b"data: [DONE]\r\n\r\n"),
        ({"line_end": "\r", "blank_line": "\n"}, b"data: [DONE]\r\n"),
        ({"blank_line": ""}, b"data: [DONE]\n"),
        ({"data_field": "data:"}, b"data:[DONE]\n\n"),
    ],
)
def test_an_event_is_laid_out_as_the_case_says(layout: dict[str, Any], wire: bytes) -> None:
    assert body({"done": True, **layout}) == [wire]


def test_the_blank_line_of_a_chunk_is_that_of_its_last_event() -> None:
    finish, usage = body({"chunk": {"finish": "stop", "usage": True}, "line_end": "\r", "blank_line": ""})
    assert isinstance(finish, bytes)
    assert isinstance(usage, bytes)
    assert finish.endswith(b"}\r\r")
    assert usage.endswith(b"}\r")
    assert not usage.endswith(b"\r\r")


def test_data_is_broken_between_two_members() -> None:
    [plain] = body({"chunk": {"text": "a,b,c,d,e,f,g,h"}})
    [broken] = body({"chunk": {"text": "a,b,c,d,e,f,g,h"}, "break": "\n: x\ndata:"})
    assert isinstance(plain, bytes)
    assert isinstance(broken, bytes)
    assert broken.replace(b"\n: x\ndata:", b"") == plain
    first, second = broken.split(b"\n: x\ndata:")
    assert first.endswith(b'"model":"org/m",')
    assert second.startswith(b'"choices":')


def test_data_without_members_is_broken_before_it() -> None:
    assert body({"done": True, "break": "|"}) == [b"data: |[DONE]\n\n"]


def test_answers_errors_and_lists_are_those_of_the_format() -> None:
    [answer] = body({"answer": {"text": "x", "reasoning": "y", "tool_calls": [TOOL], "finish": "tool_use"}})
    assert isinstance(answer, bytes)
    [choice] = json.loads(answer)["choices"]
    assert choice["message"]["content"] == "x"
    assert choice["message"]["reasoning_content"] == "y"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert choice["finish_reason"] == "tool_calls"
    error = '{"error":{"message":"m","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}'
    assert body({"failure": {"status": 429, "message": "m"}}) == [error.encode()]
    assert body({"failure_event": {"status": 429, "message": "m"}, "line_end": "\r"}) == [
        f"data: {error}\r\r".encode()
    ]
    [listed] = body({"models": ["a", "b"]})
    assert isinstance(listed, bytes)
    assert [model["id"] for model in json.loads(listed)["data"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "type_", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "invalid_request_error", "invalid_api_key"),
        (408, "server_error", None),
        (500, "server_error", None),
    ],
)
def test_an_error_has_the_type_and_code_of_its_status(status: int, type_: str, code: str | None) -> None:
    [step] = body({"failure": {"status": status, "message": "m"}})
    assert isinstance(step, bytes)
    error = json.loads(step)["error"]
    assert (error["type"], error["code"]) == (type_, code)


def test_half_is_the_first_half_of_the_bytes() -> None:
    assert body({"half": [{"text": "abc"}, {"text": "de"}]}) == [b"ab"]


def test_split_after_cuts_after_every_occurrence() -> None:
    assert body({"split_after": "\r", "of": [{"text": "a\r\nb"}, {"text": "\r"}]})[:2] == [b"a\r", b"\nb\r"]
    steps = body({"split_after": "\n", "of": [{"text": "a\nb"}], "pause": 0.1})
    assert steps == [b"a\n", Pause(0.1), b"b"]


def test_an_event_can_have_a_name() -> None:
    assert body({"event": {"a": 1}, "name": "ping"}) == [b'event: ping\ndata: {"a":1}\n\n']


def test_delta_is_a_whole_chunk() -> None:
    [step] = body({"delta": {"content": "x"}, "index": 1, "finish_reason": "stop"})
    assert isinstance(step, bytes)
    assert step.startswith(b"data: {")
    assert step.endswith(b"}\n\n")
    assert json.loads(step[6:]) == {
        "id": "id-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "org/m",
        "choices": [{"index": 1, "delta": {"content": "x"}, "finish_reason": "stop"}],
    }


def test_message_is_a_whole_completion() -> None:
    [step] = body({"message": {"content": "x"}})
    assert isinstance(step, bytes)
    value = json.loads(step)
    assert value["object"] == "chat.completion"
    assert value["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    [choice] = value["choices"]
    assert choice["message"] == {"role": "assistant", "content": "x", "refusal": None}
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("piece", "contract"),
    [
        ({"delta": {"role": "assistant", "content": "x"}}, "openai/chunk"),
        ({"delta": {}, "finish_reason": "stop", "index": 1}, "openai/chunk"),
        ({"message": {"content": "x"}}, "openai/response"),
        ({"message": {"refusal": "no"}, "finish_reason": "length"}, "openai/response"),
        ({"chunk": {"first": True, "text": "x"}}, "openai/chunk"),
        ({"chunk": {"tool_call": TOOL}}, "openai/chunk"),
        ({"chunk": {"finish": "tool_use"}}, "openai/chunk"),
        ({"chunk": {"usage": True}}, "openai/chunk"),
        ({"answer": {"text": "x"}}, "openai/response"),
        ({"answer": {"tool_calls": [TOOL], "finish": "tool_use"}}, "openai/response"),
        ({"failure": {"status": 429, "message": "x"}}, "openai/error"),
        ({"failure_event": {"status": 500, "message": "x"}}, "openai/error"),
        ({"models": ["a"]}, "openai/model-list"),
    ],
)
def test_what_the_notation_writes_itself_keeps_the_strict_contract(
    piece: dict[str, Any], contract: str
) -> None:
    [step] = body(piece)
    assert isinstance(step, bytes)
    assert contracts.validate_bytes(contract, step.removeprefix(b"data: ")) == []


def test_gzip_decompresses_and_is_the_same_every_time() -> None:
    piece = {"gzip": [{"text": "a"}, {"event": "b"}]}
    [one], [other] = body(piece), body(piece)
    assert one == other
    assert isinstance(one, bytes)
    assert gzip.decompress(one) == b"adata: b\n\n"


def test_stored_brotli_of_nothing_and_of_more_than_a_block() -> None:
    assert stored_brotli(b"") == b"\x06"
    stored = stored_brotli(b"x" * 65_537)
    # 65,536 bytes after three of header, one byte after three more, and the end.
    assert len(stored) == 3 + 65_536 + 3 + 1 + 1
    assert stored[65_539:] == b"\x00\x00\x08x\x03"


def test_what_is_repeated_is_in_memory_once() -> None:
    """sse-endless-line: 72 MiB, of which one is made."""
    _, *chunks, _ = script({"status": 200, "body": [{"repeat": 9, "of": [{"text": "ab"}]}]}).steps
    assert chunks == [b"2\r\nab\r\n"] * 9
    assert len({id(chunk) for chunk in chunks}) == 1


def test_repeat_makes_pieces_and_slices_cut_them() -> None:
    assert body({"repeat": 2, "of": [{"text": "a"}, {"text": "b"}]}) == [b"a", b"b", b"a", b"b"]
    assert body({"slices": 2, "of": [{"text": "abc"}, {"text": "de"}]}) == [b"ab", b"cd", b"e"]


def test_silence() -> None:
    steps = body({"sleep": 0.5}, {"hold": True}, {"slices": 1, "of": [{"text": "ab"}], "pause": 0.1})
    assert steps == [Pause(0.5), Pause(None), b"a", Pause(0.1), b"b"]


@pytest.mark.parametrize("inner", [{"sleep": 1}, {"hold": True}])
@pytest.mark.parametrize("outer", ["join", "gzip", "br"])
def test_no_silence_inside_one_piece(outer: str, inner: dict[str, Any]) -> None:
    with pytest.raises(CaseError, match="no sleep, hold or pause"):
        body({outer: [inner]})


def test_a_lone_surrogate_cannot_be_played() -> None:
    with pytest.raises(CaseError, match="lone surrogate"):
        body({"text": "\ud83d"})


def test_an_unknown_piece_is_an_error() -> None:
    with pytest.raises(CaseError, match=r'not a piece of format openai: \{"txt"'):
        body({"txt": "a"})


def test_chunked_is_one_chunk_per_piece_and_a_last_one() -> None:
    played = script({"status": 200, "body": [{"text": "abc"}, {"text": ""}, {"text": "é" * 8}]})
    assert played.steps == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\n",
        b"10\r\n" + "é".encode() * 8 + b"\r\n",
        b"0\r\n\r\n",
    )
    assert played.end == "keep-alive"


@pytest.mark.parametrize(("end", "last"), [("close", True), ("cut", False), ("reset", False)])
def test_the_last_chunk_comes_unless_the_body_is_cut(end: str, last: bool) -> None:
    played = script({"status": 200, "body": [{"text": "a"}], "end": end})
    assert (played.steps[-1] == b"0\r\n\r\n") is last
    assert played.end == end


def test_length_counts_all_pieces_even_when_cut() -> None:
    exchange = {"status": 200, "framing": "length", "body": [{"text": "é"}, {"sleep": 1}, {"text": "a"}]}
    assert script(exchange).steps[0] == b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"


def test_headers_stand_as_they_are_before_those_of_the_framing() -> None:
    headers = [["retry-after", "1"], ["Retry-After", "5"]]
    [head, *_] = script({"status": 429, "framing": "length", "headers": headers}).steps
    assert head == (
        b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("framing", "header"),
    [("chunked", ["transfer-encoding", "chunked"]), ("length", ["CONTENT-LENGTH", "9"])],
)
def test_a_header_of_the_framing_that_is_given_is_not_added(framing: str, header: list[str]) -> None:
    [head, *_] = script({"status": 200, "framing": framing, "headers": [header]}).steps
    assert head == f"HTTP/1.1 200 OK\r\n{header[0]}: {header[1]}\r\n\r\n".encode()


def test_status_line_of_old_and_unusual_servers() -> None:
    [head] = script({"status": 200, "version": "1.0", "framing": "close"}).steps
    assert head == b"HTTP/1.0 200 OK\r\n\r\n"
    [head, *_] = script({"status": 529, "framing": "none"}).steps
    assert head == b"HTTP/1.1 529 \r\n\r\n"
    [head, *_] = script({"status": 200, "reason": "Fine", "framing": "none"}).steps
    assert head == b"HTTP/1.1 200 Fine\r\n\r\n"


def test_framing_by_close_ends_with_the_connection() -> None:
    assert script({"status": 200, "framing": "close"}).end == "close"
    with pytest.raises(CaseError, match="framing close"):
        script({"status": 200, "framing": "close", "end": "keep-alive"})


def test_dates_are_those_of_the_moment() -> None:
    [head, *_] = script({"status": 200, "headers": [["Retry-After", "{{http-date:+2}}"]]}).steps
    assert isinstance(head, bytes)
    assert b"Retry-After: Mon, 01 Jan 2024 00:00:02 GMT\r\n" in head


def test_raw_bytes_and_no_bytes() -> None:
    assert script({"raw": [{"text": "HTP/1.1 ?\r\n"}]}) == ByteScript((b"HTP/1.1 ?\r\n",), "close")
    assert script({"end": "reset"}) == ByteScript((), "reset")


USAGES: list[tuple[dict[str, Any], bool]] = [
    ({"delta": {"content": "x"}}, False),
    ({"json": {"error": {"message": "no"}}}, False),
    ({"text": "usag"}, False),
    ({"text": '{"usage":null}'}, True),
    ({"event": {"choices": [{"usage": {}}]}}, True),
    ({"message": {"content": "x"}}, True),
    ({"answer": {"text": "x"}}, True),
    ({"half": [{"answer": {"text": "x"}}]}, True),
    ({"chunk": {"text": "x"}}, False),
    ({"chunk": {"finish": "stop", "usage": True}}, True),
    ({"failure": {"status": 500, "message": "x"}}, False),
    ({"hex": "00"}, True),
    ({"base64": "AA=="}, True),
]


@pytest.mark.parametrize(("piece", "may"), USAGES)
def test_where_a_usage_may_be(piece: dict[str, Any], *, may: bool) -> None:
    first: dict[str, Any] = {"end": "cut"}
    within: list[dict[str, Any]] = [{"join": [{"sleep": 1}, {"gzip": [piece]}]}, {"repeat": 2, "of": [piece]}]
    for pieces in ([piece], within[:1], within[1:]):
        assert may_hold_usage([first, {"status": 200, "body": pieces}], CONTEXT) is may
        assert may_hold_usage([first, {"raw": pieces}], CONTEXT) is may


@pytest.mark.parametrize("name", NAMES)
def test_a_value_depends_on_seed_case_name_and_number_alone(name: str) -> None:
    value = Variables(1, "a-case", 80, OPENAI).value(name)
    assert value == Variables(1, "a-case", 81, OPENAI).value(name)
    others = {
        Variables(2, "a-case", 80, OPENAI).value(name),
        Variables(1, "b-case", 80, OPENAI).value(name),
        Variables(1, "a-case", 80, OPENAI).value(name, "2"),
    }
    assert value not in others
    assert len(others) == 3


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", NAMES)
def test_a_value_needs_no_escape_in_json(name: str, seed: int) -> None:
    value = Variables(seed, "a-case", 80, OPENAI).value(name)
    assert json.dumps(value, ensure_ascii=False) == f'"{value}"'


@pytest.mark.parametrize("seed", range(20))
def test_text_has_characters_of_every_utf8_length(seed: int) -> None:
    text = Variables(seed, "a-case", 80, OPENAI).value("text")
    assert {len(character.encode()) for character in text} == {1, 2, 3, 4}


def test_fill_reaches_strings_at_any_depth_but_no_keys() -> None:
    variables = Variables(0, "a-case", 8080, OPENAI)
    filled = variables.fill({"{{port}}": ["{{origin}}/v1", {"a": "p{{port}}p"}, 7, None, True]})
    assert filled == {"{{port}}": ["http://127.0.0.1:8080/v1", {"a": "p8080p"}, 7, None, True]}


def test_the_same_variable_has_one_value_in_all_places() -> None:
    one, other, third = Variables(0, "a-case", 1, OPENAI).fill(["{{word}}", "{{word}}", "{{word2}}"])
    assert one == other != third


def test_an_unknown_variable_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(CaseError, match=r"a-case: unknown variable \{\{wrod\}\}.*word, text"):
        Variables(0, "a-case", 1, OPENAI).fill("{{wrod}}")


def test_http_dates_wait_until_they_are_played() -> None:
    text = Variables(0, "a-case", 1, OPENAI).fill("{{http-date:+2}} {{http-date:-90}}")
    assert text == "{{http-date:+2}} {{http-date:-90}}"
    played = fill_dates(text, datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC))
    assert played == "Fri, 01 Mar 2024 00:00:01 GMT Thu, 29 Feb 2024 23:58:29 GMT"


def test_http_date_without_seconds_is_no_variable() -> None:
    with pytest.raises(CaseError, match="unknown variable"):
        Variables(0, "a-case", 1, OPENAI).fill("{{http-date}}")


@pytest.mark.parametrize("text", ['{"a":{"b":{}}}', "{{", "{{ word }}", "{{Word}}", "{{word:2}}"])
def test_what_only_looks_like_a_variable_stays(text: str) -> None:
    assert not VARIABLE.search(text)
    assert Variables(0, "a-case", 1, OPENAI).fill(text) == text

"""Reading takes work in proportion to what is read, counted without a clock.

Two counts: the lines of the package that run for N pieces and for twice as many, which shows a loop over what
came before; and the memory that one more small piece takes when much has come, which shows a copy of it.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.core.errors import BotticelliError
from botticelli.dialects.openai.choice import ChoiceAccumulator
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.protocol.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

HEAD: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
FUNCTION = {"name": "f", "arguments": "{}"}
TOKEN: dict[str, Any] = {"token": "x", "logprob": -1, "bytes": None, "top_logprobs": []}
CITED = {"start_index": 0, "end_index": 1, "url": "u", "title": "t"}
PIECES = 150
BULK = 1_000_000


def line(delta: dict[str, Any], finish: str | None = None, index: int = 0, **beside: Any) -> bytes:
    told = {"index": index, "delta": delta, "finish_reason": finish, **beside}
    return json.dumps({**HEAD, "choices": [told]}).encode()


def event(delta: dict[str, Any], finish: str | None = None, index: int = 0, **beside: Any) -> bytes:
    return b"data: " + line(delta, finish, index, **beside) + b"\n\n"


def call(identity: str = "", **members: Any) -> dict[str, Any]:
    return {"tool_calls": [{"id": identity, "function": FUNCTION, **members}]}


def arguments(text: str, **members: Any) -> dict[str, Any]:
    return {"tool_calls": [{"function": {"arguments": text}, **members}]}


TEXT = {"content": "x"}
END = event({}, "stop") + b"data: [DONE]\n\n"
STREAMS: dict[str, Callable[[int], bytes]] = {
    "text": lambda n: event(TEXT) * n,
    "arguments": lambda n: event(call("a", index=0)) + event(arguments("xy", index=0)) * n,
    "arguments without index": lambda n: event(call("a")) + event(arguments("xy")) * n,
    "a call repeated": lambda n: event(call("a", index=0)) * n,
    "a call's id repeated": lambda n: event(arguments("1", index=0, id="a")) * n,
    "legacy arguments": lambda n: event({"function_call": {"name": "f", "arguments": "x"}}) * n,
    "calls": lambda n: b"".join(event(call(f"c{i}", index=i)) for i in range(n)),
    "calls without index": lambda n: b"".join(event(call(f"c{i}")) for i in range(n)),
    "calls of one id": lambda n: b"".join(event(call("0", index=i)) for i in range(n)),
    "calls of one id, and its made-up ones": lambda n: b"".join(
        event(call("0", index=2 * i)) + event(call(f"0-{i + 1}", index=2 * i + 1)) for i in range(n)
    ),
    "calls without id": lambda n: b"".join(event(call(index=i)) for i in range(n)),
    "calls mistyped": lambda n: b"".join(event(call(f"c{i}", index=str(i), type=5)) for i in range(n)),
    "reasoning": lambda n: event({"reasoning": "x"}) * n,
    "refusal": lambda n: event({"refusal": "x"}) * n,
    "log probabilities": lambda n: event(TEXT, logprobs={"content": [TOKEN], "refusal": None}) * n,
    "choices": lambda n: b"".join(event(TEXT, index=i) for i in range(n)),
    "annotations": lambda n: event({"annotations": [{"type": "url_citation", "url_citation": CITED}]}) * n,
    "audio": lambda n: event({"audio": {"id": "a", "data": "xxxx", "transcript": "t"}}) * n,
    "parts": lambda n: event({"content": [{"type": "text", "text": "x"}]}) * n,
    "snapshots": lambda n: event(TEXT, message=TEXT) * n,
    "unknown members": lambda n: b"".join(event({f"k{i}": i, "role": 7}) for i in range(n)),
    "unknown words": lambda n: b"".join(event(TEXT, f"w{i}") for i in range(n)),
    "events unseparated": lambda n: event(TEXT)[:-1] * n + b"\n",
    "null events": lambda n: b"data: null\n\n" * n,
    "lone surrogates": lambda n: event({"content": "\ud83d"}) * n,
    "lines of something else": lambda n: b"junk\n" * n,
    "blank lines": lambda n: b"\n" * n,
}
"""So many pieces of a stream, of every kind that anything is gathered of."""


def whole(message: dict[str, Any] | None = None, tail: str = "", **choice: Any) -> bytes:
    told = {"role": "assistant", "content": "x", "refusal": None, **(message or {})}
    only: dict[str, Any] = {"index": 0, "message": told, "logprobs": None, "finish_reason": "stop", **choice}
    answer = {**HEAD, "object": "chat.completion", "choices": [only]}
    return json.dumps(answer)[:-1].encode() + tail.encode() + b"}"


BODIES: dict[str, Callable[[int], bytes]] = {
    "calls of one id": lambda n: whole({"tool_calls": [{"id": "0", "function": FUNCTION}] * n}),
    "calls that are none": lambda n: whole({"tool_calls": [7] * n}),
    "log probabilities": lambda n: whole(logprobs={"content": [TOKEN] * n, "refusal": None}),
    "log probabilities mistyped": lambda n: whole(logprobs={"content": [{**TOKEN, "logprob": "1"}] * n}),
    "lone surrogates": lambda n: whole({"content": [{"type": "text", "text": "\ud83d"}] * n}),
    "numbers that are none": lambda n: whole(tail=', "z": [' + "NaN, " * n + "1]"),
    "members": lambda n: whole(tail="".join(f', "k{i}": NaN' for i in range(n))),
    "values behind the answer": lambda n: whole() + b"\n{}" * n,
    "JSON lines": lambda n: (line(TEXT) + b"\n") * n + line({}, "stop"),
    "events": lambda n: event(TEXT) * n + END,
}
"""Bodies of so many pieces."""


UNLIMITED = Limits(max_choices=1 << 30, max_tool_calls=1 << 30)
"""The limits would end a stream of many choices or calls before it shows how much work it takes."""


def in_stream(pieces: bytes) -> None:
    stream = OpenAIStreamReader(limits=UNLIMITED)
    body = pieces + END
    for start in range(0, len(body), 4096):
        stream.feed(body[start : start + 4096])
    stream.finish()


def at_once(body: bytes) -> None:
    try:
        decode_answer(body)
    except BotticelliError:
        return


def lines_run(read: Callable[[bytes], None], body: bytes) -> int:
    """How many lines of the package run for a body."""
    count = 0

    def follow(_frame: FrameType, what: str, _value: Any) -> Any:
        nonlocal count
        count += what == "line"
        return follow

    def enter(frame: FrameType, _what: str, _value: Any) -> Any:
        return follow if "botticelli" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        read(body)
    finally:
        sys.settrace(before)
    return count


def hold_linear(read: Callable[[bytes], None], make: Callable[[int], bytes]) -> None:
    read(make(1))  # what is done once per process
    few, twice, four = (lines_run(read, make(count * PIECES)) for count in (1, 2, 4))
    assert four - twice <= 2.1 * (twice - few) + PIECES


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_takes_work_in_proportion_to_its_pieces(kind: str) -> None:
    hold_linear(in_stream, STREAMS[kind])


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_takes_work_in_proportion_to_its_pieces(kind: str) -> None:
    hold_linear(at_once, BODIES[kind])


@pytest.mark.parametrize("kind", STREAMS)
def test_the_notes_of_a_stream_are_as_many_as_its_kinds_of_slips(kind: str) -> None:
    stream = OpenAIStreamReader()
    stream.feed(STREAMS[kind](PIECES))
    assert len(stream.log.deviations()) < 9


def test_choices_are_not_looked_at_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0

    def compact(_state: ChoiceAccumulator) -> None:
        nonlocal looked
        looked += 1

    monkeypatch.setattr(ChoiceAccumulator, "compact", compact)
    count = 8000
    stream = OpenAIStreamReader(limits=UNLIMITED)
    for index in range(count):
        stream.feed(event(TEXT, index=index))
    assert count // 2 < looked < 2 * count


GROWING: dict[str, Callable[[str], bytes]] = {
    "content": lambda text: event({"content": text}),
    "reasoning": lambda text: event({"reasoning_content": text}),
    "refusal": lambda text: event({"refusal": text}),
    "reasoning details": lambda text: event(
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": text}]}
    ),
    "arguments": lambda text: event(arguments(text, index=0)),
    "legacy arguments": lambda text: event({"function_call": {"name": "f", "arguments": text}}),
    "audio data": lambda text: event({"audio": {"data": text}}),
    "audio transcript": lambda text: event({"audio": {"transcript": text}}),
    "blank lines": lambda text: b" " * len(text),
    "a comment": lambda text: b": " + text.encode() + b"\n",
}


def taken(stream: OpenAIStreamReader, piece: bytes) -> int:
    """The memory, in bytes, that taking a piece needs at its height."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    stream.feed(piece)
    return tracemalloc.get_traced_memory()[1] - before


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("kind", GROWING)
def test_what_has_come_is_not_copied_for_the_next_piece(kind: str) -> None:
    stream = OpenAIStreamReader()
    stream.feed(GROWING[kind]("x" * BULK))
    assert max(taken(stream, GROWING[kind]("x")) for _ in range(9)) < BULK // 10


@pytest.mark.usefixtures("traced")
def test_blank_lines_without_an_end_are_not_gathered() -> None:
    stream = OpenAIStreamReader(limits=Limits(max_event_bytes=100))
    stream.feed(b"\n")
    assert taken(stream, b" " * 10) < BULK // 10
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        stream.feed(b" " * 1000)
    assert tracemalloc.get_traced_memory()[0] - before < BULK // 10
    assert not stream.ended

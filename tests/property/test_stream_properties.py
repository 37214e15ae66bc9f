"""Laws of streams: however the bytes are cut, the answer is the same, and the one that a whole answer is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.core.errors import MalformedResponseError, ModelsError
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.kit.strategies import instances, json_values, mutations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from botticelli.core.response import GenerateResponse, StreamChunk

TAPES = sorted((Path(__file__).parents[2] / "fixtures" / "tapes").glob("*.sse"))
ours = settings(deadline=None)  # a deadline would judge the machine
fewer = settings(deadline=None, max_examples=25)

Outcome = tuple[list["StreamChunk"], "GenerateResponse", str]


def outcome(pieces: Iterable[bytes], *, audit: bool = False) -> Outcome:
    """All that can be told of a stream; fed to its end, whatever comes."""
    stream = OpenAIStreamReader(audit=audit)
    chunks = [chunk for piece in pieces for chunk in stream.feed(piece)]
    try:
        error = ""
        chunks += stream.finish()
    except ModelsError as broken:
        error = f"{broken!r} {broken.partial}"
    return chunks, stream.response, error


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The bytes in pieces, of one byte each or cut anywhere; some pieces may be empty."""
    if draw(st.booleans()):
        size = draw(st.integers(1, 7))
        return [data[place : place + size] for place in range(0, len(data), size)]
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


@st.composite
def odd_streams(draw: st.DrawFn) -> bytes:
    """Events as servers send them and as they shouldn't, in any order, perhaps cut off."""
    events = st.one_of(
        instances("openai/chunk").map(event),
        mutations("openai/chunk").map(event),
        json_values().map(event),
        st.binary(max_size=8),
        st.sampled_from(
            [
                b"data: [DONE]\n\n",
                b"data:\n\n",
                b": ping\n\n",
                b"\r\n",
                b"\n[",
                b"\xef\xbb\xbf",
                b'data: {"error":"No."}\n\n',
            ]
        ),
    )
    data = b"".join(draw(st.lists(events, max_size=5)))
    return data[: len(data) - draw(st.integers(0, 3))]


@fewer
@pytest.mark.parametrize("tape", TAPES, ids=lambda tape: tape.stem)
@given(data=st.data())
def test_a_tape_says_the_same_however_it_is_cut(tape: Path, data: st.DataObject) -> None:
    whole = tape.read_bytes()
    audit = data.draw(st.booleans())
    assert outcome(data.draw(cuts(whole)), audit=audit) == outcome([whole], audit=audit)


@ours
@given(odd_streams(), st.booleans(), st.data())
def test_any_stream_says_the_same_however_it_is_cut(data: bytes, audit: bool, draws: st.DataObject) -> None:
    assert outcome(draws.draw(cuts(data)), audit=audit) == outcome([data], audit=audit)


@ours
@given(odd_streams())
def test_what_is_delivered_is_what_the_answer_or_the_error_holds(data: bytes) -> None:
    stream = OpenAIStreamReader(n=9)  # of a choice that nobody asked for, nothing is delivered
    chunks = stream.feed(data)
    broken = False
    try:
        chunks += stream.finish()
        held: GenerateResponse | None = stream.response
    except ModelsError as error:
        held, broken = error.partial, True
    for choice in held.choices if held else []:
        mine = [chunk for chunk in chunks if chunk.choice == choice.index]
        for delivered, text in (
            ("".join(chunk.text for chunk in mine), choice.text),
            ("".join(chunk.reasoning for chunk in mine), choice.reasoning or ""),
            ("".join(chunk.refusal for chunk in mine), choice.refusal or ""),
        ):
            # An error holds everything: what `feed` returned, and what only the end of the stream brought.
            assert text.startswith(delivered) if broken else text == delivered
    if held is None:
        assert not any(chunk.text or chunk.tool_calls for chunk in chunks)


# A whole answer, cut up as a server would.

words = st.text(max_size=12)
arguments = st.one_of(
    st.dictionaries(st.text(max_size=3), json_values(), max_size=3).map(json.dumps),
    # Two objects in a row are no JSON; servers that send them mean the last, or the same again.
    words.filter(lambda text: not text.startswith("{")),
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | words), "refusal": None}
    for member in draw(
        st.sets(st.sampled_from(["refusal", "reasoning", "calls", "legacy", "audio", "cited"]))
    ):
        if member == "refusal":
            message["refusal"] = draw(words)
        elif member == "reasoning":
            message[draw(st.sampled_from(["reasoning_content", "reasoning", "thinking"]))] = draw(words)
        elif member == "calls":
            message["tool_calls"] = draw(st.lists(calls(), min_size=1, max_size=3))
        elif member == "legacy":
            message["function_call"] = {"name": "legacy", "arguments": draw(arguments)}
        elif member == "cited":
            cited = {"start_index": 0, "end_index": 1, "url": "https://example.org", "title": draw(words)}
            message["annotations"] = [{"type": "url_citation", "url_citation": cited}]
        else:
            message["audio"] = {"id": "a", "data": draw(words), "transcript": draw(words), "expires_at": 7}
    return message


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    call: dict[str, Any] = {"id": draw(st.sampled_from(["call_1", "call_2", "call_3"]))}
    if draw(st.booleans()):
        call |= {"type": "custom", "custom": {"name": draw(st.sampled_from("fg")), "input": draw(words)}}
    else:
        function = {"name": draw(st.sampled_from("fg")), "arguments": draw(arguments)}
        call |= {"type": "function", "function": function}
    if draw(st.booleans()):
        call["extra_content"] = draw(json_values())
    return call


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """An answer; its parts are drawn from the contract where they need not be cut up."""
    shell = draw(instances("openai/response", unknown=False))
    logprobs = st.sampled_from([choice.get("logprobs") for choice in shell["choices"]])
    indexes = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True))
    finish = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "function_call"])
    choices = [
        {"index": i, "message": draw(messages()), "logprobs": draw(logprobs), "finish_reason": draw(finish)}
        for i in indexes
    ]
    kept = ("id", "created", "model", "usage", "service_tier", "system_fingerprint")
    return {
        "object": "chat.completion",
        **{name: shell[name] for name in kept if name in shell},
        "choices": choices,
    }


def _pieces(draw: Any, text: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def _deltas(draw: Any, choice: dict[str, Any]) -> list[dict[str, Any]]:
    """The choice in pieces, in an order that a server may send them in."""
    message = choice["message"]
    told: list[dict[str, Any]] = [{"role": "assistant"}]
    for member in ("reasoning_content", "reasoning", "thinking", "content", "refusal"):
        if member in message:
            told += [{member: piece} for piece in _pieces(draw, message[member] or "")]
    told += [{member: message[member]} for member in ("audio", "annotations") if member in message]
    for index, call in enumerate(message.get("tool_calls", [])):
        kind, member = ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
        first, *rest = _pieces(draw, call[kind][member])
        told.append({"tool_calls": [{**call, "index": index, kind: {**call[kind], member: first}}]})
        told += [{"tool_calls": [{"index": index, kind: {member: piece}}]} for piece in rest]
    if "function_call" in message:
        first, *rest = _pieces(draw, message["function_call"]["arguments"])
        told.append({"function_call": {"name": "legacy", "arguments": first}})
        told += [{"function_call": {"arguments": piece}} for piece in rest]
    return told


@st.composite
def cut_up(draw: st.DrawFn, answer: dict[str, Any]) -> bytes:
    """The events of a stream that gives this answer, those of its choices interleaved."""
    head = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"
    queues: list[list[dict[str, Any]]] = [
        [
            *({"delta": delta} for delta in _deltas(draw, choice)),
            {"delta": {}, "logprobs": choice["logprobs"]},
            {"delta": {}, "finish_reason": choice["finish_reason"]},
        ]
        for choice in answer["choices"]
    ]
    events: list[Any] = []
    while any(queues):
        number = draw(st.sampled_from([place for place, queue in enumerate(queues) if queue]))
        index = answer["choices"][number]["index"]
        piece = {"index": index, "finish_reason": None, **queues[number].pop(0)}
        events.append({**head, "choices": [piece]})
    if "usage" in answer:
        events.append({**head, "choices": [], "usage": answer["usage"]})
    return b"".join(map(event, events)) + b"data: [DONE]\n\n"


def read(reader: Callable[[], GenerateResponse]) -> tuple[GenerateResponse, str]:
    """The answer, or what the error carries of one whose call was lost, with the path of that."""
    try:
        return reader(), ""
    except MalformedResponseError as error:
        lost = error
    assert lost.path.endswith(".message.tool_calls")
    assert lost.partial is not None
    return lost.partial, lost.path


@ours
@given(answers(), st.data())
def test_the_assembled_stream_is_the_whole_answer(answer: dict[str, Any], data: st.DataObject) -> None:
    stream = OpenAIStreamReader()
    stream.feed(data.draw(cut_up(answer)))
    streamed, streamed_path = read(lambda: (stream.finish(), stream.response)[1])
    whole, path = read(lambda: decode_answer(json.dumps(answer).encode()))
    unequal: dict[str, Any] = {"raw": b"", "deviations": []}
    assert msgspec.structs.replace(streamed, **unequal) == msgspec.structs.replace(whole, **unequal)
    # In a chunk, a choice stands somewhere else, and comes at another time.
    assert bool(streamed_path) == bool(path)
    assert sorted((note.code, note.count) for note in streamed.deviations) == sorted(
        (note.code, note.count) for note in whole.deviations
    )

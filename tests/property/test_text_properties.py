"""No text of a tolerable answer is lost: what each choice says, in each of its ways, is what one gets.

What is said is taken from the raw value by a reading of this file's own. It is compared choice by choice and
way by way, for equality: an empty text, or one that another choice has too, can't stand in for a lost one.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.core.errors import ModelsError
from botticelli.core.message import Audio
from botticelli.core.response import Choice, GenerateResponse
from botticelli.dialects.openai.models import decode_models
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.kit.strategies import instances
from botticelli.protocol.error_body import MAX_MESSAGE

from ..error_calls import error_from_response, error_in_success

if TYPE_CHECKING:
    from collections.abc import Iterator

ours = settings(deadline=None)  # a deadline would judge the machine
THOUGHTS = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
REVISED = {"arguments-placeholder", "arguments-repeated"}
"""The only codes under which a piece of a call's arguments isn't put to the others."""


class ErrorBody(NamedTuple):
    """What one message or delta says."""

    content: str
    thought: str
    refusal: str
    data: str
    transcript: str
    arguments: list[str]


class Call(NamedTuple):
    """What a call says."""

    name: str
    arguments: str


def written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def as_sent(value: Any) -> str:
    """A text, or what stands in its place as the JSON text that it is."""
    if isinstance(value, str) or value is None:
        return value or ""
    return msgspec.json.encode(value).decode()


PART = {"type", "text", "thinking", "refusal"}
"""What a part has at least one of."""


def part_texts(content: Any) -> Iterator[tuple[str, str]]:
    """The content's texts, each after whether it is thought or said."""
    parts: list[Any] = content if is_array(content) else [content]
    objects = [part for part in parts if is_object(part)]
    known = [part for part in parts if isinstance(part, str) or (is_object(part) and PART & part.keys())]
    if is_object(content) or (objects and not known):
        yield "said", as_sent(content)  # no part, or not one of them is a part: it is a structured answer
        return
    for part in parts:
        if is_object(part) and part.get("thinking"):
            yield "thought", part["thinking"]
        else:
            yield "said", text(part.get("text", part.get("refusal")) if is_object(part) else part)


def call_of(raw: dict[str, Any]) -> Call:
    custom = raw.get("type") == "custom" or not is_object(raw.get("function"))
    inner: Any = raw.get("custom") if custom and is_object(raw.get("custom")) else raw.get("function")
    inner = inner if is_object(inner) else {}
    return Call(text(inner.get("name")), as_sent(inner.get("input" if custom else "arguments")))


def calls_of(message: dict[str, Any]) -> list[Call]:
    told: list[dict[str, Any]] = message.get("tool_calls") or []
    found = [call_of(call) for call in told]
    legacy = message.get("function_call")
    if legacy:
        old = Call(text(legacy.get("name")), as_sent(legacy.get("arguments")))
        found += [old] if old not in found else []
    return found


def said_by(message: dict[str, Any]) -> ErrorBody:
    pieces = list(part_texts(message.get("content")))
    in_parts = "".join(piece for way, piece in pieces if way == "thought")
    spoken = message.get("audio")
    spoken = spoken if is_object(spoken) else {}
    thoughts = [message.get(name) for name in THOUGHTS]
    thoughts.append(in_parts)  # the parts come last, unless one of the others repeats them
    return ErrorBody(
        "".join(piece for way, piece in pieces if way == "said"),
        "".join(dict.fromkeys(map(text, thoughts))),
        text(message.get("refusal")),
        as_sent(spoken.get("data")),
        as_sent(spoken.get("transcript")),
        [call.arguments for call in calls_of(message)],
    )


def read_from(choice: Choice) -> ErrorBody:
    spoken = [output for output in choice.outputs if isinstance(output, Audio)]
    return ErrorBody(
        choice.text,
        choice.reasoning or "",
        choice.refusal or "",
        "".join(output.source.value for output in spoken),
        "".join(output.transcript for output in spoken),
        [call.arguments_json for call in choice.tool_calls],
    )


def index_of(choice: dict[str, Any], place: int) -> int:
    index = choice.get("index")
    return place if index is None else int(index)


def message_of(choice: dict[str, Any]) -> dict[str, Any]:
    found: Any = choice.get("message") or choice.get("delta") or choice.get("text") or {}
    return {"content": found} if isinstance(found, str) else found


short = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)


@st.composite
def spoken_to(draw: st.DrawFn, contract: str, member: str) -> Any:
    """An instance that also says what no contract names: thoughts in all spellings, odd arguments."""
    value = draw(instances(contract))
    for choice in value.get("choices") or ():
        said = choice.get(member)
        if not is_object(said):
            continue
        for name in ("content", "refusal"):
            said[name] = said.get(name) or draw(short)
        for name in draw(st.lists(st.sampled_from(THOUGHTS), max_size=3, unique=True)):
            said[name] = draw(short)
        if not said.get("audio") and draw(st.booleans()):
            said["audio"] = {"id": "a", "data": draw(short), "transcript": draw(short), "expires_at": 1}
        if isinstance(said.get("content"), str) and draw(st.booleans()):
            thought: dict[str, Any] = {"type": "thinking", "thinking": draw(short)}
            said["content"] = [thought, said["content"], {"type": "text", "text": draw(short)}]
        for call in said.get("tool_calls") or ():
            if is_object(call.get("function")) and draw(st.booleans()):
                call["function"]["arguments"] = {"a": draw(short)}
    return value


@ours
@given(spoken_to("wire/openai/response", "message"))
def test_every_choice_of_a_tolerable_answer_says_what_it_said(answer: Any) -> None:
    sent = [(index_of(choice, place), message_of(choice)) for place, choice in enumerate(answer["choices"])]
    sent.sort(key=lambda pair: pair[0])
    read = decode_answer(written(answer)).choices
    assert [choice.index for choice in read] == [index for index, _ in sent]
    for choice, (_, message) in zip(read, sent, strict=True):
        expected, found = said_by(message), read_from(choice)
        assert found == expected
        assert [call.name for call in choice.tool_calls] == [call.name for call in calls_of(message)]


def streamed(chunks: list[Any], *, audit: bool) -> tuple[GenerateResponse, list[Any], set[str]]:
    """The answer that some chunks make, the chunks that were delivered, and the codes that were noted."""
    stream = OpenAIStreamReader(audit=audit, n=2)  # so that the chunks of every choice are delivered
    delivered: list[Any] = []
    for chunk in chunks:
        delivered += stream.feed(b"data: " + written(chunk) + b"\n\n")
        assert stream.failed is None
    delivered += stream.feed(b"data: [DONE]\n\n")
    try:
        stream.finish()
    except ModelsError as error:
        answer = error.partial or GenerateResponse()
    else:
        answer = stream.response
    return answer, delivered, {note.code for note in stream.log.deviations()}


@ours
@given(st.lists(spoken_to("wire/openai/chunk", "delta"), min_size=1, max_size=5), st.booleans())
def test_every_choice_of_a_tolerable_stream_says_what_its_chunks_said(chunks: list[Any], audit: bool) -> None:
    sent: dict[int, list[ErrorBody]] = defaultdict(list)
    for chunk in chunks:
        for place, choice in enumerate(chunk.get("choices") or ()):
            sent[index_of(choice, place)].append(said_by(choice.get("delta") or {}))
    answer, delivered, codes = streamed(chunks, audit=audit)
    silent = ErrorBody("", "", "", "", "", [""])
    read = {choice.index: read_from(choice) for choice in answer.choices}
    for index, pieces in sent.items():
        found = read.get(index, silent)
        for way in range(5):
            assert found[way] == "".join(str(piece[way]) for piece in pieces)
        mine = [chunk for chunk in delivered if chunk.choice == index]
        assert found.content == "".join(chunk.text for chunk in mine)
        assert found.thought == "".join(chunk.reasoning for chunk in mine)
        assert found.refusal == "".join(chunk.refusal for chunk in mine)
        told = [arguments for piece in pieces for arguments in piece.arguments]
        if not codes & REVISED:
            assert Counter("".join(told)) == Counter("".join(found.arguments))
            handed = [piece.arguments for chunk in mine for piece in chunk.tool_calls]
            assert [arguments for arguments in handed if arguments] == list(filter(None, told))
        assert all(any(arguments in whole for whole in found.arguments) for arguments in filter(None, told))


# Errors and lists.

UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
OUTER = ("error", "errors", "detail", "message")


def words_of(value: Any) -> list[str]:
    """The words that a value says first; the lists in it say all of theirs."""
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    if is_array(value):
        return [word for item in value for word in words_of(item)]
    if not is_object(value):
        return []
    return next(filter(None, (words_of(value.get(name)) for name in ("message", *OUTER))), list[str]())


def first_words(body: Any) -> list[str]:
    while is_array(body) and len(body) == 1:
        body = body[0]
    if is_object(body):
        return next(filter(None, (words_of(body.get(name)) for name in OUTER)), list[str]())
    return words_of(body)


@ours
@given(instances("wire/openai/error"), st.sampled_from([400, 404, 429, 500, 503]))
def test_the_words_of_a_tolerable_error_are_in_its_message(body: Any, status: int) -> None:
    for error in (error_from_response(status, {}, written(body), now=0), error_in_success(written(body))):
        assume(len(error.message) < MAX_MESSAGE)
        for words in first_words(body):
            assert UNSAFE.sub("\ufffd", words) in error.message


def kept(value: str | None) -> str:
    """A word of an error as it is handed on: safe to print, at most 200 characters; empty for none."""
    cleaned = UNSAFE.sub("\ufffd", value or "").strip()
    return cleaned if len(cleaned) <= 200 else f"{cleaned[:199]}…"


@ours
@given(instances("openai/error", unknown=False), st.sampled_from([400, 404, 429, 500, 503]))
def test_a_published_error_keeps_its_message_type_param_and_code(body: Any, status: int) -> None:
    told = body["error"]
    for error in (error_from_response(status, {}, written(body), now=0), error_in_success(written(body))):
        for member in ("type", "param", "code"):
            assert getattr(error, member) == (kept(told[member]) or None)
        message = UNSAFE.sub("\ufffd", told["message"].strip())
        assert error.message == message or (not message and error.message)


@ours
@given(instances("wire/openai/model-list"))
def test_every_model_of_a_tolerable_list_is_read(models: Any) -> None:
    entries: list[Any] = models if is_array(models) else models.get("data") or []
    found = decode_models(written(models))
    assert [model.id for model in found] == [entry["id"] for entry in entries]


@ours
@given(instances("openai/model-list"))
def test_a_published_list_keeps_the_ids_dates_and_owners(models: Any) -> None:
    found = [(model.id, model.created, model.owned_by) for model in decode_models(written(models))]
    sent = [(entry["id"], entry["created"], entry["owned_by"]) for entry in models["data"]]
    # No model is older than the epoch: such a date is taken for unknown.
    assert found == [(name, date if date >= 0 else None, owner) for name, date, owner in sent]

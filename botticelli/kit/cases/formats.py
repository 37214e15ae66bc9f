"""What differs between chat formats when a case is played: paths, credentials, bodies and stream events.

A case whose format is ``any`` is written in neutral pieces (``answer``, ``chunk``, ``done``, ``failure``,
``models``). A :class:`Format` is the table that turns these pieces into the bodies and events of one format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from botticelli.kit.errors import CaseError

__all__ = [
    "ANY",
    "COMPLETION_TOKENS",
    "CREATED",
    "FORMATS",
    "OPENAI",
    "PROMPT_TOKENS",
    "Answer",
    "Chunk",
    "Context",
    "Event",
    "Failure",
    "Format",
    "ToolCall",
    "compact",
    "utf8",
]

Object: TypeAlias = Mapping[str, Any]

ANY = "any"
"""The format of an abstract case, which is rendered for every known format."""

CREATED = 1_700_000_000
"""Seconds since 1970 in everything that has a time."""

PROMPT_TOKENS, COMPLETION_TOKENS = 5, 2
"""The usage that every whole answer, and every chunk with ``usage``, reports."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One whole call of a tool.

    Attributes:
        id: Its id.
        name: The function's name.
        arguments: The arguments as JSON text.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, whatever the format.

    Attributes:
        text: What the model says; empty for none.
        reasoning: What it thinks; empty for none.
        tool_calls: The tools that it calls.
        finish: The neutral word for why it ended: ``stop``, ``length`` or ``tool_use``.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCall] = ()
    finish: str = "stop"


@dataclass(frozen=True, slots=True)
class Chunk:
    """One step of a streamed answer, whatever the format. It may take several events to say it.

    Attributes:
        first: The answer begins here.
        reasoning: A piece of what the model thinks.
        text: A piece of what it says.
        tool_call: A whole call of a tool.
        index: Which of the answer's tool calls this is, from 0.
        finish: The neutral word for why the answer ended.
        usage: Report the token counts.
    """

    first: bool = False
    reasoning: str = ""
    text: str = ""
    tool_call: ToolCall | None = None
    index: int = 0
    finish: str = ""
    usage: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that the server reports, in a body of its own or inside a stream.

    Attributes:
        message: What it says.
        status: The HTTP status that it has, or would have had.
    """

    message: str
    status: int


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream.

    Attributes:
        data: Its payload: a JSON value, or a text that stands as it is.
        name: The ``event:`` field, for formats that name their events.
    """

    data: object
    name: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What the pieces of one run have in common.

    Attributes:
        format: The format that is played.
        id: Id of the messages.
        model: Model that they name.
    """

    format: Format
    id: str
    model: str


OwnPiece: TypeAlias = Callable[[Object, Context], bytes]


@dataclass(frozen=True)
class Format:
    """How one chat format says what abstract cases ask for.

    Attributes:
        name: The word in a case's ``format``, and its folder in ``fixtures/cases``.
        traits: What abstract cases may ask of a format: ``sse`` (streams are server-sent events), ``lines``
            (streams are JSON lines), ``end-mark`` (a stream's last event says that it is the last).
        variables: Texts that cases may name: ``base-path``, ``chat-path``, ``stream-path``, ``models-path``,
            ``answer-type``, ``stream-type``. They may hold other variables.
        prefixes: The beginnings of ``id``, ``call_id`` and ``key``.
        credential: Header that carries the key, and the text before the key in it.
        request: The smallest request, in the body of the format; it holds ``{{prompt}}``.
        answer: The body of a whole answer.
        chunk: The events of one step of a stream.
        done: The event that ends a stream; None where the format has none.
        failure: The body of an error.
        failure_event: The event of an error inside a stream.
        models: The body of a list of models.
        usage_member: The member of bodies and events that holds token counts.
        own_pieces: Pieces that only cases of this format may use, by name.
    """

    name: str
    traits: frozenset[str]
    variables: Mapping[str, str]
    prefixes: Mapping[str, str]
    credential: tuple[str, str]
    request: Object
    answer: Callable[[Answer, Context], object]
    chunk: Callable[[Chunk, Context], list[Event]]
    done: Event | None
    failure: Callable[[Failure], object]
    failure_event: Callable[[Failure], Event]
    models: Callable[[Sequence[str]], object]
    usage_member: str = "usage"
    own_pieces: Mapping[str, OwnPiece] = field(default_factory=dict[str, OwnPiece])

    def header_rule(self, credential: str | bool) -> tuple[str, str | bool]:
        """Return a ``credential`` rule of a case as a rule for one header: its name, and text or presence."""
        name, before = self.credential
        return name, before + credential if isinstance(credential, str) else credential


def compact(value: object) -> str:
    """Return a value as JSON without blanks and without needless escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def utf8(text: str) -> bytes:
    """Return a text's bytes.

    Raises:
        CaseError: It has a lone surrogate.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CaseError("a lone surrogate has no bytes; write its JSON escape in a text piece") from error


# OpenAI -------------------------------------------------------------------------------------------------

_OPENAI_USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": COMPLETION_TOKENS,
    "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
}
_OPENAI_FINISH = {"stop": "stop", "length": "length", "tool_use": "tool_calls"}
_OPENAI_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


def _openai_head(kind: str, context: Context) -> dict[str, object]:
    return {"id": context.id, "object": kind, "created": CREATED, "model": context.model}


def _openai_chunk(choices: Sequence[object], context: Context, **more: object) -> dict[str, object]:
    return {**_openai_head("chat.completion.chunk", context), "choices": choices, **more}


def _openai_delta(piece: Object, context: Context) -> dict[str, object]:
    choice = {
        "index": piece.get("index", 0),
        "delta": piece["delta"],
        "finish_reason": piece.get("finish_reason"),
    }
    return _openai_chunk([choice], context)


def _openai_message(piece: Object, context: Context) -> dict[str, object]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, "refusal": None, **piece["message"]},
        "logprobs": None,
        "finish_reason": piece.get("finish_reason", "stop"),
    }
    return {**_openai_head("chat.completion", context), "choices": [choice], "usage": _OPENAI_USAGE}


def _openai_call(call: ToolCall) -> dict[str, object]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _openai_answer(answer: Answer, context: Context) -> object:
    message: dict[str, object] = {"content": answer.text or None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [_openai_call(call) for call in answer.tool_calls]
    return _openai_message({"message": message, "finish_reason": _OPENAI_FINISH[answer.finish]}, context)


def _openai_events(chunk: Chunk, context: Context) -> list[Event]:
    delta: dict[str, object] = {"role": "assistant"} if chunk.first else {}
    if chunk.reasoning:
        delta["reasoning_content"] = chunk.reasoning
    if chunk.text:
        delta["content"] = chunk.text
    if chunk.tool_call:
        delta["tool_calls"] = [{"index": chunk.index, **_openai_call(chunk.tool_call)}]
    events: list[Event] = []
    if delta or chunk.finish:
        reason = _OPENAI_FINISH[chunk.finish] if chunk.finish else None
        events.append(Event(_openai_delta({"delta": delta, "finish_reason": reason}, context)))
    if chunk.usage:
        # The published order: the counts come last, in a chunk without choices.
        events.append(Event(_openai_chunk([], context, usage=_OPENAI_USAGE)))
    return events


def _openai_failure(failure: Failure) -> object:
    server = failure.status >= 500 or failure.status in (408, 409)
    usual = ("server_error" if server else "invalid_request_error", None)
    kind, code = _OPENAI_ERRORS.get(failure.status, usual)
    return {"error": {"message": failure.message, "type": kind, "param": None, "code": code}}


def _openai_models(ids: Sequence[str]) -> object:
    listed = [{"id": id_, "object": "model", "created": CREATED, "owned_by": "owner"} for id_ in ids]
    return {"object": "list", "data": listed}


OPENAI = Format(
    name="openai",
    traits=frozenset({"sse", "end-mark"}),
    variables={
        "base-path": "/v1",
        "chat-path": "/v1/chat/completions",
        "stream-path": "/v1/chat/completions",
        "models-path": "/v1/models",
        "answer-type": "application/json",
        "stream-type": "text/event-stream",
    },
    prefixes={"id": "chatcmpl-", "call_id": "call_", "key": "sk-"},
    credential=("Authorization", "Bearer "),
    request={"messages": [{"role": "user", "content": "{{prompt}}"}]},
    answer=_openai_answer,
    chunk=_openai_events,
    done=Event("[DONE]"),
    failure=_openai_failure,
    failure_event=lambda failure: Event(_openai_failure(failure)),
    models=_openai_models,
    own_pieces={
        "delta": lambda piece, context: utf8(f"data: {compact(_openai_delta(piece, context))}\n\n"),
        "message": lambda piece, context: utf8(compact(_openai_message(piece, context))),
    },
)

FORMATS: Mapping[str, Format] = MappingProxyType({OPENAI.name: OPENAI})
"""The formats that cases can be played in, by name."""

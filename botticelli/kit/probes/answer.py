"""An answer as raw JSON, put together from a whole body or from the chunks of a stream.

It is read leniently: a member of the wrong type counts as absent, and the contracts say so. Both ways of
answering give the same shape, so that a law holds for both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botticelli.contracts import read
from botticelli.contracts.jsonvalue import as_object, as_objects, is_array, is_object
from botticelli.kit.probes.exchange import Event, read_events

if TYPE_CHECKING:
    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.probes.exchange import Exchange, Response

__all__ = ["DONE", "Answer", "Called", "Choice", "Chunk", "error_text"]

DONE = b"[DONE]"

_REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""The names that servers give to what a model thinks; the format has none."""


@dataclass
class Called:
    """One call of a tool, put together."""

    id: str = ""
    type: str = ""
    name: str = ""
    arguments: str = ""
    ids: list[str] = field(default_factory=list[str])
    """Every id that was sent for it: a stream sends it once."""


@dataclass
class Choice:
    """One choice, put together.

    Attributes:
        index: Its number.
        text: Its content.
        reasoning: What the model thought, where that is sent apart.
        refusal: What the model said when it refused.
        calls: Its tool calls, in order.
        finishes: Every finish reason that was sent.
        tokens: The entries of its log probabilities.
        late: Chunks with something in them that came after the finish reason, by the number of their event.
        roles: The roles that were sent, null for one that was null.
        texts: The pieces of the content, and when each came.
    """

    index: int
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[Called] = field(default_factory=list[Called])
    finishes: list[str] = field(default_factory=list[str])
    tokens: list[Document] = field(default_factory=list["Document"])
    late: list[int] = field(default_factory=list[int])
    roles: list[Any] = field(default_factory=list[Any])
    texts: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    @property
    def finish(self) -> str:
        """The first finish reason; empty for none."""
        return self.finishes[0] if self.finishes else ""

    @property
    def said(self) -> bool:
        """True when there is anything for a user in it."""
        return bool(self.text or self.calls or self.refusal)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream that holds a JSON value.

    Attributes:
        number: Of the event, from 1.
        at: When it came.
        data: Its bytes.
        value: The value; None if it isn't JSON.
    """

    number: int
    at: float
    data: bytes
    value: Any


class Answer:
    """What a chat endpoint, or another one, answered to one question.

    Args:
        exchange: The request and the bytes that came.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    @property
    def asked(self) -> Document:
        """The request as JSON."""
        return self.exchange.asked

    @property
    def response(self) -> Response:
        """The answer as HTTP."""
        return self.exchange.response

    @property
    def ok(self) -> bool:
        """True for a status that says that all went well."""
        return 200 <= self.response.status < 300

    @property
    def wants_stream(self) -> bool:
        """True when a stream was asked for."""
        return self.asked.get("stream") is True

    @cached_property
    def is_stream(self) -> bool:
        """True when events came, whatever was asked."""
        return self.ok and (
            self.response.media_type == "text/event-stream"
            or (self.response.media_type != "application/json" and bool(self.events))
        )

    @cached_property
    def events(self) -> list[Event]:
        """The events of the body, if it is a stream."""
        return list(read_events(self.response.body))

    @cached_property
    def body(self) -> Any:
        """The body as JSON, leniently; None if it isn't JSON."""
        return None if self.is_stream else read(self.response.data).value

    @cached_property
    def chunks(self) -> list[Chunk]:
        """The events but for ``[DONE]``."""
        if not self.is_stream:
            return []
        return [
            Chunk(number, event.at, event.data, read(event.data).value)
            for number, event in enumerate(self.events, 1)
            if event.data.strip() != DONE
        ]

    @cached_property
    def error(self) -> str:
        """The error that it holds, in words; empty for none."""
        if not self.ok:
            return error_text(self.body) or self.response.data[:300].decode("utf-8", "replace").strip()
        for chunk in self.chunks:
            if as_object(chunk.value).get("error"):
                return error_text(chunk.value)
        return error_text(self.body) if as_object(self.body).get("error") else ""

    @cached_property
    def choices(self) -> list[Choice]:
        """The choices by index."""
        found: dict[int, Choice] = {}
        if self.is_stream:
            for chunk in self.chunks:
                for place, part in enumerate(as_objects(as_object(chunk.value).get("choices"))):
                    choice = _choice(found, part, place)
                    _take(choice, part, chunk)
        else:
            for place, part in enumerate(as_objects(as_object(self.body).get("choices"))):
                choice = _choice(found, part, place)
                _add(choice, as_object(part.get("message")), at=0.0)
                _end(choice, part)
        return [found[index] for index in sorted(found)]

    @cached_property
    def usages(self) -> list[tuple[Chunk | None, Document]]:
        """Every usage that was sent, with its chunk."""
        if self.is_stream:
            values = [(chunk, as_object(chunk.value).get("usage")) for chunk in self.chunks]
            return [(chunk, usage) for chunk, usage in values if is_object(usage)]
        usage = as_object(self.body).get("usage")
        return [(None, usage)] if is_object(usage) else []

    @property
    def usage(self) -> Document:
        """The last usage; empty for none."""
        return self.usages[-1][1] if self.usages else {}

    @property
    def text(self) -> str:
        """The content of the first choice."""
        return self.choices[0].text if self.choices else ""

    @property
    def calls(self) -> list[Called]:
        """The tool calls of all choices."""
        return [call for choice in self.choices for call in choice.calls]

    @property
    def thinks(self) -> bool:
        """True when the model thinks before it answers."""
        return any(choice.reasoning or "<think>" in choice.text for choice in self.choices)

    @property
    def cut(self) -> bool:
        """True when a choice was cut by the limit."""
        return any("length" in choice.finishes for choice in self.choices)


def _choice(found: dict[int, Choice], part: Document, place: int) -> Choice:
    index = part.get("index")
    number = index if isinstance(index, int) else place
    return found.setdefault(number, Choice(number))


def _take(choice: Choice, part: Document, chunk: Chunk) -> None:
    """Add a choice of a chunk to what came of it before."""
    delta = as_object(part.get("delta")) or as_object(part.get("message"))
    over = bool(choice.finishes)
    before = (choice.text, len(choice.calls), choice.reasoning, choice.refusal)
    _add(choice, delta, at=chunk.at)
    _end(choice, part)
    if over and ((choice.text, len(choice.calls), choice.reasoning, choice.refusal) != before):
        choice.late.append(chunk.number)


def _end(choice: Choice, part: Document) -> None:
    if isinstance(part.get("finish_reason"), str):
        choice.finishes.append(part["finish_reason"])
    choice.tokens += as_objects(as_object(part.get("logprobs")).get("content"))


def _add(choice: Choice, message: Document, at: float) -> None:
    if "role" in message:
        choice.roles.append(message["role"])
    content = message.get("content")
    if isinstance(content, str) and content:
        choice.text += content
        choice.texts.append((at, content))
    choice.text += "".join(_string(part.get("text")) for part in as_objects(content))
    choice.refusal += _string(message.get("refusal"))
    choice.reasoning += next((_string(message[name]) for name in _REASONING if message.get(name)), "")
    for place, call in enumerate(as_objects(message.get("tool_calls"))):
        _add_call(choice, call, place)


def _add_call(choice: Choice, call: Document, place: int) -> None:
    index = call.get("index")
    number = index if isinstance(index, int) and 0 <= index <= len(choice.calls) else place
    if number >= len(choice.calls):
        choice.calls.append(Called())
    kept = choice.calls[min(number, len(choice.calls) - 1)]
    function = as_object(call.get("function"))
    name = _string(call.get("id"))
    if name:
        kept.ids.append(name)
    kept.id = kept.id or name
    kept.type = kept.type or _string(call.get("type"))
    kept.name += _string(function.get("name"))
    kept.arguments += _string(function.get("arguments"))


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def error_text(value: object) -> str:
    """Return the message of an error body in any of the usual shapes; empty if it has none."""
    if is_array(value) and value:
        return error_text(value[0])
    if not is_object(value):
        return _string(value)
    error = value.get("error", value.get("detail", value.get("message", "")))
    if is_array(error):
        words = [
            f"{_where(one)}{_string(one.get('msg')) or _string(one.get('message'))}"
            for one in as_objects(error)
        ]
        return "; ".join(words) or "; ".join(map(_string, error))
    if is_object(error):
        return _string(error.get("message")) or error_text(error.get("error")) or str(error)[:200]
    return _string(error)


def _where(fault: Document) -> str:
    """Return the place of one of FastAPI's faults, as the beginning of its message."""
    place = fault.get("loc")
    return f"{'.'.join(map(str, place))}: " if is_array(place) else ""

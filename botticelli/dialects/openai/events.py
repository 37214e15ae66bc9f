"""Read the events of a stream that aren't plain: errors, events to mend, lines that aren't JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from botticelli.core.errors import (
    MalformedResponseError,
)
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.adaptive import AdaptiveDecoder
from botticelli.dialects.openai.errors import is_error
from botticelli.dialects.openai.repair import mend
from botticelli.dialects.openai.unknown import chunk_unknown, without_words
from botticelli.protocol import lenient_json
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.lenient_json import is_array, is_object
from botticelli.protocol.sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.dialects.openai.errors import MakeStreamError
    from botticelli.protocol.deviations import DeviationLog

__all__ = ["UNREADABLE", "EventReader", "error_line", "is_done", "is_json", "json_lines"]

_DONE: Final = b"[DONE]"
_SPACE: Final = b" \t\r\n"
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes it can't read as a given struct."""

_STRICT = msgspec.json.Decoder(wire.Chunk)


def is_done(data: bytes) -> bool:
    """Return whether an event's data is the end mark; the official client, too, goes by how it begins."""
    return data.startswith(_DONE)


class EventReader:
    """Read the events that aren't plain.

    Attributes:
        adaptive: Decodes further events by what was wrong in these.

    Args:
        log: Where to note what only a stream can do wrong, and what breaks JSON itself.
        structural: Where to note what the strict contract would reject too.
        audit: Whether to hold every event to the strict contract, noting into `log`.
        make_error: What makes an error of an error event.
        status: The answer's status, for errors.
    """

    def __init__(
        self,
        log: DeviationLog,
        structural: DeviationLog,
        *,
        audit: bool,
        make_error: MakeStreamError,
        status: int,
    ) -> None:
        self._log = log
        self._structural = structural
        self._audit = audit
        self._make_error = make_error
        self._status = status
        self.adaptive = AdaptiveDecoder(structural)

    def read_invalid(self, event: Event) -> Iterator[wire.FastChunk | None]:
        """Read an event that the fast struct refused.

        Yields:
            The chunks in it; None for the end mark, after which nothing counts.

        Raises:
            StreamError: If it is an error.
            MalformedResponseError: If it can't be read, after what can: to skip it would be to lose text.
        """
        data = event.data.strip()
        if is_done(data):
            yield None
        elif event.event == "error":
            raise self._make_error(event.data)
        elif not data:
            self._log.add("event-empty")
        elif b"\n" in data and (lines := json_lines(data)) is not None:
            self._log.add("events-unseparated")
            for line in lines:
                yield from self.read_invalid(Event(line))
        else:
            yield from self._mended(data)

    def inspect(self, event: Event, chunk: wire.FastChunk) -> Iterator[wire.FastChunk]:
        """Look at an event that decoded, but has no choices, or an error, or a name, or is to be audited.

        Yields:
            The chunk, unless it is nothing but an error.

        Raises:
            StreamError: If it is an error, after the chunk if that has choices.
            MalformedResponseError: If it can't be read as a whole, after the chunk.
        """
        value = self._value(event.data)[0]
        if self._audit:
            self._hold_to_contract(value, event.data)
        failed = event.event == "error" or is_error(value)
        if chunk.choices or not failed:
            yield chunk
        if failed:
            raise self._make_error(event.data)
        self._check(event.data)
        self._note_choices(chunk, value)

    def _note_choices(self, chunk: wire.FastChunk, value: dict[str, Any]) -> None:
        if chunk.choices is None:
            code = "choices-null" if "choices" in value else "choices-missing"
            self._structural.add(code, "$.choices", "$.choices")

    def recheck(self, event: Event) -> Iterator[wire.FastChunk]:
        """Look at an event whose chunk has been taken, but reports an error or can't be read as a whole.

        Raises:
            StreamError: If it is an error.
            MalformedResponseError: If it can't be read.
        """
        if is_error(self._value(event.data)[0]):
            raise self._make_error(event.data)
        self._check(event.data)
        yield from ()

    def malformed(self, message: str, data: bytes = b"", path: str = "$") -> MalformedResponseError:
        """Return the error for bytes that can't be read, not raised."""
        return MalformedResponseError(message, path=path, status=self._status, body=data[:MAX_BODY])

    def _hold_to_contract(self, value: dict[str, Any], data: bytes) -> None:
        for code in lenient_json.lint(data):
            self._log.add(code)
        try:
            _STRICT.decode(data)
        except UNREADABLE:
            mend(value, wire.Chunk, self._log)

    def _value(self, data: bytes) -> lenient_json.Reading:
        """Return the JSON value in an event; what follows it is nothing, or the end mark."""
        found = lenient_json.try_parse(data)
        if isinstance(found, lenient_json.NotJsonError):
            message = f"an event isn't JSON: {found}; it begins {lenient_json.excerpt(data)!r}"
            raise self.malformed(message, data, f"character {found.position}")
        _, codes, rest = found
        if rest and not is_done(rest.encode()):
            raise self.malformed(f"an event holds more than one value: {lenient_json.excerpt(data)!r}", data)
        for code in codes:
            self._log.add(code)
        return found

    def _mended(self, data: bytes) -> Iterator[wire.FastChunk | None]:
        value, codes, rest = self._value(data)
        if value is None:
            self._log.add("event-null")
        elif isinstance(value, str) and is_done(value.encode()):
            self._log.add("done-quoted")
            yield None
        elif is_error(value):
            if is_object(value) and is_array(value.get("choices")):
                yield from self._chunk(value, data)
            raise self._make_error(data)
        elif is_object(value):
            yield from self._chunk(value, data)
            if not codes and not self._audit:
                self.adaptive.learn(value)
        else:
            raise self.malformed(f"an event is JSON but not an object: {lenient_json.excerpt(data)!r}", data)
        if rest:
            yield None

    def _chunk(self, value: dict[str, Any], data: bytes) -> Iterator[wire.FastChunk]:
        if self._audit:
            self._hold_to_contract(value, data)
        chunk = mend(without_words(value), wire.FastChunk, self._structural)
        chunk.unknown = chunk_unknown(value)
        yield chunk
        self._check(data)
        self._note_choices(chunk, value)

    def _check(self, data: bytes) -> None:
        """Raise for what couldn't be read of an event, once the rest of it has been taken."""
        fault = self._log.unreadable or self._structural.unreadable
        if fault is not None:
            raise self.malformed(fault.message, data, fault.path)


def json_lines(data: bytes) -> list[bytes] | None:
    """Return the lines, if each of them is a JSON value (or the end mark) and all of them together aren't."""
    if is_json(data):
        return None
    lines = [line for line in data.split(b"\n") if line.strip()]
    whole = len(lines) > 1 and all(is_done(line.strip()) or is_json(line) for line in lines)
    return lines if whole else None


def error_line(foreign: bytes) -> bytes | None:
    """Return the JSON of a line ``error: {...}`` among lines that are no event's, or None.

    error-line: llama.cpp and GPUStack name the field after what is in it, so that by the standard it is none.
    """
    for line in foreign.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"error" and value.lstrip(_SPACE).startswith(b"{") and is_json(value):
            return value.strip(_SPACE)
    return None


def is_json(data: bytes) -> bool:
    """Return whether the bytes can be read as one JSON value."""
    found = lenient_json.try_parse(data)
    return not isinstance(found, lenient_json.NotJsonError) and not found[2]

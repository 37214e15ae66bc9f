"""One event of a stream that isn't plain: its bytes -> chunks, the end mark, or an error. No state, no I/O.

`OpenAIStreamReader` decodes the events that keep the format itself. Whatever its fast struct refuses, or what
decodes without choices, with an error or with a name, comes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from botticelli.core.errors import MalformedResponseError
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.embedded import is_error
from botticelli.dialects.openai.loose import LooseDecoder
from botticelli.dialects.openai.repair import mend
from botticelli.protocol import lenient_json
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.lenient_json import is_array, is_object
from botticelli.protocol.sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.dialects.openai.embedded import EmbeddedFailure
    from botticelli.protocol.deviations import Notes

__all__ = ["UNREADABLE", "EventReader", "is_done", "is_json", "json_lines"]

_DONE: Final = b"[DONE]"
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes it can't read as a given struct."""

_STRICT = msgspec.json.Decoder(wire.Chunk)


class _UsageOnly(msgspec.Struct):
    usage: wire.Usage | msgspec.UnsetType = msgspec.UNSET


def is_done(data: bytes) -> bool:
    """Whether an event's data is the end mark; the official client, too, goes by how it begins."""
    return data.startswith(_DONE)


class EventReader:
    """Reads the events that aren't plain.

    Attributes:
        loose: Knows what in them was of the wrong type.

    Args:
        notes: Where to note what only a stream can do wrong, and slips below JSON.
        structural: Where to note what the strict contract would reject too.
        audit: Whether to hold every event to the strict contract, noting into `notes`.
        failure: What makes an error of an error event.
        status: The answer's status, for errors.
    """

    def __init__(
        self, notes: Notes, structural: Notes, *, audit: bool, failure: EmbeddedFailure, status: int
    ) -> None:
        self._notes = notes
        self._structural = structural
        self._audit = audit
        self._failure = failure
        self._status = status
        self.loose = LooseDecoder(structural)

    def refused(self, event: Event) -> Iterator[wire.FastChunk | None]:
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
            raise self._failure(event.data)
        elif not data:
            self._notes.add("event-empty")
        elif b"\n" in data and (lines := json_lines(data)) is not None:
            self._notes.add("events-unseparated")
            for line in lines:
                yield from self.refused(Event(line))
        else:
            yield from self._mended(data)

    def looked_at(self, event: Event, chunk: wire.FastChunk) -> Iterator[wire.FastChunk]:
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
            raise self._failure(event.data)
        self._check(event.data)
        if chunk.choices is None:
            code = "choices-null" if "choices" in value else "choices-missing"
            self._structural.add(code, "$.choices", "$.choices")

    def failed(self, event: Event) -> Iterator[wire.FastChunk]:
        """Look at an event whose chunk has been taken, and told of an error or can't be read as a whole.

        Raises:
            StreamError: If it is an error.
            MalformedResponseError: If it can't be read.
        """
        if is_error(self._value(event.data)[0]):
            raise self._failure(event.data)
        self._check(event.data)
        yield from ()

    def usage(self, value: Any, notes: Notes) -> wire.Usage | None:
        """Read a usage that breaks the format; what can't be read of it is unknown, never worth an answer."""
        return mend({"usage": value}, _UsageOnly, notes).usage or None

    def malformed(self, message: str, data: bytes = b"", path: str = "$") -> MalformedResponseError:
        """The error for bytes that can't be read, not raised."""
        return MalformedResponseError(message, path=path, status=self._status, body=data[:MAX_BODY])

    def _hold_to_contract(self, value: dict[str, Any], data: bytes) -> None:
        for code in lenient_json.scrutinise(data):
            self._notes.add(code)
        try:
            _STRICT.decode(data)
        except UNREADABLE:
            mend(value, wire.Chunk, self._notes)

    def _value(self, data: bytes) -> lenient_json.Reading:
        """The JSON value in an event; what follows it is nothing, or the end mark."""
        found = lenient_json.attempt(data)
        if isinstance(found, lenient_json.NotJsonError):
            message = f"an event isn't JSON: {found}; it begins {lenient_json.excerpt(data)!r}"
            raise self.malformed(message, data, f"character {found.position}")
        _, codes, rest = found
        if rest and not is_done(rest.encode()):
            raise self.malformed(f"an event holds more than one value: {lenient_json.excerpt(data)!r}", data)
        for code in codes:
            self._notes.add(code)
        return found

    def _mended(self, data: bytes) -> Iterator[wire.FastChunk | None]:
        value, codes, rest = self._value(data)
        if value is None:
            self._notes.add("event-null")
        elif isinstance(value, str) and is_done(value.encode()):
            self._notes.add("done-quoted")
            yield None
        elif is_error(value):
            if is_object(value) and is_array(value.get("choices")):
                yield from self._chunk(value, data)
            raise self._failure(data)
        elif is_object(value):
            yield from self._chunk(value, data)
            if not codes and not self._audit:
                self.loose.learn(value)
        else:
            raise self.malformed(f"an event is JSON but not an object: {lenient_json.excerpt(data)!r}", data)
        if rest:
            yield None

    def _chunk(self, value: dict[str, Any], data: bytes) -> Iterator[wire.FirstChunk]:
        if self._audit:
            self._hold_to_contract(value, data)
        yield mend(value, wire.FirstChunk, self._structural)
        self._check(data)

    def _check(self, data: bytes) -> None:
        """Raise for what couldn't be read of an event, once the rest of it has been taken."""
        fault = self._notes.fault or self._structural.fault
        if fault is not None:
            raise self.malformed(fault.message, data, fault.path)


def json_lines(data: bytes) -> list[bytes] | None:
    """The lines of some bytes, if each of them is a JSON value (or the end mark) and their join is not."""
    if is_json(data):
        return None
    lines = [line for line in data.split(b"\n") if line.strip()]
    whole = len(lines) > 1 and all(is_done(line.strip()) or is_json(line) for line in lines)
    return lines if whole else None


def is_json(data: bytes) -> bool:
    """Whether there is a reading of the bytes as one JSON value."""
    found = lenient_json.attempt(data)
    return not isinstance(found, lenient_json.NotJsonError) and not found[2]

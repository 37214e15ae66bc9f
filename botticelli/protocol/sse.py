"""Decode event streams: bytes in, events out; no I/O, no JSON, nothing of any one provider.

The rules are those of "Interpreting an event stream" in the HTML standard:
https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
with one difference of type: an event's data stays the bytes that came. The standard decodes the
whole stream as UTF-8 first; line ends, colons and field names are ASCII, so framing before
decoding gives the same events, and a JSON decoder, which reads bytes, need not decode twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Bytes that one event may take, unless the caller says otherwise."""

FOREIGN_EXCERPT_BYTES = 2048
"""Bytes of unknown lines that are stored for an error to quote."""

_BOM = b"\xef\xbb\xbf"
_LF = 0x0A
_CR = 0x0D
# More digits than any delay needs; it keeps int() off lengths at which it refuses or crawls.
_RETRY_DIGITS = 15


class Event(msgspec.Struct, frozen=True, gc=False):
    """Hold one dispatched event.

    Attributes:
        data: The values of its `data` lines, joined with LF, exactly as they came: not decoded,
            not checked to be UTF-8. A LF in it always stands between two `data` lines.
        event: The value of its last `event` line; "" when it had none (the standard's "message").
        id: The stream's last event id as of this event; "" when none was set.
    """

    data: bytes
    event: str = ""
    id: str = ""


class Tail(msgspec.Struct, frozen=True, gc=False):
    """Hold what was under way when the input ended; a browser discards it.

    Attributes:
        event: The event that a lenient reader would dispatch, as if a line end and a blank line
            had followed; None when no `data` line had begun. Of a line without an end only
            `data:` is taken: whether its value is whole shows in the value (`[DONE]`, JSON),
            whether an id or an event's name is whole does not.
        junk: The last line as far as it came, when it had no line end; else empty. It is there
            whether or not `event` could use it.
    """

    event: Event | None = None
    junk: bytes = b""


class EventTooLargeError(ValueError):
    """Report an event that outgrew the decoder's limit; the decoder reads no further.

    Attributes:
        limit: The limit, in bytes.
        events: The events that the same `feed` had completed before, so that none is lost.
    """

    def __init__(self, limit: int, events: Sequence[Event] = ()) -> None:
        # an end user reads this, who has no such option as max_event_bytes
        super().__init__(f"an event of the stream takes more than {limit} bytes, which is the limit")
        self.limit = limit
        self.events = list(events)

    def __reduce__(self) -> tuple[type[EventTooLargeError], tuple[int, list[Event]]]:
        return type(self), (self.limit, self.events)


class SSEDecoder:
    """Turn the bytes of an event stream, in pieces of any size, into events.

    An event comes out of the `feed` that brings the end of its blank line. Any way of cutting
    the same bytes gives the same events, counts and tail. Time is linear in the bytes fed, and
    memory stays within a small multiple of `max_event_bytes` and the piece.

    Attributes:
        comments: How many comment lines have arrived, for callers to whom a keep-alive is a sign of life.
        retry: Milliseconds from the last valid `retry` line; None when there was none. Values
            beyond 15 digits (thirty thousand years) are ignored like malformed ones.
        last_event_id: The id as of the last blank line, "" when none was set.
        foreign: The lines whose field name isn't the standard's, joined with LF and cut at
            2 KiB: the standard ignores them, but when a proxy writes its error page into the
            stream, they tell what happened.

    Args:
        max_event_bytes: What one event may take: the values of its earlier `data` lines with a
            line end each, plus the line being read without its end (comments count only while
            they are being read).

    Raises:
        ValueError: `max_event_bytes` is less than 1.
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_event",
        "_held",
        "_id",
        "_limit",
        "_line",
        "_max_event_bytes",
        "_start",
        "comments",
        "foreign",
        "last_event_id",
        "retry",
    )

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        if max_event_bytes < 1:
            raise ValueError(f"max_event_bytes must be at least 1, got {max_event_bytes}")
        self.comments = 0
        self.retry: int | None = None
        self.last_event_id = ""
        self.foreign = b""
        self._max_event_bytes = max_event_bytes
        self._limit = max_event_bytes  # -1 once it was exceeded: then nothing fits
        self._start: bytes | None = b""  # what may yet turn out to be a BOM; None: it's decided
        self._after_cr = False  # a LF that comes next belongs to the CR before it
        self._line = bytearray()  # the unfinished line
        self._data: bytes | bytearray | None = None  # bytes while there is one data line
        self._held = 0  # bytes of the data buffer, one LF for each line included
        self._event = ""
        self._id = ""

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes and return the events they complete, in order.

        Args:
            piece: Any number of bytes, cut anywhere.

        Returns:
            The completed events, often none.

        Raises:
            EventTooLargeError: The limit is exceeded, now or in an earlier call. It carries the
                events that this call had completed.
        """
        if self._after_cr or self._start is not None:
            piece = self._without_prelude(piece)
        if _LF not in piece and _CR not in piece:
            self._line += piece
            if self._held + len(self._line) > self._limit:
                raise self._too_large([])
            return []
        if self._line:
            piece = b"".join((self._line, piece))
            self._line = bytearray()
        if self._data is None and not self._event and len(piece) <= self._limit:
            return self._feed_plain(piece)
        return self._feed_lines(piece, [])

    def finish(self) -> Tail:
        """Return what the end of the input would cut off, without changing anything.

        Returns:
            The unfinished event and line; both empty after a clean end, and after an
            EventTooLargeError.
        """
        junk = self._start or bytes(self._line)
        data = self._data
        if junk.startswith(b"data:"):
            value = junk[5:].removeprefix(b" ")
            data = value if data is None else b"\n".join((data, value))
        if data is None:
            return Tail(None, junk)
        return Tail(Event(bytes(data), self._event, self._id), junk)

    def _without_prelude(self, piece: bytes) -> bytes:
        """Take off what belongs to earlier bytes: the LF of a CRLF, or a BOM in pieces."""
        if self._start is not None:
            piece = self._start + piece
            if len(piece) < len(_BOM) and _BOM.startswith(piece):
                self._start = piece
                return b""
            self._start = None
            return piece.removeprefix(_BOM)
        if piece:
            self._after_cr = False
        return piece.removeprefix(b"\n")

    def _feed_plain(self, buffer: bytes) -> list[Event]:
        """Read at once the events that consist of one `data` line, as nearly all do.

        A buffer that begins with `data:` and is cut wherever a blank line is followed by `data:`
        holds such events and nothing else exactly when no cut part contains a line end. What
        isn't of this shape, and what follows the last blank line, is read line by line.
        """
        gap = b"\r\n\r\n" if _CR in buffer else b"\n\n"
        end = buffer.rfind(gap)
        width = 6 if buffer[:6] == b"data: " else 5
        if end < 0 or (width == 5 and buffer[:5] != b"data:"):
            return self._feed_lines(buffer, [])
        value = buffer[width:end]
        if _LF not in value and _CR not in value:
            events = [Event(value, "", self._id)]
        else:
            values = value.split(gap + buffer[:width])
            joined = b"".join(values)
            if _LF in joined or _CR in joined or (width == 5 and gap + b"data: " in buffer):
                return self._feed_lines(buffer, [])
            events = [Event(value, "", self._id) for value in values]
        self.last_event_id = self._id
        end += len(gap)
        return events if end == len(buffer) else self._feed_lines(buffer[end:], events)

    def _feed_lines(self, buffer: bytes, events: list[Event]) -> list[Event]:
        """Read line by line; for bytes, `splitlines` knows LF, CR and CRLF and nothing else."""
        lines = buffer.splitlines()
        if buffer[-1] == _CR:
            self._after_cr = True
        elif buffer[-1] != _LF:
            self._line = bytearray(lines.pop())
        for line in lines:
            if self._held + len(line) > self._limit:
                raise self._too_large(events)
            if line:
                self._take_field(line)
            else:
                self._dispatch(events)
        if self._held + len(self._line) > self._limit:
            raise self._too_large(events)
        return events

    def _take_field(self, line: bytes) -> None:
        """Process one line that isn't blank."""
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._take_data(value)
        elif not name:
            self.comments += 1
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry":
            if value.isdigit() and len(value) <= _RETRY_DIGITS:
                self.retry = int(value)
        elif len(self.foreign) < FOREIGN_EXCERPT_BYTES:
            excerpt = self.foreign + b"\n" + line if self.foreign else line
            self.foreign = excerpt[:FOREIGN_EXCERPT_BYTES]

    def _take_data(self, value: bytes) -> None:
        """Append one data line."""
        data = self._data
        if data is None:
            self._data = value
        else:
            if isinstance(data, bytes):
                data = self._data = bytearray(data)
            data += b"\n" + value
        self._held += len(value) + 1

    def _dispatch(self, events: list[Event]) -> None:
        """Process a blank line: a block without a `data` line sets the id and no more."""
        self.last_event_id = self._id
        if self._data is not None:
            events.append(Event(bytes(self._data), self._event, self._id))
            self._data = None
            self._held = 0
        self._event = ""

    def _too_large(self, events: list[Event]) -> EventTooLargeError:
        """Let go of what is held and see to it that every later `feed` raises again."""
        self._limit = -1
        self._line = bytearray()
        self._data = None
        return EventTooLargeError(self._max_event_bytes, events)

"""A streamed answer: bytes -> chunks -> the whole answer. No I/O, no clock.

What may enter: when a stream begins, breaks and ends. Framing is `protocol.sse`'s; events that aren't plain
are read by `events`, and what the chunks say is gathered by `assembly`.

How a stream may end, and what that makes of it::

    a finish reason, then [DONE]           the answer
    a finish reason, no [DONE]             the answer, noted as done-missing
    [DONE], a choice without its reason    the answer, its reason OTHER, noted as finish-reason-never
    neither                                StreamTruncatedError with what came
    not one choice                         EmptyResponseError, or StreamTruncatedError in mid-event
    an error event                         StreamError with what came
    an event that can't be read            MalformedResponseError with what came: skipping it would lose text

A body that isn't a stream at all is read at its end: as a whole answer, or as JSON lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botticelli.core.errors import (
    EmptyResponseError,
    MalformedResponseError,
    ModelsError,
    StreamTruncatedError,
)
from botticelli.core.response import chunks_of, closing_chunks
from botticelli.dialects.openai.accumulate import Assembly
from botticelli.dialects.openai.errors import embedded_failure
from botticelli.dialects.openai.events import UNREADABLE, EventReader, is_done, is_json, json_lines
from botticelli.dialects.openai.response import decode_response, foreign_charset
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import Notes
from botticelli.protocol.sse import DEFAULT_MAX_EVENT_BYTES, Event, EventTooLargeError, SSEDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botticelli.core.response import GenerateResponse, StreamChunk
    from botticelli.dialects.openai import wire
    from botticelli.dialects.openai.embedded import EmbeddedFailure

__all__ = ["OpenAIStreamReader"]

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_FIELDS = (b"data", b"event", b"id", b"retry", b":")
_COMPACT_EVERY = 1024
"""Events; each piece of text until then costs some fifty bytes more than it holds."""


class OpenAIStreamReader:
    """One stream, from its first byte to its last. Feed it, deliver the chunks, then `finish` it.

    Attributes:
        events: Events seen so far; comments are none, so that a caller can tell progress from keep-alives.
        ended: ``[DONE]`` was seen or the stream failed: nothing that follows is read (an audit still notes
            that there was something).
        failed: Why the stream broke, or None; raise it after delivering what `feed` returned.
        notes: Where the server broke the format.

    Args:
        audit: Also hold every event to the strict contract.
        status: The answer's status, for errors.
        content_type: The answer's content type, for errors; the bytes decide how they are read.
        failure: What makes an error of an error event; the driver's knows its provider's table.
        n: How many answers were asked for.
        max_event_bytes: How long an event, or a whole answer in place of a stream, may be.
    """

    def __init__(
        self,
        *,
        audit: bool = False,
        status: int = 200,
        content_type: str = "",
        failure: EmbeddedFailure = embedded_failure,
        n: int = 1,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        self.events = 0
        self.ended = False
        self.failed: ModelsError | None = None
        self.notes = Notes()
        self._audit = audit
        self._status = status
        self._content_type = content_type
        self._failure = failure
        self._n = n
        self._limit = max_event_bytes
        self._sse = SSEDecoder(max_event_bytes=max_event_bytes)
        self._start: bytes = b""
        self._whole: bytearray | None = None
        self._flowing = False  # whether the next bytes are simply more events
        # Where the contract is asked anyway, what it would say must not count twice.
        structural = Notes() if audit else self.notes
        self._reader = EventReader(self.notes, structural, audit=audit, failure=failure, status=status)
        self._assembly = Assembly(self.notes, structural)
        self._compact_at = _COMPACT_EVERY
        self._answer: GenerateResponse | None = None
        self._last: list[StreamChunk] = []  # the chunks that only `finish` brought
        self._finished = False

    def feed(  # noqa: C901 -- the loop of every stream: what is written out here is a call saved
        self, piece: bytes
    ) -> list[StreamChunk]:
        """Take the next bytes; never raises.

        Returns:
            The chunks they complete, none of them final. Deliver these, then look at `failed` and `ended`.
        """
        if not self._flowing:
            piece = self._before_or_after(piece)
            if not self._flowing:
                return []
        chunks: list[StreamChunk] = []
        too_large: EventTooLargeError | None = None
        try:
            events = self._sse.feed(piece)
        except EventTooLargeError as error:
            events, too_large = error.events, error
        self.events += len(events)
        assembly = self._assembly
        rest = iter(events)
        try:
            for event in rest:
                try:
                    chunk = assembly.decode(event.data)
                except UNREADABLE:
                    chunk = None
                if chunk is None:
                    self._unusual(self._reader.refused(event), chunks)
                    assembly.loosen(self._reader.loose)
                elif chunk.choices and chunk.error is None and event.event != "error" and not self._audit:
                    if assembly.take(chunk, chunks):
                        self._unusual(self._reader.failed(event), chunks)
                else:
                    self._unusual(self._reader.looked_at(event, chunk), chunks)
                if self.ended:
                    self._note_beyond(len(list(rest)))
                    return chunks
        except RecursionError:
            self._fail(self._reader.malformed("an event is nested too deeply to be read"))
        if self.events >= self._compact_at:
            # Each look is at every choice, of which each event may bring another.
            self._compact_at = self.events + max(_COMPACT_EVERY, len(assembly.choices))
            assembly.compact()
        if too_large is not None:
            self._fail(self._reader.malformed(str(too_large)))
        return chunks

    def finish(self) -> list[StreamChunk]:
        """End the stream: after ``[DONE]``, or at the end of the input. Harmless when repeated.

        Returns:
            The last chunks. The final one, with the finish reason and the usage, is the last of them. There
            are more when content came only now: in a last event without its end, in a whole message that
            the stream contained, or in a whole answer in place of a stream.

        Raises:
            ModelsError: What `failed` holds, from now on if not before: one of the following.
            StreamTruncatedError: The stream ended with neither a finish reason nor ``[DONE]``.
            EmptyResponseError: It had no choice.
            MalformedResponseError: It wasn't a stream at all, or its last event can't be read.
            StreamError: A whole answer in place of a stream is an error.
        """
        if self.failed is None and not self._finished:
            self._finished = True
            try:
                self._finish()
            except ModelsError as error:
                self._fail(error)
            except RecursionError:
                self._fail(self._reader.malformed("the answer is nested too deeply to be read"))
            self._end()
        if self.failed is not None:
            raise self.failed
        return self._last

    @property
    def response(self) -> GenerateResponse:
        """The answer: whole after `finish`, else as far as it has come.

        Until then each look puts all of the text together anew; who looks once per chunk should rather add
        up the chunks.
        """
        if self._answer is not None:
            return self._answer
        response = self._assembly.build(self._reader)
        response.deviations = self.notes.deviations()
        return response

    def partial(self) -> GenerateResponse | None:
        """What has been delivered, for an error to carry; None if nothing was."""
        response = self.response
        return response if any(choice.outputs for choice in response.choices) else None

    # The first bytes: a stream, or something else in its place.

    def _before_or_after(self, piece: bytes) -> bytes:
        """Take bytes before it is known to be a stream, or in place of one, or beyond its end.

        Returns:
            The stream's first bytes, if they turn out to be that.
        """
        if self.ended:
            if self._audit and self.failed is None:
                self._look_beyond(piece)
        elif self._whole is not None:
            self._whole += piece
            if len(self._whole) > self._limit:
                message = f"the answer isn't a stream and is longer than {self._limit} bytes"
                self._fail(self._reader.malformed(message))
        else:
            piece = self._start + piece
            seen = piece.removeprefix(_BOM).lstrip(_SPACE)
            blank = piece[: len(piece) - len(seen)]
            # Of blank lines the last one's end is kept: after it, a byte order mark is none. Of a blank line
            # that goes on, as much is kept as tells that it is there.
            blank = blank[max(blank.rfind(b"\n"), blank.rfind(b"\r"), 0) :][: len(_BOM) + 1]
            piece = blank + seen
            if _BOM.startswith(piece) or not seen:
                # Blank lines mean nothing to either reading; some servers send them as a sign of life.
                self._start = piece
            elif seen[:1] in (b"{", b"[", b"<"):
                self._whole = bytearray()
                self._before_or_after(seen)  # without what may have come, and gone, in pieces before it
            else:
                self._start = b""
                self._flowing = True
        return piece

    # The events.

    def _unusual(self, found: Iterable[wire.FastChunk | None], chunks: list[StreamChunk]) -> None:
        """Take what an event that isn't plain gave."""
        try:
            for chunk in found:
                if chunk is None:
                    self._end()
                    return
                self._assembly.take(chunk, chunks)  # whether it failed, `found` sees itself
        except ModelsError as error:
            self._fail(error)

    def _fail(self, error: ModelsError) -> None:
        if error.partial is None:
            error.partial = self.partial()
        self.failed = error
        self._end()

    def _end(self) -> None:
        self.ended = True
        self._flowing = False

    def _look_beyond(self, piece: bytes) -> None:
        try:
            events = self._sse.feed(piece)
        except EventTooLargeError as error:
            events = error.events
        self._note_beyond(len(events))

    def _note_beyond(self, count: int) -> None:
        """Note the events that followed ``[DONE]``."""
        if count and self._audit and self.failed is None:
            self.notes.add("data-after-done", count=count)

    # The end.

    def _finish(self) -> None:
        if self._start:
            self._sse.feed(self._start)
        unframed = False
        if self._whole is not None:
            body = bytes(self._whole)
            lines = json_lines(body) if body.count(b'"choices"') > 1 else None
            if lines is None:
                self._finish_whole(body)
                return
            unframed = True
            self._take_lines(lines)
        done = self.ended or self._take_tail()
        self._check_end(done=done, unframed=unframed)
        self._last += self._assembly.settle()
        self._answer = self._assembly.build(self._reader, last=True)
        self._answer.deviations = self.notes.deviations()
        fault = self.notes.fault
        if fault is not None:
            raise MalformedResponseError(
                fault.message, path=fault.path, status=self._status, partial=self._answer
            )
        self._last = closing_chunks(self._last, self._answer)

    def _finish_whole(self, body: bytes) -> None:
        response = decode_response(
            body,
            status=self._status,
            content_type=self._content_type,
            failure=self._failure,
            n=self._n,
            audit=self._audit,
        )
        self.notes.add("json-in-sse")
        response.deviations = [*response.deviations, *self.notes.deviations()]
        self._answer = response
        self._last = chunks_of(response)

    def _take_lines(self, lines: list[bytes]) -> None:
        """Read JSON lines that came in place of events."""
        self.notes.add("events-unframed")
        for line in lines:
            self.events += 1
            self._unusual(self._reader.refused(Event(line)), self._last)
            if self.ended:
                return

    def _take_tail(self) -> bool:
        """Read what the input ended in the middle of; tell whether it was ``[DONE]``."""
        event = self._sse.finish().event
        data = event.data.strip() if event is not None else b""
        if is_done(data):
            self.notes.add("event-unfinished")
            return True
        if event is not None and data.startswith(b"{") and (is_json(data) or json_lines(data) is not None):
            self.notes.add("event-unfinished")
            self.events += 1
            self._unusual(self._reader.refused(event), self._last)
        return self.ended

    def _check_end(self, *, done: bool, unframed: bool) -> None:
        if self.failed is not None:
            raise self.failed
        foreign = b"" if done else self._foreign()
        quoted = f"; among the stream's lines was {lenient_json.excerpt(foreign)!r}" if foreign else ""
        choices = self._assembly.choices
        if not choices:
            if foreign and not self.events:
                label = f", labelled {self._content_type}," if self._content_type else ""
                message = f"the answer{label} isn't an event stream: {lenient_json.excerpt(foreign)!r}"
                raise MalformedResponseError(message, status=self._status, body=foreign)
            if self._sse.finish().event is not None and not done:
                message = f"the stream ended in the middle of an event, before there was a choice{quoted}"
                raise StreamTruncatedError(message, status=self._status)
            raise EmptyResponseError(f"the stream ended without a choice{quoted}", status=self._status)
        unfinished = self._assembly.unfinished()
        if unfinished and not done:
            which = "" if len(choices) == 1 else f" of choice {unfinished[0]}"
            raise StreamTruncatedError(
                f"the stream ended without the finish reason{which} and without [DONE]{quoted}",
                status=self._status,
            )
        if unfinished:
            self.notes.add("finish-reason-never", "$.choices[].finish_reason", count=len(unfinished))
        if not done and not unframed:
            self.notes.add("done-missing")
        if len(choices) < self._n:
            self.notes.add("choices-fewer", "$.choices", "$.choices")
        if foreign_charset(self._content_type):
            self.notes.add("charset-wrong")

    def _foreign(self) -> bytes:
        """The lines that are none of an event stream's: a proxy's page, another format."""
        junk = self._sse.finish().junk
        known = junk.startswith(_FIELDS) or any(field.startswith(junk.strip(_SPACE)) for field in _FIELDS)
        return self._sse.foreign or (b"" if known else junk)

"""Read a streamed answer: bytes in, chunks out, and the whole answer at the end.

Framing is done by `protocol.sse`, and the chunks are put together by `accumulate`. Here it is decided what an
event is, and when a stream begins, breaks and ends.

How a stream may end, and what that makes of it::

    a finish reason, then [DONE]           the answer
    a finish reason, no [DONE]             the answer, with the deviation done-missing
    [DONE], a choice without its reason    the answer, its reason OTHER, with finish-reason-never
    neither                                StreamTruncatedError with what came
    not one choice                         EmptyResponseError, or StreamTruncatedError in mid-event
    an error event                         StreamError with what came
    an event that can't be read            MalformedResponseError with what came: skipping it would lose text

A body that isn't a stream at all is read at its end: as a whole answer, or as JSON lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botticelli.core.errors import (
    EmptyResponseError,
    MalformedResponseError,
    ModelsError,
    StreamTruncatedError,
)
from botticelli.core.response import Deviation, chunks_of, closing_chunks
from botticelli.dialects.openai import convert, wire
from botticelli.dialects.openai.accumulate import ResponseAccumulator
from botticelli.dialects.openai.errors import error_in_success
from botticelli.dialects.openai.events import (
    UNREADABLE,
    EventReader,
    error_line,
    is_done,
    is_json,
    json_lines,
)
from botticelli.dialects.openai.limits import excess_in_text
from botticelli.dialects.openai.response import decode_response, has_foreign_charset, is_mislabelled
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import DeviationLog
from botticelli.protocol.limits import DEFAULT_LIMITS, count_nodes, too_much
from botticelli.protocol.sse import Event, EventTooLargeError, SSEDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botticelli.core.response import GenerateResponse, StreamChunk
    from botticelli.dialects.openai.errors import MakeStreamError
    from botticelli.protocol.limits import Limits

__all__ = ["OpenAIStreamReader", "decode_answer"]

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_FIELDS = (b"data", b"event", b"id", b"retry", b":")
_EVENTS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""How an event stream may begin; no JSON begins so."""
_COMPACT_EVERY = 1024
"""Events; each piece of text until then costs some fifty bytes more than it holds."""


def decode_answer(
    body: bytes,
    *,
    status: int = 200,
    content_type: str = "",
    make_error: MakeStreamError = error_in_success,
    n: int = 1,
    audit: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    cut_short: bool = False,
) -> GenerateResponse:
    """Decode the body of a 2xx answer where a whole answer was asked for.

    Its first bytes decide how it is read, never its content type: some servers send an event stream all the
    same. `OpenAIStreamReader` finds the opposite, a whole answer where a stream was asked for.

    Args and errors are those of `decode_response`, and of `OpenAIStreamReader` for an event stream; and
    `cut_short` tells whether the connection was lost before the end of the body's framing.
    """
    if body.removeprefix(_BOM).lstrip(_SPACE).startswith(_EVENTS):
        # sse-answer-to-whole-request
        reader = OpenAIStreamReader(
            status=status,
            content_type=content_type,
            media_types=("text/event-stream", "application/json"),
            make_error=make_error,
            n=n,
            audit=audit,
            limits=limits,
        )
        reader.log.add("sse-in-json")
        reader.feed(body)
        reader.finish()
        response = reader.response
        response.raw = body
    else:
        response = decode_response(
            body,
            status=status,
            content_type=content_type,
            make_error=make_error,
            n=n,
            audit=audit,
            limits=limits,
        )
    if cut_short:
        # an object that lacks its end is no JSON, so that nothing of the answer can be missing
        response.deviations = [*response.deviations, Deviation("body-cut-short")]
    return response


class OpenAIStreamReader:
    """Read one stream, from its first byte to its last: feed it, deliver the chunks, then `finish` it.

    Attributes:
        events: How many events have arrived; comments are none, so that progress differs from keep-alives.
        ended: Whether ``[DONE]`` has arrived or the stream has failed: nothing that follows is read (an audit
            still logs that there was something).
        failed: Why the stream broke, or None; raise it after delivering what `feed` returned.
        log: Where the server broke the format.

    Args:
        audit: Also hold every event to the strict contract.
        status: The answer's status, for errors.
        content_type: The answer's content type, for errors; the bytes decide how they are read.
        media_types: The media types that are right for it.
        make_error: What makes an error of an error event; the driver's knows its provider's table.
        n: The requested number of choices.
        usage: Whether the usage was requested.
        limits: How much the answer may hold; a whole answer in place of a stream is one event.
    """

    def __init__(
        self,
        *,
        audit: bool = False,
        status: int = 200,
        content_type: str = "",
        media_types: tuple[str, ...] = ("text/event-stream",),
        make_error: MakeStreamError = error_in_success,
        n: int = 1,
        usage: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.events = 0
        self.ended = False
        self.failed: ModelsError | None = None
        self.log = DeviationLog()
        self._audit = audit
        self._status = status
        self._content_type = content_type
        self._media_types = media_types
        self._make_error = make_error
        self._n = n
        self._usage = usage
        self._limits = limits
        self._nodes = 0
        self._sse = SSEDecoder(max_event_bytes=limits.max_event_bytes)
        self._start: bytes = b""
        self._whole: bytearray | None = None
        self._flowing = False  # whether the next bytes are simply more events
        # An audit validates against the contract, so what that reports must not count twice.
        structural = DeviationLog() if audit else self.log
        self._reader = EventReader(self.log, structural, audit=audit, make_error=make_error, status=status)
        self._assembly = ResponseAccumulator(self.log, structural, n=n, limits=limits)
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
        most = self._limits.max_nodes
        try:
            for event in rest:
                data = event.data
                if (
                    data.startswith(assembly.head)
                    and event.event == ""
                    and not self._audit
                    and assembly.take_framed(data, chunks)
                ):
                    continue
                if len(data) > most and self._is_excessive(data):
                    return chunks
                try:
                    chunk = assembly.decode(data)
                except UNREADABLE:
                    chunk = None
                if chunk is None:
                    self._unusual(self._reader.read_invalid(event), chunks, event.data)
                    assembly.adapt(self._reader.adaptive)
                elif chunk.choices and chunk.error is None and event.event != "error" and not self._audit:
                    if assembly.take(chunk, chunks, data):
                        self._unusual(self._reader.recheck(event), chunks)
                    elif assembly.frame is None and not self._reader.adaptive.mends:
                        assembly.find_frame(chunk, data)
                else:
                    self._unusual(self._reader.inspect(event, chunk), chunks, event.data)
                if self.ended:
                    self._note_beyond(len(list(rest)))
                    return chunks
        except RecursionError:
            self._fail(self._reader.malformed("an event is nested too deeply to be read"))
        if assembly.has_grown:
            assembly.has_grown = False
            self._count_nodes(events)
        if self.events >= self._compact_at:
            # Each look is at every choice, of which each event may bring another.
            self._compact_at = self.events + max(_COMPACT_EVERY, len(assembly.choices))
            assembly.compact()
        if too_large is not None:
            self._fail(self._reader.malformed(self._too_large()))
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
        """Return the answer: whole after `finish`, before that what has arrived.

        Until then each look puts all of the text together anew; who looks once per chunk should rather add
        up the chunks.
        """
        if self._answer is not None:
            return self._answer
        response = self._assembly.build()
        response.deviations = self.log.deviations()
        return response

    def partial(self) -> GenerateResponse | None:
        """Return what has been delivered, for an error to carry; None if nothing was."""
        response = self.response
        return response if any(map(convert.says_anything, response.choices)) else None

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
            if len(self._whole) > self._limits.max_event_bytes:
                message = f"the answer isn't a stream, and {self._too_large()}"
                self._fail(self._reader.malformed(message))
        else:
            piece = self._start + piece
            text = piece.removeprefix(_BOM).lstrip(_SPACE)
            blank = piece[: len(piece) - len(text)]
            # sse-bom-split, json-blank-lines-first: both may arrive in pieces, so some bytes have to stay,
            # but not all, for blank lines may go on for minutes. The last one's end stays, because a byte
            # order mark after it is none; of an unfinished one, enough to show that it's there.
            blank = blank[max(blank.rfind(b"\n"), blank.rfind(b"\r"), 0) :][: len(_BOM) + 1]
            piece = blank + text
            if _BOM.startswith(piece) or not text:
                # json-blank-lines-first: blank lines decide nothing; servers send them to show life.
                self._start = piece
            elif text[:1] in (b"{", b"[", b"<"):
                self._whole = bytearray()
                self._before_or_after(text)  # without the blank lines, part of which may be dropped already
            else:
                self._start = b""
                self._flowing = True
        return piece

    # The events.

    def _unusual(
        self, found: Iterable[wire.FastChunk | None], chunks: list[StreamChunk], raw: bytes = b""
    ) -> None:
        """Take what an event that isn't plain gave."""
        try:
            for chunk in found:
                if chunk is None:
                    self._end()
                    return
                self._assembly.take(chunk, chunks, raw)  # whether it failed, `found` sees itself
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

    # The limits.

    def _too_large(self) -> str:
        return too_much("max_event_bytes", self._limits.max_event_bytes, "bytes in one event")

    def _is_excessive(self, data: bytes) -> bool:
        """Return whether an event holds too much to be decoded, which ends the stream."""
        excess = excess_in_text(data, self._limits)
        if excess is not None:
            self._fail(self._reader.malformed(excess, data))
        return excess is not None

    def _count_nodes(self, events: list[Event]) -> None:
        """Count what a stream adds up beside text: log probabilities, citations, what sound comes with."""
        most = self._limits.max_nodes
        self._nodes += sum(count_nodes(event.data) for event in events)
        if self._nodes > most and self.failed is None:
            self._fail(self._reader.malformed(too_much("max_nodes", most, "values")))

    def _look_beyond(self, piece: bytes) -> None:
        try:
            events = self._sse.feed(piece)
        except EventTooLargeError as error:
            events = error.events
        self._note_beyond(len(events))

    def _note_beyond(self, count: int) -> None:
        """Note the events that followed ``[DONE]``."""
        if count and self._audit and self.failed is None:
            self.log.add("data-after-done", count=count)

    # The end.

    def _finish(self) -> None:
        if self._start:
            self._sse.feed(self._start)
        unframed = False
        if self._whole is not None:
            body = bytes(self._whole)
            if self._is_excessive(body):
                return
            # sse-ndjson: some servers leave the framing of events out
            lines = json_lines(body) if body.count(b'"choices"') > 1 else None
            if lines is None:
                self._finish_whole(body)
                return
            unframed = True
            self._take_lines(lines)
        done = self.ended or self._take_tail()
        self._check_end(done=done, unframed=unframed)
        settled = self._assembly.settle()
        self._last = [*self._assembly.held(), *self._last, *settled]
        self._answer = self._assembly.build(last=True)
        self._answer.deviations = self.log.deviations()
        fault = self.log.unreadable
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
            make_error=self._make_error,
            n=self._n,
            audit=self._audit,
            limits=self._limits,
        )
        self.log.add("json-in-sse")
        response.deviations = [*response.deviations, *self.log.deviations()]
        self._answer = response
        self._last = chunks_of(response, n=self._n)

    def _take_lines(self, lines: list[bytes]) -> None:
        """Read JSON lines that came in place of events."""
        self.log.add("events-unframed")
        for line in lines:
            self.events += 1
            self._unusual(self._reader.read_invalid(Event(line)), self._last, line)
            if self.ended:
                return

    def _take_tail(self) -> bool:
        """Read what the input ended in the middle of; tell whether it was ``[DONE]``."""
        event = self._sse.finish().event
        if event is not None and self._is_excessive(event.data):
            return True
        data = event.data.strip() if event is not None else b""
        # sse-done-without-line-end, sse-last-event-unfinished: a whole event counts without its blank line
        if is_done(data):
            self.log.add("event-unfinished")
            return True
        if event is not None and data.startswith(b"{") and (is_json(data) or json_lines(data) is not None):
            self.log.add("event-unfinished")
            self.events += 1
            self._unusual(self._reader.read_invalid(event), self._last, data)
        return self.ended

    def _check_end(self, *, done: bool, unframed: bool) -> None:
        if self.failed is not None:
            raise self.failed
        foreign = self._foreign()
        if line := error_line(foreign):
            raise self._make_error(line)
        foreign = b"" if done else foreign
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
            raise EmptyResponseError(
                f"the stream ended without a choice{quoted}", status=self._status, hint=_EMPTY_HINT
            )
        unfinished = self._assembly.unfinished()
        # sse-no-done-after-finish, finish-never-sent: one sign of the end is enough.
        # sse-ends-without-finish: without any the stream was cut.
        if unfinished and not done:
            which = "" if len(choices) == 1 else f" of choice {unfinished[0]}"
            raise StreamTruncatedError(
                f"the stream ended without the finish reason{which} and without [DONE]{quoted}",
                status=self._status,
            )
        if unfinished:
            self.log.add("finish-reason-never", "$.choices[].finish_reason", count=len(unfinished))
        if not done and not unframed:
            self.log.add("done-missing")
        self._note_as_a_whole()

    def _note_as_a_whole(self) -> None:
        """Note what only the whole stream shows, or its label."""
        if len(self._assembly.choices) < self._n:
            self.log.add("choices-fewer", "$.choices", "$.choices")
        if self._usage and not self._assembly.has_usage:
            self.log.add("usage-missing", "$.usage", "$.usage")
        if has_foreign_charset(self._content_type):
            self.log.add("charset-wrong")
        if is_mislabelled(self._content_type, *self._media_types):
            self.log.add("content-type-wrong")

    def _foreign(self) -> bytes:
        """Return the lines that are none of an event stream's: a proxy's page, another format."""
        junk = self._sse.finish().junk
        known = junk.startswith(_FIELDS) or any(field.startswith(junk.strip(_SPACE)) for field in _FIELDS)
        return self._sse.foreign or (b"" if known else junk)


_EMPTY_HINT: Final = (
    "ask once without streaming, which may tell more: some servers hide their errors in streams"
)

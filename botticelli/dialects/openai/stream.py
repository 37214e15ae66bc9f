"""A streamed answer: bytes -> chunks -> the whole answer. No I/O, no clock.

What may enter: what turns the events of one stream into `StreamChunk`s and, at its end, into the
`GenerateResponse` that a whole answer would have been. Framing is `protocol.sse`'s; events that aren't
plain are read by `events`, choices are put together by `choices`.

How a stream may end, and what that makes of it::

    a finish reason, then [DONE]           the answer
    a finish reason, no [DONE]             the answer, noted as done-missing
    [DONE], a choice without its reason    the answer, its reason OTHER, noted as finish-reason-never
    neither                                StreamTruncatedError with what came
    not one choice                         EmptyResponseError
    an error event                         StreamError with what came
    an event that can't be read            MalformedResponseError with what came: skipping it would lose text
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.core.errors import (
    BotticelliError,
    EmptyResponseError,
    MalformedResponseError,
    ModelsError,
    StreamTruncatedError,
)
from botticelli.core.response import GenerateResponse, StreamChunk, ToolCallDelta
from botticelli.protocol.sse import DEFAULT_MAX_EVENT_BYTES, Event, EventTooLargeError, SSEDecoder

from . import jsontext, parts, wire
from .choices import ChoiceState
from .decode import decode_response
from .events import UNREADABLE, EventReader, is_done, is_json
from .failure import embedded_failure
from .notes import Notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from botticelli.core.response import Usage

    from .decode import EmbeddedFailure

__all__ = ["StreamAssembler"]

_FAST = msgspec.json.Decoder(wire.FastChunk)
_FIRST = msgspec.json.Decoder(wire.FirstChunk)
_USAGE = msgspec.json.Decoder(wire.Usage)
_SPACE = b" \t\r\n"
_COMPACT_EVERY = 1024
"""Events; each piece of text until then costs some fifty bytes more than it holds."""

_NO_DELTA = wire.FastDelta()
_BOM = b"\xef\xbb\xbf"


class StreamAssembler:
    """One stream, from its first byte to its last. Feed it, deliver the chunks, then `finish` it.

    Attributes:
        events: Events seen so far; comments are none, so that a caller can tell progress from keep-alives.
        ended: ``[DONE]`` was seen or the stream failed: nothing that follows is read.
        failed: Why the stream broke, or None; raise it after delivering what `feed` returned.
        notes: Where the server broke the format.

    Args:
        audit: Also hold every event to the strict contract.
        status: The answer's status, for errors.
        content_type: The answer's content type, for errors; the bytes decide how they are read.
        failure: What makes an error of an error event; the driver's knows its provider's table.
        max_event_bytes: How long an event, or a whole answer in place of a stream, may be.
    """

    def __init__(
        self,
        *,
        audit: bool = False,
        status: int = 200,
        content_type: str = "",
        failure: EmbeddedFailure = embedded_failure,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        self.events = 0
        self.ended = False
        self.failed: BotticelliError | None = None
        self.notes = Notes()
        self._audit = audit
        self._status = status
        self._content_type = content_type
        self._failure = failure
        self._limit = max_event_bytes
        self._sse = SSEDecoder(max_event_bytes=max_event_bytes)
        self._start: bytes | None = b""
        self._whole: bytearray | None = None
        self._structural = Notes() if audit else self.notes
        self._reader = EventReader(self.notes, self._structural, audit=audit, failure=failure, status=status)
        self._decode: Any = _FIRST.decode
        self._introduced = False
        self._compact_at = _COMPACT_EVERY
        self._choices: dict[int, ChoiceState] = {}
        self._head = GenerateResponse()
        self._usage: msgspec.Raw | None = None
        self._usage_in_choice: msgspec.Raw | None = None
        self._usage_raw: msgspec.Raw | None = None
        self._usage_read: Usage | None = None
        self._usages = 0
        self._final: GenerateResponse | None = None

    def feed(self, piece: bytes) -> list[StreamChunk]:
        """Take the next bytes; never raises.

        Returns:
            The chunks they complete, none of them final. Deliver these, then look at `failed` and `ended`.
        """
        if self.ended:
            return []
        if self._start is not None:
            piece = self._sniff(piece)
        if self._whole is not None:
            self._grow(piece)
            return []
        chunks: list[StreamChunk] = []
        too_large: EventTooLargeError | None = None
        try:
            events = self._sse.feed(piece)
        except EventTooLargeError as error:
            events, too_large = error.events, error
        self.events += len(events)
        for event in events:
            try:
                chunk = self._decode(event.data)
            except UNREADABLE:
                self._unusual(self._reader.refused(event), chunks)
            else:
                if chunk.choices and chunk.error is None and not event.event and not self._audit:
                    self._take(chunk, chunks)
                else:
                    self._unusual(self._looked_at(event, chunk), chunks)
            if self.ended:
                return chunks
        if self.events >= self._compact_at:
            self._compact()
        if too_large is not None:
            self._fail(self._reader.malformed(str(too_large)))
        return chunks

    def finish(self) -> StreamChunk:
        """End the stream: after ``[DONE]``, or at the end of the input.

        Returns:
            The final chunk, with the finish reason and the usage. Its text is empty unless the text came
            only now: with the last event, which lacked its end, or with a whole answer in place of a stream.

        Raises:
            BotticelliError: What `failed` holds.
            StreamTruncatedError: If the stream ended with neither a finish reason nor ``[DONE]``.
            EmptyResponseError: If it had no choice.
            MalformedResponseError: If it wasn't a stream at all.
            StreamError: If a whole answer in place of a stream is an error.
        """
        if self.failed is not None:
            raise self.failed
        if self._start:
            self._sse.feed(self._start)
        late: list[StreamChunk] = []
        if self._whole is not None:
            return self._finish_whole(bytes(self._whole))
        done = self.ended
        if not done:
            done = self._take_tail(late)
        self._check_end(done=done)
        late.extend(chunk for state in self._choices.values() if (chunk := state.settle()))
        self._final = self._build(last=True)
        self._final.deviations = self.notes.deviations()
        self.ended = True
        return self._final_chunk(late)

    def _compact(self) -> None:
        self._compact_at = self.events + _COMPACT_EVERY
        for state in self._choices.values():
            state.compact()

    @property
    def response(self) -> GenerateResponse:
        """The answer: whole after `finish`, else as far as it has come."""
        if self._final is not None:
            return self._final
        response = self._build()
        response.deviations = self.notes.deviations()
        return response

    def partial(self) -> GenerateResponse | None:
        """What has been delivered, for an error to carry; None if nothing was."""
        response = self.response
        return response if any(choice.outputs for choice in response.choices) else None

    # The first bytes: a stream, or something else in its place.

    def _sniff(self, piece: bytes) -> bytes:
        start = (self._start or b"") + piece
        seen = start.removeprefix(_BOM).lstrip(_SPACE)
        if not seen or _BOM.startswith(start):
            self._start = start
            return b""
        self._start = None
        if seen[:1] in (b"{", b"[", b"<"):
            self._whole = bytearray()
        return start

    def _grow(self, piece: bytes) -> None:
        whole = self._whole
        if whole is None:
            return
        whole += piece
        if len(whole) > self._limit:
            message = f"the answer isn't a stream and is longer than {self._limit} bytes"
            self._fail(self._reader.malformed(message))

    def _finish_whole(self, body: bytes) -> StreamChunk:
        response = decode_response(
            body, status=self._status, content_type=self._content_type, failure=self._failure
        )
        self.notes.add("json-in-sse")
        response.deviations = [*response.deviations, *self.notes.deviations()]
        self._final, self.ended = response, True
        return StreamChunk(
            text=response.text,
            choice=response.choices[0].index,
            is_final=True,
            reasoning=response.reasoning or "",
            refusal=response.refusal or "",
            tool_calls=tuple(
                ToolCallDelta(index=position, id=call.id, name=call.name, arguments=call.arguments_json)
                for position, call in enumerate(response.tool_calls)
            ),
            logprobs=response.logprobs,
            finish_reason=response.finish_reason,
            usage=response.usage,
        )

    # One event.

    def _looked_at(self, event: Event, chunk: wire.FastChunk) -> Iterator[wire.FastChunk]:
        if self._audit:
            self._reader.hold_to_contract(event.data)
        if chunk.choices and chunk.error is None and not event.event:
            yield chunk
        else:
            yield self._reader.bare(event, chunk)

    def _take(  # noqa: C901 -- the loop of every stream: each branch here is a call saved
        self, chunk: wire.FastChunk, chunks: list[StreamChunk]
    ) -> None:
        """Take a chunk; the path of nearly every event."""
        if not self._introduced:
            self._introduce(chunk)
        if chunk.usage is not None:
            self._count(chunk.usage)
        for position, choice in enumerate(chunk.choices or ()):
            index = choice.index
            if index is None:
                index = position
                self._structural.add("choice-index-missing", f"$.choices[{index}].index", "$.choices[].index")
            state = self._choices.get(index)
            if state is None:
                state = self._choices[index] = ChoiceState(index, self.notes, self._structural)
            delta = choice.delta
            if delta is not None:
                if (
                    choice.logprobs is None
                    and delta.reasoning_content is None
                    and delta.reasoning is None
                    and delta.tool_calls is None
                    and delta.refusal is None
                    and delta.function_call is None
                    and delta.reasoning_text is None
                    and delta.thinking is None
                    and delta.audio is None
                ):
                    text = delta.content
                    if text:
                        state.write(text)
                        chunks.append(StreamChunk(text, index))
                        if state.finish is not None:
                            state.late()
                else:
                    self._rich(state, delta, choice.logprobs, chunks)
            elif choice.logprobs is not None:
                self._rich(state, _NO_DELTA, choice.logprobs, chunks)
            if choice.finish_reason is not None:
                state.finished(choice.finish_reason)
            if choice.message is not None or choice.text is not None or choice.usage is not None:
                self._beside(state, choice, chunks)

    def _rich(
        self,
        state: ChoiceState,
        delta: wire.FastDelta,
        logprobs: dict[str, Any] | None,
        chunks: list[StreamChunk],
    ) -> None:
        rich = state.take(delta, logprobs)
        if rich is not None:
            chunks.append(rich)
            if state.finish is not None:
                state.late()

    def _beside(self, state: ChoiceState, choice: wire.FastChoice, chunks: list[StreamChunk]) -> None:
        if choice.usage is not None:
            self.notes.add("usage-in-choice", f"$.choices[{state.index}].usage", "$.choices[].usage")
            self._usage_in_choice = choice.usage
        legacy = state.take_beside(choice)
        if legacy is not None:
            chunks.append(legacy)

    def _count(self, usage: msgspec.Raw) -> None:
        """Keep the newest usage as bytes; it is read once, at the end."""
        self._usage = usage
        self._usages += 1

    def _introduce(self, chunk: wire.FastChunk) -> None:
        """Take the answer's id and model from the first chunks that have them."""
        if not isinstance(chunk, wire.FirstChunk):
            return
        head = self._head
        if isinstance(chunk.id, str | int) and not head.id:
            head.id = str(chunk.id)
        if isinstance(chunk.model, str) and not head.model:
            head.model = chunk.model
        if isinstance(chunk.created, int | float) and math.isfinite(chunk.created) and not head.created:
            head.created = int(chunk.created) or None
        if isinstance(chunk.service_tier, str):
            head.service_tier = chunk.service_tier
        if isinstance(chunk.system_fingerprint, str):
            head.system_fingerprint = chunk.system_fingerprint
        if head.id and head.model:
            self._decode = _FAST.decode
            self._introduced = True

    def _unusual(self, found: Iterable[wire.FastChunk | None], chunks: list[StreamChunk]) -> None:
        """Take what an event that isn't plain gave."""
        try:
            for chunk in found:
                if chunk is None:
                    self.ended = True
                    return
                self._take(chunk, chunks)
        except ModelsError as error:
            self._fail(error)

    def _fail(self, error: ModelsError) -> None:
        error.partial = self.partial()
        self.failed = error
        self.ended = True

    # The end.

    def _take_tail(self, late: list[StreamChunk]) -> bool:
        """Read what the input ended in the middle of; tell whether it was ``[DONE]``."""
        event = self._sse.finish().event
        data = event.data.strip() if event is not None else b""
        if is_done(data):
            self.notes.add("event-unfinished")
            return True
        if data.startswith(b"{") and is_json(data):
            self.notes.add("event-unfinished")
            self.events += 1
            self._unusual(self._reader.refused(Event(data)), late)
            if self.failed is not None:
                raise self.failed
        return False

    def _check_end(self, *, done: bool) -> None:
        foreign = self._sse.foreign
        quoted = f"; among the stream's lines was {jsontext.excerpt(foreign)!r}" if foreign else ""
        if not self._choices:
            if foreign and not self.events:
                label = f", labelled {self._content_type}," if self._content_type else ""
                message = f"the answer{label} isn't an event stream: {jsontext.excerpt(foreign)!r}"
                raise MalformedResponseError(message, status=self._status, body=foreign)
            raise EmptyResponseError(f"the stream ended without a choice{quoted}", status=self._status)
        unfinished = [index for index, state in self._choices.items() if state.finish is None]
        if unfinished and not done:
            which = "" if len(self._choices) == 1 else f" of choice {unfinished[0]}"
            raise StreamTruncatedError(
                f"the stream ended without the finish reason{which} and without [DONE]{quoted}",
                status=self._status,
                partial=self.partial(),
            )
        if unfinished:
            self.notes.add("finish-reason-never", "$.choices[].finish_reason", count=len(unfinished))
        if not done:
            self.notes.add("done-missing")
        if self._usages > 1:
            self.notes.add("usage-repeated", "$.usage", count=self._usages - 1)

    def _build(self, *, last: bool = False) -> GenerateResponse:
        head = self._head
        return GenerateResponse(
            choices=[state.build(last=last) for _, state in sorted(self._choices.items())],
            id=head.id,
            model=head.model,
            created=head.created,
            usage=self._read_usage(),
            service_tier=head.service_tier,
            system_fingerprint=head.system_fingerprint,
        )

    def _read_usage(self) -> Usage | None:
        raw = self._usage if self._usage is not None else self._usage_in_choice
        if raw is not None and raw is not self._usage_raw:
            self._usage_raw = raw
            try:
                self._usage_read = parts.usage(_USAGE.decode(raw))
            except UNREADABLE:
                self._usage_read = parts.usage(self._reader.usage(raw))
        return self._usage_read

    def _final_chunk(self, late: list[StreamChunk]) -> StreamChunk:
        response = self.response
        first = response.choices[0]
        mine = [chunk for chunk in late if chunk.choice == first.index]
        return StreamChunk(
            text="".join(chunk.text for chunk in mine),
            choice=first.index,
            is_final=True,
            reasoning="".join(chunk.reasoning for chunk in mine),
            refusal="".join(chunk.refusal for chunk in mine),
            tool_calls=tuple(piece for chunk in mine for piece in chunk.tool_calls),
            finish_reason=first.finish_reason,
            usage=response.usage,
        )

"""A streamed answer: bytes -> chunks -> the whole answer. No I/O, no clock.

What may enter: what turns the events of one stream into `StreamChunk`s and, at its end, into the
`GenerateResponse` that a whole answer would have been. Framing is `protocol.sse`'s, odd tool calls are
`toolcalls`'s, events that break the format go through `repair`.

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

import io
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from botticelli.core.errors import (
    BotticelliError,
    EmptyResponseError,
    MalformedResponseError,
    ModelsError,
    StreamTruncatedError,
)
from botticelli.core.response import Choice, GenerateResponse, StreamChunk, ToolCallDelta
from botticelli.protocol.sse import DEFAULT_MAX_EVENT_BYTES, Event, EventTooLargeError, SSEDecoder

from . import jsontext, parts, wire
from .decode import decode_response, is_error
from .failure import embedded_failure
from .jsontext import is_array, is_object
from .notes import Notes
from .toolcalls import ToolCallAssembler

if TYPE_CHECKING:
    from botticelli.core.response import Usage

    from .decode import EmbeddedFailure

__all__ = ["StreamAssembler"]

_FAST = msgspec.json.Decoder(wire.FastChunk)
_FIRST = msgspec.json.Decoder(wire.FirstChunk)
_STRICT = msgspec.json.Decoder(wire.Chunk)
_USAGE = msgspec.json.Decoder(wire.Usage)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _UsageOnly(msgspec.Struct):
    usage: wire.Usage | UnsetType = UNSET


_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_DONE = b"[DONE]"


class _ChoiceState:
    """One choice of a stream, as far as it has come."""

    __slots__ = ("calls", "finish", "logprobs", "message", "reasoning", "refusal", "spoken", "text", "write")

    def __init__(self) -> None:
        # A StringIO grows without keeping the pieces: a million of them would weigh ten times their text.
        self.text = io.StringIO()
        self.write = self.text.write
        self.reasoning: io.StringIO | None = None
        self.refusal: io.StringIO | None = None
        self.calls: ToolCallAssembler | None = None
        self.finish: Any = None
        self.logprobs: dict[str, Any] | None = None
        self.message: dict[str, Any] | None = None
        self.spoken: dict[str, Any] | None = None


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
        self._decode: Any = _FIRST.decode
        self._choices: dict[int, _ChoiceState] = {}
        self._head = GenerateResponse()
        self._usage: Any = None
        self._usage_in_choice: Any = None
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
        for event in events:
            self.events += 1
            try:
                chunk = self._decode(event.data)
            except _UNREADABLE:
                self._odd(event, chunks)
            else:
                if self._audit:
                    self._hold_to_contract(event.data)
                if chunk.choices and chunk.error is None and not event.event:
                    self._take(chunk, chunks)
                else:
                    self._bare(event, chunk, chunks)
            if self.ended:
                return chunks
        if too_large is not None:
            self._fail(MalformedResponseError(str(too_large), path="$", status=self._status))
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
        self._final = self._build(self._snapshots(late))
        self._final.deviations = self.notes.deviations()
        self.ended = True
        return self._final_chunk(late)

    @property
    def response(self) -> GenerateResponse:
        """The answer: whole after `finish`, else as far as it has come."""
        if self._final is not None:
            return self._final
        response = self._build({})
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
            self._fail(MalformedResponseError(message, status=self._status))

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

    def _take(self, chunk: wire.FastChunk, chunks: list[StreamChunk]) -> None:
        """Take a chunk that has choices and no error."""
        if isinstance(chunk, wire.FirstChunk):
            self._introduce(chunk)
        if chunk.usage is not None:
            self._usage = chunk.usage
            self._usages += 1
        for position, choice in enumerate(chunk.choices or ()):
            index = choice.index
            if index is None:
                index = position
            state = self._choices.get(index)
            if state is None:
                state = self._choices[index] = _ChoiceState()
            delta = choice.delta
            if delta is not None and choice.logprobs is None:
                text = delta.content
                if (
                    delta.reasoning_content is None
                    and delta.reasoning is None
                    and delta.tool_calls is None
                    and delta.refusal is None
                    and delta.function_call is None
                    and delta.reasoning_text is None
                    and delta.thinking is None
                    and delta.audio is None
                ):
                    if text:
                        state.write(text)
                        chunks.append(StreamChunk(text, index))
                        if state.finish is not None:
                            self.notes.add("delta-after-finish", f"$.choices[{position}].delta", "delta")
                else:
                    self._rich(state, index, delta, None, chunks)
            else:
                self._rich(state, index, delta or wire.FastDelta(), choice.logprobs, chunks)
            if choice.finish_reason is not None:
                self._finished(state, choice.finish_reason, position)
            if choice.message is not None or choice.text is not None or choice.usage is not None:
                self._beside_delta(state, choice, index, chunks)

    def _introduce(self, chunk: wire.FirstChunk) -> None:
        """Take the answer's id and model from the first chunk that has them."""
        head = self._head
        if isinstance(chunk.id, str | int) and not head.id:
            head.id = str(chunk.id)
        if isinstance(chunk.model, str) and not head.model:
            head.model = chunk.model
        if isinstance(chunk.created, int | float) and chunk.created and not head.created:
            head.created = int(chunk.created)
        if isinstance(chunk.service_tier, str):
            head.service_tier = chunk.service_tier
        if isinstance(chunk.system_fingerprint, str):
            head.system_fingerprint = chunk.system_fingerprint
        if head.id and head.model:
            self._decode = _FAST.decode

    def _rich(
        self,
        state: _ChoiceState,
        index: int,
        delta: wire.FastDelta,
        logprobs: dict[str, Any] | None,
        chunks: list[StreamChunk],
    ) -> None:
        """Take a delta that has more than text."""
        text = delta.content or ""
        if text:
            state.write(text)
        thought = parts.reasoning_text(
            delta.reasoning_content, delta.reasoning, delta.reasoning_text, delta.thinking
        )
        if thought:
            state.reasoning = state.reasoning or io.StringIO()
            state.reasoning.write(thought)
        if delta.refusal:
            state.refusal = state.refusal or io.StringIO()
            state.refusal.write(delta.refusal)
        pieces: tuple[ToolCallDelta, ...] = ()
        if delta.tool_calls or delta.function_call:
            state.calls = state.calls or ToolCallAssembler(self.notes)
            pieces = state.calls.take(delta.tool_calls or ())
            if delta.function_call:
                pieces += state.calls.take_legacy(delta.function_call)
        if is_object(delta.audio):
            state.spoken = _merged_audio(state.spoken, delta.audio)
        if logprobs is not None:
            state.logprobs = _merged_logprobs(state.logprobs, logprobs)
        if text or thought or delta.refusal or pieces or logprobs:
            if state.finish is not None:
                self.notes.add("delta-after-finish", "$.choices[].delta", "delta")
            chunks.append(
                StreamChunk(
                    text,
                    index,
                    reasoning=thought,
                    refusal=delta.refusal or "",
                    tool_calls=pieces,
                    logprobs=logprobs,
                )
            )

    def _finished(self, state: _ChoiceState, word: Any, position: int) -> None:
        if word == "":
            self.notes.add("finish-reason-empty", f"$.choices[{position}].finish_reason", "finish_reason")
            return
        published = ("stop", "length", "tool_calls", "content_filter", "function_call")
        if word not in published:
            code = "finish-reason-unknown" if isinstance(word, str) else "finish-reason-type"
            self.notes.add(code, f"$.choices[{position}].finish_reason", "finish_reason")
        if state.finish is not None:
            self.notes.add("finish-reason-repeated", f"$.choices[{position}].finish_reason", "again")
            if state.finish in published or word not in published:
                return
        state.finish = word

    def _beside_delta(
        self, state: _ChoiceState, choice: wire.FastChoice, index: int, chunks: list[StreamChunk]
    ) -> None:
        """Take what a choice has beside its delta: a snapshot, a legacy text, its own usage."""
        if is_object(choice.message):
            self.notes.add("message-in-stream", f"$.choices[{index}].message", "message")
            state.message = choice.message
        if choice.usage is not None:
            self.notes.add("usage-in-choice", f"$.choices[{index}].usage", "usage")
            self._usage_in_choice = choice.usage
        if choice.text and (choice.delta is None or not choice.delta.content):
            state.write(choice.text)
            chunks.append(StreamChunk(choice.text, index))

    def _bare(self, event: Event, chunk: wire.FastChunk, chunks: list[StreamChunk]) -> None:
        """Take an event that decodes but has no choices, has an error, or has a name."""
        value, _, _ = jsontext.read(event.data)
        if event.event == "error" or is_error(value):
            self._fail(self._failure(event.data))
        elif chunk.choices:
            self._take(chunk, chunks)
        else:
            if isinstance(chunk, wire.FirstChunk):
                self._introduce(chunk)
            if "choices" not in value:
                self.notes.add("choices-missing", "$.choices", "$.choices")
            elif chunk.choices is None:
                self.notes.add("choices-null", "$.choices", "$.choices")
            if chunk.usage is not None:
                self._usage = chunk.usage
                self._usages += 1

    def _odd(self, event: Event, chunks: list[StreamChunk]) -> None:
        """Take an event that the fast struct refused."""
        data = event.data.strip()
        if data.startswith(_DONE):
            self.ended = True
        elif event.event == "error":
            self._fail(self._failure(data))
        elif not data:
            self.notes.add("event-empty")
        elif b"\n" in data and (lines := _json_lines(data)) is not None:
            self.notes.add("events-unseparated")
            for line in lines:
                if not self.ended:
                    self._odd(Event(line), chunks)
        else:
            self._mend(data, chunks)

    def _mend(self, data: bytes, chunks: list[StreamChunk]) -> None:
        """Read an event by the repair path."""
        from .repair import mend

        try:
            value, codes, rest = jsontext.read(data)
        except jsontext.NotJsonError as error:
            self._fail(
                MalformedResponseError(
                    f"an event isn't JSON: {error}; it begins {jsontext.excerpt(data)!r}",
                    path=f"character {error.position}",
                    status=self._status,
                    body=data,
                )
            )
            return
        if rest and not rest.startswith(_DONE.decode()):
            message = f"an event holds more than one JSON value: {jsontext.excerpt(data)!r}"
            self._fail(MalformedResponseError(message, status=self._status, body=data))
            return
        if value is None:
            self.notes.add("event-null")
        elif isinstance(value, str) and value.startswith(_DONE.decode()):
            self.notes.add("done-quoted")
            self.ended = True
        elif is_error(value):
            self._fail(self._failure(data))
        elif not is_object(value):
            message = f"an event is JSON but not an object: {jsontext.excerpt(data)!r}"
            self._fail(MalformedResponseError(message, status=self._status, body=data))
        else:
            for code in codes:
                self.notes.add(code)
            chunk = mend(value, wire.FirstChunk, self.notes)
            if chunk is not None:
                if chunk.choices:
                    self._take(chunk, chunks)
                else:
                    self._bare(Event(msgspec.json.encode(value)), chunk, chunks)
        if rest and not self.ended:
            self.ended = True

    def _hold_to_contract(self, data: bytes) -> None:
        """Under `audit`: note what the strict contract rejects and the fast struct can't see."""
        try:
            _STRICT.decode(data)
        except _UNREADABLE:
            from .repair import mend

            value, _, _ = jsontext.read(data)
            mend(value, wire.Chunk, self.notes)

    def _fail(self, error: ModelsError) -> None:
        error.partial = self.partial()
        self.failed = error
        self.ended = True

    # The end.

    def _take_tail(self, late: list[StreamChunk]) -> bool:
        """Read what the input ended in the middle of; tell whether it was ``[DONE]``."""
        event = self._sse.finish().event
        data = event.data.strip() if event is not None else b""
        if data.startswith(_DONE):
            self.notes.add("event-unfinished")
            return True
        if data and _is_json_object(data):
            self.notes.add("event-unfinished")
            self.events += 1
            self._mend(data, late)
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

    def _snapshots(self, late: list[StreamChunk]) -> dict[int, Choice]:
        """The choices that came only as a whole message, and a late chunk for each."""
        found: dict[int, Choice] = {}
        for index, state in self._choices.items():
            if state.message is None or state.text.tell() or state.reasoning or state.calls:
                continue
            from .decode import mended

            whole = mended({"choices": [{"index": index, "message": state.message}]}, Notes(), b"")
            choice = whole.choices[0]
            choice.finish_reason_raw = state.finish
            choice.finish_reason = parts.finish_reason(state.finish)
            found[index] = choice
            late.append(StreamChunk(choice.text, index, reasoning=choice.reasoning or ""))
        return found

    def _build(self, snapshots: dict[int, Choice]) -> GenerateResponse:
        head = self._head
        return GenerateResponse(
            choices=[
                snapshots[index] if index in snapshots else _built(index, state)
                for index, state in sorted(self._choices.items())
            ],
            id=head.id,
            model=head.model,
            created=head.created,
            usage=self._read_usage(),
            service_tier=head.service_tier,
            system_fingerprint=head.system_fingerprint,
        )

    def _read_usage(self) -> Usage | None:
        raw = self._usage if self._usage is not None else self._usage_in_choice
        if raw is None:
            return None
        try:
            return parts.usage(_USAGE.decode(raw))
        except _UNREADABLE:
            from .repair import mend

            value, _, _ = jsontext.read(bytes(raw))
            found = mend({"usage": value}, _UsageOnly, self.notes)
            return parts.usage(found.usage or None) if found else None

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


def _built(index: int, state: _ChoiceState) -> Choice:
    return parts.choice(
        index,
        text=state.text.getvalue(),
        reasoning=state.reasoning.getvalue() if state.reasoning else "",
        refusal=state.refusal.getvalue() if state.refusal else "",
        spoken=parts.audio(state.spoken),
        calls=state.calls.calls() if state.calls else [],
        finish=state.finish,
        logprobs=state.logprobs,
    )


def _merged_logprobs(known: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """The lists of both, one after the other; a member that isn't a list is the newest."""
    if known is None:
        return {name: list(value) if is_array(value) else value for name, value in new.items()}
    for name, value in new.items():
        before = known.get(name)
        if is_array(before) and is_array(value):
            before.extend(value)
        elif value is not None or name not in known:
            known[name] = list(value) if is_array(value) else value
    return known


def _merged_audio(known: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """The pieces of `data` and `transcript` one after the other; the rest is the newest."""
    merged = dict(known or {})
    for name, value in new.items():
        before = merged.get(name)
        pieces = name in ("data", "transcript") and isinstance(before, str) and isinstance(value, str)
        merged[name] = f"{before}{value}" if pieces else value
    return merged


def _json_lines(data: bytes) -> list[bytes] | None:
    """The lines of an event, if each of them is a JSON value (or the end mark) and their join is not."""
    if _is_json(data):
        return None
    lines = [line for line in data.split(b"\n") if line.strip()]
    whole = len(lines) > 1 and all(line.strip().startswith(_DONE) or _is_json(line) for line in lines)
    return lines if whole else None


def _is_json(data: bytes) -> bool:
    try:
        _, _, rest = jsontext.read(data)
    except jsontext.NotJsonError:
        return False
    return not rest


def _is_json_object(data: bytes) -> bool:
    return data.startswith(b"{") and _is_json(data)

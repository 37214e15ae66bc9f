"""Accumulate the chunks of one stream into the answer that a whole answer would have been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from botticelli.core.message import NOTHING
from botticelli.core.response import GenerateResponse, StreamChunk
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.choice import ChoiceAccumulator
from botticelli.dialects.openai.errors import FAILED
from botticelli.dialects.openai.response import read_usage
from botticelli.dialects.openai.unknown import Extras
from botticelli.protocol.deviations import DeviationLog
from botticelli.protocol.lenient_json import is_array, is_object
from botticelli.protocol.limits import DEFAULT_LIMITS, too_much

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.core.response import Usage
    from botticelli.dialects.openai.adaptive import AdaptiveDecoder
    from botticelli.protocol.limits import Limits

__all__ = ["ResponseAccumulator", "is_frame"]

_FAST = msgspec.json.Decoder(wire.FastChunk)
_NO_DELTA = wire.FastDelta()
_NOTHING_BESIDE = wire.UnknownOfChoice({}, {}, [])


_NEVER = b"\xff"
"""What no event begins with, for it isn't UTF-8."""
_MARK = "\u2402"
_RARELY = 16
"""Events between two looks for the frame, times the looks so far."""


class Frame(NamedTuple):
    """Hold what most events of a stream have in common: all but their text.

    Attributes:
        head: The bytes before the text.
        tail: The bytes after it.
        state: The choice that it belongs to.
        unknown: The members that no struct names, the same in each.
        extra: The same for the chunk.
    """

    head: bytes
    tail: bytes
    state: ChoiceAccumulator
    unknown: wire.Unknown | None
    extra: Mapping[str, Any]


class ResponseAccumulator:
    """Accumulate the chunks of one stream.

    Attributes:
        decode: Reads the next event; refuses one with a member that no struct names.
        choices: The answers by index, in the order of their first chunks.
        has_grown: Whether something other than text and tool calls was added, which counts as
            `Limits.max_nodes`; the caller counts, and sets it back.
        frame: What most events are but for their text, once that is known: such an event needs no decoder.
        head: How these events begin.

    Args:
        log: Where to note what only a stream can do wrong.
        structural: Where to note what the strict contract would reject too.
        n: How many answers were asked for. If one was, others give no chunks.
        limits: How much the answer may hold.
    """

    def __init__(
        self,
        log: DeviationLog,
        structural: DeviationLog,
        *,
        n: int = 1,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.decode: Any = _FAST.decode
        self.choices: dict[int, ChoiceAccumulator] = {}
        self.has_grown = False
        self._log = log
        self._structural = structural
        self._limits = limits
        self._most_choices = max(n, limits.max_choices)
        self._many = n > 1
        self._head = GenerateResponse()
        self._extra: Extras | None = None
        # what the last chunk said, which the next one says again
        self._id: str | None = None
        self._model: str | None = None
        self._created: int | None = None
        self._tier: str | None = None
        self._fingerprint: str | None = None
        self._usage: Any = None
        self._usage_in_choice: Any = None
        self._usage_extra: Extras | None = None
        self._usages = 0
        self.frame: Frame | None = None
        self.head = _NEVER
        self._looks = 0
        self._unframed = 0

    def take_framed(self, data: bytes, chunks: list[StreamChunk]) -> bool:
        """Take an event that begins as the frame does.

        Args:
            data: Its bytes.
            chunks: Where to put what it brings.

        Returns:
            Whether it is one of these. If not, nothing was taken.
        """
        frame = self.frame
        if frame is None or not data.endswith(frame.tail):
            return False
        try:
            text = data[len(frame.head) : -len(frame.tail)].decode()
        except UnicodeDecodeError:
            return False
        # what is printable needs no escapes, but for these two; whatever ends a text early is among them
        if not text or '"' in text or "\\" in text or not text.isprintable():
            return False
        state = frame.state
        state.write(text)
        out = state.held if state.held is not None else chunks
        out.append(StreamChunk(text, state.index, extra=frame.extra, raw=data))
        if state.finish is not None:
            state.note_after_finish()
        return True

    def find_frame(self, chunk: wire.FastChunk, data: bytes) -> None:
        """Look, now and then, whether an event that was taken shows what most have in common."""
        self._unframed += 1
        if self._unframed < self._looks * _RARELY:
            return
        self._unframed = 0
        self._looks += 1
        found = self._framed(chunk, data)
        self.frame, self.head = found, found.head if found else _NEVER

    def _framed(self, chunk: wire.FastChunk, data: bytes) -> Frame | None:
        choices = chunk.choices or []
        if len(choices) != 1 or choices[0].delta is None or not choices[0].delta.content:
            return None
        (choice,), head = choices, self._head
        # A chunk that was read by what was learnt has a class of its own, and more in it.
        delta, bare = _bare(choices[0].delta, wire.FastDelta), _bare(choice, wire.FastChoice)
        text = choices[0].delta.content
        bare.delta = None
        if (
            choice.index is None
            or bare != wire.FastChoice(index=choice.index)
            or delta != wire.FastDelta(text, role=delta.role)
            or chunk.usage is not None
            or chunk.error is not None
            or chunk.id not in (None, head.id)
            or chunk.model not in (None, head.model)
            or chunk.created not in (None, head.created)
            or not _is_constant(chunk.unknown)
        ):
            return None
        unknown = chunk.unknown
        extra = {**unknown.chunk, **unknown.choices[0].choice, **unknown.choices[0].delta} if unknown else {}
        written = text.encode()
        for key in (b'"content":"', b'"content": "'):
            start = data.find(key + written + b'"')
            if start >= 0:
                before, after = data[: start + len(key)], data[start + len(key) + len(written) :]
                if is_frame(before, after, data):
                    return Frame(before, after, self.choices[choice.index], unknown, extra or NOTHING)
        return None

    def take(  # noqa: C901 -- the loop of every stream: each branch here is a call saved
        self, chunk: wire.FastChunk, chunks: list[StreamChunk], raw: bytes = b""
    ) -> bool:
        """Take a chunk; the path of nearly every event.

        Args:
            chunk: What came.
            chunks: Where to put what it brings.
            raw: The bytes that it was.

        Returns:
            Whether a choice in it has failed, or can't be read.
        """
        broken = False
        if (
            chunk.id != self._id
            or chunk.created != self._created
            or chunk.model != self._model
            or chunk.system_fingerprint != self._fingerprint
            or chunk.service_tier != self._tier
        ):
            self._introduce(chunk)
        if chunk.usage is not None:
            self._take_usage(chunk.usage)
        if chunk.unknown is not None:
            return self._take_odd(chunk, chunk.unknown, chunks, raw)
        for position, choice in enumerate(chunk.choices or ()):
            index = choice.index
            if index is None:
                index = self._place(position)
            state = self.choices.get(index)
            if state is None:
                begun = self._begin(index, position)
                if begun is None:
                    return True
                state = begun
            out = state.held if state.held is not None else chunks
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
                    and delta.annotations is None
                    and delta.reasoning_details is None
                    and delta.images is None
                ):
                    text = delta.content
                    if text:
                        state.write(text)
                        out.append(StreamChunk(text, index, raw=raw))
                        if state.finish is not None:
                            state.note_after_finish()
                else:
                    self._rich(state, delta, choice.logprobs, out, raw)
                    broken = broken or self._structural.unreadable is not None
            elif choice.logprobs is not None:
                self._rich(state, _NO_DELTA, choice.logprobs, out, raw)
            if choice.finish_reason is not None:
                state.set_finish(choice.finish_reason)
                broken = broken or choice.finish_reason in FAILED
            if choice.message is not None or choice.text is not None or choice.usage is not None:
                self._beside(state, choice, out, raw)
        return broken

    def _take_odd(
        self, chunk: wire.FastChunk, unknown: wire.Unknown, chunks: list[StreamChunk], raw: bytes
    ) -> bool:
        """Take a chunk with members that no struct names; the same as `take`, and those."""
        broken = False
        if self.frame is not None and unknown != self.frame.unknown:
            self._unframe()  # the newest value counts
        if unknown.chunk:
            self._extra = self._extra or Extras(repeats=True)
            self._extra.take(unknown.chunk)
        before = len(chunks)
        for position, choice in enumerate(chunk.choices or ()):
            index = self._place(position) if choice.index is None else choice.index
            state = self.choices.get(index) or self._begin(index, position)
            if state is None:
                return True
            out = state.held if state.held is not None else chunks
            beside = unknown.choices[position] if position < len(unknown.choices) else _NOTHING_BESIDE
            state.keep(beside.choice, beside.delta)
            extra = {**unknown.chunk, **beside.choice, **beside.delta}
            self._rich(state, choice.delta or _NO_DELTA, choice.logprobs, out, raw, extra, beside.blocks)
            broken = broken or self._structural.unreadable is not None
            if choice.finish_reason is not None:
                state.set_finish(choice.finish_reason)
                broken = broken or choice.finish_reason in FAILED
            self._beside(state, choice, out, raw)
        if unknown.chunk and len(chunks) == before:
            chunks.append(StreamChunk(extra=unknown.chunk, raw=raw))
        return broken

    def _place(self, position: int) -> int:
        # choices-index-missing: the place in the list is all there is to go by
        self._structural.add("choice-index-missing", f"$.choices[{position}].index", "$.choices[].index")
        return position

    def _begin(self, index: int, position: int) -> ChoiceAccumulator | None:
        """Begin a choice, whose chunks are held back if nobody asked for it; None if there are too many."""
        if len(self.choices) >= self._most_choices:
            self._log.refuse_because("$.choices", too_much("max_choices", self._most_choices, "choices"))
            return None
        if index < 0:
            self._structural.add("number-range", f"$.choices[{position}].index", "$.choices[].index")
        state = self.choices[index] = ChoiceAccumulator(index, self._log, self._structural, self._limits)
        if index and not self._many:
            state.held = []
        return state

    def held(self) -> list[StreamChunk]:
        """Return, at the end, the chunks of the first choice, if they were held back.

        A choice that isn't number 0 may turn out to be the only one, which only the end shows.
        """
        if self._many or not self.choices:
            return []
        return self.choices[min(self.choices)].held or []

    def _rich(
        self,
        state: ChoiceAccumulator,
        delta: wire.FastDelta,
        logprobs: Any,
        chunks: list[StreamChunk],
        raw: bytes,
        extra: Mapping[str, Any] = NOTHING,
        blocks: list[Any] | None = None,
    ) -> None:
        if logprobs is not None or extra or blocks or delta.annotations or delta.images or delta.audio:
            self.has_grown = True
        rich = state.take(delta, logprobs, raw=raw, extra=extra, blocks=blocks)
        if rich is not None:
            chunks.append(rich)
            if state.finish is not None and state.says_something(rich):
                state.note_after_finish()

    def _beside(
        self, state: ChoiceAccumulator, choice: wire.FastChoice, chunks: list[StreamChunk], raw: bytes
    ) -> None:
        if choice.usage is not None:
            self._log.add("usage-in-choice", f"$.choices[{state.index}].usage", "$.choices[].usage")
            self._usage_in_choice = choice.usage
        # chunk-message-beside-delta, chunk-message-only: some servers stream whole messages
        legacy = state.take_beside(choice, raw)
        if legacy is not None:
            chunks.append(legacy)

    def _take_usage(self, usage: Any) -> None:
        """Take a usage: of the counts the last one counts, so that only that one is read, at the end."""
        if self._usage is not None and is_object(self._usage):
            self._usage_extra = self._usage_extra or Extras()
            self._usage_extra.take(self._usage)
        self._usage = usage
        self._usages += 1

    def _introduce(self, chunk: wire.FastChunk) -> None:
        """Take what a chunk says of the answer as a whole, and note where it contradicts another."""
        self._unframe()
        self._id, self._model, self._created = chunk.id, chunk.model, chunk.created
        self._tier, self._fingerprint = chunk.service_tier, chunk.system_fingerprint
        head = self._head
        for member in ("id", "model", "created"):
            value = getattr(chunk, member)
            before = getattr(head, member)
            if value is not None and not before:  # Azure's first chunk has empty ones
                setattr(head, member, value)
            elif value and value != before:
                self._log.add("ids-differ", f"$.{member}", f"$.{member}")
        # tier-late, fingerprint-null-first: they may come with any chunk, and the newest counts
        head.service_tier = head.service_tier if self._tier is None else self._tier
        known = head.system_fingerprint
        head.system_fingerprint = known if self._fingerprint is None else self._fingerprint

    def _unframe(self) -> None:
        self.frame, self.head = None, _NEVER

    def adapt(self, adaptive: AdaptiveDecoder) -> None:
        """Read the next events by what is known of their server."""
        if adaptive.known:
            self.decode = adaptive.decode

    def compact(self) -> None:
        """Let go of memory that small pieces waste; to be called now and then."""
        for state in self.choices.values():
            state.compact()

    @property
    def has_usage(self) -> bool:
        """Return whether the server sent a usage, wherever it stood."""
        return self._usages > 0 or self._usage_in_choice is not None

    def unfinished(self) -> list[int]:
        """Return the indexes of the choices that have no finish reason yet."""
        return [index for index, state in self.choices.items() if state.finish is None]

    def settle(self) -> list[StreamChunk]:
        """Take, at the end, what only whole messages inside the stream contained; return its chunks."""
        if self._usages > 1:
            self._log.add("usage-repeated", "$.usage", count=self._usages - 1)
        chunks: list[StreamChunk] = []
        for state in self.choices.values():
            if chunk := state.settle():
                (chunks if state.held is None else state.held).append(chunk)
        return chunks

    def build(self, *, last: bool = False) -> GenerateResponse:
        """Return the answer so far.

        Args:
            last: Whether this is the end: then the buffers are emptied, and deviations are logged.
        """
        head = self._head
        return GenerateResponse(
            choices=[state.build(last=last) for _, state in sorted(self.choices.items())],
            id=head.id,
            model=head.model,
            created=head.created,
            usage=self._read_usage(self._structural if last else DeviationLog()),
            service_tier=head.service_tier,
            system_fingerprint=head.system_fingerprint,
            extra=self._extra.value() if self._extra else NOTHING,
        )

    def _read_usage(self, log: DeviationLog) -> Usage | None:
        raw = self._usage if self._usage is not None else self._usage_in_choice
        if raw is None:
            return None
        usage = read_usage(raw, log)
        if usage is not None and self._usage_extra is not None:
            # what only an earlier one said: of the members that have no word, nothing is lost
            earlier = read_usage(self._usage_extra.value(), DeviationLog())
            if earlier is not None and earlier.extra:
                return msgspec.structs.replace(usage, extra={**earlier.extra, **usage.extra})
        return usage


def _bare(struct: Any, shape: Any) -> Any:
    """Return a struct without what was learnt, whatever class it has."""
    return shape(**{name: getattr(struct, name) for name in shape.__struct_fields__})


def _is_constant(unknown: wire.Unknown | None) -> bool:
    """Return whether it is all the same if these members come once or many times with the same value."""
    if unknown is None:
        return True
    (choice,) = unknown.choices
    return (
        not choice.blocks
        and not any(is_array(value) for value in choice.choice.values())
        and not any(isinstance(value, str | list) for value in choice.delta.values())
    )


def is_frame(head: bytes, tail: bytes, data: bytes) -> bool:
    """Return whether what stands between these bytes is the text of the first choice, and nothing else.

    An event with a mark in place of its text must be the same but for that. Then the head ends inside of the
    text and the tail begins with its end, whatever else stands there without a quote or a backslash.
    """
    try:
        value, marked = msgspec.json.decode(data), msgspec.json.decode(head + _MARK.encode() + tail)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    value["choices"][0]["delta"]["content"] = _MARK
    return bool(value == marked)

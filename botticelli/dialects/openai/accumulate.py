"""Accumulate the chunks of one stream into the answer that a whole answer would have been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.core.response import Choice, GenerateResponse, StreamChunk, ToolCallDelta
from botticelli.dialects.openai import convert, wire
from botticelli.dialects.openai.errors import FAILED
from botticelli.dialects.openai.repair import mend
from botticelli.dialects.openai.response import repair_response
from botticelli.dialects.openai.toolcalls import ToolCallAccumulator
from botticelli.protocol.deviations import DeviationLog
from botticelli.protocol.lenient_json import as_id, as_text, is_array, is_object
from botticelli.protocol.limits import DEFAULT_LIMITS, too_much
from botticelli.protocol.textbuffer import TextBuffer

if TYPE_CHECKING:
    from botticelli.core.response import Usage
    from botticelli.dialects.openai.repair import AdaptiveDecoder
    from botticelli.protocol.limits import Limits

__all__ = ["ChoiceAccumulator", "ResponseAccumulator"]

_FAST = msgspec.json.Decoder(wire.FastChunk)
_FIRST = msgspec.json.Decoder(wire.FirstChunk)
_NO_DELTA = wire.FastDelta()


class _UsageOnly(msgspec.Struct):
    usage: wire.Usage | msgspec.UnsetType = msgspec.UNSET


class ResponseAccumulator:
    """Accumulate the chunks of one stream.

    Attributes:
        decode: Reads the next event: with the answer's id and model as long as they aren't known.
        choices: The answers by index, in the order of their first chunks.
        has_grown: Whether something other than text and tool calls was added, which counts as
            `Limits.max_nodes`; the caller counts, and sets it back.

    Args:
        log: Where to note what only a stream can do wrong.
        structural: Where to note what the strict contract would reject too.
        n: How many answers were asked for.
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
        self.decode: Any = _FIRST.decode
        self.choices: dict[int, ChoiceAccumulator] = {}
        self.has_grown = False
        self._log = log
        self._structural = structural
        self._limits = limits
        self._most_choices = max(n, limits.max_choices)
        self._head = GenerateResponse()
        self._introduced = False
        self._usage: Any = None
        self._usage_in_choice: Any = None
        self._usages = 0

    def take(  # noqa: C901 -- the loop of every stream: each branch here is a call saved
        self, chunk: wire.FastChunk, chunks: list[StreamChunk]
    ) -> bool:
        """Take a chunk; the path of nearly every event.

        Args:
            chunk: What came.
            chunks: Where to put what it brings.

        Returns:
            Whether a choice in it has failed, or can't be read.
        """
        broken = False
        if not self._introduced:
            self._introduce(chunk)
        if chunk.usage is not None:
            # The last one counts, so that only that one is read, at the end.
            self._usage = chunk.usage
            self._usages += 1
        for position, choice in enumerate(chunk.choices or ()):
            index = choice.index
            if index is None:
                # choices-index-missing: the place in the list is all there is to go by
                index = position
                self._structural.add("choice-index-missing", f"$.choices[{index}].index", "$.choices[].index")
            state = self.choices.get(index)
            if state is None:
                if len(self.choices) >= self._most_choices:
                    excess = too_much("max_choices", self._most_choices, "choices")
                    self._log.refuse_because("$.choices", excess)
                    return True
                if index < 0:
                    self._structural.add("number-range", f"$.choices[{position}].index", "$.choices[].index")
                state = ChoiceAccumulator(index, self._log, self._structural, self._limits)
                self.choices[index] = state
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
                ):
                    text = delta.content
                    if text:
                        state.write(text)
                        chunks.append(StreamChunk(text, index))
                        if state.finish is not None:
                            state.note_after_finish()
                else:
                    self._rich(state, delta, choice.logprobs, chunks)
                    broken = broken or self._structural.unreadable is not None
            elif choice.logprobs is not None:
                self._rich(state, _NO_DELTA, choice.logprobs, chunks)
            if choice.finish_reason is not None:
                state.set_finish(choice.finish_reason)
                broken = broken or choice.finish_reason in FAILED
            if choice.message is not None or choice.text is not None or choice.usage is not None:
                self._beside(state, choice, chunks)
        return broken

    def _rich(
        self, state: ChoiceAccumulator, delta: wire.FastDelta, logprobs: Any, chunks: list[StreamChunk]
    ) -> None:
        if logprobs is not None or delta.annotations is not None or delta.audio is not None:
            self.has_grown = True
        rich = state.take(delta, logprobs)
        if rich is not None:
            chunks.append(rich)
            if state.finish is not None:
                state.note_after_finish()

    def _beside(self, state: ChoiceAccumulator, choice: wire.FastChoice, chunks: list[StreamChunk]) -> None:
        if choice.usage is not None:
            self._log.add("usage-in-choice", f"$.choices[{state.index}].usage", "$.choices[].usage")
            self._usage_in_choice = choice.usage
        # chunk-message-beside-delta, chunk-message-only: some servers stream whole messages
        legacy = state.take_beside(choice)
        if legacy is not None:
            chunks.append(legacy)

    def _introduce(self, chunk: wire.FastChunk) -> None:
        """Take the answer's id and model from the first chunks that have them."""
        if not isinstance(chunk, wire.FirstChunk):
            return
        head = self._head
        head.id = head.id or as_id(chunk.id)
        if isinstance(chunk.model, str) and not head.model:
            head.model = chunk.model
        if isinstance(chunk.created, int | float) and not head.created:
            head.created = int(chunk.created)
        if isinstance(chunk.service_tier, str):
            head.service_tier = chunk.service_tier
        if isinstance(chunk.system_fingerprint, str):
            head.system_fingerprint = chunk.system_fingerprint
        if head.id and head.model:
            self.decode = _FAST.decode
            self._introduced = True

    def adapt(self, adaptive: AdaptiveDecoder) -> None:
        """Read the next events by what is known of their server, once the answer's id and model are."""
        if self._introduced and adaptive.known:
            self.decode = adaptive.decode

    def compact(self) -> None:
        """Let go of memory that small pieces waste; to be called now and then."""
        for state in self.choices.values():
            state.compact()

    def unfinished(self) -> list[int]:
        """Return the indexes of the choices that have no finish reason yet."""
        return [index for index, state in self.choices.items() if state.finish is None]

    def settle(self) -> list[StreamChunk]:
        """Take, at the end, what only whole messages inside the stream contained; return its chunks."""
        if self._usages > 1:
            self._log.add("usage-repeated", "$.usage", count=self._usages - 1)
        return [chunk for state in self.choices.values() if (chunk := state.settle())]

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
        )

    def _read_usage(self, log: DeviationLog) -> Usage | None:
        raw = self._usage if self._usage is not None else self._usage_in_choice
        if raw is None:
            return None
        try:
            counted: wire.Usage | None = msgspec.convert(raw, wire.Usage)
        except msgspec.ValidationError:
            # A usage that can't be read is unknown; losing it is better than losing the answer.
            counted = mend({"usage": raw}, _UsageOnly, log).usage or None
        return convert.to_usage(counted) if counted else None


_PUBLISHED = ("stop", "length", "tool_calls", "content_filter", "function_call")


class _Spoken:
    """Accumulate spoken output: its texts grow by pieces; of its other members the newest value counts."""

    __slots__ = ("_rest", "_texts")

    def __init__(self) -> None:
        self._rest: dict[str, Any] = {}
        self._texts = {"data": TextBuffer(), "transcript": TextBuffer()}

    def take(self, piece: dict[str, Any]) -> None:
        for name, value in piece.items():
            if name in self._texts:
                self._texts[name].append(as_text(value))
            else:
                self._rest[name] = value

    def value(self) -> dict[str, Any]:
        return self._rest | {name: text.value() for name, text in self._texts.items()}


class ChoiceAccumulator:
    """Accumulate one choice of a stream.

    Attributes:
        write: Takes the next piece of text.
        finish: The server's word for why it stopped, or None as long as there is none.

    Args:
        index: Which of the n answers.
        log: Where to note what only a stream can do wrong.
        structural: Where to note what the strict contract would reject too; apart from `log` where the
            contract is asked anyway, so that nothing counts twice.
        limits: How much it may hold.
    """

    __slots__ = (
        "_annotations",
        "_calls",
        "_limits",
        "_log",
        "_logprobs",
        "_message",
        "_reasoning",
        "_refusal",
        "_spoken",
        "_structural",
        "_text",
        "finish",
        "index",
        "write",
    )

    def __init__(
        self, index: int, log: DeviationLog, structural: DeviationLog, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.index = index
        self.finish: Any = None
        self._limits = limits
        self._text = TextBuffer()
        self.write = self._text.append
        self._log = log
        self._structural = structural
        self._reasoning: TextBuffer | None = None
        self._refusal: TextBuffer | None = None
        self._calls: ToolCallAccumulator | None = None
        self._logprobs: Any = None
        self._annotations: list[Any] = []
        self._message: Any = None
        self._spoken: _Spoken | None = None

    def take(self, delta: wire.FastDelta, logprobs: Any = None) -> StreamChunk | None:
        """Take a delta that has more than text; return its chunk, or None if nothing in it is new."""
        text = delta.content or ""
        if text:
            self.write(text)
        thought = convert.join_reasoning(
            delta.reasoning_content, delta.reasoning, delta.reasoning_text, delta.thinking
        )
        if thought:
            self._reasoning = self._reasoning or TextBuffer()
            self._reasoning.append(thought)
        if delta.refusal:
            self._refusal = self._refusal or TextBuffer()
            self._refusal.append(delta.refusal)
        pieces = self._take_calls(delta)
        if is_object(delta.audio):
            self._spoken = self._spoken or _Spoken()
            self._spoken.take(delta.audio)
        if is_array(delta.annotations):
            self._annotations += delta.annotations
            if len(self._annotations) > (most := self._limits.max_parts):
                excess = too_much("max_parts", most, "parts in one choice")
                self._log.refuse_because(f"$.choices[{self.index}].delta.annotations", excess)
        if logprobs is not None:
            self._logprobs = _merged_logprobs(self._logprobs, logprobs)
        if not (text or thought or delta.refusal or pieces or logprobs):
            return None
        return StreamChunk(
            text,
            self.index,
            reasoning=thought,
            refusal=delta.refusal or "",
            tool_calls=pieces,
            logprobs=logprobs,
        )

    def _take_calls(self, delta: wire.FastDelta) -> tuple[ToolCallDelta, ...]:
        pieces: tuple[ToolCallDelta, ...] = ()
        if delta.tool_calls or delta.function_call:
            calls = self._calls = self._calls or ToolCallAccumulator(
                self._log, self._structural, f"$.choices[{self.index}].delta", self._limits
            )
            pieces = calls.take(delta.tool_calls or ())
            # tool-legacy-function-call: some servers send a call twice, under both names.
            present = [call.get("function") for call in delta.tool_calls or ()]
            if delta.function_call and delta.function_call not in present:
                pieces += calls.take_legacy(delta.function_call)
        return pieces

    def take_beside(self, choice: wire.FastChoice) -> StreamChunk | None:
        """Take what stands beside the delta: a snapshot of the message, or the text of old completions."""
        if choice.message:
            self._note("message-in-stream", "message")
            self._message = choice.message
        if not choice.text or (choice.delta is not None and choice.delta.content):
            return None
        self.write(choice.text)
        return StreamChunk(choice.text, self.index)

    def set_finish(self, word: Any) -> None:
        """Take a finish reason; the first of the published ones counts."""
        if word == "":
            # finish-empty-string: some servers send "" as long as there is no finish reason
            self._note_structural("finish-reason-empty")
            return
        if isinstance(word, str) and word not in _PUBLISHED:
            self._note_structural("finish-reason-unknown")
        if self.finish is not None:
            # finish-repeated: the first published word counts; an unpublished one gives way to it
            self._note("finish-reason-repeated", "finish_reason")
            if self.finish in _PUBLISHED or word not in _PUBLISHED:
                return
        self.finish = word

    def note_after_finish(self) -> None:
        """Note that content followed the finish reason, as in finish-text-after."""
        self._note("delta-after-finish", "delta")

    def _note(self, code: str, member: str) -> None:
        self._log.add(code, f"$.choices[{self.index}].{member}", f"$.choices[].{member}")

    def _note_structural(self, code: str) -> None:
        self._structural.add(code, f"$.choices[{self.index}].finish_reason", "$.choices[].finish_reason")

    def settle(self) -> StreamChunk | None:
        """Take, at the end, what only a whole message inside the stream contained.

        Returns:
            What it brings, or None.
        """
        if self._message is None:
            return None
        message = self._message if not isinstance(self._message, str) else {"content": self._message}
        snapshot = {"index": self.index, "message": message}
        # chunk-message-snapshot-last: message-in-stream is logged already, so what is wrong inside isn't
        inside = DeviationLog()
        whole = repair_response({"choices": [snapshot]}, inside).choices[0]
        self._log.unreadable = self._log.unreadable or inside.unreadable
        calls = [
            {"index": position, **convert.encode_call(call)} for position, call in enumerate(whole.tool_calls)
        ]
        return self.take(
            wire.FastDelta(
                content=None if self._text else whole.text,
                reasoning=None if self._reasoning else whole.reasoning,
                refusal=None if self._refusal else whole.refusal,
                tool_calls=None if self._calls else calls,
                audio=self._message.get("audio") if is_object(self._message) and not self._spoken else None,
                annotations=None if self._annotations else whole.annotations,
            )
        )

    def compact(self) -> None:
        """Let go of memory that small pieces waste; to be called now and then."""
        for buffer in (self._text, self._reasoning, self._refusal):
            if buffer is not None:
                buffer.compact()

    def build(self, *, last: bool = False) -> Choice:
        """Return the choice so far.

        Args:
            last: Whether this is the end: then the buffers are emptied, and deviations are logged.
        """
        return convert.build_choice(
            self.index,
            text=self._text.take() if last else self._text.value(),
            reasoning=self._reasoning.value() if self._reasoning else "",
            refusal=self._refusal.value() if self._refusal else "",
            spoken=convert.to_audio(self._spoken.value()) if self._spoken else None,
            calls=self._calls.calls() if self._calls else [],
            finish=self.finish,
            logprobs=_copied(self._logprobs),
            annotations=list(self._annotations),
            log=self._log if last else DeviationLog(),
            path=f"$.choices[{self.index}]",
        )


def _copied(logprobs: Any) -> Any:
    """Return a copy with lists of its own, which may then grow."""
    if is_object(logprobs):
        return {name: list(value) if is_array(value) else value for name, value in logprobs.items()}
    return list(logprobs) if is_array(logprobs) else logprobs


def _merged_logprobs(known: Any, new: Any) -> Any:
    """Return the lists of both, one after the other; of other values the newest."""
    if is_array(known) and is_array(new):
        known.extend(new)
        return known
    if not is_object(known) or not is_object(new):
        return _copied(new)
    for name, value in new.items():
        before = known.get(name)
        if is_array(before) and is_array(value):
            before.extend(value)
        elif value is not None or name not in known:
            known[name] = list(value) if is_array(value) else value
    return known

"""The chunks of one stream -> the answer that a whole answer would have been. No bytes, no events, no I/O.

`OpenAIStreamReader` reads the events and knows when the stream ends; what its chunks say is gathered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.core.response import GenerateResponse, StreamChunk
from botticelli.dialects.openai import convert, wire
from botticelli.dialects.openai.choices import ChoiceState
from botticelli.protocol.deviations import Notes

if TYPE_CHECKING:
    from botticelli.core.response import Usage
    from botticelli.dialects.openai.events import EventReader
    from botticelli.dialects.openai.loose import LooseDecoder

__all__ = ["Assembly"]

_FAST = msgspec.json.Decoder(wire.FastChunk)
_FIRST = msgspec.json.Decoder(wire.FirstChunk)
_NO_DELTA = wire.FastDelta()


class Assembly:
    """What the chunks of one stream have said so far.

    Attributes:
        decode: Reads the next event: with the answer's id and model as long as they aren't known.
        choices: The answers by index, in the order of their first chunks.

    Args:
        notes: Where to note what only a stream can do wrong.
        structural: Where to note what the strict contract would reject too.
    """

    def __init__(self, notes: Notes, structural: Notes) -> None:
        self.decode: Any = _FIRST.decode
        self.choices: dict[int, ChoiceState] = {}
        self._notes = notes
        self._structural = structural
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
            # Kept as bytes: the last one counts, and is read at the end.
            self._usage = chunk.usage
            self._usages += 1
        for position, choice in enumerate(chunk.choices or ()):
            index = choice.index
            if index is None:
                index = position
                self._structural.add("choice-index-missing", f"$.choices[{index}].index", "$.choices[].index")
            state = self.choices.get(index)
            if state is None:
                state = self.choices[index] = ChoiceState(index, self._notes, self._structural)
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
                            state.late()
                else:
                    self._rich(state, delta, choice.logprobs, chunks)
                    broken = broken or self._structural.fault is not None
            elif choice.logprobs is not None:
                self._rich(state, _NO_DELTA, choice.logprobs, chunks)
            if choice.finish_reason is not None:
                state.finished(choice.finish_reason)
                broken = broken or choice.finish_reason == "error"
            if choice.message is not None or choice.text is not None or choice.usage is not None:
                self._beside(state, choice, chunks)
        return broken

    def _rich(
        self, state: ChoiceState, delta: wire.FastDelta, logprobs: Any, chunks: list[StreamChunk]
    ) -> None:
        rich = state.take(delta, logprobs)
        if rich is not None:
            chunks.append(rich)
            if state.finish is not None:
                state.late()

    def _beside(self, state: ChoiceState, choice: wire.FastChoice, chunks: list[StreamChunk]) -> None:
        if choice.usage is not None:
            self._notes.add("usage-in-choice", f"$.choices[{state.index}].usage", "$.choices[].usage")
            self._usage_in_choice = choice.usage
        legacy = state.take_beside(choice)
        if legacy is not None:
            chunks.append(legacy)

    def _introduce(self, chunk: wire.FastChunk) -> None:
        """Take the answer's id and model from the first chunks that have them."""
        if not isinstance(chunk, wire.FirstChunk):
            return
        head = self._head
        head.id = head.id or convert.id_text(chunk.id)
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

    def loosen(self, loose: LooseDecoder) -> None:
        """Read the next events by what is known of their server, once the answer's id and model are."""
        if self._introduced and loose.known:
            self.decode = loose.decode

    def compact(self) -> None:
        """Let go of memory that small pieces waste; to be called now and then."""
        for state in self.choices.values():
            state.compact()

    def unfinished(self) -> list[int]:
        """The choices that no finish reason has come for."""
        return [index for index, state in self.choices.items() if state.finish is None]

    def settle(self) -> list[StreamChunk]:
        """At the end: let messages that came in the stream count for what no delta told."""
        if self._usages > 1:
            self._notes.add("usage-repeated", "$.usage", count=self._usages - 1)
        return [chunk for state in self.choices.values() if (chunk := state.settle())]

    def build(self, reader: EventReader, *, last: bool = False) -> GenerateResponse:
        """The answer as far as it has come.

        Args:
            reader: Reads a usage that breaks the format.
            last: Whether this is the end: the text need not be kept twice, and what was odd is noted.
        """
        head = self._head
        return GenerateResponse(
            choices=[state.build(last=last) for _, state in sorted(self.choices.items())],
            id=head.id,
            model=head.model,
            created=head.created,
            usage=self._read_usage(reader, self._structural if last else Notes()),
            service_tier=head.service_tier,
            system_fingerprint=head.system_fingerprint,
        )

    def _read_usage(self, reader: EventReader, notes: Notes) -> Usage | None:
        raw = self._usage if self._usage is not None else self._usage_in_choice
        if raw is None:
            return None
        try:
            counted: wire.Usage | None = msgspec.convert(raw, wire.Usage)
        except msgspec.ValidationError:
            counted = reader.usage(raw, notes)
        return convert.usage(counted) if counted else None

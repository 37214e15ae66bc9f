"""Accumulate the deltas of one choice of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botticelli.core.message import NOTHING, Audio, Image, Other, Reasoning, Text
from botticelli.core.response import Choice, Citations, StreamChunk, ToolCallDelta
from botticelli.dialects.openai import convert, wire
from botticelli.dialects.openai.response import repair_response
from botticelli.dialects.openai.toolcalls import ToolCallAccumulator
from botticelli.dialects.openai.unknown import Extras, merge
from botticelli.protocol.deviations import DeviationLog
from botticelli.protocol.lenient_json import as_text, is_array, is_object
from botticelli.protocol.limits import DEFAULT_LIMITS, too_much
from botticelli.protocol.textbuffer import TextBuffer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botticelli.protocol.limits import Limits

__all__ = ["ChoiceAccumulator"]

_PUBLISHED = ("stop", "length", "tool_calls", "content_filter", "function_call")


class _Spoken:
    """Accumulate spoken output: its texts grow by pieces; its other members are merged."""

    __slots__ = ("_rest", "_texts")

    def __init__(self) -> None:
        self._rest: dict[str, Any] = {}
        self._texts = {"data": TextBuffer(), "transcript": TextBuffer()}

    def take(self, piece: dict[str, Any]) -> None:
        for name, text in self._texts.items():
            text.append(as_text(piece.get(name)))
        merge(self._rest, {name: value for name, value in piece.items() if name not in self._texts})

    def value(self) -> dict[str, Any]:
        return self._rest | {name: text.value() for name, text in self._texts.items()}


class ChoiceAccumulator:
    """Accumulate one choice of a stream.

    Attributes:
        write: Takes the next piece of text.
        finish: The server's finish reason, or None as long as there is none.

    Args:
        index: Which of the n answers.
        log: Where to note what only a stream can do wrong.
        structural: Where to note what the strict contract would reject too; in an audit, which validates
            against the contract, it isn't `log`, so that nothing counts twice.
        limits: How much it may hold.
    """

    __slots__ = (
        "_annotations",
        "_blocks",
        "_calls",
        "_details",
        "_extra",
        "_images",
        "_limits",
        "_log",
        "_logprobs",
        "_message",
        "_message_extra",
        "_reasoning",
        "_refusal",
        "_spoken",
        "_structural",
        "_text",
        "finish",
        "held",
        "index",
        "write",
    )

    def __init__(
        self, index: int, log: DeviationLog, structural: DeviationLog, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.index = index
        self.finish: Any = None
        self._limits = limits
        self.held: list[StreamChunk] | None = None
        self._text = TextBuffer()
        self.write = self._text.append
        self._blocks: list[TextBuffer | Image | Other] = [self._text]
        self._log = log
        self._structural = structural
        self._reasoning: list[tuple[str, TextBuffer]] = []
        self._details: _Details | None = None
        self._refusal: TextBuffer | None = None
        self._calls: ToolCallAccumulator | None = None
        self._logprobs: Any = None
        self._annotations: list[Any] = []
        self._images: list[Image | Other] = []
        self._message: Any = None
        self._spoken: _Spoken | None = None
        self._extra: Extras | None = None
        self._message_extra: Extras | None = None

    def keep(self, beside: Mapping[str, Any], inside: Mapping[str, Any]) -> None:
        """Keep the members of the choice, and of its delta, that no struct names."""
        if beside:
            self._extra = self._extra or Extras()
            self._extra.take(beside)
        if inside:
            self._message_extra = self._message_extra or Extras(pieces=True)
            self._message_extra.take(inside)

    @staticmethod
    def says_something(chunk: StreamChunk) -> bool:
        """Return whether there is more in a chunk than members that no struct names."""
        return bool(
            chunk.text
            or chunk.reasoning
            or chunk.refusal
            or chunk.tool_calls
            or chunk.logprobs
            or chunk.blocks
        )

    def take(
        self,
        delta: wire.FastDelta,
        logprobs: Any = None,
        *,
        raw: bytes = b"",
        extra: Mapping[str, Any] = NOTHING,
        blocks: list[Any] | None = None,
    ) -> StreamChunk | None:
        """Take a delta that has more than text; return its chunk, or None if nothing in it is new.

        Args:
            delta: What came.
            logprobs: The log probabilities beside it.
            raw: The bytes of the event.
            extra: Members that no struct names, for the chunk.
            blocks: Its content in blocks, if it isn't only text.
        """
        text = delta.content or ""
        placed = self._place(blocks) if blocks else []
        self._limit(len(self._blocks), "content")
        if text and not blocks:
            self.write(text)
        thought = self._think(delta, blocks or ())
        if delta.refusal:
            self._refusal = self._refusal or TextBuffer()
            self._refusal.append(delta.refusal)
        pieces = self._take_calls(delta)
        heard: list[Audio] = []
        if is_object(delta.audio):
            self._spoken = self._spoken or _Spoken()
            self._spoken.take(delta.audio)
            piece = convert.to_audio(delta.audio)
            if piece and (piece.transcript or piece.source.value):
                heard.append(piece)
        if delta.images:
            images = convert.to_blocks(delta.images)
            self._images += images
            self._limit(len(self._images), "images")
            placed += images
        cited: tuple[Citations, ...] = ()
        if delta.annotations:
            self._annotations += delta.annotations
            self._limit(len(self._annotations), "annotations")
            cited = (Citations(delta.annotations),)
        if logprobs is not None:
            self._logprobs = _merged_logprobs(self._logprobs, logprobs)
        if not (text or thought or delta.refusal or pieces or logprobs or placed or heard or cited or extra):
            return None
        return StreamChunk(
            text,
            self.index,
            reasoning=thought,
            refusal=delta.refusal or "",
            tool_calls=pieces,
            logprobs=logprobs,
            blocks=(*placed, *heard, *cited),
            extra=extra,
            raw=raw,
        )

    def _limit(self, count: int, member: str) -> None:
        """Refuse the answer if a member holds too many parts."""
        if count > (most := self._limits.max_parts):
            excess = too_much("max_parts", most, "parts in one choice")
            self._log.refuse_because(f"$.choices[{self.index}].delta.{member}", excess)

    def _place(self, blocks: list[Any]) -> list[Image | Other]:
        """Put blocks where they stand: between what was written before and what follows."""
        for block in blocks:
            if isinstance(block, Text):
                self.write(block.text)
            elif not isinstance(block, Reasoning):
                self._text = TextBuffer()
                self.write = self._text.append
                self._blocks += [block, self._text]
        return [block for block in blocks if not isinstance(block, Text | Reasoning)]

    def _think(self, delta: wire.FastDelta, blocks: Iterable[Any] = ()) -> str:
        """Take the reasoning of a delta, and return what there is to read of it.

        Args:
            delta: What came.
            blocks: Its content in blocks, some of which may be reasoning.
        """
        details = delta.reasoning_details
        if details is not None:
            if self._details is None:
                self._details = _Details()
            self._details.take(details)
            self._limit(len(self._details), _DETAILS)
        # The name by the text, for the same text under two names counts once (reasoning-content-parts).
        names: dict[str, str] = {}
        for name in convert.REASONING:
            text = getattr(delta, name)
            if text is not None:
                names.setdefault(text, name)
        for block in blocks:
            if isinstance(block, Reasoning):
                names.setdefault(block.text, "content")
        if details and not any(names) and not any(name != _DETAILS for name, held in self._reasoning if held):
            names = {convert.details_text(details): _DETAILS}
        for text, name in names.items():
            if not self._reasoning or (text and self._reasoning[-1][0] != name):
                self._reasoning.append((name, TextBuffer()))
            if text:
                self._reasoning[-1][1].append(text)
        return "".join(names)

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

    def take_beside(self, choice: wire.FastChoice, raw: bytes = b"") -> StreamChunk | None:
        """Take what stands beside the delta: a snapshot of the message, or the text of old completions."""
        if choice.message:
            self._note("message-in-stream", "message")
            self._message = choice.message
        if not choice.text or (choice.delta is not None and choice.delta.content):
            return None
        self.write(choice.text)
        return StreamChunk(choice.text, self.index, raw=raw)

    def set_finish(self, reason: Any) -> None:
        """Take a finish reason; the first of the published ones counts."""
        if reason == "":
            # finish-empty-string: some servers send "" as long as there is no finish reason
            self._note_structural("finish-reason-empty")
            return
        if isinstance(reason, str) and reason not in _PUBLISHED:
            self._note_structural("finish-reason-unknown")
        if self.finish is not None:
            # finish-repeated: the first published one counts; an unpublished one gives way to it
            self._note("finish-reason-repeated", "finish_reason")
            if self.finish in _PUBLISHED or reason not in _PUBLISHED:
                return
        self.finish = reason

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
        reasoning: dict[str, Any] = {}
        thoughts: list[Reasoning] = []
        if not any(held for _, held in self._reasoning):
            for block in whole.outputs:
                if isinstance(block, Reasoning):
                    if block.details is not None:
                        reasoning["reasoning_details"] = block.details
                    if block.name in convert.REASONING:
                        reasoning[block.name] = block.text
                    elif block.name == "content":
                        thoughts.append(block)
        known = self._message_extra.value() if self._message_extra else NOTHING
        fresh = {name: value for name, value in whole.message_extra.items() if name not in known}
        self.keep({}, fresh)
        inner = message if is_object(message) else {}
        empty = not any(isinstance(block, TextBuffer) and block for block in self._blocks)
        placed: list[Any] = []
        if empty and is_array(inner.get("content")):
            placed = [block for block in whole.outputs if isinstance(block, Text | Image | Other)]
        images = inner.get("images")
        return self.take(
            wire.FastDelta(
                content=whole.text if empty else None,
                refusal=None if self._refusal else whole.refusal,
                tool_calls=None if self._calls else calls,
                audio=inner.get("audio") if is_object(inner.get("audio")) and not self._spoken else None,
                annotations=None if self._annotations else whole.annotations,
                images=images if is_array(images) and not self._images else None,
                **reasoning,
            ),
            extra=fresh or NOTHING,
            blocks=[*placed, *thoughts] or None,
        )

    def compact(self) -> None:
        """Let go of memory that small pieces waste; to be called now and then."""
        for buffer in (self._text, self._refusal, *(held for _, held in self._reasoning[-1:])):
            if buffer is not None:
                buffer.compact()

    def build(self, *, last: bool = False) -> Choice:
        """Return the choice so far.

        Args:
            last: Whether this is the end: then the buffers are emptied, and deviations are logged.
        """
        content: list[Text | Image | Other] = []
        for block in self._blocks:
            if not isinstance(block, TextBuffer):
                content.append(block)
            elif text := (block.take() if last else block.value()):
                content.append(Text(text))
        has_text = any(held for _, held in self._reasoning)
        reasoning = [Reasoning(held.value(), name) for name, held in self._reasoning if held or not has_text]
        details = None if self._details is None else self._details.value()
        return convert.build_choice(
            self.index,
            content=content,
            reasoning=convert.add_details(reasoning, details),
            refusal=self._refusal.value() if self._refusal else "",
            images=list(self._images),
            spoken=convert.to_audio(self._spoken.value()) if self._spoken else None,
            calls=self._calls.calls() if self._calls else [],
            finish=self.finish,
            logprobs=_copied(self._logprobs),
            annotations=list(self._annotations),
            extra=self._extra.value() if self._extra else NOTHING,
            message_extra=self._message_extra.value() if self._message_extra else NOTHING,
            log=self._log if last else DeviationLog(),
            path=f"$.choices[{self.index}]",
        )


_DETAILS = "reasoning_details"
_GROWING = ("text", "summary", "data")
"""The members of an item of `reasoning_details` that come in pieces."""


class _Details:
    """Gather the items of `reasoning_details`, whose texts may come in pieces."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._texts: list[dict[str, TextBuffer]] = []  # of each item, the members that grow
        self._other: Any = None

    def __len__(self) -> int:
        return len(self._items)

    def take(self, new: Any) -> None:
        """Take more items. A piece with the index and type of the item before continues that one."""
        if not is_array(new):
            self._other, self._items, self._texts = new, [], []
            return
        self._other = None
        for piece in new:
            last = self._items[-1] if self._items else None
            if not (
                is_object(piece)
                and is_object(last)
                and piece.get("index") is not None
                and (piece.get("index"), piece.get("type")) == (last.get("index"), last.get("type"))
            ):
                self._items.append(last := dict(piece) if is_object(piece) else piece)
                self._texts.append({})
            if is_object(piece) and is_object(last):
                self._grow(last, self._texts[-1], piece)

    def value(self) -> Any:
        """Return the items so far, as a copy that doesn't grow."""
        if self._other is not None:
            return self._other
        return [
            {**item, **{name: text.value() for name, text in texts.items()}} if is_object(item) else item
            for item, texts in zip(self._items, self._texts, strict=True)
        ]

    @staticmethod
    def _grow(item: dict[str, Any], texts: dict[str, TextBuffer], piece: dict[str, Any]) -> None:
        merge(item, piece)
        for name, value in piece.items():
            if name in _GROWING and isinstance(value, str):
                texts.setdefault(name, TextBuffer()).append(value)
            elif value is not None:
                texts.pop(name, None)


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

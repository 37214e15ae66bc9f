"""One choice of a stream: deltas -> chunks -> the choice. No bytes, no events, no I/O.

`OpenAIStreamReader` takes the plain text deltas itself, because nearly all are; whatever else a choice of a
chunk may hold comes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botticelli.core.response import Choice, StreamChunk, ToolCallDelta
from botticelli.dialects.openai import convert, wire
from botticelli.dialects.openai.answers import mended
from botticelli.dialects.openai.toolcalls import ToolCallAssembler
from botticelli.protocol.deviations import Notes
from botticelli.protocol.lenient_json import is_array, is_object
from botticelli.protocol.textbuffer import TextBuffer

if TYPE_CHECKING:
    from botticelli.core.message import ToolCall

__all__ = ["ChoiceState"]

_PUBLISHED = ("stop", "length", "tool_calls", "content_filter", "function_call")


class _Spoken:
    """Spoken output as far as it has come: its texts grow by pieces, of the rest the newest counts."""

    __slots__ = ("_rest", "_texts")

    def __init__(self) -> None:
        self._rest: dict[str, Any] = {}
        self._texts = {"data": TextBuffer(), "transcript": TextBuffer()}

    def take(self, piece: dict[str, Any]) -> None:
        for name, value in piece.items():
            if name in self._texts:
                self._texts[name].append(convert.as_text(value))
            else:
                self._rest[name] = value

    def value(self) -> dict[str, Any]:
        return self._rest | {name: text.value() for name, text in self._texts.items()}


class ChoiceState:
    """One choice of a stream, as far as it has come.

    Attributes:
        write: Takes the next piece of text.
        finish: The server's word for why it stopped, or None as long as there is none.

    Args:
        index: Which of the n answers.
        notes: Where to note what only a stream can do wrong.
        structural: Where to note what the strict contract would reject too; apart from `notes` where the
            contract is asked anyway, so that nothing counts twice.
    """

    __slots__ = (
        "_annotations",
        "_calls",
        "_logprobs",
        "_message",
        "_notes",
        "_reasoning",
        "_refusal",
        "_spoken",
        "_structural",
        "_text",
        "finish",
        "index",
        "write",
    )

    def __init__(self, index: int, notes: Notes, structural: Notes) -> None:
        self.index = index
        self.finish: Any = None
        self._text = TextBuffer()
        self.write = self._text.append
        self._notes = notes
        self._structural = structural
        self._reasoning: TextBuffer | None = None
        self._refusal: TextBuffer | None = None
        self._calls: ToolCallAssembler | None = None
        self._logprobs: Any = None
        self._annotations: list[Any] = []
        self._message: Any = None
        self._spoken: _Spoken | None = None

    def take(self, delta: wire.FastDelta, logprobs: Any = None) -> StreamChunk | None:
        """Take a delta that has more than text; give its chunk, or None if nothing is new in it."""
        text = delta.content or ""
        if text:
            self.write(text)
        thought = convert.reasoning_text(
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
            calls = self._calls = self._calls or ToolCallAssembler(
                self._notes, self._structural, f"$.choices[{self.index}].delta"
            )
            pieces = calls.take(delta.tool_calls or ())
            # Some servers tell a call twice, in the old words and in the new.
            told = [call.get("function") for call in delta.tool_calls or ()]
            if delta.function_call and delta.function_call not in told:
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

    def finished(self, word: Any) -> None:
        """Take a finish reason; the first of the published ones counts."""
        if word == "":
            self._note_structural("finish-reason-empty")
            return
        if isinstance(word, str) and word not in _PUBLISHED:
            self._note_structural("finish-reason-unknown")
        if self.finish is not None:
            self._note("finish-reason-repeated", "finish_reason")
            if self.finish in _PUBLISHED or word not in _PUBLISHED:
                return
        self.finish = word

    def late(self) -> None:
        """Note that something came after the finish reason."""
        self._note("delta-after-finish", "delta")

    def _note(self, code: str, member: str) -> None:
        self._notes.add(code, f"$.choices[{self.index}].{member}", f"$.choices[].{member}")

    def _note_structural(self, code: str) -> None:
        self._structural.add(code, f"$.choices[{self.index}].finish_reason", "$.choices[].finish_reason")

    def settle(self) -> StreamChunk | None:
        """At the end: let a message that came in the stream count for what no delta told.

        Returns:
            What it brings, or None.
        """
        if self._message is None:
            return None
        message = self._message if not isinstance(self._message, str) else {"content": self._message}
        snapshot = {"index": self.index, "message": message}
        told = Notes()
        whole = mended({"choices": [snapshot]}, told).choices[0]
        self._notes.fault = self._notes.fault or told.fault
        calls = [
            {"index": position, "id": call.id, "type": call.type, **_inner(call), **call.extra}
            for position, call in enumerate(whole.tool_calls)
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
        """The choice as far as it has come.

        Args:
            last: Whether this is the end: the text need not be kept twice, and what was odd is noted.
        """
        return convert.choice(
            self.index,
            text=self._text.take() if last else self._text.value(),
            reasoning=self._reasoning.value() if self._reasoning else "",
            refusal=self._refusal.value() if self._refusal else "",
            spoken=convert.audio(self._spoken.value()) if self._spoken else None,
            calls=self._calls.calls() if self._calls else [],
            finish=self.finish,
            logprobs=_copied(self._logprobs),
            annotations=list(self._annotations),
            notes=self._notes if last else Notes(),
            path=f"$.choices[{self.index}]",
        )


def _inner(call: ToolCall) -> dict[str, Any]:
    if call.type == "custom":
        return {"custom": {"name": call.name, "input": call.arguments_json}}
    return {"function": {"name": call.name, "arguments": call.arguments_json}}


def _copied(logprobs: Any) -> Any:
    """The same value in lists of its own, which may then grow."""
    if is_object(logprobs):
        return {name: list(value) if is_array(value) else value for name, value in logprobs.items()}
    return list(logprobs) if is_array(logprobs) else logprobs


def _merged_logprobs(known: Any, new: Any) -> Any:
    """The lists of both, one after the other; what isn't a list is the newest."""
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

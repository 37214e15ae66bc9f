"""Mutants that read the choices of an answer, or its chunks, in a wrong way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import Document, as_object, as_objects, is_object
from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import (
    Answer,
    Choice,
    FailedError,
    ReferenceClient,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class _ChangesEvents(ReferenceClient, ABC):
    """Changes every event and every whole answer before it is read; the mutants below say how."""

    @abstractmethod
    def changed(self, event: Document) -> Document:
        """Return what becomes of an event."""

    def parsed(self, text: bytes | str) -> object:
        """Change it."""
        value = super().parsed(text)
        return self.changed(value) if is_object(value) else value


class _ChangesChoices(ReferenceClient, ABC):
    """Changes each choice of an event, or of a whole answer."""

    @abstractmethod
    def changed(self, delta: Document) -> Document:
        """Return what becomes of a delta, or of a message."""

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Change it."""
        super().take_choice(answer, {**event, "delta": self.changed(as_object(event.get("delta")))})


# Choices


@killed_by(
    {
        "choices-interleaved": (Gravity.SILENT, "/response/choices"),
        "choices-unasked-streamed": (Gravity.SILENT, "/response/choices"),
    }
)
class IgnoresChoice(ReferenceClient):
    """Takes every choice for the first one."""

    def choice_index(self, event: Document) -> int:  # noqa: ARG002 -- the mistake
        """Return 0 in any case."""
        return 0


@killed_by({"choices-unasked-streamed": (Gravity.SILENT, "/response/chunks")})
class DeliversEveryChoice(ReferenceClient):
    """Hands out the chunks of choices that nobody asked for."""

    def is_delivered(self, answer: Answer, choice: Choice) -> bool:  # noqa: ARG002 -- the mistake
        """Return True in any case."""
        return True


@killed_by({"choices-error-keeps-both": (Gravity.SILENT, "/error/partial/choices")})
class KeepsFirstChoiceOfPartial(ReferenceClient):
    """Keeps the first choice of what there was before an error."""

    def failure(self, error: Document, answer: Answer, attempt: int) -> Document:
        """Drop the others."""
        answer.choices = {index: choice for index, choice in answer.choices.items() if index == 0}
        return super().failure(error, answer, attempt)


@killed_by({"choices-finish-for-one-only": (Gravity.SILENT, "/response/choices/0/finish_reason")})
class SharesFinish(ReferenceClient):
    """Takes the end of one choice for the end of all.

    Reported as sgl-project/sglang#8417.
    """

    def end(self, answer: Answer) -> None:
        """Give the others the word of the first that has one."""
        super().end(answer)
        words = [choice.finish for choice in answer.choices.values() if choice.finish]
        for choice in answer.choices.values():
            choice.finish = choice.finish or next(iter(words), None)


@killed_by({"choices-three-each-its-own": (Gravity.SILENT, "/calls/0/response/choices/0/reasoning")})
class SharesReasoning(ReferenceClient):
    """Adds all reasoning to the first choice."""

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Take it out of the others."""
        delta = dict(as_object(event.get("delta")))
        thought: Document = {
            name: delta.pop(name) for name in ("reasoning", "reasoning_content") if name in delta
        }
        self.take_reasoning(answer.choices.setdefault(0, Choice()), thought)
        super().take_choice(answer, {**event, "delta": delta})


@killed_by({"choices-tool-calls-apart": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class SharesToolCalls(ReferenceClient):
    """Sorts the tool calls of all choices by their index alone."""

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Let all choices have one list."""
        tools = next((choice.tools for choice in answer.choices.values()), list[Document]())
        answer.choices.setdefault(self.choice_index(event), Choice(tools=tools))
        super().take_choice(answer, event)


@killed_by({"choices-two-in-one-chunk": (Gravity.SILENT, "/response/choices/1/text")})
class ReadsFirstChoice(_ChangesEvents):
    """Reads the first choice of each event.

    Reported as ModelTC/LightLLM#1445.
    """

    def changed(self, event: Document) -> Document:
        """Drop the others."""
        return {**event, "choices": as_objects(event.get("choices"))[:1]}


# Chunks


@killed_by(
    {
        "chunk-content-null-first": (Gravity.SILENT, "/response/choices/0/text"),
        "tool-index-missing": (Gravity.SILENT, "/response/choices/0/text"),
    }
)
class WritesNull(ReferenceClient):
    """Writes out a content that is null as text."""

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Turn null into "None"."""
        delta = as_object(event.get("delta"))
        if "content" in delta:
            event = {**event, "delta": {**delta, "content": str(delta["content"])}}
        super().take_choice(answer, event)


@killed_by({"chunk-tool-calls-null": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class CallsNull(ReferenceClient):
    """Makes a tool call of a member that is null.

    Reported as vllm-project/guidellm#752 and SeraphimSerapis/tool-eval-bench#11.
    """

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Take a null for a call without a name."""
        super().take_choice(answer, event)
        if "function_call" in as_object(event.get("delta")):
            tools = answer.choices[self.choice_index(event)].tools
            tools.append(self.new_tool({}))


@killed_by({"chunk-content-empty-first": (Gravity.SILENT, "/response/choices/0/text")})
class EndsAtEmptyContent(ReferenceClient):
    """Takes an empty content for the end of the text.

    Reported as Gitlawb/openclaude#48 and vercel/ai#1653.
    """

    def stream(self, pieces: Iterator[bytes], answer: Answer, leave_after: int | None) -> None:
        """End as if the server had said so."""
        try:
            super().stream(pieces, answer, leave_after)
        except EOFError:
            answer.choices[0].finish = "stop"

    def take_choice(self, answer: Answer, event: Document) -> None:
        """End at once."""
        super().take_choice(answer, event)
        if as_object(event.get("delta")).get("content") == "":
            raise EOFError


@killed_by({"chunk-heartbeat-without-choices": (Gravity.REFUSED, "")})
class EndsWithoutChoices(ReferenceClient):
    """Takes an event without choices for the last one.

    Reported as CJackHwang/ds2api#430 and ollama/ollama#12420.
    """

    def is_done(self, data: str) -> bool:
        """Look for empty choices."""
        return '"choices":[]' in data.replace(" ", "") or super().is_done(data)

    def end(self, answer: Answer) -> None:
        """Say stop, if nothing else was said."""
        for choice in answer.choices.values():
            choice.finish = choice.finish or "stop"
        super().end(answer)


@killed_by({"chunk-many": (Gravity.SILENT, "/response/choices/0/text")})
class HasRoomForChunks(ReferenceClient):
    """Has room for 256 chunks that wait for the user, and drops what comes then."""

    def take_text(self, answer: Answer, choice: Choice, text: str) -> None:
        """Drop the rest."""
        if len(answer.chunks) < 256:
            super().take_text(answer, choice, text)


@killed_by(
    {
        "chunk-refusal": (Gravity.SILENT, "/response/choices/0/text"),
        "json-refusal": (Gravity.SILENT, "/response/choices/0/text"),
    }
)
class TakesRefusalForText(_ChangesChoices):
    """Gives a refusal as if it were the answer."""

    def changed(self, delta: Document) -> Document:
        """Move it."""
        refusal = delta.get("refusal")
        return {**delta, "content": refusal, "refusal": None} if refusal else delta


@killed_by({"chunk-role-never": (Gravity.SILENT, "/response/choices/0/text")})
class WaitsForRole(ReferenceClient):
    """Takes no text before a role has come, which not every server sends.

    Reported as vercel/ai#16532 and nath1295/MLX-Textgen#9.
    """

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Drop what comes before it."""
        begun = self.choice_index(event) in answer.choices
        if begun or as_object(event.get("delta")).get("role"):
            super().take_choice(answer, event)
        elif event.get("finish_reason"):
            super().take_choice(answer, {**event, "delta": {}})


_KNOWN = {
    "id",
    "object",
    "created",
    "model",
    "choices",
    "usage",
    "system_fingerprint",
    "service_tier",
    "error",
}


@killed_by(
    {
        "chunk-vendor-extras": (Gravity.REFUSED, ""),
        "forward-unknown-members-whole": (Gravity.REFUSED, ""),
    }
)
class RefusesUnknownMembers(_ChangesEvents):
    """Refuses an object that has members which its model doesn't know.

    Reported as davidmigloz/langchain_dart#778 and zed-industries/zed#42893.
    """

    def changed(self, event: Document) -> Document:
        """Look at the names."""
        if unknown := event.keys() - _KNOWN:
            raise FailedError("malformed_response", f"extra inputs are not permitted: {sorted(unknown)}")
        return event


@killed_by({"forward-null-for-optional": (Gravity.CRASH, "/calls/0")})
class IteratesOverNull(ReferenceClient):
    """Goes through optional lists as if null were not one of their values."""

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Go through the tool calls."""
        for _ in as_object(event.get("delta")).get("tool_calls", ()):
            pass
        super().take_choice(answer, event)

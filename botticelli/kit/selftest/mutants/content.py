"""Mutants that change what a choice holds: blocks, reasoning, log probabilities, the reason for its end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import Document, as_object, as_objects, is_array
from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import Answer, Choice, ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Iterator


# Blocks


@killed_by({"content-text-then-tool-calls": (Gravity.SILENT, "/calls/0/response/choices/0/content")})
class GroupsBlocks(ReferenceClient):
    """Reports tool calls before all other blocks, whatever the server sent first."""

    def exchange(self, call: Document) -> Document:
        """Sort the blocks."""
        outcome = super().exchange(call)
        for choice in outcome.get("response", {}).get("choices", ()):
            blocks: list[Document] = choice["content"]
            blocks.sort(key=lambda block: block["type"] != "tool_calls")
        return outcome


class _ChangesBlocks(ReferenceClient, ABC):
    """Changes the blocks of each choice."""

    @abstractmethod
    def changed(self, blocks: list[Document]) -> list[Document]:
        """Return what becomes of them."""

    def exchange(self, call: Document) -> Document:
        """Change them."""
        outcome = super().exchange(call)
        for choice in outcome.get("response", {}).get("choices", ()):
            choice["content"] = self.changed(choice["content"])
        return outcome


@killed_by(
    {
        "content-reasoning-before-text": (Gravity.SILENT, "/calls/0/response/choices/0/content"),
        "content-all-three-in-order": (Gravity.SILENT, "/calls/0/response/choices/0/content"),
    }
)
class PutsReasoningLast(_ChangesBlocks):
    """Reports reasoning after the text that came of it."""

    def changed(self, blocks: list[Document]) -> list[Document]:
        """Sort it to the end."""
        return sorted(blocks, key=lambda block: block["type"] == "reasoning")


@killed_by({"content-one-text": (Gravity.SILENT, "/calls/0/response/choices/0/content/0/text")})
class RepeatsLastBlock(_ChangesBlocks):
    """Reports the last block twice: when it ends, and when the answer does."""

    def changed(self, blocks: list[Document]) -> list[Document]:
        """Add it again."""
        return [*blocks, *blocks[-1:]]


# The end


@killed_by({"finish-never-sent": (Gravity.SILENT, "/response/choices/0/finish_reason")})
class InventsStop(ReferenceClient):
    """Says stop when the server never did.

    Reported as sgl-project/sglang#4550 and ModelTC/LightLLM#130.
    """

    def end(self, answer: Answer) -> None:
        """Fill in what is missing."""
        super().end(answer)
        for choice in answer.choices.values():
            choice.finish = choice.finish or "stop"


class _ChangesFinish(ReferenceClient, ABC):
    """Changes finish reasons before they are read."""

    @abstractmethod
    def changed(self, word: object) -> object:
        """Return what becomes of a word."""

    def take_finish(self, choice: Choice, word: object) -> None:
        """Change it."""
        super().take_finish(choice, self.changed(word))


@killed_by(
    {
        "finish-length": (Gravity.SILENT, "/calls/0/response/choices/0/finish_reason"),
        "tool-arguments-cut-by-length": (Gravity.SILENT, "/calls/0/response/choices/0/finish_reason"),
        "json-cut-by-length": (Gravity.SILENT, "/calls/0/response/choices/0/finish_reason"),
    }
)
class SaysStopForLength(_ChangesFinish):
    """Knows stop alone for an answer that ends, so that a cut one looks whole."""

    def changed(self, word: object) -> object:
        """Replace length."""
        return "stop" if word == "length" else word


@killed_by({"finish-content-filter": (Gravity.SILENT, "/calls/0/response/choices/0/finish_reason")})
class SaysStopForFilter(_ChangesFinish):
    """Hides that the server took some of the answer away."""

    def changed(self, word: object) -> object:
        """Replace content_filter."""
        return "stop" if word == "content_filter" else word


@killed_by({"finish-unknown-word": (Gravity.CRASH, "/calls/0")})
class KnowsAllWords(_ChangesFinish):
    """Has an enumeration of finish reasons, and fails at another one.

    Reported as vercel/ai#1832.
    """

    def changed(self, word: object) -> object:
        """Refuse it."""
        if word not in (None, "", "stop", "length", "tool_calls", "content_filter", "function_call", "eos"):
            raise ValueError(f"{word!r} is not a valid FinishReason")
        return word


@killed_by({"finish-empty-string": (Gravity.SILENT, "/response/choices/0/text")})
class TakesEmptyForEnd(ReferenceClient):
    """Asks whether there is a finish reason, rather than whether it says something.

    Reported as ollama/ollama#4357 and sgl-project/sglang#3912.
    """

    def take_finish(self, choice: Choice, word: object) -> None:
        """Take an empty one for a stop."""
        super().take_finish(choice, "stop" if word == "" else word)

    def stream(self, pieces: Iterator[bytes], answer: Answer, leave_after: int | None) -> None:
        """End at the first one."""
        with suppress(EOFError):
            super().stream(pieces, answer, leave_after)

    def take(self, answer: Answer, event: object) -> None:
        """Look at the choices."""
        super().take(answer, event)
        if any(choice.get("finish_reason") == "" for choice in as_objects(as_object(event).get("choices"))):
            raise EOFError


@killed_by({"finish-null-after": (Gravity.SILENT, "/response/choices/0/finish_reason")})
class ForgetsFinish(ReferenceClient):
    """Lets a null replace the finish reason.

    Reported as speakeasy-api/gram#921.
    """

    def take_finish(self, choice: Choice, word: object) -> None:
        """Take the last one, whatever it is."""
        choice.finish = word


@killed_by(
    {
        "finish-repeated": (Gravity.SILENT, "/response/usage"),
        "usage-final-chunk-empty-choices": (Gravity.SILENT, "/response/usage"),
        "tool-finish-twice": (Gravity.SILENT, "/response/usage"),
    }
)
class EndsAtFinish(ReferenceClient):
    """Reads nothing after the finish reason, where the usage comes.

    Reported as langchain-ai/langchain#38226 and langchain-ai/langchain#38349.
    """

    def take(self, answer: Answer, event: object) -> None:
        """Pass over what comes after it."""
        if not any(choice.finish for choice in answer.choices.values()):
            super().take(answer, event)


@killed_by({"tool-finish-stop": (Gravity.SILENT, "/response/choices/0/finish_reason")})
class MendsFinish(ReferenceClient):
    """Says that tools are to be used wherever there are calls, whatever the server said.

    Reported as sgl-project/sglang#2877 and openvinotoolkit/model_server#3927.
    """

    def end(self, answer: Answer) -> None:
        """Replace the word."""
        super().end(answer)
        for choice in answer.choices.values():
            choice.finish = "tool_calls" if choice.tools else choice.finish


# Reasoning


@killed_by({"reasoning-named-reasoning": (Gravity.SILENT, "/response/choices/0/text")})
class MixesReasoning(ReferenceClient):
    """Adds the reasoning to the answer.

    Reported as musistudio/claude-code-router#1205 and musistudio/claude-code-router#1133.
    """

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Put the reasoning before the text."""
        delta = as_object(event.get("delta"))
        text = (delta.get("reasoning") or "") + (delta.get("content") or "")
        super().take_choice(answer, {**event, "delta": {**delta, "content": text}})


@killed_by({"reasoning-content-streamed": (Gravity.SILENT, "/response/choices/0/text")})
class StreamsReasoningAsText(ReferenceClient):
    """Delivers reasoning as if it were the answer.

    Reported as darrenburns/elia#102 and vllm-project/vllm#13375.
    """

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Put it into the content."""
        delta = as_object(event.get("delta"))
        if thought := delta.get("reasoning_content"):
            event = {**event, "delta": {**delta, "content": thought + (delta.get("content") or "")}}
        super().take_choice(answer, event)


@killed_by(
    {
        "reasoning-beside-tool-call": (Gravity.SILENT, "/calls/0/response/choices/0/reasoning"),
        "content-all-three-in-order": (Gravity.SILENT, "/calls/0/response/choices/0/reasoning"),
    }
)
class DropsReasoningBeforeCalls(ReferenceClient):
    """Drops the reasoning of an answer that calls tools."""

    def exchange(self, call: Document) -> Document:
        """Remove it."""
        outcome = super().exchange(call)
        for choice in outcome.get("response", {}).get("choices", ()):
            if choice["tool_calls"]:
                choice["reasoning"] = None
                choice["content"] = [one for one in choice["content"] if one["type"] != "reasoning"]
        return outcome


@killed_by({"reasoning-to-the-letter": (Gravity.SILENT, "/calls/0/response/choices/0/reasoning")})
class StripsReasoning(ReferenceClient):
    """Strips the space at the ends of reasoning."""

    def take_reasoning(self, choice: Choice, delta: Document) -> None:
        """Strip each piece."""
        thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
        choice.reasoning += thought.strip()


@killed_by({"reasoning-whole-answer": (Gravity.SILENT, "/calls/0/response/choices/0/reasoning")})
class ReadsReasoningInStreams(ReferenceClient):
    """Looks for reasoning in deltas and not in messages.

    Reported as musistudio/claude-code-router#1205 and musistudio/claude-code-router#1133.
    """

    def whole(self, body: bytes, answer: Answer) -> None:
        """Forget it."""
        super().whole(body, answer)
        for choice in answer.choices.values():
            choice.reasoning = ""


# Log probabilities


@killed_by({"logprobs-half-characters": (Gravity.SILENT, "/response/choices/0/logprobs/content/0/bytes")})
class DropsTokenBytes(ReferenceClient):
    """Decodes the bytes of each token, though a character may need two of them."""

    def take_logprobs(self, choice: Choice, logprobs: Document) -> None:
        """Replace bytes by those of the text that they seem to be."""
        for token in as_objects(logprobs.get("content")):
            if token.get("bytes"):
                text = bytes(token["bytes"]).decode("utf-8", "replace")
                token["bytes"] = list(text.encode())
        super().take_logprobs(choice, logprobs)


@killed_by(
    {
        "logprobs-each-choice-whole": (
            Gravity.SILENT,
            "/calls/0/response/choices/0/logprobs/content/0/logprob",
        )
    }
)
class RoundsLogprobs(ReferenceClient):
    """Rounds log probabilities to six digits, as a float of four bytes has."""

    def take_logprobs(self, choice: Choice, logprobs: Document) -> None:
        """Round them."""
        for token in as_objects(logprobs.get("content")):
            token["logprob"] = float(f"{token['logprob']:.6g}")
        super().take_logprobs(choice, logprobs)


@killed_by({"logprobs-streamed": (Gravity.SILENT, "/response/choices/0/logprobs/content")})
class KeepsLastLogprobs(ReferenceClient):
    """Keeps the log probabilities of the last chunk."""

    def take_logprobs(self, choice: Choice, logprobs: Document) -> None:
        """Forget the others."""
        if is_array(logprobs.get("content")):
            choice.logprobs = None
        super().take_logprobs(choice, logprobs)

"""Mutants that take the end of a stream, or an error among its events, for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import Document, as_object, is_object
from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import Answer, Choice, FailedError, ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where a stream ends


@killed_by({"sse-data-after-done": (Gravity.REFUSED, "")})
class ReadsOnAfterDone(ReferenceClient):
    """Takes the end for one event among others.

    Reported as openai/openai-python#3581.
    """

    def is_done(self, data: str) -> bool:  # noqa: ARG002 -- the mistake
        """Never end at it."""
        return False

    def parsed(self, text: bytes | str) -> object:
        """Read it as an event without anything."""
        return {} if text == "[DONE]" else super().parsed(text)

    def end(self, answer: Answer) -> None:
        """Demand nothing."""


@killed_by({"sse-done-then-silence": (Gravity.HANG, "")})
class WaitsForTheConnection(ReferenceClient):
    """Waits after the end for the connection to close.

    Reported as agentscope-ai/agentscope-java#2073 and earendil-works/pi#7959.
    """

    def stream(self, pieces: Iterator[bytes], answer: Answer, leave_after: int | None) -> None:
        """Read the rest."""
        super().stream(pieces, answer, leave_after)
        for _ in pieces:
            pass


@killed_by(
    {
        "sse-ends-without-finish": (Gravity.SILENT, "/response/choices/0/finish_reason"),
        "sse-ends-in-mid-event": (Gravity.SILENT, "/response/choices/0/finish_reason"),
    }
)
class SaysStopAtTheEnd(ReferenceClient):
    """Says stop when the connection ends without a word of the server's.

    Reported as vllm-project/vllm#52852 and 2389-research/tracker#544.
    """

    def end(self, answer: Answer) -> None:
        """Fill in the end of an answer that has some text."""
        if any(choice.text for choice in answer.choices.values()) and not answer.done:
            for choice in answer.choices.values():
                choice.finish = choice.finish or "stop"
        super().end(answer)


@killed_by({"sse-no-reconnect": (Gravity.SILENT, "/error/partial/choices/0/text")})
class ReconnectsAsBrowsersDo(ReferenceClient):
    """Connects again when a stream ends, as an EventSource would.

    Reported as moonbitlang/openseek#343.
    """

    def attempt(self, call: Document, answer: Answer) -> Document:
        """Ask again after a stream that was cut short."""
        try:
            return super().attempt(call, answer)
        except FailedError as failed:
            if failed.error["kind"] != "stream_truncated":
                raise
            return super().attempt(call, answer)


@killed_by(
    {
        "sse-glued-frames": (Gravity.SILENT, ""),
        "stream-error-malformed-between": (Gravity.SILENT, ""),
        "stream-error-html": (Gravity.SILENT, "/response/choices/0/finish_reason"),
        "stream-error-not-json": (Gravity.SILENT, ""),
    }
)
class SkipsBadEvents(ReferenceClient):
    """Skips an event that can't be read, and with it the text in it.

    Reported as anomalyco/opencode#8282 and BerriAI/litellm#5650.
    """

    def take(self, answer: Answer, event: object) -> None:
        """Skip what is no object."""
        if is_object(event):
            super().take(answer, event)

    def parsed(self, text: bytes | str) -> object:
        """Make nothing of bad JSON."""
        try:
            return super().parsed(text)
        except FailedError:
            return None

    def end(self, answer: Answer) -> None:
        """Say stop, if nothing else was said."""
        for choice in answer.choices.values():
            choice.finish = choice.finish or "stop"
        super().end(answer)


# Errors among the events


@killed_by(
    {
        "stream-error-in-chunk": (Gravity.SILENT, ""),
        "stream-error-told-twice": (Gravity.IMPRECISE, "/error/kind"),
    }
)
class SkipsErrors(ReferenceClient):
    """Reads an error in the stream as a chunk without content.

    Reported as diegosouzapw/OmniRoute#8210 and vercel/ai#2720.
    """

    def refuse_error(self, value: Document) -> None:
        """Do nothing."""


@killed_by(
    {
        "stream-error-in-chunk": (Gravity.SILENT, ""),
        "stream-error-told-twice": (Gravity.SILENT, ""),
        "stream-error-message-kept": (Gravity.SILENT, ""),
        "stream-error-after-text": (Gravity.SILENT, ""),
        "stream-error-event-name": (Gravity.SILENT, ""),
        "stream-error-then-done": (Gravity.SILENT, ""),
    }
)
class EndsAtErrors(ReferenceClient):
    """Takes an error event for the end of the answer.

    Reported as open-octo/octo-agent#910 and BerriAI/litellm#39748.
    """

    def stream(self, pieces: Iterator[bytes], answer: Answer, leave_after: int | None) -> None:
        """Return what came before the error."""
        try:
            super().stream(pieces, answer, leave_after)
        except FailedError as failed:
            if failed.error["kind"] != "stream_error":
                raise
            choice = answer.choices.setdefault(0, Choice())
            choice.finish = choice.finish or "stop"


@killed_by({"stream-error-empty-choices": (Gravity.IMPRECISE, "/error/kind")})
class LooksForChoicesFirst(ReferenceClient):
    """Looks for an error only in an event that has no choices at all.

    Reported as diegosouzapw/OmniRoute#8210.
    """

    def refuse_error(self, value: Document) -> None:
        """Trust in choices, even in none."""
        if "choices" not in value:
            super().refuse_error(value)


@killed_by(
    {
        "stream-error-message-kept": (Gravity.IMPRECISE, "/error/message"),
        "stream-error-told-twice": (Gravity.IMPRECISE, "/error/message"),
    }
)
class SaysSomethingGeneral(ReferenceClient):
    """Puts a phrase of its own in place of the server's message.

    Reported as huggingface/huggingface.js#1079 and openai/openai-python#1160.
    """

    def refuse_error(self, value: Document) -> None:
        """Say that it went wrong."""
        if value.get("error"):
            raise FailedError("stream_error", "An error occurred during streaming")


@killed_by({"stream-error-contradictory": (Gravity.IMPRECISE, "/error/code")})
class TakesTypeForCode(ReferenceClient):
    """Reports the type of an error as its code.

    Reported as anthropics/anthropic-sdk-typescript#711.
    """

    def refuse_error(self, value: Document) -> None:
        """Exchange the two."""
        error = as_object(value.get("error"))
        super().refuse_error({**value, "error": {**error, "code": error.get("type")}} if error else value)


@killed_by({"stream-error-null-is-none": (Gravity.REFUSED, "/calls/0")})
class TakesNullForError(ReferenceClient):
    """Looks whether there is a member ``error``, and not what it is."""

    def refuse_error(self, value: Document) -> None:
        """Refuse null too."""
        if "error" in value:
            raise FailedError("stream_error", self.message(value) or "an error")


@killed_by({"stream-error-only-done": (Gravity.SILENT, "/response/choices")})
class MakesAnswersOfDone(ReferenceClient):
    """Gives an empty answer for a stream that has nothing but its end.

    Reported as odysseus-dev/odysseus#736.
    """

    def end(self, answer: Answer) -> None:
        """Make a choice of nothing."""
        if answer.done:
            answer.choices.setdefault(0, Choice(finish="stop"))
        super().end(answer)


@killed_by(
    {
        "stream-error-keeps-what-is-no-text": (Gravity.SILENT, "/calls/0/error/partial"),
        "choices-error-keeps-both": (Gravity.SILENT, "/error/partial"),
    }
)
class LosesPartial(ReferenceClient):
    """Raises an error without what had been assembled before it."""

    def failure(self, error: Document, answer: Answer, attempt: int) -> Document:
        """Tell of the error alone."""
        answer.choices.clear()
        return super().failure(error, answer, attempt)


@killed_by({"connection-reset-mid-event": (Gravity.SILENT, "/calls/0")})
class RepeatsAfterReset(ReferenceClient):
    """Asks again when a connection is reset, and adds the new answer to what it had."""

    def attempt(self, call: Document, answer: Answer) -> Document:
        """Ask a second time."""
        try:
            return super().attempt(call, answer)
        except FailedError as failed:
            if failed.error["kind"] != "connection_lost" or not answer.chunks:
                raise
            return super().attempt(call, answer)


@killed_by(
    {"connection-cut-mid-stream": (Gravity.SILENT, ""), "retry-never-after-text": (Gravity.SILENT, "")}
)
class TakesLossForEnd(ReferenceClient):
    """Returns what it has when the connection is lost."""

    def attempt(self, call: Document, answer: Answer) -> Document:
        """Make a good answer of a lost one."""
        try:
            return super().attempt(call, answer)
        except FailedError as failed:
            if failed.error["kind"] != "connection_lost" or not answer.choices:
                raise
            return {"response": {**answer.response(), "chunks": answer.chunks, "final_chunks": 1}}


@killed_by(
    {
        "stream-error-not-json": (Gravity.SILENT, "/partial_chunks"),
        "connection-cut-mid-stream": (Gravity.SILENT, "/partial_chunks"),
        "stream-error-in-chunk": (Gravity.SILENT, "/partial_chunks"),
        "retry-never-after-text": (Gravity.SILENT, "/partial_chunks"),
        "timeout-idle-after-text": (Gravity.SILENT, "/partial_chunks"),
    }
)
class Withholds(ReferenceClient):
    """Buffers a stream, and delivers its chunks when it is whole or not at all."""

    def failure(self, error: Document, answer: Answer, attempt: int) -> Document:
        """Deliver nothing before an error."""
        return {**super().failure(error, answer, attempt), "partial_chunks": []}

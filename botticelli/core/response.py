"""What a model answers, whoever the provider: no wire, no I/O.

A `GenerateResponse` holds one `Choice` per requested answer; the short forms (`text`, `outputs`,
`tool_calls`, `finish_reason`, `logprobs`) speak of the first. A `StreamChunk` is one step of an
answer that arrives in pieces.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.core.message import Message, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AudioOutput",
    "Choice",
    "CompletionTokens",
    "Deviation",
    "FinishReason",
    "GenerateResponse",
    "Output",
    "PromptTokens",
    "RateLimit",
    "RateLimits",
    "Reasoning",
    "Refusal",
    "StreamChunk",
    "ToolCallDelta",
    "ToolCalls",
    "Usage",
]


class FinishReason(StrEnum):
    """Why a model stopped. The server's own word is kept as `Choice.finish_reason_raw`."""

    STOP = "stop"
    """It had said what it wanted, or came to a text of `GenerateRequest.stop`."""
    LENGTH = "length"
    """It was cut: `GenerateRequest.max_tokens` or the model's own limit was reached."""
    TOOL_USE = "tool_use"
    """It wants calls made: the format's ``tool_calls`` and ``function_call``."""
    CONTENT_FILTER = "content_filter"
    """The server held something back."""
    OTHER = "other"
    """A word outside the format, or none at all: the server never said that the answer is whole."""


class ToolCalls(msgspec.Struct, frozen=True, tag="tool_calls"):
    """The calls a model wants made, in the order in which it asked for them.

    Answer each with a `Message.tool`, after the assistant's turn (`GenerateResponse.to_message`).
    """

    calls: list[ToolCall]

    def __str__(self) -> str:
        return "\n".join(map(str, self.calls))


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The model's words for why it won't answer."""

    text: str

    def __str__(self) -> str:
        return self.text


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """The model's thinking, where a server sends it beside the answer; outside the published format."""

    text: str

    def __str__(self) -> str:
        return self.text


class AudioOutput(msgspec.Struct, frozen=True, tag="audio"):
    """Spoken output.

    Attributes:
        id: To refer to it in a later turn.
        data: Base64, in the format that was asked for (by way of `GenerateRequest.extra`).
        transcript: What is said.
        expires_at: When the server forgets it, in Unix seconds; None where it didn't say.
    """

    id: str
    data: str
    transcript: str
    expires_at: int | None = None

    def __str__(self) -> str:
        return self.transcript


Output = Text | ToolCalls | Refusal | Reasoning | AudioOutput
"""One part of an answer. ``str(output)`` is what a person would read."""


class Deviation(msgspec.Struct, frozen=True):
    """A place where the server broke the format and the driver coped.

    Attributes:
        code: A name from `contracts/wire/openai/relaxations.json`, such as ``created-not-integer``.
        path: Where it was first seen, as a JSON path; ``$`` for the body as a whole.
        count: How often; repeats are counted, not listed.
    """

    code: str
    path: str = "$"
    count: int = 1


class PromptTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What the prompt's tokens were; None where the server didn't say. Parts of `Usage.prompt_tokens`.

    Attributes:
        cached_tokens: Read from the server's cache; usually cheaper.
        audio_tokens: Heard.
        cache_write_tokens: Written to the server's cache.
        text_tokens: Read as text.
        image_tokens: Seen.
    """

    cached_tokens: int | None = None
    audio_tokens: int | None = None
    cache_write_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None


class CompletionTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer's tokens were; None where the server didn't say. Parts of `Usage.completion_tokens`.

    Attributes:
        reasoning_tokens: Thought; billed like the rest, whether or not they are sent.
        audio_tokens: Spoken.
        accepted_prediction_tokens: Of a prediction that came true.
        rejected_prediction_tokens: Of one that didn't; billed too.
        text_tokens: Written.
    """

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """How many tokens a call took, as the server counts them; None where it didn't say.

    Nothing is derived: a missing `completion_tokens` stays None even where the total would give it.

    Attributes:
        prompt_tokens: What was read: all messages, tools and schemas of the request.
        completion_tokens: What was written, thinking included, over all choices.
        total_tokens: Both, as the server adds them.
        prompt_details: What the first were.
        completion_details: What the second were.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_details: PromptTokens | None = None
    completion_details: CompletionTokens | None = None


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit as the headers tell it; None where unknown or unreadable.

    Attributes:
        limit: How many are allowed in a window.
        remaining: How many are left in this window.
        reset: Seconds until the window begins anew, counted from when the answer came.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits an answer's headers tell.

    Attributes:
        requests: From ``x-ratelimit-*-requests``, plain ``x-ratelimit-*`` or ``RateLimit``.
        tokens: From ``x-ratelimit-*-tokens``.
    """

    requests: RateLimit | None = None
    tokens: RateLimit | None = None


class Choice(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """One answer of the model.

    Attributes:
        index: Which of the n answers.
        outputs: Its parts: reasoning, text, refusal, audio, tool calls, in this order.
        finish_reason: Why it stopped.
        finish_reason_raw: The server's own word (any JSON, as sent), or None if it sent none.
        logprobs: The published object (``content`` and ``refusal`` lists), or whatever else the server sent.
        annotations: Citations, as sent.
    """

    index: int = 0
    outputs: list[Output] = msgspec.field(default_factory=list[Output])
    finish_reason: FinishReason = FinishReason.OTHER
    finish_reason_raw: Any = None
    logprobs: Any = None
    annotations: list[Any] = msgspec.field(default_factory=list[Any])

    @property
    def text(self) -> str:
        """The answer's text; empty where there is none (`outputs` tells which)."""
        return "".join(part.text for part in self.outputs if isinstance(part, Text))

    @property
    def reasoning(self) -> str | None:
        """The model's thinking, or None."""
        return _joined(part.text for part in self.outputs if isinstance(part, Reasoning))

    @property
    def refusal(self) -> str | None:
        """The model's refusal, or None."""
        return _joined(part.text for part in self.outputs if isinstance(part, Refusal))

    @property
    def tool_calls(self) -> list[ToolCall]:
        """Every call the model wants made; the presence of calls decides, not the finish reason."""
        return [call for part in self.outputs if isinstance(part, ToolCalls) for call in part.calls]


def _joined(texts: Iterable[str]) -> str | None:
    found = list(texts)
    return "".join(found) if found else None


_NO_CHOICE = Choice()


class GenerateResponse(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """What a call to a model gave.

    Attributes:
        choices: The answers by index; empty only in the `partial` of an error.
        id: The server's id of the answer; empty where it sent none.
        model: The model that answered, in the provider's own spelling.
        created: When, in Unix seconds; None where unknown.
        usage: What it cost in tokens, or None.
        request_id: The server's id of the request (a header), for its support desk.
        provider: Which provider the HuggingFace router chose (``x-inference-provider``).
        rate_limits: What the headers say about the limits, or None.
        service_tier: The tier that served it, or None.
        system_fingerprint: The server's name for its configuration, or None.
        deviations: Where the server broke the format and the driver coped.
        raw: The body as received; empty for a stream, whose pieces were delivered as they came.
    """

    choices: list[Choice] = msgspec.field(default_factory=list[Choice])
    id: str = ""
    model: str = ""
    created: int | None = None
    usage: Usage | None = None
    request_id: str | None = None
    provider: str | None = None
    rate_limits: RateLimits | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    deviations: list[Deviation] = msgspec.field(default_factory=list[Deviation])
    raw: bytes = b""

    @property
    def _first(self) -> Choice:
        return self.choices[0] if self.choices else _NO_CHOICE

    @property
    def outputs(self) -> list[Output]:
        """The parts of the first answer."""
        return self._first.outputs

    @property
    def text(self) -> str:
        """The text of the first answer; empty where there is none."""
        return self._first.text

    @property
    def reasoning(self) -> str | None:
        """The thinking of the first answer, or None."""
        return self._first.reasoning

    @property
    def refusal(self) -> str | None:
        """The refusal of the first answer, or None."""
        return self._first.refusal

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls of the first answer."""
        return self._first.tool_calls

    @property
    def finish_reason(self) -> FinishReason:
        """Why the first answer stopped."""
        return self._first.finish_reason

    @property
    def finish_reason_raw(self) -> Any:
        """The server's own word for it, or None if it sent none."""
        return self._first.finish_reason_raw

    @property
    def logprobs(self) -> Any:
        """The log probabilities of the first answer, or None."""
        return self._first.logprobs

    def to_message(self, *, reasoning: bool = False) -> Message:
        """The first answer as the assistant's turn, to be sent back in a later request.

        Args:
            reasoning: Whether to send the model's thinking back too. Off by default: some servers
                refuse it, a few demand it.
        """
        first = self._first
        says_more = first.tool_calls or first.refusal is not None
        return Message.assistant(
            None if says_more and not first.text else first.text,
            tool_calls=first.tool_calls,
            refusal=first.refusal,
            reasoning=first.reasoning if reasoning else None,
        )


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a tool call.

    Attributes:
        index: Which of the answer's calls, counted from 0 in the order of their first pieces.
        id: The call's id, once it is known; empty in a piece that doesn't tell.
        name: The tool's name, likewise.
        arguments: The next piece of the arguments' text.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class StreamChunk(msgspec.Struct, frozen=True, gc=False, repr_omit_defaults=True):
    """One step of a streamed answer.

    Attributes:
        text: The next piece of text; may be empty.
        choice: The index of the answer it belongs to.
        is_final: True on exactly one chunk, the last, which comes when the stream has really ended.
        reasoning: The next piece of thinking.
        refusal: The next piece of a refusal.
        tool_calls: The next pieces of tool calls.
        logprobs: The log probabilities of this piece, as sent.
        finish_reason: On the final chunk: why the first answer stopped.
        usage: On the final chunk: what the call cost, if the server said.
    """

    text: str = ""
    choice: int = 0
    is_final: bool = False
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: Any = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None

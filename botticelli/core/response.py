"""Describe a model's answer: complete, as a `GenerateResponse`, or streamed, as many `StreamChunk`.

The same for every provider. A `GenerateResponse` holds one `Choice` per requested answer; its properties
`text`, `outputs`, `tool_calls`, `finish_reason` and `logprobs` are those of the first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

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
    "chunks_of",
    "closing_chunks",
]


class FinishReason(StrEnum):
    """Why a model stopped. The server's own word is in `Choice.finish_reason_raw`."""

    STOP = "stop"
    """The answer is complete, or reached a text of `GenerateRequest.stop`."""
    LENGTH = "length"
    """The answer was cut off at `GenerateRequest.max_tokens` or at the model's own limit."""
    TOOL_USE = "tool_use"
    """The model asks for tool calls."""
    CONTENT_FILTER = "content_filter"
    """The server withheld content."""
    OTHER = "other"
    """The server gave a reason that the format doesn't define, or none; the answer may be incomplete."""


class ToolCalls(msgspec.Struct, frozen=True, tag="tool_calls"):
    """The tool calls that a model asks for, in its order.

    Answer each of them with a `Message.tool`, after the model's own message (`GenerateResponse.to_message`).
    """

    calls: list[ToolCall]

    def __str__(self) -> str:
        return "\n".join(map(str, self.calls))


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The model's explanation of why it won't answer."""

    text: str

    def __str__(self) -> str:
        return self.text


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """The model's reasoning, where the server sends it apart from the answer."""

    text: str

    def __str__(self) -> str:
        return self.text


class AudioOutput(msgspec.Struct, frozen=True, tag="audio"):
    """A spoken answer.

    Attributes:
        id: The server's id of it, to refer to in a later turn.
        data: The sound as base64, in the encoding that was asked for with `GenerateRequest.extra`.
        transcript: The spoken text.
        expires_at: When the server deletes it, in Unix seconds; None where unknown.
    """

    id: str
    data: str
    transcript: str
    expires_at: int | None = None

    def __str__(self) -> str:
        return self.transcript


Output = Text | ToolCalls | Refusal | Reasoning | AudioOutput
"""One part of an answer. ``str(output)`` is its readable text."""


class Deviation(msgspec.Struct, frozen=True):
    """A violation of the format that the driver recovered from.

    Attributes:
        code: The name of a relaxation in ``contracts/wire``, such as ``created-not-integer``.
        path: The JSON path of the first occurrence; ``$`` is the whole body.
        count: The number of occurrences.
    """

    code: str
    path: str = "$"
    count: int = 1


class PromptTokens(msgspec.Struct, frozen=True, kw_only=True):
    """The kinds of tokens in `Usage.prompt_tokens`; None where unknown.

    Attributes:
        cached_tokens: Tokens read from the server's cache, which usually cost less.
        audio_tokens: Audio input tokens.
        cache_write_tokens: Tokens written to the server's cache.
        text_tokens: Text input tokens.
        image_tokens: Image input tokens.
    """

    cached_tokens: int | None = None
    audio_tokens: int | None = None
    cache_write_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None


class CompletionTokens(msgspec.Struct, frozen=True, kw_only=True):
    """The kinds of tokens in `Usage.completion_tokens`; None where unknown.

    Attributes:
        reasoning_tokens: Reasoning tokens; billed as output, even where the reasoning isn't sent.
        audio_tokens: Audio output tokens.
        accepted_prediction_tokens: Predicted tokens that were accepted.
        rejected_prediction_tokens: Predicted tokens that were rejected; billed too.
        text_tokens: Text output tokens.
    """

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """The number of tokens that a call used, as the server counts them; None where unknown.

    Nothing is computed: a missing `completion_tokens` stays None even where the total would give it.

    Attributes:
        prompt_tokens: Input tokens: all messages, tools and schemas of the request.
        completion_tokens: Output tokens of all choices, including reasoning.
        total_tokens: The sum, as the server gives it.
        prompt_details: The kinds of input tokens.
        completion_details: The kinds of output tokens.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_details: PromptTokens | None = None
    completion_details: CompletionTokens | None = None


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One rate limit, as response headers state it; None where absent or unreadable.

    Attributes:
        limit: How many are allowed per window.
        remaining: How many are left in the current window.
        reset: Seconds from the arrival of the response to the next window.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The rate limits that response headers state; None where they state none.

    Attributes:
        requests: The limit on requests.
        tokens: The limit on tokens.
    """

    requests: RateLimit | None = None
    tokens: RateLimit | None = None


class Choice(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """One answer of the model.

    Attributes:
        index: Its number among the answers, from 0.
        outputs: Its parts, in the order reasoning, text, refusal, audio, tool calls.
        finish_reason: Why the model stopped.
        finish_reason_raw: The server's own word (any JSON, as sent), or None if it sent none.
        logprobs: The log probabilities of its tokens, as sent (any JSON), or None.
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
        """The joined text; empty where there is none."""
        return "".join(part.text for part in self.outputs if isinstance(part, Text))

    @property
    def reasoning(self) -> str | None:
        """The joined reasoning, or None where there is none."""
        return _joined(part.text for part in self.outputs if isinstance(part, Reasoning))

    @property
    def refusal(self) -> str | None:
        """The joined refusal, or None where there is none."""
        return _joined(part.text for part in self.outputs if isinstance(part, Refusal))

    @property
    def tool_calls(self) -> list[ToolCall]:
        """Every tool call that the model asks for, whatever the finish reason is."""
        return [call for part in self.outputs if isinstance(part, ToolCalls) for call in part.calls]


def _joined(texts: Iterable[str]) -> str | None:
    parts = list(texts)
    return "".join(parts) if parts else None


_NO_CHOICE = Choice()


class GenerateResponse(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """The answer to a request.

    Attributes:
        choices: The answers, sorted by index; empty only in the `partial` of an error.
        id: The server's id of the answer; empty where it sent none.
        model: The model that answered, in the provider's own spelling; empty where unknown.
        created: The time of the answer in Unix seconds; None where unknown.
        usage: The number of tokens used, or None where unknown.
        request_id: The server's id of the request, which its support will ask for, or None.
        inference_provider: The service that a router chose to answer, or None where the server names none.
        rate_limits: The rate limits that the headers state, or None.
        service_tier: The service tier that processed the request, or None.
        system_fingerprint: The server's name for its configuration, or None.
        deviations: Every violation of the format that the driver recovered from.
        raw: The body as received; empty for a stream.
    """

    choices: list[Choice] = msgspec.field(default_factory=list[Choice])
    id: str = ""
    model: str = ""
    created: int | None = None
    usage: Usage | None = None
    request_id: str | None = None
    inference_provider: str | None = None
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
        """The parts of the first choice."""
        return self._first.outputs

    @property
    def text(self) -> str:
        """The text of the first choice; empty where there is none."""
        return self._first.text

    @property
    def reasoning(self) -> str | None:
        """The reasoning of the first choice, or None."""
        return self._first.reasoning

    @property
    def refusal(self) -> str | None:
        """The refusal of the first choice, or None."""
        return self._first.refusal

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls of the first choice."""
        return self._first.tool_calls

    @property
    def finish_reason(self) -> FinishReason:
        """Why the first choice ended."""
        return self._first.finish_reason

    @property
    def finish_reason_raw(self) -> Any:
        """The server's own word for `finish_reason`, or None if it sent none."""
        return self._first.finish_reason_raw

    @property
    def logprobs(self) -> Any:
        """The log probabilities of the first choice, or None."""
        return self._first.logprobs

    def to_message(self, *, reasoning: bool = False) -> Message:
        """Return the first choice as a message, to be sent back in the next request.

        Args:
            reasoning: Whether to include the model's reasoning. Off by default, since some servers reject it;
                a few require it.
        """
        first = self._first
        # Without text, calls and refusals go back with null content: some servers reject "" beside them.
        needs_no_text = first.tool_calls or first.refusal is not None
        return Message.assistant(
            None if needs_no_text and not first.text else first.text,
            tool_calls=first.tool_calls,
            refusal=first.refusal,
            reasoning=first.reasoning if reasoning else None,
        )


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a tool call.

    Attributes:
        index: The number of the call within its choice, from 0 in the order of their first pieces.
        id: The call's id; empty in pieces without it.
        name: The tool's name; empty in pieces without it.
        arguments: The next piece of the arguments' text; may be empty.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class StreamChunk(msgspec.Struct, frozen=True, gc=False, repr_omit_defaults=True):
    """One step of a streamed answer.

    Attributes:
        text: The next piece of text; may be empty.
        choice: The index of the choice that it belongs to.
        is_final: True on exactly one chunk, the last, which comes once the stream has ended properly.
        reasoning: The next piece of reasoning; may be empty.
        refusal: The next piece of a refusal; may be empty.
        tool_calls: The next pieces of tool calls.
        logprobs: The log probabilities of this piece, as sent (any JSON), or None.
        finish_reason: On the final chunk, why the first choice ended; else None.
        usage: On the final chunk, the number of tokens used, or None where unknown; else None.
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


def chunks_of(response: GenerateResponse) -> list[StreamChunk]:
    """Turn a complete response, with at least one choice, into stream chunks.

    Returns:
        One chunk per choice. The first choice's chunk comes last, since it is the final one.
    """
    return closing_chunks(map(_chunk_of, response.choices), response)


def closing_chunks(chunks: Iterable[StreamChunk], response: GenerateResponse) -> list[StreamChunk]:
    """Order the last chunks of a stream and make one of them the final chunk.

    Args:
        chunks: The chunks that became known only at the end of the stream, none of them final.
        response: The complete response, with at least one choice.

    Returns:
        All the chunks. The final one, at the end, is the last of them that belongs to the first choice; where
        there is none, an empty one.
    """
    first = response.choices[0]
    ordered = list(chunks)
    positions = [position for position, chunk in enumerate(ordered) if chunk.choice == first.index]
    last = ordered.pop(positions[-1]) if positions else StreamChunk(choice=first.index)
    final = replace(last, is_final=True, finish_reason=first.finish_reason, usage=response.usage)
    return [*ordered, final]


def _chunk_of(choice: Choice) -> StreamChunk:
    return StreamChunk(
        choice.text,
        choice.index,
        reasoning=choice.reasoning or "",
        refusal=choice.refusal or "",
        tool_calls=tuple(
            ToolCallDelta(index=position, id=call.id, name=call.name, arguments=call.arguments_json)
            for position, call in enumerate(choice.tool_calls)
        ),
        logprobs=choice.logprobs,
    )

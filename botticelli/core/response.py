"""Describe a model's answer: complete, as a `GenerateResponse`, or streamed, as many `StreamChunk`.

The same for every provider. A `GenerateResponse` holds one `Choice` per requested answer; its properties
`text`, `outputs`, `tool_calls`, `finish_reason` and `logprobs` are those of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from botticelli.core.message import (
    NOTHING,
    Audio,
    Image,
    Input,
    Message,
    Other,
    Reasoning,
    Text,
    ToolCall,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Choice",
    "Citations",
    "CompletionTokens",
    "Deviation",
    "FinishReason",
    "GenerateResponse",
    "Output",
    "PromptTokens",
    "RateLimit",
    "RateLimits",
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
    REFUSAL = "refusal"
    """The model declined to answer."""
    PAUSE = "pause"
    """The server paused a long turn: send the answer back as it is, and the model goes on."""
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


class Citations(msgspec.Struct, frozen=True, tag="citations"):
    """The sources that an answer cites.

    Attributes:
        items: The citations, as sent (any JSON).
    """

    items: list[Any]

    def __str__(self) -> str:
        return f"[citations: {len(self.items)}]"


Output = Text | ToolCalls | Refusal | Reasoning | Image | Audio | Citations | Other
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


class Usage(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True, omit_defaults=True):
    """The number of tokens that a call used, as the server counts them; None where unknown.

    Nothing is computed: a missing `completion_tokens` stays None even where the total would give it. The
    arithmetic is the same for every provider, whatever its own: the details are part of the two sums.

    Attributes:
        prompt_tokens: Input tokens: all messages, tools and schemas of the request, cached ones included.
        completion_tokens: Output tokens of all choices, including reasoning.
        total_tokens: The sum, as the server gives it.
        prompt_details: The kinds of input tokens.
        completion_details: The kinds of output tokens.
        extra: Members of the server's object beyond these, as sent: its cost, its own names for details.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_details: PromptTokens | None = None
    completion_details: CompletionTokens | None = None
    extra: Mapping[str, Any] = NOTHING


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


class Choice(msgspec.Struct, kw_only=True, repr_omit_defaults=True, omit_defaults=True):
    """One answer of the model.

    Attributes:
        index: Its number among the answers, from 0.
        outputs: Its blocks, in the server's order. Where a format has members instead of an order, as
            OpenAI's does, it is: reasoning, text (with what stands between its parts), refusal, images,
            audio, citations, tool calls.
        finish_reason: Why the model stopped.
        finish_reason_raw: The server's own word (any JSON, as sent), or None if it sent none.
        stop_sequence: The text of `GenerateRequest.stop` that ended the answer, where the server names it.
        logprobs: The log probabilities of its tokens, as sent (any JSON), or None.
        extra: Members of the choice beyond these, as sent: token ids, filter results.
        message_extra: Members of the message itself beyond these, as sent: they belong to the conversation
            and go back with `to_message`.

    In a stream the newest value of such a member counts, but for null; lists are extended, objects updated,
    and the pieces of a text in a message joined, unless all are the same.
    """

    index: int = 0
    outputs: list[Output] = msgspec.field(default_factory=list[Output])
    finish_reason: FinishReason = FinishReason.OTHER
    finish_reason_raw: Any = None
    stop_sequence: str | None = None
    logprobs: Any = None
    extra: Mapping[str, Any] = NOTHING
    message_extra: Mapping[str, Any] = NOTHING

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
    def annotations(self) -> list[Any]:
        """Every citation, as sent (any JSON)."""
        return [item for part in self.outputs if isinstance(part, Citations) for item in part.items]

    @property
    def tool_calls(self) -> list[ToolCall]:
        """Every tool call that the model asks for, whatever the finish reason is."""
        return [call for part in self.outputs if isinstance(part, ToolCalls) for call in part.calls]


def _joined(texts: Iterable[str]) -> str | None:
    parts = list(texts)
    return "".join(parts) if parts else None


_NO_CHOICE = Choice()


class GenerateResponse(msgspec.Struct, kw_only=True, repr_omit_defaults=True, omit_defaults=True):
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
        raw: The body as received; empty for a stream, whose chunks have it.
        extra: Members of the answer beyond these, as sent: search results, timings, moderation. In a stream
            the newest value of each counts; a list is extended, unless it begins as the one before.
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
    extra: Mapping[str, Any] = NOTHING

    def __repr__(self) -> str:
        # The body says it all again, and what shows an answer must stay readable. asyncio.run shows the task
        # that it ran, and so its result: with its body an answer of 256 MiB cost six times its size.
        return msgspec.Struct.__repr__(replace(self, raw=b""))

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

    def to_message(self, *, reasoning: bool = True, extra: bool = True) -> Message:
        """Return the first choice as a message, to be sent back in the next request.

        It has what the server needs to go on: reasoning under the name it came by, even if it is empty, with
        its signatures; members that have no name here; a spoken answer by its id. Calls that the server made
        itself (of another type than function and custom, without a name) are left out, since nobody answers
        them.

        Args:
            reasoning: Whether to include the model's reasoning. Some servers of old refuse it.
            extra: Whether to include members that the format doesn't name: another server may refuse them.
        """
        first = self._first
        content: list[Input] = []
        for part in first.outputs:
            if isinstance(part, Text) and content and isinstance(before := content[-1], Text):
                content[-1] = Text(before.text + part.text, {**before.extra, **part.extra})
            elif isinstance(part, Text | Image | Audio | Other) or (
                isinstance(part, Reasoning) and reasoning
            ):
                content.append(part)
        calls = [call for call in first.tool_calls if call.name or call.type in ("function", "custom")]
        # Without text, calls and refusals go back with null content: some servers reject "" beside them.
        unsaid = all(isinstance(part, Reasoning) or part == Text("") for part in content)
        if unsaid:
            content = [part for part in content if isinstance(part, Reasoning)]
            if not calls and first.refusal is None:
                content.append(Text(""))
        return Message.assistant(
            content,
            tool_calls=calls,
            refusal=first.refusal,
            extra=first.message_extra if extra else NOTHING,
        )


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True, omit_defaults=True):
    """A piece of a tool call.

    Attributes:
        index: The number of the call within its choice, from 0 in the order of their first pieces.
        id: The call's id; empty in pieces without it.
        name: The tool's name; empty in pieces without it.
        arguments: The next piece of the arguments' text; may be empty.
        extra: Members of the piece beyond these, as sent.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: Mapping[str, Any] = NOTHING


class StreamChunk(msgspec.Struct, frozen=True, gc=False, repr_omit_defaults=True, omit_defaults=True):
    """One step of a streamed answer. Two are equal if they say the same, from whatever bytes.

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
        blocks: What else comes with this piece: images, citations and parts without a class, each whole; and
            sound in pieces, whose base64 texts and transcripts are to be joined.
        extra: Members of this piece that the format doesn't name, as sent: those of the delta, of its choice
            and of the event; where two have the same name, the innermost counts.
        raw: The data of the event that it comes from, as received; empty where it comes from none.
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
    blocks: tuple[Image | Audio | Citations | Other, ...] = ()
    extra: Mapping[str, Any] = NOTHING
    raw: bytes = b""

    def _said(self) -> tuple[Any, ...]:
        return msgspec.structs.astuple(self)[:-1]

    def __eq__(self, other: object) -> bool:
        return self._said() == other._said() if isinstance(other, StreamChunk) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.text, self.choice, self.is_final))

    def __repr__(self) -> str:
        # The event's bytes say it all again, and much else: a line that shows a chunk must stay readable.
        fields = zip(msgspec.structs.fields(self), self._said(), strict=False)
        shown = ", ".join(f"{field.name}={value!r}" for field, value in fields if value != field.default)
        return f"StreamChunk({shown})"


def chunks_of(response: GenerateResponse, *, n: int | None = None) -> list[StreamChunk]:
    """Turn a complete response, with at least one choice, into stream chunks.

    Args:
        response: The response.
        n: How many choices were asked for: a choice that nobody asked for gives no chunk. None for all.

    Returns:
        One chunk per choice. The first choice's chunk comes last, since it is the final one.
    """
    wanted = response.choices[:1] if n == 1 else response.choices
    return closing_chunks(map(_chunk_of, wanted), response)


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
            ToolCallDelta(
                index=position, id=call.id, name=call.name, arguments=call.arguments_json, extra=call.extra
            )
            for position, call in enumerate(choice.tool_calls)
        ),
        logprobs=choice.logprobs,
        blocks=tuple(part for part in choice.outputs if isinstance(part, Image | Audio | Citations | Other)),
        extra={**choice.extra, **choice.message_extra} or NOTHING,
    )

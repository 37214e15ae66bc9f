"""Define the published format as msgspec structs, and nothing else: `contracts/openai` field for field.

`Response`, `Chunk` and `ModelList` are strict: they decode what the contract allows and refuse the rest,
which `repair` then mends. `FastChunk` is the exception: the members a stream needs, read leniently,
because it decodes every event of every stream. Members that no struct names are refused too, for `unknown`
to keep. UNSET is a member that isn't there; None is null.

Source: `CreateChatCompletionResponse`, `CreateChatCompletionStreamResponse` and `ListModelsResponse` of the
published specification 2.3.0 (https://github.com/openai/openai-openapi), with our contracts' errata. A test
holds every strict struct to the contract, member for member.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

Count = Annotated[int, Meta(ge=0)]
Byte = Annotated[int, Meta(ge=0, le=255)]
Word = Annotated[str, Meta(min_length=1)]
FinishWord = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
Tier = Literal["auto", "default", "flex", "scale", "priority", "fast"]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]


class TopLogprob(msgspec.Struct, gc=False):
    """Hold one of the likely tokens at a position."""

    token: str
    logprob: float
    bytes: list[Byte] | None


class TokenLogprob(msgspec.Struct):
    """Hold one token of the answer."""

    token: str
    logprob: float
    bytes: list[Byte] | None
    top_logprobs: list[TopLogprob]


class Logprobs(msgspec.Struct):
    """Hold the log probabilities of a choice."""

    content: list[TokenLogprob] | None
    refusal: list[TokenLogprob] | None


class Function(msgspec.Struct):
    """Hold what a function call calls; `arguments` is a text that should hold JSON."""

    name: Word
    arguments: str


class FunctionToolCall(msgspec.Struct, tag_field="type", tag="function"):
    """Hold a call of a function."""

    id: Word
    function: Function


class Custom(msgspec.Struct):
    """Hold what a custom call calls."""

    name: Word
    input: str


class CustomToolCall(msgspec.Struct, tag_field="type", tag="custom"):
    """Hold a call of a tool that takes free text."""

    id: Word
    custom: Custom


class LegacyFunctionCall(msgspec.Struct):
    """Hold the deprecated `function_call`."""

    name: Word
    arguments: str


class UrlCitation(msgspec.Struct):
    """Hold a citation's target, in characters of the content."""

    start_index: Count
    end_index: Count
    url: str
    title: str


class Annotation(msgspec.Struct, tag_field="type", tag="url_citation"):
    """Hold a citation."""

    url_citation: UrlCitation


class ResponseAudio(msgspec.Struct):
    """Hold spoken output."""

    id: str
    expires_at: int
    data: str
    transcript: str


class ResponseMessage(msgspec.Struct, forbid_unknown_fields=True):
    """Hold the answer of one choice; the reasoning members are outside the published format.

    Nearly every server leaves out `refusal`, and some send `tool_calls: null`. Neither keeps the format; both
    are taken here, so that a usual answer costs what a conforming one does, and noted in response.py.
    """

    role: Literal["assistant"]
    content: str | None
    refusal: str | None | UnsetType = UNSET
    tool_calls: list[FunctionToolCall | CustomToolCall] | None | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    function_call: LegacyFunctionCall | UnsetType = UNSET
    audio: ResponseAudio | None | UnsetType = UNSET
    reasoning_content: Any = UNSET
    reasoning: Any = UNSET
    reasoning_text: Any = UNSET
    thinking: Any = UNSET


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """Hold one of the n answers; `error` is outside the published format."""

    index: Count
    finish_reason: FinishWord
    message: ResponseMessage
    logprobs: Logprobs | None | UnsetType = UNSET
    error: Any = None


class PromptTokensDetails(msgspec.Struct, forbid_unknown_fields=True):
    """Hold what the prompt's tokens were."""

    audio_tokens: Count | UnsetType = UNSET
    cached_tokens: Count | UnsetType = UNSET
    text_tokens: Count | UnsetType = UNSET
    image_tokens: Count | UnsetType = UNSET
    cache_write_tokens: Count | UnsetType = UNSET


class CompletionTokensDetails(msgspec.Struct, forbid_unknown_fields=True):
    """Hold what the answer's tokens were."""

    accepted_prediction_tokens: Count | UnsetType = UNSET
    audio_tokens: Count | UnsetType = UNSET
    reasoning_tokens: Count | UnsetType = UNSET
    text_tokens: Count | UnsetType = UNSET
    rejected_prediction_tokens: Count | UnsetType = UNSET


class Usage(msgspec.Struct, forbid_unknown_fields=True):
    """Hold how many tokens it took."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    completion_tokens_details: CompletionTokensDetails | UnsetType = UNSET
    prompt_tokens_details: PromptTokensDetails | UnsetType = UNSET


class ModerationResult(msgspec.Struct, tag_field="type", tag="moderation_result"):
    """Hold what a moderation model found."""

    model: str
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[Literal["text", "image"]]]


class ModerationResults(msgspec.Struct, tag_field="type", tag="moderation_results"):
    """Hold what moderation found."""

    model: str
    results: list[ModerationResult]


class ModerationError(msgspec.Struct, tag_field="type", tag="error"):
    """Hold why there was no moderation; no error of the answer."""

    code: str
    message: str


class Moderation(msgspec.Struct):
    """Hold what moderation made of what went in and what came out."""

    input: ModerationResults | ModerationError
    output: ModerationResults | ModerationError


class Response(msgspec.Struct, forbid_unknown_fields=True):
    """Hold `openai/response`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | UnsetType = UNSET
    service_tier: Tier | None | UnsetType = UNSET
    system_fingerprint: str | None | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET
    moderation: Moderation | None | UnsetType = UNSET
    error: None = None


class FunctionDelta(msgspec.Struct):
    """Hold the next piece of a function call."""

    name: Word | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class ToolCallDelta(msgspec.Struct):
    """Hold the next piece of a tool call."""

    index: Count
    id: Word | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: FunctionDelta | UnsetType = UNSET


class LegacyFunctionDelta(msgspec.Struct):
    """Hold the next piece of a deprecated `function_call`."""

    name: Word | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class Delta(msgspec.Struct):
    """Hold the next piece of a choice."""

    role: Literal["developer", "system", "user", "assistant", "tool"] | UnsetType = UNSET
    content: str | None | UnsetType = UNSET
    refusal: str | None | UnsetType = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType = UNSET
    function_call: LegacyFunctionDelta | UnsetType = UNSET


class ChunkChoice(msgspec.Struct):
    """Hold one choice of a chunk."""

    index: Count
    delta: Delta
    finish_reason: FinishWord | None
    logprobs: Logprobs | None | UnsetType = UNSET


class Chunk(msgspec.Struct):
    """Hold `openai/chunk`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None | UnsetType = UNSET
    service_tier: Tier | None | UnsetType = UNSET
    system_fingerprint: str | None | UnsetType = UNSET
    obfuscation: str | UnsetType = UNSET
    moderation: Moderation | None | UnsetType = UNSET
    error: None = None


class UnknownOfChoice(NamedTuple):
    """Hold what no struct names of a choice of a chunk.

    Attributes:
        choice: The members beside the delta.
        delta: The members in it.
        blocks: Its content in blocks, if it isn't only text.
    """

    choice: dict[str, Any]
    delta: dict[str, Any]
    blocks: list[Any]


class Unknown(NamedTuple):
    """Hold what no struct names of a chunk.

    Attributes:
        chunk: The members beside the choices.
        choices: Those of each choice.
    """

    chunk: dict[str, Any]
    choices: list[UnknownOfChoice]


HIDDEN: Final = "<unknown>"
"""The name of `FastChunk.unknown`; under it a server can send null, and nothing else."""

if TYPE_CHECKING:
    Hidden = Unknown | None
else:
    Hidden = None  # what a decoder may put there; the rest is put there afterwards


class FastDelta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Hold what a stream needs of a delta. Tool calls stay plain dicts: they come in too many shapes."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    refusal: str | None = None
    function_call: dict[str, Any] | None = None
    reasoning_text: str | None = None
    thinking: str | None = None
    audio: dict[str, Any] | None = None
    annotations: list[Any] | None = None
    reasoning_details: Any = None
    images: list[Any] | None = None
    role: Literal["assistant"] | None = None


class FastChoice(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Hold what a stream needs of a choice; `error` is outside the published format, and refused."""

    delta: FastDelta | None = None
    index: int | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None
    message: Any = None
    text: str | None = None
    usage: Any = None
    error: None = None


class FastChunk(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Hold a chunk. A member that no struct names is refused, so that it can't be missed.

    Attributes:
        unknown: Such members, put there by who read the chunk another way, and by no decoder.
    """

    choices: list[FastChoice] | None = None
    usage: Any = None
    error: Any = None
    id: str | None = None
    model: str | None = None
    created: int | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    object: Literal["chat.completion.chunk"] | None = None
    obfuscation: Any = None
    unknown: Hidden = msgspec.field(default=None, name=HIDDEN)


class Model(msgspec.Struct):
    """Hold one model of the list."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    shutdown_date: str | None | UnsetType = UNSET


class ModelList(msgspec.Struct):
    """Hold `openai/model-list`."""

    object: Literal["list"]
    data: list[Model]
    error: None = None

"""What is asked of a model, whoever the provider: no wire, no I/O.

UNSET and None are different things: a field left UNSET is not sent, a field set to None is sent as
null. Zero, False and the empty string are values like any other.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from .message import Message

__all__ = ["GenerateRequest", "NamedTool", "ResponseFormat", "ToolDefinition"]


class ToolDefinition(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A function the model may call.

    Attributes:
        name: Letters, digits, ``_`` and ``-``, at most 64.
        description: When and how to call it; for the model.
        parameters: A JSON Schema of the arguments; UNSET means a function without arguments.
        strict: Whether the model must keep to the schema exactly.
    """

    name: str
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    strict: bool | None | UnsetType = UNSET


class NamedTool(msgspec.Struct, frozen=True):
    """As `tool_choice`: the model must call this function."""

    name: str


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What form the answer must have; made by `text`, `json_object` or `json_schema`."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    schema: dict[str, Any] | UnsetType = UNSET
    strict: bool | None | UnsetType = UNSET

    @classmethod
    def text(cls) -> ResponseFormat:
        """Free text."""
        return cls(type="text")

    @classmethod
    def json_object(cls) -> ResponseFormat:
        """Some JSON object; the prompt must ask for JSON too."""
        return cls(type="json_object")

    @classmethod
    def json_schema(
        cls,
        name: str,
        schema: dict[str, Any],
        *,
        strict: bool | UnsetType | None = True,
        description: str | UnsetType = UNSET,
    ) -> ResponseFormat:
        """JSON that keeps to a schema.

        Args:
            name: Letters, digits, ``_`` and ``-``, at most 64.
            schema: The JSON Schema.
            strict: Whether to keep to it exactly.
            description: What the answer is for; for the model.
        """
        return cls(type="json_schema", name=name, schema=schema, strict=strict, description=description)


class GenerateRequest(msgspec.Struct, repr_omit_defaults=True):
    """A request to a model. Only `messages` must be given; what is UNSET is not sent.

    Ranges are the published ones; a value outside is refused with a `RequestError` before anything is sent.

    Attributes:
        messages: The conversation, at least one message.
        max_tokens: The most tokens the answer may have.
        temperature: 0 to 2.
        top_p: 0 to 1.
        stop: A text, or one to four, at which the answer ends.
        seed: For answers that can be repeated, where the server can.
        n: How many answers, 1 to 128.
        presence_penalty: -2 to 2.
        frequency_penalty: -2 to 2.
        logprobs: Whether to send the tokens' log probabilities.
        top_logprobs: How many likely tokens to send at each position, 0 to 20; needs `logprobs`.
        tools: The functions the model may call.
        tool_choice: ``auto``, ``none``, ``required`` or a `NamedTool`.
        parallel_tool_calls: Whether the model may make several calls at once.
        response_format: What form the answer must have.
        reasoning_effort: How long the model should think.
        user: Your name for the end user.
        metadata: At most 16 pairs; keys of at most 64, values of at most 512 characters.
        stream_usage: Whether a stream should tell its usage; unasked, nothing extra is sent.
        model: Another model than the driver's, for this request.
        extra: Further members of the body, passed through as they are.
    """

    messages: list[Message]
    max_tokens: int | None | UnsetType = UNSET
    temperature: float | None | UnsetType = UNSET
    top_p: float | None | UnsetType = UNSET
    stop: str | list[str] | None | UnsetType = UNSET
    seed: int | None | UnsetType = UNSET
    n: int | None | UnsetType = UNSET
    presence_penalty: float | None | UnsetType = UNSET
    frequency_penalty: float | None | UnsetType = UNSET
    logprobs: bool | None | UnsetType = UNSET
    top_logprobs: int | None | UnsetType = UNSET
    tools: list[ToolDefinition] | UnsetType = UNSET
    tool_choice: Literal["auto", "none", "required"] | NamedTool | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    response_format: ResponseFormat | UnsetType = UNSET
    reasoning_effort: (
        Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None | UnsetType
    ) = UNSET
    user: str | UnsetType = UNSET
    metadata: dict[str, str] | None | UnsetType = UNSET
    stream_usage: bool = False
    model: str | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

"""Describe a request to a model: the messages, the sampling options, the tools and the form of the answer.

The same for every provider. UNSET and None differ: a field that is UNSET isn't sent, a field that is None is
sent as null. Making a request checks nothing, since it may still be changed; a driver checks it before it
sends anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from botticelli.core.message import NOTHING, Message

__all__ = ["GenerateRequest", "NamedTool", "ResponseFormat", "ToolDefinition"]


class ToolDefinition(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True, omit_defaults=True):
    """A function that the model may call.

    Attributes:
        name: Letters, digits, ``_`` and ``-``, at most 64 of them.
        description: When and how to call it, for the model to read.
        parameters: A JSON Schema of the arguments object; UNSET for a function without arguments.
        strict: Whether the arguments must match the schema exactly. Servers that offer this usually want
            every property listed in ``required``, and ``"additionalProperties": false``.
        extra: Further members of the tool, beside the function, such as ``cache_control``.

    Example:
        >>> add = ToolDefinition(
        ...     name="add",
        ...     description="Adds two numbers.",
        ...     parameters={
        ...         "type": "object",
        ...         "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
        ...         "required": ["a", "b"],
        ...     },
        ... )
    """

    name: str
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    strict: bool | None | UnsetType = UNSET
    extra: Mapping[str, Any] = NOTHING


class NamedTool(msgspec.Struct, frozen=True):
    """A value of `GenerateRequest.tool_choice`: the model must call this function."""

    name: str


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """The form that the answer must have. Use `text`, `json_object` or `json_schema` to make one.

    Attributes:
        type: Which of the three it is.
        name: The schema's name.
        description: What the answer is for, for the model to read.
        schema: The JSON Schema.
        strict: Whether the answer must match the schema exactly.
    """

    type: Literal["text", "json_object", "json_schema"]
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    schema: dict[str, Any] | UnsetType = UNSET
    strict: bool | None | UnsetType = UNSET

    @classmethod
    def text(cls) -> ResponseFormat:
        """Return the format for free text."""
        return cls(type="text")

    @classmethod
    def json_object(cls) -> ResponseFormat:
        """Return the format for any JSON object; the prompt must ask for JSON too."""
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
        """Return the format for JSON that matches a schema.

        Args:
            name: Letters, digits, ``_`` and ``-``, at most 64 of them.
            schema: The JSON Schema.
            strict: Whether the answer must match it exactly.
            description: What the answer is for, for the model to read.
        """
        return cls(type="json_schema", name=name, schema=schema, strict=strict, description=description)


class GenerateRequest(msgspec.Struct, repr_omit_defaults=True):
    """A request to a model. Only `messages` is required; for whatever is UNSET, the server's default applies.

    Each format has a list of rules on what it can carry, with the ranges of its numbers: the module ``rules``
    of its folder in `botticelli.dialects`. A driver raises `RequestError` for a request that breaks one.

    Attributes:
        messages: The conversation, at least one message.
        max_tokens: The most tokens that the answer may have. An answer that reaches it is cut off and has the
            finish reason `FinishReason.LENGTH`.
        temperature: Sampling temperature, 0 or more; higher is more random.
        top_p: Nucleus sampling: keep the smallest set of tokens whose probabilities add up to this (0 to 1).
        stop: One or more texts; the answer ends before the first of them that the model writes.
        seed: Makes answers repeatable, on servers that support it.
        n: How many answers to generate.
        presence_penalty: Above 0, penalises tokens that have appeared at all.
        frequency_penalty: Above 0, penalises tokens in proportion to how often they have appeared.
        logprobs: Whether to return the log probabilities of the answer's tokens.
        top_logprobs: How many of the most likely tokens to return at each position; needs ``logprobs=True``.
        tools: The functions that the model may call.
        tool_choice: ``auto``: the model decides; ``none``: no call; ``required``: at least one call; or the
            `NamedTool` that it must call.
        parallel_tool_calls: Whether the model may ask for several calls at once.
        response_format: The form that the answer must have.
        reasoning_effort: How much the model should reason before it answers. Which of the words a model knows
            is in its documentation.
        user: Your identifier for the end user.
        metadata: Pairs of texts that the server stores with the request.
        stream_usage: Whether to ask for the usage at the end of a stream; without, nothing extra is sent.
        model: The model for this request, instead of the driver's.
        extra: Further members of the request body (JSON only), sent as they are. They can't repeat a member
            that the other fields set.

    Example:
        >>> from botticelli import GenerateRequest, Message
        >>> request = GenerateRequest(
        ...     messages=[Message.system("Be brief."), Message.user("Why is the sky blue?")],
        ...     max_tokens=100,
        ...     temperature=0,
        ...     extra={"top_k": 40},
        ... )
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

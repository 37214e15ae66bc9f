"""What is asked of a model, whoever the provider: no wire, no I/O.

UNSET and None are different things: a field left UNSET is not sent, a field set to None is sent as
null. Zero, False and the empty string are values like any other. Nothing is checked when a request is made:
it may still be filled in. It is checked when it is asked, before anything is sent.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from botticelli.core.message import Message

__all__ = ["GenerateRequest", "NamedTool", "ResponseFormat", "ToolDefinition"]


class ToolDefinition(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A function the model may call.

    Attributes:
        name: Letters, digits, ``_`` and ``-``, at most 64.
        description: When and how to call it; for the model.
        parameters: A JSON Schema of the arguments (an object's); UNSET means a function without arguments.
        strict: Whether the model must keep to the schema exactly. Servers that offer it want every property
            in ``required`` and ``"additionalProperties": false``.

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


class NamedTool(msgspec.Struct, frozen=True):
    """As `tool_choice`: the model must call this function."""

    name: str


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What form the answer must have; made by `text`, `json_object` or `json_schema`.

    Attributes:
        type: Which of the three.
        name: Of the schema.
        description: What the answer is for; for the model.
        schema: The JSON Schema.
        strict: Whether to keep to it exactly.
    """

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

    Ranges are the published ones (the OpenAI API's specification 2.3.0, ``CreateChatCompletionRequest``); a
    value outside is refused with a `RequestError` before anything is sent. The defaults are the server's.

    Attributes:
        messages: The conversation, at least one message.
        max_tokens: The most tokens the answer may have; one that is cut there ends with
            `FinishReason.LENGTH`.
        temperature: 0 to 2: how much is left to chance.
        top_p: 0 to 1: among how much of the likeliest chance may choose.
        stop: A text, or one to four, at which the answer ends.
        seed: For answers that can be repeated, where the server can.
        n: How many answers, 1 to 128.
        presence_penalty: -2 to 2; above 0, tokens that were said at all are less likely.
        frequency_penalty: -2 to 2; above 0, the more so the oftener they were.
        logprobs: Whether to send the tokens' log probabilities.
        top_logprobs: How many likely tokens to send at each position, 0 to 20; needs ``logprobs=True``.
        tools: The functions the model may call.
        tool_choice: ``auto``, ``none``, ``required`` or a `NamedTool`.
        parallel_tool_calls: Whether the model may make several calls at once.
        response_format: What form the answer must have.
        reasoning_effort: How long the model should think; which of the words it knows, its maker says.
        user: Your name for the end user.
        metadata: At most 16 pairs; keys of at most 64, values of at most 512 characters.
        stream_usage: Whether a stream should tell its usage; unasked, nothing extra is sent.
        model: Another model than the driver's, for this request.
        extra: Further members of the body, passed through as they are (JSON only). They may not repeat what
            the request sets.

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

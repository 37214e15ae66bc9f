"""Which code a breach of the format has, by what is wrong and where. Tables only.

The codes are those of `contracts/wire/openai/relaxations.json`. A place is a path with ``[]`` for every
index.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from botticelli.dialects.openai.convert import whole

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Problem", "code_of", "is_digits"]

Problem = Literal["missing", "null", "type", "value", "empty", "long", "range"]

_GENERIC: dict[Problem, str] = {
    "missing": "field-missing",
    "null": "field-null",
    "type": "field-type",
    "value": "unknown-value",
    "empty": "field-value",
    "long": "field-value",
    "range": "number-range",
}

_TOKENS: dict[Problem, str] = {
    "missing": "usage-tokens-missing",
    "null": "usage-tokens-null",
    "type": "usage-tokens-type",
    "range": "usage-tokens-negative",
}
_DETAILS: dict[Problem, str] = {"null": "usage-details-null", "type": "usage-details-type"}
_ROLE: dict[Problem, str] = {
    "missing": "role-missing",
    "null": "role-null",
    "value": "role-unknown",
    "empty": "role-unknown",
}

_CODES: dict[str, dict[Problem, str]] = {
    "$.id": {"missing": "id-missing", "type": "id-not-string"},
    "$.object": {"missing": "object-missing", "value": "object-unknown", "empty": "object-unknown"},
    "$.created": {"missing": "created-missing", "type": "created-not-integer"},
    "$.model": {"missing": "model-missing"},
    "$.choices": {"missing": "choices-missing", "null": "choices-null"},
    "$.usage": {"null": "usage-null", "type": "usage-type"},
    "$.data": {"missing": "models-data-missing", "null": "models-data-null"},
    "choices[].index": {
        "missing": "choice-index-missing",
        "null": "choice-index-null",
        "type": "choice-index-not-integer",
    },
    "choices[].finish_reason": {
        "missing": "finish-reason-missing",
        "null": "finish-reason-null",
        "empty": "finish-reason-empty",
        "value": "finish-reason-unknown",
        "type": "finish-reason-type",
    },
    "choices[].message": {"missing": "message-missing", "null": "message-null"},
    "choices[].delta": {"missing": "delta-missing", "null": "delta-null"},
    "choices[].logprobs": {"missing": "logprobs-missing", "type": "logprobs-shape"},
    "logprobs.content": {"missing": "logprobs-content-missing", "type": "logprobs-shape"},
    "logprobs.refusal": {"missing": "logprobs-refusal-missing"},
    "message.role": _ROLE,
    "delta.role": _ROLE,
    "message.content": {"missing": "content-missing"},
    "message.refusal": {"missing": "refusal-missing"},
    "message.tool_calls": {"null": "tool-calls-null"},
    "delta.tool_calls": {"null": "tool-calls-null"},
    "message.function_call": {"null": "function-call-null"},
    "delta.function_call": {"null": "function-call-null"},
    "tool_calls[].index": {
        "missing": "tool-index-missing",
        "null": "tool-index-null",
        "type": "tool-index-not-integer",
        "range": "tool-index-negative",
    },
    "tool_calls[].id": {
        "missing": "tool-id-missing",
        "null": "tool-id-null",
        "empty": "tool-id-empty",
        "type": "tool-id-not-string",
    },
    "tool_calls[].type": {
        "missing": "tool-type-missing",
        "null": "tool-type-null",
        "value": "tool-type-unknown",
        "empty": "tool-type-unknown",
    },
    "tool_calls[].function": {"null": "tool-function-null"},
    "function.name": {"null": "tool-name-null", "empty": "tool-name-empty"},
    "function.arguments": {
        "missing": "arguments-missing",
        "null": "arguments-null",
        "type": "arguments-not-string",
    },
    "usage.prompt_tokens": _TOKENS,
    "usage.completion_tokens": _TOKENS,
    "usage.total_tokens": _TOKENS,
    "usage.prompt_tokens_details": _DETAILS,
    "usage.completion_tokens_details": _DETAILS,
}

_MAX_DIGITS = 18


def is_digits(value: Any) -> bool:
    """Whether a value is a text that counts as its number."""
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS


def _is_whole(value: Any) -> bool:
    return whole(value) is not None


_KINDS: dict[str, Callable[[Any], bool]] = {
    "id-not-string": _is_whole,
    "tool-id-not-string": _is_whole,
    "created-not-integer": lambda value: isinstance(value, float | str),
    "choice-index-not-integer": is_digits,
    "tool-index-not-integer": is_digits,
    "finish-reason-type": lambda value: isinstance(value, dict),
    "arguments-not-string": lambda value: isinstance(value, dict),
    "logprobs-shape": lambda value: isinstance(value, dict | list),
    "usage-type": lambda value: isinstance(value, list),
    "usage-tokens-type": lambda value: isinstance(value, float) or is_digits(value),
    "usage-details-type": lambda value: isinstance(value, list),
}
"""What the codes for wrong types mean; a value of yet another type has the catch-all."""

_OUTSIDE = (
    ".reasoning_content",
    ".reasoning",
    ".reasoning_text",
    ".thinking",
    "choices[].text",
    "choices[].usage",
    "choices[].error",
)
"""Members that the published format doesn't know: whatever they hold, it is no breach."""


def code_of(problem: Problem, place: str, value: Any = None) -> str | None:
    """The code of a problem at a place; None where the published format says nothing.

    Args:
        problem: What is wrong.
        place: Where, with ``[]`` for every index.
        value: What stands there; only looked at when it is of the wrong type.
    """
    code = _code_at(problem, place)
    fits = _KINDS.get(code) if code else None
    return code if fits is None or fits(value) else _GENERIC[problem]


@cache  # there are as many places as the wire structs have members
def _code_at(problem: Problem, place: str) -> str | None:
    if place.endswith(_OUTSIDE):
        return None
    key = ".".join(place.rsplit(".", 2)[-2:])
    return _CODES.get(key, {}).get(problem, _GENERIC[problem])

"""The repair path: plain values that break the format -> wire structs, each liberty noted. No bytes, no I/O.

One walk along the structs' own types mends or drops what doesn't fit and never loses text. The structs it
builds hold None (in a required member) or UNSET where the server sent nothing usable, whatever their
annotations say, so that a made-up default can't pass for an answer.

The codes are those of `contracts/wire/relaxations.json`. A place is a path with ``[]`` for every index.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec
from msgspec import inspect as shapes

from .jsontext import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from .notes import Notes

__all__ = ["content_parts", "mend"]

Problem = Literal["missing", "null", "type", "value", "empty", "range"]
Shape = TypeVar("Shape", bound=msgspec.Struct)
_DROP: Any = object()

_GENERIC: dict[Problem, str] = {
    "missing": "field-missing",
    "null": "field-null",
    "type": "field-type",
    "value": "unknown-value",
    "empty": "field-value",
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

_OUTSIDE = frozenset(
    {"reasoning_content", "reasoning", "reasoning_text", "thinking", "text", "message", "error"}
)
"""Members that the published format doesn't know: whatever they hold, it is no deviation."""


def mend(value: Any, shape: type[Shape], notes: Notes, path: str = "$") -> Shape | None:
    """Build a struct of a plain value that may break the format.

    Args:
        value: What `jsontext.read` gave.
        shape: One of the structs of `wire`.
        notes: Where to note what was wrong.
        path: Where the value stands in the answer.

    Returns:
        The struct, or None if the value isn't an object at all.
    """
    mended = _Walk(notes).walk(value, _info(shape), path, path)
    return None if mended is _DROP else cast("Shape", mended)


@cache
def _info(shape: type[msgspec.Struct]) -> shapes.Type:
    return shapes.type_info(shape)


def content_parts(parts: list[Any]) -> tuple[str, str]:
    """The text and the thinking of a content that came as a list of parts."""
    text: list[str] = []
    thinking: list[str] = []
    for part in parts:
        if isinstance(part, str):
            text.append(part)
        elif is_object(part):
            inner = part.get("thinking")
            if is_array(inner):
                thinking.append(content_parts(inner)[0])
            elif isinstance(inner, str):
                thinking.append(inner)
            elif isinstance(part.get("text"), str):
                text.append(part["text"])
    return "".join(text), "".join(thinking)


class _Walk:
    """One walk along a type; every method gives the mended value, or _DROP where nothing is usable."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def _note(self, problem: Problem, path: str, place: str) -> None:
        field = place.rsplit(".", 1)[-1]
        if field in _OUTSIDE and not place.endswith("choices[].message"):
            return
        key = ".".join(place.rsplit(".", 2)[-2:])
        code = _CODES.get(key, {}).get(problem, _GENERIC[problem])
        self._notes.add(code, path, place)

    def walk(self, value: Any, info: shapes.Type, path: str, place: str) -> Any:
        if isinstance(info, shapes.UnionType):
            return self._union(value, info, path, place)
        if value is None and not isinstance(info, shapes.AnyType | shapes.NoneType | shapes.RawType):
            self._note("null", path, place)
            return _DROP
        return _READERS[type(info)](self, value, info, path, place)

    def read_any(self, value: Any, _info: shapes.Type, _path: str, _place: str) -> Any:
        return value

    def read_raw(self, value: Any, _info: shapes.Type, _path: str, _place: str) -> Any:
        return None if value is None else msgspec.Raw(msgspec.json.encode(value))

    def _union(self, value: Any, info: shapes.UnionType, path: str, place: str) -> Any:
        if value is None and any(isinstance(kind, shapes.NoneType) for kind in info.types):
            return None
        kinds = [kind for kind in info.types if not isinstance(kind, shapes.NoneType)]
        if len(kinds) == 1:
            return self.walk(value, kinds[0], path, place)
        tagged = cast("list[shapes.StructType]", kinds)
        members = value if is_object(value) else {}
        for kind in tagged:
            if members.get("type") == kind.tag or (members.get("type") is None and kind.tag in members):
                return self.walk(value, kind, path, place)
        return self.walk(value, tagged[0], path, place)

    def read_struct(self, value: Any, info: shapes.StructType, path: str, place: str) -> Any:
        if not is_object(value):
            self._note("type", path, place)
            return _DROP
        members = value
        if place.endswith("choices[].logprobs") and not members.keys() & {"content", "refusal"}:
            self._notes.add("logprobs-shape", path, place)
            return members
        if is_array(members.get("content")) and place.endswith((".message", ".delta")):
            members = self._without_parts(members, path, place)
        if info.tag_field is not None:
            self._tag(members, info, path, place)
        built: dict[str, Any] = {}
        for field in info.fields:
            name = field.encode_name
            if name in members:
                mended = self.walk(members[name], field.type, f"{path}.{name}", f"{place}.{name}")
                if mended is not _DROP:
                    built[field.name] = mended
                    continue
            elif field.required:
                self._note("missing", f"{path}.{name}", f"{place}.{name}")
            if field.required:
                built[field.name] = None
        return info.cls(**built)

    def _without_parts(self, members: dict[str, Any], path: str, place: str) -> dict[str, Any]:
        self._notes.add("content-parts", f"{path}.content", f"{place}.content")
        text, thinking = content_parts(members["content"])
        if thinking and not members.get("reasoning_content"):
            members = {**members, "reasoning_content": thinking}
        return {**members, "content": text}

    def _tag(self, members: dict[str, Any], info: shapes.StructType, path: str, place: str) -> None:
        name = str(info.tag_field)
        word = members.get(name)
        if word == info.tag:
            return
        problem: Problem = "type"
        if name not in members:
            problem = "missing"
        elif word is None:
            problem = "null"
        elif isinstance(word, str):
            problem = "value"
        self._note(problem, f"{path}.{name}", f"{place}.{name}")

    def read_list(self, value: Any, info: shapes.ListType, path: str, place: str) -> Any:
        if not is_array(value):
            self._note("type", path, place)
            return _DROP
        walked = (
            self.walk(item, info.item_type, f"{path}[{position}]", f"{place}[]")
            for position, item in enumerate(value)
        )
        return [item for item in walked if item is not _DROP]

    def read_dict(self, value: Any, info: shapes.DictType, path: str, place: str) -> Any:
        if not is_object(value):
            self._note("type", path, place)
            # Log probabilities in a shape of their own are worth keeping as they came.
            return value if place.endswith(".logprobs") and value else _DROP
        walked = {
            name: self.walk(item, info.value_type, f"{path}.{name}", f"{place}.{{}}")
            for name, item in value.items()
        }
        return {name: item for name, item in walked.items() if item is not _DROP}

    def read_string(self, value: Any, info: shapes.StrType, path: str, place: str) -> Any:
        if isinstance(value, str):
            if info.min_length and not value:
                self._note("empty", path, place)
                return _DROP
            return value
        self._note("type", path, place)
        return _as_text(value, place)

    def read_literal(self, value: Any, info: shapes.LiteralType, path: str, place: str) -> Any:
        if isinstance(value, str):
            if value not in info.values:
                self._note("value" if value else "empty", path, place)
            return value
        self._note("type", path, place)
        return value if place.endswith("finish_reason") else _DROP

    def read_integer(self, value: Any, info: shapes.IntType, path: str, place: str) -> Any:
        number = value
        if isinstance(value, float) and value.is_integer():
            number = int(value)  # JSON Schema counts 1.0 among the integers
        if not isinstance(number, int) or isinstance(number, bool):
            self._note("type", path, place)
            return _as_integer(value, place)
        if info.ge is not None and number < info.ge:
            self._note("range", path, place)
            return number if place.endswith(".index") else _DROP
        return number

    def read_float(self, value: Any, _info: shapes.Type, path: str, place: str) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        self._note("type", path, place)
        return _DROP


def _as_text(value: Any, place: str) -> Any:
    """What stands where a text should, as that text, wherever losing it would lose an answer."""
    if place in ("$.id", "$.model") or place.endswith("tool_calls[].id"):
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else _DROP
    if place.endswith((".content", ".arguments", ".refusal", "finish_reason", ".name", ".input", "[].text")):
        return value if place.endswith("finish_reason") else msgspec.json.encode(value).decode()
    return _DROP


def _as_integer(value: Any, place: str) -> Any:
    """What stands where a whole number should, as that number, where its sense is plain."""
    if isinstance(value, float) and place == "$.created" and math.isfinite(value):
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and place != "$.created":
        return int(value)
    return _DROP


_READERS: dict[type[shapes.Type], Callable[..., Any]] = {
    shapes.AnyType: _Walk.read_any,
    shapes.RawType: _Walk.read_raw,
    shapes.StructType: _Walk.read_struct,
    shapes.ListType: _Walk.read_list,
    shapes.DictType: _Walk.read_dict,
    shapes.StrType: _Walk.read_string,
    shapes.LiteralType: _Walk.read_literal,
    shapes.IntType: _Walk.read_integer,
    shapes.FloatType: _Walk.read_float,
}

"""Repair what breaks the format: plain values in, wire structs out, each deviation recorded by its code.

One walk along the structs' own types mends or drops what doesn't fit. What may hold parts of the answer
and isn't what the format says is refused: to drop it would be to lose them in silence. The walk goes on all
the same, for the error to carry the rest. The structs it builds hold None (in a required member) or
UNSET where the server sent nothing usable, whatever their annotations say, so that a made-up default can't
pass for an answer.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec
from msgspec import inspect as shapes

from botticelli.core.message import Text
from botticelli.dialects.openai.convert import is_parts, split_content
from botticelli.protocol import lenient_json
from botticelli.protocol.lenient_json import as_id, as_whole_number, is_array, is_digits, is_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.protocol.deviations import DeviationLog

__all__ = ["Problem", "find_code", "is_digits", "mend", "mend_members", "narrowed"]

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
    "choices[].logprobs": {"type": "logprobs-shape"},
    "logprobs.content": {"missing": "logprobs-content-missing", "type": "logprobs-shape"},
    "logprobs.refusal": {"missing": "logprobs-refusal-missing"},
    "message.role": _ROLE,
    "delta.role": _ROLE,
    "message.content": {"missing": "content-missing", "type": "content-not-string"},
    "delta.content": {"type": "content-not-string"},
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


def _is_whole(value: Any) -> bool:
    return as_whole_number(value) is not None


_KINDS: dict[str, Callable[[Any], bool]] = {
    "id-not-string": _is_whole,
    "tool-id-not-string": _is_whole,
    "created-not-integer": lambda value: isinstance(value, float | str),
    "choice-index-not-integer": is_digits,
    "tool-index-not-integer": is_digits,
    "finish-reason-type": lambda value: isinstance(value, dict),
    "arguments-not-string": lambda value: isinstance(value, dict),
    "content-not-string": lambda value: isinstance(value, dict | list),
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


def find_code(problem: Problem, place: str, value: Any = None) -> str | None:
    """Return the code of a problem at a place; None where the published format says nothing.

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


Shape = TypeVar("Shape", bound=msgspec.Struct)
_DROP: Any = object()

_BEARING = (
    ".choices",
    "choices[]",
    ".message",
    ".delta",
    ".tool_calls",
    "tool_calls[]",
    ".function",
    ".custom",
    ".function_call",
)
"""Where a value of another type than the format's is refused: parts of the answer stand inside. A single text
or number of another type is never worth an answer: the text is its JSON, the number unknown."""

_NEVER_NULL = ("choices[]", "tool_calls[]", ".custom")
"""Where null counts as a wrong type."""

_TEXTS = (".content", ".refusal", ".name", ".arguments", ".input", "choices[].text")
"""Where whatever isn't text is taken as its JSON text."""


def mend(value: dict[str, Any], shape: type[Shape], log: DeviationLog) -> Shape:
    """Build a struct of a body or an event that may break the format.

    Args:
        value: What `lenient_json.parse` gave.
        shape: One of the structs of `wire`.
        log: Where to note what was wrong, and what can't be read.

    Returns:
        The struct, as complete as can be.
    """
    return cast("Shape", _Walk(log).walk(value, _info(shape), "$", "$"))


def mend_members(
    struct: msgspec.Struct, members: shapes.StructType, log: DeviationLog, path: str, place: str
) -> None:
    """Mend some members of a struct that were decoded as whatever they are.

    Args:
        struct: The struct, changed in place.
        members: What `narrowed` gave.
        log: As for `mend`.
        path: Where the struct stands.
        place: The same for any index.
    """
    names = [field.name for field in members.fields]
    present = {name: value for name in names if (value := getattr(struct, name)) is not None}
    if present:
        mended = _Walk(log).read_struct(present, members, path, place)
        for name in names:
            setattr(struct, name, getattr(mended, name))


def narrowed(shape: type[msgspec.Struct], names: frozenset[str]) -> shapes.StructType:
    """Return a shape with some of its members only, none of them null or required."""
    whole = cast("shapes.StructType", _info(shape))
    fields = [
        msgspec.structs.replace(field, type=_but_null(field.type))
        for field in whole.fields
        if field.name in names
    ]
    return msgspec.structs.replace(whole, fields=tuple(fields))


def _but_null(info: shapes.Type) -> shapes.Type:
    kinds = [kind for kind in getattr(info, "types", ()) if not isinstance(kind, shapes.NoneType)]
    return kinds[0] if kinds else info


@cache
def _info(shape: type[msgspec.Struct]) -> shapes.Type:
    return shapes.type_info(shape)


class _Walk:
    """Walk along a type; every method returns the mended value, or _DROP where nothing is usable."""

    def __init__(self, log: DeviationLog) -> None:
        self._log = log

    def _note(self, problem: Problem, path: str, place: str, value: Any = None) -> None:
        code = find_code(problem, place, value)
        if code is not None:
            self._log.add(code, path, place)

    def _misfit(self, value: Any, path: str, place: str) -> Any:
        """Drop a value of the wrong type: note it, or refuse it."""
        if place.endswith(_BEARING):
            self._log.refuse(path, value)
        else:
            self._note("type", path, place, value)
        return _DROP

    def walk(self, value: Any, info: shapes.Type, path: str, place: str) -> Any:
        if isinstance(info, shapes.UnionType):
            return self._union(value, info, path, place)
        if value is None and not isinstance(info, shapes.AnyType | shapes.NoneType):
            if place.endswith(_NEVER_NULL):
                return self._misfit(value, path, place)
            self._note("null", path, place)
            return _DROP
        return _READERS[type(info)](self, value, info, path, place)

    def read_any(self, value: Any, _info: shapes.Type, _path: str, _place: str) -> Any:
        return value

    def read_none(self, value: Any, _info: shapes.Type, path: str, place: str) -> Any:
        return value if value is None else self._misfit(value, path, place)

    def _union(self, value: Any, info: shapes.UnionType, path: str, place: str) -> Any:
        if value is None and any(isinstance(kind, shapes.NoneType) for kind in info.types):
            return None
        kinds = [kind for kind in info.types if not isinstance(kind, shapes.NoneType)]
        if len(kinds) == 1:
            return self.walk(value, kinds[0], path, place)
        tagged = cast("list[shapes.StructType]", kinds)
        members = value if is_object(value) else {}
        for kind in tagged:
            word = members.get("type")
            if word == kind.tag or (word is None and is_object(members.get(str(kind.tag)))):
                return self.walk(value, kind, path, place)
        return self.walk(value, tagged[0], path, place)

    def read_struct(self, value: Any, info: shapes.StructType, path: str, place: str) -> Any:
        if not is_object(value):
            dropped = self._misfit(value, path, place)
            if not isinstance(value, str) or not place.endswith((".message", ".delta")):
                return dropped
            # a message that is only a text can mean nothing but its content
            value = {"content": value}
        members = value
        if place.endswith("choices[].logprobs") and not members.keys() & {"content", "refusal"}:
            self._log.add("logprobs-shape", path, place)
            return _DROP
        content = members.get("content")
        if place.endswith((".message", ".delta")) and is_array(content) and is_parts(content):
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
        self._log.add("content-parts", f"{path}.content", f"{place}.content")
        for position, part in enumerate(members["content"]):
            where = f"{path}.content[{position}]"
            if not is_object(part):
                if not isinstance(part, str):
                    self._log.refuse(where, part)
            elif not isinstance(part.get("text", ""), str):
                self._log.refuse(f"{where}.text", part["text"])
        # only the text: whoever reads the answer takes other blocks and the reasoning from the list itself
        blocks, _ = split_content(members["content"])
        return {**members, "content": "".join(block.text for block in blocks if isinstance(block, Text))}

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
            return self._misfit(value, path, place)
        walked = (
            self.walk(item, info.item_type, f"{path}[{position}]", f"{place}[]")
            for position, item in enumerate(value)
        )
        return [item for item in walked if item is not _DROP]

    def read_dict(self, value: Any, info: shapes.DictType, path: str, place: str) -> Any:
        if not is_object(value):
            mended = self._misfit(value, path, place)
            # logprobs-legacy-shape: log probabilities in another shape are passed on as received
            return value if value and place.endswith(".logprobs") else mended
        if info.max_length is not None and len(value) > info.max_length:
            self._note("long", path, place)
        longest = info.key_type.max_length if isinstance(info.key_type, shapes.StrType) else None
        if longest is not None and any(len(name) > longest for name in value):
            self._note("long", path, f"{place}.{{}}")
        walked = {
            name: self.walk(item, info.value_type, f"{path}.{name}", f"{place}.{{}}")
            for name, item in value.items()
        }
        return {name: item for name, item in walked.items() if item is not _DROP}

    def read_string(self, value: Any, info: shapes.StrType, path: str, place: str) -> Any:
        if not isinstance(value, str):
            self._note("type", path, place, value)
            return _as_text(value, place)
        if info.min_length and not value:
            self._note("empty", path, place)
            return _DROP
        if info.max_length is not None and len(value) > info.max_length:
            self._note("long", path, place)
        return value

    def read_literal(self, value: Any, info: shapes.LiteralType, path: str, place: str) -> Any:
        if isinstance(value, str):
            if value not in info.values:
                self._note("value" if value else "empty", path, place)
            return value
        self._note("type", path, place, value)
        return value if place.endswith(".finish_reason") else _DROP

    def read_integer(self, value: Any, info: shapes.IntType, path: str, place: str) -> Any:
        number = as_whole_number(value)
        if number is None:
            self._note("type", path, place, value)
            return _as_integer(value, place)
        if (info.ge is not None and number < info.ge) or (info.le is not None and number > info.le):
            self._note("range", path, place)
            return number if place.endswith(".index") else _DROP
        return number

    def read_float(self, value: Any, _info: shapes.Type, path: str, place: str) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        return self._misfit(value, path, place)

    def read_bool(self, value: Any, _info: shapes.Type, path: str, place: str) -> Any:
        return value if isinstance(value, bool) else self._misfit(value, path, place)


def _as_text(value: Any, place: str) -> Any:
    """Return what stands in place of a text as a text, wherever losing it would lose an answer."""
    if place.endswith("finish_reason"):
        return value
    if place in ("$.id", "$.model") or place.endswith("tool_calls[].id"):
        return as_id(value) or _DROP
    return lenient_json.dump(value) if place.endswith(_TEXTS) else _DROP


def _as_integer(value: Any, place: str) -> Any:
    """Return what stands in place of a whole number as one, where its meaning is plain."""
    if place == "$.created":
        return int(value) if isinstance(value, float) and math.isfinite(value) else _DROP
    return int(value) if is_digits(value) else _DROP


_READERS: dict[type[shapes.Type], Callable[..., Any]] = {
    shapes.AnyType: _Walk.read_any,
    shapes.NoneType: _Walk.read_none,
    shapes.StructType: _Walk.read_struct,
    shapes.ListType: _Walk.read_list,
    shapes.DictType: _Walk.read_dict,
    shapes.StrType: _Walk.read_string,
    shapes.LiteralType: _Walk.read_literal,
    shapes.IntType: _Walk.read_integer,
    shapes.FloatType: _Walk.read_float,
    shapes.BoolType: _Walk.read_bool,
}

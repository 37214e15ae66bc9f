"""The repair path: plain values that break the format -> wire structs, each liberty noted. No bytes, no I/O.

One walk along the structs' own types mends or drops what doesn't fit. What may hold parts of the answer
and isn't what the format says is refused: to drop it would be to lose them in silence. The walk goes on all
the same, for the error to carry the rest. The structs it builds hold None (in a required member) or
UNSET where the server sent nothing usable, whatever their annotations say, so that a made-up default can't
pass for an answer.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec import inspect as shapes

from botticelli.dialects.openai.codes import code_of, is_digits
from botticelli.dialects.openai.convert import as_text, content_parts, id_text, whole
from botticelli.protocol import lenient_json
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.dialects.openai.codes import Problem
    from botticelli.protocol.deviations import Notes

__all__ = ["mend", "mend_members", "narrowed"]

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
"""Where null, too, is one of another type."""

_TEXTS = (".content", ".refusal", ".name", ".arguments", ".input", "choices[].text")
"""Where whatever isn't text is taken as its JSON text."""


def mend(value: dict[str, Any], shape: type[Shape], notes: Notes) -> Shape:
    """Build a struct of a body or an event that may break the format.

    Args:
        value: What `lenient_json.read` gave.
        shape: One of the structs of `wire`.
        notes: Where to note what was wrong, and what can't be read.

    Returns:
        The struct, as complete as can be.
    """
    return cast("Shape", _Walk(notes).walk(value, _info(shape), "$", "$"))


def mend_members(
    struct: msgspec.Struct, members: shapes.StructType, notes: Notes, path: str, place: str
) -> None:
    """Mend some members of a struct that were decoded as whatever they are.

    Args:
        struct: The struct, changed in place.
        members: What `narrowed` gave.
        notes: As for `mend`.
        path: Where the struct stands.
        place: The same for any index.
    """
    names = [field.name for field in members.fields]
    odd = {name: value for name in names if (value := getattr(struct, name)) is not None}
    if odd:
        mended = _Walk(notes).read_struct(odd, members, path, place)
        for name in names:
            setattr(struct, name, getattr(mended, name))


def narrowed(shape: type[msgspec.Struct], names: frozenset[str]) -> shapes.StructType:
    """A shape with some of its members only, none of them null; none of them required either."""
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
    """One walk along a type; every method gives the mended value, or _DROP where nothing is usable."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def _note(self, problem: Problem, path: str, place: str, value: Any = None) -> None:
        code = code_of(problem, place, value)
        if code is not None:
            self._notes.add(code, path, place)

    def _misfit(self, value: Any, path: str, place: str) -> Any:
        """Drop a value of the wrong type: note it, or refuse it."""
        if place.endswith(_BEARING):
            self._notes.refuse(path, value)
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
            value = {"content": value}
        members = value
        if place.endswith("choices[].logprobs") and not members.keys() & {"content", "refusal"}:
            self._notes.add("logprobs-shape", path, place)
            return _DROP
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
        for position, part in enumerate(members["content"]):
            where = f"{path}.content[{position}]"
            if not is_object(part):
                if not isinstance(part, str):
                    self._notes.refuse(where, part)
            elif not isinstance(part.get("text", ""), str):
                self._notes.refuse(f"{where}.text", part["text"])
        text, thinking = content_parts(members["content"])
        told = as_text(members.get("reasoning_content"))
        if thinking and thinking != told:
            members = {**members, "reasoning_content": told + thinking}
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
            return self._misfit(value, path, place)
        walked = (
            self.walk(item, info.item_type, f"{path}[{position}]", f"{place}[]")
            for position, item in enumerate(value)
        )
        return [item for item in walked if item is not _DROP]

    def read_dict(self, value: Any, info: shapes.DictType, path: str, place: str) -> Any:
        if not is_object(value):
            mended = self._misfit(value, path, place)
            # Log probabilities in a shape of their own are worth keeping as they came.
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
        number = whole(value)
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
    """What stands where a text should, as that text, wherever losing it would lose an answer."""
    if place.endswith("finish_reason"):
        return value
    if place in ("$.id", "$.model") or place.endswith("tool_calls[].id"):
        return id_text(value) or _DROP
    return lenient_json.write(value) if place.endswith(_TEXTS) else _DROP


def _as_integer(value: Any, place: str) -> Any:
    """What stands where a whole number should, as that number, where its sense is plain."""
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

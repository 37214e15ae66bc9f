"""Compare two versions of the contracts and find the changes that can break users.

A change is breaking if a value that was valid may become invalid, or if something that others refer to
(a contract, a member, the code of a relaxation) is gone. A change that only widens, adds or explains is
compatible. If the schemas alone can't tell (another pattern, another condition), it counts as breaking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import escape_token, excerpt, is_array, is_object
from botticelli.contracts.relaxations import Relaxations, formats
from botticelli.contracts.schemas import SchemaSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_ALL_TYPES = ("array", "boolean", "null", "number", "object", "string")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_EXACT = ("pattern", "multipleOf", "uniqueItems", "$ref", "$id", "$schema", "dependentRequired")
_INNER = ("items", "contains", "propertyNames", "not", "additionalProperties")
_LISTS = ("allOf", "anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class Change:
    """One change between two versions.

    Attributes:
        breaking: Whether it can break users of the contract.
        place: The contract and a JSON pointer into its schema.
        message: What changed.
    """

    breaking: bool
    place: str
    message: str

    def __str__(self) -> str:
        return f"{'breaking  ' if self.breaking else 'compatible'}  {self.place}: {self.message}"


def _breaks(place: str, message: str) -> Change:
    return Change(breaking=True, place=place, message=message)


def _widens(place: str, message: str) -> Change:
    return Change(breaking=False, place=place, message=message)


def compare_folders(old: Path, new: Path) -> list[Change]:
    """Compare two versions of the folder `contracts/`.

    Args:
        old: The earlier one, such as the one of the last release.
        new: The later one.

    Returns:
        The changes, the breaking ones first.

    Raises:
        ContractDataError: A schema or a list of relaxations can't be read.
    """
    changes = compare(SchemaSet.read(old).schemas, SchemaSet.read(new).schemas)
    changes += _compare_codes(old, new)
    return sorted(changes, key=lambda change: (not change.breaking, change.place, change.message))


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Compare two versions of schemas, given by their contracts' names."""
    changes = [_breaks(name, "the contract is gone") for name in sorted(old.keys() - new.keys())]
    changes += [_widens(name, "the contract is new") for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        changes += _schema(old[name], new[name], f"{name}#")
    return changes


def _compare_codes(old: Path, new: Path) -> list[Change]:
    changes: list[Change] = []
    for name in formats(old):
        before = Relaxations.load(name, old).codes()
        after = Relaxations.load(name, new).codes() if name in formats(new) else []
        place = f"wire/{name}/relaxations.json"
        changes += [_breaks(place, f"the code {code} is gone") for code in before if code not in after]
        changes += [_widens(place, f"the code {code} is new") for code in after if code not in before]
    return changes


def _schema(old: Any, new: Any, place: str) -> Iterator[Change]:
    if old == new:
        return
    if not (is_object(old) and is_object(new)):
        narrower = old is not False and new is not True
        yield Change(narrower, place, f"was {excerpt(old)}, is {excerpt(new)}")
        return
    yield from _types(old, new, place)
    yield from _words(old, new, place)
    yield from _required(old, new, place)
    yield from _bounds(old, new, place)
    yield from _exact(old, new, place)
    yield from _members(old, new, place)
    yield from _inner(old, new, place)
    yield from _lists(old, new, place)
    yield from _conditions(old, new, place)


def _types(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    before, after = _type_set(old), _type_set(new)
    gone = [name for name in before if name not in after and not (name == "integer" and "number" in after)]
    added = [name for name in after if name not in before and not (name == "integer" and "number" in before)]
    if gone:
        yield _breaks(f"{place}/type", f"no longer allows {', '.join(gone)}")
    if added:
        yield _widens(f"{place}/type", f"now allows {', '.join(added)}")


def _type_set(schema: Mapping[str, Any]) -> Sequence[str]:
    types: Any = schema.get("type", _ALL_TYPES)
    return (types,) if isinstance(types, str) else tuple(types)


def _words(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    before, after = _word_list(old), _word_list(new)
    place = f"{place}/enum"
    if before is None and after is not None:
        yield _breaks(place, f"now allows only {excerpt(after)}")
    elif before is not None and after is None:
        yield _widens(place, f"no longer allows only {excerpt(before)}")
    elif before is not None and after is not None:
        for word in before:
            if word not in after:
                yield _breaks(place, f"no longer allows {excerpt(word)}")
        for word in after:
            if word not in before:
                yield _widens(place, f"now allows {excerpt(word)}")


def _word_list(schema: Mapping[str, Any]) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _required(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    before, after = old.get("required", []), new.get("required", [])
    for name in after:
        if name not in before:
            yield _breaks(f"{place}/required", f"now requires {name}")
    for name in before:
        if name not in after:
            yield _widens(f"{place}/required", f"no longer requires {name}")


def _bounds(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    for keywords, tighter in ((_LOWER, _greater), (_UPPER, _less)):
        for keyword in keywords:
            before, after = old.get(keyword), new.get(keyword)
            if before != after:
                narrower = after is not None and (before is None or tighter(after, before))
                yield Change(narrower, f"{place}/{keyword}", _was_is(before, after))


def _greater(one: float, other: float) -> bool:
    return one > other


def _less(one: float, other: float) -> bool:
    return one < other


def _exact(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    for keyword in _EXACT:
        before, after = old.get(keyword), new.get(keyword)
        if before != after:
            yield Change(after is not None, f"{place}/{keyword}", _was_is(before, after))


def _members(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    for keyword, says in (("properties", "member"), ("$defs", "definition")):
        before, after = old.get(keyword, {}), new.get(keyword, {})
        for name in before:
            if name in after:
                yield from _schema(before[name], after[name], f"{place}/{keyword}/{escape_token(name)}")
            else:
                # A definition alone has no effect; if it was in use, the reference to it has changed too.
                broke = keyword == "properties"
                yield Change(broke, f"{place}/{keyword}/{escape_token(name)}", f"the {says} is gone")
        for name in after:
            if name not in before:
                # Strictly speaking, a rule for a member that could hold anything narrows. But that is
                # how formats grow; only forbidding a member outright is breaking.
                forbidden = keyword == "properties" and after[name] is False
                yield Change(forbidden, f"{place}/{keyword}/{escape_token(name)}", f"the {says} is new")


def _inner(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    for keyword in _INNER:
        if keyword == "not":
            if old.get(keyword) != new.get(keyword):
                yield Change(keyword in new, f"{place}/{keyword}", "the exclusion has changed")
        else:
            yield from _schema(old.get(keyword, True), new.get(keyword, True), f"{place}/{keyword}")


def _lists(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    for keyword in _LISTS:
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        place_of_it = f"{place}/{keyword}"
        if not is_array(before) or not is_array(after) or keyword != "allOf":
            yield Change(after is not None, place_of_it, "the alternatives have changed")
            continue
        yield from _branches(before, after, place_of_it)


def _branches(before: Sequence[Any], after: Sequence[Any], place: str) -> Iterator[Change]:
    """Compare two lists of branches, pairing those with the same condition."""
    rest = list(after)
    for index, branch in enumerate(before):
        same = next((other for other in rest if _condition(other) == _condition(branch)), None)
        if same is None:
            yield _widens(f"{place}/{index}", "the branch is gone")
        else:
            rest.remove(same)
            yield from _schema(branch, same, f"{place}/{index}")
    for branch in rest:
        yield _breaks(f"{place}/{after.index(branch)}", "the branch is new")


def _condition(branch: Any) -> Any:
    return branch.get("if") if is_object(branch) else branch


def _conditions(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    before, after = old.get("if"), new.get("if")
    if before != after:
        yield Change(after is not None, f"{place}/if", "the condition has changed")
        return
    for keyword in ("then", "else"):
        yield from _schema(old.get(keyword, True), new.get(keyword, True), f"{place}/{keyword}")


def _was_is(before: Any, after: Any) -> str:
    was = "was absent" if before is None else f"was {excerpt(before)}"
    return f"{was}, is {'absent' if after is None else excerpt(after)}"

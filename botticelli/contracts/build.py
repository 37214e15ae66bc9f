"""The tolerant contract: the strict one, and the named relaxations applied to it in order.

`contracts/wire/relaxations.json` is the only source of what is tolerated. Each relaxation has a
code, which is also the code of a driver's deviation, and edits on a strict schema that are wide
enough for one quirk and no wider. `python -m botticelli.contracts build` writes the schemas
under `contracts/wire/` from them, and `--check` tells whether they are up to date.

May enter here: the standard library. Schemas and relaxations come in as arguments.
"""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from botticelli.contracts.errors import ContractDataError
from botticelli.contracts.jsonvalue import is_array, is_object, resolve
from botticelli.contracts.relaxations import Relaxation, Relaxations
from botticelli.contracts.schemas import Schema, SchemaSet, identify
from botticelli.contracts.text import layout

STRICT, WIRE = "openai", "wire"
RELAXED = ("response", "chunk", "error", "model-list")
"""The contracts that have a tolerant form. A request has none: what we send keeps the format."""

_OTHER_TYPES = ("array", "boolean", "number", "object", "string")
_RANGE = ("minimum", "maximum")
_SIZE = ("minLength", "maxLength", "pattern", "minItems", "maxItems", "maxProperties", "propertyNames")
_WORDS = ("enum", "const")


def relax(strict: SchemaSet, relaxations: Iterable[Relaxation]) -> SchemaSet:
    """Apply relaxations, in order, to the strict contract.

    Args:
        strict: A set that holds `openai/...`.
        relaxations: What to tolerate; all of them for the tolerant contract, some for a test.

    Returns:
        A set of `wire/...`.

    Raises:
        ContractDataError: An edit does not fit the schema that it is for.
    """
    schemas = {name: _rename(strict.load(f"{STRICT}/{name}"), name) for name in RELAXED}
    for relaxation in relaxations:
        for edit in relaxation.edits:
            try:
                for node in _apply(schemas[edit["schema"]], edit):
                    _mark(node, relaxation.code)
            except (LookupError, ValueError, TypeError) as error:
                raise ContractDataError(
                    f"{relaxation.code}: {json.dumps(dict(edit))} does not fit: {error!r}"
                ) from error
    return SchemaSet({f"{WIRE}/{name}": _tidy(schema) for name, schema in schemas.items()})


def build(root: Path) -> dict[Path, str]:
    """What the files of the tolerant contract should hold.

    Args:
        root: The folder `contracts/`.

    Raises:
        ContractDataError: As `relax` and `Relaxations.read` do.
    """
    relaxations = Relaxations.read(root / WIRE / "relaxations.json")
    wire = relax(SchemaSet.read(root), relaxations.listed)
    return {root / f"{name}.schema.json": layout(schema) for name, schema in wire.schemas.items()}


def stale(root: Path) -> list[Path]:
    """The files of the tolerant contract that differ from what they should hold."""
    return [
        path
        for path, text in build(root).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def _rename(schema: Schema, name: str) -> Schema:
    text = json.dumps(schema).replace(identify(STRICT + "/"), identify(WIRE + "/"))
    renamed: Schema = json.loads(text)
    renamed["title"] += ", as servers send it"
    renamed["description"] += (
        f" Built from {STRICT}/{name} and relaxations.json; `x-relaxed` names the relaxations at a place."
    )
    return {key: _without(value, "x-errata") for key, value in renamed.items()}


def _without(value: Any, keyword: str) -> Any:
    if is_object(value):
        return {key: _without(item, keyword) for key, item in value.items() if key != keyword}
    return [_without(item, keyword) for item in value] if is_array(value) else value


def _tidy(value: Any) -> Any:
    """Leave out a `type` that has come to allow everything: it is no rule any more."""
    if is_object(value):
        vacuous = is_array(value.get("type")) and {"null", *_OTHER_TYPES} <= set(value["type"])
        return {key: _tidy(item) for key, item in value.items() if key != "type" or not vacuous}
    return [_tidy(item) for item in value] if is_array(value) else value


def _mark(node: Schema, code: str) -> None:
    codes = node.setdefault("x-relaxed", [])
    if code not in codes:
        codes.append(code)


def _apply(schema: Schema, edit: Mapping[str, Any]) -> Iterator[Schema]:
    """Apply one edit and give the places it changed."""
    if edit["op"] == "loosen":
        for pointer in edit["under"]:
            found = resolve(schema, pointer)
            for node in found.values() if pointer.endswith("/properties") else [found]:
                yield from _loosen(node, _LOOSENERS[edit["rule"]])
    else:
        node = resolve(schema, edit["at"])
        _OPERATIONS[edit["op"]](node, edit)
        yield node


def _optional(node: Schema, edit: Mapping[str, Any]) -> None:
    for member in edit["members"]:
        node["required"].remove(member)
    if not node["required"]:
        del node["required"]


def _accept(node: Schema, edit: Mapping[str, Any]) -> None:
    if not _widen(node, edit["types"]):
        raise ValueError("it accepts those types already")


def _widen(node: Schema, types: Iterable[str]) -> bool:
    if "type" not in node:
        return False
    present: list[str] = node["type"] if is_array(node["type"]) else [node["type"]]
    added = [name for name in types if name not in present]
    if not added:
        return False
    # A number is wider than an integer, which would only repeat it.
    node["type"] = [name for name in present if name != "integer" or "number" not in added] + added
    if "null" in added:
        _accept_word(node, None)
    return True


def _accept_value(node: Schema, edit: Mapping[str, Any]) -> None:
    if edit["value"] == "" and node.get("minLength") == 1:
        del node["minLength"]
    elif not _accept_word(node, edit["value"]):
        raise ValueError("nothing here keeps that value out")


def _accept_word(node: Schema, value: Any) -> bool:
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "enum" not in node:
        return False
    node["enum"].append(value)
    return True


def _drop(node: Schema, edit: Mapping[str, Any]) -> None:
    present = [keyword for keyword in edit["keywords"] if keyword in node]
    if not present:
        raise ValueError("there is nothing to drop")
    for keyword in present:
        del node[keyword]


def _set(node: Schema, edit: Mapping[str, Any]) -> None:
    for keyword, value in edit["keywords"].items():
        if keyword in node:
            raise ValueError(f"{keyword} is set already")
        node[keyword] = copy.deepcopy(value)


def _define(node: Schema, edit: Mapping[str, Any]) -> None:
    if edit["member"] in node["properties"]:
        raise ValueError(f"{edit['member']} is defined already")
    node["properties"][edit["member"]] = copy.deepcopy(edit["as"])


def _branch(node: Schema, edit: Mapping[str, Any]) -> None:
    branch = {"if": edit["when"], "then": edit["then"]}
    node.setdefault("allOf", []).append(copy.deepcopy(branch))


def _alternative(node: Schema, edit: Mapping[str, Any]) -> None:
    """Let one member stand for another: the other is required only when the one is absent."""
    member, instead = edit["member"], edit["instead"]
    if member in node.get("required", ()):
        _optional(node, {"members": [member]})
        node["then"] = {"required": [member]}
    condition = node.setdefault("if", {"type": "object", "properties": {}})
    condition["properties"][instead] = False


def _loosen(node: Schema, loosener: Callable[[Schema], bool]) -> Iterator[Schema]:
    """Loosen a schema and all the schemas that stand in it; references are not followed."""
    if loosener(node):
        yield node
    for inner in (node.get("items"), node.get("additionalProperties"), *node.get("properties", {}).values()):
        if is_object(inner):
            yield from _loosen(inner, loosener)


def _loosen_type(node: Schema) -> bool:
    return _widen(node, _OTHER_TYPES)


def _loosen_null(node: Schema) -> bool:
    return _widen(node, ("null",))


def _remover(*keywords: str) -> Callable[[Schema], bool]:
    def remove(node: Schema) -> bool:
        present = [keyword for keyword in keywords if keyword in node]
        for keyword in present:
            del node[keyword]
        return bool(present)

    return remove


_LOOSENERS: Mapping[str, Callable[[Schema], bool]] = {
    "type": _loosen_type,
    "null": _loosen_null,
    "required": _remover("required"),
    "words": _remover(*_WORDS),
    "range": _remover(*_RANGE),
    "size": _remover(*_SIZE),
}
_OPERATIONS: Mapping[str, Callable[[Schema, Mapping[str, Any]], None]] = {
    "optional": _optional,
    "accept": _accept,
    "accept-value": _accept_value,
    "drop": _drop,
    "set": _set,
    "define": _define,
    "branch": _branch,
    "alternative": _alternative,
}

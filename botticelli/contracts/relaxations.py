"""The tolerant contracts: what servers get wrong and readers understand all the same, by format.

`contracts/wire/<format>/relaxations.json` lists named relaxations. Each has a code, which is also
the code of a driver's deviation, and edits that widen the strict schemas of `contracts/<format>/`
for one quirk and no more. :func:`build_files` applies them and returns the files that are checked in
beside the list. A format is a folder: nothing here names one.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.errors import ContractDataError, UnknownFormatError
from botticelli.contracts.jsonvalue import is_array, is_object, resolve
from botticelli.contracts.schemas import SUFFIX, Schema, SchemaSet, data_root, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = [
    "Example",
    "Relaxation",
    "Relaxations",
    "build_files",
    "formats",
    "layout",
    "outdated_files",
    "relax",
    "wire_name",
]

Example: TypeAlias = "Mapping[str, Any]"
"""An example as `relaxations.json` writes it."""

_FILE = "relaxations.json"
_EVENT_END = "\n\n"


def wire_name(name: str) -> str:
    """Return the name of the tolerant form of a strict contract: `wire/openai/chunk` for `openai/chunk`."""
    return f"wire/{name}"


def formats(contracts: Path | None = None) -> list[str]:
    """Return the formats that have relaxations, sorted.

    Args:
        contracts: The folder `contracts/`; by default the one that came with this package.
    """
    root = contracts or data_root() / "contracts"
    return sorted(path.parent.name for path in (root / "wire").glob(f"*/{_FILE}"))


@dataclass(frozen=True, slots=True)
class Relaxation:
    """One named way in which servers break the format and are understood all the same.

    Attributes:
        code: Its name in kebab case, such as `created-not-integer`. It never changes.
        level: What shows it: `schema` (a JSON value does), `bytes` (only the bytes do), or `stream`
            (only the order of events does, or the request beside the answer).
        says: What the server does.
        reading: What a tolerant reader makes of it.
        evidence: Where it was seen.
        audit: True if a reader notes `inside` only on demand, because looking takes time. If that is a chunk,
            the code may be noted in a whole answer at all times.
        edits: The changes to the strict schemas, in order; empty unless the level is `schema`.
        inside: An example that it covers.
        outside: An example just beyond it.
    """

    code: str
    level: str
    says: str
    reading: str
    evidence: tuple[str, ...]
    audit: bool
    edits: tuple[Mapping[str, Any], ...]
    inside: Example
    outside: Example


@dataclass(frozen=True, slots=True)
class Relaxations:
    """The relaxations of one format, with the material for their examples.

    Attributes:
        format: The format, such as `openai`.
        schemas: The schemas of the format that have a tolerant form, such as `response`.
        listed: The relaxations, in the order in which they are applied.
        bases: The values that examples start from, by name.
    """

    format: str
    schemas: tuple[str, ...]
    listed: tuple[Relaxation, ...]
    bases: Mapping[str, Any]

    @classmethod
    def load(cls, format_name: str, contracts: Path | None = None) -> Relaxations:
        """Read the relaxations of a format.

        Args:
            format_name: Such as `openai`.
            contracts: The folder `contracts/`; by default the one that came with this package.

        Raises:
            UnknownFormatError: There are none for that format.
            ContractDataError: The file has another form, or the contracts are missing.
        """
        root = contracts or data_root() / "contracts"
        known = formats(root)
        if format_name not in known:
            raise UnknownFormatError(format_name, known)
        return cls.read(root / "wire" / format_name / _FILE)

    @classmethod
    def read(cls, path: Path) -> Relaxations:
        """Read a file `relaxations.json`; its folder is named after the format.

        Raises:
            ContractDataError: The file is missing or has another form.
        """
        try:
            document = json.loads(path.read_bytes())
            listed = tuple(_relaxation(entry) for entry in document["relaxations"])
            return cls(path.parent.name, tuple(document["schemas"]), listed, document["bases"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ContractDataError(f"{path} is not a list of relaxations: {error!r}") from error

    def codes(self) -> list[str]:
        """Return the codes of all relaxations, in order."""
        return [relaxation.code for relaxation in self.listed]

    def instance(self, example: Example) -> Any:
        """Return the JSON value of an example.

        Args:
            example: Has either `instance`, the whole value, or `base` (the name of a base) with
                `change` (from JSON pointer to new value) and `remove` (JSON pointers).
        """
        if "instance" in example:
            return copy.deepcopy(example["instance"])
        value = copy.deepcopy(self.bases[example["base"]])
        for pointer, new in example.get("change", {}).items():
            parent, step = _parent(value, pointer)
            parent[step] = copy.deepcopy(new)
        for pointer in example.get("remove", ()):
            parent, step = _parent(value, pointer)
            del parent[step]
        return value

    def body(self, example: Example) -> bytes:
        r"""Return the body of an example as a server sends it: JSON, an event stream, or any text.

        Args:
            example: What :meth:`instance` takes, or one of

                - `body`: the whole text;
                - `events`: a list of events, each the name of a base, an example, or `data` as text;
                - `lines`: the same, one JSON value a line.

                Besides it may have `replace` (a piece of the base's compact JSON and its
                replacement), `nested` (put a member with so many levels of lists first),
                `separator` (between events, `\n\n` by default), `cut` (drop so many characters at
                the end) and `encoding` (UTF-8 by default).
        """
        if "events" in example:
            frames = [f"data: {self._data(event)}" for event in example["events"]]
            separator: str = example.get("separator", _EVENT_END)
            text = separator.join(frames) + _EVENT_END
        elif "lines" in example:
            text = "".join(self._data(line) + "\n" for line in example["lines"])
        else:
            text = self._text(example)
        encoding: str = example.get("encoding", "utf-8")
        cut: int = example.get("cut", 0)
        return text[: len(text) - cut].encode(encoding)

    def _data(self, event: str | Example) -> str:
        if isinstance(event, str):
            return _compact(self.bases[event])
        return str(event["data"]) if "data" in event else self._text(event)

    def _text(self, example: Example) -> str:
        if "body" in example:
            return str(example["body"])
        text = _compact(self.instance(example))
        if "nested" in example:
            levels: int = example["nested"]
            text = f'{{"x":{"[" * levels}{"]" * levels},{text[1:]}'
        if "replace" in example:
            old, new = example["replace"]
            if old not in text:
                raise ContractDataError(f"the base of an example has no {old!r} to replace")
            text = text.replace(old, new)
        return text


def _relaxation(entry: Mapping[str, Any]) -> Relaxation:
    return Relaxation(
        code=entry["code"],
        level=entry["level"],
        says=entry["says"],
        reading=entry["reading"],
        evidence=tuple(entry["evidence"]),
        audit=entry.get("audit", False),
        edits=tuple(entry.get("edits", ())),
        inside=entry["inside"],
        outside=entry["outside"],
    )


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _parent(value: Any, pointer: str) -> tuple[Any, Any]:
    path, _, step = pointer.rpartition("/")
    parent = resolve(value, path)
    return parent, int(step) if is_array(parent) else step


# From strict schemas to tolerant ones.


def relax(
    strict: SchemaSet, relaxations: Relaxations, chosen: Iterable[Relaxation] | None = None
) -> SchemaSet:
    """Apply relaxations, in order, to the strict contracts of their format.

    Args:
        strict: Schemas, among them those of the format.
        relaxations: The format, and which of its schemas have a tolerant form.
        chosen: The relaxations to apply; by default all that are listed.

    Returns:
        The tolerant schemas, under names such as `wire/openai/response`.

    Raises:
        ContractDataError: An edit doesn't fit the schema that it is for.
    """
    tolerant = {name: f"{relaxations.format}/{name}" for name in relaxations.schemas}
    identifiers = {identify(name): identify(wire_name(name)) for name in tolerant.values()}
    schemas = {name: _copy(strict.load(full), full, identifiers) for name, full in tolerant.items()}
    for relaxation in relaxations.listed if chosen is None else chosen:
        for edit in relaxation.edits:
            try:
                for node in _apply(schemas[edit["schema"]], edit):
                    _mark(node, relaxation.code)
            except (LookupError, ValueError, TypeError) as error:
                raise ContractDataError(
                    f"{relaxation.code}: {json.dumps(dict(edit))} does not fit: {error!r}"
                ) from error
    return SchemaSet({wire_name(full): _tidy(schemas[name]) for name, full in tolerant.items()})


def build_files(contracts: Path) -> dict[Path, str]:
    """Return the content that the files of the tolerant contracts should have, for all formats.

    Args:
        contracts: The folder `contracts/`.

    Raises:
        ContractDataError: As :func:`relax` and :meth:`Relaxations.read` raise it.
    """
    strict = SchemaSet.read(contracts)
    built: dict[Path, str] = {}
    for name in formats(contracts):
        wire = relax(strict, Relaxations.load(name, contracts))
        built |= {contracts / f"{full}{SUFFIX}": layout(schema) for full, schema in wire.schemas.items()}
    return built


def outdated_files(contracts: Path) -> list[Path]:
    """Return the files of the tolerant contracts that differ from what they should hold."""
    return [
        path
        for path, text in build_files(contracts).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def _copy(schema: Schema, name: str, identifiers: Mapping[str, str]) -> Schema:
    """Return a schema under its tolerant identity, referring to tolerant schemas, without `x-errata`."""
    renamed: Schema = _renamed(schema, identifiers)
    renamed["title"] += ", as servers send it"
    renamed["description"] += (
        f" Built from {name} and {_FILE}; `x-relaxed` names the relaxations that changed a place."
    )
    return renamed


def _renamed(value: Any, identifiers: Mapping[str, str]) -> Any:
    if is_object(value):
        return {
            key: _renamed_reference(item, identifiers)
            if key in {"$id", "$ref"}
            else _renamed(item, identifiers)
            for key, item in value.items()
            if key != "x-errata"
        }
    return [_renamed(item, identifiers) for item in value] if is_array(value) else value


def _renamed_reference(reference: str, identifiers: Mapping[str, str]) -> str:
    identifier, hash_sign, pointer = reference.partition("#")
    return identifiers.get(identifier, identifier) + hash_sign + pointer


def _tidy(value: Any) -> Any:
    """Return a schema without any `type` that has come to allow every type."""
    if is_object(value):
        vacuous = is_array(value.get("type")) and {"null", *_OTHER_TYPES} <= set(value["type"])
        return {key: _tidy(item) for key, item in value.items() if key != "type" or not vacuous}
    return [_tidy(item) for item in value] if is_array(value) else value


def _mark(node: Schema, code: str) -> None:
    codes = node.setdefault("x-relaxed", [])
    if code not in codes:
        codes.append(code)


# The edits. Each one raises when it would change nothing, so that no edit outlives its purpose.

_OTHER_TYPES = ("array", "boolean", "number", "object", "string")


def _apply(schema: Schema, edit: Mapping[str, Any]) -> Iterator[Schema]:
    """Apply one edit and yield the places that it changed."""
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
    # "number" includes integers, so "integer" beside it would only repeat it.
    node["type"] = [name for name in present if name != "integer" or "number" not in added] + added
    if "null" in added:
        _accept_word(node, None)
    return True


def _accept_value(node: Schema, edit: Mapping[str, Any]) -> None:
    if edit["value"] == "" and node.get("minLength") == 1:
        del node["minLength"]
    elif not _accept_word(node, edit["value"]):
        raise ValueError("it accepts that value already")


def _accept_word(node: Schema, value: Any) -> bool:
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "enum" not in node:
        return False
    node["enum"].append(value)
    return True


def _drop(node: Schema, edit: Mapping[str, Any]) -> None:
    if not _remove(node, edit["keywords"]):
        raise ValueError("there is nothing to drop")


def _remove(node: Schema, keywords: Iterable[str]) -> bool:
    present = [keyword for keyword in keywords if keyword in node]
    for keyword in present:
        del node[keyword]
    return bool(present)


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
    """Let one member stand in for another: the other is required only when the one is absent."""
    member, instead = edit["member"], edit["instead"]
    if member in node.get("required", ()):
        _optional(node, {"members": [member]})
        node["then"] = {"required": [member]}
    condition = node.setdefault("if", {"type": "object", "properties": {}})
    condition["properties"][instead] = False


def _loosen(node: Schema, loosener: Callable[[Schema], bool]) -> Iterator[Schema]:
    """Loosen a schema and all schemas inside it, and yield those that changed; no `$ref` is followed."""
    if loosener(node):
        yield node
    for inner in (node.get("items"), node.get("additionalProperties"), *node.get("properties", {}).values()):
        if is_object(inner):
            yield from _loosen(inner, loosener)


_LOOSENERS: Mapping[str, Callable[[Schema], bool]] = {
    "type": lambda node: _widen(node, _OTHER_TYPES),
    "null": lambda node: _widen(node, ("null",)),
    "required": lambda node: _remove(node, ("required",)),
    "words": lambda node: _remove(node, ("enum", "const")),
    "range": lambda node: _remove(node, ("minimum", "maximum")),
    "size": lambda node: _remove(
        node, ("minLength", "maxLength", "pattern", "minItems", "maxItems", "maxProperties", "propertyNames")
    ),
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


# How schemas are written. `json.dumps(indent=2)` would make them twice as long: every list of types
# would take a line for each type.

_WIDTH = 118


def layout(value: Any) -> str:
    """Write a JSON value for people to read, ending with a newline.

    What fits on one line goes on one line, unless there is a `description` in it. The order of
    members is kept.
    """
    return _lay_out(value, "") + "\n"


def _lay_out(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if is_object(value):
        items = [f"{_scalar(key)}: {_lay_out(item, deeper)}" for key, item in value.items()]
        opening, closing = "{", "}"
    elif is_array(value):
        items = [_lay_out(item, deeper) for item in value]
        opening, closing = "[", "]"
    else:
        return _scalar(value)
    line = _on_one_line(value)
    if not items or (not _has_description(value) and len(indent) + len(line) <= _WIDTH):
        return line
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{closing}"


def _on_one_line(value: Any) -> str:
    if is_object(value):
        members = ", ".join(f"{_scalar(key)}: {_on_one_line(item)}" for key, item in value.items())
        return f"{{ {members} }}" if members else "{}"
    if is_array(value):
        return "[" + ", ".join(_on_one_line(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _has_description(value: Any) -> bool:
    if is_object(value):
        return "description" in value or any(_has_description(item) for item in value.values())
    return is_array(value) and any(_has_description(item) for item in value)

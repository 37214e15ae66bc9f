"""Our contract held against the published specification, at the desk of whoever has a copy of it.

The specification and its examples are not ours to ship, so nothing here runs by itself:
`python -m botticelli.contracts published PATH` takes a folder or a file, recognises the
specification (an OpenAPI document) and its examples (a list with `response`), and checks

- that every published example keeps the strict contract, but for the breaches that `errata.json`
  expects of it, and that it still shows those;
- that every `x-spec` pointer leads somewhere, and that every published property is led to;
- that every erratum's pointers lead somewhere;
- that both judge every instance of the house alike, but where an erratum says otherwise.

May enter here: the standard library. Files are read only where the caller points.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botticelli.contracts.differential import differences
from botticelli.contracts.errors import ContractDataError
from botticelli.contracts.jsonvalue import is_array, is_object, resolve
from botticelli.contracts.schemas import SchemaSet

_STRICT = "openai/"
_BODY = re.compile(r"-d '(.*)'\s*$", re.DOTALL)
_BLANK_LINE = re.compile(r"\n\s*\n")
_ELISION = re.compile(r"\.+")
_CONTRACTS = {"chat.completion": "openai/response", "chat.completion.chunk": "openai/chunk"}


@dataclass(slots=True)
class Comparison:
    """What a comparison looked at and what it found.

    Attributes:
        checked: What was looked at, a line each.
        faults: What does not agree, a line each.
    """

    checked: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])


def compare(
    schemas: SchemaSet, errata: Mapping[str, Any], path: Path, instances: Sequence[tuple[str, Any]] = ()
) -> Comparison:
    """Hold the strict contract against published files.

    Args:
        schemas: A set with `openai/...`.
        errata: The content of `errata.json`.
        path: A JSON file, or a folder of them.
        instances: Contract and JSON value, for both to judge.

    Raises:
        ContractDataError: There is no such file, or none in it that is recognised.
        ContractError: As `SchemaSet.violations` does.
    """
    comparison = Comparison()
    for document in _documents(path):
        if _are_examples(document):
            _examples(schemas, errata["examples"], document, comparison)
        elif is_object(document) and "schemas" in document.get("components", {}):
            _pointers(schemas, errata["errata"], document, comparison)
            if instances and not comparison.faults:
                judged, faults = differences(schemas, errata["errata"], document, instances)
                comparison.faults += faults
                comparison.checked.append(f"{judged} instances judged by both")
    if not comparison.checked:
        raise ContractDataError(f"{path} holds neither an OpenAPI document nor a list of examples")
    return comparison


def instances_of_the_house(fixtures: Path) -> list[tuple[str, Any]]:
    """The examples and the invalid instances in `fixtures/`, with the names of their contracts."""
    examples = fixtures / "examples"
    found = [(path.relative_to(examples).parent.as_posix(), _read(path)) for path in examples.rglob("*.json")]
    for path in (fixtures / "invalid").rglob("*.json"):
        document = _read(path)
        found += [(document["contract"], entry["instance"]) for entry in document["instances"]]
    return found


def published_examples(path: Path) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """The published examples: the title of each, and its instances with the names of their contracts.

    Args:
        path: A JSON file, or a folder of them.

    Raises:
        ContractDataError: A file can't be read, or an example has no body in its command.
    """
    for document in filter(_are_examples, _documents(path)):
        for example in document:
            yield str(example["title"]), list(_instances(example))


def _documents(path: Path) -> Iterator[Any]:
    return map(_read, sorted(path.glob("*.json")) if path.is_dir() else [path])


def _are_examples(document: Any) -> bool:
    return is_array(document) and bool(document) and is_object(document[0]) and "response" in document[0]


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ContractDataError(f"{file} cannot be read as JSON: {error}") from error


def _examples(
    schemas: SchemaSet, errata: Sequence[Mapping[str, Any]], examples: Sequence[Any], found: Comparison
) -> None:
    expected = {entry["example"]: set(entry["violations"]) for entry in errata}
    for example in examples:
        title = str(example["title"])
        breaches = {
            violation.path: str(violation)
            for contract, instance in _instances(example)
            for violation in schemas.violations(contract, instance)
        }
        excused = expected.pop(title, set[str]())
        found.faults += [f"example {title}: {breaches[at]}" for at in sorted(breaches.keys() - excused)]
        found.faults += [
            f"example {title}: keeps {at}, though errata.json says otherwise"
            for at in sorted(excused - breaches.keys())
        ]
        found.checked.append(f"example {title}: {len(breaches)} breaches, {len(excused)} of them known")
    found.faults += [f"errata.json speaks of an example {title}, which is not there" for title in expected]


def _instances(example: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    command = example.get("request_curl")
    if command:
        body = _BODY.search(command)
        if body is None:
            raise ContractDataError(f"example {example['title']}: no body in its command")
        yield "openai/request", json.loads(body[1])
    for block in _BLANK_LINE.split(example["response"].strip()):
        if not _ELISION.fullmatch(block.strip()):
            answer = json.loads(block)
            yield _CONTRACTS[answer["object"]], answer


def _pointers(
    schemas: SchemaSet, errata: Sequence[Mapping[str, Any]], document: Any, found: Comparison
) -> None:
    cited = {
        pointer
        for name, schema in schemas.schemas.items()
        if name.startswith(_STRICT)
        for pointer in _cited(schema)
    }
    claimed = {pointer for erratum in errata for pointer in erratum["pointers"]}
    known = document["components"]["schemas"]
    outside = {pointer for pointer in cited | claimed if pointer.split("/")[3] not in known}
    published = set(_properties(known, "#/components/schemas"))
    found.faults += [
        f"nothing is published at {pointer}"
        for pointer in sorted((cited | claimed) - outside)
        if not _leads_somewhere(document, pointer)
    ]
    found.faults += [f"no contract cites {pointer}" for pointer in sorted(published - cited)]
    found.checked.append(f"{len(published)} published properties, {len(cited)} pointers to the document")
    if outside:
        names = sorted({pointer.split("/")[3] for pointer in outside})
        found.checked.append(f"not in this document, so not checked: {', '.join(names)}")


def _cited(schema: Any) -> Iterator[str]:
    if is_object(schema):
        pointers = schema.get("x-spec", [])
        yield from [pointers] if isinstance(pointers, str) else pointers
        for value in schema.values():
            yield from _cited(value)
    elif is_array(schema):
        for value in schema:
            yield from _cited(value)


def _properties(schema: Any, pointer: str) -> Iterator[str]:
    if is_object(schema):
        for key, value in schema.items():
            if key == "properties":
                yield from (f"{pointer}/properties/{name}" for name in value)
            if key != "x-oaiMeta":
                yield from _properties(value, f"{pointer}/{key}")
    elif is_array(schema):
        for index, value in enumerate(schema):
            yield from _properties(value, f"{pointer}/{index}")


def _leads_somewhere(document: Any, pointer: str) -> bool:
    try:
        resolve(document, pointer.removeprefix("#"))
    except LookupError:
        return False
    return True

"""Compare our OpenAI contracts with a copy of the published specification.

The specification and its examples may not be shipped, so this runs only where somebody has a copy:
`python -m tests.tools.contracts published PATH`. It recognises the specification (an OpenAPI document) and
its examples (a list whose entries have a `response`), and checks that

- every published example conforms to the strict contract, except for the violations that `errata.json`
  expects of it, which must be there;
- every `x-spec` pointer leads somewhere, and every published property is cited by one;
- the pointers of every erratum lead somewhere;
- our schemas and the published ones agree about every instance in `fixtures/`, except where an erratum
  says otherwise.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botticelli.contracts import ContractDataError, SchemaSet, Violation
from botticelli.contracts.jsonvalue import excerpt, is_array, is_object, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_STRICT = "openai/"
_BODY = re.compile(r"-d '(.*)'\s*$", re.DOTALL)
_BLANK_LINE = re.compile(r"\n\s*\n")
_ELISION = re.compile(r"\.+")
_CONTRACTS = {"chat.completion": "openai/response", "chat.completion.chunk": "openai/chunk"}
_PUBLISHED = "published"
_COMPONENTS = {
    "openai/request": "CreateChatCompletionRequest",
    "openai/response": "CreateChatCompletionResponse",
    "openai/chunk": "CreateChatCompletionStreamResponse",
    "openai/error": "ErrorResponse",
}


@dataclass(slots=True)
class Comparison:
    """What was checked and what was found.

    Attributes:
        checked: One line for each thing that was checked.
        faults: One line for each disagreement.
    """

    checked: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])


def compare(
    schemas: SchemaSet, errata: Mapping[str, Any], path: Path, instances: Sequence[tuple[str, Any]] = ()
) -> Comparison:
    """Compare the strict contracts with published files.

    Args:
        schemas: A set with `openai/...`.
        errata: The content of `errata.json`.
        path: A JSON file, or a folder of them.
        instances: Pairs of contract and JSON value, to be validated by both.

    Raises:
        ContractDataError: There is no such file, or nothing in it is recognised.
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
                comparison.checked.append(f"{judged} instances validated by both")
    if not comparison.checked:
        raise ContractDataError(f"{path} holds neither an OpenAPI document nor a list of examples")
    return comparison


def fixture_instances(fixtures: Path) -> list[tuple[str, Any]]:
    """Return the examples and invalid instances in `fixtures/`, with the names of their contracts."""
    examples = fixtures / "examples"
    found = [(path.relative_to(examples).parent.as_posix(), _read(path)) for path in examples.rglob("*.json")]
    for path in (fixtures / "invalid").rglob("*.json"):
        document = _read(path)
        found += [(document["contract"], entry["instance"]) for entry in document["instances"]]
    return found


def published_examples(path: Path) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Yield the title of each published example and its instances, with the names of their contracts.

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
        raise ContractDataError(f"{file} can't be read as JSON: {error}") from error


def _examples(
    schemas: SchemaSet, errata: Sequence[Mapping[str, Any]], examples: Sequence[Any], found: Comparison
) -> None:
    expected = {entry["example"]: set(entry["violations"]) for entry in errata}
    for example in examples:
        title = str(example["title"])
        broken = {
            violation.path: str(violation)
            for contract, instance in _instances(example)
            for violation in schemas.violations(contract, instance)
        }
        excused = expected.pop(title, set[str]())
        found.faults += [f"example {title}: {broken[at]}" for at in sorted(broken.keys() - excused)]
        found.faults += [
            f"example {title}: has no violation at {at}, but errata.json expects one"
            for at in sorted(excused - broken.keys())
        ]
        found.checked.append(f"example {title}: {len(broken)} violations, {len(excused)} of them expected")
    found.faults += [f"errata.json mentions the example {title}, which does not exist" for title in expected]


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


def differences(
    schemas: SchemaSet,
    errata: Sequence[Mapping[str, Any]],
    document: Mapping[str, Any],
    instances: Iterable[tuple[str, Any]],
) -> tuple[int, list[str]]:
    """Validate instances with our schemas and the published ones, and list unexplained differences.

    Args:
        schemas: A set with `openai/...`.
        errata: The list in `errata.json`. One with `allows` says which type the published schema
            should also allow at its pointers, one with `optional` that the members there may be
            absent; one that a rule of ours names in `x-errata` explains why that rule is stricter.
        document: The published OpenAPI document.
        instances: Pairs of contract and JSON value. Contracts that aren't in the document are skipped.

    Returns:
        How many were validated, and one line for each unexplained difference.

    Raises:
        LookupError: An erratum points to nothing.
        ContractError: As `SchemaSet.violations` raises it.
    """
    published = SchemaSet({_PUBLISHED: _amended(document, errata)})
    judged, found = 0, list[str]()
    for contract, instance in instances:
        component = _COMPONENTS.get(contract)
        if component not in document["components"]["schemas"]:
            continue
        judged += 1
        theirs = published.part_validator(_PUBLISHED, f"/components/schemas/{component}").is_valid(instance)
        ours = schemas.violations(contract, instance)
        if theirs:
            found += [f"{contract}: only we refuse {it}" for it in ours if not _explained(schemas, it)]
        elif not ours:
            found.append(f"{contract}: only the published schema refuses {excerpt(instance)}")
    return judged, found


def _amended(document: Mapping[str, Any], errata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the document as a schema, with what the errata say it should also allow."""
    amended = {"$id": "urn:botticelli:published", **copy.deepcopy(dict(document))}
    additions: dict[str, str] = {
        pointer.removeprefix("#"): erratum["allows"]
        for erratum in errata
        for pointer in erratum["pointers"]
        if "allows" in erratum
    }
    # Longer pointers first: a place may be inside another one, which is wrapped later.
    for pointer in sorted(additions, key=len, reverse=True):
        parent, _, step = pointer.rpartition("/")
        place = resolve(amended, parent)
        key: Any = int(step) if is_array(place) else step
        place[key] = {"anyOf": [place[key], {"type": additions[pointer]}]}
    for erratum in errata:
        for pointer in erratum["pointers"] if erratum.get("optional") else ():
            owner, _, member = pointer.removeprefix("#").rpartition("/properties/")
            resolve(amended, owner)["required"].remove(member)
    return amended


def _explained(schemas: SchemaSet, violation: Violation) -> bool:
    """Tell whether a violated rule is in a place that names an erratum."""
    contract, _, pointer = violation.schema_pointer.partition("#")
    schema = schemas.schemas[contract]
    while pointer:
        pointer = pointer.rpartition("/")[0]
        place = resolve(schema, pointer)
        if pointer and is_object(place) and "x-errata" in place:
            return True
    return False

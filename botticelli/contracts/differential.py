"""Our strict contract and the published schemas asked the same questions.

Every instance that the house has, valid or not, is judged by both. Where the verdicts differ, an
erratum must account for it: one that says what the published schema should also allow, or one
that marks the rule of ours that is stricter.

May enter here: the standard library, and the validator by way of `schemas`. The published
document comes in as an argument.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from botticelli.contracts.jsonvalue import excerpt, is_array, is_object, resolve
from botticelli.contracts.schemas import SchemaSet
from botticelli.contracts.violations import Violation

_PUBLISHED = "published"
_COMPONENTS = {
    "openai/request": "CreateChatCompletionRequest",
    "openai/response": "CreateChatCompletionResponse",
    "openai/chunk": "CreateChatCompletionStreamResponse",
    "openai/error": "ErrorResponse",
}


def differences(
    schemas: SchemaSet,
    errata: Sequence[Mapping[str, Any]],
    document: Mapping[str, Any],
    instances: Iterable[tuple[str, Any]],
) -> tuple[int, list[str]]:
    """Judge instances by both, and tell where the verdicts differ without a reason.

    Args:
        schemas: A set with `openai/...`.
        errata: The list in `errata.json`. Those with `allows` say what to add to the published
            schema at their pointers.
        document: The published OpenAPI document.
        instances: Contract and JSON value. Contracts that the document doesn't have are skipped.

    Returns:
        How many were judged, and a line for each unexplained difference.

    Raises:
        LookupError: An erratum points to nothing.
        ContractError: As `SchemaSet.violations` does.
    """
    published = SchemaSet({_PUBLISHED: _amended(document, errata)})
    judged, found = 0, list[str]()
    for contract, instance in instances:
        component = _COMPONENTS.get(contract)
        if component not in document["components"]["schemas"]:
            continue
        judged += 1
        theirs = published.judge(_PUBLISHED, f"/components/schemas/{component}").is_valid(instance)
        ours = schemas.violations(contract, instance)
        if theirs:
            found += [f"{contract}: only we refuse {it}" for it in ours if not _explained(schemas, it)]
        elif not ours:
            found.append(f"{contract}: only the published schema refuses {excerpt(instance)}")
    return judged, found


def _amended(document: Mapping[str, Any], errata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The document as a schema, with what the errata say it should also allow."""
    amended = {"$id": "urn:botticelli:published", **copy.deepcopy(dict(document))}
    additions: dict[str, str] = {
        pointer.removeprefix("#"): erratum["allows"]
        for erratum in errata
        for pointer in erratum["pointers"]
        if "allows" in erratum
    }
    # Longer pointers first: a place may lie inside another, which is wrapped later.
    for pointer in sorted(additions, key=len, reverse=True):
        parent, _, step = pointer.rpartition("/")
        place = resolve(amended, parent)
        key: Any = int(step) if is_array(place) else step
        place[key] = {"anyOf": [place[key], {"type": additions[pointer]}]}
    return amended


def _explained(schemas: SchemaSet, violation: Violation) -> bool:
    """Whether a rule stands in a place that an erratum marks."""
    contract, _, pointer = violation.schema_pointer.partition("#")
    schema = schemas.schemas[contract]
    while pointer:
        pointer = pointer.rpartition("/")[0]
        place = resolve(schema, pointer)
        if pointer and is_object(place) and "x-errata" in place:
            return True
    return False

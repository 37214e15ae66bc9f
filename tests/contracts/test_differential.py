"""Two judges, one of them made up here: every difference needs an erratum."""

from typing import Any

import pytest

from botticelli.contracts import SchemaSet
from botticelli.contracts.differential import differences
from botticelli.contracts.published import instances_of_the_house
from botticelli.contracts.schemas import data_root

OURS = SchemaSet(
    {
        "openai/error": {
            "$id": "urn:test:error",
            "properties": {
                "code": {"type": ["string", "null"], "maxLength": 3},
                "marked": {"x-errata": ["m"], "items": {"minLength": 1}},
            },
        }
    }
)
DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "ErrorResponse": {
                "properties": {"code": {"type": "string"}, "list": {"oneOf": [{"type": "string"}]}}
            }
        }
    }
}
PLACE = "#/components/schemas/ErrorResponse/properties/"


def found(instance: Any, errata: list[dict[str, Any]] | None = None) -> list[str]:
    judged, lines = differences(OURS, errata or [], DOCUMENT, [("openai/error", instance)])
    assert judged == 1
    return lines


@pytest.mark.parametrize("instance", [{}, {"code": "abc"}, {"code": 5}])
def test_the_same_verdict_is_no_difference(instance: Any) -> None:
    assert found(instance) == []


def test_what_only_the_published_schema_refuses_needs_an_amendment() -> None:
    assert found({"code": None}) == ['openai/error: only the published schema refuses {"code": null}']
    assert found({"code": None}, [{"pointers": [PLACE + "code"], "allows": "null"}]) == []
    # One that names the place without saying what it should allow changes nothing.
    assert found({"code": None}, [{"pointers": [PLACE + "code"]}]) != []


def test_an_amendment_reaches_into_lists_and_into_what_is_amended() -> None:
    inner, outer = PLACE + "list/oneOf/0", PLACE + "list"
    errata = [{"pointers": [outer], "allows": "null"}, {"pointers": [inner], "allows": "number"}]
    assert found({"list": None}, errata) == []
    assert found({"list": 5}, errata) == []
    assert DOCUMENT["components"]["schemas"]["ErrorResponse"]["properties"]["list"] == {
        "oneOf": [{"type": "string"}]
    }


def test_what_only_we_refuse_needs_a_mark_at_the_rule_or_around_it() -> None:
    assert found({"code": "abcd"}) == [
        "openai/error: only we refuse $.code: must have at most 3 characters, not 4"
    ]
    assert found({"marked": [""]}) == []


def test_an_amendment_to_nothing_is_an_error() -> None:
    with pytest.raises(LookupError):
        found({}, [{"pointers": [PLACE + "nobody"], "allows": "null"}])


def test_contracts_that_are_not_published_are_skipped() -> None:
    instances: list[tuple[str, Any]] = [("huggingface/error", {}), ("openai/chunk", {})]
    assert differences(OURS, [], DOCUMENT, instances) == (0, [])


def test_the_house_has_instances_of_every_contract() -> None:
    contracts = [contract for contract, _ in instances_of_the_house(data_root() / "fixtures")]
    assert len(contracts) > 600
    assert {"openai/request", "openai/response", "openai/chunk", "openai/error", "wire/chunk"} <= set(
        contracts
    )

"""The comparison with the published specification, on small documents written here."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.contracts import ContractDataError, SchemaSet, data_root

from .published import compare, differences, fixture_instances

if TYPE_CHECKING:
    from pathlib import Path

CHUNK: dict[str, Any] = {
    "$id": "urn:test:chunk",
    "x-spec": "#/components/schemas/Chunk",
    "required": ["id"],
    "properties": {"id": {"type": "string", "x-spec": ["#/components/schemas/Chunk/properties/id"]}},
}
REQUEST: dict[str, Any] = {"$id": "urn:test:request", "required": ["model"]}
SCHEMAS = SchemaSet(
    {"openai/chunk": CHUNK, "openai/request": REQUEST, "openai/response": {"$id": "urn:test:r"}}
)
DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "Chunk": {"properties": {"id": {"type": "string"}}, "x-oaiMeta": {"properties": {"x": 1}}}
        }
    }
}
ERRATA: dict[str, Any] = {"errata": [], "examples": []}
GOOD = {
    "title": "Good",
    "request_curl": "curl x \\\n  -H 'a: b' \\\n  -d '{\n \"model\": \"m\"}'\n",
    "response": '{"object": "chat.completion.chunk", "id": "1"}\n\n....\n\n'
    '{"object": "chat.completion.chunk", "id": "2"}',
}
BAD = {"title": "Bad", "request_curl": None, "response": '{"object": "chat.completion.chunk"}'}


def faults(tmp_path: Path, content: Any, errata: dict[str, Any] = ERRATA) -> list[str]:
    path = tmp_path / "published.json"
    path.write_text(json.dumps(content))
    return compare(SCHEMAS, errata, path).faults


def test_examples_that_keep_the_contract_are_no_faults(tmp_path: Path) -> None:
    assert faults(tmp_path, [GOOD]) == []


def test_an_example_that_breaks_it_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, [GOOD, BAD]) == ["example Bad: $.id: is missing"]


def test_the_request_in_an_example_counts(tmp_path: Path) -> None:
    bad = {**GOOD, "request_curl": "curl -d '{}'"}
    assert faults(tmp_path, [bad]) == ["example Good: $.model: is missing"]


def test_a_known_breach_is_excused_and_must_be_there(tmp_path: Path) -> None:
    known: dict[str, Any] = {"errata": [], "examples": [{"example": "Bad", "violations": ["$.id"]}]}
    assert faults(tmp_path, [BAD], known) == []
    known["examples"][0]["violations"].append("$.gone")
    assert faults(tmp_path, [BAD], known) == [
        "example Bad: has no violation at $.gone, but errata.json expects one"
    ]
    assert faults(tmp_path, [GOOD], known) == ["errata.json mentions the example Bad, which does not exist"]


def test_a_document_that_agrees_is_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, DOCUMENT) == []


def test_a_property_that_no_contract_cites_is_a_fault(tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["components"]["schemas"]["Chunk"]["properties"]["model"] = {"anyOf": [{"properties": {"x": {}}}]}
    base = "#/components/schemas/Chunk/properties/model"
    assert faults(tmp_path, document) == [
        f"no contract cites {base}",
        f"no contract cites {base}/anyOf/0/properties/x",
    ]


def test_a_pointer_to_nothing_is_a_fault(tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    del document["components"]["schemas"]["Chunk"]["properties"]["id"]
    assert faults(tmp_path, document) == ["nothing is published at #/components/schemas/Chunk/properties/id"]


def test_an_erratum_that_points_to_nothing_is_a_fault(tmp_path: Path) -> None:
    errata = {"errata": [{"pointers": ["#/components/schemas/Chunk/nobody"]}], "examples": []}
    assert faults(tmp_path, DOCUMENT, errata) == ["nothing is published at #/components/schemas/Chunk/nobody"]


def test_schemas_outside_the_document_are_distinguished(tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    path.write_text(json.dumps(DOCUMENT))
    errata = {"errata": [{"pointers": ["#/components/schemas/Model"]}], "examples": []}
    comparison = compare(SCHEMAS, errata, path)
    assert comparison.faults == []
    assert comparison.checked == [
        "1 published properties, 2 pointers to the document",
        "not in this document, so not checked: Model",
    ]


def test_a_folder_is_taken_whole(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(DOCUMENT))
    (tmp_path / "b.json").write_text(json.dumps([BAD]))
    (tmp_path / "c.json").write_text("{}")
    (tmp_path / "d.txt").write_text("not looked at")
    comparison = compare(SCHEMAS, ERRATA, tmp_path)
    assert len(comparison.checked) == 2
    assert comparison.faults == ["example Bad: $.id: is missing"]


@pytest.mark.parametrize("content", ["{}", "[]", "[1]", "5"])
def test_a_file_of_another_kind_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    path.write_text(content)
    with pytest.raises(ContractDataError, match="neither an OpenAPI document nor a list of examples"):
        compare(SCHEMAS, ERRATA, path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractDataError, match=r"nowhere\.json can't be read as JSON"):
        compare(SCHEMAS, ERRATA, tmp_path / "nowhere.json")


def test_an_example_without_a_body_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractDataError, match="example Good: no body in its command"):
        faults(tmp_path, [{**GOOD, "request_curl": "curl x"}])


def test_both_judge_the_instances_that_are_given(tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    document = copy.deepcopy(DOCUMENT)
    document["components"]["schemas"]["CreateChatCompletionStreamResponse"] = {"required": ["id", "x"]}
    path.write_text(json.dumps(document))
    comparison = compare(SCHEMAS, ERRATA, path, [("openai/chunk", {"id": "1"}), ("openai/chunk", {})])
    assert comparison.checked[-1] == "2 instances validated by both"
    assert comparison.faults == ['openai/chunk: only the published schema refuses {"id": "1"}']


# Two validators: every difference needs an erratum.

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
PUBLISHED: dict[str, Any] = {
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
    judged, lines = differences(OURS, errata or [], PUBLISHED, [("openai/error", instance)])
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
    assert PUBLISHED["components"]["schemas"]["ErrorResponse"]["properties"]["list"] == {
        "oneOf": [{"type": "string"}]
    }


def test_a_member_may_be_absent_where_an_erratum_says_so() -> None:
    document = copy.deepcopy(PUBLISHED)
    document["components"]["schemas"]["ErrorResponse"]["required"] = ["code"]
    absent: list[dict[str, Any]] = [{"pointers": [PLACE + "code"], "optional": True}]
    assert differences(OURS, [], document, [("openai/error", {})]) == (
        1,
        ["openai/error: only the published schema refuses {}"],
    )
    assert differences(OURS, absent, document, [("openai/error", {})]) == (1, [])
    with pytest.raises(ValueError, match="not in list"):
        differences(OURS, absent * 2, document, [("openai/error", {})])


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
    assert differences(OURS, [], PUBLISHED, instances) == (0, [])


def test_there_are_instances_of_every_contract() -> None:
    contracts = [contract for contract, _ in fixture_instances(data_root() / "fixtures")]
    assert len(contracts) > 600
    assert {"openai/request", "openai/response", "openai/chunk", "openai/error", "wire/openai/chunk"} <= set(
        contracts
    )

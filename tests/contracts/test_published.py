"""The comparison with a published document, on a small one made up here."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from botticelli.contracts import ContractDataError, SchemaSet
from botticelli.contracts.published import compare

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


def test_examples_that_keep_the_contract_are_no_news(tmp_path: Path) -> None:
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
    assert faults(tmp_path, [BAD], known) == ["example Bad: keeps $.gone, though errata.json says otherwise"]
    assert faults(tmp_path, [GOOD], known) == ["errata.json speaks of an example Bad, which is not there"]


def test_a_document_that_agrees_is_no_news(tmp_path: Path) -> None:
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


def test_schemas_outside_the_document_are_told_apart(tmp_path: Path) -> None:
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
    with pytest.raises(ContractDataError, match=r"nowhere\.json cannot be read as JSON"):
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
    assert comparison.checked[-1] == "2 instances judged by both"
    assert comparison.faults == ['openai/chunk: only the published schema refuses {"id": "1"}']

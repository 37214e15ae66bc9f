"""The tolerant contract: each relaxation is wide enough for its example, needed for it, and no wider."""

import copy
import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from botticelli.contracts import ContractDataError, SchemaSet, UnknownFormatError, data_root, read
from botticelli.contracts.relaxations import (
    Relaxation,
    Relaxations,
    build_files,
    formats,
    layout,
    outdated_files,
    relax,
)

ROOT = data_root() / "contracts"
ASKED = "urn:botticelli:contract:other:request"
STRICT = SchemaSet.read(ROOT)
RELAXATIONS = Relaxations.load("openai")
ON_SCHEMAS = [relaxation for relaxation in RELAXATIONS.listed if relaxation.level == "schema"]
ON_BYTES = [relaxation for relaxation in RELAXATIONS.listed if relaxation.level == "bytes"]
WHOLE_ANSWER_FAULTS = {
    "utf8-invalid",
    "surrogate-lone",
    "control-character",
    "number-not-finite",
    "trailing-data",
    "bom",
    "key-repeated",
    "nesting-too-deep",
}


def by_code(relaxation: Relaxation) -> str:
    return relaxation.code


def judged(relaxation: Relaxation, side: str) -> tuple[str, Any]:
    example = getattr(relaxation, side)
    return f"wire/openai/{example['contract']}", RELAXATIONS.instance(example)


def test_the_schemas_are_built_from_the_relaxations() -> None:
    assert outdated_files(ROOT) == []


def test_a_change_to_a_built_schema_by_hand_is_noticed(tmp_path: Path) -> None:
    for path in ROOT.rglob("*.json"):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    chunk = tmp_path / "wire" / "openai" / "chunk.schema.json"
    error = tmp_path / "wire" / "openai" / "error.schema.json"
    assert outdated_files(tmp_path) == []
    chunk.write_text(chunk.read_text().replace("array", "string"))
    error.unlink()
    assert outdated_files(tmp_path) == [chunk, error]


@pytest.mark.parametrize("relaxation", RELAXATIONS.listed, ids=by_code)
def test_a_relaxation_tells_its_story(relaxation: Relaxation) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", relaxation.code)
    assert relaxation.level in {"bytes", "stream", "schema"}
    assert relaxation.says.endswith(".")
    assert relaxation.reading.endswith(".")
    assert relaxation.evidence
    assert bool(relaxation.edits) == (relaxation.level == "schema")


def test_no_code_is_used_twice() -> None:
    assert len(set(RELAXATIONS.codes())) == len(RELAXATIONS.codes())


@pytest.mark.parametrize("position", range(len(ON_SCHEMAS)), ids=[one.code for one in ON_SCHEMAS])
def test_a_relaxation_admits_its_example_and_stops_there(position: int) -> None:
    relaxation = ON_SCHEMAS[position]
    before, after = (
        relax(STRICT, RELAXATIONS, ON_SCHEMAS[:position]),
        relax(STRICT, RELAXATIONS, ON_SCHEMAS[: position + 1]),
    )
    name, inside = judged(relaxation, "inside")
    assert before.violations(name, inside) != []
    assert after.violations(name, inside) == []
    name, outside = judged(relaxation, "outside")
    assert {violation.path for violation in after.violations(name, outside)} == {relaxation.outside["path"]}


@pytest.mark.parametrize("relaxation", ON_SCHEMAS, ids=by_code)
def test_nothing_at_all_admits_what_is_outside(relaxation: Relaxation) -> None:
    name, outside = judged(relaxation, "outside")
    violations = SchemaSet.read(ROOT).violations(name, outside)
    assert {violation.path for violation in violations} == {relaxation.outside["path"]}


@pytest.mark.parametrize("relaxation", ON_SCHEMAS, ids=by_code)
def test_nothing_else_admits_the_example(relaxation: Relaxation) -> None:
    name, inside = judged(relaxation, "inside")
    without = relax(STRICT, RELAXATIONS, [other for other in ON_SCHEMAS if other is not relaxation])
    assert without.violations(name, inside) != []
    assert relax(STRICT, RELAXATIONS, ON_SCHEMAS).violations(name, inside) == []


@pytest.mark.parametrize("relaxation", ON_SCHEMAS, ids=by_code)
def test_the_strict_contract_refuses_the_example_at_one_place(relaxation: Relaxation) -> None:
    name, inside = judged(relaxation, "inside")
    violations = STRICT.violations(name.removeprefix("wire/"), inside)
    assert len({violation.path for violation in violations}) == 1


@pytest.mark.parametrize("relaxation", ON_SCHEMAS, ids=by_code)
def test_the_place_it_changed_bears_its_name(relaxation: Relaxation) -> None:
    wire = relax(STRICT, RELAXATIONS, ON_SCHEMAS)
    marked = json.dumps([wire.schemas[f"wire/openai/{edit['schema']}"] for edit in relaxation.edits])
    assert json.dumps(relaxation.code) in marked


@pytest.mark.parametrize(
    "relaxation", [one for one in ON_BYTES if one.code in WHOLE_ANSWER_FAULTS], ids=by_code
)
def test_faults_of_bytes_are_reported_by_code(relaxation: Relaxation) -> None:
    reading = read(RELAXATIONS.body(relaxation.inside))
    assert reading.readable
    assert [fault.keyword for fault in reading.faults] == [relaxation.code]
    assert STRICT.violations("openai/response", reading.value) == []


def test_every_code_for_bytes_is_found_by_the_reader_or_needs_more_than_bytes() -> None:
    others = {relaxation.code for relaxation in ON_BYTES} - WHOLE_ANSWER_FAULTS
    assert others == {
        "body-cut-short",
        "charset-wrong",
        "content-type-wrong",
        "events-unframed",
        "json-in-sse",
        "sse-in-json",
    }


@pytest.mark.parametrize(
    "relaxation", [one for one in RELAXATIONS.listed if one.level != "schema"], ids=by_code
)
def test_what_is_outside_names_the_error_that_it_is(relaxation: Relaxation) -> None:
    kinds = {"malformed_response", "empty_response", "stream_truncated", "stream_error"}
    assert relaxation.outside["kind"] in kinds
    assert RELAXATIONS.body(relaxation.outside) != RELAXATIONS.body(relaxation.inside)


@pytest.mark.parametrize(
    "relaxation", [one for one in RELAXATIONS.listed if "events" in one.inside], ids=by_code
)
def test_streams_in_examples_hold_chunks(relaxation: Relaxation) -> None:
    wire = SchemaSet.read(ROOT)
    for line in RELAXATIONS.body(relaxation.inside).splitlines():
        data = line.removeprefix(b"data: ")
        if data.strip(b'"') not in {b"", b"[DONE]", b"null", b"data: "}:
            assert wire.validate_bytes("wire/openai/chunk", data) == [], relaxation.code


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"op": "optional", "at": "", "members": ["usage"]}, "not in list"),
        ({"op": "accept", "at": "/properties/id", "types": ["string"]}, "accepts those types already"),
        ({"op": "accept-value", "at": "/properties/id", "value": ""}, "accepts that value already"),
        ({"op": "drop", "at": "/properties/id", "keywords": ["enum"]}, "nothing to drop"),
        ({"op": "set", "at": "/properties/id", "keywords": {"type": "null"}}, "is set already"),
        ({"op": "define", "at": "", "member": "id", "as": {}}, "is defined already"),
        ({"op": "accept", "at": "/properties/nobody", "types": ["null"]}, "nobody"),
        ({"op": "loosen", "rule": "type", "under": ["/$defs/nobody"]}, "nobody"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["op"],
)
def test_an_edit_that_changes_nothing_is_refused(edit: dict[str, Any], message: str) -> None:
    useless = dataclasses.replace(ON_SCHEMAS[0], edits=({"schema": "response", **edit},))
    with pytest.raises(ContractDataError, match=message):
        relax(STRICT, RELAXATIONS, [useless])


def test_building_leaves_the_relaxations_as_they_were() -> None:
    at = "/properties/id"
    edits: list[dict[str, Any]] = [
        {"op": "set", "at": at, "keywords": {"items": {"type": "string"}}},
        {"op": "define", "at": "", "member": "x", "as": {"type": "string"}},
        {"op": "branch", "at": at, "when": {"type": "null"}, "then": {"type": "string"}},
        {"op": "loosen", "rule": "type", "under": [at, "/properties/x"]},
        {"op": "accept", "at": at + "/allOf/0/then", "types": ["null"]},
    ]
    original = copy.deepcopy(edits)
    one = dataclasses.replace(ON_SCHEMAS[0], edits=tuple({"schema": "response", **edit} for edit in edits))
    relax(STRICT, RELAXATIONS, [one])
    assert edits == original
    before = copy.deepcopy(ON_SCHEMAS)
    relax(STRICT, RELAXATIONS, ON_SCHEMAS)
    assert before == ON_SCHEMAS


def test_the_built_schemas_refer_to_each_other_only() -> None:
    for text in build_files(ROOT).values():
        assert "urn:botticelli:contract:openai" not in text
        assert "x-errata" not in text


def test_an_example_may_be_given_in_many_ways() -> None:
    chunk = RELAXATIONS.body({"base": "chunk-stop"})
    assert json.loads(chunk)["choices"][0]["finish_reason"] == "stop"
    events = RELAXATIONS.body({"events": ["chunk-stop", {"data": "x"}], "separator": "\n", "cut": 1})
    assert events == b"data: " + chunk + b"\ndata: x\n"
    assert RELAXATIONS.body({"lines": ["chunk-stop"]}) == chunk + b"\n"
    assert RELAXATIONS.body({"body": "é", "encoding": "latin-1"}) == b"\xe9"
    assert RELAXATIONS.instance(
        {"base": "error", "remove": ["/error/code"], "change": {"/error/type": 1}}
    ) == {"error": {"message": "No.", "type": 1, "param": None}}
    with pytest.raises(ContractDataError, match="no 'nothing' to replace"):
        RELAXATIONS.body({"base": "chunk", "replace": ["nothing", ""]})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bases": {}, "relaxations": [{}]}'])
def test_a_list_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "relaxations.json"
    path.write_text(text)
    with pytest.raises(ContractDataError, match="is not a list of relaxations"):
        Relaxations.read(path)


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractDataError, match="is not a list of relaxations"):
        Relaxations.read(tmp_path / "relaxations.json")


def test_a_format_is_a_folder() -> None:
    assert formats() == formats(ROOT) == ["openai"]
    assert Relaxations.load("openai", ROOT) == RELAXATIONS
    assert RELAXATIONS.format == "openai"


def test_a_format_without_relaxations_lists_those_that_have_some(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"format 'kit'; choose one of openai") as caught:
        Relaxations.load("kit")
    assert (caught.value.name, caught.value.known) == ("kit", ("openai",))
    assert formats(tmp_path) == []


def test_a_second_format_is_built_from_its_own_folders(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "contracts")
    root = tmp_path / "contracts"
    (root / "other").mkdir()
    (root / "wire" / "other").mkdir()
    strict = {
        "$id": "urn:botticelli:contract:other:answer",
        "title": "An answer",
        "description": "A body.",
        "required": ["id"],
        "properties": {"again": {"$ref": "urn:botticelli:contract:other:answer"}, "request": {"$ref": ASKED}},
    }
    (root / "other" / "answer.schema.json").write_text(json.dumps(strict))
    asked = {"$id": ASKED, "title": "A request", "description": "A body."}
    (root / "other" / "request.schema.json").write_text(json.dumps(asked))
    entry: dict[str, Any] = {
        "code": "id-missing",
        "level": "schema",
        "says": "No id.",
        "reading": "Unknown.",
        "evidence": ["made up"],
        "edits": [{"schema": "answer", "op": "optional", "at": "", "members": ["id"]}],
        "inside": {},
        "outside": {},
    }
    listed: dict[str, Any] = {"schemas": ["answer"], "bases": {}, "relaxations": [entry]}
    (root / "wire" / "other" / "relaxations.json").write_text(json.dumps(listed))
    assert formats(root) == ["openai", "other"]
    (path,) = outdated_files(root)
    assert path == root / "wire" / "other" / "answer.schema.json"
    built = json.loads(build_files(root)[path])
    assert built["$id"] == "urn:botticelli:contract:wire:other:answer"
    assert built["x-relaxed"] == ["id-missing"]
    assert "required" not in built
    # A reference to a schema without a tolerant form stays a reference to the strict one.
    references = {name: member["$ref"] for name, member in built["properties"].items()}
    assert references == {"again": "urn:botticelli:contract:wire:other:answer", "request": ASKED}
    path.write_text(build_files(root)[path])
    assert SchemaSet.read(root).violations("wire/other/answer", {"again": {}}) == []


@pytest.mark.parametrize(
    "value",
    [None, {}, [], {"a": [], "b": {}}, {"a": ["é", 1.5]}, {"description": "d", "type": ["x" * 60, "y" * 60]}],
)
def test_what_is_laid_out_reads_back_the_same(value: Any) -> None:
    text = layout(value)
    assert json.loads(text) == value
    assert text.endswith("\n")
    assert ("\n" in text[:-1]) == (isinstance(value, dict) and "description" in value)


def test_the_readme_explains_every_edit() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^ +\| `([a-z-]+)` \|", readme, re.MULTILINE))
    assert explained - {"op"} == {edit["op"] for relaxation in ON_SCHEMAS for edit in relaxation.edits}

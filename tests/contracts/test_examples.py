"""The examples keep their contracts, the invalid instances break them where and how they say."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from botticelli import contracts
from botticelli.contracts.jsonvalue import is_object

ROOT = contracts.data_root() / "fixtures"
OURS = [name for name in contracts.names() if not name.startswith("kit/")]
EXAMPLES = sorted((ROOT / "examples").rglob("*.json"))
INVALID: dict[str, list[dict[str, Any]]] = {
    document["contract"]: document["instances"]
    for document in (json.loads(path.read_bytes()) for path in sorted((ROOT / "invalid").rglob("*.json")))
}
SAYS_NOTHING = {"$schema", "$id", "$ref", "if", "title", "description", "default", "deprecated", "format"}
CASES = [pytest.param(name, case, id=f"{name}:{case['id']}") for name in INVALID for case in INVALID[name]]


def contract_of(path: Path) -> str:
    return path.relative_to(ROOT / "examples").parent.as_posix()


def rules(schema: Any, pointer: str) -> Iterator[str]:
    """The address of every rule of a schema, as violations give it; what follows `if` rules nothing."""
    if schema is False:
        yield pointer
    if not is_object(schema):
        return
    for keyword, value in schema.items():
        place = f"{pointer}/{keyword}"
        if keyword == "required":
            yield from (f"{place}/{index}" for index in range(len(value)))
        elif keyword in {"properties", "$defs"}:
            for name, inner in value.items():
                yield from rules(inner, f"{place}/{name}")
        elif keyword == "allOf":
            for index, inner in enumerate(value):
                yield from rules(inner, f"{place}/{index}")
        elif keyword in {"items", "additionalProperties", "then"}:
            yield from rules(value, place)
        elif keyword not in SAYS_NOTHING and not keyword.startswith("x-"):
            yield place


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{contract_of(path)}/{path.stem}")
def test_an_example_keeps_its_contract(path: Path) -> None:
    assert contracts.validate_bytes(contract_of(path), path.read_bytes()) == []


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in EXAMPLES
        if contract_of(path).startswith("openai/") and contract_of(path) != "openai/request"
    ],
    ids=lambda path: f"{contract_of(path)}/{path.stem}",
)
def test_what_keeps_the_strict_contract_keeps_the_tolerant_one(path: Path) -> None:
    tolerant = f"wire/{contract_of(path)}"
    assert contracts.validate_bytes(tolerant, path.read_bytes()) == []


@pytest.mark.parametrize(
    "path",
    [path for path in EXAMPLES if contract_of(path).startswith("wire/")],
    ids=lambda path: f"{contract_of(path)}/{path.stem}",
)
def test_an_example_of_tolerance_needs_it(path: Path) -> None:
    assert contracts.validate_bytes(contract_of(path).removeprefix("wire/"), path.read_bytes())


@pytest.mark.parametrize("name", [name for name in OURS if not name.startswith("wire/")])
def test_every_member_stands_in_some_example(name: str) -> None:
    judged = {
        unit["schemaLocation"]
        for path in EXAMPLES
        for unit in contracts.validator(contract_of(path))
        .evaluate(json.loads(path.read_bytes()))
        .list()["details"]
        if "schemaLocation" in unit
    }
    identity: str = contracts.load(name)["$id"]
    unused = [
        rule
        for rule in rules(contracts.load(name), identity + "#")
        if rule.endswith("/type") and rule.removesuffix("/type") not in judged
    ]
    assert unused == []


@pytest.mark.parametrize(("name", "case"), CASES)
def test_an_invalid_instance_breaks_just_what_it_says(name: str, case: dict[str, Any]) -> None:
    violations = contracts.violations(name, case["instance"])
    assert {violation.path for violation in violations} == {case["path"]}
    assert sorted(violation.schema_pointer for violation in violations) == sorted(
        [case["rule"], *case.get("with", [])]
    )
    assert all(violation.message for violation in violations)


@pytest.mark.parametrize("name", OURS)
def test_every_rule_has_an_instance_that_breaks_it(name: str) -> None:
    assert sorted(case["rule"] for case in INVALID[name]) == sorted(rules(contracts.load(name), name + "#"))


def test_no_two_instances_share_a_rule_or_a_name() -> None:
    assert sum(len(cases) for cases in INVALID.values()) >= 120
    for cases in INVALID.values():
        for member in ("rule", "id"):
            repeated = [
                value for value, count in Counter(case[member] for case in cases).items() if count > 1
            ]
            assert repeated == [], member


@pytest.mark.parametrize("name", ["a.b", "a b", "é", "a/b", "a\n", "\na", "a:b", "", "\uff21", "n" * 65])
def test_names_are_of_few_characters(name: str) -> None:
    message = {"role": "user", "content": ""}
    function: dict[str, Any] = {"type": "function", "function": {"name": name}}
    request = {"model": "", "messages": [message], "tools": [function], "tool_choice": function}
    request["response_format"] = {"type": "json_schema", "json_schema": {"name": name}}
    assert {violation.path for violation in contracts.violations("openai/request", request)} == {
        "$.tools[0].function.name",
        "$.tool_choice.function.name",
        "$.response_format.json_schema.name",
    }


def test_all_that_is_wrong_is_reported_at_once() -> None:
    instance: dict[str, Any] = {
        "id": 1,
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "user", "content": 5}, "finish_reason": "eos"},
            {
                "index": "1",
                "message": {"role": "assistant", "content": "", "refusal": None, "tool_calls": [{}, 7]},
            },
        ],
        "usage": {"prompt_tokens": -1},
    }
    assert [violation.path for violation in contracts.violations("openai/response", instance)] == [
        "$.choices[0].finish_reason",
        "$.choices[0].message.content",
        "$.choices[0].message.refusal",
        "$.choices[0].message.role",
        "$.choices[1].finish_reason",
        "$.choices[1].index",
        "$.choices[1].message.tool_calls[0].id",
        "$.choices[1].message.tool_calls[0].type",
        "$.choices[1].message.tool_calls[1]",
        "$.created",
        "$.id",
        "$.model",
        "$.usage.completion_tokens",
        "$.usage.prompt_tokens",
        "$.usage.total_tokens",
    ]

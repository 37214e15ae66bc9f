"""Finding, compiling and asking: the public functions, their errors, and what they must not do."""

import doctest
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from botticelli import contracts
from botticelli.contracts import (
    ContractDataError,
    ContractError,
    InstanceError,
    MissingExtraError,
    SchemaSet,
    UnknownContractError,
    Violation,
    json_path,
    json_pointer,
)
from botticelli.contracts.jsonvalue import excerpt, kind_of, resolve

ROOT = Path(__file__).parents[2]


def one(schema: dict[str, Any], instance: Any) -> str:
    """The only violation of a schema that stands alone."""
    schemas = SchemaSet({"t/one": {"$id": "urn:test:one", **schema}})
    (violation,) = schemas.violations("t/one", instance)
    return f"{violation} [{violation.schema_pointer}]"


def test_the_checkout_is_read() -> None:
    assert contracts.data_root() == ROOT


def test_a_wheels_data_come_before_a_checkout(tmp_path: Path) -> None:
    package = tmp_path / "botticelli"
    subprocess.run(["cp", "-r", ROOT / "botticelli", package], check=True)
    (tmp_path / "contracts").mkdir()
    code = "from botticelli import contracts; print(contracts.data_root())"
    command = [sys.executable, "-c", code]
    assert run(command, tmp_path) == f"{tmp_path}\n"
    (package / "_data" / "contracts").mkdir(parents=True)
    assert run(command, tmp_path) == f"{package / '_data'}\n"
    (package / "_data" / "contracts").rmdir()
    (tmp_path / "contracts").rmdir()
    code = "from botticelli import contracts as c\ntry: c.names()\nexcept c.ContractDataError as e: print(e)"
    assert run([sys.executable, "-c", code], tmp_path).endswith(
        "the installation is incomplete; reinstall it\n"
    )


def run(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_listing_needs_no_validator_and_loads_none() -> None:
    code = "import sys; from botticelli import contracts; contracts.names(); contracts.load('openai/error')"
    assert run([sys.executable, "-c", f"{code}; print('jsonschema_rs' in sys.modules)"], ROOT) == "False\n"


def test_the_judge_shares_no_code_with_the_accused() -> None:
    code = "import sys, botticelli.contracts.relaxations, botticelli.kit.strategies"
    accused = (
        "[m for m in sys.modules if m.split('.')[1:2] and m.startswith('botticelli') and m.split('.')[1] in "
    )
    accused += "('core', 'protocol', 'dialects', 'drivers', 'cli')]"
    assert run([sys.executable, "-c", f"{code}; print({accused})"], ROOT) == "[]\n"


def test_without_the_validator_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    schemas = SchemaSet.read(ROOT / "contracts")
    assert "openai/error" in schemas.names()
    with pytest.raises(MissingExtraError, match=r"pip install 'botticelli\[kit\]'"):
        schemas.violations("openai/error", {})


@pytest.mark.parametrize("function", [contracts.load, contracts.validator], ids=["load", "validator"])
def test_an_unknown_contract_lists_the_known(function: Any) -> None:
    with pytest.raises(
        UnknownContractError, match=r"'openai/answer'; choose one of .*openai/response"
    ) as caught:
        function("openai/answer")
    assert caught.value.known == tuple(contracts.names())


def test_an_unknown_contract_is_an_error_whatever_the_instance() -> None:
    with pytest.raises(UnknownContractError):
        contracts.violations("nope", {})
    with pytest.raises(UnknownContractError):
        contracts.validate_bytes("nope", b"")


def test_the_example_in_the_documentation_is_true() -> None:
    assert doctest.testmod(contracts) == (0, 2)


def test_a_validator_is_made_once() -> None:
    assert contracts.validator("openai/chunk") is contracts.validator("openai/chunk")


def test_a_loaded_schema_is_the_callers_own() -> None:
    contracts.load("openai/chunk")["type"] = "null"
    assert contracts.load("openai/chunk")["type"] == "object"
    assert contracts.violations("openai/chunk", None) != []


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/elsewhere"},
        {"$ref": "urn:botticelli:contract:nobody"},
        {"$ref": "#/$defs/nobody"},
        {"type": "text"},
        {"pattern": "("},
    ],
    ids=str,
)
def test_a_broken_schema_is_named_and_nothing_is_fetched(schema: dict[str, Any]) -> None:
    with pytest.raises(ContractDataError, match=r"^t/one is not a valid schema: "):
        SchemaSet({"t/one": {"$id": "urn:test:one", **schema}}).validator("t/one")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"$id": 5}', "\xff"])
def test_a_file_that_is_no_schema_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x" / "broken.schema.json"
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ContractDataError, match=r"broken\.schema.json is not"):
        SchemaSet.read(tmp_path)


def test_a_part_of_a_contract_can_be_asked_alone() -> None:
    judge = contracts.packaged().part_validator("openai/response", "/$defs/tokenBytes")
    assert judge.is_valid([0, 255])
    assert not judge.is_valid([256])
    with pytest.raises(ContractDataError):
        contracts.packaged().part_validator("openai/response", "/$defs/nobody")


def test_a_contract_is_known_by_its_identifier() -> None:
    assert contracts.packaged().name_of("urn:botticelli:contract:wire:openai:chunk") == "wire/openai/chunk"
    with pytest.raises(UnknownContractError):
        contracts.packaged().name_of("urn:botticelli:contract:wire:openai:request")


def test_faults_of_bytes_come_before_breaches_of_the_contract() -> None:
    violations = contracts.validate_bytes("openai/error", b'\xef\xbb\xbf{"error": {"message": NaN}}')
    assert [f"{v.path} {v.keyword}" for v in violations] == [
        "$ bom",
        "$.error.message number-not-finite",
        "$.error.code required",
        "$.error.message type",
        "$.error.param required",
        "$.error.type required",
    ]


def test_unreadable_bytes_are_one_violation() -> None:
    (violation,) = contracts.validate_bytes("openai/error", b"<html>")
    assert (violation.keyword, violation.schema_pointer) == ("json-invalid", "")


def test_values_that_json_cannot_hold_are_told_apart() -> None:
    violations = contracts.violations("openai/error", {"error": {"message": "\ud800", "type": float("inf")}})
    assert [v.keyword for v in violations] == [
        "surrogate-lone",
        "number-not-finite",
        "required",
        "required",
        "type",
    ]
    with pytest.raises(InstanceError, match=r"^\$\.error is a set, which is not a JSON value$"):
        contracts.violations("openai/error", {"error": set[str]()})


@pytest.mark.parametrize(
    ("schema", "instance", "said"),
    [
        ({"type": "string"}, 5, "$: must be a string, not the number 5 [t/one#/type]"),
        (
            {"type": ["null", "integer"]},
            1.5,
            "$: must be an integer or null, not the number 1.5 [t/one#/type]",
        ),
        ({"type": "object"}, None, "$: must be an object, not null [t/one#/type]"),
        ({"type": "array"}, {}, "$: must be an array, not an object [t/one#/type]"),
        ({"type": "number"}, True, "$: must be a number, not a boolean [t/one#/type]"),
        ({"type": "boolean"}, [], "$: must be a boolean, not an array [t/one#/type]"),
        ({"enum": ["a", None]}, "b", '$: must be one of "a", null, not "b" [t/one#/enum]'),
        ({"const": {"a": 1}}, [], '$: must be {"a": 1}, not [] [t/one#/const]'),
        ({"minimum": 1}, 0, "$: must be at least 1, not 0 [t/one#/minimum]"),
        ({"maximum": 1.5}, 2, "$: must be at most 1.5, not 2 [t/one#/maximum]"),
        ({"minLength": 1}, "", "$: must not be empty [t/one#/minLength]"),
        ({"minLength": 2}, "é", "$: must have at least 2 characters, not 1 [t/one#/minLength]"),
        ({"maxLength": 1}, "ab", "$: must have at most 1 character, not 2 [t/one#/maxLength]"),
        ({"minItems": 1}, [], "$: must not be empty [t/one#/minItems]"),
        ({"maxItems": 1}, [1, 2], "$: must have at most 1 item, not 2 [t/one#/maxItems]"),
        ({"maxProperties": 0}, {"a": 1}, "$: must have at most 0 members, not 1 [t/one#/maxProperties]"),
        ({"pattern": "^a"}, "b", '$: must match ^a, but is "b" [t/one#/pattern]'),
        ({"required": ["a/b"]}, {}, "$['a/b']: is missing [t/one#/required/0]"),
        ({"required": ["x", "y"]}, {"x": 1}, "$.y: is missing [t/one#/required/1]"),
        ({"dependentRequired": {"x": ["y"]}}, {"x": 1}, "$.y: is missing [t/one#/dependentRequired/0]"),
        ({"properties": {"a": False}}, {"a": 1}, "$.a: is not allowed here, but is 1 [t/one#/properties/a]"),
        (
            {"properties": {"b": True}, "additionalProperties": False},
            {"a": 1, "b": 1},
            "$.a: is not allowed here [t/one#/additionalProperties]",
        ),
        (
            {"propertyNames": {"maxLength": 1}},
            {"ab": 1},
            "$.ab: has a name that must have at most 1 character, not 2 [t/one#/propertyNames]",
        ),
        ({"multipleOf": 2}, 3, "$: 3 is not a multiple of 2 [t/one#/multipleOf]"),
    ],
)
def test_a_breach_is_said_in_plain_words(schema: dict[str, Any], instance: Any, said: str) -> None:
    assert one(schema, instance) == said


def test_long_lists_of_words_are_cut_short() -> None:
    said = '$: must be one of "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", … (13 in all), '
    assert one({"enum": list("abcdefghijklm")}, "z") == said + 'not "z" [t/one#/enum]'


def test_violations_are_sorted_by_place_with_numbers_as_numbers() -> None:
    schemas = SchemaSet({"t/one": {"$id": "urn:test:one", "items": {"type": "null", "maximum": 0}}})
    paths = [violation.path for violation in schemas.violations("t/one", [1] * 11)]
    assert paths == [f"$[{index}]" for index in range(11) for _ in range(2)]
    keywords = [violation.keyword for violation in schemas.violations("t/one", [1])]
    assert keywords == ["maximum", "type"]


def test_rules_of_other_schemas_are_named_by_their_contract() -> None:
    (violation,) = contracts.violations(
        "openai/chunk",
        {
            "id": "",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "",
            "choices": [],
            "service_tier": "no",
        },
    )
    assert violation.schema_pointer == "openai/response#/$defs/serviceTier/enum"


@pytest.mark.parametrize(
    ("tokens", "path", "pointer"),
    [
        ((), "$", ""),
        (("choices", 0, "message"), "$.choices[0].message", "/choices/0/message"),
        (("a b", "it's", 'say "x"'), "$['a b']['it\\'s']['say \"x\"']", '/a b/it\'s/say "x"'),
        (("", "a/b~c"), "$['']['a/b~c']", "//a~1b~0c"),
        (("x-y", "1st", "é"), "$.x-y['1st']['\\u00e9']", "/x-y/1st/é"),
        (("\ud800",), "$['\\ud800']", "/?"),
    ],
)
def test_places_are_written_in_both_ways(tokens: tuple[str | int, ...], path: str, pointer: str) -> None:
    assert json_path(tokens) == path
    assert json_pointer(tokens) == pointer


def test_a_pointer_leads_to_what_it_names() -> None:
    value = {"a/b": [10, {"~": 1}], "": 2}
    assert resolve(value, "") is value
    assert resolve(value, "/a~1b/1/~0") == 1
    assert resolve(value, "/") == 2
    for nowhere in ("/x", "/a~1b/2", "/a~1b/x", "/a~1b/-1", "/a~1b/0/x"):
        with pytest.raises(LookupError):
            resolve(value, nowhere)


def test_long_values_are_cut_short_in_words() -> None:
    assert excerpt("x" * 100) == '"' + "x" * 58 + "…"
    assert excerpt({"a": {1, 2}}).startswith('{"a": "{1, 2}"')
    values: list[Any] = [None, True, 0, 0.5, "", [], {}]
    assert [kind_of(value) for value in values] == [
        "null",
        "boolean",
        "number",
        "number",
        "string",
        "array",
        "object",
    ]


@pytest.mark.parametrize(
    "error",
    [
        UnknownContractError("x", ["a"]),
        MissingExtraError(),
        InstanceError("$", "set"),
        ContractDataError("no"),
    ],
)
def test_errors_survive_a_pickle(error: ContractError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_a_violation_is_a_value() -> None:
    violation = Violation.at(("a", 0), "t/one#/type", "type", "must be a string")
    assert str(violation) == "$.a[0]: must be a string"
    assert violation == pickle.loads(pickle.dumps(violation))
    assert len({violation, violation}) == 1

"""Finding and compiling contracts and validating instances: the public functions and their errors."""

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
    UnknownFormatError,
    schemas,
)

ROOT = Path(__file__).parents[2]


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


def test_an_installation_without_contracts_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "__file__", str(tmp_path / "botticelli" / "contracts" / "schemas.py"))
    with pytest.raises(ContractDataError, match="the installation is incomplete; reinstall it"):
        contracts.data_root()


def run(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_listing_needs_no_validator_and_loads_none() -> None:
    code = "import sys; from botticelli import contracts; contracts.names(); contracts.load('openai/error')"
    assert run([sys.executable, "-c", f"{code}; print('jsonschema_rs' in sys.modules)"], ROOT) == "False\n"


def test_contracts_and_kit_import_nothing_of_the_driver() -> None:
    code = "import sys, botticelli.contracts.relaxations, botticelli.kit.strategies"
    loaded = (
        "[m for m in sys.modules if m.split('.')[1:2] and m.startswith('botticelli') and m.split('.')[1] in "
    )
    loaded += "('core', 'protocol', 'dialects', 'drivers', 'providers', 'cli')]"
    assert run([sys.executable, "-c", f"{code}; print({loaded})"], ROOT) == "[]\n"


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


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_reported_once(number: str) -> None:
    body = b'{"error": {"message": "", "type": "", "param": null, "code": %s, "more": %s}}'
    violations = contracts.validate_bytes("openai/error", body % (number.encode(), number.encode()))
    assert [violation.path for violation in violations] == ["$.error.code", "$.error.more"]
    error = {"message": "", "type": float(number), "param": None, "code": None}
    assert [it.keyword for it in contracts.violations("openai/error", {"error": error})] == [
        "number-not-finite"
    ]


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
        "$.error.param required",
        "$.error.type required",
    ]


def test_unreadable_bytes_are_one_violation() -> None:
    (violation,) = contracts.validate_bytes("openai/error", b"<html>")
    assert (violation.keyword, violation.schema_pointer) == ("json-invalid", "")


def test_values_that_json_cannot_hold_are_distinguished() -> None:
    violations = contracts.violations("openai/error", {"error": {"message": "\ud800", "type": float("inf")}})
    assert [v.keyword for v in violations] == [
        "surrogate-lone",
        "number-not-finite",
        "required",
        "required",
    ]
    with pytest.raises(InstanceError, match=r"^\$\.error is a set, which is not a JSON value$"):
        contracts.violations("openai/error", {"error": set[str]()})


@pytest.mark.parametrize(
    "error",
    [
        UnknownContractError("x", ["a"]),
        UnknownFormatError("x", ["a"]),
        MissingExtraError(),
        InstanceError("$", "set"),
        ContractDataError("no"),
    ],
)
def test_errors_survive_a_pickle(error: ContractError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_the_first_program_of_the_contracts_readme_runs() -> None:
    readme = (ROOT / "contracts" / "README.md").read_text(encoding="utf-8")
    program = readme.split("```python\n")[1].split("```")[0]
    assert run([sys.executable, "-W", "error", "-c", program], ROOT).splitlines() == [
        '[] "object" is a required property',
        '[] "created" is a required property',
        '[] "model" is a required property',
        "['id'] 1 is not of type \"string\"",
    ]

"""The contracts: schemas that any language can use, and what an instance breaks of them.

A contract is a JSON Schema (2020-12) under `contracts/`, named by its path: `openai/response`
is strict, `wire/response` is the same with the named relaxations of
`contracts/wire/relaxations.json`. This package finds and compiles them, reports *every* breach
with its path, and builds the tolerant ones. It never touches a network.

    >>> from botticelli import contracts
    >>> for violation in contracts.violations("openai/error", {"error": {"message": 5}}):
    ...     print(violation)
    $.error.code: is missing
    $.error.message: must be a string, not the number 5
    $.error.param: is missing
    $.error.type: is missing

May enter here: the standard library and jsonschema-rs (late). Nothing of core, protocol,
dialects or drivers: the judge shares no code with the accused.
"""

import functools
from typing import TYPE_CHECKING, Any

from botticelli.contracts.errors import (
    ContractDataError,
    ContractError,
    InstanceError,
    MissingExtraError,
    UnknownContractError,
)
from botticelli.contracts.json_reader import Reading, read
from botticelli.contracts.jsonvalue import json_path, json_pointer
from botticelli.contracts.schemas import Schema, SchemaSet, data_root
from botticelli.contracts.violations import Violation

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

__all__ = [
    "ContractDataError",
    "ContractError",
    "InstanceError",
    "MissingExtraError",
    "Reading",
    "Schema",
    "SchemaSet",
    "UnknownContractError",
    "Violation",
    "data_root",
    "json_path",
    "json_pointer",
    "load",
    "names",
    "packaged",
    "read",
    "validate_bytes",
    "validator",
    "violations",
]


@functools.cache
def packaged() -> SchemaSet:
    """The contracts that came with this package.

    Raises:
        ContractDataError: They are missing or broken.
    """
    return SchemaSet.read(data_root() / "contracts")


def names() -> list[str]:
    """The contracts there are: `kit/case`, `openai/request`, `wire/chunk`, ..."""
    return packaged().names()


def load(name: str) -> Schema:
    """The schema of a contract, as a copy that the caller may change.

    Raises:
        UnknownContractError: There is none of that name.
    """
    return packaged().load(name)


def validator(name: str) -> "Draft202012Validator":
    """The compiled schema of a contract, made once. See `SchemaSet.validator`."""
    return packaged().validator(name)


def violations(name: str, instance: Any) -> list[Violation]:
    """Every breach of a contract by a JSON value. See `SchemaSet.violations`."""
    return packaged().violations(name, instance)


def validate_bytes(name: str, data: bytes) -> list[Violation]:
    """Every breach by a body or event as received. See `SchemaSet.validate_bytes`."""
    return packaged().validate_bytes(name, data)

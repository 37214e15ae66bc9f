"""The contracts: JSON Schemas for any language, and every violation of them by an instance.

A contract is a JSON Schema (2020-12) in `contracts/`, named by its path. `openai/response` is
strict. `wire/openai/response` is tolerant: the same with the named relaxations of
`contracts/wire/openai/relaxations.json`. Nothing here touches a network.

    >>> from botticelli import contracts
    >>> for violation in contracts.violations("openai/error", {"error": {"message": 5}}):
    ...     print(violation)
    $.error.code: is missing
    $.error.message: must be a string, not the number 5
    $.error.param: is missing
    $.error.type: is missing
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from botticelli.contracts.capture import Capture, read_capture
from botticelli.contracts.errors import (
    ContractDataError,
    ContractError,
    InstanceError,
    MissingExtraError,
    UnknownContractError,
    UnknownFormatError,
)
from botticelli.contracts.json_reader import Reading, read
from botticelli.contracts.jsonvalue import json_path, json_pointer
from botticelli.contracts.relaxations import Relaxation, Relaxations, formats
from botticelli.contracts.schemas import Schema, SchemaSet, data_root
from botticelli.contracts.violations import Violation

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

__all__ = [
    "Capture",
    "ContractDataError",
    "ContractError",
    "InstanceError",
    "MissingExtraError",
    "Reading",
    "Relaxation",
    "Relaxations",
    "Schema",
    "SchemaSet",
    "UnknownContractError",
    "UnknownFormatError",
    "Violation",
    "data_root",
    "formats",
    "json_path",
    "json_pointer",
    "load",
    "names",
    "packaged",
    "read",
    "read_capture",
    "validate_bytes",
    "validate_capture",
    "validator",
    "violations",
]


@functools.cache
def packaged() -> SchemaSet:
    """Return the contracts that came with this package.

    Raises:
        ContractDataError: They are missing or broken.
    """
    return SchemaSet.read(data_root() / "contracts")


def names() -> list[str]:
    """Return the names of all contracts: `kit/case`, `openai/request`, `wire/openai/chunk`, ..."""
    return packaged().names()


def load(name: str) -> Schema:
    """Return a copy of a contract's schema.

    Raises:
        UnknownContractError: There is no contract of that name.
    """
    return packaged().load(name)


def validator(name: str) -> Draft202012Validator:
    """Return the compiled schema of a contract. See :meth:`SchemaSet.validator`."""
    return packaged().validator(name)


def violations(name: str, instance: Any) -> list[Violation]:
    """Return every violation of a contract by a JSON value. See :meth:`SchemaSet.violations`."""
    return packaged().violations(name, instance)


def validate_bytes(name: str, data: bytes) -> list[Violation]:
    """Return every violation by a body or event as received. See :meth:`SchemaSet.validate_bytes`."""
    return packaged().validate_bytes(name, data)


def validate_capture(name: str, capture: Capture) -> list[Violation]:
    """Return every violation by the events of a capture. See :meth:`SchemaSet.validate_capture`."""
    return packaged().validate_capture(name, capture)

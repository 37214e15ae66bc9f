"""The kit's own schemas (contracts/kit): violations in words, and the capabilities that they define."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from botticelli import contracts
from botticelli.contracts.jsonvalue import encodable

if TYPE_CHECKING:
    from pathlib import Path


__all__ = ["capabilities", "data_root", "schema_violations"]


def schema_violations(name: str, instance: object) -> list[str]:
    """Return one line per violation of ``contracts/kit/{name}.schema.json``, with its path.

    Raises:
        ContractError: The contracts cannot be read, or jsonschema-rs is missing.
    """
    found = contracts.violations(f"kit/{name}", encodable(instance))
    return [f"{violation.pointer or '/'}: {violation.message}" for violation in found]


@functools.cache
def capabilities() -> frozenset[str]:
    """Return the words that an adapter may declare: the operations, the formats, and ``capability`` of cases.

    Raises:
        ContractError: The contracts cannot be read.
    """
    call, case = contracts.load("kit/call")["properties"], contracts.load("kit/case")["properties"]
    return frozenset(
        (*call["operation"]["enum"], *call["format"]["enum"], *case["capability"]["items"]["enum"])
    )


def data_root() -> Path:
    """Return the folder that holds ``contracts/`` and ``fixtures/``.

    Raises:
        ContractDataError: It is not there.
    """
    return contracts.data_root()

"""What can go wrong with the contracts themselves, drawn as a tree.

```
ContractError
├── UnknownContractError   there is no contract of that name
├── UnknownFormatError     there is no tolerant contract for that format
├── ContractDataError      the files that came with the package are missing or broken
├── MissingExtraError      the validator is not installed
└── InstanceError          a Python value that isn't JSON
```

An instance that breaks a contract is not an error here: it has a list of violations. These
classes are separate from the driver's tree, because the kit shares no code with the driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ContractDataError",
    "ContractError",
    "InstanceError",
    "MissingExtraError",
    "UnknownContractError",
    "UnknownFormatError",
]


class ContractError(Exception):
    """Anything that prevents a contract from being applied."""


class UnknownContractError(ContractError):
    """There is no contract of that name.

    Attributes:
        name: The name that was asked for.
        known: The names of all contracts.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(name, self.known)

    def __str__(self) -> str:
        return f"there is no contract {self.name!r}; choose one of {', '.join(self.known)}"


class UnknownFormatError(ContractError):
    """There is no tolerant contract, and so no relaxation, for that format.

    Attributes:
        name: The format that was asked for.
        known: The formats that have relaxations.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(name, self.known)

    def __str__(self) -> str:
        return f"there are no relaxations for the format {self.name!r}; choose one of {', '.join(self.known)}"


class ContractDataError(ContractError):
    """The files that should have come with the package are missing or broken."""


class MissingExtraError(ContractError):
    """The package that validates is not installed."""

    def __init__(self) -> None:
        super().__init__()

    def __str__(self) -> str:
        return "the validator is not installed: pip install 'botticelli[kit]'"


class InstanceError(ContractError):
    """A Python value that isn't JSON, such as a tuple or bytes.

    Attributes:
        path: Where it is, as in a violation.
        type_name: Its Python type.
    """

    def __init__(self, path: str, type_name: str) -> None:
        self.path = path
        self.type_name = type_name
        super().__init__(path, type_name)

    def __str__(self) -> str:
        return f"{self.path} is a {self.type_name}, which is not a JSON value"

"""What can go wrong with contracts themselves, drawn as a tree.

```
ContractError
├── UnknownContractError   no contract of that name
├── ContractDataError      the schemas that came with the package are missing or broken
├── MissingExtraError      the validator is not installed
└── InstanceError          a Python value that no JSON text could have given
```

An instance that breaks a contract is not an error here: it is a list of violations.

May enter here: nothing but the standard library. These classes stand apart from the driver's
tree, because the judge shares no code with the accused.
"""

from collections.abc import Sequence


class ContractError(Exception):
    """Anything that keeps a contract from being applied."""


class UnknownContractError(ContractError):
    """No contract has that name.

    Attributes:
        name: The name that was asked for.
        known: The names there are.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(name, self.known)

    def __str__(self) -> str:
        return f"no contract is called {self.name!r}; there are {', '.join(self.known)}"


class ContractDataError(ContractError):
    """The schemas that should have come with the package are missing or broken."""


class MissingExtraError(ContractError):
    """The package that validates is not installed."""

    def __init__(self) -> None:
        super().__init__()

    def __str__(self) -> str:
        return "judging needs the validator: pip install 'botticelli[kit]'"


class InstanceError(ContractError):
    """A Python value that no JSON text could have given, such as a tuple or bytes.

    Attributes:
        path: Where it stands, as in a violation.
        type_name: What it is.
    """

    def __init__(self, path: str, type_name: str) -> None:
        self.path = path
        self.type_name = type_name
        super().__init__(path, type_name)

    def __str__(self) -> str:
        return f"{self.path} is a {self.type_name}, which is not a JSON value"

"""Find the schemas, compile them once, and validate instances.

jsonschema-rs is imported only when something is validated, so listing contracts is cheap and needs
no extra.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.capture import judge
from botticelli.contracts.errors import ContractDataError, MissingExtraError, UnknownContractError
from botticelli.contracts.json_reader import read, repair
from botticelli.contracts.jsonvalue import is_object
from botticelli.contracts.violations import Rules, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema_rs import Draft202012Validator

    from botticelli.contracts.capture import Capture

__all__ = ["SUFFIX", "Schema", "SchemaSet", "data_root", "identify"]

Schema: TypeAlias = dict[str, Any]
"""A schema as parsed JSON."""

SUFFIX = ".schema.json"
"""How the name of a schema's file ends."""

_URN = "urn:botticelli:contract:"


def data_root() -> Path:
    """Return the folder that holds `contracts/` and `fixtures/`.

    Returns:
        `botticelli/_data` in an installed wheel, otherwise the checkout that the package was
        imported from (so an editable install reads the checkout).

    Raises:
        ContractDataError: Neither has them.
    """
    package = Path(__file__).resolve().parent.parent
    for root in (package / "_data", package.parent):
        if (root / "contracts").is_dir():
            return root
    raise ContractDataError(
        f"there are no contracts in {package} or beside it: the installation is incomplete; reinstall it"
    )


def identify(name: str) -> str:
    """Return the `$id` of a contract's schema: `urn:botticelli:contract:openai:chunk` for `openai/chunk`."""
    return _URN + name.replace("/", ":")


class SchemaSet:
    """Schemas that may refer to each other, by the names of their contracts.

    Threads may share it; at worst they compile a schema twice.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        """Take the schemas.

        Args:
            schemas: From the name of a contract, such as `openai/response`, to its schema. Each has
                its own `$id`. They aren't copied and must not change afterwards.
        """
        self._schemas = dict(schemas)
        self._compiled: dict[str, Draft202012Validator] = {}

    @classmethod
    def read(cls, folder: Path) -> SchemaSet:
        """Read every `*.schema.json` in a folder and its subfolders.

        Raises:
            ContractDataError: A file isn't JSON, isn't an object, or has no `$id`.
        """
        return cls({_name(path, folder): _load(path) for path in folder.rglob(f"*{SUFFIX}")})

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """The schemas by name. Don't change them."""
        return self._schemas

    def names(self) -> list[str]:
        """Return the names of all contracts, sorted."""
        return sorted(self._schemas)

    def load(self, name: str) -> Schema:
        """Return a copy of a contract's schema.

        Raises:
            UnknownContractError: There is no contract of that name.
        """
        schema: Schema = json.loads(json.dumps(self._find(name)))
        return schema

    def validator(self, name: str) -> Draft202012Validator:
        """Return the compiled schema of a contract; it is compiled once.

        References are resolved within this set, never over a network.

        Raises:
            UnknownContractError: There is no contract of that name.
            MissingExtraError: jsonschema-rs isn't installed.
            ContractDataError: The schema isn't valid, or refers to something unknown.
        """
        compiled = self._compiled.get(name)
        if compiled is None:
            compiled = self._compiled[name] = self._compile(self._find(name), name)
        return compiled

    def part_validator(self, name: str, pointer: str) -> Draft202012Validator:
        """Return the compiled schema of a part of a contract; it is compiled once.

        Args:
            name: The contract.
            pointer: JSON pointer to the part, such as `/$defs/usage`.

        Raises:
            ContractError: As :meth:`validator` raises it.
        """
        key = f"{name}#{pointer}"
        compiled = self._compiled.get(key)
        if compiled is None:
            reference = {"$ref": f"{self._find(name)['$id']}#{_escape(pointer)}"}
            compiled = self._compiled[key] = self._compile(reference, key)
        return compiled

    def violations(self, name: str, instance: Any) -> list[Violation]:
        """Return every violation of a contract by a JSON value, sorted by place, then keyword.

        Args:
            name: The contract.
            instance: A JSON value made of dict, list, str, int, float, bool and None.

        Returns:
            The violations; empty when the value is valid. NaN, lone surrogates and nesting beyond
            `json_reader.MAX_DEPTH` come first: no schema can forbid them.

        Raises:
            ContractError: As :meth:`validator` raises it, and InstanceError for a value that isn't JSON.
        """
        validator = self.validator(name)
        faults: list[Violation] = []
        repaired = repair(instance, faults)
        return _once(faults, self._rules.violations(validator, repaired))

    def validate_bytes(self, name: str, data: bytes) -> list[Violation]:
        """Return every violation by a body, or the data of one event, as received.

        What is wrong with the bytes themselves comes first.

        Raises:
            ContractError: As :meth:`validator` raises it. No bytes make it raise.
        """
        validator = self.validator(name)
        reading = read(data)
        if not reading.readable:
            return reading.faults
        return _once(reading.faults, self._rules.violations(validator, reading.value))

    def validate_capture(self, name: str, capture: Capture) -> list[Violation]:
        """Return every violation by the events of a capture, and by the order that they are in.

        Args:
            name: The contract of one event, such as `openai/chunk`.
            capture: What `capture.read_capture` gave.

        Returns:
            The violations in the order of the events. Each path begins with the event's number, such as
            `event 3: $.choices[0].delta`, or is `stream`; see :func:`capture.judge`.

        Raises:
            ContractError: As :meth:`validator` raises it. No bytes make it raise.
        """
        self.validator(name)
        return judge(capture, name, self.validate_bytes)

    def name_of(self, identifier: str) -> str:
        """Return the name of the contract whose schema has an `$id`.

        Raises:
            UnknownContractError: There is none.
        """
        for name, schema in self._schemas.items():
            if schema["$id"] == identifier:
                return name
        raise UnknownContractError(identifier, self.names())

    @functools.cached_property
    def _rules(self) -> Rules:
        return Rules(self._schemas)

    @functools.cached_property
    def _registry(self) -> Any:
        engine = _engine()
        return engine.Registry([(schema["$id"], schema) for schema in self._schemas.values()])

    def _find(self, name: str) -> Schema:
        try:
            return self._schemas[name]
        except KeyError:
            raise UnknownContractError(name, self.names()) from None

    def _compile(self, schema: Schema, what: str) -> Draft202012Validator:
        engine = _engine()
        try:
            compiled: Draft202012Validator = engine.Draft202012Validator(
                schema, registry=self._registry, offline=True
            )
        except (engine.ValidationError, engine.ReferencingError, ValueError) as error:
            raise ContractDataError(f"{what} is not a valid schema: {error}") from error
        return compiled


def _once(faults: list[Violation], broken: list[Violation]) -> list[Violation]:
    """Return both, but what is no number only as a fault, not as the null that replaced it, too."""
    replaced = {fault.pointer for fault in faults if fault.keyword == "number-not-finite"}
    return faults + [violation for violation in broken if violation.pointer not in replaced]


def _engine() -> Any:
    try:
        import jsonschema_rs
    except ImportError as error:
        raise MissingExtraError from error
    return jsonschema_rs


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(SUFFIX)


def _load(path: Path) -> Schema:
    try:
        schema = json.loads(path.read_bytes())
    except ValueError as error:
        raise ContractDataError(f"{path} is not JSON: {error}") from error
    if not is_object(schema) or not isinstance(schema.get("$id"), str):
        raise ContractDataError(f"{path} is not a schema with an $id")
    return schema


def _escape(pointer: str) -> str:
    # In a URI's fragment these characters must be percent-encoded, or the reference isn't resolved.
    return pointer.replace("%", "%25").replace("^", "%5E").replace(" ", "%20")

"""Sets of schemas: found, compiled once, and asked what an instance breaks.

May enter here: the standard library, and jsonschema-rs, which is imported only when something
is judged, so that the list of contracts costs nothing and needs no extra.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botticelli.contracts.errors import ContractDataError, MissingExtraError, UnknownContractError
from botticelli.contracts.json_reader import mend, read
from botticelli.contracts.jsonvalue import is_object
from botticelli.contracts.violations import Violation
from botticelli.contracts.wording import Rules

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

Schema = dict[str, Any]
"""A schema as parsed JSON."""

_SUFFIX = ".schema.json"
_URN = "urn:botticelli:contract:"


def data_root() -> Path:
    """Where `contracts/` and `fixtures/` are.

    Returns:
        `_data` beside the imported package's own files, as a wheel has it, or else the
        checkout that the package stands in. An editable install reads the checkout, because
        it is imported from there.

    Raises:
        ContractDataError: Neither place has them.
    """
    package = Path(__file__).resolve().parent.parent
    for root in (package / "_data", package.parent):
        if (root / "contracts").is_dir():
            return root
    raise ContractDataError(f"no contracts beside {package} nor above it: the installation is not complete")


def identify(name: str) -> str:
    """The `$id` that the schema of a contract has."""
    return _URN + name.replace("/", ":")


class SchemaSet:
    """Schemas that may refer to each other, under their contracts' names.

    Thread-safe in the way that `functools.cached_property` and dicts are: at worst a schema is
    compiled twice.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        """Hold schemas.

        Args:
            schemas: From a contract's name, such as `openai/response`, to its schema. Each has
                an `$id` of its own. They are not copied and must not change afterwards.
        """
        self._schemas = dict(schemas)
        self._compiled: dict[str, Draft202012Validator] = {}

    @classmethod
    def read(cls, folder: Path) -> "SchemaSet":
        """Read every `*.schema.json` below a folder.

        Raises:
            ContractDataError: A file is not JSON, is not an object, or has no `$id`.
        """
        return cls({_name(path, folder): _load(path) for path in folder.rglob(f"*{_SUFFIX}")})

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """The schemas by name. Not to be changed."""
        return self._schemas

    def names(self) -> list[str]:
        """The contracts there are, sorted."""
        return sorted(self._schemas)

    def load(self, name: str) -> Schema:
        """The schema of a contract, as a copy that the caller may change.

        Raises:
            UnknownContractError: There is none of that name.
        """
        schema: Schema = json.loads(json.dumps(self._find(name)))
        return schema

    def validator(self, name: str) -> "Draft202012Validator":
        """The compiled schema of a contract, made once.

        References are resolved within this set, never over a network.

        Raises:
            UnknownContractError: There is none of that name.
            MissingExtraError: jsonschema-rs is not installed.
            ContractDataError: The schema is not valid, or refers to something unknown.
        """
        compiled = self._compiled.get(name)
        if compiled is None:
            compiled = self._compiled[name] = self._compile(self._find(name), name)
        return compiled

    def judge(self, name: str, pointer: str) -> "Draft202012Validator":
        """The compiled schema of a part of a contract.

        Args:
            name: The contract.
            pointer: JSON pointer to the part, as in `/$defs/usage`.

        Raises:
            ContractError: As `validator` does.
        """
        key = f"{name}#{pointer}"
        compiled = self._compiled.get(key)
        if compiled is None:
            reference = {"$ref": f"{self._find(name)['$id']}#{_escape(pointer)}"}
            compiled = self._compiled[key] = self._compile(reference, key)
        return compiled

    def violations(self, name: str, instance: Any) -> list[Violation]:
        """Every breach of a contract by a value, sorted by place, then keyword.

        Args:
            name: The contract.
            instance: A JSON value made of dict, list, str, int, float, bool and None.

        Returns:
            The breaches; empty when the value is valid. NaN, lone surrogates and nesting beyond
            `reading.MAX_DEPTH` count as breaches, of no schema.

        Raises:
            ContractError: As `validator` does, and InstanceError for what is no JSON value.
        """
        validator = self.validator(name)
        faults: list[Violation] = []
        mended = mend(instance, faults)
        return faults + self._rules.violations(validator, mended)

    def validate_bytes(self, name: str, data: bytes) -> list[Violation]:
        """Every breach by a body or event as received; faults of the bytes come first.

        Raises:
            ContractError: As `validator` does. Bytes never raise, whatever they are.
        """
        validator = self.validator(name)
        reading = read(data)
        if not reading.readable:
            return reading.faults
        return reading.faults + self._rules.violations(validator, reading.value)

    def name_of(self, identifier: str) -> str:
        """The contract whose schema has an `$id`.

        Raises:
            UnknownContractError: None has.
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

    def _compile(self, schema: Schema, what: str) -> "Draft202012Validator":
        engine = _engine()
        try:
            compiled: Draft202012Validator = engine.Draft202012Validator(
                schema, registry=self._registry, offline=True
            )
        except (engine.ValidationError, engine.ReferencingError, ValueError) as error:
            raise ContractDataError(f"{what} is not a usable schema: {error}") from error
        return compiled


def _engine() -> Any:
    try:
        import jsonschema_rs
    except ImportError as error:
        raise MissingExtraError from error
    return jsonschema_rs


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(_SUFFIX)


def _load(path: Path) -> Schema:
    try:
        schema = json.loads(path.read_bytes())
    except ValueError as error:
        raise ContractDataError(f"{path} is not JSON: {error}") from error
    if not is_object(schema) or not isinstance(schema.get("$id"), str):
        raise ContractDataError(f"{path} is not a schema with an $id")
    return schema


def _escape(pointer: str) -> str:
    return pointer.replace("%", "%25").replace("^", "%5E").replace(" ", "%20")

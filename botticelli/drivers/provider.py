"""What makes one provider differ from another, as one frozen value.

A quirk enters here as a field; nowhere else in the package is a provider's name asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import msgspec

from botticelli.core.errors import ConfigurationError
from botticelli.dialects.dialect import Dialect
from botticelli.protocol.error_rules import ErrorRule

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Provider", "provider_of"]

_NONE: Mapping[str, str] = MappingProxyType({})


class Provider(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A service that drivers talk to.

    Attributes:
        name: One word for errors, logs and `provider_name`.
        base_url: Where the API begins, up to but without ``/chat/completions``.
        key_env: Environment variables that may hold the key, the first one that isn't empty counts.
        base_url_env: The environment variable that overrides `base_url`, or None.
        auth_header: The header that carries the key: ``Authorization``, Azure's ``api-key``.
        auth_scheme: The word before the key in that header; empty for none.
        key_prefix: What its keys begin with. Never enforced; a 401 mentions it.
        key_help: What to do for a key, as the beginning of a sentence, for the error about a missing one.
        headers: Sent with every request; a driver's own headers come after them.
        bill_to_header: The header that names who pays, or None where there is none.
        dialect: The chat format that it speaks, with what differs in its version of it.
        error_rules: Rows that make its errors more precise, tried before the format's.
        hints: What to do about its errors, by ``kind/status`` or ``kind``.

    Raises:
        ConfigurationError: A field isn't of its type, or `name` or `auth_header` is empty. What the headers
            hold is checked when a driver is made.
    """

    name: str
    base_url: str
    dialect: Dialect
    key_env: tuple[str, ...]
    base_url_env: str | None = None
    auth_header: str = "Authorization"
    auth_scheme: str = "Bearer"
    key_prefix: str = ""
    key_help: str = ""
    headers: Mapping[str, str] = _NONE
    bill_to_header: str | None = None
    error_rules: tuple[ErrorRule, ...] = ()
    hints: Mapping[str, str] = _NONE

    def __post_init__(self) -> None:
        for name in ("name", "auth_header"):
            self._hold(name, "a text that isn't empty", lambda value: isinstance(value, str) and bool(value))
        for name in ("base_url", "auth_scheme", "key_prefix", "key_help"):
            self._hold(name, "a str", lambda value: isinstance(value, str))
        for name in ("base_url_env", "bill_to_header"):
            self._hold(name, "a str or None", lambda value: value is None or isinstance(value, str))
        self._hold("key_env", "a tuple of str", lambda value: _is_tuple(value, str))
        self._hold("error_rules", "a tuple of ErrorRule", lambda value: _is_tuple(value, ErrorRule))
        for name in ("headers", "hints"):
            self._hold(name, "a mapping of str to str", _is_mapping)

    def _hold(self, name: str, wanted: str, holds: Callable[[Any], bool]) -> None:
        value = getattr(self, name)
        if not holds(value):
            raise ConfigurationError.wrong(f"provider.{name}", wanted, value)


def _is_tuple(value: Any, kind: type) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(item, kind) for item in cast("tuple[object, ...]", value)
    )


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(part, str) for pair in cast("Mapping[object, object]", value).items() for part in pair
    )


def provider_of(driver: type) -> Provider:
    """The provider that a driver's class names.

    Raises:
        ConfigurationError: It names none.
    """
    found = getattr(driver, "provider", None)
    if isinstance(found, Provider):
        return found
    raise ConfigurationError(
        f"{driver.__name__} has no Provider as its `provider`",
        setting="provider",
        hint="use a driver that has one, such as HuggingFaceDriver, or name it in a subclass",
    )

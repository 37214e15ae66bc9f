"""What makes one provider differ from another, as one frozen value.

A quirk is a field of `Provider`. No code asks for a provider's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from botticelli.core.driver import Capabilities
from botticelli.core.errors import ConfigurationError
from botticelli.dialects.dialect import Dialect
from botticelli.protocol.error_rules import ErrorRule

__all__ = ["Provider", "provider_of"]

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Provider(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A service that drivers talk to.

    Attributes:
        name: One word for errors, logs and `provider_name`.
        base_url: The root of the API, without ``/chat/completions``.
        dialect: The chat format that it speaks, with what differs in its version of it.
        default_model: The model that the command line and the live suite use if none is named.
        key_env: Environment variables that may hold the key. The first one that isn't empty counts.
        key_file: Returns the file in which the provider's own program keeps the key after a login, from the
            environment. It is read last, after ``.env``; None where there is no such program.
        key_required: Whether a driver without a key is an error. If not, it sends no credentials.
        base_url_env: The environment variable that overrides `base_url`, or None.
        base_url_reader: Turns the value of `base_url_env` into a base URL, where it has a grammar of its own.
        auth_header: The header that carries the key: ``Authorization``, Azure's ``api-key``.
        auth_scheme: The word before the key in that header; empty for none.
        key_prefix: How its keys begin. Never enforced; the hint of a 401 mentions it.
        key_help: How to get a key, as the beginning of a sentence, for the error about a missing one.
        headers: Sent with every request. A driver's own headers override them.
        headers_env: Headers whose values come from the environment, by the name of the variable.
        bill_to_header: The header that names who pays, or None where there is none.
        inference_provider_header: The header that names the provider which a router chose, or None.
        own_capabilities: What it can carry, if that differs from its dialect.
        error_rules: Rows that make its errors more precise. They are tried before the format's.
        hints: What to do about its errors, by ``kind/status`` or ``kind``. They are given only by a driver
            whose base URL is the provider's own (see `owns`).
        self_hosted: Whether it is a program that anybody runs anywhere, rather than one service: then every
            base URL is its own.

    Raises:
        ConfigurationError: A field has the wrong type, or `name` or `auth_header` is empty. The headers are
            checked when a driver is made.
    """

    name: str
    base_url: str
    dialect: Dialect
    default_model: str = ""
    key_env: tuple[str, ...] = ()
    key_file: Callable[[Mapping[str, str]], str] | None = None
    key_required: bool = True
    base_url_env: str | None = None
    base_url_reader: Callable[[str], str] | None = None
    auth_header: str = "Authorization"
    auth_scheme: str = "Bearer"
    key_prefix: str = ""
    key_help: str = ""
    headers: Mapping[str, str] = _NONE
    headers_env: Mapping[str, str] = _NONE
    bill_to_header: str | None = None
    inference_provider_header: str | None = None
    own_capabilities: Capabilities | None = None
    error_rules: tuple[ErrorRule, ...] = ()
    hints: Mapping[str, str] = _NONE
    self_hosted: bool = False

    def __post_init__(self) -> None:
        for name, (kinds, wanted) in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds):
                raise ConfigurationError.wrong(f"provider.{name}", wanted, value)
        for name, kind in _ELEMENTS.items():
            held: Any = getattr(self, name)
            elements: list[object] = [*held, *held.values()] if _KINDS[name] is _MAPPING else [*held]
            for element in elements:
                if not isinstance(element, kind):
                    wanted = f"of {kind.__name__} only"
                    raise ConfigurationError.wrong(f"provider.{name}", wanted, element)
        for name in ("name", "auth_header"):
            if not getattr(self, name):
                raise ConfigurationError.wrong(f"provider.{name}", "a text that isn't empty", "")

    @property
    def capabilities(self) -> Capabilities:
        """What it can carry: its own capabilities, or else those of its dialect."""
        return self.own_capabilities or self.dialect.capabilities

    def owns(self, base_url: str) -> bool:
        """Return whether a base URL is the provider's own: at its host and port, or at a host below that."""
        if self.self_hosted:
            return True
        try:
            own, given = urlsplit(self.base_url), urlsplit(base_url)
            if (own.scheme, own.port) != (given.scheme, given.port):
                return False
        except ValueError:  # no URL; a driver says what is wrong with it
            return False
        host, below = own.hostname or "", given.hostname or ""
        return below == host or below.endswith(f".{host}")


_TEXT = (str,), "a str"
_TEXT_OR_NONE = (str, type(None)), "a str or None"
_TUPLE = (tuple,), "a tuple"
_MAPPING = (Mapping,), "a mapping"

_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    **dict.fromkeys(("name", "base_url", "default_model", "auth_header", "auth_scheme"), _TEXT),
    **dict.fromkeys(("key_prefix", "key_help"), _TEXT),
    **dict.fromkeys(("base_url_env", "bill_to_header", "inference_provider_header"), _TEXT_OR_NONE),
    **dict.fromkeys(("key_env", "error_rules"), _TUPLE),
    **dict.fromkeys(("headers", "headers_env", "hints"), _MAPPING),
}
"""What a mistake is most often about, such as ``key_env="KEY"``, which would be read letter by letter."""

_ELEMENTS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("key_env", "headers", "headers_env", "hints"), str),
    "error_rules": ErrorRule,
}
"""What tuples hold, and mappings as their keys and values."""


def provider_of(driver: type) -> Provider:
    """Return the provider that a driver's class names.

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

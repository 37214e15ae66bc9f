"""A user's own headers, held to what HTTP and the driver allow; which of them nobody may see. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from botticelli.core.errors import ConfigurationError
from botticelli.protocol.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.drivers.provider import Provider
    from botticelli.drivers.settings import Secret

__all__ = ["check_bill_to", "check_headers", "is_credential", "secret_words"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
# RFC 9110, 5.5, without obs-text: what it means is anybody's guess
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|", re.ASCII)
_FRAMING = frozenset(
    {"content-length", "content-type", "content-encoding", "transfer-encoding", "connection"}
)

_CREDENTIAL = re.compile(
    # one word of the name: as it ends ("xauthtoken", "dbpassword"), or whole ("author" is none, nor "tokens")
    r"(?:^|[-_.])"
    r"(?:[a-z0-9]*(?:token|secret|password|passwd|passphrase|cookie|credentials?|(?:api|access|private|auth)key)"
    r"|(?:[ox]|basic)?auth|authorization|authentication|bearer|jwt|session(?:id)?|sid|key|signature|sig|pwd)"
    r"(?=$|[-_.])",
    re.IGNORECASE | re.ASCII,
)
_SCHEME = re.compile(r"(?:bearer|basic|digest)\s", re.IGNORECASE)
_LONG_ENOUGH = 8
"""A shorter word is a scheme, or keeps nobody out."""
_SHOWN = 40


def is_credential(name: str, value: str = "") -> bool:
    """Whether a header (or a parameter of a URL) is to be treated like the key: nothing prints it.

    By its name, or because its value looks like a key; one too many costs nothing but its sight.
    """
    return bool(_CREDENTIAL.search(name) or _SCHEME.match(value)) or redact(value) != value


def secret_words(value: str) -> Iterator[str]:
    """What of a credential's value must not be seen: not the scheme, nor the names of cookies."""
    for word in re.split(r"[\s;,]+", value):
        _, _, held = word.partition("=")
        found = held.strip('"') if held.strip("=") else word  # base64 ends in "="
        if len(found) >= _LONG_ENOUGH:
            yield found


def check_headers(
    headers: object, provider: Provider, key: Secret, *, setting: str = "headers"
) -> dict[str, str]:
    """Headers of a user's or a provider's, names in lower case.

    Args:
        headers: Names and values; None for none.
        provider: Says which header carries the key.
        key: The key; if it isn't empty, no header may take its place.
        setting: Where they were given, for the error.

    Raises:
        ConfigurationError: They are no mapping, or one of them isn't a header, would change the request's
            framing, or would silently take the place of the key. The error doesn't repeat a value.
    """
    if headers is None:
        return {}
    if not _is_mapping(headers):
        raise ConfigurationError.wrong(setting, "a mapping of names to texts", headers)
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            shown = f"{redact(name)[:_SHOWN]!r}" if isinstance(name, str) else f"a {type(name).__name__}"
            raise ConfigurationError(f"{shown} in {setting} is not a header's name", setting=setting)
        _refuse_header(name.lower(), provider, key, setting)
        if not _fits(value):
            raise ConfigurationError(
                f"the value of header {name} must be a str of printable ASCII without white space around it",
                setting=setting,
            )
        if name.lower() in checked:
            raise ConfigurationError(f"header {name} is given twice", setting=setting)
        checked[name.lower()] = value
    return checked


def check_bill_to(bill_to: object, provider: Provider) -> dict[str, str]:
    """The header that names who pays; none for None.

    Raises:
        ConfigurationError: It can't be said in a header, or this provider bills nobody else.
    """
    if bill_to is None:
        return {}
    if provider.bill_to_header is None:
        raise ConfigurationError(f"{provider.name} bills nobody else", setting="bill_to")
    wanted, hint = "the name of an account", "None bills the key's own account"
    if not isinstance(bill_to, str):
        raise ConfigurationError.wrong("bill_to", wanted, bill_to, hint=hint)
    if not bill_to or not _fits(bill_to):
        problem = "it is empty, or not printable ASCII without white space around it"
        raise ConfigurationError(f"bill_to must be {wanted}: {problem}", setting="bill_to", hint=hint)
    return {provider.bill_to_header.lower(): bill_to}


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _fits(value: object) -> bool:
    return isinstance(value, str) and _VALUE.fullmatch(value) is not None


def _refuse_header(name: str, provider: Provider, key: Secret, setting: str) -> None:
    if name in _FRAMING:
        raise ConfigurationError(f"header {name} is the driver's own", setting=setting)
    if key and name == provider.auth_header.lower():
        raise ConfigurationError(
            f"header {name} would replace the key",
            setting=setting,
            hint="pass the key as api_key, or use with_api_token(None, ...)",
        )

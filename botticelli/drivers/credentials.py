"""The key and the headers that a user configures: found, checked, and never shown.

Reads the environment and ``.env``. No HTTP is done here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

from botticelli.core.errors import ConfigurationError
from botticelli.protocol.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.drivers.provider import Provider

__all__ = [
    "ANONYMOUS",
    "Secret",
    "check_bill_to",
    "check_headers",
    "find_key",
    "is_credential",
    "read_key",
    "secret_words",
]

_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
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
"""Characters; a shorter part is a scheme such as ``Bearer``, or too short to be a secret."""
_SHOWN = 40
_LONGEST_KEY = 4096
"""Bytes that are read of a file with a key in it."""


class Secret:
    """A key that can't be printed, compared or pickled; only `reveal` gives it away.

    Drivers accept it in place of a str, so that code that passes the key on can't print it by mistake.

    Args:
        value: The key; empty for no key, as local servers need.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key can't be pickled: pass it in an environment variable")


ANONYMOUS = Secret("")
"""No key: no credentials are sent."""


def read_key(text: object, setting: str) -> Secret:
    """Return a user's key without the white space around it; `ANONYMOUS` for None and for an empty text.

    Raises:
        ConfigurationError: It isn't a str, or holds a character that a header can't carry. The error
            doesn't repeat it.
    """
    if text is None:
        return ANONYMOUS
    if not isinstance(text, str):
        raise ConfigurationError.wrong(setting, "a str", text)
    key = text.strip()
    if odd := _UNPRINTABLE.search(key):
        where = f"character {odd.start() + 1} of {len(key)}"
        raise ConfigurationError(
            f"the key in {setting} holds a space, a control character or one outside ASCII ({where})",
            setting=setting,
            hint="copy it again",
        )
    return Secret(key) if key else ANONYMOUS


def find_key(
    provider: Provider, api_key: str | Secret | None, base_url: object = None
) -> tuple[Secret, Mapping[str, str | None]]:
    """Find the key, and the variables that may name the base URL.

    Args:
        provider: Names the variables that may hold the key.
        api_key: The key itself; None or empty to look in the environment, then in ``.env``, and then, if the
            base URL is the provider's own, in the file where the provider's own program keeps it.
        base_url: The base URL that was given; None for none.

    Returns:
        The key (`ANONYMOUS` if there is none and none is required), and the variables that may name the
        base URL. Variables in ``.env`` count only if the key is in ``.env`` too, or if there is none: a file
        in a folder must not send the environment's key to another server.

    Raises:
        ConfigurationError: There is no key, it is malformed, or a file that may hold it can't be read.
    """
    if isinstance(api_key, Secret):
        return read_key(api_key.reveal(), "api_key"), os.environ
    if given := read_key(api_key, "api_key"):
        return given, os.environ
    for name in provider.key_env:
        if found := read_key(os.environ.get(name), name):
            return found, os.environ
    written = _dotenv()
    for name in provider.key_env:
        if found := read_key(written.get(name), name):
            return found, {**written, **{name: value for name, value in os.environ.items() if value}}
    server = base_url or os.environ.get(provider.base_url_env or "") or provider.base_url
    # nobody chose the login's key for this program, so it goes to the provider only
    if isinstance(server, str) and provider.owns(server) and (found := _read_login(provider)):
        return found, os.environ
    if not provider.key_required:
        return ANONYMOUS, {**written, **{name: value for name, value in os.environ.items() if value}}
    name, *others = provider.key_env or ("api_key",)
    also = f" (nor is {', '.join(others)})" if others else ""
    raise ConfigurationError(
        f"{name} is not set{also}",
        setting=name,
        missing=True,
        hint=f"{provider.key_help or 'get a key'} and export it, or put it in .env",
    )


def _read_login(provider: Provider) -> Secret:
    """Return the key of the provider's own program; `ANONYMOUS` without such a program, or a login."""
    if provider.key_file is None:
        return ANONYMOUS
    path = provider.key_file(os.environ)
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(_LONGEST_KEY)
    except (FileNotFoundError, NotADirectoryError, RuntimeError):  # RuntimeError: the user has no home
        return ANONYMOUS
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else type(error).__name__
    else:
        return read_key(data.decode("latin-1"), path)
    raise ConfigurationError(f"the key can't be read from {path}: {problem}", setting=path)


def _dotenv() -> Mapping[str, str | None]:
    """Read the nearest ``.env``, from the working directory upwards."""
    from dotenv import dotenv_values, find_dotenv

    try:
        path = find_dotenv(usecwd=True)
        # with an empty path dotenv would search again, from the folder of the calling file
        # python-dotenv 1.0 takes a byte order mark for a part of the first name
        return dotenv_values(path, interpolate=False, encoding="utf-8-sig") if path else {}
    except (OSError, ValueError) as error:
        # only the type: a UnicodeDecodeError quotes the bytes, and these may be the key
        what = type(error).__name__ if isinstance(error, ValueError) else error.strerror
    raise ConfigurationError(f"the .env file can't be read: {what}", setting=".env")


def is_credential(name: str, value: str = "") -> bool:
    """Return whether a header (or a parameter of a URL) is secret like the key, so that nothing prints it.

    Its name decides, or a value that looks like a key. A false positive only hides a harmless value.
    """
    return bool(_CREDENTIAL.search(name) or _SCHEME.match(value)) or redact(value) != value


def secret_words(value: str) -> Iterator[str]:
    """Yield the secret parts of a credential's value: without the scheme and the names of cookies."""
    for word in re.split(r"[\s;,]+", value):
        _, _, value_part = word.partition("=")
        found = value_part.strip('"') if value_part.strip("=") else word  # base64 ends in "="
        if len(found) >= _LONG_ENOUGH:
            yield found


def check_headers(
    headers: object, provider: Provider, key: Secret, *, setting: str = "headers"
) -> dict[str, str]:
    """Check the headers of a user or a provider, and return them with names in lower case.

    Args:
        headers: Names and values; None for none.
        provider: Says which header carries the key.
        key: The key; unless it is empty, no header may replace it.
        setting: The option they come from, for the error.

    Raises:
        ConfigurationError: They aren't a mapping, or one of them isn't a valid header, would change the
            request's framing, or would silently replace the key. The error doesn't repeat a value.
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
    """Return the header that names the account to bill; no header for None.

    Raises:
        ConfigurationError: The name doesn't fit into a header, or the provider can't bill another account.
    """
    if bill_to is None:
        return {}
    if provider.bill_to_header is None:
        raise ConfigurationError(f"{provider.name} can't bill another account", setting="bill_to")
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

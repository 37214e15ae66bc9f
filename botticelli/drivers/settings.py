"""What a user configures, looked up and checked before any network: key, base URL, headers.

May enter: reading the environment and `.env`. May not: HTTP, TLS, what a request says.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict
from urllib.parse import urlsplit

from botticelli.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from botticelli.core.catalog import Model
    from botticelli.protocol.call import Timeouts

    from .provider import Provider

__all__ = ["ANONYMOUS", "Options", "Secret", "base_url", "check_headers", "find_key", "read_key", "under"]

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
# RFC 9110, 5.5, without obs-text: what it means is anybody's guess
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|", re.ASCII)
_FRAMING = frozenset(
    {"content-length", "content-type", "content-encoding", "transfer-encoding", "connection"}
)


class Options(TypedDict, total=False):
    """The options that every driver takes; see `ChatDriver` for what they mean."""

    base_url: str | None
    timeout: Timeouts | float | None
    max_retries: int
    max_retry_after: float
    backoff: float
    cache: MutableMapping[str, bytes] | None
    audit: bool
    bill_to: str | None
    headers: Mapping[str, str] | None
    catalog: Sequence[Model]


class Secret:
    """A key that nothing prints, compares or pickles; only `reveal` gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: hand it over by the environment")


ANONYMOUS = Secret("")
"""No key: no header is sent."""


def read_key(text: object, setting: str) -> Secret:
    """A key from what a user gave, without the white space around it; empty is `ANONYMOUS`.

    Raises:
        ConfigurationError: It isn't a text, or holds something that a header can't carry. The error
            doesn't repeat it.
    """
    if text is None:
        return ANONYMOUS
    if not isinstance(text, str):
        raise ConfigurationError(f"the key must be a str, not {type(text).__name__}", setting=setting)
    key = text.strip()
    if odd := _UNPRINTABLE.search(key):
        where = f"character {odd.start() + 1} of {len(key)}"
        raise ConfigurationError(
            f"the key in {setting} holds a space, a control character or one outside ASCII ({where})",
            setting=setting,
            hint="copy it again",
        )
    return Secret(key) if key else ANONYMOUS


def find_key(provider: Provider, api_key: str | Secret | None) -> tuple[Secret, Mapping[str, str | None]]:
    """The key, and the variables beside which it was found.

    Args:
        provider: Whose key; it names the variables.
        api_key: The key itself; None or empty to look in the environment and then in ``.env``.

    Returns:
        The key, and the variables that may name the base URL. Those in ``.env`` may only for a key
        that stands there too: no file in a directory may send the environment's key elsewhere.

    Raises:
        ConfigurationError: There is none, it is malformed, or ``.env`` can't be read.
    """
    if isinstance(api_key, Secret):
        return api_key, os.environ
    if given := read_key(api_key, "api_key"):
        return given, os.environ
    for name in provider.key_env:
        if found := read_key(os.environ.get(name), name):
            return found, os.environ
    written = _dotenv()
    for name in provider.key_env:
        if found := read_key(written.get(name), name):
            return found, {**written, **{name: value for name, value in os.environ.items() if value}}
    name, *others = provider.key_env or ("api_key",)
    also = f" (nor is {', '.join(others)})" if others else ""
    raise ConfigurationError(
        f"{name} is not set{also}",
        setting=name,
        missing=True,
        hint=f"{provider.key_help or 'get a key'} and export it, or put it in .env",
    )


def _dotenv() -> Mapping[str, str | None]:
    """The nearest ``.env`` from the working directory upwards."""
    from dotenv import dotenv_values, find_dotenv

    try:
        path = find_dotenv(usecwd=True)
        # an empty path would make dotenv look again, from its caller's file
        return dotenv_values(path, interpolate=False) if path else {}
    except (OSError, ValueError) as error:
        # the text of a UnicodeDecodeError holds the bytes, and the bytes may be the key
        what = type(error).__name__ if isinstance(error, ValueError) else error.strerror
    raise ConfigurationError(f"the .env file can't be read: {what}", setting=".env")


def base_url(given: Any, provider: Provider, variables: Mapping[str, str | None]) -> str:
    """Where the API begins: what was given, else the environment's, else the provider's own.

    Raises:
        ConfigurationError: It isn't an absolute http(s) URL without user, password and fragment.
    """
    setting = "base_url"
    if given is None and provider.base_url_env:
        given = variables.get(provider.base_url_env) or None
        setting = provider.base_url_env if given else setting
    url = provider.base_url if given is None else given
    if not isinstance(url, str):
        raise ConfigurationError(f"the base URL must be a str, not {type(url).__name__}", setting=setting)
    url = url.strip()
    problem = _problem(url)
    if problem:
        raise ConfigurationError(
            f"the base URL {problem}", setting=setting, hint="such as http://127.0.0.1:8000/v1"
        )
    return url


def _problem(url: str) -> str | None:
    """What is wrong with a base URL, or None. It isn't repeated: a password may stand in it."""
    if re.search(r"[\x00-\x20\x7f\\]", url):
        return "holds white space, a control character or a backslash"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "has a host or port that can't be read"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if not host:
        return "names no host"
    if "@" in parts.netloc:
        return "holds a user or password; a key goes into api_key"
    return "has a fragment (#...), which is never sent" if "#" in url else None


def under(base: str, path: str) -> str:
    """The URL of a path under the base; the base's own path and query stay as they are.

    >>> under("http://h/openai/deployments/d/?api-version=1", "/models")
    'http://h/openai/deployments/d/models?api-version=1'
    """
    head, mark, query = base.partition("?")
    return head.rstrip("/") + path + mark + query


def check_headers(headers: Mapping[str, str] | None, provider: Provider, key: Secret) -> dict[str, str]:
    """A user's own headers, names in lower case.

    Raises:
        ConfigurationError: One isn't a header, would change the request's framing, or would silently
            take the place of the key.
    """
    checked: dict[str, str] = {}
    given: Mapping[Any, Any] = headers or {}
    for name, value in given.items():
        if not (isinstance(name, str) and _HEADER_NAME.fullmatch(name)):
            raise ConfigurationError(f"{name!r} is not a header's name", setting="headers")
        _refuse_header(name.lower(), provider, key)
        if not (isinstance(value, str) and _HEADER_VALUE.fullmatch(value)):
            raise ConfigurationError(
                f"the value of header {name} must be printable ASCII without white space around it",
                setting="headers",
            )
        if name.lower() in checked:
            raise ConfigurationError(f"header {name} is given twice", setting="headers")
        checked[name.lower()] = value
    return checked


def _refuse_header(name: str, provider: Provider, key: Secret) -> None:
    if name in _FRAMING:
        raise ConfigurationError(f"header {name} is the driver's own", setting="headers")
    if key and name == provider.auth_header.lower():
        raise ConfigurationError(
            f"header {name} would replace the key",
            setting="headers",
            hint="pass the key as api_key, or use with_api_token(None, ...)",
        )

"""What a user configures, looked up and checked before any network: key, base URL, options.

May enter: reading the environment and `.env`. May not: HTTP, TLS, what a request says. Headers are
`headers`' business, limits and retries `protocol`'s.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, cast
from urllib.parse import urlsplit

import msgspec

from botticelli.core.errors import ConfigurationError
from botticelli.core.models import Model

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from botticelli.core.models import ModelProvider
    from botticelli.drivers.provider import Provider
    from botticelli.protocol.deadlines import Timeouts

__all__ = [
    "ANONYMOUS",
    "Options",
    "Secret",
    "base_url",
    "check_cache",
    "check_catalog",
    "check_model",
    "check_switch",
    "find_key",
    "read_key",
    "under",
]

_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NO_URL = re.compile(rf"[ \\\xa0]|{_CONTROL.pattern}")


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
    """A key that nothing prints, compares or pickles; only `reveal` gives it away.

    What a driver takes in place of a str, so that whoever hands the key on can't print it by mistake.

    Args:
        value: The key; the empty text stands for none, for local servers.
    """

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


def find_key(provider: Provider, api_key: str | Secret | None) -> tuple[Secret, Mapping[str, str | None]]:
    """The key, and the variables beside which it was found.

    Args:
        provider: Whose key; it names the variables.
        api_key: The key itself; None or empty to look in the environment and then in ``.env``.

    Returns:
        The key (`ANONYMOUS` if there is none and none is required), and the variables that may name the
        base URL. Those in ``.env`` may only for a key
        that stands there too: no file in a directory may send the environment's key elsewhere.

    Raises:
        ConfigurationError: There is none, it is malformed, or ``.env`` can't be read.
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
        ConfigurationError: It isn't an absolute http(s) URL without user, password and fragment, or it is
            the URL of one of the API's paths.
    """
    setting = "base_url"
    if given is None and provider.base_url_env:
        given = variables.get(provider.base_url_env) or None
        if given:
            setting = provider.base_url_env
            given = provider.base_url_reader(given) if provider.base_url_reader else given
    url = provider.base_url if given is None else given
    if not isinstance(url, str):
        raise ConfigurationError.wrong(setting, "the base URL, a str", url)
    url = url.strip()
    problem = _problem(url)
    if problem:
        raise ConfigurationError(
            f"the base URL {problem}", setting=setting, hint="such as http://127.0.0.1:8000/v1"
        )
    return url


def _problem(url: str) -> str | None:
    """What is wrong with a base URL, or None. It isn't repeated: a password may stand in it."""
    if _NO_URL.search(url):
        return "holds white space, a control character, half a surrogate pair or a backslash"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "has a host or port that can't be read"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if not host:
        return "names no host"
    if port == 0:
        return "names port 0, where nobody can listen"
    # RFC 1035, 2.3.4; what is in brackets is an address
    if ":" not in host and not all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
        return "has a host with a part between its dots that is empty or longer than 63 characters"
    if "@" in parts.netloc:
        return "holds a user or password; a key goes into api_key"
    if "#" in url:
        return "has a fragment (#...), which is never sent"
    path = parts.path.rstrip("/").lower()
    beyond = next((end for end in ("/chat/completions", "/completions") if path.endswith(end)), None)
    return f"goes too far: cut {beyond} from its path, which the driver adds" if beyond else None


def under(base: str, path: str) -> str:
    """The URL of a path under the base; the base's own path and query stay as they are.

    >>> under("http://h/openai/deployments/d/?api-version=1", "/models")
    'http://h/openai/deployments/d/models?api-version=1'
    """
    head, mark, query = base.partition("?")
    return head.rstrip("/") + path + mark + query


def check_model(model: object) -> str:
    """A model's name, as it is sent.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(model, str):
        raise ConfigurationError.wrong("model", "the name of a model, a str", model)
    if not model.strip():
        raise ConfigurationError("model must be the name of a model, not blank", setting="model")
    if odd := _CONTROL.search(model):
        where = f"character {odd.start() + 1} of {len(model)}"
        raise ConfigurationError(
            f"model holds a control character or half a surrogate pair ({where})",
            setting="model",
            hint="copy it again",
        )
    return model


def check_switch(value: object, setting: str) -> bool:
    """True or False, and nothing that merely counts as one of them.

    Raises:
        ConfigurationError: It is neither.
    """
    if not isinstance(value, bool):
        raise ConfigurationError.wrong(setting, "True or False", value)
    return value


def check_cache(cache: Any) -> MutableMapping[str, bytes] | None:
    """A mapping by its methods, for not every mapping says that it is one.

    Raises:
        ConfigurationError: It lacks one.
    """
    methods = ("get", "pop", "__setitem__")
    is_mapping = not isinstance(cache, type) and all(hasattr(cache, name) for name in methods)
    if cache is None or is_mapping:
        return cast("MutableMapping[str, bytes] | None", cache)
    raise ConfigurationError.wrong("cache", "a mutable mapping of str to bytes", cache)


def _has_finite_prices(offer: ModelProvider) -> bool:
    return all(price is None or isfinite(price) for price in (offer.input_price, offer.output_price))


def check_catalog(catalog: object, setting: str = "catalog") -> tuple[Model, ...]:
    """Models as their types say they are, so that adding up their prices can't fail later.

    Raises:
        ConfigurationError: It isn't a sequence of them; it says which one isn't right, and where.
    """
    wanted = "a sequence of Model, such as driver.models() gives"
    if not isinstance(catalog, Iterable):
        raise ConfigurationError.wrong(setting, wanted, catalog)
    models = tuple(cast("Iterable[object]", catalog))
    for place, model in enumerate(models):
        if not isinstance(model, Model):
            raise ConfigurationError.wrong(f"{setting}[{place}]", "a Model", model, hint=f"give {wanted}")
        try:
            # msgspec checks what it converts, not what is constructed
            msgspec.convert(msgspec.to_builtins(model), Model)
        except (msgspec.ValidationError, TypeError, RecursionError) as error:
            problem = f"{setting}[{place}] isn't a Model as it should be: {error}"
        else:
            offer = next((offer for offer in model.providers if not _has_finite_prices(offer)), None)
            if offer is None:
                continue
            problem = f"{setting}[{place}] has a price of {offer.provider} that is no finite number"
        raise ConfigurationError(problem, setting=f"{setting}[{place}]")
    return cast("tuple[Model, ...]", models)

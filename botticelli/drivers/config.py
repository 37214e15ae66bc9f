"""The configuration of one driver: checked before any network, and shared by both rims.

Reads the environment and ``.env`` through `credentials`. No HTTP is done here.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable
from ipaddress import ip_address
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec

from botticelli.core.errors import ConfigurationError
from botticelli.core.message import MediaSource
from botticelli.core.models import Model
from botticelli.core.request import GenerateRequest
from botticelli.drivers.cache import cache_key
from botticelli.drivers.credentials import (
    ANONYMOUS,
    Secret,
    check_bill_to,
    check_headers,
    find_key,
    is_credential,
    read_key,
    secret_words,
)
from botticelli.drivers.usage import UsageTracker
from botticelli.protocol.content_encoding import ACCEPTED
from botticelli.protocol.deadlines import Timeouts
from botticelli.protocol.limits import DEFAULT_LIMITS, Limits
from botticelli.protocol.redaction import redact
from botticelli.protocol.retry import RetryPolicy, check_number
from botticelli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    import httpx

    from botticelli.core.models import ModelProvider
    from botticelli.drivers.provider import Provider
    from botticelli.protocol.http import HttpRequest

__all__ = [
    "MAX_MEDIA_BYTES",
    "DriverConfig",
    "Options",
    "check_catalog",
    "check_model",
    "find_base_url",
    "names_files",
    "read_media",
    "under",
]

_NO_HINTS: Final[Mapping[str, str]] = MappingProxyType({})
_PYTHON: Final = ".".join(map(str, sys.version_info[:3]))
MAX_MEDIA_BYTES: Final = 128 << 20
"""Bytes of a file that a message names; a larger one is a `RequestError`. As base64 it grows by a third."""

_WHOLE: Final = {"accept-encoding": ACCEPTED}
_STREAM: Final = {"accept-encoding": "identity"}  # so that nothing holds events back to compress them

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
    limits: Limits | None
    bill_to: str | None
    headers: Mapping[str, str] | None
    catalog: Sequence[Model]


class DriverConfig:
    """The checked configuration of one driver, and its usage totals.

    Attributes:
        provider: The provider.
        dialect: The chat format that it speaks.
        model: The model for requests that name none.
        base_url: Where the API begins.
        credentials: Names and values of the headers that nothing may print; the key's comes last.
        timeouts: The time limits of a call.
        policy: When to retry.
        cache: Stores answers; None for no cache.
        audit: Whether streams are checked against the strict contract.
        limits: How much an answer may hold.
        usage: Totals, prices, the newest rate limits.
        foreign_host: The server's host and port if the base URL isn't the provider's own, else None.
        hints: What to do about the server's errors, tried before those of its format.
    """

    def __init__(
        self,
        provider: Provider,
        model: str,
        api_key: str | Secret | None = None,
        *,
        http_client: object = None,
        base_url: str | None = None,
        timeout: Timeouts | float | None = None,
        max_retries: int = 2,
        max_retry_after: float = 60.0,
        backoff: float = 0.5,
        cache: MutableMapping[str, bytes] | None = None,
        audit: bool = False,
        limits: Limits | None = None,
        bill_to: str | None = None,
        headers: Mapping[str, str] | None = None,
        catalog: Sequence[Model] = (),
    ) -> None:
        """Find the key and check every option; see `ChatDriver` for what they mean.

        Raises:
            ConfigurationError: One of them is missing or malformed.
        """
        self.provider = provider
        self.dialect = provider.dialect
        self.model = check_model(model)
        key, variables = find_key(provider, api_key, base_url)
        self.base_url = find_base_url(base_url, provider, variables)
        # who sets the base URL in the environment sets it for the key that is there
        given = api_key if isinstance(api_key, Secret) else read_key(api_key, "api_key")
        if key and not given and base_url is not None:
            check_exposure(self.base_url, provider)
        self.timeouts = Timeouts.of(timeout)
        self.policy = _policy(max_retries, backoff, max_retry_after)
        self.cache = check_cache(cache)
        self.audit = check_switch(audit, "audit")
        self.limits = check_limits(limits)
        self.usage = UsageTracker(check_catalog(catalog))
        self._key = key
        self._base = _url(self.base_url, "")
        self._urls: dict[str, httpx.URL] = {}
        self._client: Any = http_client
        extra = check_headers(provider.headers, provider, ANONYMOUS, setting="provider.headers")
        from_env = {
            header: value
            for variable, header in provider.headers_env.items()
            if (value := (variables.get(variable) or "").strip())
        }
        extra |= check_headers(from_env, provider, key, setting=", ".join(provider.headers_env))
        extra |= check_headers(headers, provider, key)
        self._secret_headers = tuple(
            (name, Secret(value)) for name, value in extra.items() if is_credential(name, value)
        )
        self._plain_headers = {name: value for name, value in extra.items() if not is_credential(name, value)}
        self.credentials = (*self._secret_headers, *self._key_header())
        agent = f"botticelli/{__version__} (python {_PYTHON})"
        common = {"user-agent": agent, **check_bill_to(bill_to, provider), **self._plain_headers}
        self._common = common
        self.foreign_host = None if provider.owns(self.base_url) else urlsplit(self.base_url).netloc
        self.hints = self._hints()

    def _key_header(self) -> tuple[tuple[str, Secret], ...]:
        if not self._key:
            return ()
        value = f"{self.provider.auth_scheme} {self._key.reveal()}".lstrip()
        return ((self.provider.auth_header.lower(), Secret(value)),)

    def find_secrets(self) -> tuple[str, ...]:
        """Return the texts that nothing may print: the key, and the secret parts of a user's own headers."""
        own = [value.reveal() for _, value in self.credentials]
        own += [value for name, value in parse_qsl(self._base.query.decode()) if is_credential(name)]
        return (self._key.reveal(), *sorted({word for value in own for word in secret_words(value)}))

    def redact(self, text: str) -> str:
        """Return a text with every secret replaced."""
        return redact(text, self.find_secrets())

    def _hints(self) -> Mapping[str, str]:
        """Return the hints for this server's errors; a 401 mentions a missing or odd key.

        The provider's hints are true of its own server only.
        """
        is_own = self.foreign_host is None
        prefix, hints = (self.provider.key_prefix, self.provider.hints) if is_own else ("", _NO_HINTS)
        if not self._key:
            problem = "no key was sent"
        elif not self._key.reveal().startswith(prefix):
            problem = f"the key that was sent doesn't begin with {prefix}"
        else:
            return hints
        return {**hints, "authentication": "; ".join(filter(None, (problem, hints.get("authentication"))))}

    def encode(self, request: GenerateRequest, *, stream: bool) -> HttpRequest:
        """Encode a request in the provider's format, with the driver's headers.

        Raises:
            RequestError: The format can't carry the request.
        """
        return self._with_headers(self._encoded(request, stream=stream), _STREAM if stream else _WHOLE)

    def encode_listing(self, cursor: str | None) -> HttpRequest:
        """Return the request for a page of the model list, with the driver's headers."""
        return self._with_headers(self.dialect.models(cursor), _WHOLE)

    def url(self, request: HttpRequest) -> httpx.URL:
        """Return the URL of a request: its path below the base URL's, its parameters after the base URL's."""
        url = self._urls.get(request.path)
        if url is None:
            url = _url(self.base_url, request.path)
            # most formats have two or three paths; where the path names the model there is no bound
            if len(self._urls) < 64:
                self._urls[request.path] = url
        return url.copy_merge_params(request.query) if request.query else url

    def _with_headers(self, request: HttpRequest, coding: Mapping[str, str]) -> HttpRequest:
        """Return a request with the driver's headers, which come after the format's."""
        headers = {**coding, **request.headers, **self._common}
        return msgspec.structs.replace(request, headers=headers)

    def cache_key(self, request: GenerateRequest) -> str | None:
        """Return a request's key in the cache: the same for a whole answer and a stream.

        None without a cache, or if a user's client fails to build the request.
        """
        if self.cache is None:
            return None
        import httpx

        encoded = self._encoded(request, stream=False)
        url: httpx.URL = self.url(encoded)
        client = self._client
        headers = httpx.Headers(
            self._plain_headers | {name: value.reveal() for name, value in self._secret_headers}
        )
        if client is not None:
            try:
                built = client.build_request(
                    encoded.method,
                    str(url),
                    params=url.params.multi_items() or None,
                    headers=headers.multi_items(),
                )
            except Exception:  # noqa: BLE001 -- sending raises the same error, and reports it
                return None
            return cache_key(str(built.url), built.headers.multi_items(), encoded.body or b"")
        return cache_key(str(url), headers.multi_items(), encoded.body or b"")

    def _encoded(self, request: GenerateRequest, *, stream: bool) -> HttpRequest:
        return self.dialect.chat(request, model=self.model, stream=stream, read_media=read_media)

    def summary(self) -> str:
        """Return what the driver's repr shows; without the URL's query, which may be secret."""
        base_url = self.base_url.partition("?")[0]
        return f"{self.model!r}, provider={self.provider.name!r}, base_url={base_url!r}"


def read_media(path: str) -> bytes:
    """Return the bytes of a file that a message names.

    Raises:
        OSError: It can't be read, isn't a regular file (of a pipe or a device nobody knows the end), or has
            more than `MAX_MEDIA_BYTES`.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 -- a path may hold what a Path can't
        raise OSError("it isn't a regular file")
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read(MAX_MEDIA_BYTES + 1)
    except MemoryError:
        content = None
    if content is None:
        raise OSError("it doesn't fit into the memory")
    if len(content) > MAX_MEDIA_BYTES:
        raise OSError(f"it has more than {MAX_MEDIA_BYTES} bytes (MAX_MEDIA_BYTES); give a URL of it instead")
    return content


def names_files(request: object) -> bool:
    """Return whether encoding a request will read files; False for what isn't a request at all."""
    messages = request.messages if isinstance(request, GenerateRequest) else ()
    try:
        parts = [part for message in messages for part in message.content]
    except (TypeError, AttributeError):
        return False  # what is wrong with it, the encoding says
    sources = (getattr(part, "source", None) for part in parts)
    return any(isinstance(source, MediaSource) and source.kind == "path" for source in sources)


def _url(base: str, path: str) -> httpx.URL:
    import httpx

    try:
        url = httpx.URL(under(base, path))
        _ = url.host  # httpx decodes Punycode only when the host is read
    except (httpx.InvalidURL, ValueError) as error:
        problem = f"the base URL can't be used: {error}"
    else:
        return url
    raise ConfigurationError(problem, setting="base_url")


def _policy(max_retries: int, backoff: float, max_retry_after: float) -> RetryPolicy:
    check_number("backoff", backoff)  # checked here, because the policy calls it `initial`
    return RetryPolicy(max_retries=max_retries, initial=backoff, max_retry_after=max_retry_after)


def find_base_url(given: Any, provider: Provider, variables: Mapping[str, str | None]) -> str:
    """Return the API's base URL: the one given, else the environment's, else the provider's own.

    Raises:
        ConfigurationError: It isn't an absolute http(s) URL, has a user, password or fragment, or already
            ends in one of the API's paths.
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


def check_exposure(base_url: str, provider: Provider) -> None:
    """Refuse to send a key of the environment in plain text to a server that it isn't for.

    Raises:
        ConfigurationError: The URL is plain http, and neither the provider's own nor this machine's.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    own = urlsplit(provider.base_url)
    if (
        parts.scheme == "https"
        or (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
        or _is_loopback(host)
    ):
        return
    raise ConfigurationError(
        f"the key from the environment isn't sent to {host}, which is another server, over plain http",
        setting="api_key",
        missing=True,
        hint="use https://, give the key as api_key, or with_api_token(None, ...) to send none",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _problem(url: str) -> str | None:
    """Return what is wrong with a base URL, or None. The URL isn't quoted: it may hold a password."""
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
    # RFC 1035, 2.3.4 limits each label; a host with a colon is an IPv6 address
    if ":" not in host and not all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
        return "has a host with a part between its dots that is empty or longer than 63 characters"
    if "@" in parts.netloc:
        return "holds a user or password; a key goes into api_key"
    if "#" in url:
        return "has a fragment (#...), which is never sent"
    path = parts.path.rstrip("/").lower()
    ending = next((end for end in ("/chat/completions", "/completions") if path.endswith(end)), None)
    return f"goes too far: cut {ending} from its path, which the driver adds" if ending else None


def under(base: str, path: str) -> str:
    """Return the URL of a path under the base; the base's own path and query stay as they are.

    >>> under("http://h/openai/deployments/d/?api-version=1", "/models")
    'http://h/openai/deployments/d/models?api-version=1'
    """
    head, mark, query = base.partition("?")
    return head.rstrip("/") + path + mark + query


def check_model(model: object) -> str:
    """Return a model's name, as it is sent.

    Raises:
        ConfigurationError: It isn't a str, is blank, or holds a control character.
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
    """Return a bool as given; refuse other values that merely count as true or false.

    Raises:
        ConfigurationError: It isn't a bool.
    """
    if not isinstance(value, bool):
        raise ConfigurationError.wrong(setting, "True or False", value)
    return value


def check_limits(limits: object) -> Limits:
    """Return a user's limits on answers, or the default ones.

    Raises:
        ConfigurationError: They aren't `Limits`.
    """
    if limits is None:
        return DEFAULT_LIMITS
    if not isinstance(limits, Limits):
        raise ConfigurationError.wrong("limits", "a Limits", limits, hint="such as Limits(max_choices=200)")
    return limits


def check_cache(cache: Any) -> MutableMapping[str, bytes] | None:
    """Return a cache that has a mapping's methods; not every mapping is registered as one.

    Raises:
        ConfigurationError: It lacks one of the methods.
    """
    methods = ("get", "pop", "__setitem__")
    is_mapping = not isinstance(cache, type) and all(hasattr(cache, name) for name in methods)
    if cache is None or is_mapping:
        return cast("MutableMapping[str, bytes] | None", cache)
    raise ConfigurationError.wrong("cache", "a mutable mapping of str to bytes", cache)


def _has_finite_prices(offer: ModelProvider) -> bool:
    return all(price is None or isfinite(price) for price in (offer.input_price, offer.output_price))


def check_catalog(catalog: object, setting: str = "catalog") -> tuple[Model, ...]:
    """Return models whose fields have the declared types, so that adding up their prices can't fail.

    Raises:
        ConfigurationError: It isn't a sequence of models; the error names the one that is wrong, and where.
    """
    wanted = "a sequence of Model, such as driver.models() gives"
    if not isinstance(catalog, Iterable):
        raise ConfigurationError.wrong(setting, wanted, catalog)
    models = tuple(cast("Iterable[object]", catalog))
    for number, model in enumerate(models):
        if not isinstance(model, Model):
            raise ConfigurationError.wrong(f"{setting}[{number}]", "a Model", model, hint=f"give {wanted}")
        try:
            # msgspec checks types when it converts, not when a struct is constructed
            msgspec.convert(msgspec.to_builtins(model), Model)
        except (msgspec.ValidationError, TypeError, RecursionError) as error:
            problem = f"{setting}[{number}] isn't a Model as it should be: {error}"
        else:
            offer = next((offer for offer in model.providers if not _has_finite_prices(offer)), None)
            if offer is None:
                continue
            problem = f"{setting}[{number}] has a price of {offer.provider} that isn't a finite number"
        raise ConfigurationError(problem, setting=f"{setting}[{number}]")
    return cast("tuple[Model, ...]", models)

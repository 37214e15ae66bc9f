"""What both rims share of a driver: where it sends, what it sends, what it knows. No HTTP is done here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from botticelli.core.errors import ConfigurationError
from botticelli.drivers import settings
from botticelli.drivers.cache import cache_key
from botticelli.drivers.headers import check_bill_to, check_headers, is_credential, secret_words
from botticelli.drivers.settings import ANONYMOUS, Secret, find_key, under
from botticelli.drivers.usage import UsageTracker
from botticelli.protocol.content_encoding import ACCEPTED
from botticelli.protocol.deadlines import Timeouts
from botticelli.protocol.redaction import redact
from botticelli.protocol.retry import RetryPolicy, check_number
from botticelli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    import httpx

    from botticelli.core.models import Model
    from botticelli.core.request import GenerateRequest
    from botticelli.drivers.provider import Provider
    from botticelli.protocol.http import HttpRequest

__all__ = ["DriverConfig", "read_media"]

_NO_HINTS: Final[Mapping[str, str]] = MappingProxyType({})
_PYTHON: Final = ".".join(map(str, sys.version_info[:3]))
_WHOLE: Final = {"accept-encoding": ACCEPTED}
_STREAM: Final = {"accept-encoding": "identity"}  # so that nothing holds events back to compress them


class DriverConfig:
    """The configuration of one driver, checked, and the ledger that goes with it.

    Attributes:
        provider: The provider.
        dialect: The chat format that it speaks.
        model: What a request without a model of its own goes to.
        base_url: Where the API begins.
        credentials: Headers that nothing may print, and their values; the key's is the last of them.
        timeouts: The limits of a call.
        policy: When to try again.
        cache: Where answers are kept, or None.
        audit: Whether streams are held to the strict contract.
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
        bill_to: str | None = None,
        headers: Mapping[str, str] | None = None,
        catalog: Sequence[Model] = (),
    ) -> None:
        """Look up and check everything; see `ChatDriver` for the options.

        Raises:
            ConfigurationError: One of them is missing or malformed.
        """
        self.provider = provider
        self.dialect = provider.dialect
        self.model = settings.check_model(model)
        key, variables = find_key(provider, api_key)
        self.base_url = settings.base_url(base_url, provider, variables)
        self.timeouts = Timeouts.of(timeout)
        self.policy = _policy(max_retries, backoff, max_retry_after)
        self.cache = settings.check_cache(cache)
        self.audit = settings.check_switch(audit, "audit")
        self.usage = UsageTracker(settings.check_catalog(catalog))
        self._key = key
        self._base = _url(self.base_url, "")
        self._urls: dict[str, httpx.URL] = {}
        self._client: Any = http_client
        asked = check_headers(provider.headers, provider, ANONYMOUS, setting="provider.headers")
        from_env = {
            header: value
            for variable, header in provider.headers_env.items()
            if (value := (variables.get(variable) or "").strip())
        }
        asked |= check_headers(from_env, provider, key, setting=", ".join(provider.headers_env))
        asked |= check_headers(headers, provider, key)
        self._unseen = tuple(
            (name, Secret(value)) for name, value in asked.items() if is_credential(name, value)
        )
        self._seen = {name: value for name, value in asked.items() if not is_credential(name, value)}
        self.credentials = (*self._unseen, *self._key_header())
        agent = f"botticelli/{__version__} (python {_PYTHON})"
        common = {"user-agent": agent, **check_bill_to(bill_to, provider), **self._seen}
        self._common = common
        self.foreign_host = None if provider.owns(self.base_url) else urlsplit(self.base_url).netloc
        self.hints = self._hints()

    def _key_header(self) -> tuple[tuple[str, Secret], ...]:
        if not self._key:
            return ()
        value = f"{self.provider.auth_scheme} {self._key.reveal()}".lstrip()
        return ((self.provider.auth_header.lower(), Secret(value)),)

    def find_secrets(self) -> tuple[str, ...]:
        """Return what nothing may print: the key, and the parts of a user's own credentials."""
        own = [value.reveal() for _, value in self.credentials]
        own += [value for name, value in parse_qsl(self._base.query.decode()) if is_credential(name)]
        return (self._key.reveal(), *sorted({word for value in own for word in secret_words(value)}))

    def redact(self, text: str) -> str:
        """A text without anything secret."""
        return redact(text, self.find_secrets())

    def _hints(self) -> Mapping[str, str]:
        """Return what to do about this server's errors, with what is known of this key.

        Of a server that isn't the provider's own nothing is known but what holds for all.
        """
        known = self.foreign_host is None
        prefix, hints = (self.provider.key_prefix, self.provider.hints) if known else ("", _NO_HINTS)
        if not self._key:
            odd = "no key was sent"
        elif not self._key.reveal().startswith(prefix):
            odd = f"the key that was sent doesn't begin with {prefix}"
        else:
            return hints
        return {**hints, "authentication": "; ".join(filter(None, (odd, hints.get("authentication"))))}

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
            # a format has two or three paths; where the model is one of its parts they could be any number
            if len(self._urls) < 64:
                self._urls[request.path] = url
        return url.copy_merge_params(request.query) if request.query else url

    def _with_headers(self, request: HttpRequest, coding: Mapping[str, str]) -> HttpRequest:
        """Return a request with the driver's headers, which come after the format's."""
        headers = {**coding, **request.headers, **self._common}
        return msgspec.structs.replace(request, headers=headers)

    def cache_key(self, question: GenerateRequest) -> str | None:
        """Return the cache's key of a question: the same for a whole answer and a streamed one.

        None without a cache, or if a user's client can't say what it would send.
        """
        if self.cache is None:
            return None
        import httpx

        request = self._encoded(question, stream=False)
        url: httpx.URL = self.url(request)
        client = self._client
        headers = httpx.Headers(self._seen | {name: value.reveal() for name, value in self._unseen})
        if client is not None:
            try:
                built = client.build_request(
                    request.method,
                    str(url),
                    params=url.params.multi_items() or None,
                    headers=headers.multi_items(),
                )
            except Exception:  # noqa: BLE001 -- sending will raise the same, and say so
                return None
            return cache_key(str(built.url), built.headers.multi_items(), request.body or b"")
        return cache_key(str(url), headers.multi_items(), request.body or b"")

    def _encoded(self, request: GenerateRequest, *, stream: bool) -> HttpRequest:
        return self.dialect.chat(request, model=self.model, stream=stream, read_media=read_media)

    def summary(self) -> str:
        """What the driver's repr shows; a query may be somebody's secret."""
        base_url = self.base_url.partition("?")[0]
        return f"{self.model!r}, provider={self.provider.name!r}, base_url={base_url!r}"


def read_media(path: str) -> bytes:
    """Return the bytes of a file that a message names."""
    return Path(path).read_bytes()


def _url(base: str, path: str) -> httpx.URL:
    import httpx

    try:
        url = httpx.URL(under(base, path))
        _ = url.host  # a name in Punycode is decoded only now
    except (httpx.InvalidURL, ValueError) as error:
        problem = f"the base URL can't be used: {error}"
    else:
        return url
    raise ConfigurationError(problem, setting="base_url")


def _policy(max_retries: int, backoff: float, max_retry_after: float) -> RetryPolicy:
    check_number("backoff", backoff)  # the policy has another word for it
    return RetryPolicy(max_retries=max_retries, initial=backoff, max_retry_after=max_retry_after)

"""What our own client sends by: httpcore's pools, over connections that an attempt's monitor watches.

httpx makes such pools too, but doesn't let their ``network_backend`` be given. httpx2 and httpcore2 have
the same names. httpcore's exceptions go through as they are; `error_of` knows them.
"""

from __future__ import annotations

import functools
import ipaddress
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from botticelli.drivers.connection import AsyncWatchedBackend, WatchedBackend

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

__all__ = ["transports"]

_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}


def transports(library: Any, kind: str, context: ssl.SSLContext, limits: Any) -> dict[str, Any]:
    """Make the arguments ``transport`` and ``mounts`` of a client, by the environment's proxies.

    Args:
        library: httpx or httpx2.
        kind: ``Client`` or ``AsyncClient``.
        context: TLS to the server.
        limits: The library's, for each pool.

    Raises:
        ImportError: A SOCKS proxy is set, and its package isn't installed.
        ValueError: A proxy's URL isn't one.
    """
    core = import_module(_CORES[library.__name__])
    is_async = kind == "AsyncClient"
    prefix = "Async" if is_async else ""
    options = {
        "ssl_context": context,
        "max_connections": limits.max_connections,
        "max_keepalive_connections": limits.max_keepalive_connections,
        "keepalive_expiry": limits.keepalive_expiry,
        "network_backend": AsyncWatchedBackend(core.AnyIOBackend())
        if is_async
        else WatchedBackend(core.SyncBackend()),
    }

    def make(url: str | None) -> Any:
        if url is None:
            pool = getattr(core, f"{prefix}ConnectionPool")(**options)
        else:
            pool = _proxy_pool(library, core, prefix, url, options)
        return _joined(_AsyncTransport if is_async else _Transport, library)(library, core, pool)

    return {
        "transport": make(None),
        "mounts": {pattern: url and make(url) for pattern, url in _proxies().items()},
    }


def _proxy_pool(library: Any, core: Any, prefix: str, url: str, options: dict[str, Any]) -> Any:
    proxy = library.Proxy(url)
    more = {"proxy_url": _url(core, proxy.url), "proxy_auth": proxy.raw_auth, **options}
    if proxy.url.scheme.startswith("socks"):
        import_module("socksio")
        return getattr(core, f"{prefix}SOCKSProxy")(**more)
    return getattr(core, f"{prefix}HTTPProxy")(
        proxy_headers=proxy.headers.raw, proxy_ssl_context=proxy.ssl_context, **more
    )


def _proxies() -> dict[str, str | None]:
    """The proxies of the environment, or of the system, by httpx's URL patterns; None where there is none."""
    found = getproxies()
    proxies: dict[str, str | None] = {
        f"{scheme}://": url if "://" in url else f"http://{url}"
        for scheme in ("http", "https", "all")
        if (url := found.get(scheme))
    }
    for host in filter(None, map(str.strip, found.get("no", "").split(","))):
        if host == "*":
            return {}
        proxies[_pattern(host)] = None
    return proxies


def _pattern(host: str) -> str:
    """An entry of NO_PROXY as httpx's URL pattern: a domain stands for its subdomains too."""
    if "://" in host:
        return host
    try:
        version = ipaddress.ip_address(host.partition("/")[0]).version
    except ValueError:
        return f"all://{host}" if host.lower() == "localhost" else f"all://*{host}"
    return f"all://{host}" if version == 4 else f"all://[{host}]"


@functools.cache
def _joined(kind: Any, library: Any) -> type[Any]:
    """Join a class with its base of the library, which takes no others."""
    return type(kind.__name__, (kind, getattr(library, kind.base)), {})


def _url(core: Any, url: Any) -> Any:
    return core.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


class _Sender:
    """What both transports share: requests and responses, from the library to its core and back."""

    def __init__(self, library: Any, core: Any, pool: Any) -> None:
        self._library = library
        self._core = core
        self._pool = pool

    def _request(self, request: Any) -> Any:
        return self._core.Request(
            method=request.method,
            url=_url(self._core, request.url),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )

    def _response(self, response: Any, kind: Any) -> Any:
        return self._library.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_joined(kind, self._library)(response.stream),
            extensions=response.extensions,
        )


class _Transport(_Sender):
    base = "BaseTransport"

    def handle_request(self, request: Any) -> Any:
        return self._response(self._pool.handle_request(self._request(request)), _Body)

    def close(self) -> None:
        self._pool.close()


class _AsyncTransport(_Sender):
    base = "AsyncBaseTransport"

    async def handle_async_request(self, request: Any) -> Any:
        return self._response(await self._pool.handle_async_request(self._request(request)), _AsyncBody)

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body:
    base = "SyncByteStream"

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        self._stream.close()


class _AsyncBody:
    base = "AsyncByteStream"

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        await self._stream.aclose()

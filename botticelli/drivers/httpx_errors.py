"""Wrap the HTTP library for `http_sync` and `http_async`: clients, TLS, the key's header, exceptions.

The library is httpx, or httpx2 if the user gives a client of that; their names and behaviour are the same, so
the functions here take either module. None of their exceptions leaves the drivers, not even as a cause or
context: it refers to the request, which contains the key. So they are caught, and the error that `error_of`
returns for them is raised outside ``except``.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
import threading
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.request import getproxies

from botticelli.core.errors import (
    BotticelliError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    MalformedResponseError,
)
from botticelli.drivers.call import PROXY_LOGIN
from botticelli.drivers.forking import at_fork
from botticelli.drivers.proxies import find_proxy
from botticelli.drivers.request_log import hide_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from botticelli.drivers.connection import ConnectionMonitor
    from botticelli.drivers.credentials import Secret
    from botticelli.protocol.deadlines import Deadlines

__all__ = ["UNREAD", "KeyAuth", "client_and_library", "content", "error_of", "hooked", "url_for"]

DEFAULT_LIBRARY: Final = "httpx"
"""The library of our own clients; ``httpx2`` works as well."""

_LIBRARIES: Final = ("httpx", "httpx2")

_TLS_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CONVERTED = sys.stdlib_module_names | {
    *("anyio", "brotli", "brotlicffi", "certifi", "h11", "h2", "hpack", "httpcore", "httpcore2", "httpx"),
    *("httpx2", "hyperframe", "idna", "outcome", "sniffio", "socksio", "trio", "truststore", "zstandard"),
}
"""Packages whose exceptions are converted into ours, as users of a driver needn't know them."""

UNREAD = "a hook that reads the answer before it raises keeps the server's words"
"""A hint for an error response that a user's hook raised as an exception before its body was read."""

_contexts: dict[tuple[str | None, ...], ssl.SSLContext] = {}
_contexts_lock = threading.Lock()


class _ContextsLock:
    """Renews the lock in a forked child, where nobody would release it."""

    def forked(self) -> None:
        global _contexts_lock  # noqa: PLW0603 -- the function below takes it anew each time
        _contexts_lock = threading.Lock()


_renewed: Final = _ContextsLock()  # held here, because `at_fork` holds it weakly
at_fork(_renewed)


def client_and_library(given: Any, kind: str, base_url: str) -> tuple[Any, Any]:
    """Return the user's client, or one of our own, and the module of its library.

    Args:
        given: The user's client; None for one of our own.
        kind: ``Client`` or ``AsyncClient``.
        base_url: The server's URL. For http, TLS isn't set up, which would take time.

    Raises:
        ConfigurationError: It isn't such a client, or the environment's proxy or TLS settings are invalid.
    """
    if given is None:
        library = import_module(DEFAULT_LIBRARY)
        hide_queries(DEFAULT_LIBRARY)
        return _make_client(library, kind, base_url), library
    # the library of a user's client has been imported already, so no other one needs importing
    for library in filter(None, map(sys.modules.get, _LIBRARIES)):
        if isinstance(given, getattr(library, kind)):
            hide_queries(library.__name__)
            return given, library
    expected = f"an httpx.{kind} or httpx2.{kind}"
    raise ConfigurationError(
        f"http_client must be {expected}, not {type(given).__name__}", setting="http_client"
    )


def _make_client(library: Any, kind: str, base_url: str) -> Any:
    """Make a client of our own: any number of connections, no redirects, proxies from the environment."""
    # httpcore scans all connections for each idle one, at the start and end of each request: with 100 idle
    # ones, 64 concurrent calls use three times the CPU of new connections, TLS handshakes included
    limits = library.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=5.0)
    try:
        context = _tls(library, base_url)
        make = partial(getattr(library, kind), verify=context, limits=limits, timeout=None)
        try:
            return make()
        except (ValueError, library.InvalidURL):
            if not getproxies().get("no"):
                raise
        # no-proxy-ranges: what it couldn't read may be in NO_PROXY
        return make(trust_env=False, proxy=find_proxy(base_url))
    except ImportError:
        problem = ("proxy", f"needs a package that isn't installed: pip install '{DEFAULT_LIBRARY}[socks]'")
    except (ValueError, library.InvalidURL):
        # don't show the exception: its text may contain the proxy's password
        problem = ("proxy", "can't be read as a proxy's URL")
    except OSError as error:
        problem = ("TLS", f"can't be used: {error.strerror or error}")
    setting, what = problem
    variables = _TLS_VARIABLES if setting == "TLS" else _PROXY_VARIABLES if setting == "proxy" else ()
    found = [name for name in variables if os.environ.get(name) or os.environ.get(name.lower())]
    raise ConfigurationError(
        " ".join(filter(None, ["the", setting, "setting", f"({', '.join(found)})" if found else "", what])),
        setting=found[0] if found else setting,
    )


def _tls(library: Any, base_url: str) -> ssl.SSLContext:
    """Return the TLS context; it is cached by the environment, as loading the CA certificates takes 20 ms."""
    if library.URL(base_url).scheme != "https":
        # cheap, and safe if it were used: it loads no CA certificates, so it trusts no server
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    key = (library.__name__, *(os.environ.get(name) for name in _TLS_VARIABLES))
    with _contexts_lock:
        context = _contexts.get(key)
        if context is None:
            folder = os.environ.get("SSL_CERT_DIR")
            alone = folder and not os.environ.get("SSL_CERT_FILE")
            if alone and not any(map(os.path.isdir, folder.split(os.pathsep) if folder else ())):
                os.scandir(folder).close()  # raise an error for a missing folder; OpenSSL ignores it
            context = _contexts[key] = library.create_ssl_context()
    return context


class KeyAuth:
    """Adds the key's header just before sending, so that logged or printed headers don't contain the key.

    It is a callable, which both libraries accept as `auth`.
    """

    def __init__(self, credentials: Sequence[tuple[str, Secret]]) -> None:
        self._credentials = credentials

    def __call__(self, request: Any) -> Any:
        """Add the headers to a request of either library, and return it."""
        for name, value in self._credentials:
            request.headers[name] = value.reveal()
        return request


def url_for(library: Any, url: httpx.URL) -> Any:
    """Return a URL in a type that the library accepts: httpx's own, or a string."""
    return url if library.__name__ == "httpx" else str(url)


def hooked(error: Exception, url: httpx.URL) -> Any:
    """Return the error response from this URL that a user's hook has raised as an exception, or None."""
    found: Any = error
    if not _is(error, "HTTPStatusError") or found.response.is_success:
        return None
    request_url = found.request.url
    return found.response if (request_url.raw_host, request_url.path) == (url.raw_host, url.path) else None


def _is(error: BaseException, *names: str) -> bool:
    """Return whether an exception is an instance of one of these classes of httpx or httpx2."""
    return any(
        kind.__name__ in names and kind.__module__.partition(".")[0] in _LIBRARIES
        for kind in type(error).__mro__
    )


def content(response: Any) -> bytes | None:
    """Return the body if it has been read, else None."""
    try:
        body: bytes = response.content
    except Exception as error:
        if _is(error, "ResponseNotRead"):
            return None
        raise
    return body


def error_of(
    error: Exception, monitor: ConnectionMonitor, now: float, redact: Callable[[str], str]
) -> Exception:
    """Return our error for an exception of the HTTP client.

    Args:
        error: The exception.
        monitor: The monitor of the connection; its deadlines know how far the call had got.
        now: The monotonic clock's reading.
        redact: Removes the key from a text.

    Returns:
        One of our errors; or the same exception if its class is neither Python's nor from the HTTP stack:
        then it comes from the user's own hook or transport.
    """
    if isinstance(error, BotticelliError) or type(error).__module__.partition(".")[0] not in _CONVERTED:
        return error
    deadlines, text = monitor.deadlines, redact(_describe(error))
    if _is(error, "TimeoutException"):
        timeout = deadlines.timeout_error(_phase(error, deadlines), now)
        if monitor.proxy and timeout.phase == "connect":
            timeout.hint = f"the proxy {monitor.proxy} doesn't answer: {_proxy_hint(monitor.proxy)}"
        return timeout
    if _is(error, "DecodingError"):
        return MalformedResponseError(f"the body can't be decompressed: {text}", path="body")
    if deadlines.answered:
        return _error_in_body(error, text)
    if monitor.proxy and _is(error, "TransportError"):
        return _error_at_proxy(error, monitor.proxy, text)
    return _error_before_head(error, text, bytes_received=deadlines.bytes_received)


def _describe(error: Exception) -> str:
    """Return the operating system's message if there is one: those of anyio and trio name no reason."""
    causes: list[BaseException | None] = [error] if _is(error, "NetworkError") else []
    for cause in causes:
        if isinstance(cause, ssl.SSLError | socket.gaierror):
            return str(cause)
        # an error with a file name has nothing to do with the connection: it is the context of the caller,
        # who was handling it when this call was made
        if isinstance(cause, OSError) and cause.errno and cause.filename is None:
            return f"[Errno {cause.errno}] {os.strerror(cause.errno)}"
        if isinstance(cause, BaseExceptionGroup):
            causes.extend(cast("BaseExceptionGroup[BaseException]", cause).exceptions)
        # httpcore removes the cause, but not the context
        if cause and (deeper := cause.__cause__ or cause.__context__) not in causes:
            causes.append(deeper)
    return str(error) or type(error).__name__


def _phase(error: Exception, deadlines: Deadlines) -> str:
    if _is(error, "PoolTimeout"):
        return "pool"
    if _is(error, "ConnectTimeout") or deadlines.connecting:
        return "connect"
    return "idle" if deadlines.answered else "first_byte"


def _error_at_proxy(error: Exception, proxy: str, text: str) -> BotticelliError:
    if _is(error, "ProxyError"):
        hint = PROXY_LOGIN if text.startswith("407") else _proxy_hint(proxy)
        return _refused(f"the proxy {proxy} makes no connection: {text}", hint)
    return _refused(f"no connection to the proxy {proxy}: {text}", _proxy_hint(proxy))


def _proxy_hint(proxy: str) -> str:
    host = proxy.rpartition(":")[0]
    found = [
        name
        for name in _PROXY_VARIABLES
        if host in (os.environ.get(name.lower()) or os.environ.get(name, ""))
    ]
    return f"check {' and '.join(found)}" if found else "check the proxy of the http_client, or of the system"


def _error_in_body(error: Exception, text: str) -> BotticelliError:
    # h11 distinguishes a closed connection from a violation of HTTP only by the text
    lost = re.match("peer closed|Server disconnected|<", text)
    if _is(error, "RemoteProtocolError") and not lost:
        return MalformedResponseError(f"the answer breaks HTTP: {text}", path="body")
    return ConnectionLostError(f"the connection was lost in the answer: {text}", answered=True)


def _error_before_head(error: Exception, text: str, *, bytes_received: bool) -> BotticelliError:
    match error:
        case _ if _is(error, "ConnectError", "ProxyError"):
            hint = next((hint for sign, hint in _CONNECT_HINTS if re.search(sign, text)), None)
            return _refused(f"no connection: {text}", hint)
        case _ if _is(error, "UnsupportedProtocol", "InvalidURL", "LocalProtocolError"):
            return ConfigurationError(f"the request can't be sent: {text}", setting="base_url")
        case _ if _is(error, "RemoteProtocolError"):
            # h2 shows its events in angle brackets, when the server closed the connection; any other text
            # means that the bytes weren't HTTP
            garbage = not re.match("Server disconnected|<", text)
            if bytes_received and not garbage:
                # h11's own text says that there was no response, although a part of the head has arrived
                return ConnectionLostError("the connection was lost in the head of the answer", answered=True)
            what = "the server doesn't speak HTTP" if garbage else "the connection was lost before an answer"
            return ConnectionLostError(f"{what}: {text}", answered=garbage)
        case _ if isinstance(error, OSError) or _is(error, "TransportError"):
            where = "in the head of the answer" if bytes_received else "before an answer"
            return ConnectionLostError(f"the connection was lost {where}: {text}", answered=bytes_received)
        case RuntimeError() if "event loop" in text.lower() or "different loop" in text:
            return ConfigurationError(
                f"the driver was used in another event loop: {text}",
                setting="http_client",
                hint="make one driver per event loop",
            )
        case RuntimeError() if "closed" in text and not _is(error, "StreamError"):
            return ConfigurationError(f"the HTTP client is closed: {text}", setting="http_client")
        case _:
            return ConfigurationError(
                f"the HTTP client failed with {type(error).__name__}: {text}", setting="http_client"
            )


def _refused(message: str, hint: str | None) -> ConnectError:
    error = ConnectError(message, hint=hint)
    error.lasting = "CERTIFICATE_VERIFY_FAILED" in message
    return error


_CONNECT_HINTS = (
    # OpenSSL's words for a certificate that is good, but another host's
    ("(?:Hostname|IP address) mismatch", "the certificate is another host's: check the host in the base URL"),
    ("CERTIFICATE_VERIFY_FAILED", "SSL_CERT_FILE may name the certificates of your own authority"),
    ("WRONG_VERSION_NUMBER", "the server may speak http://, not https://"),
    # the texts of operating systems, anyio and trio
    ("refused|attempts .*failed", "check the base URL, and that a server listens there"),
    ("not known|No address", "check the host's name in the base URL"),
)

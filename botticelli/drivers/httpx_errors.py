"""What `http_sync` and `http_async` share of the HTTP library: clients, TLS, the key's header, exceptions.

The library is httpx, or httpx2 where a user gives a client of that; their names and behaviour are the
same, so that a module stands for either. No exception of theirs leaves the drivers, not even as a cause or
context: it holds the request, and the request holds the key. So they are caught, and what `error_of` makes
of them is raised outside ``except``.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from botticelli.core.errors import (
    BotticelliError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    MalformedResponseError,
)
from botticelli.drivers.call import PROXY_LOGIN
from botticelli.drivers.request_log import hide_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from botticelli.drivers.connection import ConnectionMonitor
    from botticelli.drivers.credentials import Secret
    from botticelli.protocol.deadlines import Deadlines

__all__ = ["UNREAD", "KeyAuth", "client_and_library", "content", "error_of", "hooked", "url_for"]

DEFAULT_LIBRARY: Final = "httpx"
"""What our own clients are made of. With ``httpx2`` here all works the same."""

_LIBRARIES: Final = ("httpx", "httpx2")

_TLS_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_FOREIGN = sys.stdlib_module_names | {
    *("anyio", "brotli", "brotlicffi", "certifi", "h11", "h2", "hpack", "httpcore", "httpcore2", "httpx"),
    *("httpx2", "hyperframe", "idna", "outcome", "sniffio", "socksio", "trio", "truststore", "zstandard"),
}
"""Packages whose exceptions a user of the driver can't be expected to know."""

UNREAD = "a hook that reads the answer before it raises keeps the server's words"
"""What to do when a hook of the user's has made an exception of an error whose body is lost."""

_contexts: dict[tuple[str | None, ...], ssl.SSLContext] = {}
_contexts_lock = threading.Lock()


def client_and_library(given: Any, kind: str, base_url: str) -> tuple[Any, Any]:
    """Return the user's client or one of our own, and the module of the library that it is of.

    Args:
        given: The user's client; None for one of our own.
        kind: ``Client`` or ``AsyncClient``.
        base_url: Where it will send; TLS costs time to set up and isn't for http.

    Raises:
        ConfigurationError: It isn't such a client, or the environment's proxy or TLS settings can't be used.
    """
    if given is None:
        library = import_module(DEFAULT_LIBRARY)
        hide_queries(DEFAULT_LIBRARY)
        return _make_client(library, kind, base_url), library
    # a client's library is imported by now; one that nobody uses stays unimported
    for library in filter(None, map(sys.modules.get, _LIBRARIES)):
        if isinstance(given, getattr(library, kind)):
            hide_queries(library.__name__)
            return given, library
    wanted = f"an httpx.{kind} or httpx2.{kind}"
    raise ConfigurationError(
        f"http_client must be {wanted}, not {type(given).__name__}", setting="http_client"
    )


def _make_client(library: Any, kind: str, base_url: str) -> Any:
    """Make a client of our own: any number of connections, no redirects, proxies from the environment."""
    # httpcore looks through all its connections for each idle one, at each request's begin and end: with 100
    # kept, 64 calls at once cost three times the CPU of new connections, TLS handshakes included
    limits = library.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=5.0)
    try:
        context = _tls(library, base_url)
        return getattr(library, kind)(verify=context, limits=limits, timeout=None)
    except ImportError:
        problem = ("proxy", f"needs a package that isn't installed: pip install '{DEFAULT_LIBRARY}[socks]'")
    except (ValueError, library.InvalidURL):
        # the text may hold the proxy's password
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
    """The TLS context: made once per process and environment, for loading the authorities takes 20 ms."""
    if library.URL(base_url).scheme != "https":
        # trusts nobody, so that it costs nothing and could do no harm
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    key = (library.__name__, *(os.environ.get(name) for name in _TLS_VARIABLES))
    with _contexts_lock:
        context = _contexts.get(key)
        if context is None:
            folder = os.environ.get("SSL_CERT_DIR")
            alone = folder and not os.environ.get("SSL_CERT_FILE")
            if alone and not any(map(os.path.isdir, folder.split(os.pathsep) if folder else ())):
                os.scandir(folder).close()  # OpenSSL says nothing about folders that aren't there
            context = _contexts[key] = library.create_ssl_context()
    return context


class KeyAuth:
    """Puts the key in at the last moment, so that no header that anybody prints holds it.

    A callable, which both libraries take for an `Auth`.
    """

    def __init__(self, credentials: Sequence[tuple[str, Secret]]) -> None:
        self._credentials = credentials

    def __call__(self, request: Any) -> Any:
        """Add the headers to a request of either library, and return it."""
        for name, value in self._credentials:
            request.headers[name] = value.reveal()
        return request


def url_for(library: Any, url: httpx.URL) -> Any:
    """Return a URL as the library takes it: of its own kind, or as a text."""
    return url if library.__name__ == "httpx" else str(url)


def hooked(error: Exception, url: httpx.URL) -> Any:
    """Return the error response from this URL that a user's hook has made an exception of, or None."""
    found: Any = error
    if not _is(error, "HTTPStatusError") or found.response.is_success:
        return None
    asked = found.request.url
    return found.response if (asked.raw_host, asked.path) == (url.raw_host, url.path) else None


def _is(error: BaseException, *names: str) -> bool:
    """Tell whether an exception is of one of these classes of httpx or httpx2, or of a subclass."""
    return any(
        kind.__name__ in names and kind.__module__.partition(".")[0] in _LIBRARIES
        for kind in type(error).__mro__
    )


def content(response: Any) -> bytes | None:
    """The body, if it was read."""
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
    """What an exception of the HTTP client is in our tree; not raised.

    Args:
        error: What was caught.
        monitor: The connection it happened on, and the call, which knows how far it had come.
        now: The monotonic clock.
        redact: Takes the key out of a text.

    Returns:
        One of ours; or the same, if its class is neither Python's nor of the HTTP stack: it comes from a
        hook or transport of the user's, who knows it.
    """
    if isinstance(error, BotticelliError) or type(error).__module__.partition(".")[0] not in _FOREIGN:
        return error
    deadlines, text = monitor.deadlines, redact(_words(error))
    if _is(error, "TimeoutException"):
        late = deadlines.timeout_error(_phase(error, deadlines), now)
        if monitor.proxy and late.phase == "connect":
            late.hint = f"the proxy {monitor.proxy} doesn't answer: {_proxy_hint(monitor.proxy)}"
        return late
    if _is(error, "DecodingError"):
        return MalformedResponseError(f"the body can't be decompressed: {text}", path="body")
    if deadlines.answered:
        return _in_body(error, text)
    if monitor.proxy and _is(error, "TransportError"):
        return _at_proxy(error, monitor.proxy, text)
    return _before_head(error, text, heard=deadlines.bytes_received)


def _words(error: Exception) -> str:
    """What the system said, where it said something: anyio and trio only say that it didn't work."""
    causes: list[BaseException | None] = [error] if _is(error, "NetworkError") else []
    for cause in causes:
        if isinstance(cause, ssl.SSLError | socket.gaierror):
            return str(cause)
        # one with a file's name is no matter of connections: the caller may be handling it just now
        if isinstance(cause, OSError) and cause.errno and cause.filename is None:
            return f"[Errno {cause.errno}] {os.strerror(cause.errno)}"
        if isinstance(cause, BaseExceptionGroup):
            causes.extend(cast("BaseExceptionGroup[BaseException]", cause).exceptions)
        # httpcore takes the cause away, but not the context
        if cause and (deeper := cause.__cause__ or cause.__context__) not in causes:
            causes.append(deeper)
    return str(error) or type(error).__name__


def _phase(error: Exception, deadlines: Deadlines) -> str:
    if _is(error, "PoolTimeout"):
        return "pool"
    if _is(error, "ConnectTimeout") or deadlines.connecting:
        return "connect"
    return "idle" if deadlines.answered else "first_byte"


def _at_proxy(error: Exception, proxy: str, text: str) -> BotticelliError:
    if _is(error, "ProxyError"):
        hint = PROXY_LOGIN if text.startswith("407") else _proxy_hint(proxy)
        return ConnectError(f"the proxy {proxy} makes no connection: {text}", hint=hint)
    return ConnectError(f"no connection to the proxy {proxy}: {text}", hint=_proxy_hint(proxy))


def _proxy_hint(proxy: str) -> str:
    host = proxy.rpartition(":")[0]
    found = [
        name
        for name in _PROXY_VARIABLES
        if host in (os.environ.get(name.lower()) or os.environ.get(name, ""))
    ]
    return f"check {' and '.join(found)}" if found else "check the proxy of the http_client, or of the system"


def _in_body(error: Exception, text: str) -> BotticelliError:
    # h11 tells a peer that left from one that breaks the protocol by its words only
    lost = re.match("peer closed|Server disconnected|<", text)
    if _is(error, "RemoteProtocolError") and not lost:
        return MalformedResponseError(f"the answer breaks HTTP: {text}", path="body")
    return ConnectionLostError(f"the connection was lost in the answer: {text}", answered=True)


def _before_head(error: Exception, text: str, *, heard: bool) -> BotticelliError:
    match error:
        case _ if _is(error, "ConnectError", "ProxyError"):
            hint = next((hint for sign, hint in _CONNECT_HINTS if re.search(sign, text)), None)
            return ConnectError(f"no connection: {text}", hint=hint)
        case _ if _is(error, "UnsupportedProtocol", "InvalidURL", "LocalProtocolError"):
            return ConfigurationError(f"the request can't be sent: {text}", setting="base_url")
        case _ if _is(error, "RemoteProtocolError"):
            # h2 prints its events in angle brackets; whatever else there is to say is about garbage
            garbage = not re.match("Server disconnected|<", text)
            if heard and not garbage:
                # h11's words are that there was no answer
                return ConnectionLostError("the connection was lost in the head of the answer", answered=True)
            what = "the server doesn't speak HTTP" if garbage else "the connection was lost before an answer"
            return ConnectionLostError(f"{what}: {text}", answered=garbage)
        case _ if isinstance(error, OSError) or _is(error, "TransportError"):
            where = "in the head of the answer" if heard else "before an answer"
            return ConnectionLostError(f"the connection was lost {where}: {text}", answered=heard)
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


_CONNECT_HINTS = (
    ("CERTIFICATE_VERIFY_FAILED", "SSL_CERT_FILE may name the certificates of your own authority"),
    ("WRONG_VERSION_NUMBER", "the server may speak http://, not https://"),
    # the system's own words, anyio's and trio's
    ("refused|attempts .*failed", "check the base URL, and that a server listens there"),
    ("not known|No address", "check the host's name in the base URL"),
)

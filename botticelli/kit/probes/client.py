"""The raw client: sends exactly the bytes it is given, and keeps what comes with the times.

An HTTP library would mend, hide or refuse half of what the probes are about. Blocking sockets are enough:
probes run in threads.
"""

from __future__ import annotations

import itertools
import re
import select
import socket
import ssl
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botticelli.kit.errors import EndpointError
from botticelli.kit.probes.exchange import LONG, Exchange, Piece, ResponseReader, read_events, strike
from botticelli.kit.probes.proxy import find_proxy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.kit.probes.proxy import Proxy

__all__ = ["Address", "Client", "Sending", "parse_url"]

_READ = 1 << 16
_CONTINUE = 1.0  # seconds to wait for 100 Continue; a client must not wait for ever (RFC 9110, 10.1.1)
_LINGER = 3.0  # seconds that a server has to close a connection
_GAP = 0.05  # seconds between two waits for the socket, at most
_MOST = 64 << 20  # bytes that are read of one answer
_GATEWAY = frozenset({407, 502, 503, 504})
"""Statuses with which a proxy speaks for itself."""
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint is.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name or address.
        port: The port.
        base: The path before ``/chat/completions``, without a slash at its end.
        query: What stands after ``?`` in the URL; sent with every request.
    """

    scheme: str
    host: str
    port: int
    base: str
    query: str = ""

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and authority, such as ``http://127.0.0.1:8000``."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{self.origin}{self.base}"


def parse_url(text: str) -> Address:
    """Return the address that a URL names.

    Raises:
        EndpointError: It can't be used.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise EndpointError(f"{text!r} is no URL: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise EndpointError(f"{text!r} is no URL of an endpoint; give one such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password:
        raise EndpointError("the URL holds credentials; name the variable that has the key with --token-env")
    base = parts.path.rstrip("/").removesuffix("/chat/completions")
    if not (base + parts.query).isascii() or any(c.isspace() for c in base + parts.query):
        raise EndpointError(f"{text!r} is no URL: encode its special characters with %")
    return Address(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], base, parts.query)


@dataclass(frozen=True, slots=True)
class Sending:
    """One request, ready to be sent.

    Attributes:
        ask: The name of the question.
        method: The method.
        target: The path, with the query.
        headers: In order; Host is added unless it is here.
        body: The body, or None for none at all.
        version: Of HTTP.
        chunked: Send the body in chunks.
        expects: Wait for 100 Continue before the body is sent.
        closes: Wait for the server to close after its answer.
        leaves_after: Close after so many events of a stream; 0 for never.
        patience: Seconds in which something must come.
        total: Seconds for all of it; 0 for five times the patience.
    """

    ask: str
    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes | None
    version: str = "1.1"
    chunked: bool = False
    expects: bool = False
    closes: bool = False
    leaves_after: int = 0
    patience: float = 60.0
    total: float = 0.0

    def head(self, address: Address, proxy: Proxy | None = None) -> bytes:
        """Return the bytes up to the body.

        Args:
            address: Where the endpoint is.
            proxy: Who passes it on, so that the whole address is sent; none where there is a tunnel.
        """
        lines = list(self.headers)
        if not any(name.lower() == "host" for name, _ in lines):
            lines.insert(0, ("Host", address.authority))
        if self.body is not None:
            size = (
                ("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", str(len(self.body)))
            )
            lines.append(size)
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        target = self.target
        if proxy:
            text, target = text + proxy.headers, address.origin + target
        return f"{self.method} {target} HTTP/{self.version}\r\n{text}\r\n".encode("utf-8", "replace")

    def framed(self) -> bytes:
        """Return the bytes of the body as they are sent."""
        body = self.body or b""
        if not self.chunked:
            return body
        half = len(body) // 2
        parts = [part for part in (body[:half], body[half:]) if part]
        return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


_numbers = itertools.count(1)


@dataclass
class _Connection:
    sock: socket.socket
    number: int = field(default_factory=lambda: next(_numbers))


class Client:
    """Asks one endpoint. Threads may share it.

    What is kept of a request is what the endpoint is asked, without what is for a proxy alone. A long secret
    is struck out at once. A short one may be a word of the format, such as stop, so it is only hidden: what
    came is judged as it came, and nothing shows it. The same goes for a proxy's password, wherever it isn't
    the proxy itself that answers.

    Args:
        address: Where it is.
        secrets: What must be struck out of everything that is kept.

    Attributes:
        proxy: Who passes the requests on; None for nobody.

    Raises:
        EndpointError: The environment names a proxy that can't be used.
    """

    def __init__(self, address: Address, secrets: Sequence[str] = ()) -> None:
        self.address = address
        known = [secret.encode() for secret in secrets if secret]
        self._long = [secret for secret in known if len(secret) >= LONG]
        self._short = [secret for secret in known if len(secret) < LONG]
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self.proxy = find_proxy(address.scheme, address.host, address.authority)

    def exchange(self, sendings: Sequence[Sending]) -> list[Exchange]:
        """Send requests and return what came, one after the other on one connection.

        A new connection is opened where the server has closed the old one.

        Args:
            sendings: The requests.
        """
        done: list[Exchange] = []
        connection: _Connection | None = None
        try:
            for sending in sendings:
                if connection is None:
                    connected = self._connect(sending)
                    if isinstance(connected, Exchange):
                        done.append(connected)
                        continue
                    connection = connected
                exchange = self._ask(connection, sending)
                done.append(exchange)
                if exchange.end != "complete" or exchange.response.closes:
                    connection.sock.close()
                    connection = None
        finally:
            if connection is not None:
                connection.sock.close()
        return done

    def _connect(self, sending: Sending) -> _Connection | Exchange:
        start = time.perf_counter()
        proxy, patience = self.proxy, min(sending.patience, 30.0)
        host, port = (proxy.host, proxy.port) if proxy else (self.address.host, self.address.port)
        sock: socket.socket | None = None
        by_proxy = bool(proxy)
        try:
            sock = socket.create_connection((host, port), timeout=patience)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                if proxy:
                    proxy.open_tunnel(sock, self.address.host, self.address.port, patience)
                    sock.settimeout(patience)
                    by_proxy = False
                sock = self._tls.wrap_socket(sock, server_hostname=self.address.host)
        except (OSError, ValueError) as error:
            if sock is not None:
                sock.close()
            what = getattr(error, "strerror", None) or str(error) or type(error).__name__
            what = f"the proxy {proxy} can't be used: {what}" if by_proxy else what
            lost = self._began(sending, 0)
            return replace(lost, end="unreachable", detail=what, seconds=time.perf_counter() - start)
        return _Connection(sock)

    def _began(self, sending: Sending, connection: int) -> Exchange:
        head, body = sending.head(self.address), sending.body or b""
        head, body = strike(head, self._long), strike(body, self._long)
        for secret in self._short:
            sent, stars = b"\r\nAuthorization: Bearer %s\r\n", b"*" * len(secret)
            head = head.replace(sent % secret, sent % stars)
        return Exchange(sending.ask, sending.method, sending.target, head, body, connection=connection)

    def _ask(self, connection: _Connection, sending: Sending) -> Exchange:
        start = time.perf_counter()
        exchange = self._began(sending, connection.number)
        talk = _Talk(connection.sock, sending, start)
        # A tunnel is a connection to the server, so nothing of the proxy's goes into it.
        proxy = self.proxy if self._tls is None else None
        try:
            end, detail = talk.run(sending.head(self.address, proxy), sending.framed())
        except (TimeoutError, ssl.SSLWantReadError):
            end, detail = "timeout", f"nothing more came in {sending.patience:g} s"
        except (OSError, ssl.SSLError) as error:
            end, detail = "reset", error.strerror or str(error)
        seconds, pieces = time.perf_counter() - start, tuple(talk.pieces)
        got = replace(exchange, pieces=pieces, end=end, detail=detail, seconds=seconds)
        return self._without_secrets(got, proxy, talk.status)

    def _without_secrets(self, got: Exchange, proxy: Proxy | None, status: int) -> Exchange:
        whole = b"".join(piece.data for piece in got.pieces)
        # That a proxy shows its own password says nothing about the server.
        leaked = any(secret in whole for secret in self._long) or any(
            re.search(rb"Bearer " + re.escape(secret) + rb"(?!\w)", whole) for secret in self._short
        )
        secrets = proxy.secrets if proxy else []
        at_once = [*self._long, *(one for one in secrets if len(one) >= LONG and status in _GATEWAY)]
        hidden = tuple({*self._short, *secrets} - {*at_once})
        return replace(got.struck(at_once), leaked=leaked, hidden=hidden)


class _Talk:
    """One request and its answer on a socket."""

    def __init__(self, sock: socket.socket, sending: Sending, start: float) -> None:
        self.pieces: list[Piece] = []
        self._sock = sock
        self._sending = sending
        self._start = start
        self._reader = ResponseReader(sending.method)
        self._size = 0
        self._closed = False

    @property
    def status(self) -> int:
        """The status that came; 0 for none."""
        return self._reader.response.status

    def run(self, head: bytes, body: bytes) -> tuple[str, str]:
        """Send, read to the end, and return how it ended, and why."""
        try:
            self._send(head, body)
        except OSError as error:
            # It may have answered before it closed: a server needn't read a body that it refuses.
            broken: OSError | None = error
        else:
            broken = None
        try:
            return self._read()
        except OSError:
            if broken is not None and not isinstance(broken, TimeoutError):
                raise broken from None
            raise

    def _send(self, head: bytes, body: bytes) -> None:
        self._sock.settimeout(self._sending.patience)
        if self._sending.expects:
            self._sock.sendall(head)
            self._receive_within(_CONTINUE)
            if self._reader.response.status:
                return  # it has answered without the body
            self._sock.sendall(body)
        else:
            self._send_and_listen(head + body)

    def _send_and_listen(self, data: bytes) -> None:
        """Send, and stop when an answer comes: it refuses, and may never read the rest."""
        if isinstance(self._sock, ssl.SSLSocket) or len(data) < _READ:
            self._sock.sendall(data)
            return
        view, deadline = memoryview(data), time.perf_counter() + self._sending.patience
        while view:
            readable, writable, _ = select.select([self._sock], [self._sock], [], _GAP)
            if readable:
                return
            if writable:
                view = view[self._sock.send(view[:_READ]) :]
                deadline = time.perf_counter() + self._sending.patience
            elif time.perf_counter() > deadline:
                raise TimeoutError

    def _receive_within(self, seconds: float) -> bool:
        """Read once; return False when nothing came in time."""
        self._sock.settimeout(max(seconds, 0.001))
        try:
            data = self._sock.recv(_READ)
        except TimeoutError:
            return False
        at = time.perf_counter() - self._start
        if not data:
            self._closed = True
            self._reader.close()
            return True
        self._size += len(data)
        self.pieces.append(Piece(at, data))
        self._reader.feed(at, data)
        return True

    def _read(self) -> tuple[str, str]:
        patience = self._sending.patience
        total = self._sending.total or 5 * patience
        deadline = time.perf_counter() + total
        while not self._reader.response.complete:
            left = deadline - time.perf_counter()
            if self._closed:
                return "closed", ""
            if left <= 0:
                return "timeout", f"it wasn't whole after {total:g} s"
            if self._size > _MOST:
                return "timeout", f"it is longer than {_MOST >> 20} MiB"
            if not self._receive_within(min(patience, left)) and patience < left:
                return "timeout", f"nothing more came in {patience:g} s"
            if self._has_enough():
                return "left", ""
        if self._closed:
            return "closed", ""
        return self._wait_for_close() if self._sending.closes else ("complete", "")

    def _has_enough(self) -> bool:
        wanted = self._sending.leaves_after
        return bool(wanted) and sum(1 for _ in read_events(self._reader.response.body)) >= wanted

    def _wait_for_close(self) -> tuple[str, str]:
        until = time.perf_counter() + _LINGER
        while (left := until - time.perf_counter()) > 0:
            try:
                self._receive_within(left)
            except OSError:
                return "closed", ""
            if self._closed:
                return "closed", ""
        return "held", f"it was still open {_LINGER:g} s after the answer"

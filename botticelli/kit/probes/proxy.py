"""The proxy that the environment names for an endpoint, found the way urllib finds it.

Probes are about the bytes of one server, so a proxy in between is never taken for a server on this machine,
and a run says that it goes through one.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import time
from dataclasses import dataclass
from http.client import responses
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from botticelli.kit.errors import EndpointError

if TYPE_CHECKING:
    import socket

__all__ = ["WANTS_NAME", "Proxy", "ProxyError", "find_proxy"]

WANTS_NAME = 407
"""The status with which a proxy, and nobody else, asks who wants to pass."""

_HEAD_LIMIT = 1 << 16


class ProxyError(OSError):
    """The proxy lets nothing through; the message says why, without the password."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that speaks HTTP.

    Attributes:
        host, port: Where it is.
        variable: The environment variable that names it, or what else does.
        user, password: Who asks; both empty for nobody.
    """

    host: str
    port: int
    variable: str
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Name it without who asks."""
        return f"Proxy({str(self)!r})"

    def __str__(self) -> str:
        """Name it as messages do."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port} (from {self.variable})"

    @property
    def headers(self) -> str:
        """The header line that says who asks; empty for nobody."""
        return f"Proxy-Authorization: Basic {self._credentials}\r\n" if self._credentials else ""

    @property
    def secrets(self) -> list[bytes]:
        """What must never be shown."""
        return [one.encode() for one in (self._credentials, self.password) if one]

    @property
    def _credentials(self) -> str:
        if not (self.user or self.password):
            return ""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def open_tunnel(self, sock: socket.socket, host: str, port: int, seconds: float) -> None:
        """Ask for a tunnel to a server, on a connection to the proxy.

        Args:
            sock: The connection; afterwards it is one to the server.
            host: The server's name or address.
            port: Its port.
            seconds: Seconds in which the proxy must answer.

        Raises:
            ProxyError: The proxy refuses, or doesn't speak HTTP.
            TimeoutError: It doesn't answer in time.
        """
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        sock.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{self.headers}\r\n".encode())
        head = _read_head(sock, time.monotonic() + seconds)
        line = re.match(rb"HTTP/1\.[01] ([1-9][0-9]{2})", head)
        if not line:
            raise ProxyError("it doesn't answer in HTTP")
        status = int(line[1])
        if not 200 <= status < 300:
            raise ProxyError(self.refusal(status))

    def refusal(self, status: int) -> str:
        """Return in words why the proxy lets nothing through."""
        said = f"it answers {status} {responses.get(status, '')}".rstrip()
        if status == WANTS_NAME:
            said += f"; name and password go into {self.variable}, as http://NAME:PASSWORD@HOST:PORT"
        return said


def _read_head(sock: socket.socket, until: float) -> bytes:
    """Read the head of an answer, and not a byte more: what follows belongs to the server."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(left)
        data = sock.recv(1)
        if not data or len(head) > _HEAD_LIMIT:
            raise ProxyError("it closed the connection" if not data else "the head of its answer doesn't end")
        head += data
    return head


def find_proxy(scheme: str, host: str, authority: str) -> Proxy | None:
    """Return the proxy for a server; None where it is asked directly, as every server on this machine is.

    Args:
        scheme: ``http`` or ``https``.
        host: The server's name or address.
        authority: The same with its port, where that isn't the usual one.

    Raises:
        EndpointError: The variable names no proxy that can be used.
    """
    if _is_on_this_machine(host):
        return None
    url = getproxies().get(scheme)
    if not url or proxy_bypass(authority):
        return None
    variable = _named_by(scheme, url)
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        # Not the URL itself: a password may stand in it.
        raise EndpointError(
            f"the proxy in {variable} is no URL; give one such as http://proxy:3128"
        ) from None
    if parts.scheme != "http":
        raise EndpointError(
            f"the proxy in {variable} is one for {parts.scheme}; only proxies for http can be used"
        )
    if not parts.hostname:
        raise EndpointError(f"the proxy in {variable} is no URL; give one such as http://proxy:3128")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(parts.hostname, port or 80, variable, user, password)


def _named_by(scheme: str, url: str) -> str:
    """Return what names a proxy: a variable, as it is spelt, or the settings of macOS or Windows."""
    names = [name for name, value in os.environ.items() if (name.lower(), value) == (f"{scheme}_proxy", url)]
    # Of two spellings urllib prefers the one in small letters, which sorts last.
    return max(names, default="the system's settings")


def _is_on_this_machine(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    # A connection to the address on which servers say that they listen goes to this machine too.
    return address.is_loopback or address.is_unspecified

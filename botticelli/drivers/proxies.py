"""Find the proxy that the environment names for one server, where httpx can't read ``NO_PROXY``.

httpx takes each entry for a host and a port, so that a range of IPv6 addresses (``fd07::/64``) and an
address in brackets (``[::1]``) are errors to it (encode/httpx#3221). Some systems set them by themselves
(orbstack/orbstack#2456). A driver talks to one server only, so it can be told here whether by a proxy.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

__all__ = ["find_proxy"]

_PORTS: Final = {"http": 80, "https": 443}
_BRACKETED: Final = re.compile(r"\[([^\[\]]+)\](/\d+)?(?::(\d+))?")
_WITH_PORT: Final = re.compile(r"([^:]+):(\d+)")


def find_proxy(base_url: str) -> str | None:
    """Return the URL of the proxy for a server, or None if it is reached without one.

    Args:
        base_url: A URL of the server, already checked.
    """
    server = urlsplit(base_url)
    proxies = getproxies()
    proxy = proxies.get(server.scheme) or proxies.get("all")
    host, port = server.hostname or "", server.port or _PORTS.get(server.scheme)
    entries = (entry.strip() for entry in proxies.get("no", "").split(","))
    if not proxy or any(_covers(entry, server.scheme, host, port) for entry in entries if entry):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _covers(entry: str, scheme: str, host: str, port: int | None) -> bool:
    """Return whether an entry of ``NO_PROXY`` means this server."""
    before, mark, rest = entry.rpartition("://")
    if mark and before not in (scheme, "all"):
        return False
    name, wanted = _split(rest.lower())
    if wanted is not None and wanted != port:
        return False
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:  # one of them is no address
        pass
    return name in ("*", host) or host.endswith(f".{name.lstrip('*.')}")


def _split(entry: str) -> tuple[str, int | None]:
    """Return an entry's name, address or range, and its port where it has one."""
    if found := _BRACKETED.fullmatch(entry):
        address, prefix, port = found.groups()
        return address + (prefix or ""), int(port) if port else None
    if found := _WITH_PORT.fullmatch(entry):
        return found[1], int(found[2])
    return entry, None

"""Proxies in the user's environment, which a judged run must not go through: it never leaves the machine.

May enter: the environment of the process.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAMES = ("NO_PROXY", "no_proxy")  # which of them counts differs from library to library


def no_proxy_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that exempt loopback from proxies, beside what is exempt already."""
    told = ",".join(environment.get(name, "") for name in _NAMES)
    hosts = dict.fromkeys(filter(None, (host.strip() for host in told.split(","))))
    # A star alone exempts everything, but not where it stands among others.
    value = "*" if "*" in hosts else ",".join(dict.fromkeys((*hosts, *_LOOPBACK)))
    return dict.fromkeys(_NAMES, value)


@contextmanager
def bypass_proxies() -> Generator[None, None, None]:
    """Exempt loopback from proxies while the block runs, for this process and what it starts."""
    before = {name: os.environ.get(name) for name in _NAMES}
    os.environ.update(no_proxy_variables(os.environ))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

"""The two halves of an HTTP exchange as plain values: what is sent, and the head of what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

__all__ = ["HttpRequest", "ResponseHead"]

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a format defines it, before a driver adds the host, the credentials and its own headers.

    Attributes:
        method: ``GET`` or ``POST``.
        path: The path below the base URL, such as ``/chat/completions``.
        query: Parameters of the URL, added to those of the base URL.
        headers: Headers that the format asks for, names in lower case.
        body: The body, or None for none.
    """

    method: str = "POST"
    path: str
    query: Mapping[str, str] = _NONE
    headers: Mapping[str, str] = _NONE
    body: bytes | None = None


class ResponseHead(msgspec.Struct, frozen=True, kw_only=True):
    """The status and headers of a response, without its body.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case; the values of a repeated header are joined by ``", "``.
        received_at: When it came, in Unix seconds; dates in headers are relative to it.
    """

    status: int = 200
    headers: Mapping[str, str] = _NONE
    received_at: float = 0.0

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status <= 299

    @property
    def content_type(self) -> str:
        """The ``Content-Type`` header, or the empty string."""
        return self.headers.get("content-type", "")

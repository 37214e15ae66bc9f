"""What the mock server received from a driver: plain values that it fills in and the judge reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botticelli.kit.server.wire import Piece

__all__ = ["RecordedRequest", "Recording", "Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the server read it.

    Attributes:
        method: As sent.
        path: The request target as sent, query included.
        headers: Name and value as sent, in order.
        body: The bytes, without chunked framing; a content encoding isn't decoded.
        version: Of HTTP: 1.1 or 1.0.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    version: str = "1.1"

    @property
    def closes(self) -> bool:
        """Whether the connection has to be closed after the answer (RFC 9112, sections 9.3 and 9.6)."""
        options = (self.header("connection") or "").lower().split(",")
        return self.version == "1.0" or "close" in map(str.strip, options)

    def header(self, name: str) -> str | None:
        """Return a header's value, several joined with a comma, or None."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request with its circumstances.

    Attributes:
        request: What was sent.
        connection: Number of the TCP connection, from 0.
        delay: Seconds from the end of the previous answer to the arrival of this request; None for the first.
        client_left: The client closed the connection before the answer had been played to its end.
    """

    request: Request
    connection: int
    delay: float | None
    client_left: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything that a listener received.

    Attributes:
        requests: In order of arrival.
        connections: TCP connections opened.
        protocol_errors: Requests that break HTTP, and exchanges that could not be played.
        wire: What went over the connections, in order, split as it came.
    """

    requests: tuple[RecordedRequest, ...]
    connections: int
    protocol_errors: tuple[str, ...]
    wire: tuple[Piece, ...] = ()

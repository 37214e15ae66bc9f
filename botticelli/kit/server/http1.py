"""Read one HTTP/1.1 request from a stream, strictly, and keep it as it was sent.

It reads what clients send of RFC 9112 (a head, and a body of known length or in chunks) and rejects
everything that a server may reject, because a client that breaks HTTP must be reported. It isn't built on
h11: most Python clients, ours too, write their requests with h11, and h11 reads leniently (bare LF, a length
beside chunks, two lengths that agree).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botticelli.kit.server.recording import Request

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONGEST", "Bodies", "Limits", "Room", "UnreadableRequestError", "read_request"]

LONGEST = 64 << 20
"""Bytes that a body may have; cases send far less."""

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rf"({_NAME}) ([!-~]+) HTTP/1\.([01])")
# A value neither begins nor ends with white space (RFC 9112, section 5).
_FIELD_LINE = re.compile(rf"({_NAME}):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*")
_CHUNK_LINE = re.compile(r"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t -~\x80-\xff]*)?")


class UnreadableRequestError(Exception):
    """The client sent something that isn't an HTTP/1.1 request, or more than is allowed.

    The message isn't shortened: it may contain an API key, which must be blanked whole first.

    Attributes:
        status: The status to answer with, and its reason.
    """

    def __init__(self, message: str, status: str = "400 Bad Request") -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients are allowed. Each None means any.

    Attributes:
        held: Bytes of all bodies that are held at a time, from their announcement to the end of the answer.
        patience: Seconds that a request may take to arrive, from its first byte on.
        idle: Seconds that a connection may be open without a request.
    """

    held: int | None = None
    patience: float | None = None
    idle: float | None = None


@dataclass
class Room:
    """The bytes of the bodies that a listener holds at a time."""

    limits: Limits
    used: int = 0


@dataclass
class Bodies:
    """What one connection takes of the room."""

    room: Room
    taken: int = 0

    def take(self, length: int, whole: int) -> None:
        """Take room for more of a body.

        Args:
            length: How many bytes more.
            whole: How many bytes the body has with them.

        Raises:
            UnreadableRequestError: The body is too large, or there is no room now.
        """
        if whole > LONGEST:
            raise UnreadableRequestError(f"a body of more than {LONGEST} bytes", "413 Content Too Large")
        held = self.room.limits.held
        if held is not None and self.room.used + length > held:
            message = f"the bodies of all requests have more than {held} bytes; ask again later"
            raise UnreadableRequestError(message, "503 Service Unavailable")
        self.room.used += length
        self.taken += length

    def release(self) -> None:
        """Give back what was taken."""
        self.room.used -= self.taken
        self.taken = 0


async def read_request(
    reader: asyncio.StreamReader, write: Callable[[bytes], None], bodies: Bodies
) -> Request | None:
    """Read the next request, or return None when the client has closed the connection or left it idle.

    Args:
        reader: From the client; its limit is the longest head.
        write: Sends to the client, for the 100 Continue that it may wait for.
        bodies: Takes room for the body, which the caller releases.

    Raises:
        UnreadableRequestError: What came isn't a request, or it is more than is allowed.
    """
    limits, first = bodies.room.limits, b""
    try:
        async with asyncio.timeout(limits.idle) as clock:
            first = await reader.read(1)
            if not first:
                return None
            patience = limits.patience
            clock.reschedule(None if patience is None else asyncio.get_running_loop().time() + patience)
            return await _read(first, reader, write, bodies)
    except TimeoutError:
        if not first:
            return None
        message = f"the request didn't arrive within {limits.patience} seconds"
        raise UnreadableRequestError(message, "408 Request Timeout") from None


async def _read(
    first_byte: bytes, reader: asyncio.StreamReader, write: Callable[[bytes], None], bodies: Bodies
) -> Request:
    if first_byte == b"\r":
        raise _broken("not a request line: ''")
    try:
        head = first_byte + await _until(reader, b"\r\n\r\n", "a head")
    except asyncio.IncompleteReadError as error:
        raise _broken(f"closed inside a head: {first_byte + error.partial!r}") from None
    first, *lines = head.decode("latin-1").split("\r\n")
    matched = _REQUEST_LINE.fullmatch(first)
    if not matched:
        raise _broken(f"not a request line: {first!r}")
    method, target, minor = matched.groups()
    request = Request(method, target, tuple(map(_field, lines)), b"", f"1.{minor}")
    length = _length(request, minor)
    if length is not None:
        bodies.take(length, length)
    if (request.header("expect") or "").lower() == "100-continue":
        write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        body = await (_chunks(reader, bodies) if length is None else reader.readexactly(length))
    except asyncio.IncompleteReadError:
        raise _broken("closed inside a body") from None
    return replace(request, body=body)


def _broken(what: str) -> UnreadableRequestError:
    return UnreadableRequestError(f"the request broke HTTP: {what}")


async def _until(reader: asyncio.StreamReader, end: bytes, what: str) -> bytes:
    try:
        return (await reader.readuntil(end)).removesuffix(end)
    except asyncio.LimitOverrunError:
        raise _broken(f"{what} without an end") from None


def _field(line: str) -> tuple[str, str]:
    matched = _FIELD_LINE.fullmatch(line)
    if not matched:
        raise _broken(f"not a header: {line!r}")
    return matched[1], matched[2]


def _length(request: Request, minor: str) -> int | None:
    """Return the length of the body in bytes, or None when it comes in chunks (RFC 9112, section 6)."""
    hosts = [value for name, value in request.headers if name.lower() == "host"]
    if minor == "1" and len(hosts) != 1:
        raise _broken(f"{len(hosts)} Host headers in place of one")
    coding, length = request.header("transfer-encoding"), request.header("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or minor == "0":
            raise _broken(f"Transfer-Encoding {coding!r} in HTTP/1.{minor}")
        if length is not None:
            raise _broken("Content-Length beside Transfer-Encoding")
        return None
    if length is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,12}", length):
        raise _broken(f"not a Content-Length: {length!r}")
    return int(length)


async def _chunks(reader: asyncio.StreamReader, bodies: Bodies) -> bytes:
    body = bytearray()
    while True:
        line = (await _until(reader, b"\r\n", "the size of a chunk")).decode("latin-1")
        matched = _CHUNK_LINE.fullmatch(line)
        if not matched:
            raise _broken(f"not the size of a chunk: {line!r}")
        size = int(matched[1], 16)
        if size == 0:
            break
        bodies.take(size, len(body) + size)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise _broken("a chunk that does not end where it says")
    while line := (await _until(reader, b"\r\n", "a trailer")).decode("latin-1"):
        _field(line)
    return bytes(body)

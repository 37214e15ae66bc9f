"""Reading one HTTP/1.1 request from a stream, and keeping it as it came.

May enter: what a client sends. Only as much of RFC 9112 as clients use: a head, a body of known
length or in chunks. Written by hand because the player needs the bytes, not a framework's view.
"""

from __future__ import annotations

import asyncio

from botticelli.kit.seen import Request


class UnreadableRequestError(Exception):
    """The client sent what is not an HTTP/1.1 request."""


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """Read the next request; None when the client has closed instead.

    Raises:
        UnreadableRequestError: What came is not a request.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise UnreadableRequestError(f"closed inside a head: {error.partial[:80]!r}") from None
        return None
    except asyncio.LimitOverrunError:
        raise UnreadableRequestError("a head without an end") from None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise UnreadableRequestError(f"not a request line: {first[:80]!r}")
    headers = tuple(_header(line) for line in lines)
    request = Request(parts[0], parts[1], headers, b"")
    if (request.header("expect") or "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        body = await _body(request, reader)
    except (ValueError, asyncio.IncompleteReadError) as error:
        raise UnreadableRequestError(f"a body without its end: {error}") from None
    return Request(parts[0], parts[1], headers, body)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or name != name.strip():
        raise UnreadableRequestError(f"not a header: {line[:80]!r}")
    return name, value.strip(" \t")


async def _body(request: Request, reader: asyncio.StreamReader) -> bytes:
    if (request.header("transfer-encoding") or "").lower() != "chunked":
        return await reader.readexactly(int(request.header("content-length") or 0))
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers say nothing that a case asks for
    return bytes(body)

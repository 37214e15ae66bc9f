"""Decode content codings: compressed bytes in, plain bytes out. Pure.

httpx's own decoders accept a compressed body that is truncated, so that the missing text is lost without an
error; these raise.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

from botticelli.core.errors import MalformedResponseError
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.limits import too_much

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACCEPTED", "Body", "Decoder", "decoder"]

ACCEPTED = "gzip, deflate"
"""The codings to ask for in a whole response; none for a stream, as compressors delay events
(headers-stream-not-compressed)."""


class Decoder(Protocol):
    """Decodes one content coding."""

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes.

        Raises:
            MalformedResponseError: They aren't valid in this coding.
        """
        ...

    def finish(self) -> None:
        """End the input.

        Raises:
            MalformedResponseError: The encoded data is incomplete.
        """
        ...


MOST = 128 << 20
"""The most bytes that one piece of a body may decode to: zlib's best ratio is 1000, and a read has 64 KiB."""


class _Plain:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> None:
        return


class _Zlib:
    """Decodes gzip (any number of members) and deflate (with or without a zlib header; servers send both)."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if coding == "gzip" else None
        self._first_bytes = b""
        self._has_input = False

    def feed(self, data: bytes) -> bytes:
        if self._inflate is None:
            self._first_bytes += data
            if len(self._first_bytes) < 2:
                return b""
            data = self._first_bytes
            has_header = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, 2.2
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        pieces: list[bytes] = []
        remaining = MOST
        inflate = self._inflate
        try:
            while data:
                if inflate.eof:
                    if self._coding != "gzip" or not data.strip(b"\0"):
                        break  # data after deflate is ignored; gzip may be padded with zeros
                    inflate = self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
                pieces.append(inflate.decompress(data, remaining))
                self._has_input = True
                remaining -= len(pieces[-1])
                if inflate.unconsumed_tail or remaining <= 0:
                    problem = f"one piece expands to more than {MOST >> 20} MiB"
                    raise MalformedResponseError(f"{self._coding} body rejected: {problem}", path="body")
                data = inflate.unused_data
        except zlib.error as error:
            problem = str(error)
        else:
            return b"".join(pieces)
        raise MalformedResponseError(f"the body isn't valid {self._coding}: {problem}", path="body")

    def finish(self) -> None:
        unfinished = self._has_input and self._inflate is not None and not self._inflate.eof
        if unfinished or (self._first_bytes and self._inflate is None):
            raise MalformedResponseError(f"the {self._coding} body ends in the middle", path="body")


class _Chain:
    """Decodes several codings; the one that was applied last comes first."""

    def __init__(self, steps: list[Decoder]) -> None:
        self._steps = steps

    def feed(self, data: bytes) -> bytes:
        for step in self._steps:
            data = step.feed(data)
        return data

    def finish(self) -> None:
        for step in self._steps:
            step.finish()


def decoder(headers: Mapping[str, str]) -> Decoder:
    """Return the decoder for a response with these headers.

    Raises:
        MalformedResponseError: The response has a coding that isn't supported.
    """
    codings = [name.strip().lower() for name in headers.get("content-encoding", "").split(",")]
    steps: list[Decoder] = []
    for coding in reversed(codings):
        match coding.removeprefix("x-"):
            case "" | "identity" | "none" | "utf-8":
                continue
            case "gzip" | "deflate" as known:
                steps.append(_Zlib(known))
            case _:
                raise MalformedResponseError(
                    f"the body is in the content coding {coding!r}, which wasn't asked for",
                    path="content-encoding",
                    hint=f"this driver reads {ACCEPTED}",
                )
    if not steps:
        return _Plain()
    return steps[0] if len(steps) == 1 else _Chain(steps)


class Body:
    """Collects a body and decodes it, up to a limit.

    Attributes:
        full: Whether the received or the decoded bytes exceed the limit; the rest need not be read.
    """

    __slots__ = ("_decoder", "_limit", "_pieces", "_received", "_size", "full")

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        """Begin a body of at most `limit` bytes, both as received and after decoding.

        Raises:
            MalformedResponseError: See `decoder`.
        """
        self._decoder = decoder(headers)
        self._limit = limit
        self._pieces: list[bytes] = []
        self._received = self._size = 0
        self.full = False

    def feed(self, piece: bytes) -> None:
        """Take the next bytes as received."""
        plain = self._decoder.feed(piece)
        self._received += len(piece)
        self._size += len(plain)
        if plain:
            self._pieces.append(plain)
        # what decodes to nothing, such as the bytes after the end of deflate, would else have no end
        self.full = max(self._received, self._size) > self._limit

    def cut(self) -> bytes:
        """Return the decoded bytes of a body whose end never came."""
        return b"".join(self._pieces)

    def kept(self, most: int) -> bytes:
        """Return at most the first `most` decoded bytes, without copying the rest."""
        pieces: list[bytes] = []
        for piece in self._pieces:
            if most <= 0:
                break
            pieces.append(piece[:most])
            most -= len(piece)
        return b"".join(pieces)

    def whole(self) -> bytes:
        """End the input and return the whole body.

        Raises:
            MalformedResponseError: It is longer than the limit, or the encoded data is incomplete.
        """
        if self.full:
            message = too_much("max_body_bytes", self._limit, "bytes")
            kept = self.kept(min(MAX_BODY, self._limit))
            raise MalformedResponseError(message, path=f"byte {self._limit}", body=kept)
        self._decoder.finish()
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole

"""Content codings: compressed bytes in, plain bytes out. Pure.

httpx's own decoders take a compressed body that was cut short for a whole one, and its text is then lost
without an error; these don't.
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
"""What a whole answer may come in; a stream is asked for plain, for a compressor holds events back."""


class Decoder(Protocol):
    """Turns the bytes of a coding into those it stands for."""

    def feed(self, data: bytes) -> bytes:
        """The next bytes.

        Raises:
            MalformedResponseError: They aren't of the coding.
        """
        ...

    def finish(self) -> None:
        """The input is at its end.

        Raises:
            MalformedResponseError: The coding isn't.
        """
        ...


MOST = 128 << 20
"""Bytes that one piece of a body may become: zlib's best ratio is a thousand, of the 64 KiB of a read."""


class _Plain:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> None:
        return


class _Zlib:
    """gzip (of any number of members) and deflate, which servers send with and without zlib's frame."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if coding == "gzip" else None
        self._held = b""
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        if self._inflate is None:
            self._held += data
            if len(self._held) < 2:
                return b""
            data = self._held
            framed = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, 2.2
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
        pieces: list[bytes] = []
        room = MOST
        inflate = self._inflate
        try:
            while data:
                if inflate.eof:
                    if self._coding != "gzip" or not data.strip(b"\0"):
                        break  # nothing follows deflate; zeros may pad gzip
                    inflate = self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
                pieces.append(inflate.decompress(data, room))
                self._begun = True
                room -= len(pieces[-1])
                if inflate.unconsumed_tail or room <= 0:
                    problem = f"one piece of it becomes more than {MOST >> 20} MiB"
                    raise MalformedResponseError(f"the {self._coding} body is a bomb: {problem}", path="body")
                data = inflate.unused_data
        except zlib.error as error:
            problem = str(error)
        else:
            return b"".join(pieces)
        raise MalformedResponseError(f"the body isn't the {self._coding} it says: {problem}", path="body")

    def finish(self) -> None:
        unfinished = self._begun and self._inflate is not None and not self._inflate.eof
        if unfinished or (self._held and self._inflate is None):
            raise MalformedResponseError(f"the {self._coding} body ends in the middle", path="body")


class _Chain:
    """Several codings, the last one applied undone first."""

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
    """The decoder for an answer with these headers.

    Raises:
        MalformedResponseError: The answer has a coding that wasn't asked for and can't be undone.
    """
    codings = [word.strip().lower() for word in headers.get("content-encoding", "").split(",")]
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
    """A body that is collected: decoded as it comes, up to a limit.

    Attributes:
        full: Whether the limit is passed, by what was received or by what became of it; the rest need not be
            read.
    """

    __slots__ = ("_decoder", "_limit", "_pieces", "_received", "_size", "full")

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        """Begin a body of at most `limit` bytes, after decoding.

        Raises:
            MalformedResponseError: See `decoder`.
        """
        self._decoder = decoder(headers)
        self._limit = limit
        self._pieces: list[bytes] = []
        self._received = self._size = 0
        self.full = False

    def feed(self, piece: bytes) -> None:
        """The next bytes as received."""
        plain = self._decoder.feed(piece)
        self._size += len(plain)
        if plain:
            self._pieces.append(plain)
        # what follows the end of a coding becomes nothing, however much comes
        self._received += len(piece)
        self.full = max(self._size, self._received) > self._limit

    def cut(self) -> bytes:
        """What there is of a body whose end never came."""
        return b"".join(self._pieces)

    def kept(self, most: int) -> bytes:
        """What there is so far, up to so many bytes, without a copy of the rest."""
        pieces: list[bytes] = []
        for piece in self._pieces:
            if most <= 0:
                break
            pieces.append(piece[:most])
            most -= len(piece)
        return b"".join(pieces)

    def whole(self) -> bytes:
        """The whole of it, once the input is at its end.

        Raises:
            MalformedResponseError: It is longer than the limit, or a coding ends in the middle.
        """
        if self.full:
            message = too_much("max_body_bytes", self._limit, "bytes")
            kept = self.kept(min(MAX_BODY, self._limit))
            raise MalformedResponseError(message, path=f"byte {self._limit}", body=kept)
        self._decoder.finish()
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole

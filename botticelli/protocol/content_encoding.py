"""Content codings: compressed bytes in, plain bytes out. Pure.

httpx's own decoders take a compressed body that was cut short for a whole one, and its text is then lost
without an error; these don't.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

from botticelli.core.errors import MalformedResponseError

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
        full: Whether the limit is reached; the rest need not be read.
    """

    __slots__ = ("_decoder", "_limit", "_pieces", "_received", "_size", "full")

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        """Begin a body of at most `limit` bytes, as received and after decoding.

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
        self._received += len(piece)
        self._size += len(plain)
        if plain:
            self._pieces.append(plain)
        # what decodes to nothing, such as the bytes after the end of deflate, would else have no end
        self.full = max(self._received, self._size) > self._limit

    def kept(self) -> bytes:
        """What there is so far, up to the limit."""
        return b"".join(self._pieces)[: self._limit]

    def whole(self) -> bytes:
        """The whole of it, once the input is at its end.

        Raises:
            MalformedResponseError: It is longer than the limit, or a coding ends in the middle.
        """
        if self.full:
            raise MalformedResponseError(
                f"the answer is longer than {self._limit} bytes", path=f"byte {self._limit}", body=self.kept()
            )
        self._decoder.finish()
        return b"".join(self._pieces)

"""Where an answer ends among the bytes of its HTTP/1.1 connection. Pure.

What comes beyond the end belongs to no request, and an HTTP client that uses the connection again takes it
for the next one's answer. So it may be used again only if its last byte was the answer's last.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

__all__ = ["AnswerEnd"]

_Part: TypeAlias = Literal["idle", "sent", "head", "chunk", "trailer", "end", "unknown"]

_LONGEST: Final = 1 << 17
"""Bytes that a head or a chunk's line may have; h11 and httpcore take less."""

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3})\b")
_CHUNKED = re.compile(rb"\ntransfer-encoding:[ \t]*chunked[ \t]*\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*(?=\r?\n)")
_SIZE_LINE = re.compile(rb"([1-9A-Fa-f][0-9A-Fa-f]{0,15})\r?\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")


class AnswerEnd:
    """Follows one answer after another on a connection.

    Where the end is unknown, there is none: in an answer that lasts until the connection closes, in one whose
    framing is broken, in another protocol.
    """

    __slots__ = ("_held", "_left", "_method", "_part")

    def __init__(self) -> None:
        self._part: _Part = "idle"
        self._method = b""
        self._left = 0
        self._held: bytes = b""

    @property
    def clean(self) -> bool:
        """Whether nothing has come but whole answers; so too before any request."""
        return self._part in ("idle", "end") and not self._left

    def send(self, data: bytes) -> None:
        """Take the next bytes of a request. The first ones after an answer's begin the next request."""
        if self._part != "sent":
            self._part, self._left, self._held = "sent", 0, b""
            self._method = data[:8].partition(b" ")[0]

    def feed(self, data: bytes) -> None:
        """Take the next bytes of an answer."""
        if len(data) < self._left:
            self._left -= len(data)
            return
        at, self._left = self._left, 0
        if self._part == "sent":
            self._part = "head"
        if self._held:
            data, self._held = self._held + data, b""
        while at < len(data):
            if self._part == "chunk":
                at = _skip_chunks(data, at)
                if at >= len(data):
                    self._left = at - len(data)
                    return
            end = self._line_end(data, at)
            if end < 0:
                self._held = data[at:]
                break
            at = end + self._take(data[at:end])
        self._left = max(at - len(data), 0)
        if len(self._held) > _LONGEST:
            self._part, self._held = "unknown", b""

    def _line_end(self, data: bytes, at: int) -> int:
        """Return where the lines end that are read next, or -1."""
        if self._part == "head":
            found = _BLANK_LINE.search(data, at)
            return found.end() if found else -1
        if self._part in ("chunk", "trailer"):
            return data.find(b"\n", at) + 1 or -1
        return len(data)

    def _take(self, line: bytes) -> int:
        """Read a head or a line, and return how many bytes follow that are neither."""
        match self._part:
            case "head":
                return self._head(line)
            case "chunk":
                return self._chunk(line)
            case "trailer" if line in (b"\r\n", b"\n"):
                self._part = "end"
            case "trailer":
                pass
            case _:
                self._part = "unknown"
        return 0

    def _head(self, head: bytes) -> int:
        """Read a head, and return how many bytes of a body follow it."""
        found = _STATUS.match(head)
        status = int(found[1]) if found else 101
        if status == 101 or (self._method == b"CONNECT" and status < 300):
            self._part = "unknown"
            return 0
        if status < 200:
            return 0
        self._part = "end"
        if status in (204, 304) or self._method == b"HEAD":
            return 0
        lower = head.lower()
        if _CHUNKED.search(lower):
            self._part = "chunk"
            return 0
        lengths = set(_LENGTH.findall(lower))
        if len(lengths) == 1:
            return int(lengths.pop())
        self._part = "unknown"
        return 0

    def _chunk(self, line: bytes) -> int:
        """Read a chunk's first line, and return how many bytes follow it."""
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            self._part = "unknown"
            return 0
        size = int(found[1], 16)
        if size == 0:
            self._part = "trailer"
            return 0
        return size + 2


def _skip_chunks(data: bytes, at: int) -> int:
    """Return where the first chunk begins, after `at`, whose line isn't just a size above 0.

    The place may be beyond the data. This is the loop of every stream.
    """
    while found := _SIZE_LINE.match(data, at):
        at = found.end() + int(found[1], 16) + 2
    return at

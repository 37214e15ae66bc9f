"""What goes over a listener's connections, in both directions, as it comes: the evidence of a failure.

Pieces are kept as they are handed over, without a copy, so that a case that passes costs next to nothing.
Memory is bounded: of each direction of a connection the first and the last bytes are kept, and what lies
between them is counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CONNECTIONS", "FIRST", "LAST", "Line", "Piece", "Side", "Transcript"]

FIRST = 16 << 10
"""Bytes kept from the beginning of each direction of a connection."""

LAST = 4 << 10
"""Bytes kept from its end."""

CONNECTIONS = 64
"""Connections whose bytes are kept; of further ones nothing is. No case needs more than a few."""

_PIECES = 1000  # kept of a beginning or an end, as bytes that come one by one cost far more than themselves

Side: TypeAlias = Literal["client", "server"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that was seen on a connection.

    Attributes:
        at: Seconds since the listener was opened.
        connection: Number of the connection, from 0.
        side: Who sent it, or did it.
        data: The bytes; empty where none are kept.
        omitted: How many bytes stood here that aren't kept.
        event: What happened in place of bytes: ``open``, ``close`` or ``reset``; else empty.
    """

    at: float
    connection: int
    side: Side
    data: bytes = b""
    omitted: int = 0
    event: str = ""


@dataclass
class _Direction:
    """What one side of a connection sent. Each piece comes with its place in the order of all."""

    first: list[tuple[int, Piece]] = field(default_factory=list[tuple[int, Piece]])
    last: deque[tuple[int, Piece]] = field(default_factory=deque[tuple[int, Piece]])
    room: int = FIRST
    held: int = 0
    left_out: tuple[int, Piece] | None = None

    def add(self, place: int, piece: Piece) -> None:
        if self.room and len(self.first) < _PIECES:
            begun = piece.data[: self.room]  # the same object, if all of it fits
            self.room -= len(begun)
            self.first.append((place, _with(piece, begun)))
            piece = _with(piece, piece.data[len(begun) :])
        else:
            self.room = 0
        if piece.data:
            self.last.append((place, piece))
            self.held += len(piece.data)
            self._trim()

    def _trim(self) -> None:
        while self.held > LAST or len(self.last) > _PIECES:
            place, oldest = self.last.popleft()
            surplus = len(oldest.data) if len(self.last) >= _PIECES else self.held - LAST
            kept = oldest.data[surplus:]
            self.held -= len(oldest.data) - len(kept)
            before = self.left_out or (place, Piece(oldest.at, oldest.connection, oldest.side))
            omitted = before[1].omitted + len(oldest.data) - len(kept)
            self.left_out = (before[0], Piece(before[1].at, oldest.connection, oldest.side, omitted=omitted))
            if kept:
                self.last.appendleft((place, _with(oldest, kept)))

    def pieces(self) -> list[tuple[int, Piece]]:
        return [*self.first, *([self.left_out] if self.left_out else ()), *self.last]


def _with(piece: Piece, data: bytes) -> Piece:
    return piece if data is piece.data else Piece(piece.at, piece.connection, piece.side, data)


class Line:
    """Notes what one connection carries. Made by :meth:`Transcript.line`."""

    def __init__(self, transcript: Transcript, number: int) -> None:
        self._transcript = transcript
        self._number = number
        self._sides: dict[Side, _Direction] = {"client": _Direction(), "server": _Direction()}
        self._events: list[tuple[int, Piece]] = []
        self._ended: set[Side] = set()

    def sent(self, side: Side, data: bytes) -> None:
        """Note bytes of one side."""
        if data:
            place, at = self._transcript.next()
            self._sides[side].add(place, Piece(at, self._number, side, data))

    def did(self, side: Side, event: str) -> None:
        """Note an event. After its end a side has no other, nor has the client after the server's."""
        if side not in self._ended and not (side == "client" and "server" in self._ended):
            place, at = self._transcript.next()
            self._events.append((place, Piece(at, self._number, side, event=event)))
            if event != "open":
                self._ended.add(side)

    def pieces(self) -> list[tuple[int, Piece]]:
        """Return everything noted, each with its place in the order of all connections."""
        return [*self._events, *self._sides["client"].pieces(), *self._sides["server"].pieces()]


class Transcript:
    """Notes what all connections of one listener carry.

    Args:
        clock: Returns seconds; those of the first use count as 0.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._count = 0
        self._lines: list[Line] = []

    def line(self, number: int) -> Line:
        """Return what notes a new connection; those after :data:`CONNECTIONS` aren't kept."""
        line = Line(self, number)
        if len(self._lines) < CONNECTIONS:
            self._lines.append(line)
        return line

    def next(self) -> tuple[int, float]:
        """Return the place and the time of what is noted now."""
        self._count += 1
        return self._count, self._clock() - self._began

    def pieces(self) -> tuple[Piece, ...]:
        """Return everything noted so far, in order."""
        placed = [piece for line in self._lines for piece in line.pieces()]
        return tuple(piece for _, piece in sorted(placed, key=lambda one: one[0]))

"""What the server says in a case, so that the judge can tell what a client has made up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botticelli.kit.cases.script import Pause, piece_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botticelli.kit.cases.formats import Context
    from botticelli.kit.cases.script import Piece

__all__ = ["Sent"]

_INSIDE = ("of", "join", "half", "gzip", "br")
_LOGPROBS = re.compile(rb"logprobs(?!\"\s*:\s*null)")
_LIMITS = re.compile(rb"rate-?limit", re.IGNORECASE)


@dataclass(frozen=True)
class Sent:
    """All that the exchanges of a case say: heads and bodies, each piece once and not compressed.

    Attributes:
        words: The bytes.
        opaque: There are pieces in hexadecimal or Base64, which may say anything.
        endless: An answer is played that never ends, so that no outcome can hold the whole of it.
    """

    words: bytes
    opaque: bool = False
    endless: bool = False

    @classmethod
    def of(cls, exchanges: Sequence[Piece], context: Context) -> Sent:
        """Collect what the exchanges say."""
        pieces = [*_pieces(exchanges)]
        words = b"\n".join(_said(pieces, context))
        heads = [f"{name}: {value}".encode() for one in exchanges for name, value in one.get("headers", ())]
        return cls(
            b"\n".join((*heads, words)),
            opaque=any("hex" in piece or "base64" in piece for piece in pieces),
            endless=any("hold" in piece for piece in pieces),
        )

    def says(self, text: str) -> bool:
        """Tell whether a text may stand somewhere in what was sent."""
        return self.opaque or text.encode("utf-8", "replace") in self.words

    @property
    def logprobs(self) -> bool:
        """Whether log probabilities may have been sent."""
        return self.opaque or bool(_LOGPROBS.search(self.words))

    @property
    def rate_limits(self) -> bool:
        """Whether something about rate limits may have been sent."""
        return self.opaque or bool(_LIMITS.search(self.words))


def _pieces(exchanges: Sequence[Piece]) -> Iterator[Piece]:
    """Yield the pieces of all exchanges, of those that hold others the inner ones."""

    def inner(piece: Piece) -> Iterator[Piece]:
        name = next((name for name in _INSIDE if name in piece), None)
        if name is None:
            yield piece
        else:
            for one in piece[name]:
                yield from inner(one)

    for exchange in exchanges:
        for piece in exchange.get("body", exchange.get("raw", [])):
            yield from inner(piece)
        yield from _pieces(exchange.get("beyond", ()))


def _said(pieces: Sequence[Piece], context: Context) -> Iterator[bytes]:
    for piece in pieces:
        yield from (step for step in piece_steps(piece, context) if not isinstance(step, Pause))

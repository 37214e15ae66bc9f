"""Collect text that comes in small pieces, without much more memory than the text takes."""

from __future__ import annotations

from typing import Final

__all__ = ["TextBuffer"]

_STEPS: Final = 64
"""In how many steps a text is put together: enough for the loop to get warm, too few for copies to matter."""


class TextBuffer:
    """Collect text that grows by small pieces.

    A million pieces of five characters weigh ten times their text as a list of strings. So the owner calls
    `compact` now and then, which joins the pieces to blocks, and `take` joins the blocks a few at a time,
    letting go of each: CPython grows a string in place, so that the peak is the text once, and a little.
    Where it can't (under a tracer), the text is copied as often as there are steps, which stays linear.

    Attributes:
        append: Takes the next piece; as cheap as a list's own.
    """

    __slots__ = ("_blocks", "_pieces", "append")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []
        self.append = self._pieces.append

    def __bool__(self) -> bool:
        return any(self._pieces) or any(self._blocks)

    def compact(self) -> None:
        """Join the pieces that came since the last time."""
        if self._pieces:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    def value(self) -> str:
        """Return the text so far."""
        return "".join(self._blocks) + "".join(self._pieces)

    def take(self) -> str:
        """Return the text and leave the buffer empty."""
        self.compact()
        blocks, text = self._blocks[::-1], ""
        self._blocks.clear()
        size = len(blocks) // _STEPS + 1
        # not `while blocks`: CPython 3.11 doesn't specialise such a loop, and an unspecialised += copies
        for _ in range(0, len(blocks), size):
            some = blocks[: -size - 1 : -1]
            del blocks[-size:]
            text += "".join(some)
        return text

"""Text that grows by small pieces, for little memory. Nothing else."""

from __future__ import annotations

__all__ = ["TextBuffer"]


class TextBuffer:
    """Text that grows by small pieces.

    A million pieces of five characters weigh ten times their text as a list of strings. So the owner calls
    `compact` now and then, which joins the pieces to blocks, and `take` joins the blocks one by one into a
    string that CPython grows in place: the peak is the text once, and a block.

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
        """Join what came since the last time."""
        if self._pieces:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    def value(self) -> str:
        """The text so far."""
        return "".join(self._blocks) + "".join(self._pieces)

    def take(self) -> str:
        """The text, leaving the buffer empty."""
        self.compact()
        blocks, text = self._blocks[::-1], ""
        self._blocks.clear()
        while blocks:
            text += blocks.pop()
        return text

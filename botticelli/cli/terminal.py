"""What the commands share: reading a file, printing a table, checking a number."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Commands",
    "UsageError",
    "bytes_of",
    "in_one_line",
    "print_table",
    "visible",
    "visible_json",
    "whole_number",
]


_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f]")
"""Control characters: a server's words could steer the terminal or break a table with them."""
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""The same without the line end and the tab, which belong to a text."""


class UsageError(Exception):
    """The user's input can't be used; the message is one line."""


class Commands(Protocol):
    """The result of `add_subparsers`, for which argparse has no public name."""

    def add_parser(
        self,
        name: str,
        *,
        help: str | None = None,  # noqa: A002 -- argparse's own word
        description: str | None = None,
    ) -> argparse.ArgumentParser:
        """Add the parser of one command."""
        ...


def bytes_of(file: str) -> bytes:
    """Return the bytes of a file, or of standard input for ``-``.

    Raises:
        UsageError: It can't be read.
    """
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file or repr(file)} can't be read: {error.strerror or error}") from None


def in_one_line(text: str) -> str:
    """Return the text on one line, with its control characters replaced."""
    return _UNPRINTABLE.sub("\ufffd", " ".join(text.splitlines()))


def visible(text: str) -> str:
    """Return a server's text with its control characters made visible, but for line ends and tabs.

    They could set a terminal's title, clear it, or type into it; in a pipe, too, for it may end in one.
    """
    return _STEERING.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def visible_json(text: str) -> str:
    """Return a JSON text with all of its control characters escaped, which JSON asks of some only."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, those of numbers to the right; empty columns are left out."""
    lines = [head, *([_UNPRINTABLE.sub("\ufffd", cell) for cell in row] for row in rows)]
    columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
    wide = [max(map(len, column)) for column in columns]
    numeric = [all(not cell or cell.replace(".", "").isdigit() for cell in column[1:]) for column in columns]
    for line in zip(*columns, strict=True):
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, wide, numeric, strict=True)
        )
        print("  ".join(cells).rstrip())


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return an argparse type for a whole number in a range."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return value

    return number

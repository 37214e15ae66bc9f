"""What a terminal is told beside the report: colour, and how far a run has come.

May enter: a stream, the environment variables that speak of colour, results on their way. Rich is
imported only for a terminal.
"""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from botticelli.kit.runner import Result

_CODES = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}


def painter(out: TextIO) -> Callable[[str, str], str]:
    """Return what paints a text in a style, or leaves it alone where colour is not wanted.

    In the order of CPython and no-color.org: ``NO_COLOR`` forbids it, ``FORCE_COLOR`` demands it,
    ``TERM=dumb`` and what is no terminal have none.
    """
    if os.environ.get("NO_COLOR") or not (os.environ.get("FORCE_COLOR") or _moves(out)):
        return lambda text, _style: text
    return lambda text, style: f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style else text


def _moves(out: TextIO) -> bool:
    """Tell whether there is a terminal that obeys escapes."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


def watch(
    results: Iterable[Result], total: int, title: str, out: TextIO, *, after: float = 1.0
) -> Iterator[Result]:
    """Pass results on, with a progress bar if there is a terminal and it takes a while.

    Args:
        results: As they come.
        total: How many will come.
        title: Of the bar.
        out: The stream.
        after: Seconds without a bar: what is over at once needs none.
    """
    if not _moves(out) or find_spec("rich") is None:
        yield from results
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    progress = Progress(*columns, console=Console(file=out), transient=True)
    task, start = progress.add_task(title, total=total), time.monotonic()
    try:
        for result in results:
            progress.advance(task)
            if time.monotonic() - start >= after:
                progress.start()  # again does nothing
            yield result
    finally:
        progress.stop()

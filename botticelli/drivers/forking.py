"""What a forked child does first: nothing of a parent's connections and locks is of use to it.

A connection that both went on using would give one of them the other's answers.
"""

from __future__ import annotations

import contextlib
import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["Inherited", "at_fork"]


class Inherited(Protocol):
    """What a child inherits and can't use as it is."""

    def forked(self) -> None:
        """Begin anew, in the child, whose only thread this is."""
        ...


_inherited: WeakSet[Inherited] = WeakSet()


def at_fork(thing: Inherited) -> None:
    """Have `forked` called in a child, for as long as the thing lives."""
    _inherited.add(thing)


def _begin_anew() -> None:
    for thing in list(_inherited):
        with contextlib.suppress(Exception):  # what can't be let go must not keep the others from it
            thing.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)

"""The kit's own errors: what is wrong with a case, an adapter or a baseline, never with a driver.

What a driver does wrong is a verdict (judge.py), not an exception.

    KitError
    ├── CaseError      a case file cannot be read, breaks its schema, or cannot be played
    ├── BaselineError  the list of known failures cannot be read or names what is not there
    └── AdapterError      no driver behind the adapter: cannot be imported, started or greeted
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class KitError(Exception):
    """Anything the kit cannot go on with; the message is one line for the user."""


class CaseError(KitError):
    """A case, or a file of them, that cannot be used."""


class BaselineError(KitError):
    """A baseline file that cannot be used."""


class AdapterError(KitError):
    """A driver that cannot be reached through its adapter."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return what to add to a complaint about an unknown word: the one that was probably meant, if any."""
    found = get_close_matches(word, sorted(known), 1)
    return f"; did you mean {found[0]}?" if found else ""

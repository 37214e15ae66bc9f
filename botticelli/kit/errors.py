"""The kit's own errors: something is wrong with a case, an adapter, a baseline or an endpoint.

What a driver does wrong isn't an exception but a verdict (judge/verdict.py).

    KitError
    ├── CaseError      a case file can't be read, breaks its schema or can't be played
    ├── BaselineError  the list of known failures can't be read or names an unknown case
    ├── AdapterError   the adapter can't be imported, started or greeted, or isn't one
    └── EndpointError  the endpoint can't be judged at all
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


__all__ = ["AdapterError", "BaselineError", "CaseError", "EndpointError", "KitError", "nearest"]


class KitError(Exception):
    """The kit can't go on; the message is one line for the user."""


class CaseError(KitError):
    """A case or case file can't be used."""


class BaselineError(KitError):
    """The baseline file can't be used."""


class AdapterError(KitError):
    """The driver can't be reached through its adapter."""


class EndpointError(KitError):
    """The endpoint can't be judged at all; the message is one line for the user."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a suggestion to end a message about an unknown word with, or an empty text."""
    found = get_close_matches(word, sorted(known), 1)
    return f"; did you mean {found[0]}?" if found else ""

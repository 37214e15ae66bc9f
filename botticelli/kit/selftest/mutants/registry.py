"""The list of mutants, and how one is put on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botticelli.kit.judge.gravity import Gravity

__all__ = ["MUTANTS", "Kills", "killed_by"]

Kills: TypeAlias = "Mapping[str, tuple[Gravity, str]]"
"""Cases that catch a mutant, each with the gravity and the first path that the judge reports."""

MUTANTS: dict[type[ReferenceClient], Kills] = {}
"""Every mutant, with the cases that exist for its mistake."""

T = TypeVar("T", bound=type[ReferenceClient])


def killed_by(expected: Kills) -> Callable[[T], T]:
    """Register a mutant in :data:`MUTANTS`.

    Args:
        expected: The cases that exist for its mistake; each with the gravity that the judge must find, and
            where.
    """

    def register(client: T) -> T:
        MUTANTS[client] = expected
        return client

    return register

"""Versions of the suite, as numbers with points."""

from __future__ import annotations

__all__ = ["version_key"]


def version_key(version: str) -> tuple[int, ...]:
    """Return a version as numbers, so that versions compare: 1.10 comes after 1.9, and 1.0 is 1."""
    numbers = [int(part) for part in version.split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)

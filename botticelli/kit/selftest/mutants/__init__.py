"""Mutants: the reference client with one thing done wrong each, to show that the judge notices.

Every mistake is one that real clients make; where it was reported, the docstring says where. A test compares
the declared cases, gravities and paths with what really happens. Try one:
``botticelli check driver botticelli.kit.selftest.mutants.bodies:SumsUsage``.
"""

from botticelli.kit.selftest.mutants import (
    answers,
    bodies,
    characters,
    connections,
    content,
    endings,
    errors,
    requests,
    streams,
    tools,
)
from botticelli.kit.selftest.mutants.registry import MUTANTS

__all__ = [
    "MUTANTS",
    "answers",
    "bodies",
    "characters",
    "connections",
    "content",
    "endings",
    "errors",
    "requests",
    "streams",
    "tools",
]

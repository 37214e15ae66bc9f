"""How grave a difference is."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Gravity"]


class Gravity(StrEnum):
    """What is wrong with a client, gravest first.

    Silent success is the gravest, because nobody will ever know. A hang is at least noticed, a crash
    explains itself, and a typed error can be handled. A leak stands apart: a verdict with one is a leak,
    whatever else is wrong, because a key that got out has to be replaced.
    """

    SILENT = "silent"
    """Wrong, lost or invented content and no error that says so: in an answer, or in the request that was
    sent. It is never concluded from timing alone."""
    HANG = "hang"
    """No outcome in time, or a limit that the caller set and the client didn't keep."""
    CRASH = "crash"
    """An exception outside the client's own error classes, a dead process, or an outcome that breaks its
    schema. The last is the adapter's mistake; as after a crash, there is nothing that can be judged."""
    LEAK = "leak"
    """The API key is sent, shown or kept where it doesn't belong, in whatever spelling."""
    REFUSED = "refused"
    """An error where an answer was due, or one that loses what had been delivered before it."""
    IMPRECISE = "imprecise"
    """The content is right; the kind or the words of an error, or something reported beside the content,
    isn't. Nor is a request that asks for the right thing in a wrong way."""

    @property
    def rank(self) -> int:
        """Place in the order; 0 is the gravest."""
        return list(Gravity).index(self)

"""What an adapter is: how the kit calls the driver that it judges.

An adapter turns a neutral call into a neutral outcome, both JSON (contracts/kit/call.schema.json and
outcome.schema.json). In Python it is an object with ``capabilities`` and ``exchange``; a program in another
language speaks JSON lines (process.py).
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard, runtime_checkable

from botticelli.kit.errors import AdapterError, nearest
from botticelli.kit.schemas import capabilities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from botticelli.contracts.jsonvalue import Document

__all__ = [
    "OLD_WORDS",
    "Adapter",
    "AsyncAdapter",
    "check_capabilities",
    "claims_of",
    "is_async",
    "said_version",
]

OLD_WORDS: Final = {
    "timeouts": frozenset({"pool_timeout", "connect_timeout", "first_byte_timeout", "idle_timeout"})
}
"""Capabilities that were split, each with those that it stands for; the report names them."""


@runtime_checkable
class Adapter(Protocol):
    """A driver as the kit calls it. ``exchange`` is called from several threads at once.

    An exception that isn't one of the driver's own error classes must be let through: it is judged as a
    crash.
    """

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do: the operations, and words of ``capability`` in case.schema.json.

        Cases that need another word aren't played; what only some drivers report (``code``,
        ``finish_words``, ...) is due only where its word is declared, and of streams only the chunks are
        judged where ``assembles`` isn't. Answering `unsupported` to one that is declared fails.
        """
        ...

    def exchange(self, call: Document) -> Document:
        """Make the call and return its outcome."""
        ...


@runtime_checkable
class AsyncAdapter(Protocol):
    """The same for a driver on asyncio. ``exchange`` runs many times at once on one event loop."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do; see :class:`Adapter`."""
        ...

    def exchange(self, call: Document) -> Awaitable[Document]:
        """Make the call and return its outcome."""
        ...


def is_async(adapter: Adapter | AsyncAdapter) -> TypeGuard[AsyncAdapter]:
    """Tell whether an adapter's ``exchange`` must be awaited."""
    return inspect.iscoroutinefunction(adapter.exchange)


def check_capabilities(words: Iterable[object], name: str) -> frozenset[str]:
    """Return the capabilities that an adapter declares, if all of them exist.

    Raises:
        AdapterError: One doesn't; with a misspelt word the cases that need the right one would be skipped.
    """
    known = capabilities()
    claimed = frozenset(map(str, words))
    for word in sorted(claimed - known - OLD_WORDS.keys()):
        raise AdapterError(f"{name}: there is no capability {word!r}{nearest(word, known)}")
    return claimed


def said_version(adapter: object) -> str:
    """Return the version of the client, if the adapter tells it: a text, such as ``openai 3.57.0``."""
    found: object = getattr(adapter, "version", "")
    return found if isinstance(found, str) else ""


def claims_of(adapter: Adapter) -> frozenset[str]:
    """Return the capabilities that an adapter declares, old words as the ones that they stand for.

    The kit assembles the events of a client that hands them out, so that it is judged as one that does.
    """
    words = adapter.capabilities
    words = words.union(*(new for old, new in OLD_WORDS.items() if old in words)) - OLD_WORDS.keys()
    return words | {"assembles"} if "events" in words else words

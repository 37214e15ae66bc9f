"""Keep what a driver knows between calls: totals, prices and the newest rate limits. Safe between threads.

A call counts once one of its requests was begun, for nobody can know whether that reached the server. Tokens
count wherever the server reported them, also in a stream that was left or broken off and in a 2xx without an
answer, because they are billed. Costs are added only where both token counts and the price are known.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from botticelli.core.models import UsageTotals
from botticelli.drivers.forking import at_fork

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botticelli.core.models import Model
    from botticelli.core.response import RateLimits, Usage

__all__ = ["UsageTracker"]


class UsageTracker:
    """The totals of one driver.

    Attributes:
        rate_limits: What the newest answer's headers said, or None.
    """

    def __init__(self, catalog: Iterable[Model] = ()) -> None:
        """Begin at zero.

        Args:
            catalog: Models whose prices are known.
        """
        self._lock = threading.Lock()
        self._usage = UsageTotals()
        self._catalog = {model.id: model for model in catalog}
        self.rate_limits: RateLimits | None = None
        at_fork(self)

    def forked(self) -> None:
        """Forget who held the lock."""
        self._lock = threading.Lock()

    @property
    def usage(self) -> UsageTotals:
        """The totals so far."""
        return self._usage

    def learn(self, catalog: Iterable[Model]) -> None:
        """Take the prices of a newer list; models it doesn't name keep theirs."""
        found = {model.id: model for model in catalog}
        with self._lock:
            self._catalog = {**self._catalog, **found}

    def count(
        self, *, attempts: int, usage: Usage | None, answered: bool, model: str, provider: str | None
    ) -> None:
        """Add a call.

        Args:
            attempts: Requests it began.
            usage: What the server counted, or None.
            answered: Whether an answer (or a part) came.
            model: What was asked for, with its suffix.
            provider: Who answered, or None.
        """
        price = self._price(model, provider)
        with self._lock:
            self._usage = self._usage.add(attempts=attempts, usage=usage, answered=answered, price=price)

    def _price(self, model: str, provider: str | None) -> tuple[float, float] | None:
        entry = self._catalog.get(model)
        if entry is not None:
            return entry.price(provider)
        name, _, suffix = model.rpartition(":")
        entry = self._catalog.get(name)
        if entry is None:
            return None
        # the answer names the service that gave it; the model's suffix may name a service or a policy
        named = any(offer.provider == suffix for offer in entry.providers)
        return entry.price(provider or (suffix if named else None))

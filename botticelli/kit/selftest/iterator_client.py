"""The reference client as one that hands out the chunks of a stream: another taste of adapter for it.

:class:`ReferenceClient` puts a stream together itself and has words of its own for its end. This one hands
out what the server sent, as many libraries do. The kit's accumulator makes the answer of it, and a test holds
that the verdicts are the same.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import Document, is_object
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from botticelli.kit.selftest.reference_client import Answer

__all__ = ["IteratorClient"]


class IteratorClient(ReferenceClient):
    """Hands out chunks and raw words; claims neither ``assembles`` nor ``finish_words``."""

    capabilities = ReferenceClient.capabilities - {"assembles", "finish_words", "content"} | {"events"}

    def __init__(self) -> None:
        self._now = threading.local()

    def exchange(self, call: Document) -> Document:
        """Make a neutral call; of a stream, tell its chunks and nothing that was made of them."""
        events: list[Document] = []
        self._now.events = events
        outcome = super().exchange(call)
        if call["operation"] != "stream":
            return outcome
        if "response" in outcome:
            # A whole answer in place of a stream has no chunks; it is handed out as it is.
            return {"response": {"events": events, "final_chunks": 1}} if events else outcome
        lost: Document = {**outcome, "partial_events": events}
        del lost["partial_chunks"]
        if "error" in lost:
            lost["error"] = {**lost["error"], "partial": None}
        return lost

    def take(self, answer: Answer, event: object) -> None:
        """Keep an event as it came, once it is known not to be an error."""
        super().take(answer, event)
        if is_object(event):
            self._now.events.append(event)

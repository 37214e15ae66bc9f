"""What a case and a probe have in common: one requirement, as data in a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botticelli.contracts.jsonvalue import Document

__all__ = ["Requirement"]


@dataclass(frozen=True)
class Requirement:
    """One requirement on an implementation.

    Attributes:
        document: As in its file.
    """

    document: Document

    @property
    def id(self) -> str:
        """The slug."""
        return str(self.document["id"])

    @property
    def key(self) -> str:
        """The name in reports and baselines."""
        return self.id

    @property
    def title(self) -> str:
        """What an implementation must do, in one line."""
        return str(self.document["title"])

    @property
    def area(self) -> str:
        """The folder."""
        return str(self.document["area"])

    @property
    def level(self) -> str:
        """``must``, ``should`` or ``may``."""
        return str(self.document["level"])

    @property
    def profile(self) -> str:
        """``core``, ``tolerance``, ``hardening`` or ``provider``."""
        return str(self.document.get("profile", "core"))

    @property
    def spec(self) -> str:
        """Where the rule is written; empty when nowhere."""
        return str(self.document.get("spec", ""))

    @property
    def provenance(self) -> str:
        """What the requirement rests on."""
        return str(self.document.get("provenance", ""))

    @property
    def policy(self) -> str:
        """What we demand and why, where the format doesn't say; else empty."""
        return str(self.document.get("policy", ""))

    @property
    def cause(self) -> str:
        """What usually makes an implementation fail it; empty when that isn't known."""
        return str(self.document.get("cause", ""))

    @property
    def source(self) -> list[str]:
        """Where it was met."""
        return list(self.document["source"])

"""The version of this package, where its own modules read it without importing the package's root."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"

"""The services that a driver talks to, one file each, and the registry of their names.

A provider is a `Provider` value and two empty subclasses in a file of its own, and one line in `PROVIDERS`.
The public names, ``--provider``, the adapters for the judge, the live suite and the environment variables
follow from it.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.drivers.driver import AsyncChatDriver, ChatDriver

__all__ = ["PROVIDERS", "async_driver", "sync_driver"]

PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "huggingface": "HuggingFaceDriver",
    }
)
"""The providers' names, which are those of their modules here, and the names of their sync drivers.

The async driver's name is the same with ``Async`` before it.
"""


def sync_driver(provider: str) -> type[ChatDriver]:
    """Return a provider's sync driver, importing its module only now.

    Raises:
        KeyError: There is no such provider.
    """
    found: type[ChatDriver] = getattr(import_module(f"{__name__}.{provider}"), PROVIDERS[provider])
    return found


def async_driver(provider: str) -> type[AsyncChatDriver]:
    """Return a provider's async driver, importing its module only now.

    Raises:
        KeyError: There is no such provider.
    """
    name = f"Async{PROVIDERS[provider]}"
    found: type[AsyncChatDriver] = getattr(import_module(f"{__name__}.{provider}"), name)
    return found

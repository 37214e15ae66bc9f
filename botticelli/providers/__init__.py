"""The services that a driver talks to, one file each, and the registry of their names.

A provider is a `Provider` value and two empty subclasses in a file of its own, and one line in `PROVIDERS`.
The public names, ``--provider``, the adapters for the judge, the live suite and the environment variables
follow from it. A provider outside this package needs no line: it is named ``package.module:MyDriver``.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.drivers.driver import AsyncChatDriver, ChatDriver

__all__ = ["DEFAULT", "PROVIDERS", "async_driver", "sync_driver"]

DEFAULT: Final = "huggingface"
"""The provider that commands use if none is named."""

PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "groq": "GroqDriver",
        "huggingface": "HuggingFaceDriver",
        "ollama": "OllamaDriver",
        "openai": "OpenAIDriver",
    }
)
"""The providers' names, which are those of their modules here, and the names of their sync drivers.

The async driver's name is the same with ``Async`` before it.
"""


def sync_driver(provider: str) -> type[ChatDriver]:
    """Return a provider's sync driver, importing its module only now.

    Args:
        provider: A name in `PROVIDERS`, or ``package.module:MyDriver`` for a sync driver from elsewhere.

    Raises:
        KeyError: There is no such provider.
        ImportError: There is no such module, or it holds no such class.
    """
    found: type[ChatDriver] = _load(provider, "")
    return found


def async_driver(provider: str) -> type[AsyncChatDriver]:
    """Return a provider's async driver, importing its module only now.

    Args:
        provider: As for `sync_driver`, also where it names a sync driver from elsewhere.

    Raises:
        KeyError: There is no such provider.
        ImportError: There is no such module, or it holds no such class.
    """
    found: type[AsyncChatDriver] = _load(provider, "Async")
    return found


def _load(provider: str, prefix: str) -> type:
    module, colon, name = provider.partition(":")
    if not colon:
        module, name = f"{__name__}.{provider}", PROVIDERS[provider]
    try:
        found: type = getattr(import_module(module), f"{prefix}{name}")
    except AttributeError as error:
        raise ImportError(f"{module} holds no class {prefix}{name}") from error
    return found

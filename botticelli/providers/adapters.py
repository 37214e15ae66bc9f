"""Adapt our own drivers to the conformance kit; load one as ``botticelli.providers.adapters:groq``.

For each registered provider the module has two factories, made on first use: ``NAME`` for the sync driver and
``async_NAME`` for the async one. If ``BOTTICELLI_HTTP_LIBRARY`` is ``httpx`` or ``httpx2``, each driver is
given a client of that library, in the way that a user may give it one.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from botticelli.drivers.conformance import AsyncChatAdapter, ChatAdapter
from botticelli.providers import PROVIDERS, async_driver, sync_driver

if TYPE_CHECKING:
    from collections.abc import Callable


def _http_library() -> str | None:
    return os.environ.get("BOTTICELLI_HTTP_LIBRARY") or None


def __getattr__(name: str) -> Callable[[], ChatAdapter | AsyncChatAdapter]:
    if name in PROVIDERS:
        return partial(ChatAdapter, sync_driver(name), _http_library())
    provider = name.removeprefix("async_")
    if provider != name and provider in PROVIDERS:
        return partial(AsyncChatAdapter, async_driver(provider), _http_library())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

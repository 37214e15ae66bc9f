"""Find the driver that `--provider` names. The drivers are imported only when one is asked for."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from botticelli.cli.terminal import UsageError

if TYPE_CHECKING:
    from botticelli.drivers.driver import ChatDriver

__all__ = ["driver_class", "provider_names"]


def provider_names() -> str:
    """Return the names of the providers, as a list for the user."""
    if find_spec("botticelli.providers") is None:  # the judge's commands work without the drivers' packages
        return "none"
    from botticelli.providers import PROVIDERS

    return ", ".join(PROVIDERS)


def driver_class(name: str | None) -> type[ChatDriver]:
    """Return the driver for ``--provider``.

    Raises:
        UsageError: There is no such provider, or what was named isn't a sync driver.
    """
    from botticelli.drivers.driver import ChatDriver
    from botticelli.providers import DEFAULT, PROVIDERS, sync_driver

    name = name or DEFAULT
    if ":" in name:
        sys.path.append(os.getcwd())  # noqa: PTH109 -- a path for sys.path, which holds texts
    elif name not in PROVIDERS:
        raise UsageError(f"there is no provider {name!r}; choose from {provider_names()}")
    try:
        found = cast("object", sync_driver(name))
    except ImportError as error:
        raise UsageError(f"the provider {name} can't be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, ChatDriver)):
        raise UsageError(f"the provider {name} isn't a subclass of ChatDriver")
    return found

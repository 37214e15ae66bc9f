"""Our drivers at the judge's door: neutral call in, neutral outcome out, both JSON (`contracts/kit`).

Imports nothing of the judge. What a driver raises outside its own tree passes through: that is a crash,
and the judge wants to see it. What a call can say and a `GenerateRequest` can't is ``unsupported``.
"""

from __future__ import annotations

import json
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from botticelli.core.errors import BotticelliError
from botticelli.drivers.neutral import (
    CAPABILITIES,
    Inexpressible,
    error_of,
    options_of,
    request_of,
    response_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.core.response import StreamChunk
    from botticelli.drivers.driver import AsyncChatDriver, ChatDriver

__all__ = ["AsyncChatAdapter", "ChatAdapter"]

_Json = dict[str, Any]
_DriverT = TypeVar("_DriverT")


def _maker(driver: Any, kind: str, library: str | None) -> Callable[..., tuple[Any, Any]]:
    """Return a function that makes a driver and its client: None, or one of the library that is named."""

    def make(key: str | None, model: str, **options: Any) -> tuple[Any, Any]:
        client = None if library is None else getattr(import_module(library), kind)(timeout=None)
        return driver.with_api_token(key, model, http_client=client, **options), client

    return make


class _Drivers(Generic[_DriverT]):
    """One driver, with its connections, for the calls to one base URL that are configured alike."""

    def __init__(self, make: Callable[..., tuple[_DriverT, Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], tuple[_DriverT, Any]] = {}

    def of(self, call: _Json) -> _DriverT:
        alike = json.dumps([call["api_key"], call["model"], call["options"]], sort_keys=True)
        key = (call["base_url"], alike)
        with self._lock:
            if key not in self._open:
                self._open[key] = self._make(call["api_key"], call["model"], **options_of(call))
            return self._open[key][0]

    def take(self, base_url: str | None = None) -> list[tuple[_DriverT, Any]]:
        """Return the drivers of one base URL, or all of them, with their clients, for the caller to close."""
        with self._lock:
            keys = [key for key in self._open if base_url in (None, key[0])]
            return [self._open.pop(key) for key in keys]


class ChatAdapter:
    """Lets the judge call a sync driver of ours. A sync call can be left between chunks, but not cancelled.

    Args:
        driver: The driver's class.
        library: ``httpx`` or ``httpx2``, to give each driver a client of that, as a user does; None lets the
            drivers make their own.
    """

    capabilities = CAPABILITIES

    def __init__(self, driver: type[ChatDriver], library: str | None = None) -> None:
        self._drivers: _Drivers[ChatDriver] = _Drivers(_maker(driver, "Client", library))

    def exchange(self, call: _Json) -> _Json:
        """Make the call, return what came of it."""
        try:
            if "seconds" in call.get("cancel_after", {}):
                return {"unsupported": "a sync call can't be cancelled"}
            return self._made(call)
        finally:
            if call["last"]:
                self._close(call["base_url"])

    def close(self) -> None:
        """Close the drivers that are left."""
        self._close()

    def _close(self, base_url: str | None = None) -> None:
        for driver, client in self._drivers.take(base_url):
            driver.close()
            if client is not None:  # the caller closes what the caller made
                client.close()

    def _made(self, call: _Json) -> _Json:
        chunks: list[StreamChunk] = []
        try:
            driver = self._drivers.of(call)
            if call["operation"] == "models":
                return {"models": [model.id for model in driver.models()]}
            request = request_of(call["request"])
            if call["operation"] == "generate":
                return {"response": response_of(driver.generate(request))}
            enough = call.get("cancel_after", {}).get("chunks")
            with driver.generate_stream(request) as stream:
                if enough == 0:
                    return _left(chunks)
                for chunk in stream:
                    chunks.append(chunk)
                    if len(chunks) == enough:
                        return _left(chunks)
                return {"response": response_of(stream.response, chunks)}
        except Inexpressible as reason:
            return {"unsupported": str(reason)}
        except BotticelliError as error:
            return {"error": error_of(error), "partial_chunks": _texts(chunks)}


class AsyncChatAdapter:
    """Lets the judge call an async driver of ours.

    Args:
        driver: The driver's class.
        library: As in `ChatAdapter`.
    """

    capabilities = CAPABILITIES | {"cancel_any_time"}

    def __init__(self, driver: type[AsyncChatDriver], library: str | None = None) -> None:
        self._drivers: _Drivers[AsyncChatDriver] = _Drivers(_maker(driver, "AsyncClient", library))

    async def exchange(self, call: _Json) -> _Json:
        """Make the call, return what came of it."""
        chunks: list[StreamChunk] = []
        try:
            with anyio.move_on_after(call.get("cancel_after", {}).get("seconds")):
                return await self._made(call, chunks)
            return _left(chunks)
        finally:
            if call["last"]:
                await self._close(call["base_url"])

    async def close(self) -> None:
        """Close the drivers that are left."""
        await self._close()

    async def _close(self, base_url: str | None = None) -> None:
        with anyio.CancelScope(shield=True):
            for driver, client in self._drivers.take(base_url):
                await driver.close()
                if client is not None:  # the caller closes what the caller made
                    await client.aclose()

    async def _made(self, call: _Json, chunks: list[StreamChunk]) -> _Json:
        try:
            driver = self._drivers.of(call)
            if call["operation"] == "models":
                return {"models": [model.id for model in await driver.models()]}
            request = request_of(call["request"])
            if call["operation"] == "generate":
                return {"response": response_of(await driver.generate(request))}
            enough = call.get("cancel_after", {}).get("chunks")
            async with driver.generate_stream(request) as stream:
                if enough == 0:
                    return _left(chunks)
                async for chunk in stream:
                    chunks.append(chunk)
                    if len(chunks) == enough:
                        return _left(chunks)
                return {"response": response_of(stream.response, chunks)}
        except Inexpressible as reason:
            return {"unsupported": str(reason)}
        except BotticelliError as error:
            return {"error": error_of(error), "partial_chunks": _texts(chunks)}


def _left(chunks: list[StreamChunk]) -> _Json:
    return {"cancelled": True, "partial_chunks": _texts(chunks)}


def _texts(chunks: list[StreamChunk]) -> list[str]:
    return [chunk.text for chunk in chunks if chunk.text]

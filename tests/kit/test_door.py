"""Doors: found by name, checked, bridged when they are asynchronous."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from botticelli.kit.door import AsyncBridge, HungError, as_door, close_door, open_door
from botticelli.kit.errors import DoorError
from botticelli.kit.naive import NaiveDriver


class Echo:
    """An asynchronous door that says where it runs."""

    capabilities = frozenset({"generate"})

    def __init__(self) -> None:
        self.closed = False
        self.cancelled = threading.Event()

    async def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        if call.get("raise"):
            raise TimeoutError("the driver's own")
        try:
            await asyncio.sleep(call.get("sleep", 0))
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return {"models": [threading.current_thread().name, *call.get("say", [])]}

    async def close(self) -> None:
        self.closed = True


def test_a_door_is_found_by_module_and_factory() -> None:
    door = open_door("botticelli.kit.naive:NaiveDriver")
    assert isinstance(door, NaiveDriver)
    close_door(door)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("botticelli.kit.naive", "write package.module:factory"),
        (":x", "write package.module:factory"),
        ("no.such.module:x", "No module named 'no'"),
        ("botticelli.kit.naive:Nobody", "Nobody"),
        ("botticelli.kit.naive:LONGEST", "AttributeError"),
        ("botticelli.kit.naive:KINDS", "TypeError: 'dict' object is not callable"),
        ("builtins:dict", "capabilities is not a frozenset"),
        ("command:", "cannot start"),
        ("command: /no/such/program --flag", "cannot start '/no/such/program --flag'"),
    ],
)
def test_what_is_not_a_door_is_told_in_one_line(spec: str, told: str) -> None:
    with pytest.raises(DoorError, match="(?s)" + told) as caught:
        open_door(spec)
    assert "\n" not in str(caught.value)


def test_a_thing_without_exchange_is_no_door() -> None:
    class Nearly:
        capabilities = frozenset({"generate"})

    with pytest.raises(DoorError, match="mine: a door has exchange"):
        as_door(Nearly(), "mine")


def test_capabilities_must_be_a_frozenset() -> None:
    class Nearly:
        def __init__(self) -> None:
            self.capabilities = ["generate"]

        def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
            return call

    with pytest.raises(DoorError, match="frozenset of words but"):
        as_door(Nearly(), "mine")


def test_an_asynchronous_door_runs_on_one_loop_and_is_closed() -> None:
    echo = Echo()
    door = as_door(echo, "echo")
    assert isinstance(door, AsyncBridge)
    assert door.capabilities == {"generate"}
    one = door.exchange({"say": ["a"]})
    other = door.exchange({"say": ["b"]})
    assert one["models"][1:] == ["a"]
    assert one["models"][0] == other["models"][0] == "botticelli-door"
    close_door(door)
    assert echo.closed


def test_an_asynchronous_call_that_hangs_is_cancelled() -> None:
    echo = Echo()
    door = AsyncBridge(echo, limit=0.1)
    with pytest.raises(HungError, match=r"0\.1 s"):
        door.exchange({"sleep": 60})
    assert echo.cancelled.wait(5)
    door.close()


def test_the_drivers_own_timeout_is_not_a_hang() -> None:
    door = AsyncBridge(Echo())
    with pytest.raises(TimeoutError, match="the driver's own"):
        door.exchange({"raise": True})
    door.close()


def test_a_door_that_cannot_be_closed_need_not_be() -> None:
    close_door(NaiveDriver())
    bridge = AsyncBridge(Unclosable())
    bridge.close()


@pytest.mark.parametrize("awaited", [False, True])
def test_a_door_that_does_not_close_is_told(*, awaited: bool) -> None:
    class Stuck(NaiveDriver):
        def close(self) -> None:
            raise RuntimeError("stuck")

    class AwaitedStuck(Echo):
        async def close(self) -> None:
            raise RuntimeError("stuck")

    door = as_door(AwaitedStuck() if awaited else Stuck(), "mine")
    with pytest.raises(DoorError, match="cannot be closed: RuntimeError: stuck"):
        close_door(door)


class Unclosable:
    capabilities = frozenset[str]()

    async def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        return call

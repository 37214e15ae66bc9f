"""Adapters: found by name, checked, bridged when they are asynchronous, closed, and kept off proxies."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import CancelledError
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.adapters.adapter import OLD_WORDS, claims_of, said_version
from botticelli.kit.adapters.aio import AsyncBridge
from botticelli.kit.adapters.limits import (
    BystanderError,
    CrashedError,
    HungError,
    bypass_proxies,
    no_proxy_variables,
)
from botticelli.kit.adapters.load import as_adapter, close_adapter, importable_working_directory, load_adapter
from botticelli.kit.errors import AdapterError
from botticelli.kit.judge.compare import REPORTED
from botticelli.kit.schemas import capabilities
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from pathlib import Path


class Echo:
    """An asynchronous adapter that says where it runs."""

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


def test_a_factory_in_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from botticelli.kit.selftest.reference_client import ReferenceClient as Factory\n"
    (tmp_path / "an_adapter_here.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    with importable_working_directory():
        assert sys.path == [*before, str(tmp_path)], "what was importable is not shadowed"
        assert load_adapter("an_adapter_here:Factory").capabilities
        with importable_working_directory():
            pass
        assert sys.path == [*before, str(tmp_path)], "an inner block leaves it to the outer one"
    assert sys.path == before


def test_an_adapter_is_found_by_module_and_factory() -> None:
    adapter = load_adapter("botticelli.kit.selftest.reference_client:ReferenceClient")
    assert isinstance(adapter, ReferenceClient)
    close_adapter(adapter)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("botticelli.kit.selftest.reference_client", "write package.module:factory"),
        (":x", "write package.module:factory"),
        ("no.such.module:x", "No module named 'no'"),
        ("botticelli.kit.selftest.reference_client:Nobody", "Nobody"),
        ("botticelli.kit.selftest.reference_client:LONGEST", "AttributeError"),
        ("botticelli.kit.selftest.reference_client:KINDS", "TypeError: 'dict' object is not callable"),
        ("builtins:dict", "an adapter has capabilities and exchange.call.; this dict has not"),
        ("command:", "^command: names no program$"),
        ("command: 'x", 'cannot read the command line "\'x": No closing quotation'),
        ("command: a\0b", "cannot start"),
        ("sys:exit", "^cannot open sys:exit: SystemExit$"),
        ("botticelli..kit:x", "cannot open"),
        ("my_adapter:Mine", "; run this in the folder of my_adapter.py, or name that in PYTHONPATH$"),
        ("botticelli.nothing:x", "No module named 'botticelli.nothing'$"),
        (".:x", "cannot open"),
        (
            "command: /no/such/program --flag",
            "cannot start '/no/such/program --flag': No such file",
        ),
    ],
)
def test_an_object_that_is_not_an_adapter_is_an_error_of_one_line(spec: str, message: str) -> None:
    with pytest.raises(AdapterError, match="(?s)" + message) as caught:
        load_adapter(spec)
    assert "\n" not in str(caught.value)


def test_a_thing_without_exchange_is_no_adapter() -> None:
    class Nearly:
        capabilities = frozenset({"generate"})

    with pytest.raises(AdapterError, match="mine: an adapter has exchange"):
        as_adapter(Nearly(), "mine")


def test_capabilities_must_be_a_frozenset() -> None:
    class Nearly:
        def __init__(self) -> None:
            self.capabilities = ["generate"]

        def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
            return call

    with pytest.raises(AdapterError, match="frozenset of words, not"):
        as_adapter(Nearly(), "mine")


def test_an_asynchronous_adapter_runs_on_one_loop_and_is_closed() -> None:
    echo = Echo()
    adapter = as_adapter(echo, "echo")
    assert isinstance(adapter, AsyncBridge)
    assert adapter.capabilities == {"generate"}
    one = adapter.exchange({"say": ["a"]})
    other = adapter.exchange({"say": ["b"]})
    assert one["models"][1:] == ["a"]
    assert one["models"][0] == other["models"][0] == "botticelli-adapter"
    close_adapter(adapter)
    assert echo.closed


def test_an_asynchronous_call_that_hangs_is_cancelled() -> None:
    echo = Echo()
    adapter = AsyncBridge(echo, limit=0.1)
    with pytest.raises(HungError, match=r"0\.1 s"):
        adapter.exchange({"sleep": 60})
    assert echo.cancelled.wait(5)
    adapter.close()


def test_the_drivers_own_timeout_is_not_a_hang() -> None:
    adapter = AsyncBridge(Echo())
    with pytest.raises(TimeoutError, match="the driver's own"):
        adapter.exchange({"raise": True})
    adapter.close()


def test_an_adapter_that_cannot_be_closed_need_not_be() -> None:
    close_adapter(ReferenceClient())
    bridge = AsyncBridge(Unclosable())
    bridge.close()


@pytest.mark.parametrize("awaited", [False, True])
def test_an_adapter_that_does_not_close_is_an_error(*, awaited: bool) -> None:
    class Stuck(ReferenceClient):
        def close(self) -> None:
            raise RuntimeError("stuck")

    class AwaitedStuck(Echo):
        async def close(self) -> None:
            raise RuntimeError("stuck")

    adapter = as_adapter(AwaitedStuck() if awaited else Stuck(), "mine")
    with pytest.raises(AdapterError, match="cannot be closed: RuntimeError: stuck"):
        close_adapter(adapter)


class Unclosable:
    capabilities = frozenset[str]()

    async def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        return call


def claiming(*words: str) -> ReferenceClient:
    adapter = ReferenceClient()
    adapter.capabilities = frozenset(words)
    return adapter


def test_every_word_that_an_adapter_claims_means_something() -> None:
    assert as_adapter(claiming(), "mine")
    assert as_adapter(claiming("generate", "cancel_any_time", "anonymous"), "mine")
    with pytest.raises(
        AdapterError, match=r"^mine: there is no capability 'streams'; did you mean stream\?$"
    ):
        as_adapter(claiming("generate", "streams"), "mine")
    with pytest.raises(AdapterError, match=r"^mine: there is no capability 'xyzzy'$"):
        as_adapter(claiming("xyzzy"), "mine")


def test_an_adapter_whose_capabilities_raise_is_an_error() -> None:
    class Broken(Echo):
        @property
        def capabilities(self) -> frozenset[str]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride] - what is tried
            raise RuntimeError("not yet\nknown")

    with pytest.raises(AdapterError, match="mine: capabilities cannot be read: RuntimeError: not yet known"):
        as_adapter(Broken(), "mine")


def test_a_factory_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr("botticelli.kit.adapters.load.OPENING", 0.1)
    monkeypatch.setattr("botticelli.kit.selftest.reference_client.ReferenceClient", released.wait)
    with pytest.raises(AdapterError, match=r"cannot open .*: nothing in 0\.1 s"):
        load_adapter("botticelli.kit.selftest.reference_client:ReferenceClient")
    released.set()


@pytest.mark.parametrize("how", ["sync", "awaited", "blocking its loop"])
def test_an_adapter_that_hangs_when_it_is_closed_is_left_behind(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr("botticelli.kit.adapters.aio._SHUTDOWN", 0.1)

    class Hanging(ReferenceClient):
        def close(self) -> None:
            released.wait(60)

    class AwaitedHanging(Echo):
        async def close(self) -> None:
            if how == "awaited":
                await asyncio.to_thread(released.wait, 60)
            released.wait(60)

    adapter = Hanging() if how == "sync" else AsyncBridge(AwaitedHanging(), limit=0.1)
    with pytest.raises(AdapterError, match=r"cannot be closed: nothing in 0\.1 s"):
        close_adapter(adapter, 0.1 if how == "sync" else 60)
    released.set()


def test_a_stranger_does_not_interrupt_us() -> None:
    class Interrupting(ReferenceClient):
        def close(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(AdapterError, match="cannot be closed: KeyboardInterrupt"):
        close_adapter(Interrupting())


class Blocker(Echo):
    """An asynchronous adapter that can keep its loop from everybody."""

    def __init__(self) -> None:
        super().__init__()
        self.blocked = threading.Event()
        self.released = threading.Event()

    async def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        if call.get("block"):
            self.blocked.set()
            self.released.wait(60)
        if call.get("exit"):
            raise SystemExit(3)
        return await super().exchange(call)


def test_a_call_that_blocks_the_loop_hangs_alone() -> None:
    blocker = Blocker()
    adapter = AsyncBridge(blocker, limit=0.5)
    caught = list[BaseException]()

    def make(call: dict[str, Any]) -> None:
        try:
            adapter.exchange(call)
        except (HungError, CrashedError) as error:
            caught.append(error)

    calls: list[dict[str, Any]] = [{"case": "a-bystander", "sleep": 60}, {"case": "a-culprit", "block": True}]
    threads = [threading.Thread(target=make, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    assert blocker.blocked.wait(10)
    for thread in threads:
        thread.join()
    assert {type(error): str(error) for error in caught} == {
        HungError: "no outcome in 0.5 s",
        BystanderError: "its event loop was blocked by case a-culprit, and left",
    }
    assert adapter.exchange({"case": "a-next", "say": ["x"]})["models"][1:] == ["x"]
    blocker.released.set()
    adapter.close()


def test_who_was_on_a_blocked_loop_is_a_bystander() -> None:
    """openai-async, tool-finish-twice and tool-beside-text: cancelled with the loop, or begun on it."""
    blocker = Blocker()
    adapter = AsyncBridge(blocker, limit=2)
    caught = list[BaseException]()

    def make(**call: Any) -> None:
        try:
            adapter.exchange({"last": True, **call})
        except (HungError, CrashedError, CancelledError) as error:
            caught.append(error)
        blocker.released.set()  # when the first, the culprit, has its verdict

    begun: dict[str, Any] = {"case": "a-begun", "base_url": "http://a", "say": []}
    adapter.exchange({**begun, "last": False})
    culprit = threading.Thread(target=make, kwargs={"case": "a-culprit", "block": True})
    culprit.start()
    assert blocker.blocked.wait(10)
    bystander = threading.Thread(target=make, kwargs={"case": "a-bystander", "sleep": 60})
    bystander.start()
    culprit.join()
    bystander.join()
    assert {type(error): str(error) for error in caught} == {
        HungError: "no outcome in 2 s",
        BystanderError: "its event loop was blocked by case a-culprit, and left",
    }
    with pytest.raises(BystanderError, match="blocked by case a-culprit, and left"):
        adapter.exchange({**begun, "last": True})
    adapter.exchange({**begun, "last": True})
    adapter.close()


class Stale(Blocker):
    async def close(self) -> None:
        raise RuntimeError("Event loop is closed")


def test_what_a_blocked_loop_leaves_unclosed_is_no_second_fault() -> None:
    """openai-async, whose client of the loop that was abandoned can't be closed any more."""
    adapter = AsyncBridge(Stale())
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        adapter.close()
    stale = Stale()
    adapter = AsyncBridge(stale, limit=0.2)
    with pytest.raises(HungError):
        adapter.exchange({"case": "a-culprit", "block": True})
    stale.released.set()
    adapter.close()


def test_a_driver_that_ends_the_process_ends_its_call() -> None:
    adapter = AsyncBridge(Blocker())
    with pytest.raises(CrashedError, match="SystemExit: 3"):
        adapter.exchange({"exit": True})
    assert adapter.exchange({"say": ["x"]})["models"][1:] == ["x"], "the loop goes on"
    adapter.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": ""}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a.b, c", "no_proxy": "d,c,localhost"}, "a.b,c,d,localhost,127.0.0.1,::1"),
        ({"no_proxy": "*"}, "*"),
        ({"NO_PROXY": "a", "no_proxy": "*"}, "*"),
    ],
)
def test_loopback_is_exempt(before: dict[str, str], after: str) -> None:
    assert no_proxy_variables(before) == {"NO_PROXY": after, "no_proxy": after}


def test_the_environment_comes_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "a.b")
    before = dict(os.environ)
    with bypass_proxies():
        assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "a.b,127.0.0.1,localhost,::1"
        with bypass_proxies():
            assert os.environ["no_proxy"].count("localhost") == 1
    assert dict(os.environ) == before
    with pytest.raises(LookupError), bypass_proxies():
        raise LookupError
    assert dict(os.environ) == before


def test_an_adapter_with_an_old_word_is_loaded_and_judged_by_the_new_ones() -> None:
    echo = Echo()
    echo.capabilities = frozenset({"generate", "timeouts", "total_timeout"})
    adapter = as_adapter(echo, "echo")
    close_adapter(adapter)
    limits = {f"{limit}_timeout" for limit in ("pool", "connect", "first_byte", "idle", "total")}
    assert claims_of(adapter) == {"generate", *limits}
    assert {word for new in OLD_WORDS.values() for word in new} <= capabilities()
    assert not OLD_WORDS.keys() & capabilities()


def test_the_words_for_what_is_reported_are_capabilities() -> None:
    assert capabilities() >= REPORTED


class Versioned(ReferenceClient):
    version = "name 1.2"


class AsyncVersioned(Echo):
    version = "name 1.2"


@pytest.mark.parametrize("made", [Versioned, AsyncVersioned])
def test_the_version_of_a_client_is_passed_on(made: type) -> None:
    adapter = as_adapter(made(), "x")
    assert said_version(adapter) == "name 1.2"
    close_adapter(adapter)


def test_a_version_that_is_no_text_is_none() -> None:
    assert said_version(Echo()) == ""
    assert said_version(SimpleNamespace(version=lambda: "1")) == ""

"""One async driver in several event loops, and any driver in forked processes."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from botticelli import AsyncHuggingFaceDriver, ConfigurationError, GenerateRequest, HuggingFaceDriver
from botticelli.drivers import httpx_errors

from .conftest import Rim, Server, answer
from .test_sharing import Echo, asking

if TYPE_CHECKING:
    from pathlib import Path

Serve = Callable[..., Server]


def asynchronous(url: str, **options: Any) -> AsyncHuggingFaceDriver:
    return AsyncHuggingFaceDriver.with_api_token(None, "m", base_url=url, **options)


@pytest.mark.parametrize(
    "loops", [("asyncio",) * 3, ("trio",) * 3, ("asyncio", "trio", "asyncio"), ("trio", "asyncio", "trio")]
)
@pytest.mark.filterwarnings("error")
def test_one_event_loop_after_another(serve: Serve, ask: GenerateRequest, loops: tuple[str, ...]) -> None:
    server = serve(answer())
    driver = asynchronous(server.url, max_retries=0)

    async def calls(driver: AsyncHuggingFaceDriver) -> None:
        for _ in range(2):
            assert (await driver.generate(ask)).text == "Hi"

    for name in loops:
        anyio.run(calls, driver, backend=name)
        gc.collect()
        while server.open_connections:
            threading.Event().wait(0.01)
    anyio.run(driver.close, backend=loops[-1])
    del driver
    gc.collect()
    assert [seen.connection for seen in server.requests] == [1, 1, 2, 2, 3, 3]


def test_a_loop_that_stopped_without_a_word(serve: Serve, ask: GenerateRequest) -> None:
    driver = asynchronous(serve(answer()).url, max_retries=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # asyncio's, of a loop that nobody shut down
        for _ in range(3):
            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(driver.generate(ask)).text == "Hi"
            loop.close()
        asyncio.run(driver.close())
        del driver
        gc.collect()


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("first", "second"), [("asyncio", "asyncio"), ("asyncio", "trio"), ("trio", "asyncio")]
)
def test_two_event_loops_at_once(
    serve: Serve, ask: GenerateRequest, own: bool, first: str, second: str
) -> None:
    if not own and first == "trio":
        pytest.skip("trio doesn't say whether another run is over")
    import httpx

    server = serve(answer())
    client = None if own else httpx.AsyncClient(trust_env=False)
    driver = asynchronous(server.url, http_client=client)
    used, done = threading.Event(), threading.Event()

    async def stay() -> None:
        assert (await driver.generate(ask)).text == "Hi"
        used.set()
        while not done.is_set():  # noqa: ASYNC110 -- a thread's
            await anyio.sleep(0.01)
        assert (await driver.generate(ask)).text == "Hi"
        await driver.close()
        if client is not None:
            await client.aclose()

    async def intrude() -> None:
        for _ in range(3):
            with pytest.raises(ConfigurationError, match="another event loop") as caught:
                await driver.generate(ask)
            assert caught.value.hint == "make one driver per event loop"

    thread = threading.Thread(target=lambda: anyio.run(stay, backend=first))
    thread.start()
    try:
        assert used.wait(30)
        anyio.run(intrude, backend=second)
    finally:
        done.set()
        thread.join()
    assert len(server.requests) == 2


# Forks.


def in_a_child(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begin some work in a forked child; what is returned waits for its result."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                result = work()
                gc.collect()
            found = [str(warning.message) for warning in caught]
            os.write(writing, json.dumps([result, found]).encode())
        except BaseException as error:  # noqa: BLE001 -- the parent shall see it
            os.write(writing, json.dumps([repr(error), []]).encode())
        finally:
            os._exit(0)
    os.close(writing)

    def wait() -> Any:
        with os.fdopen(reading, "rb") as pipe:
            data = pipe.read()
        os.waitpid(child, 0)
        result, found = json.loads(data)
        assert found == []
        return result

    return wait


def trusted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the certificate for 127.0.0.1, which drivers trust from now on."""
    path: Path = request.getfixturevalue("certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def ask_in(rim: Rim, driver: Any, text: str) -> str:
    """Ask in a process of its own, where nothing runs the parent's event loop."""
    if rim.name == "sync":
        return str(driver.generate(asking(text)).text)
    return str(anyio.run(driver.generate, asking(text), backend=rim.name).text)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_forked_workers_get_their_own_answers(
    rim: Rim, own: bool, secure: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = trusted(request, monkeypatch) if secure else None
    with Echo(wait=0.002, certificate=certificate) as server:
        client = None if own else rim.adopt(rim.client(trust_env=secure))
        if client is not None and rim.name != "sync":
            pytest.skip("a user's async client belongs to its event loop")
        driver = rim.driver(server.url, http_client=client, max_retries=0)
        assert rim.generate(driver, asking("first")).text == "first!"

        def questions(worker: int) -> list[str]:
            return [ask_in(rim, driver, f"{worker}-{number}") for number in range(8)]

        workers = [in_a_child(partial(questions, worker)) for worker in range(3)]
        mine = [rim.generate(driver, asking(f"p-{number}")).text for number in range(8)]
        theirs = [worker() for worker in workers]
        assert mine == [f"p-{number}!" for number in range(8)]
        assert theirs == [[f"{worker}-{number}!" for number in range(8)] for worker in range(3)]
        rim.close_all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_child_leaves_the_parents_connection_alone(
    rim: Rim, secure: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that said goodbye on it, as TLS does before it closes, would end the parent's too."""
    certificate = trusted(request, monkeypatch) if secure else None
    with Echo(wait=0.002, certificate=certificate) as server:
        driver = rim.driver(server.url, max_retries=0)
        assert rim.generate(driver, asking("a")).text == "a!"
        assert in_a_child(lambda: ask_in(rim, driver, "b"))() == "b!"
        assert rim.generate(driver, asking("c")).text == "c!"
        assert server.connections == 2
        rim.close_all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_keeps_no_connection_of_its_parents_open(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    server = serve(answer())
    driver = rim.driver(server, max_retries=0)
    rim.generate(driver, ask)
    holding, releasing = os.pipe()
    child = in_a_child(lambda: len(os.read(holding, 1)))
    rim.close(driver)
    while server.open_connections:
        threading.Event().wait(0.01)
    os.write(releasing, b"x")
    assert child() == 1
    os.close(holding)
    os.close(releasing)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_makes_a_driver_though_its_parent_was_loading_certificates() -> None:
    def made() -> list[str]:
        return [repr(HuggingFaceDriver.with_api_token(None, "m", base_url="https://h/v1"))[:17]]

    with httpx_errors._contexts_lock:  # pyright: ignore[reportPrivateUsage] -- another thread holds it
        theirs = in_a_child(made)
        assert theirs() == ["HuggingFaceDriver"]

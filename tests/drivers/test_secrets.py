"""The key is nowhere to be seen: a canary through everything that prints, logs, pickles or is kept."""

from __future__ import annotations

import copy
import gc
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from botticelli import (
    AsyncHuggingFaceDriver,
    BotticelliError,
    ConfigurationError,
    GenerateRequest,
    HuggingFaceDriver,
    Secret,
)

from .conftest import (
    END,
    STREAM_HEAD,
    Rim,
    Server,
    answer,
    completion,
    error,
    event,
    framed,
    http,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

Serve = Callable[..., Server]

CANARY = "CanaryCanary"
TOKEN = "CanaryCanary-0123456789"
"""Unlike any known provider's, so that nothing knows it by its looks."""
OWN = "OwnCanaryCanaryCanary"
COOKIE = "FirstCanaryCookie"

ERROR_EVENT = f'data: {{"error": {{"message": "bad key {TOKEN}"}}}}\n\n'.encode()
BAD_EVENT = f"data: {{{TOKEN}\n\n".encode()
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

ECHOES: dict[str, Any] = {
    "401": error(401, f"Incorrect API key provided: {TOKEN}.", code=TOKEN, param=TOKEN, type=TOKEN),
    "prefix": error(401, f"Incorrect API key provided: {TOKEN[:16]}***."),
    "header": error(500, "no", headers=(("x-request-id", TOKEN), ("x-error-message", TOKEN))),
    "own": error(400, f"I don't know {OWN}, nor {COOKIE}"),
    "text": http(f"token {TOKEN} refused", status=403, content_type="text/plain"),
    "html": http(f"<html>{TOKEN}</html>", content_type="text/html"),
    "200": http(json.dumps({"error": {"message": f"bad key {TOKEN}", "code": TOKEN}})),
    "redirect": http(b"", status=302, headers=(("Location", f"http://evil/?key={TOKEN}"),)),
    "malformed": http(f'{{"id": "{TOKEN}", "choices": 5}}'),
    "event": STREAM_HEAD + framed(ERROR_EVENT) + END,
    "bad-event": STREAM_HEAD + framed(event("Hi")) + framed(BAD_EVENT) + END,
    "coding": http(b"abc", headers=(("Content-Encoding", TOKEN),)),
    "status-line": (f"{TOKEN} is no HTTP\r\n\r\n".encode(), "close"),
    "framing": (CHUNKED + TOKEN.encode() + b"\r\n", "hold"),
}
"""What a server may make of the key."""

FAILURES: dict[str, Any] = {
    "429": error(429),
    "malformed": http("[1, 2"),
    "odd": http('{"choices": 5}'),
    "reset": ("reset",),
    "cut": (http(completion()[:40], length=400), 0.05, "close"),
    "broken": STREAM_HEAD + framed(event("Hi")) + END,
    "hold": ("hold",),
}


@pytest.mark.parametrize("own_client", [False, True])
def test_a_secret_in_the_base_urls_query_is_in_no_log(
    rim: Rim, serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture, *, own_client: bool
) -> None:
    server = serve(answer(), stream("Hi"), error(400))
    url = f"{server.url}?api_key={OWN}%2Fmore&a=b"
    client = rim.client() if own_client else None
    driver = rim.driver(server, base_url=url, http_client=client)
    with caplog.at_level(logging.DEBUG):
        rim.generate(driver, ask)
        rim.stream(driver, ask)
        with pytest.raises(BotticelliError):
            rim.generate(driver, ask)
    if client is not None:
        rim.close(client)
    assert [seen.path.partition("?")[2] for seen in server.requests] == [f"api_key={OWN}%2Fmore&a=b"] * 3
    told = [record.getMessage() for record in caplog.records]
    assert not [line for line in told if OWN in line]
    assert len([line for line in told if "/chat/completions?*** " in line]) == 3


def test_the_rest_of_the_programs_requests_are_logged_as_before(
    serve: Serve, rim: Rim, ask: GenerateRequest, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(answer())
    rim.generate(rim.driver(server), ask)
    with caplog.at_level(logging.INFO), rim.library.Client() as client:
        client.get(f"{server.url}?q=words")
    assert any("?q=words" in record.getMessage() for record in caplog.records)


def chain(problem: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    waiting = [problem]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.append(current)
            waiting += [other for other in (current.__cause__, current.__context__) if other]
    return found


def shown(problem: BaseException, *, local: bool = True) -> str:
    """Everything that a report of this error could show; if `local`, the variables of our frames too."""
    trace = traceback.TracebackException.from_exception(problem, capture_locals=local)
    for frame in trace.stack:
        if "botticelli" not in frame.filename or "tests" in frame.filename:
            frame.locals = None
    return "\n".join([repr(problem), str(problem), repr(vars(problem)), *trace.format()])


def failures(rim: Rim, driver: Any, ask: GenerateRequest) -> list[BotticelliError]:
    """What a call and a stream come to."""
    found: list[BotticelliError] = []
    try:
        rim.generate(driver, ask)
    except BotticelliError as problem:
        found.append(problem)
    broken = rim.stream(driver, ask).error
    if broken is not None:
        found.append(broken)
    try:
        rim.models(driver)
    except BotticelliError as problem:
        found.append(problem)
    assert found, "nothing went wrong"
    return found


@pytest.mark.parametrize("name", ECHOES)
def test_no_error_shows_a_key_that_the_server_repeats(
    rim: Rim, serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="botticelli")
    server = serve(ECHOES[name])
    own = {"X-Own-Token": OWN, "Cookie": f"{COOKIE}; a=b"}
    driver = rim.driver(server, TOKEN, timeout=5, max_retries=1, headers=own)
    for found in failures(rim, driver, ask):
        assert chain(found) == [found]
        assert CANARY not in shown(found, local=False)
        assert CANARY not in repr(pickle.dumps(found))
    headers = server.requests[0].headers
    assert (headers["authorization"], headers["x-own-token"]) == (f"Bearer {TOKEN}", OWN)
    assert not any(CANARY in record.getMessage() for record in caplog.records if record.name == "botticelli")


@pytest.mark.parametrize("name", FAILURES)
def test_no_error_shows_the_key(
    rim: Rim, serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    driver = rim.driver(
        serve(FAILURES[name]), TOKEN, timeout=0.3, max_retries=1, headers={"X-Own-Token": OWN}
    )
    for found in failures(rim, driver, ask):
        assert chain(found) == [found]
        assert CANARY not in shown(found)
        assert CANARY not in repr(pickle.dumps(found))
    assert CANARY not in caplog.text


@pytest.mark.parametrize("what", ["connect", "client", "closed"])
def test_no_transport_error_shows_the_key(rim: Rim, ask: GenerateRequest, what: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise ValueError(f"surprise: {request.headers['authorization']}")

    server = Server([(answer(),)])
    server.stop()
    client = rim.client(None if what == "connect" else handler)
    driver = rim.driver(server, TOKEN, http_client=client, max_retries=0)
    if what == "closed":
        rim.close(client)
    with pytest.raises(BotticelliError) as caught:
        rim.generate(driver, ask)
    assert chain(caught.value) == [caught.value]
    assert CANARY not in shown(caught.value)
    rim.close(client)


def test_nothing_else_shows_the_key(
    rim: Rim, serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cache: dict[str, bytes] = {}
    server = serve(error(503), answer(), stream("Hi"))
    driver = rim.driver(server, TOKEN, cache=cache, headers={"Authorization-Extra": OWN})
    response = rim.generate(driver, ask)
    ask.temperature = 1.0
    got = rim.stream(driver, ask)
    assert len(cache) == 2
    for thing in (driver, response, got.response, got.chunks, driver.usage, cache):
        assert CANARY not in repr(thing)
        assert CANARY not in str(thing)
    for holder in (driver, driver._config, driver._http):
        assert CANARY not in str(holder.__dict__)
    assert "attempt 2" in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize("kind", [HuggingFaceDriver, AsyncHuggingFaceDriver])
def test_a_driver_is_neither_pickled_nor_copied(kind: Any) -> None:
    driver = kind.with_api_token(TOKEN, "m", base_url="http://h/v1")
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied") as caught:
            take(driver)
        assert CANARY not in str(caught.value)
    assert repr(driver) == f"{kind.__name__}('m', provider='huggingface', base_url='http://h/v1')"


def test_our_log_names_attempts_but_neither_texts_nor_messages(
    serve: Serve, caplog: pytest.LogCaptureFixture, ask: GenerateRequest
) -> None:
    caplog.set_level(logging.DEBUG, logger="botticelli")
    server = serve(error(503, "the server's words"), answer("the answer's words"))
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url, backoff=0.001) as driver:
        driver.generate(ask)
    lines = [record.getMessage() for record in caplog.records if record.name == "botticelli"]
    assert len(lines) == 3
    assert [("attempt 1" in line, "attempt 2" in line) for line in lines] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert ": server; the next one in" in lines[1]
    assert not any("words" in line or "Hello" in line for line in lines)


SOURCES = ("token", "argument", "secret", "environment", "file")


def made(kind: Any, source: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    """A driver that has its key from there."""
    match source:
        case "token":
            return kind.with_api_token(TOKEN, "m", **options)
        case "argument":
            return kind("m", api_key=TOKEN, **options)
        case "secret":
            return kind("m", api_key=Secret(TOKEN), **options)
        case "environment":
            monkeypatch.setenv("HF_TOKEN", TOKEN)
        case _:
            Path(".env").write_text(f"HUGGINGFACE_API_KEY={TOKEN}\n")
    return kind("m", **options)


def reachable(root: object) -> Iterator[object]:
    """Whatever a driver holds, but for what `Secret` keeps. Code and its globals aren't held."""
    waiting, met = [root], {id(root)}
    while waiting:
        current = waiting.pop()
        yield current
        if isinstance(
            current, Secret | type | ModuleType | FunctionType | BuiltinFunctionType | logging.Logger
        ):
            continue
        for held in gc.get_referents(current):
            if id(held) not in met:
                met.add(id(held))
                waiting.append(held)


@pytest.mark.parametrize("source", SOURCES)
def test_a_driver_holds_its_key_in_secrets_only(
    serve: Serve, ask: GenerateRequest, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    server = serve(error(401, TOKEN), stream("Hi"))
    cache: dict[str, bytes] = {}
    driver = made(HuggingFaceDriver, source, monkeypatch, base_url=server.url, cache=cache)
    with pytest.raises(BotticelliError):
        driver.generate(ask)
    with driver.generate_stream(ask) as streamed:
        list(streamed)
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    secrets = 0
    for held in reachable([driver, streamed, driver.usage]):
        secrets += isinstance(held, Secret) and CANARY in held.reveal()
        if isinstance(held, str | bytes | bytearray):
            assert CANARY not in str(held)
        if isinstance(held, HuggingFaceDriver | Secret) or hasattr(held, "__dict__"):
            assert CANARY not in repr(getattr(held, "__dict__", held))
    assert secrets  # the walk did come by it
    driver.close()


@pytest.mark.parametrize("kind", [HuggingFaceDriver, AsyncHuggingFaceDriver])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"base_url": "nonsense"},
        {"headers": {"Authorization": "x"}},
        {"catalog": [5]},
        {"cache": 5},
    ],
)
def test_no_refusal_of_a_setting_shows_the_key(
    kind: Any, source: str, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(kind, source, monkeypatch, **options)
    assert chain(caught.value) == [caught.value]
    assert CANARY not in shown(caught.value, local=False)
    assert CANARY not in repr(pickle.dumps(caught.value))


@pytest.mark.parametrize("kind", [HuggingFaceDriver, AsyncHuggingFaceDriver])
@pytest.mark.parametrize("source", SOURCES)
def test_no_refusal_of_a_key_shows_it(kind: Any, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.TOKEN", f"{TOKEN} \u00e4")
    with pytest.raises(ConfigurationError) as caught:
        made(kind, source, monkeypatch)
    assert CANARY not in shown(caught.value, local=False)
    assert caught.value.setting in ("token", "api_key", "HF_TOKEN", "HUGGINGFACE_API_KEY")

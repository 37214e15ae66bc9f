"""A connection with bytes beyond its answer is never used again, so that nobody gets another's answer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest

from botticelli import EmptyResponseError, InvalidRequestError

from .conftest import END, STREAM_HEAD, Rim, Server, answer, error, event, framed, http, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from botticelli import GenerateRequest

    Serve = Callable[..., Server]

STALE = answer("meant for nobody")
CHUNKED = STREAM_HEAD + framed(event("stale")) + END

BEYOND = {
    "answer": STALE,
    "chunked-answer": CHUNKED,
    "line": b"\r\n",
    "lines": b"\r\n\r\n",
    "byte": b"{",
    "last-chunk": END,
    "two-answers": STALE * 2,
}


@pytest.fixture(params=["own client", "user's client"])
def driver_for(request: pytest.FixtureRequest, rim: Rim) -> Callable[[Server | str], Any]:
    def make(server: Server | str, **options: Any) -> Any:
        if request.param == "own client":
            return rim.driver(server, **options)
        client = rim.adopt(rim.client(trust_env=False))
        return rim.driver(server, http_client=client, **options)

    return make


@pytest.mark.parametrize("more", BEYOND.values(), ids=BEYOND)
def test_after_a_whole_answer(
    rim: Rim, driver_for: Callable[..., Any], serve: Serve, ask: GenerateRequest, more: bytes
) -> None:
    server = serve(answer("1") + more, answer("2") + more, answer("3"), answer("4"))
    driver = driver_for(server, max_retries=0)
    assert [rim.generate(driver, ask).text for _ in range(4)] == ["1", "2", "3", "4"]
    assert [seen.connection for seen in server.requests] == [1, 2, 3, 3]


@pytest.mark.parametrize("more", BEYOND.values(), ids=BEYOND)
def test_after_a_stream(
    rim: Rim, driver_for: Callable[..., Any], serve: Serve, ask: GenerateRequest, more: bytes
) -> None:
    first = stream("1") + more
    # up to the stream's own end; what follows is read for the sake of the connection
    cut = first.index(b"[DONE]") + 6
    server = serve(first, (first[:cut], 0.02, first[cut:]), stream("1"), stream("1"))
    driver = driver_for(server, max_retries=0)
    for _ in range(4):
        got = rim.stream(driver, ask)
        assert got.error is None
        assert got.texts == ["1"]
    assert [seen.connection for seen in server.requests] == [1, 2, 3, 3]


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("more", [STALE, b'{"id": 1}'])
def test_after_a_status_that_has_no_body(
    rim: Rim, driver_for: Callable[..., Any], serve: Serve, ask: GenerateRequest, status: int, more: bytes
) -> None:
    head = b"HTTP/1.1 %d Word\r\nContent-Type: application/json\r\n\r\n" % status
    server = serve(head + more, answer("2"))
    driver = driver_for(server, max_retries=0)
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- by the status
        rim.generate(driver, ask)
    assert isinstance(caught.value, EmptyResponseError) == (status == 204)
    assert rim.generate(driver, ask).text == "2"
    assert server.connections == 2


def test_after_an_error(rim: Rim, driver_for: Callable[..., Any], serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(400) + STALE, answer("2"))
    driver = driver_for(server)
    with pytest.raises(InvalidRequestError):
        rim.generate(driver, ask)
    assert rim.generate(driver, ask).text == "2"


def test_after_an_attempt_that_is_repeated(
    rim: Rim, driver_for: Callable[..., Any], serve: Serve, ask: GenerateRequest
) -> None:
    server = serve(error(503) + STALE, answer("2"))
    assert rim.generate(driver_for(server), ask).text == "2"
    assert server.connections == 2


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + answer("1"),
        STREAM_HEAD
        + framed(b"".join([event("1"), event(finish="stop"), b"data: [DONE]\n\n"]))
        + b"0\r\nX: y\r\n\r\n",
        http(b"", headers=(("X", "y"),)),
    ],
)
def test_without_bytes_beyond_it_is_used_again(
    rim: Rim, driver_for: Callable[..., Any], serve: Serve, ask: GenerateRequest, first: bytes
) -> None:
    server = serve(first, stream("2"))
    driver = driver_for(server)
    rim.stream(driver, ask)
    assert rim.stream(driver, ask).texts == ["2"]
    assert server.connections == 1


class TlsServer:
    """Answers each connection's first request with these writes, which leave in one packet."""

    def __init__(self, certificate: Path, *writes: bytes) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._writes = writes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.connections = 0
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def close(self) -> None:
        socket.socket.shutdown(self._listener, socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with plain, contextlib.suppress(OSError):
                self._serve(plain, str(self.connections).encode())

    def _serve(self, plain: socket.socket, number: bytes) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_side=True)

        def read() -> bytes:
            while True:
                try:
                    return tls.read(65536)
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(65536))

        asked = b""
        while not asked.endswith(b"}"):
            asked += read()
        for data in self._writes:
            tls.write(data)
        plain.sendall(outgoing.read())
        plain.settimeout(10)
        while plain.recv(65536):
            pass


@pytest.fixture
def tls_server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TlsServer]]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    started: list[TlsServer] = []

    def start(*writes: bytes) -> TlsServer:
        started.append(TlsServer(certificate, *writes))
        return started[-1]

    yield start
    for server in started:
        server.close()


def test_what_a_later_record_of_tls_brought(
    rim: Rim, tls_server: Callable[..., TlsServer], ask: GenerateRequest
) -> None:
    server = tls_server(answer("mine"), STALE)
    driver = rim.driver(server.url, max_retries=0)
    for _ in range(3):
        assert rim.generate(driver, ask).text == "mine"
    assert server.connections == 3
    rim.close(driver)

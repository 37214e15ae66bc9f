"""A server that plays raw bytes, independent of the kit's: a play per request, the last one for more."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import httpx
import httpx2
import pytest
from anyio.from_thread import start_blocking_portal

from botticelli import (
    AsyncHuggingFaceDriver,
    BotticelliError,
    GenerateRequest,
    GenerateResponse,
    HuggingFaceDriver,
    Message,
)
from botticelli.drivers import httpx_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from botticelli import Model, StreamChunk

TOKEN = "hf_CanaryCanaryCanaryCanary"

Step: TypeAlias = bytes | float | Literal["hold", "reset", "close"]
"""Bytes to send, seconds to wait, or: wait until the client leaves, for `HOLD` seconds at most; reset; close.

Without one of these at the end the connection is kept. What follows a hold is an answer that comes too
late: a client that should have left gets it, and its test fails.
"""
HOLD = 6.0
Play: TypeAlias = tuple[Step, ...]


@dataclass
class Seen:
    """A request as the server read it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """The server; `requests` and `connections` tell what came."""

    plays: list[Play]
    requests: list[Seen] = field(default_factory=list[Seen])
    connections: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    origin: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def stop(self) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                number = self.connections
            self._start(self._serve, connection, number)

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pending = b""
                while True:
                    seen, pending = _request(connection, pending, number)
                    if seen is None:
                        return
                    with self._lock:
                        self.requests.append(seen)
                        self.asked.set()
                        play = self.plays[min(len(self.requests), len(self.plays)) - 1]
                    for step in play:
                        if not self._do(connection, step):
                            return
        finally:
            with self._lock:
                self._open.discard(connection)

    def _do(self, connection: socket.socket, step: Step) -> bool:
        if isinstance(step, bytes):
            try:
                connection.sendall(step)
            except OSError:  # a client that has enough leaves before the last byte
                if not self.stopped.is_set():
                    self.left.set()
                return False
        elif isinstance(step, float | int):
            self.stopped.wait(step)
        elif step == "hold":
            connection.settimeout(HOLD)
            try:
                gone = not connection.recv(1)
            except TimeoutError:
                connection.settimeout(None)
                return True
            except OSError:
                gone = True
            if gone and not self.stopped.is_set():
                self.left.set()
            return False
        elif step == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        else:
            return False
        return True


def _request(connection: socket.socket, data: bytes, number: int) -> tuple[Seen | None, bytes]:
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None, b""
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(rest) < length:
        more = connection.recv(65536)
        if not more:
            return None, b""
        rest += more
    method, path, _ = first.split(" ")
    return Seen(method, path, headers, rest[:length], number, time.monotonic()), rest[length:]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start a server with these plays; a play is bytes or a tuple of steps."""
    started: list[Server] = []

    def start(*plays: Step | Play) -> Server:
        server = Server([play if isinstance(play, tuple) else (play,) for play in plays])
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No key, no proxy, no .env: what a test needs it sets itself."""
    for name in ("HUGGINGFACE_API_KEY", "HF_TOKEN", "HUGGINGFACE_BASE_URL", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# What is played.


def http(
    body: bytes | str = b"",
    *,
    status: int = 200,
    content_type: str | None = "application/json",
    headers: tuple[tuple[str, str], ...] = (),
    length: int | None = None,
) -> bytes:
    """A whole HTTP answer with a length."""
    data = body.encode() if isinstance(body, str) else body
    found = [("Content-Length", str(len(data) if length is None else length)), *headers]
    if content_type is not None:
        found.append(("Content-Type", content_type))
    lines = "".join(f"{name}: {value}\r\n" for name, value in found)
    return f"HTTP/1.1 {status} Word\r\n{lines}\r\n".encode() + data


def completion(text: str = "Hi", **members: Any) -> str:
    """The body of a conforming whole answer."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps({**body, "usage": usage, **members})


def answer(text: str = "Hi", **how: Any) -> bytes:
    """A conforming whole answer."""
    return http(completion(text), **how)


def error(
    status: int, message: str = "no", *, headers: tuple[tuple[str, str], ...] = (), **members: Any
) -> bytes:
    """An answer with an error status in the published envelope."""
    envelope = {"message": message, "type": None, "param": None, "code": None, **members}
    return http(json.dumps({"error": envelope}), status=status, headers=headers)


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"x-request-id: req-1\r\nx-inference-provider: together\r\n\r\n"
)
END = b"0\r\n\r\n"


def framed(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(text: str | None = None, finish: str | None = None, **members: Any) -> bytes:
    """An event of a conforming stream, without HTTP's framing."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps({**body, **members}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def stream(*texts: str, end: bytes = END) -> bytes:
    """A conforming stream, one HTTP chunk per event."""
    events = [*(event(text) for text in texts), event(finish="stop"), DONE]
    return STREAM_HEAD + b"".join(map(framed, events)) + end


@pytest.fixture
def ask() -> GenerateRequest:
    """A plain request."""
    return GenerateRequest(messages=[Message.user("Hello")])


# The rims.


@dataclass
class Streamed:
    """What came of a stream."""

    chunks: list[StreamChunk] = field(default_factory=list["StreamChunk"])
    response: GenerateResponse | None = None
    error: BotticelliError | None = None

    @property
    def texts(self) -> list[str]:
        return [chunk.text for chunk in self.chunks if not chunk.is_final]


class Rim:
    """A driver on one of three kinds of I/O behind plain calls, so that each test is written once.

    Attributes:
        name: ``sync``, ``asyncio`` or ``trio``.
        library: The HTTP library that our own clients and the user's are of, httpx or httpx2.
    """

    def __init__(self, name: str, portal: BlockingPortal | None, library: Any) -> None:
        self.name = name
        self.library = library
        self._portal = portal
        self._drivers: list[Any] = []

    def driver(self, server: Server | str, token: str | None = TOKEN, **options: Any) -> Any:
        url = server if isinstance(server, str) else server.url
        options = {"base_url": url, "backoff": 0.001, **options}
        kind: Any = AsyncHuggingFaceDriver if self._portal else HuggingFaceDriver
        driver = kind.with_api_token(token, "test/model", **options)
        return self.adopt(driver)

    def adopt(self, driver: Any) -> Any:
        """Take a driver that is closed at the end."""
        self._drivers.append(driver)
        return driver

    def client(self, handler: Callable[[httpx.Request], httpx.Response] | None = None, **options: Any) -> Any:
        """A client of the user's."""
        if handler is not None:
            options["transport"] = self.library.MockTransport(handler)
        return (self.library.AsyncClient if self._portal else self.library.Client)(**options)

    def generate(self, driver: Any, request: GenerateRequest) -> GenerateResponse:
        response: GenerateResponse = (
            self._portal.call(driver.generate, request) if self._portal else driver.generate(request)
        )
        return response

    def models(self, driver: Any) -> list[Model]:
        models: list[Model] = self._portal.call(driver.models) if self._portal else driver.models()
        return models

    def close(self, driver: Any) -> None:
        if not self._portal:
            driver.close()
        else:
            self._portal.call(driver.aclose if hasattr(driver, "aclose") else driver.close)

    def stream(self, driver: Any, request: GenerateRequest, *, leave_after: int | None = None) -> Streamed:
        """Read a stream to its end, its error, or so many chunks."""
        got = Streamed()
        if self._portal:
            self._portal.call(_aread, driver, request, leave_after, got)
        else:
            _read(driver, request, leave_after, got)
        return got

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run an async function where the drivers are."""
        assert self._portal is not None
        return self._portal.call(function, *args)

    def close_all(self) -> None:
        for driver in self._drivers:
            self.close(driver)


def _read(driver: Any, request: GenerateRequest, leave_after: int | None, got: Streamed) -> None:
    stream = driver.generate_stream(request)
    try:
        with stream:
            if leave_after == 0:
                return
            for chunk in stream:
                got.chunks.append(chunk)
                if len(got.chunks) == leave_after:
                    break
    except BotticelliError as error:
        got.error = error
    got.response = stream.response


async def _aread(driver: Any, request: GenerateRequest, leave_after: int | None, got: Streamed) -> None:
    stream = driver.generate_stream(request)
    try:
        async with stream:
            if leave_after == 0:
                return
            async for chunk in stream:
                got.chunks.append(chunk)
                if len(got.chunks) == leave_after:
                    break
    except BotticelliError as error:
        got.error = error
    got.response = stream.response


LIBRARIES = {"": httpx, "-httpx2": httpx2}


@pytest.fixture(params=[f"{name}{library}" for library in LIBRARIES for name in ("sync", "asyncio", "trio")])
def rim(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rim]:
    """Each kind of I/O on each HTTP library in turn; its drivers are closed at the end."""
    name, dash, other = str(request.param).partition("-")
    library = LIBRARIES[dash + other]
    monkeypatch.setattr(httpx_errors, "DEFAULT_LIBRARY", library.__name__)
    if name == "sync":
        found = Rim(name, None, library)
        yield found
        found.close_all()
        return
    with start_blocking_portal(name) as portal:
        found = Rim(name, portal, library)
        yield found
        found.close_all()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl")
    path: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {path} -out {path}.crt"
    subprocess.run(command.split(), check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_name("both.pem.crt").read_text())
    return path

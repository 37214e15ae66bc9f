"""Proxies of the environment: who is asked through one, what it is told, and what nobody ever sees."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from botticelli.kit.errors import EndpointError
from botticelli.kit.probes.archive import read_runs
from botticelli.kit.probes.check import Choice, check_endpoints
from botticelli.kit.probes.client import Client, Sending, parse_url
from botticelli.kit.probes.probe import Target, load_probes
from botticelli.kit.probes.proxy import find_proxy
from botticelli.kit.probes.session import Session
from botticelli.kit.probes.verdict import judge
from tests.kit.changed_server import KEY, serving

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FAR = "http://far.example/v1"
STOPS = next(probe for probe in load_probes() if probe.id == "stop-word")
VARIABLES = ["http_proxy", "https_proxy", "no_proxy", "all_proxy"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class TinyProxy:
    """Passes plain requests on to one server whatever their host is, those in an open tunnel too.

    Args:
        server: The port of the server.
        answer: What to say to each request instead; nothing is passed on then.
        opens: Open a tunnel for CONNECT.
    """

    def __init__(self, server: int, answer: bytes, *, opens: bool) -> None:
        self.heads: list[bytes] = []
        self.after: list[bytes] = []
        self._server, self._answer, self._opens = server, answer, opens
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _read_head(self, client: socket.socket) -> tuple[bytes, bytes]:
        request = b""
        while b"\r\n\r\n" not in request and (data := client.recv(1 << 16)):
            request += data
        head, _, body = request.partition(b"\r\n\r\n")
        self.heads.append(head)
        return head, body

    def _serve(self, client: socket.socket) -> None:
        with closing(client):
            head, body = self._read_head(client)
            if self._opens and head.startswith(b"CONNECT"):
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                head, body = self._read_head(client)
            if self._answer:
                client.sendall(self._answer)
                if self._answer.endswith(b"\r\n\r\n"):
                    self.after.append(client.recv(1 << 16))
                return
            first, *lines = head.split(b"\r\n")
            method, url, version = first.split()
            kept = [line for line in lines if not line.lower().startswith(b"proxy-")]
            path = urlsplit(url.decode())
            line = b" ".join([method, path.path.encode(), version])
            with socket.create_connection(("127.0.0.1", self._server)) as server:
                server.sendall(b"\r\n".join([line, *kept, b"Connection: close", b"", b""]) + body)
                length = next((int(one[15:]) for one in kept if one.lower().startswith(b"content-length")), 0)
                while len(body) < length:
                    more = client.recv(1 << 16)
                    server.sendall(more)
                    body += more
                while data := server.recv(1 << 16):
                    client.sendall(data)


@contextmanager
def proxying(
    server: str = "http://127.0.0.1:1", answer: bytes = b"", *, opens: bool = False
) -> Generator[TinyProxy, None, None]:
    proxy = TinyProxy(urlsplit(server).port or 1, answer, opens=opens)
    try:
        yield proxy
    finally:
        proxy.close()


def ask(url: str) -> tuple[str, str, bytes]:
    (got,) = Client(parse_url(url)).exchange([Sending("answer", "GET", "/v1/x", [], None, patience=5)])
    return got.end, got.detail, got.head


def test_a_far_server_is_judged_through_the_proxy_and_its_password_is_seen_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, canary: str
) -> None:
    out, saved, report = io.StringIO(), tmp_path / "run.zip", tmp_path / "run.json"
    target = Target(parse_url(FAR), "botticelli/echo", KEY, "THE_KEY")
    with serving() as url, proxying(url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me%40home:{canary}@127.0.0.1:{proxy.port}")
        code = check_endpoints(
            [target], out=out, choice=Choice(words=["stop-word"]), save=saved, paths={"json": report}
        )
    assert code == 0
    assert proxy.heads[-1].startswith(b"POST http://far.example/v1/chat/completions HTTP/1.1\r\n")
    assert b"\r\nHost: far.example\r\n" in proxy.heads[-1]
    name = base64.b64encode(f"me@home:{canary}".encode())
    assert all(b"\r\nProxy-Authorization: Basic " + name in head for head in proxy.heads)
    assert f"through the proxy 127.0.0.1:{proxy.port} (from HTTP_PROXY)" in out.getvalue()
    (kept,) = read_runs(saved)
    exchanges = [one for several in kept.exchanges.values() for one in several]
    shown = out.getvalue() + report.read_text() + json.dumps([one.as_json() for one in exchanges])
    assert canary not in shown
    assert name.decode() not in shown
    assert exchanges[-1].head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")


def test_a_password_that_the_proxy_repeats_is_struck_out_and_is_no_leak_of_the_server(
    monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    said = canary.encode()
    with proxying(answer=b"HTTP/1.1 502 B\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:{canary}@127.0.0.1:{proxy.port}")
        (got,) = Client(parse_url(FAR)).exchange([Sending("answer", "GET", "/x", [], None, patience=5)])
    assert (got.leaked, got.response.data) == (False, b"*" * len(said))


@pytest.mark.parametrize("password", ["stop", "e", "1", "assistant"])
def test_a_password_that_is_a_plain_word_changes_no_verdict_and_is_shown_nowhere(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as url, proxying(url) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:{password}@127.0.0.1:{proxy.port}")
        session = Session(Target(parse_url(FAR), "botticelli/echo", KEY, "THE_KEY"), timeout=5)
        (got,) = session.begin()
        exchanges = session.ask(STOPS)
    assert got.response.status == 200
    assert b'"assistant"' in exchanges[-1].response.data, "what came is judged as it came"
    judgement = judge(STOPS, exchanges, "botticelli/echo")
    assert (judgement.outcome, judgement.why_open) == ("obeyed", "")
    saved = json.dumps([piece for one in exchanges for _, piece in one.as_json()["pieces"]])
    assert not re.search(rf"(?<!\w){password}(?!\w)", saved.replace("\\r\\n", " ").replace("\\n", " "))


def test_for_https_a_tunnel_is_asked_for_and_the_proxy_reads_nothing_in_it(
    monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    with proxying(answer=b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"me:{canary}@127.0.0.1:{proxy.port}")
        end, detail, _ = ask("https://far.example/v1")
    (head,) = proxy.heads
    assert head.startswith(
        b"CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\nProxy-Authorization: "
    )
    (hello,) = proxy.after
    assert hello[:1] == b"\x16", "the beginning of TLS"
    assert b"far.example" in hello
    assert (end, canary in detail) == ("unreachable", False)
    assert "proxy" not in detail, "what happens in the tunnel is between us and the server"


class NoTls:
    """Stands for TLS, so that a tunnel can be looked into."""

    def wrap_socket(self, sock: socket.socket, server_hostname: str) -> socket.socket:
        assert server_hostname == "far.example"
        return sock


def test_what_is_asked_in_a_tunnel_is_for_the_server_and_tells_it_nothing_of_the_proxy(
    monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    monkeypatch.setattr("ssl.create_default_context", NoTls)
    with serving() as url, proxying(url, opens=True) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{canary}@127.0.0.1:{proxy.port}")
        session = Session(Target(parse_url("https://far.example/v1"), "botticelli/echo", KEY), timeout=5)
        (got,) = session.begin()
    assert got.response.status == 200
    asked, inside = proxy.heads
    assert b"Proxy-Authorization" in asked
    assert b"Bearer" not in asked, "the key is for the server"
    assert inside.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nHost: far.example\r\n")
    assert b"Proxy-" not in inside


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 407 Secret\r\nProxy-Authenticate: Basic\r\n\r\n",
            "407 Proxy Authentication Required; name",
        ),
        (b"HTTP/1.1 403 No\r\n\r\n", "it answers 403 Forbidden"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "it doesn't answer in HTTP"),
        (b"\r", "it closed the connection"),
    ],
)
def test_a_proxy_that_refuses_is_said_in_a_line(
    answer: bytes, said: str, monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    with proxying(answer=answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{canary}@127.0.0.1:{proxy.port}")
        session = Session(Target(parse_url("https://far.example/v1"), "m"), timeout=5)
        with pytest.raises(EndpointError, match=said) as raised:
            session.begin()
    assert f"the proxy 127.0.0.1:{proxy.port} (from HTTPS_PROXY)" in str(raised.value)
    assert canary not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_proxy_for_plain_http_that_wants_a_name_is_told_from_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxying(answer=b"HTTP/1.1 407 P\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        session = Session(Target(parse_url(FAR), ""), timeout=5)
        with pytest.raises(EndpointError, match="lets nobody pass: it answers 407"):
            session.list_models()


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(
        EndpointError, match=r"nothing answers at http://far.example/v1: the proxy 127.0.0.1:1 "
    ):
        Session(Target(parse_url(FAR), "m"), timeout=5).begin()


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.8.0.1",
        "[::1]",
        "a.localhost",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:0.0.0.0]",
    ],
)
def test_a_server_on_this_machine_is_never_asked_through_a_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    assert Client(parse_url(f"http://{host}:1/v1")).proxy is None


@pytest.mark.parametrize("host", ["10.0.0.1", "[2001:db8::1]", "[::ffff:10.0.0.1]", "127.example"])
def test_a_server_elsewhere_is(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    assert Client(parse_url(f"http://{host}:1/v1")).proxy


def test_what_names_the_proxy_is_said_as_it_is_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    def named_by() -> str:
        found = find_proxy("http", "far.example", "far.example")
        return found.variable if found else ""

    monkeypatch.setenv("HTTP_PROXY", "http://one.example")
    assert named_by() == "HTTP_PROXY"
    monkeypatch.setenv("http_proxy", "http://one.example")
    assert named_by() == "http_proxy"
    monkeypatch.setenv("http_proxy", "http://two.example")
    assert named_by() == "http_proxy"
    settings = {"http": "http://three.example"}
    monkeypatch.setattr("botticelli.kit.probes.proxy.getproxies", lambda: settings)
    assert named_by() == "the system's settings"


def test_no_proxy_is_read_as_urllib_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example")
    monkeypatch.setenv("NO_PROXY", "near.example, other.example:8443")

    def found(host: str, authority: str = "") -> str:
        return str(find_proxy("https", host, authority or host))

    assert found("far.example") == "proxy.example:80 (from HTTPS_PROXY)"
    assert found("api.near.example") == "None"
    assert found("other.example", "other.example:8443") == "None"
    assert found("other.example") != "None"
    assert find_proxy("http", "far.example", "far.example") is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("socks5://me:{}@h:1", "the proxy in HTTP_PROXY is one for socks5; only"),
        ("http://me:{}@h:99999999", "the proxy in HTTP_PROXY is no URL"),
        ("http://me:{}@", "the proxy in HTTP_PROXY is no URL"),
    ],
)
def test_a_variable_that_names_no_proxy_is_said_without_its_password(
    value: str, said: str, monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", value.format(canary))
    with pytest.raises(EndpointError, match=said) as raised:
        Client(parse_url(FAR))
    assert canary not in str(raised.value)
    shown = find_proxy("https", "h", "h")
    assert shown is None


def test_a_proxy_shows_no_password(canary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{canary}@[::2]:3128")
    proxy = find_proxy("http", "far.example", "far.example")
    assert repr(proxy) == "Proxy('[::2]:3128 (from HTTP_PROXY)')"

"""What is written when an answer is recorded: tried on a server that gives the key away wherever it can."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .recorded import settings, suspicions, tape

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MODEL = "/somewhere/on/a/disk/tiny-chat"


class Indiscreet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["content-length"])).decode()
        key = self.headers["authorization"]
        where = "/opt/venv/lib/python3.11/site-packages/x.py at /opt/models/tiny-chat"
        body = f"{key} sent {sent} to {where}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", "text/plain")
        self.send_header("set-cookie", self.headers["authorization"])
        self.send_header("x-echo", self.headers["authorization"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is http.server's
        return


@contextmanager
def indiscreet() -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Indiscreet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def post(origin: str, key: str, model: str) -> str:
    headers = {"authorization": f"Bearer {key}", "content-type": "text/plain", "x-api-key": key}
    with httpx.Client() as client:
        return client.post(f"{origin}/v1/chat/completions", content=f"ask {model}", headers=headers).text


def test_neither_key_nor_place_is_written(tmp_path: Path, canary: str) -> None:
    path = tmp_path / "it.yaml"
    replaced = {f"Bearer {canary}": "***", canary: "***", MODEL: "tiny-chat"}
    with indiscreet() as origin, tape(path, "once", settings(replaced)):
        assert canary in post(origin, canary, MODEL)
    text = path.read_text("utf-8")
    for private in (canary, MODEL, "127.0.0.1", "/opt/"):
        assert private not in text
    assert suspicions(text) == []
    with tape(path, "none", settings({})) as cassette:
        answer = post("http://recorded.invalid", "another", "tiny-chat")
        assert answer == "*** sent ask tiny-chat to site-packages/x.py at tiny-chat"
        assert cassette.play_count == 1


@pytest.mark.parametrize(("path", "model"), [("/v1/chat/completions", "b"), ("/v2/chat/completions", "a")])
def test_another_path_or_body_is_not_played(path: str, model: str, tmp_path: Path, canary: str) -> None:
    file = tmp_path / "it.yaml"
    with indiscreet() as origin, tape(file, "once", settings({canary: "***"})):
        post(origin, canary, "a")
    with tape(file, "none", settings({})) as cassette, httpx.Client() as client:
        with pytest.raises(Exception, match=r"Can't (overwrite|play back)"):
            client.post(f"http://recorded.invalid{path}", content=f"ask {model}")
        assert cassette.play_count == 0
        client.post("http://recorded.invalid/v1/chat/completions", content="ask a")
        assert cassette.play_count == 1

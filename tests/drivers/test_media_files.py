"""Files that a message names: what is read of them, and where."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from botticelli import AsyncHuggingFaceDriver, GenerateRequest, Image, MediaSource, Message, RequestError
from botticelli.drivers import config
from botticelli.drivers.config import names_files, read_media

from .conftest import Server, answer, stream

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Rim, Streamed


Serve = Callable[..., Server]


def showing(path: Path | str) -> GenerateRequest:
    return GenerateRequest([Message.user([Image(MediaSource.from_path(path, "image/png"))])])


async def loop_thread() -> int:
    """The thread of the event loop."""
    return threading.get_ident()


def raise_error_of(ask: Callable[..., Streamed], *arguments: Any) -> None:
    """Raise what a stream came to, at whichever step."""
    error = ask(*arguments).error
    if error is not None:
        raise error


@pytest.fixture(params=["directory", "pipe", "device", "long", "sparse", "gone"])
def unfit(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that isn't read, whatever its name says."""
    path = tmp_path / "a.png"
    match request.param:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "long":
            monkeypatch.setattr(config, "MAX_MEDIA_BYTES", 10)
            path.write_bytes(bytes(11))
        case "sparse":
            monkeypatch.setattr(config, "MAX_MEDIA_BYTES", 10)
            with path.open("wb") as file:
                file.truncate(8 << 30)
        case _:
            pass
    return path


def test_what_is_no_regular_file_of_a_fit_size_is_refused(unfit: Path, rim: Rim, serve: Serve) -> None:
    server = serve(answer())
    driver = rim.driver(server)
    with pytest.raises(RequestError) as caught:
        rim.generate(driver, showing(unfit))
    assert caught.value.rule == "media-unreadable"
    with pytest.raises(RequestError, match="can't be read"):
        raise_error_of(rim.stream, driver, showing(unfit))
    assert server.requests == []


def test_a_file_as_long_as_allowed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "MAX_MEDIA_BYTES", 10)
    path = tmp_path / "a.png"
    path.write_bytes(bytes(10))
    assert read_media(str(path)) == bytes(10)
    path.write_bytes(bytes(11))
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_media(str(path))


def test_a_file_that_the_memory_cant_hold_is_an_oserror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "MAX_MEDIA_BYTES", 1 << 62)
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(OSError, match="memory"):
        read_media(str(path))


def test_files_are_sent_and_an_async_driver_reads_them_off_its_event_loop(
    rim: Rim, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def noting(path: str) -> bytes:
        threads.append(threading.get_ident())
        return read_media(path)

    monkeypatch.setattr(config, "read_media", noting)
    path = tmp_path / "a.png"
    path.write_bytes(b"png")
    server = serve(answer(), stream())
    driver = rim.driver(server, cache={})
    rim.generate(driver, showing(path))
    rim.stream(driver, showing(tmp_path / "a.png"))
    shown = server.requests[0].json["messages"][0]["content"][0]["image_url"]["url"]
    assert shown == "data:image/png;base64,cG5n"
    assert len(server.requests) == 1, "the stream is the same question, so that the cache answers it"
    if isinstance(driver, AsyncHuggingFaceDriver):
        assert rim.call(loop_thread) not in threads


@pytest.mark.parametrize("messages", [None, 5, [5], ["Hi"]])
def test_what_is_no_request_names_no_files(messages: Any) -> None:
    assert not names_files(messages)
    assert not names_files(GenerateRequest(messages))

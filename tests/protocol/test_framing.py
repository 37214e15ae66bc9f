"""Where an answer ends on its connection, compared with h11."""

from __future__ import annotations

import h11
import pytest

from botticelli.protocol.framing import AnswerEnd

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LENGTH = HEAD + b"Content-Length: 2\r\n\r\n{}"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED + b"2\r\n{}\r\nA;ext=1\r\n0123456789\r\n"

WHOLE = {
    "length": LENGTH,
    "length-zero": HEAD + b"content-length:0\r\n\r\n",
    "length-twice": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "chunked": CHUNKS + b"0\r\n\r\n",
    "chunked-trailer": CHUNKS + b"0\r\nX-A: b\r\nX-B: c\r\n\r\n",
    "chunked-empty": CHUNKED + b"0\r\n\r\n",
    "chunked-case": HEAD + b"TRANSFER-ENCODING: Chunked\r\n\r\n000\r\n\r\n",
    "chunked-beside-length": HEAD + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not-modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    "early-hints": b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + LENGTH,
    "line-feeds": LENGTH.replace(b"\r\n", b"\n"),
}

BEYOND = {
    "answer": LENGTH,
    "line": b"\r\n",
    "byte": b"\0",
    "chunk": b"0\r\n\r\n",
}

UNTOLD = {
    "close-delimited": HEAD + b"\r\n{}",
    "http/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length-list": HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
    "length-folded": HEAD + b"X: y\r\n Content-Length: 2\r\n\r\n{}",
    "coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunk-size": CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n",
    "chunk-line": CHUNKED + b"2;" + b"x" * (1 << 18),
    "head": HEAD + b"x" * (1 << 18),
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "not-http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
}


def asked() -> AnswerEnd:
    end = AnswerEnd()
    end.send(b"POST / HTTP/1.1\r\n\r\n")
    return end


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_ends_with_its_last_byte_however_it_is_split(data: bytes) -> None:
    end = asked()
    for byte in data:
        assert not end.clean
        end.feed(bytes((byte,)))
    assert end.clean
    for cut in range(len(data)):
        end = asked()
        end.feed(data[:cut])
        assert not end.clean
        end.feed(data[cut:])
        assert end.clean


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_h11_sees_the_end_there_too(data: bytes) -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "h"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    while type(connection.next_event()) is not h11.EndOfMessage:
        pass
    assert connection.trailing_data == (b"", False)


@pytest.mark.parametrize("more", BEYOND.values(), ids=BEYOND)
@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_what_comes_beyond_it_is_noticed(data: bytes, more: bytes) -> None:
    whole = data + more
    for cut in range(len(whole)):
        end = asked()
        end.feed(whole[:cut])
        end.feed(whole[cut:])
        assert not end.clean


@pytest.mark.parametrize("data", UNTOLD.values(), ids=UNTOLD)
def test_what_cannot_be_told_is_no_end(data: bytes) -> None:
    end = asked()
    for piece in (data, b"more", b"\r\n\r\n"):
        end.feed(piece)
        assert not end.clean


def test_a_request_begins_when_the_one_before_is_answered() -> None:
    end = AnswerEnd()
    assert end.clean
    for data in (*WHOLE.values(), CHUNKS, *WHOLE.values()):
        end.send(b"POST / HTTP/1.1\r\n\r\n")
        end.send(b"HEAD")  # of a body
        assert not end.clean
        end.feed(data)
        assert end.clean == (data is not CHUNKS)


def test_what_has_no_body_by_its_request() -> None:
    end = AnswerEnd()
    end.send(b"HEAD / HTTP/1.1\r\n\r\n")
    end.feed(HEAD + b"Content-Length: 2\r\n\r\n")
    assert end.clean
    end.send(b"CONNECT h:443 HTTP/1.1\r\n\r\n")
    end.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    assert not end.clean

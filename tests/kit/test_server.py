"""The mock server, used over bare sockets: it plays to the byte, and records what it is sent."""

from __future__ import annotations

import contextlib
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.cases.formats import OPENAI, Context
from botticelli.kit.cases.script import ByteScript, compile_exchange
from botticelli.kit.server.recording import Recording, Request
from botticelli.kit.server.server import Listener, MockServer

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = b"GET /v1/models?a=b HTTP/1.1\r\nHost: x\r\nX-Thing: y\r\n\r\n"
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer() as server:
        yield server


@pytest.fixture
def listener(server: MockServer) -> Iterator[Listener]:
    listener = server.open()
    yield listener
    listener.finish()


def play(listener: Listener, *exchanges: dict[str, Any]) -> None:
    def script(index: int, _request: Request) -> ByteScript:
        exchange = exchanges[min(index, len(exchanges) - 1)]
        return compile_exchange(exchange, Context(OPENAI, "id", "m"), datetime.now(UTC))

    listener.respond(script)


def connect(listener: Listener) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", listener.port), timeout=5)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_all(client: socket.socket) -> bytes:
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def read_until(client: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = client.recv(1)
        assert piece, data
        data += piece
    return data


def test_bytes_arrive_as_written_and_close_ends_them(listener: Listener) -> None:
    play(listener, {"status": 200, "body": [{"text": "a"}, {"hex": "00FF"}], "end": "close"})
    with connect(listener) as client:
        client.sendall(GET)
        assert read_all(client) == (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\n\x00\xff\r\n0\r\n\r\n"
        )


def test_what_was_sent_is_seen_as_it_was_sent(listener: Listener) -> None:
    play(listener, {"status": 200, "end": "close"})
    with connect(listener) as client:
        client.sendall(
            b"POST /v1/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nX-A: 1\r\nx-a:  2 \r\n"
            b"Content-Length: 5\r\n\r\nh\x00llo"
        )
        read_all(client)
    [seen] = listener.finish().requests
    assert (seen.request.method, seen.request.path) == ("POST", "/v1/x")
    assert seen.request.headers == (
        ("Host", "x"),
        ("Authorization", "Bearer k"),
        ("X-A", "1"),
        ("x-a", "2"),
        ("Content-Length", "5"),
    )
    assert seen.request.header("x-A") == "1, 2"
    assert seen.request.header("X-B") is None
    assert seen.request.body == b"h\x00llo"
    assert (seen.connection, seen.delay, seen.client_left) == (0, None, False)


def test_a_chunked_request_and_one_that_waits_for_leave(listener: Listener) -> None:
    play(listener, {"status": 200, "framing": "length"})
    with connect(listener) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"2;x=y\r\nhe\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n")
        assert b"200 OK" in read_until(client, b"\r\n\r\n")
    [seen] = listener.finish().requests
    assert seen.request.body == b"he0123456789"


def test_a_kept_connection_carries_the_next_exchange(listener: Listener) -> None:
    play(listener, {"status": 201, "framing": "length"}, {"status": 202, "framing": "length"})
    with connect(listener) as client:
        client.sendall(GET)
        assert b" 201 " in read_until(client, b"\r\n\r\n")
        client.sendall(GET)
        assert b" 202 " in read_until(client, b"\r\n\r\n")
        client.sendall(GET)
        assert b" 202 " in read_until(client, b"\r\n\r\n")
    with connect(listener) as client:
        client.sendall(GET)
        read_until(client, b"\r\n\r\n")
    seen = listener.finish()
    assert [request.connection for request in seen.requests] == [0, 0, 0, 1]
    assert seen.connections == 2
    assert all((request.delay or 0) >= 0 for request in seen.requests[1:])


def test_a_reset_is_a_reset_and_what_came_before_it_arrives(listener: Listener) -> None:
    play(listener, {"status": 200, "body": [{"text": "half"}], "end": "reset"})
    with connect(listener) as client:
        client.sendall(GET)
        assert read_until(client, b"half\r\n").endswith(b"4\r\nhalf\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_reset_before_any_byte(listener: Listener) -> None:
    play(listener, {"end": "reset"})
    with connect(listener) as client:
        client.sendall(GET)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_cut_body_ends_without_its_last_chunk(listener: Listener) -> None:
    play(listener, {"status": 200, "body": [{"text": "a"}], "end": "cut"})
    with connect(listener) as client:
        client.sendall(GET)
        assert read_all(client).endswith(b"\r\n\r\n1\r\na\r\n")


def hold(listener: Listener, patience: float, *, leave: bool) -> Recording:
    play(listener, {"status": 200, "body": [{"text": "a"}, {"hold": True}], "end": "cut"})
    with connect(listener) as client:
        client.sendall(GET)
        read_until(client, b"1\r\na\r\n")
        if leave:
            client.close()
        return listener.finish(patience=patience)


def test_a_client_that_leaves_a_held_answer_is_noticed(listener: Listener) -> None:
    [seen] = hold(listener, 5, leave=True).requests
    assert seen.client_left


def test_a_client_that_stays_is_noticed_too(listener: Listener) -> None:
    [seen] = hold(listener, 0.05, leave=False).requests
    assert not seen.client_left


def test_finish_closes_a_held_connection_and_the_port(listener: Listener) -> None:
    play(listener, {"status": 200, "body": [{"hold": True}], "end": "cut"})
    with connect(listener) as client:
        client.sendall(GET)
        read_until(client, b"\r\n\r\n")
        listener.finish()
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(listener)


def test_a_stage_that_does_not_listen_refuses(server: MockServer) -> None:
    listener = server.open(listens=False)
    assert listener.port
    with pytest.raises(ConnectionRefusedError):
        connect(listener)
    assert listener.finish() == Recording((), 0, ())


def test_stages_do_not_see_each_other(server: MockServer) -> None:
    one, other = server.open(), server.open()
    play(one, {"status": 200, "end": "close"})
    with connect(one) as client:
        client.sendall(GET)
        read_all(client)
    assert len(one.finish().requests) == 1
    assert other.finish().requests == ()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"hello\r\n\r\n", "not a request line: 'hello'"),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "not a request line"),
        (b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "not a request line"),
        (b"GET / HTTP/2\r\nHost: x\r\n\r\n", "not a request line"),
        (b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n", "not a request line"),
        (b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n", "not a request line"),
        (b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "not a request line: ''"),
        (b"GET / HTTP/1.1\r\n\r\n", "0 Host headers in place of one"),
        (HEAD + b"host: y\r\n\r\n", "2 Host headers in place of one"),
        (HEAD + b"no colon\r\n\r\n", "not a header: 'no colon'"),
        (HEAD + b"A : b\r\n\r\n", "not a header"),
        (HEAD + b"A: b\r\n folded\r\n\r\n", "not a header: ' folded'"),
        (HEAD + b"A: b\nB: c\r\n\r\n", r"not a header: 'A: b\nB: c'"),
        (HEAD + b"A: b\x00\r\n\r\n", "not a header"),
        (HEAD + b": b\r\n\r\n", "not a header"),
        (b"GET / HTTP/1.1\r\nA: b\r\n", "closed inside a head"),
        (HEAD + b"Content-Length: 9\r\n\r\nabc", "closed inside a body"),
        (HEAD + b"Content-Length: +3\r\n\r\nabc", "not a Content-Length: '+3'"),
        (HEAD + b"Content-Length:\r\n\r\n", "not a Content-Length: ''"),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "not a Content-Length: '3, 3'"),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", "a body of more than"),
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "Content-Length beside"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "Transfer-Encoding 'gzip, chunked'"),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "'chunked' in HTTP/1.0"),
        (CHUNKED + b"zz\r\n", "not the size of a chunk: 'zz'"),
        (CHUNKED + b"-1\r\n", "not the size of a chunk"),
        (CHUNKED + b"0x1\r\na\r\n", "not the size of a chunk"),
        (CHUNKED + b"\r\n", "not the size of a chunk: ''"),
        (CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", "a chunk that does not end where it says"),
        (CHUNKED + b"2\r\nab\r\n", "closed inside a body"),
        (CHUNKED + b"4\r\nab", "closed inside a body"),
        (CHUNKED + b"FFFFFFFF\r\n", "a body of more than"),
        (CHUNKED + b"0\r\nno colon\r\n\r\n", "not a header: 'no colon'"),
        (CHUNKED + b"0;" + b"x" * 2_000_000, "the size of a chunk without an end"),
        (CHUNKED + b"0\r\nX:" + b"x" * 2_000_000, "a trailer without an end"),
        (HEAD + b"X: " + b"x" * 2_000_000, "a head without an end"),
    ],
    ids=lambda value: value[-30:] if isinstance(value, bytes) else value,
)
def test_a_request_that_is_not_http_is_recorded_and_refused(
    listener: Listener, sent: bytes, message: str
) -> None:
    play(listener, {"status": 200})
    # Closed with bytes unread, the connection may be reset rather than ended.
    with connect(listener) as client, contextlib.suppress(OSError):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client).decode()
        status = "413 Content Too Large" if "body of more" in message else "400 Bad Request"
        assert answer.startswith(f"HTTP/1.1 {status}\r\n")
        assert message in answer
    seen = listener.finish()
    assert seen.requests == ()
    [trouble] = seen.protocol_errors
    assert message in trouble


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        HEAD + b"Empty:\r\nObs: \xe9\t\xff\r\n\r\n",
        HEAD + b"content-length:0\r\n\r\n",
        CHUNKED + b"000\r\n\r\n",
        CHUNKED + b'1 ; a="b"\r\nx\r\n0\r\n\r\n',
    ],
)
def test_what_is_unusual_but_http_is_taken(listener: Listener, sent: bytes) -> None:
    play(listener, {"status": 200, "end": "close"})
    with connect(listener) as client:
        client.sendall(sent)
        assert read_all(client).startswith(b"HTTP/1.1 200 OK")
    seen = listener.finish()
    assert (len(seen.requests), seen.protocol_errors) == (1, ())


def test_a_reset_takes_nothing_back_from_who_reads_late(listener: Listener) -> None:
    size = 60_000
    play(listener, {"status": 200, "framing": "close", "body": [{"text": "x" * size}], "end": "reset"})
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        client.connect(("127.0.0.1", listener.port))
        client.sendall(GET)
        read_until(client, b"\r\n\r\n")
        time.sleep(0.2)  # time enough for a reset that does not wait
        got = 0
        while piece := received(client):
            got += len(piece)
    assert (got, piece) == (size, None)


def received(client: socket.socket) -> bytes | None:
    """The next bytes, or None for a reset."""
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return None


def test_a_stage_need_not_remember(server: MockServer) -> None:
    listener = server.open(records=False)
    play(listener, {"status": 200, "framing": "length"}, {"status": 201, "end": "close"})
    with connect(listener) as client:
        client.sendall(GET)
        read_until(client, b"\r\n\r\n")
        client.sendall(GET)
        assert read_all(client).startswith(b"HTTP/1.1 201 "), "requests are counted all the same"
    with connect(listener) as client:
        client.sendall(b"hello\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
    assert listener.finish() == Recording((), 2, ())


def test_a_client_that_leaves_while_it_is_written_to_is_noticed(listener: Listener) -> None:
    play(listener, {"status": 200, "body": [{"repeat": 200, "of": [{"text": "x" * 100_000}]}]})
    with connect(listener) as client:
        client.sendall(GET)
        read_until(client, b"\r\n\r\n")
    [seen] = listener.finish(patience=5).requests
    assert seen.client_left


def test_a_player_that_is_closed_closes_its_stages() -> None:
    server = MockServer()
    listener = server.open()
    play(listener, {"status": 200, "body": [{"hold": True}], "end": "cut"})
    with connect(listener) as client:
        client.sendall(GET)
        read_until(client, b"\r\n\r\n")
        server.close()
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(listener)


def test_an_exchange_that_cannot_be_played_is_recorded(listener: Listener) -> None:
    play(listener, {"status": 200, "framing": "close", "end": "keep-alive"})
    with connect(listener) as client:
        client.sendall(GET)
        assert read_all(client).startswith(b"HTTP/1.1 500 ")
    [trouble] = listener.finish().protocol_errors
    assert "framing close" in trouble


def test_a_request_before_a_responder_is_set_is_recorded(listener: Listener) -> None:
    with connect(listener) as client:
        client.sendall(GET)
        assert b"a request came before the listener had a responder" in read_all(client)
    [trouble] = listener.finish().protocol_errors
    assert "a request came before the listener had a responder" in trouble


def test_lingering_sees_what_comes_late(listener: Listener) -> None:
    play(listener, {"status": 200, "framing": "length"})
    with connect(listener) as client:
        client.sendall(GET)
        seen = listener.finish(linger=0.2)
    assert len(seen.requests) == 1


def test_a_taken_port_is_an_os_error(server: MockServer, listener: Listener) -> None:
    with pytest.raises(OSError, match="in use"):
        server.open(port=listener.port)


def test_closing_twice_is_once() -> None:
    server = MockServer()
    server.close()
    server.close()

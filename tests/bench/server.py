"""The server that costs next to nothing: canned bytes over loopback, `python -m tests.bench.server`.

It runs as a process of its own, so that the client's CPU time is the client's alone, prints its port, and
ends when its standard input does. The first part of a path names what is played::

    /single/...          a whole answer
    /usual/...           the same as most servers send it: without `refusal`
    /lumps/...           a stream in HTTP chunks of 4 KiB
    /steps/...           the same, one HTTP chunk per event
    /keyless-lumps/...   the same in 4 KiB, without a `finish_reason` key but on the last chunk
    /keyless-steps/...
    /vendor-lumps/...    in 4 KiB, with members of the vendor's own in every chunk
    /mistyped-lumps/...  in 4 KiB, with an `index` that is text in every chunk
    /endless/...         a stream of a million chunks
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNKS = 2_000
MANY_CHUNKS = 1_000_000
WORD = " word"
PIECE = 4096

_ID = {
    "id": "chatcmpl-4fzzx0y9kQ7bL2mW8tRs",
    "created": 1_700_000_000,
    "model": "meta-llama/Llama-3.2-1B-Instruct",
}
_USAGE = {"prompt_tokens": 11, "completion_tokens": CHUNKS, "total_tokens": CHUNKS + 11}


def event(delta: dict[str, Any], finish: str | None = None, *, keyed: bool = True) -> bytes:
    choice: dict[str, Any] = {"index": 0, "delta": delta, "logprobs": None}
    if keyed or finish is not None:
        choice["finish_reason"] = finish
    body = {**_ID, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def events(*, keyed: bool = True) -> Iterator[bytes]:
    yield event({"role": "assistant", "content": ""}, keyed=keyed)
    for _ in range(CHUNKS):
        yield event({"content": WORD}, keyed=keyed)
    yield event({}, "stop")
    yield b"data: [DONE]\n\n"


def whole_answer(*, usual: bool = False) -> bytes:
    message = {"role": "assistant", "content": WORD * 60, **({} if usual else {"refusal": None})}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = json.dumps({**_ID, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def framed(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def lumps(stream: bytes) -> bytes:
    pieces = (stream[at : at + PIECE] for at in range(0, len(stream), PIECE))
    return _STREAM_HEAD + b"".join(map(framed, pieces)) + b"0\r\n\r\n"


def steps(*, keyed: bool = True) -> bytes:
    return _STREAM_HEAD + b"".join(map(framed, events(keyed=keyed))) + b"0\r\n\r\n"


PLAYS = {
    b"single": whole_answer(),
    b"usual": whole_answer(usual=True),
    b"lumps": lumps(b"".join(events())),
    b"steps": steps(),
    b"vendor-lumps": lumps(
        b"".join(events()).replace(b'"object":', b'"provider":"acme","timings":{"queue":0.5},"object":')
    ),
    b"keyless-lumps": lumps(b"".join(events(keyed=False))),
    b"mistyped-lumps": lumps(b"".join(events()).replace(b'"index":0', b'"index":"0"')),
    b"keyless-steps": steps(keyed=False),
}


class Canned(asyncio.Protocol):
    """Answers each request with the bytes that its path names, whatever it says."""

    def __init__(self) -> None:
        self._pending = b""
        self._drained = asyncio.Event()
        self._drained.set()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def data_received(self, data: bytes) -> None:
        data = self._pending + data
        head, found, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        if not found or len(body) < length:
            self._pending = data
            return
        self._pending = b""
        name = head.split(b"/", 2)[1]
        if name == b"endless":
            self._task = asyncio.create_task(self._many())
        else:
            self._transport.write(PLAYS[name])

    async def _many(self) -> None:
        """Write only as fast as it is read."""
        block = framed(event({"content": WORD}) * 100)
        self._transport.write(_STREAM_HEAD)
        for _ in range(MANY_CHUNKS // 100):
            await self._drained.wait()
            self._transport.write(block)
        self._transport.write(framed(event({}, "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n")


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Canned, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())

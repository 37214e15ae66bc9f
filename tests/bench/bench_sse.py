"""What event-stream framing costs: `just bench-framing [--largest MIB]`, CPU time.

One table gives nanoseconds per byte over sizes, shapes and pieces: a row that grows to the
right would be quadratic. (Long lines in large pieces cost next to nothing while they fit the cache;
beyond it, each of the few copies of a line takes fresh pages, and the figure settles near that.)
Cutting the stream into the pieces is part of the time; `cutting` is its share.

The other gives nanoseconds per event beside the least that a reader could do, `split` on the
blank line and a slice, for the shapes that servers send.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING

from botticelli.protocol.sse import SSEDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

KIB = 1024
MIB = 1024 * KIB
SIZES = {
    "1 KiB": KIB,
    "32 KiB": 32 * KIB,
    "1 MiB": MIB,
    "8 MiB": 8 * MIB,
    "64 MiB": 64 * MIB,
}
PIECES = {"1 B": 1, "7 B": 7, "64 KiB": 64 * KIB}

JSON = (
    b'{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}'
)
PLAIN = b"data: " + JSON + b"\n\n"


def one_line(size: int) -> bytes:
    return b"data: " + b"x" * (size - 8) + b"\n\n"


def many_lines(size: int) -> bytes:
    return b"data: 0123456789\n" * (size // 17) + b"\n"


def many_events(size: int) -> bytes:
    return PLAIN * (size // len(PLAIN))


STREAMS = {
    "one event of one line": one_line,
    "one event of many lines": many_lines,
    "many events": many_events,
}

# One event of the shape, and the blank line at which the naive reader splits.
SHAPES = {
    "data: {}, LF": (PLAIN, b"\n\n"),
    "data: {}, CRLF": (b"data: " + JSON + b"\r\n\r\n", b"\r\n\r\n"),
    "data:{}, LF": (b"data:" + JSON + b"\n\n", b"\n\n"),
    "data: {}, CR": (b"data: " + JSON + b"\r\r", b"\r\r"),
    "event: and data:": (b"event: chunk\n" + PLAIN, b"\n\n"),
    "19 events, a comment": (PLAIN * 19 + b": ping\n\n", b"\n\n"),
}


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def only_cut(stream: bytes, size: int) -> None:
    for at in range(0, len(stream), size):
        stream[at : at + size]


def cut_and_decode(stream: bytes, size: int) -> None:
    feed = SSEDecoder(max_event_bytes=2 * len(stream)).feed
    for at in range(0, len(stream), size):
        feed(stream[at : at + size])


def read_naively(pieces: list[bytes], gap: bytes) -> int:
    """Wrong for most streams, and the floor for all: nothing but splits and slices."""
    events = 0
    pending = b""
    for piece in pieces:
        *blocks, pending = (pending + piece).split(gap)
        for block in blocks:
            _ = block[6:]
            events += 1
    return events


def read(pieces: list[bytes]) -> int:
    events = 0
    decoder = SSEDecoder()
    for piece in pieces:
        for event in decoder.feed(piece):
            _ = event.data
            events += 1
    return events


def seconds(run: Callable[[], object], *, repeat: int = 1, rounds: int = 1) -> float:
    """CPU seconds of one run, in the best of the rounds: the others were disturbed."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeat):
            run()
        best = min(best, time.process_time() - start)
    return best / repeat


def per_byte(way: Callable[[bytes, int], None], stream: bytes, size: int) -> float:
    # Enough work for the clock in small streams, and no more than needed in large ones.
    repeat = max(1, 64 * KIB * min(size, 64) // len(stream))
    rounds = 5 if len(stream) <= MIB else 1
    spent = seconds(partial(way, stream, size), repeat=repeat, rounds=rounds)
    return spent / len(stream) * 1e9


def print_bytes(largest: int) -> None:
    sizes = {label: size for label, size in SIZES.items() if size <= largest}
    print(f"{'ns per byte':<26}{'pieces':>8}", *(f"{label:>8}" for label in sizes), " cutting")
    for name, make in STREAMS.items():
        for label, size in PIECES.items():
            cells = [f"{per_byte(cut_and_decode, make(n), size):8.2f}" for n in sizes.values()]
            share = per_byte(only_cut, make(MIB), size)
            print(f"{name:<26}{label:>8}", *cells, f"{share:8.2f}", flush=True)


def print_events() -> None:
    print(f"{'ns per event':<26}{'pieces':>8}", *(f"{x:>8}" for x in ("naive", "ours", "more")))
    for name, (shape, gap) in SHAPES.items():
        stream = shape * (4000 if shape.count(JSON) == 1 else 200)
        event_count = stream.count(JSON)
        for label, size in {"1 event": len(shape), "4 KiB": 4096, "64 KiB": 65536}.items():
            if size == len(shape) and shape.count(JSON) > 1:
                continue
            pieces = cut(stream, size)
            naive = seconds(partial(read_naively, pieces, gap), rounds=9)
            ours = seconds(partial(read, pieces), rounds=9)
            cells = [f"{spent / event_count * 1e9:8.0f}" for spent in (naive, ours, ours - naive)]
            print(f"{name:<26}{label:>8}", *cells, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="What event-stream framing costs, in CPU time.")
    parser.add_argument("--largest", type=int, default=64, metavar="MIB", help="default: 64")
    largest: int = parser.parse_args().largest
    print_events()
    print()
    print_bytes(largest * MIB)


if __name__ == "__main__":
    main()

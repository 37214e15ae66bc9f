"""Event-stream framing: the standard's rules one by one, the tapes, the limit.

Every example is read whole, byte by byte, in sevens, and with bytes after it, as h11 does.
The properties, with an independent parser, are in tests/property/test_sse_properties.py.
"""

from __future__ import annotations

import base64
import copy
import itertools
import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from botticelli.protocol.sse import (
    DEFAULT_MAX_EVENT_BYTES,
    FOREIGN_EXCERPT_BYTES,
    Event,
    EventTooLargeError,
    SSEDecoder,
    Tail,
)

TAPES = Path(__file__).parents[2] / "fixtures" / "tapes"
INDEX: list[dict[str, Any]] = json.loads((TAPES / "index.json").read_bytes())["tapes"]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def read(*stream: bytes, limit: int = DEFAULT_MAX_EVENT_BYTES) -> tuple[list[Event], SSEDecoder]:
    decoder = SSEDecoder(max_event_bytes=limit)
    return [event for piece in stream for event in decoder.feed(piece)], decoder


class Rule(NamedTuple):
    """A rule of the standard, in our words, and a stream whose meaning depends on it."""

    says: str
    stream: bytes
    events: list[Event]


RULES = {
    # Line ends
    "lf": Rule("a LF ends a line", b"data: a\n\n", [Event(b"a")]),
    "cr": Rule("a CR alone ends a line", b"data: a\r\r", [Event(b"a")]),
    "crlf": Rule("a CR and the LF after it are one line end", b"data: a\r\n\r\n", [Event(b"a")]),
    "crlf-is-not-two": Rule(
        "so a CRLF alone makes no blank line", b"data: a\r\ndata: b\r\n\r\n", [Event(b"a\nb")]
    ),
    "mixed": Rule(
        "each line may end in its own way",
        b"data: a\n\rdata: b\r\ndata: c\r\r\ndata: d\n\r\n",
        [Event(b"a"), Event(b"b\nc"), Event(b"d")],
    ),
    "crlf-events": Rule(
        "and again many times in one stream",
        b"data: a\r\n\r\ndata: b\r\n\r\ndata: c\r\n\r\n",
        [Event(b"a"), Event(b"b"), Event(b"c")],
    ),
    "cr-in-lf-stream": Rule(
        "a CR within a line of a LF stream still ends it",
        b"data: a\rdata: b\n\ndata: c\n\n",
        [Event(b"a\nb"), Event(b"c")],
    ),
    "cr-in-crlf-stream": Rule(
        "or of a CRLF stream",
        b"data: a\r\n\r\ndata: b\rdata: c\r\n\r\n",
        [Event(b"a"), Event(b"b\nc")],
    ),
    "cr-in-crlf-event": Rule("or of a single event", b"data: a\rdata: b\r\n\r\n", [Event(b"a\nb")]),
    "lf-in-crlf-stream": Rule(
        "as does a LF in a CRLF stream",
        b"data: a\ndata: b\r\n\r\ndata: c\r\n\r\n",
        [Event(b"a\nb"), Event(b"c")],
    ),
    "other-line-ends": Rule(
        "nothing else ends a line: not VT, FF, FS, U+0085, U+2028 or U+2029",
        "data: a\x0b\x0c\x1c\u0085\u2028\u2029b\n\n".encode(),
        [Event("a\x0b\x0c\x1c\u0085\u2028\u2029b".encode())],
    ),
    # Byte order mark
    "bom": Rule("one BOM at the start is dropped", b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")]),
    "bom-twice": Rule(
        "a second one belongs to the field name, which is then unknown",
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
        [Event(b"b")],
    ),
    "bom-later": Rule(
        "and so does one that comes later, while in a value it is a character",
        b"data: \xef\xbb\xbfa\n\n\xef\xbb\xbfdata: b\n\n",
        [Event(b"\xef\xbb\xbfa")],
    ),
    "half-a-bom": Rule(
        "what begins like a BOM and isn't one is read like anything else",
        b"\xef\xbb\n\ndata: a\n\n",
        [Event(b"a")],
    ),
    # Comments
    "comments": Rule(
        "a line that begins with a colon is ignored, also within a block",
        b":\n: a\n:data: b\n\ndata: c\n:d\ndata: e\n\n",
        [Event(b"c\ne")],
    ),
    # Fields
    "no-space": Rule("no space need follow the colon", b"data:a\n\n", [Event(b"a")]),
    "one-space": Rule("one space is dropped, a second stays", b"data:  a\n\n", [Event(b" a")]),
    "tab": Rule("only a space is dropped", b"data:\ta\n\n", [Event(b"\ta")]),
    "space-now-and-then": Rule(
        "whatever the lines before it did",
        b"data:a\n\ndata: b\n\ndata:  c\n\ndata:d\n\n",
        [Event(b"a"), Event(b"b"), Event(b" c"), Event(b"d")],
    ),
    "no-space-at-all": Rule("nor need it in any line", b"data:a\n\ndata:b\n\n", [Event(b"a"), Event(b"b")]),
    "colons": Rule("the first colon counts", b"data:: a:b\n\n", [Event(b": a:b")]),
    "no-colon": Rule("without a colon the value is empty", b"data\n\n", [Event(b"")]),
    "unknown": Rule(
        "other names are ignored; names are compared exactly",
        b"foo: a\nData: b\ndata : c\n data: d\ndat: e\n\ndata: f\n\n",
        [Event(b"f")],
    ),
    "several-data": Rule("data lines are joined with LF", b"data: a\ndata: b\n\n", [Event(b"a\nb")]),
    "three-data": Rule("all of them, empty ones too", b"data: a\ndata\ndata: b\n\n", [Event(b"a\n\nb")]),
    "event": Rule(
        "the last event line names its block and no other",
        b"event: a\nevent: b\ndata: c\n\ndata: d\n\n",
        [Event(b"c", "b"), Event(b"d")],
    ),
    "event-empty": Rule("an empty name is no name", b"event:\ndata: a\n\n", [Event(b"a")]),
    "id": Rule(
        "an id holds for the later events as well",
        b"id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\n",
        [Event(b"a", id="1"), Event(b"b", id="1"), Event(b"c", id="2")],
    ),
    "id-empty": Rule(
        "an empty id clears it", b"id: 1\n\nid\ndata: a\n\ndata: b\n\n", [Event(b"a"), Event(b"b")]
    ),
    "id-nul": Rule("an id with a NUL is ignored", b"id: 1\nid: \x002\ndata: a\n\n", [Event(b"a", id="1")]),
    "nul": Rule(
        "elsewhere a NUL is a character",
        b"event: \0\ndata: a\0b\n\n",
        [Event(b"a\0b", "\0")],
    ),
    "utf-8": Rule(
        "ids and names are UTF-8, with U+FFFD for what isn't; data stays as it came",
        b"id: \xc3\xa9\nevent: a\xffb\xe2\x80\ndata: \xc3\xa9\xff\n\n",
        [Event(b"\xc3\xa9\xff", "a\ufffdb\ufffd", "é")],
    ),
    # Dispatch
    "no-data": Rule(
        "a block without a data line dispatches nothing and its name is forgotten",
        b"event: a\n\ndata: b\n\n",
        [Event(b"b")],
    ),
    "empty-data": Rule(
        "a block with an empty data line dispatches an empty event",
        b"data:\n\ndata: \n\n",
        [Event(b""), Event(b"")],
    ),
    "two-empty-data": Rule("two empty ones make a LF", b"data\ndata:\n\n", [Event(b"\n")]),
    "blank-lines": Rule("more blank lines change nothing", b"\n\ndata: a\n\n\n\n", [Event(b"a")]),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_rule(rule: Rule, size: int) -> None:
    events, decoder = read(*pieces(rule.stream, size))
    assert events == rule.events, rule.says
    assert {type(event.data) for event in events} == {bytes}  # a bytearray would equal it
    assert decoder.finish() == Tail(None, b"")


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("after", [b"x", b"\ndata: x", b"data: x\r"], ids=repr)
def test_rule_with_bytes_after_it(rule: Rule, after: bytes) -> None:
    events, decoder = read(rule.stream + after)
    assert events == rule.events, rule.says
    assert decoder.finish() != Tail(None, b"")


def value(member: dict[str, Any], name: str) -> bytes:
    if name + "_base64" in member:
        return base64.b64decode(member[name + "_base64"])
    return str(member[name]).encode()


def event(member: dict[str, Any]) -> Event:
    return Event(value(member, "data"), member["event"], member["id"])


def assert_plays(tape: dict[str, Any], stream: list[bytes]) -> None:
    events, decoder = read(*stream)
    assert events == [event(member) for member in tape["events"]]
    assert decoder.comments == tape["comments"]
    assert decoder.retry == tape["retry"]
    assert decoder.last_event_id == tape["last_event_id"]
    assert decoder.foreign == tape["foreign"].encode()
    tail = tape["tail"]
    pending = None if tail["event"] is None else event(tail["event"])
    assert decoder.finish() == Tail(pending, value(tail, "junk"))


@pytest.mark.parametrize("tape", INDEX, ids=[tape["file"] for tape in INDEX])
def test_tape_however_it_is_cut(tape: dict[str, Any]) -> None:
    data = (TAPES / tape["file"]).read_bytes()
    for size in (1, 2, 3, 7, 64, len(data)):
        assert_plays(tape, pieces(data, size))
    for at in range(len(data) + 1):
        assert_plays(tape, [data[:at], b"", data[at:]])


def test_every_tape_is_in_the_index() -> None:
    assert {tape["file"] for tape in INDEX} == {path.name for path in TAPES.glob("*.sse")}


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=repr)
def test_an_event_comes_out_with_the_byte_that_completes_it(end: bytes) -> None:
    """After CR CR nothing is waited for: the LF that may follow is dropped when it comes."""
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a" + end) == []
    assert decoder.feed(end[:1]) == [Event(b"a")]
    assert decoder.feed(b"") == []
    assert decoder.feed(end[1:]) == []
    assert decoder.feed(b"data: b" + end + end) == [Event(b"b")]


def test_a_crlf_cut_in_two_with_an_empty_read_between() -> None:
    events, _ = read(b"data: a\r", b"", b"\ndata: b\r\n", b"\r\n")
    assert events == [Event(b"a\nb")]


@pytest.mark.parametrize("cuts", list(itertools.product([b"", b"|"], repeat=3)), ids=repr)
def test_bom_over_several_reads(cuts: tuple[bytes, ...]) -> None:
    first, second, third = cuts
    marked = b"\xef" + first + b"\xbb" + second + b"\xbf" + third + b"data: a\n\n"
    assert read(*marked.split(b"|"))[0] == [Event(b"a")]


@pytest.mark.parametrize("start", [b"", b"\xef", b"\xef\xbb"], ids=repr)
def test_input_that_ends_within_a_bom(start: bytes) -> None:
    assert read(start)[1].finish() == Tail(None, start)


def test_counts_and_settings() -> None:
    _, decoder = read(b": a\n:\nretry: 10\n\nid: 7\n")
    assert (decoder.comments, decoder.retry) == (2, 10)
    assert decoder.last_event_id == ""  # it is set by the blank line
    decoder.feed(b"\n")
    assert decoder.last_event_id == "7"
    decoder.feed(b"id: 8\n")
    assert decoder.feed(b"data: a\n\n") == [Event(b"a", id="8")]
    assert decoder.last_event_id == "8"
    assert decoder.feed(b"data: b\n\ndata: c\n\n") == [Event(b"b", id="8"), Event(b"c", id="8")]


@pytest.mark.parametrize(
    ("line", "retry"),
    [
        (b"retry: 0", 0),
        (b"retry:0012", 12),
        (b"retry: " + b"9" * 15, 10**15 - 1),
        (b"retry: " + b"9" * 16, 5),
        (b"retry: " + b"9" * 100_000, 5),
        (b"retry", 5),
        (b"retry:", 5),
        (b"retry:  1", 5),
        (b"retry: -1", 5),
        (b"retry: +1", 5),
        (b"retry: 1.5", 5),
        (b"retry: 1_0", 5),
        ("retry: ٣".encode(), 5),
    ],
    ids=lambda part: repr(part)[:24],
)
def test_retry_takes_ascii_digits(line: bytes, retry: int) -> None:
    assert read(b"retry: 5\n" + line + b"\n")[1].retry == retry


def test_foreign_lines_are_quoted_as_far_as_there_is_room() -> None:
    _, decoder = read(b"data: a\n\n<html>\n", b"<title>502: bad gateway</title>\n\n")
    assert decoder.foreign == b"<html>\n<title>502: bad gateway</title>"
    decoder.feed(b"x" * FOREIGN_EXCERPT_BYTES + b"\n")
    assert decoder.foreign.startswith(b"<html>\n<title>502: bad gateway</title>\nxxx")
    assert len(decoder.foreign) == FOREIGN_EXCERPT_BYTES
    full = decoder.foreign
    decoder.feed(b"y\n")
    assert decoder.foreign == full


def test_foreign_knows_no_unfinished_line() -> None:
    """`dat` may be the beginning of `data`: only its end would tell."""
    _, decoder = read(b"dat")
    assert decoder.foreign == b""
    assert decoder.finish() == Tail(None, b"dat")


@pytest.mark.parametrize(
    ("end", "tail"),
    [
        (b"", Tail(None, b"")),
        (b"data: b", Tail(Event(b"b", id="1"), b"data: b")),
        (b"data:b", Tail(Event(b"b", id="1"), b"data:b")),
        (b"data:  b", Tail(Event(b" b", id="1"), b"data:  b")),
        (b"data: b\n", Tail(Event(b"b", id="1"), b"")),
        (b"data: b\r", Tail(Event(b"b", id="1"), b"")),
        (b"data: b\ndata: c", Tail(Event(b"b\nc", id="1"), b"data: c")),
        (b"data: b\ndata: c\ndata: d", Tail(Event(b"b\nc\nd", id="1"), b"data: d")),
        (b"event: e\nid: 2\ndata: b", Tail(Event(b"b", "e", "2"), b"data: b")),
        (b"data: b\nid: 4", Tail(Event(b"b", id="1"), b"id: 4")),
        (b"data: b\nevent: er", Tail(Event(b"b", id="1"), b"event: er")),
        (b"event: e\n", Tail(None, b"")),
        (b"data", Tail(None, b"data")),
        (b": ping", Tail(None, b": ping")),
        (b'{"error": "x"}', Tail(None, b'{"error": "x"}')),
        (b"data: \xf0\x9f", Tail(Event(b"\xf0\x9f", id="1"), b"data: \xf0\x9f")),
    ],
    ids=repr,
)
def test_end_of_input(end: bytes, tail: Tail) -> None:
    events, decoder = read(b"id: 1\ndata: a\n\n" + end)
    assert events == [Event(b"a", id="1")]
    assert decoder.finish() == tail
    assert decoder.finish() == tail
    assert (decoder.comments, decoder.foreign, decoder.last_event_id) == (0, b"", "1")


def test_the_tail_can_be_asked_for_in_mid_stream() -> None:
    decoder = SSEDecoder()
    events: list[Event] = []
    for byte in b"data: a\ndata: b\n\n":
        events += decoder.feed(bytes([byte]))
        decoder.finish()
    assert events == [Event(b"a\nb")]


EVENTS_OF_TWENTY = {
    "one-line": b"data: " + b"x" * 14 + b"\n\n",
    "one-line-crlf": b"data: " + b"x" * 14 + b"\r\n\r\n",
    "no-space": b"data:" + b"x" * 15 + b"\n\n",
    "two-lines": b"data: xxxxx\ndata: xxxxxxxx\n\n",  # 5 + 1 held, and a line of 14
    "many-lines": b"data\n" * 16 + b"data\n\n",  # 16 held, and a line of 4
    "comment": b"data: a\n:" + b"x" * 17 + b"\n\n",  # 1 + 1 held, and a line of 18
    "event": b"event: " + b"x" * 13 + b"\ndata\n\n",
    "unknown": b"x" * 20 + b"\ndata\n\n",
}


@pytest.mark.parametrize("stream", EVENTS_OF_TWENTY.values(), ids=EVENTS_OF_TWENTY.keys())
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_limit_is_exact(stream: bytes, size: int) -> None:
    before = b"data: a\n\ndata: b\n\n"
    events, _ = read(*pieces(before + stream, size), limit=20)
    assert len(events) == 3

    decoder = SSEDecoder(max_event_bytes=19)
    delivered: list[Event] = []
    error: EventTooLargeError | None = None
    for piece in pieces(before + stream + before, size):
        try:
            delivered += decoder.feed(piece)
        except EventTooLargeError as raised:
            error = raised
            delivered += raised.events
    assert error is not None
    assert error.limit == 19
    assert delivered == [Event(b"a"), Event(b"b")]


def test_the_limit_is_met_before_the_line_ends() -> None:
    """A line without an end must not be collected for ever."""
    decoder = SSEDecoder(max_event_bytes=10)
    assert decoder.feed(b"data: aaaa") == []
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"a")


def test_the_limit_counts_comments_only_while_they_are_read() -> None:
    events, decoder = read(b"data: a\n" + b": keep-alive\n" * 1000 + b"\n", limit=16)
    assert events == [Event(b"a")]
    assert decoder.comments == 1000


def test_the_limit_is_per_event() -> None:
    events, _ = read(b"data: aaaa\n\n" * 100, limit=10)
    assert events == [Event(b"aaaa")] * 100


def test_after_the_limit_nothing_is_read_any_more() -> None:
    decoder = SSEDecoder(max_event_bytes=10)
    with pytest.raises(EventTooLargeError) as caught:
        decoder.feed(b"data: a\n\nevent: e\ndata: b\ndata: too long")
    assert caught.value.events == [Event(b"a")]
    for piece in (b"", b"\n\n", b"data: c\n\n", b"x"):
        with pytest.raises(EventTooLargeError) as again:
            decoder.feed(piece)
        assert (again.value.limit, again.value.events) == (10, [])
    assert decoder.finish() == Tail(None, b"")


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_must_leave_room_for_something(limit: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got {limit}"):
        SSEDecoder(max_event_bytes=limit)


def test_the_default_limit() -> None:
    assert DEFAULT_MAX_EVENT_BYTES == 64 * 1024 * 1024
    decoder = SSEDecoder()
    decoder.feed(b"data: a\n\n")
    decoder.feed(bytes(DEFAULT_MAX_EVENT_BYTES))
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"a")


def test_the_error_says_what_happened_and_travels() -> None:
    error = EventTooLargeError(7, [Event(b"secret")])
    assert "7 bytes" in str(error)
    assert "max_event_bytes" not in str(error)
    assert "secret" not in repr(error)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (other.limit, other.events, str(other)) == (7, [Event(b"secret")], str(error))


@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"x" * 50_000, b"data:xx\n" * 5_000],
    ids=["one-line", "many-lines"],
)
def test_memory_stays_near_what_is_held(stream: bytes) -> None:
    """Kept as a list of what came, either stream would take many times its size."""
    decoder = SSEDecoder()
    tracemalloc.start()
    try:
        for byte in stream:
            decoder.feed(bytes((byte,)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(stream)

"""Laws of event-stream framing, held against a parser that is too simple to be wrong.

The reference takes the whole stream at once and walks it character by character. It is run in two
alphabets: over the stream decoded as UTF-8, as the standard says, and over bytes taken one to one
as characters (Latin-1), where the data must agree to the byte.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from botticelli.protocol.sse import FOREIGN_EXCERPT_BYTES, Event, EventTooLargeError, SSEDecoder, Tail

TAPES = Path(__file__).parents[2] / "fixtures" / "tapes"


@dataclass
class Reading:
    """All that can be told of a stream; `events` are (data, event, id)."""

    events: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    comments: int = 0
    retry: int | None = None
    last_event_id: str = ""
    foreign: list[str] = field(default_factory=list[str])
    tail: tuple[str, str, str] | None = None
    junk: str = ""
    too_large: bool = False
    # The standard's three buffers; the data buffer as a list of its lines.
    data: list[str] = field(default_factory=list[str])
    event: str = ""
    id: str = ""

    def process(self, line: str) -> None:
        if line == "":
            self.last_event_id = self.id
            if self.data:
                self.events.append(("\n".join(self.data), self.event, self.id))
            self.data = []
            self.event = ""
        elif line[0] == ":":
            self.comments += 1
        elif ":" in line:
            colon = line.index(":")
            self.process_field(line, line[:colon], line[colon + 1 :].removeprefix(" "))
        else:
            self.process_field(line, line, "")

    def process_field(self, line: str, name: str, value: str) -> None:
        if name == "data":
            self.data.append(value)
        elif name == "event":
            self.event = value
        elif name == "id":
            self.id = self.id if "\0" in value else value
        elif name == "retry":
            if value and all(digit in "0123456789" for digit in value) and len(value) <= 15:
                self.retry = int(value)
        else:
            self.foreign.append(line)

    def has_no_room_for(self, line: str, limit: int) -> bool:
        return sum(len(value) + 1 for value in self.data) + len(line) > limit


def split_lines(text: str) -> tuple[list[str], str]:
    """The lines that ended, and what came after the last end."""
    lines: list[str] = []
    line = ""
    previous = ""
    for character in text:
        if character == "\n" and previous == "\r":
            pass
        elif character in "\r\n":
            lines.append(line)
            line = ""
        else:
            line += character
        previous = character
    return lines, line


def reference(text: str, *, bom: str, limit: int = 10**9) -> Reading:
    """The standard's processing model, over characters."""
    reading = Reading()
    if text.startswith(bom):
        text = text[len(bom) :]
    elif bom.startswith(text):  # the input ended within a BOM
        reading.junk = text
        return reading
    lines, unfinished = split_lines(text)
    for line in lines:
        if reading.has_no_room_for(line, limit):
            reading.too_large = True
            return reading
        reading.process(line)
    if reading.has_no_room_for(unfinished, limit):
        reading.too_large = True
        return reading
    reading.junk = unfinished
    pending = list(reading.data)
    if unfinished.startswith("data:"):
        pending.append(unfinished.removeprefix("data:").removeprefix(" "))
    if pending:
        reading.tail = ("\n".join(pending), reading.event, reading.id)
    return reading


def reference_on_bytes(stream: bytes, limit: int = 10**9) -> Reading:
    return reference(stream.decode("latin-1"), bom="\xef\xbb\xbf", limit=limit)


def as_event(reading: tuple[str, str, str]) -> Event:
    """What the reference read as Latin-1: bytes again, or the UTF-8 that names and ids are."""
    data, event, event_id = (part.encode("latin-1") for part in reading)
    return Event(data, event.decode("utf-8", "replace"), event_id.decode("utf-8", "replace"))


@dataclass
class Outcome:
    """What our decoder made of a stream."""

    events: list[Event]
    decoder: SSEDecoder
    too_large: bool = False

    def everything(self) -> tuple[object, ...]:
        decoder = self.decoder
        return (
            self.events,
            decoder.comments,
            decoder.retry,
            decoder.last_event_id,
            decoder.foreign,
            decoder.finish(),
            self.too_large,
        )


def decode(stream: list[bytes], **options: int) -> Outcome:
    outcome = Outcome([], SSEDecoder(**options))
    for piece in stream:
        try:
            outcome.events += outcome.decoder.feed(piece)
        except EventTooLargeError as error:
            outcome.events += error.events
            outcome.too_large = True
    return outcome


thorough = settings(max_examples=300, deadline=None)  # a deadline would judge the machine

# Events in the shapes that are read many at once, and in those that aren't.
EVENTS = [
    b"data: {}\n\n",
    b"data: x\r\n\r\n",
    b"data:y\n\n",
    b"data:z\r\n\r\n",
    b"data: w\r\r",
    b"data:  v\n\n",
    b"data\n\n",
    b"event: e\ndata: u\n\n",
    b"id: 1\ndata: t\n\n",
    b": c\n\n",
    b"data: a\ndata: b\n\n",
]
# What events are made of, and what breaks them.
PARTS = [
    b"data: ",
    b"data:",
    b"data",
    b"event: e\n",
    b"event",
    b"id: 1\n",
    b"id: 2\0\n",
    b"id",
    b"retry: 12\n",
    b"retry",
    b": c\n",
    b":",
    b" ",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\r\n\r\n",
    b"\xef\xbb\xbf",
    b"\xef",
    b"\xbb",
    b"\0",
    b"7",
    b"<html>",
    "\u2028\u0085é🎨".encode(),
    b"\xf0\x9f",
]


def joined(tokens: list[bytes], fewest: int, most: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(tokens), min_size=fewest, max_size=most).map(b"".join)


# Of one shape throughout, of shapes mixed, of parts, of anything.
streams = st.one_of(
    st.sampled_from(EVENTS).flatmap(lambda one: joined([one, one, one, b"data: {", b"\n"], 0, 12)),
    joined(EVENTS, 0, 12),
    joined(EVENTS + PARTS, 6, 40),
    joined(PARTS, 0, 20),
    st.binary(max_size=60),
)


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream and one way of cutting it, empty pieces included."""
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return stream, [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]


def bytes_and_nothings(stream: bytes) -> list[bytes]:
    """Byte by byte, and an empty read after each."""
    return [piece for byte in stream for piece in (bytes((byte,)), b"")]


@thorough
@given(cut_streams())
def test_cuts_change_nothing(cut: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = cut
    whole = decode([stream]).everything()
    assert decode(pieces).everything() == whole
    assert decode(bytes_and_nothings(stream)).everything() == whole


@thorough
@given(cut_streams())
def test_equals_the_reference(cut: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = cut
    expected = reference_on_bytes(stream)
    foreign = "\n".join(expected.foreign).encode("latin-1")[:FOREIGN_EXCERPT_BYTES]
    tail = None if expected.tail is None else as_event(expected.tail)
    assert decode(pieces).everything() == (
        [as_event(event) for event in expected.events],
        expected.comments,
        expected.retry,
        expected.last_event_id.encode("latin-1").decode("utf-8", "replace"),
        foreign,
        Tail(tail, expected.junk.encode("latin-1")),
        False,
    )


@thorough
@given(cut_streams())
def test_framing_before_decoding_is_framing_after_decoding(cut: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = cut
    expected = reference(stream.decode("utf-8", "replace"), bom="\ufeff")
    events = decode(pieces).events
    decoded = [(event.data.decode("utf-8", "replace"), event.event, event.id) for event in events]
    assert decoded == expected.events


@thorough
@given(cut_streams(), st.integers(1, 40))
@example((b"data: x\n\ndata: yy\n\n", [b"data: x\n\ndata: yy\n\n"]), 7)
def test_the_limit_falls_at_the_same_byte(cut: tuple[bytes, list[bytes]], limit: int) -> None:
    stream, pieces = cut
    expected = reference_on_bytes(stream, limit)
    outcomes = [
        decode(way, max_event_bytes=limit) for way in ([stream], pieces, [bytes((byte,)) for byte in stream])
    ]
    for outcome in outcomes:
        assert outcome.too_large == expected.too_large
        assert outcome.events == [as_event(event) for event in expected.events]
        assert outcome.everything() == outcomes[0].everything()


@thorough
@given(streams, streams)
def test_what_was_dispatched_stays_dispatched(first: bytes, second: bytes) -> None:
    before = decode([first]).events
    assert decode([first + second]).events[: len(before)] == before


@thorough
@given(cut_streams())
def test_asking_for_the_tail_changes_nothing(cut: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = cut
    decoder = SSEDecoder()
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
        decoder.finish()
    assert Outcome(events, decoder).everything() == decode([stream]).everything()


written_events = st.builds(
    Event,
    data=st.binary(max_size=20).map(lambda data: data.replace(b"\r", b"")),
    event=st.text(
        st.characters(codec="utf-8", exclude_characters="\r\n"),
        max_size=5,
    ),
)


def write(event: Event, end: bytes, space: bytes) -> bytes:
    lines = [b"event: " + event.event.encode()] if event.event else []
    lines += [b"data:" + space + value for value in event.data.split(b"\n")]
    return b"".join(line + end for line in [*lines, b""])


@thorough
@given(
    st.lists(written_events, max_size=12),
    st.sampled_from([b"\n", b"\r", b"\r\n"]),
    st.integers(1, 50),
)
def test_what_is_written_is_read(events: list[Event], end: bytes, size: int) -> None:
    stream = b"".join(write(event, end, b" ") for event in events)
    assert decode([stream]).events == events
    assert decode([stream[i : i + size] for i in range(0, len(stream), size)]).events == events


def tape_value(member: dict[str, Any], name: str) -> bytes:
    encoded = member.get(name + "_base64")
    return str(member[name]).encode() if encoded is None else base64.b64decode(encoded)


@pytest.mark.parametrize(
    "tape",
    json.loads((TAPES / "index.json").read_bytes())["tapes"],
    ids=lambda tape: tape["file"],
)
def test_the_reference_plays_the_tapes(tape: dict[str, Any]) -> None:
    """The tapes' index was written by hand: it keeps the reference honest, and the reverse."""
    reading = reference_on_bytes((TAPES / tape["file"]).read_bytes())
    assert [as_event(event) for event in reading.events] == [
        Event(tape_value(event, "data"), event["event"], event["id"]) for event in tape["events"]
    ]
    assert (reading.comments, reading.retry) == (tape["comments"], tape["retry"])
    assert reading.last_event_id == tape["last_event_id"]
    assert "\n".join(reading.foreign).encode("latin-1") == tape["foreign"].encode()
    assert reading.junk.encode("latin-1") == tape_value(tape["tail"], "junk")
    event = tape["tail"]["event"]
    assert (event is None) == (reading.tail is None)
    if reading.tail is not None:
        assert as_event(reading.tail).data == tape_value(event, "data")

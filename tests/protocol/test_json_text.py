"""JSON that nearly is, text that grows, and the log of deviations."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from botticelli.core.response import Deviation
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import DeviationLog
from botticelli.protocol.lenient_json import NotJsonError
from botticelli.protocol.textbuffer import TextBuffer

# Bytes to plain values: JSON as it is, each liberty by its name, and what no liberty covers.

LARGEST = sys.float_info.max


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        (b' \t\r\n"x" \n', "x"),
        ('"Grüße 🎉"'.encode(), "Grüße 🎉"),
        (rb'"\ud83c\udf89"', "🎉"),
        (b"18446744073709551616", 2**64),
        (b"0", 0),
    ],
)
def test_json_is_read_as_it_is_and_takes_no_liberty(data: bytes, value: Any) -> None:
    assert lenient_json.parse(data) == (value, [], "")


@pytest.mark.parametrize(
    ("data", "value", "codes"),
    [
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}, ["bom"]),
        (b'"H\xe9"', "H\ufffd", ["utf8-invalid"]),
        (b'{"k\xff":1}', {"k\ufffd": 1}, ["utf8-invalid"]),
        (rb'"a\udcafb"', "a\ufffdb", ["surrogate-lone"]),
        (rb'{"\ud800":["\udfff","ok"]}', {"\ufffd": ["\ufffd", "ok"]}, ["surrogate-lone"]),
        (b'"a\tb"', "a\tb", ["control-character"]),
        (b'"a\x00b"', "a\x00b", ["control-character"]),
        (b"[NaN]", [None], ["number-not-finite"]),
        (b"[Infinity,-Infinity,NaN]", [None, None, None], ["number-not-finite"]),
        (
            b'\xef\xbb\xbf["\xe9\t",NaN]',
            ["\ufffd\t", None],
            ["bom", "utf8-invalid", "control-character", "number-not-finite"],
        ),
    ],
)
def test_each_liberty_has_its_name(data: bytes, value: Any, codes: list[str]) -> None:
    found, named, rest = lenient_json.parse(data)
    assert (found, sorted(named), rest) == (value, sorted(codes), "")


@pytest.mark.parametrize(
    ("data", "value", "rest"),
    [
        (b'{"a":1}\n{}', {"a": 1}, "{}"),
        (b" 404: Not Found\r\n", 404, ": Not Found"),
        (b"[] [DONE] ", [], "[DONE]"),
    ],
)
def test_what_follows_the_value_is_handed_back_stripped(data: bytes, value: Any, rest: str) -> None:
    assert lenient_json.parse(data) == (value, ["trailing-data"], rest)


@pytest.mark.parametrize("sign", [b"", b"-"])
@pytest.mark.parametrize("number", [b"1e999", b"9" * 700])
def test_a_number_beyond_a_double_is_the_largest_double_with_its_sign(sign: bytes, number: bytes) -> None:
    value, codes, _ = lenient_json.parse(b'{"a":' + sign + number + b',"b":NaN}')
    assert value["a"] == (-LARGEST if sign else LARGEST)
    assert codes == ["number-not-finite"]


def test_an_integer_that_every_python_reads_stays_exact() -> None:
    digits = "9" * 640
    assert lenient_json.parse(f"[{digits},NaN]".encode())[0] == [int(digits), None]


def test_a_fraction_stays_itself_on_the_lenient_path() -> None:
    assert lenient_json.parse(b"[0.5,NaN]")[0] == [0.5, None]


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (b"", 0),
        (b"  \n", 3),
        (b"nope", 0),
        (b'{"a":1,}', 7),
        (b"{'a':1}", 1),
        (b'"a\tb', 0),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", 0),
        (b'{"a":nan}', 5),
    ],
)
def test_what_no_liberty_covers_is_refused_with_its_place(data: bytes, position: int) -> None:
    with pytest.raises(NotJsonError) as caught:
        lenient_json.parse(data)
    assert caught.value.position == position


def test_nesting_that_no_reader_survives_is_refused() -> None:
    depth = 200_000
    found = lenient_json.try_parse(b"[" * depth + b"]" * depth)
    assert isinstance(found, NotJsonError)
    assert str(found) == "nested too deeply to be read"


def test_trying_returns_the_refusal_so_that_no_context_holds_the_body() -> None:
    found = lenient_json.try_parse(b"nope")
    assert isinstance(found, NotJsonError)
    assert found.__context__ is None


def deep(levels: int) -> bytes:
    return b'{"x":' * (levels - 1) + b"[]" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b'{"a":1,"b":[{"c":2}]}', []),
        (b'\xef\xbb\xbf {"a":1}', []),
        (b'{"a":1,"a":1}', ["key-repeated"]),
        (b'[{"x":{"a":"\xe9\t","a":NaN}}] rest', ["key-repeated"]),
        (b'"text"', []),
        (deep(128), []),
        (deep(129), ["nesting-too-deep"]),
        (b"[" * 200_000 + b"]" * 200_000, ["nesting-too-deep"]),
        (b'{"a":1,"a":' + deep(130) + b"}", ["key-repeated", "nesting-too-deep"]),
        (b"[" + b"9" * 5000 + b"]", []),
    ],
)
def test_a_closer_look_tells_what_a_reader_need_not_notice(data: bytes, codes: list[str]) -> None:
    assert lenient_json.lint(data) == codes


@pytest.mark.parametrize("value", [{"a": [1, None, "é"]}, LARGEST, 2**70, "🎉"])
def test_what_was_read_can_be_written_and_read_again(value: Any) -> None:
    assert lenient_json.parse(lenient_json.dump(value).encode()) == (value, [], "")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b" a\n\n b\t", "a b"),
        (b"x" * 20, "x" * 20),
        (b"x" * 21, "x" * 19 + "…"),
        (b"H\xe9", "H\ufffd"),
        (b"", ""),
    ],
)
def test_an_excerpt_is_one_bounded_line(data: bytes, text: str) -> None:
    assert lenient_json.excerpt(data, limit=20) == text


@pytest.mark.parametrize(
    ("value", "kind"), [({}, "object"), ([], "array"), ("", ""), (None, ""), ((), ""), (0, "")]
)
def test_objects_and_arrays_are_told_apart(value: Any, kind: str) -> None:
    assert lenient_json.is_object(value) is (kind == "object")
    assert lenient_json.is_array(value) is (kind == "array")


# Text that grows by small pieces: nothing is lost, doubled or put in another order.


def filled(blocks: int, *, rest: bool) -> tuple[TextBuffer, str]:
    """A buffer with that many compacted blocks of two pieces each, perhaps with a piece after the last."""
    buffer = TextBuffer()
    pieces = [f"{number}," for number in range(2 * blocks + rest)]
    for number, piece in enumerate(pieces):
        buffer.append(piece)
        if number % 2:
            buffer.compact()
    return buffer, "".join(pieces)


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("blocks", [0, 1, 2, 7, 62, 63, 64, 65, 127, 128, 129, 1000])
def test_the_text_is_what_was_put_in(blocks: int, rest: bool) -> None:
    buffer, text = filled(blocks, rest=rest)
    assert bool(buffer) == bool(text)
    assert buffer.value() == text
    assert buffer.value() == text
    assert buffer.take() == text


def test_taken_text_is_gone_and_the_buffer_goes_on() -> None:
    buffer, _ = filled(3, rest=True)
    buffer.take()
    assert not buffer
    assert (buffer.value(), buffer.take()) == ("", "")
    buffer.append("on")
    assert buffer.value() == "on"


def test_empty_pieces_are_no_text() -> None:
    buffer = TextBuffer()
    for _ in range(2):
        buffer.append("")
        buffer.compact()
        assert not buffer


# The deviations of one answer: one per code and place, at the first path, counted.


def test_nothing_noted_is_no_deviation() -> None:
    assert DeviationLog().deviations() == []


def test_repeats_at_a_place_are_counted_at_their_first_path() -> None:
    notes = DeviationLog()
    notes.add("role-missing", "$.choices[1].message.role", "$.choices[].message.role")
    notes.add("role-missing", "$.choices[0].message.role", "$.choices[].message.role", count=3)
    assert notes.deviations() == [Deviation("role-missing", "$.choices[1].message.role", 4)]


def test_the_same_code_at_another_place_is_another_deviation() -> None:
    notes = DeviationLog()
    notes.add("field-null", "$.created", "$.created")
    notes.add("field-null", "$.id", "$.id")
    assert notes.deviations() == [Deviation("field-null", "$.created"), Deviation("field-null", "$.id")]


def test_they_come_in_the_order_of_first_sight() -> None:
    notes = DeviationLog()
    for code in ("b", "a", "b"):
        notes.add(code)
    assert [(found.code, found.path, found.count) for found in notes.deviations()] == [
        ("b", "$", 2),
        ("a", "$", 1),
    ]


def test_the_first_that_cannot_be_read_is_the_fault() -> None:
    notes = DeviationLog()
    assert notes.unreadable is None
    notes.refuse("$.a", {"b": "é"})
    notes.refuse("$.c", 5)
    assert notes.unreadable == ("$.a", 'a part of the answer can\'t be read as the format: {"b":"é"}')
    assert notes.deviations() == []

"""Bytes to values: every fault reported, none raised."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.contracts import InstanceError, read
from botticelli.contracts.json_reader import MAX_DEPTH, repair
from botticelli.contracts.violations import Violation

OF_EVENTS = "; this is an event stream: validate_capture takes it whole"


def found(data: bytes) -> list[tuple[str, str]]:
    return [(fault.keyword, fault.path) for fault in read(data).faults]


@pytest.mark.parametrize("data", [b"{}", b"[1, 2.5, null]", b' \t\r\n"x" \n', b"true", b'{"a": {"a": 1}}'])
def test_sound_bytes_have_no_faults(data: bytes) -> None:
    reading = read(data)
    assert reading.readable
    assert reading.faults == []
    assert reading.value == json.loads(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b" \n\t", "there is only whitespace"),
        (b"{", "not JSON: expecting property name enclosed in double quotes at line 1 column 2"),
        (b'{"a":\n  nope}', "not JSON: expecting value at line 2 column 3"),
        (b"\xef\xbb\xbf", "it is empty"),
        (b"<html>", "not JSON: expecting value at line 1 column 1"),
        (b"\r\ndata: {}\n\n", "not JSON: expecting value at line 2 column 1" + OF_EVENTS),
        (b'"\xff', "not JSON: unterminated string starting at line 1 column 1"),
    ],
)
def test_what_holds_no_json_says_why(data: bytes, message: str) -> None:
    reading = read(data)
    assert not reading.readable
    assert reading.value is None
    assert reading.faults[-1] == Violation("$", "", "", "json-invalid", message)


@pytest.mark.parametrize(
    ("data", "faults", "value"),
    [
        (b"\xef\xbb\xbf[]", [("bom", "$")], []),
        (b'"a\xffb"', [("utf8-invalid", "$")], "a\ufffdb"),
        (b'["a\tb"]', [("control-character", "$")], ["a\tb"]),
        (b"[1] [2]", [("trailing-data", "$")], [1]),
        (
            b'{"a": {"b": NaN}, "c": -Infinity}',
            [("number-not-finite", "$.a.b"), ("number-not-finite", "$.c")],
            None,
        ),
        (b'["\\ud83d"]', [("surrogate-lone", "$[0]")], ["\ufffd"]),
        (b'{"a\\udc00": 1}', [("surrogate-lone", "$['a\\udc00']")], {"a\ufffd": 1}),
        (b'{"a": 1, "b": 2, "a": 3}', [("key-repeated", "$.a")], {"a": 3, "b": 2}),
        (b'[{"a": 1, "a": 1, "a": 1}]', [("key-repeated", "$[0].a")], [{"a": 1}]),
        (b'\xef\xbb\xbf["\xff\t\\ud800"] x', None, ["\ufffd\t\ufffd"]),
    ],
)
def test_a_fault_is_reported_and_mended(data: bytes, faults: Any, value: Any) -> None:
    reading = read(data)
    assert reading.readable
    if faults is None:
        faults = [(kind, "$") for kind in ("bom", "utf8-invalid", "control-character", "trailing-data")]
        faults.append(("surrogate-lone", "$[0]"))
    assert found(data) == faults
    assert reading.value == (value if value is not None else {"a": {"b": None}, "c": None})


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    reading = read(b'"\\ud83c\\udf78"')
    assert (reading.value, reading.faults) == ("\U0001f378", [])


@pytest.mark.parametrize("text", ["1e400", "-1e400", "9" * 5000, "-" + "9" * 5000])
def test_numbers_beyond_a_double_are_legal(text: str) -> None:
    reading = read(text.encode())
    assert reading.faults == []
    assert (reading.value < 0) == text.startswith("-")
    assert abs(reading.value) > 1e300


def test_nesting_up_to_the_limit_is_judged() -> None:
    assert found(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) == []
    assert found(b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH) == []
    assert found(b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH) == []
    one_more = MAX_DEPTH + 1
    assert found(b"[" * one_more + b"1" + b"]" * one_more) == [("nesting-too-deep", "$[0]")]
    assert found(b'{"a":' * one_more + b"1" + b"}" * one_more) == [("nesting-too-deep", "$.a")]


def test_nesting_beyond_the_limit_is_cut_off_and_reported_once() -> None:
    reading = read(b'{"x": ' + b"[" * 200 + b"]" * 200 + b', "y": 1}')
    assert found(b'{"x": ' + b"[" * 200 + b"]" * 200 + b', "y": 1}') == [("nesting-too-deep", "$.x")]
    assert reading.value["y"] == 1
    assert read(json.dumps(reading.value).encode()).faults == []


@pytest.mark.parametrize("data", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000])
def test_bottomless_nesting_is_a_fault_and_no_crash(data: bytes) -> None:
    reading = read(data)
    assert not reading.readable
    assert [fault.keyword for fault in reading.faults] == ["nesting-too-deep"]


@pytest.mark.parametrize(
    ("value", "path", "what"),
    [
        ((1, 2), "$", "tuple"),
        ({"a": [b"x"]}, "$.a[0]", "bytes"),
        ({"a": {1: 2}}, "$.a", "dict with a int key"),
    ],
)
def test_what_is_no_json_value_is_an_error_of_the_caller(value: Any, path: str, what: str) -> None:
    with pytest.raises(InstanceError) as caught:
        repair(value, [])
    assert (caught.value.path, caught.value.type_name) == (path, what)
    assert str(caught.value) == f"{path} is a {what}, which is not a JSON value"


def test_mending_leaves_the_callers_value_alone() -> None:
    value = {"a": ["\ud800", float("nan")]}
    faults: list[Violation] = []
    assert repair(value, faults) == {"a": ["\ufffd", None]}
    assert value["a"][0] == "\ud800"
    assert [fault.pointer for fault in faults] == ["/a/0", "/a/1"]


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u\x00tnd8 0e-NaI\ufeff', max_size=40).map(str.encode)
)
def test_no_bytes_raise(data: bytes) -> None:
    reading = read(data)
    assert reading.readable or reading.faults
    for fault in reading.faults:
        str(fault).encode()
        fault.pointer.encode()

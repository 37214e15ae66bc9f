"""JSON equality, and values made fit for a validator."""

from __future__ import annotations

import pytest

from botticelli.kit.values import as_object, as_objects, encodable, equal


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), ({"a": [1]}, {"a": [1.0]}), (None, None), (True, True), ("a", "a"), ([], [])],
)
def test_equal(one: object, other: object) -> None:
    assert equal(one, other)
    assert equal(other, one)


DIFFERENT: list[tuple[object, object]] = [
    (1, True),
    (0, False),
    ([1], [True]),
    ({"a": 0}, {"a": False}),
    (None, 0),
    (1, "1"),
    ([1], [1, 2]),
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, {"a": 1, "b": 2}),
    ("", None),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_equal(one: object, other: object) -> None:
    assert not equal(one, other)
    assert not equal(other, one)


def test_encodable_replaces_lone_surrogates_at_any_depth() -> None:
    value = {"a\ud83d": ["x\udcaf", 1, None, {"b": "🎨"}]}
    made = encodable(value)
    assert list(made) == ["a\ufffd\ufffd\ufffd"]
    assert made["a\ufffd\ufffd\ufffd"][3] == {"b": "🎨"}
    assert made["a\ufffd\ufffd\ufffd"][0].encode()


def test_encodable_has_no_infinities() -> None:
    assert encodable([float("-inf"), {"a": float("nan")}, 1.5]) == [None, {"a": None}, 1.5]


def test_objects_of_what_may_be_none() -> None:
    assert as_object(None) == {}
    assert as_object([1]) == {}
    assert as_object({"a": 1}) == {"a": 1}
    assert as_objects(None) == []
    assert as_objects([{"a": 1}, 2, {"b": 1}]) == [{"a": 1}, {"b": 1}]

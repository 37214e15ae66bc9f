"""The deviations of one answer: one per code and place, at the first path, counted."""

from __future__ import annotations

from botticelli.core.response import Deviation
from botticelli.protocol.deviations import DeviationLog


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

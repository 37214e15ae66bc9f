"""JSON against JSON: what fits yields nothing, what does not yields where and what."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.kit.judge.mismatch import Difference, part, show, text, within


@pytest.mark.parametrize(
    ("wanted", "got", "fits"),
    [
        ("Hi", "Hi", True),
        ("Hi", "hi", False),
        (None, None, True),
        (None, "", False),
        ("", None, False),
        ({"any_of": ["Ho", "Hi"]}, "Hi", True),
        ({"any_of": ["Ho", "Hu"]}, "Hi", False),
        ({"contains": "i"}, "Hi", True),
        ({"contains": "i"}, None, False),
        ({"repeat": 2, "of": "Hi"}, "HiHi", True),
        ({"repeat": 2, "of": "Hi"}, "Hi", False),
    ],
)
def test_text(wanted: Any, got: str | None, *, fits: bool) -> None:
    assert [m.path for m in text(wanted, got, "/x")] == ([] if fits else ["/x"])


def test_part_escapes_its_pointers_and_compares_lists_whole() -> None:
    [difference] = part({"a/b~c": 1}, {"a/b~c": 2}, "")
    assert difference == Difference("/a~1b~0c", "1", "2")
    assert [m.path for m in part([{"a": 1}, 2], [{"a": 1, "b": 2}, 3], "")] == ["/1"]
    assert [m.path for m in part([1], [1, 2], "/x")] == ["/x"]
    assert list(part({"a": {"b": 1}}, {"a": 1}, "")) == [Difference("/a", '{"b": 1}', "1")]
    assert list(part({"a": 1}, {}, "")) == [Difference("/a", "1", "nothing")]
    assert list(part({"a": None}, {}, "")) == [Difference("/a", "null", "nothing")]
    assert list(part({"a": None}, {"a": None}, "")) == []


def test_within_says_its_bounds() -> None:
    assert list(within({"min": 1, "max": 2}, 1.0, "/x", "s")) == []
    assert list(within({"min": 1, "max": 2}, 2.0, "/x", "s")) == []
    [difference] = within({"min": 1, "max": 2}, 0.12345, "/x", "s")
    assert difference == Difference("/x", "at least 1, at most 2 s", "0.123 s")
    [difference] = within({"max": 0}, 3, "/x")
    assert difference == Difference("/x", "at most 0", "3")


def test_show_is_printable_and_whole() -> None:
    assert show("é\u2028\ud83d") == '"é\\u2028\\ud83d"'
    assert show("a" * 1000) == f'"{"a" * 1000}"', "what is cut before the key is blanked may keep half of it"

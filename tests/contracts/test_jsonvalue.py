"""JSON values: equality, depth, encoding, and the ways to write a place."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.contracts.jsonvalue import (
    DEEPEST,
    as_object,
    as_objects,
    encodable,
    equal,
    excerpt,
    json_path,
    json_pointer,
    kind_of,
    resolve,
    too_deep,
    unescape_token,
)


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


def nested(levels: int, core: object = 1) -> object:
    value = core
    for _ in range(levels):
        value = {"a": value} if levels % 2 else [0, value]
    return value


@pytest.mark.parametrize("value", [1, "x", [], {}, [[], {}], nested(DEEPEST), nested(DEEPEST - 1)])
def test_what_the_judge_goes_down_to(value: object) -> None:
    assert not too_deep(value)


def test_a_value_that_is_too_deep_is_found_however_deep_it_is() -> None:
    itself: list[object] = []
    itself.append(itself)
    assert all(map(too_deep, (nested(DEEPEST + 1), nested(DEEPEST + 2), nested(200_000), itself)))


@pytest.mark.parametrize(
    ("tokens", "path", "pointer"),
    [
        ((), "$", ""),
        (("choices", 0, "message"), "$.choices[0].message", "/choices/0/message"),
        (("a b", "it's", 'say "x"'), "$['a b']['it\\'s']['say \"x\"']", '/a b/it\'s/say "x"'),
        (("", "a/b~c"), "$['']['a/b~c']", "//a~1b~0c"),
        (("x-y", "1st", "é"), "$.x-y['1st']['\\u00e9']", "/x-y/1st/é"),
        (("\ud800",), "$['\\ud800']", "/?"),
    ],
)
def test_places_are_written_in_both_ways(tokens: tuple[str | int, ...], path: str, pointer: str) -> None:
    assert json_path(tokens) == path
    assert json_pointer(tokens) == pointer


def test_a_pointer_leads_to_what_it_names() -> None:
    value = {"a/b": [10, {"~": 1}], "": 2}
    assert resolve(value, "") is value
    assert resolve(value, "/a~1b/1/~0") == 1
    assert resolve(value, "/") == 2
    for nowhere in ("/x", "/a~1b/2", "/a~1b/x", "/a~1b/-1", "/a~1b/0/x"):
        with pytest.raises(LookupError):
            resolve(value, nowhere)


def test_long_values_are_cut_short_in_words() -> None:
    assert excerpt("x" * 100) == '"' + "x" * 58 + "…"
    assert excerpt({"a": {1, 2}}).startswith('{"a": "{1, 2}"')
    values: list[Any] = [None, True, 0, 0.5, "", [], {}]
    assert [kind_of(value) for value in values] == [
        "null",
        "boolean",
        "number",
        "number",
        "string",
        "array",
        "object",
    ]


@pytest.mark.parametrize(
    ("step", "token"), [("~01", "~1"), ("~1", "/"), ("~0", "~"), ("~00", "~0"), ("~10", "/0")]
)
def test_a_step_of_a_pointer_is_unescaped_in_the_order_of_the_standard(step: str, token: str) -> None:
    assert unescape_token(step) == token
    assert json_pointer([token]) == f"/{step}"
    assert resolve({token: 7}, f"/{step}") == 7

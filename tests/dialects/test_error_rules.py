"""The tables: rows are checked when they are made, and every row and hint can be reached."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.core.errors import KINDS, ConfigurationError
from botticelli.dialects.openai.errors import OPENAI_ERRORS
from botticelli.protocol.error_rules import (
    CLASSES,
    ErrorRule,
    find_hint,
    find_kind,
)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"kind": "stream_error", "codes": frozenset({"x"})}, "stream_error"),
        ({"kind": "server", "statuses": frozenset({500})}, "needs a code, a type or a pattern"),
        ({"kind": "server", "patterns": ("(",)}, "can't be compiled"),
    ],
)
def test_a_row_that_means_nothing_is_refused(row: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as caught:
        ErrorRule(**row)
    assert caught.value.setting == "error_rules"


ROW = ErrorRule(
    kind="server",
    statuses=frozenset({400, 404}),
    codes=frozenset({"c", 7}),
    types=frozenset({"t"}),
    patterns=("^one$", "two"),
)


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ((400, "c", "t", "one"), True),
        ((404, 7, "t", "and TWO"), True),
        ((None, "c", "t", "one"), True),
        ((500, "c", "t", "one"), False),
        ((400, "d", "t", "one"), False),
        ((400, None, "t", "one"), False),
        ((400, "c", "u", "one"), False),
        ((400, "c", None, "one"), False),
        ((400, "c", "t", "not one"), False),
    ],
)
def test_every_criterion_must_hold_and_any_value_of_it_does(said: Any, fits: bool) -> None:
    assert ROW.matches(*said) is fits


def test_what_is_not_asked_for_does_not_matter() -> None:
    assert ErrorRule(kind="server", codes=frozenset({"c"})).matches(418, "c", None, "")
    assert ErrorRule(kind="server", types=frozenset({"t"})).matches(418, None, "t", "")
    assert ErrorRule(kind="server", patterns=("m",)).matches(418, None, None, "m")


def test_the_first_row_decides() -> None:
    other = ErrorRule(kind="api", codes=frozenset({"c"}))
    assert find_kind((other, ROW), 400, "c", "t", "one") == "api"
    assert find_kind((ROW, other), 400, "c", "t", "one") == "server"
    assert find_kind((ROW, other), 400, "c", "t", "three") == "api"
    assert find_kind((ROW,), 400, None, None, "") is None
    assert find_kind((), 400, None, None, "") is None


@pytest.mark.parametrize(
    ("kind", "status", "found"),
    [
        ("server", 504, "first 504"),
        ("server", 503, "first"),
        ("api", 301, "second 301"),
        ("api", 999, None),
        ("rate_limit", None, "second"),
    ],
)
def test_the_first_table_with_a_hint_decides_and_the_closer_key(
    kind: str, status: int | None, found: str | None
) -> None:
    first = {"server": "first", "server/504": "first 504"}
    second = {"server/503": "never", "api/301": "second 301", "rate_limit": "second"}
    assert find_hint(kind, status, first, second) == found


def test_the_tables_speak_of_kinds_that_exist() -> None:
    assert set(CLASSES) <= set(KINDS)
    assert {key.partition("/")[0] for key in OPENAI_ERRORS.hints} == set(CLASSES) - {"api"} | {"api"}
    assert set(OPENAI_ERRORS.words.values()) <= set(CLASSES)
    assert {row.kind for row in OPENAI_ERRORS.rules} <= set(CLASSES)
    assert CLASSES["api"].kind == "api"

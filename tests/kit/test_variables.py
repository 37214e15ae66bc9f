"""Variables: reproducible, different where they should be, and never in the way of JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from botticelli.kit.cases.variables import VARIABLE, Variables, fill_dates
from botticelli.kit.errors import CaseError

NAMES = ("word", "text", "prompt", "id", "call_id", "model", "key")


@pytest.mark.parametrize("name", NAMES)
def test_a_value_depends_on_seed_case_name_and_number_alone(name: str) -> None:
    value = Variables(1, "a-case", 80).value(name)
    assert value == Variables(1, "a-case", 81).value(name)
    others = {
        Variables(2, "a-case", 80).value(name),
        Variables(1, "b-case", 80).value(name),
        Variables(1, "a-case", 80).value(name, "2"),
    }
    assert value not in others
    assert len(others) == 3


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", NAMES)
def test_a_value_needs_no_escape_in_json(name: str, seed: int) -> None:
    value = Variables(seed, "a-case", 80).value(name)
    assert json.dumps(value, ensure_ascii=False) == f'"{value}"'


@pytest.mark.parametrize("seed", range(20))
def test_text_has_characters_of_every_utf8_length(seed: int) -> None:
    text = Variables(seed, "a-case", 80).value("text")
    assert {len(character.encode()) for character in text} == {1, 2, 3, 4}


def test_fill_reaches_strings_at_any_depth_but_no_keys() -> None:
    variables = Variables(0, "a-case", 8080)
    filled = variables.fill({"{{port}}": ["{{origin}}/v1", {"a": "p{{port}}p"}, 7, None, True]})
    assert filled == {"{{port}}": ["http://127.0.0.1:8080/v1", {"a": "p8080p"}, 7, None, True]}


def test_the_same_variable_has_one_value_in_all_places() -> None:
    one, other, third = Variables(0, "a-case", 1).fill(["{{word}}", "{{word}}", "{{word2}}"])
    assert one == other != third


def test_an_unknown_variable_is_told_with_those_there_are() -> None:
    with pytest.raises(CaseError, match=r"a-case: unknown variable \{\{wrod\}\}.*word, text"):
        Variables(0, "a-case", 1).fill("{{wrod}}")


def test_http_dates_wait_until_they_are_played() -> None:
    text = Variables(0, "a-case", 1).fill("{{http-date:+2}} {{http-date:-90}}")
    assert text == "{{http-date:+2}} {{http-date:-90}}"
    played = fill_dates(text, datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC))
    assert played == "Fri, 01 Mar 2024 00:00:01 GMT Thu, 29 Feb 2024 23:58:29 GMT"


def test_http_date_without_seconds_is_no_variable() -> None:
    with pytest.raises(CaseError, match="unknown variable"):
        Variables(0, "a-case", 1).fill("{{http-date}}")


@pytest.mark.parametrize("text", ['{"a":{"b":{}}}', "{{", "{{ word }}", "{{Word}}", "{{word:2}}"])
def test_what_only_looks_like_a_variable_stays(text: str) -> None:
    assert not VARIABLE.search(text)
    assert Variables(0, "a-case", 1).fill(text) == text

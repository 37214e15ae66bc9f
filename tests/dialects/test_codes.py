"""The tables of codes: the narrowest wins, the catch-alls catch, and the published list has them all."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from botticelli.contracts import data_root
from botticelli.contracts.relaxations import Relaxations
from botticelli.dialects.openai import repair
from botticelli.dialects.openai.repair import Problem, find_code
from botticelli.protocol import lenient_json

PUBLISHED = set(Relaxations.read(data_root() / "contracts" / "wire" / "relaxations.json").codes())
NOTING = {"add", "_note", "_note_structural", "append"}
TYPED: list[tuple[str, str, list[Any]]] = [
    ("$.id", "id-not-string", [7, -1, 7.0]),
    ("$.choices[].message.tool_calls[].id", "tool-id-not-string", [7, 7.0]),
    ("$.created", "created-not-integer", [1.5, "1"]),
    ("$.choices[].index", "choice-index-not-integer", ["0", "9" * 18]),
    ("$.choices[].delta.tool_calls[].index", "tool-index-not-integer", ["0"]),
    ("$.choices[].finish_reason", "finish-reason-type", [{}]),
    ("$.choices[].message.tool_calls[].function.arguments", "arguments-not-string", [{}]),
    ("$.choices[].logprobs", "logprobs-shape", [[]]),
    ("$.choices[].logprobs.content", "logprobs-shape", [{}]),
    ("$.usage", "usage-type", [[]]),
    ("$.usage.prompt_tokens", "usage-tokens-type", [0.5, "2"]),
    ("$.usage.prompt_tokens_details", "usage-details-type", [[]]),
]


@pytest.mark.parametrize(
    ("problem", "place", "code"),
    [
        ("missing", "$.id", "id-missing"),
        ("empty", "$.choices[].delta.tool_calls[].id", "tool-id-empty"),
        ("value", "$.choices[].message.role", "role-unknown"),
        ("empty", "$.choices[].delta.role", "role-unknown"),
        ("range", "$.usage.total_tokens", "usage-tokens-negative"),
        ("missing", "$.choices[].message.tool_calls[].function.arguments", "arguments-missing"),
    ],
)
def test_a_place_has_codes_of_its_own(problem: Problem, place: str, code: str) -> None:
    assert find_code(problem, place) == code


@pytest.mark.parametrize(("place", "code", "fitting"), TYPED)
def test_a_wrong_type_has_a_code_of_its_own_if_it_is_the_one_that_is_meant(
    place: str, code: str, fitting: list[Any]
) -> None:
    assert [find_code("type", place, value) for value in fitting] == [code] * len(fitting)
    assert find_code("type", place, True) == "field-type"


@pytest.mark.parametrize("text", ["", "-1", "1.0", "two", "٢", "9" * 19])
def test_a_text_is_digits_or_of_a_wrong_type(text: str) -> None:
    assert find_code("type", "$.choices[].index", text) == "field-type"


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        ("missing", "field-missing"),
        ("null", "field-null"),
        ("type", "field-type"),
        ("value", "unknown-value"),
        ("empty", "field-value"),
        ("long", "field-value"),
        ("range", "number-range"),
    ],
)
@pytest.mark.parametrize("place", ["$.somewhere", "$.choices[].message.audio.id", "$"])
def test_any_other_place_has_the_catch_all(problem: Problem, code: str, place: str) -> None:
    assert find_code(problem, place) == code


def test_a_problem_that_a_place_does_not_name_has_the_catch_all_too() -> None:
    assert find_code("null", "$.id") == "field-null"


@pytest.mark.parametrize(
    "place",
    [
        "$.choices[].message.reasoning_content",
        "$.choices[].delta.reasoning",
        "$.choices[].message.reasoning_text",
        "$.choices[].delta.thinking",
        "$.choices[].text",
        "$.choices[].usage",
        "$.choices[].error",
    ],
)
@pytest.mark.parametrize("problem", get_args(Problem))
def test_where_the_format_says_nothing_nothing_breaks_it(problem: Problem, place: str) -> None:
    assert find_code(problem, place) is None


def noted() -> set[tuple[str, str]]:
    """Every literal code that a module of the dialect notes, with the module."""
    return {
        (path.stem, call.args[0].value)
        for folder in (Path(repair.__file__).parent, Path(lenient_json.__file__).parent)
        for path in folder.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in NOTING
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
        and re.fullmatch("[a-z0-9]+(-[a-z0-9]+)+|bom", call.args[0].value)
    }


def test_every_code_that_is_noted_is_published() -> None:
    found = noted()
    assert {module for module, _ in found} >= {"lenient_json", "response", "stream", "toolcalls"}
    assert {entry for entry in found if entry[1] not in PUBLISHED} == set()


def test_every_code_of_the_tables_is_published() -> None:
    tables = ast.parse(Path(repair.__file__).read_text(encoding="utf-8"))
    written = {
        item.value
        for table in ast.walk(tables)
        if isinstance(table, ast.Dict)
        for item in table.values
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    }
    assert len(written) > 40
    assert written - PUBLISHED == set()

"""Which JSON values that came with a 200 are errors."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.dialects.openai.errors import is_error

CHOICE: dict[str, Any] = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}


@pytest.mark.parametrize(
    "value",
    [
        {"error": {"message": "No."}},
        {"error": "No."},
        {"error": True},
        {"error": {"code": 429}},
        {"error": {"message": "", "details": [{"reason": "No."}]}},
        {"error": {"message": "No."}, "choices": [CHOICE]},
        {"object": "error", "message": "No."},
        {"object": "error", "choices": []},
        {"choices": [CHOICE, {"error": {"code": 502}}]},
        {"choices": [{**CHOICE, "finish_reason": "error"}]},
        {"errors": ["No."]},
        {"detail": "No."},
        {"detail": [{"loc": ["body"], "msg": "No."}]},
        {"message": "No."},
        [{"error": {"message": "No."}}],
        [{"error": "No."}, {}],
    ],
)
def test_an_error(value: Any) -> None:
    assert is_error(value)


@pytest.mark.parametrize(
    "nothing", [None, {}, "", 0, False, [], {"code": 0, "message": ""}, {"a": [], "b": {}}]
)
def test_an_error_member_that_says_nothing_is_none(nothing: Any) -> None:
    assert not is_error({"error": nothing})
    assert not is_error([{"error": nothing}])
    assert not is_error({"choices": [{"error": nothing}]})
    assert not is_error({"errors": nothing, "detail": nothing, "message": nothing})


@pytest.mark.parametrize("member", ["choices", "data", "usage"])
@pytest.mark.parametrize("word", ["message", "detail", "errors"])
def test_a_loose_word_beside_an_answer_is_no_error(member: str, word: str) -> None:
    assert not is_error({member: [], word: "No."})


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"choices": [CHOICE]},
        {"choices": ["error", None]},
        {"choices": {"error": "No."}},
        {"choices": [{**CHOICE, "finish_reason": "stop"}]},
        {"object": "chat.completion", "id": "a"},
        {"message": {"content": "Hi"}},
        {"message": ["Hi"]},
        [],
        ["error"],
        [{}, {"error": "No."}],
        ["error", {"error": "No."}],
        [[{"error": "No."}]],
        "error",
        None,
        0,
    ],
)
def test_no_error(value: Any) -> None:
    assert not is_error(value)


def test_an_error_is_found_at_any_depth() -> None:
    value: Any = "No."
    for _ in range(5000):
        value = [value]
    assert is_error({"error": value})

"""How the driver reads published examples, on small ones written here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from .read_examples import main

if TYPE_CHECKING:
    from pathlib import Path

HEAD: dict[str, Any] = {"id": "c", "created": 1, "model": "m"}
MESSAGE = {"role": "assistant", "content": "Hi", "refusal": None}
CHOICE: dict[str, Any] = {"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}
ANSWER: dict[str, Any] = {**HEAD, "object": "chat.completion", "choices": [CHOICE]}
REQUEST = """curl x -d '{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}'"""


def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [choice]})


def example(title: str, response: Any, request: str | None = None) -> dict[str, Any]:
    result = response if isinstance(response, str) else json.dumps(response)
    return {"title": title, "request_curl": request, "response": result}


def lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], *examples: Any) -> tuple[int, list[str]]:
    (tmp_path / "examples.json").write_text(json.dumps(examples))
    code = main([str(tmp_path)])
    return code, capsys.readouterr().out.splitlines()


def test_each_example_has_an_aligned_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    streamed = "\n\n".join([chunk(MESSAGE), "....", chunk({}, "stop")])
    examples = (example("Whole", ANSWER, REQUEST), example("In pieces", streamed))
    assert lines(tmp_path, capsys, *examples) == (
        0,
        ["Whole      request read and written again; answer read: Text", "In pieces  2 chunks read: Text"],
    )


def test_an_answer_that_breaks_the_contract_deviates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {**ANSWER, "choices": [{**CHOICE, "message": {"role": "assistant", "content": "Hi"}}]}
    place = "$.choices[0].message.refusal"
    result = f"Old  answer read: Text; deviates: refusal-missing at {place}"
    assert lines(tmp_path, capsys, example("Old", old)) == (0, [result])


@pytest.mark.parametrize(
    ("response", "request_curl", "fault"),
    [
        ({**ANSWER, "choices": []}, None, "no choices"),
        (
            {**ANSWER, "choices": [{**CHOICE, "message": {**MESSAGE, "content": None}}]},
            None,
            "nothing was read",
        ),
        (ANSWER, 'curl -d \'{"model": "m", "messages": []}\'', "at least one message"),
        (ANSWER, REQUEST.replace('"model"', '"stream": 5, "model"'), "written again"),
        (ANSWER, REQUEST.replace('"model"', '"n": 2.5, "model"'), "n"),
    ],
)
def test_what_is_not_read_is_a_fault(
    response: Any, request_curl: str | None, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = lines(tmp_path, capsys, example("A", response, request_curl))
    assert code == 1
    assert result[0].startswith("A  FAULT ")
    assert fault in result[0]


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON"])
def test_a_folder_without_examples_is_an_error(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(content)
    assert main([str(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().err

"""HuggingFace's table of errors: each of its rows is needed by an entry of `fixtures/errors.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from botticelli.protocol.error_rules import CLASSES, ErrorRule
from botticelli.providers.huggingface import HUGGINGFACE_HINTS, HUGGINGFACE_RULES

from ..error_calls import error_from_response

ENTRIES: list[dict[str, Any]] = [
    entry
    for entry in json.loads((Path(__file__).parents[2] / "fixtures" / "errors.json").read_bytes())["errors"]
    if entry["table"] == "huggingface"
]


def wrong(rows: tuple[ErrorRule, ...]) -> list[str]:
    """The entries that come out as another kind than they should."""
    return [
        entry["id"]
        for entry in ENTRIES
        if error_from_response(
            entry["status"], entry["headers"], entry["body"].encode(), now=0.0, error_rules=rows
        ).kind
        != entry["expect"]["kind"]
    ]


def test_with_the_table_all_entries_are_right() -> None:
    assert wrong(HUGGINGFACE_RULES) == []


@pytest.mark.parametrize("row", range(len(HUGGINGFACE_RULES)))
def test_without_a_row_some_entry_is_wrong(row: int) -> None:
    assert wrong(HUGGINGFACE_RULES[:row] + HUGGINGFACE_RULES[row + 1 :])


def test_hints_are_for_kinds_that_exist() -> None:
    assert {key.partition("/")[0] for key in HUGGINGFACE_HINTS} <= set(CLASSES)

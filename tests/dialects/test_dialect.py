"""The OpenAI dialect as drivers use it."""

from __future__ import annotations

import pytest

from botticelli import Usage
from botticelli.dialects.openai.dialect import OpenAIDialect

DIALECT = OpenAIDialect()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"usage": 5}', b'{"usage": null}', b"{}", b"\xff", b"[" * 9999]
)
def test_what_tells_no_usage(body: bytes) -> None:
    assert DIALECT.usage(body) is None


def test_what_tells_usage() -> None:
    assert DIALECT.usage(
        b'{"a": 1, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}'
    ) == (Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7))

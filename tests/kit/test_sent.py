"""What the server says in a case, from which the judge knows what a client has made up."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.kit.cases.formats import OPENAI, Context
from botticelli.kit.cases.sent import Sent

CONTEXT = Context(OPENAI, "an-id", "a/model")


def sent(*pieces: dict[str, Any], **members: Any) -> Sent:
    return Sent.of([{"status": 200, "body": [*pieces], **members}], CONTEXT)


def test_everything_that_is_sent_is_said() -> None:
    whole = sent(
        {"gzip": [{"text": "zipped"}]},
        {"slices": 1, "of": [{"json": {"a": "sliced"}}]},
        {"sleep": 1},
        headers=[["X-Request-Id", "r-1"]],
        beyond=[{"status": 200, "body": [{"text": "beyond"}]}],
    )
    for word in ("zipped", "sliced", "r-1", "X-Request-Id", "beyond"):
        assert whole.says(word)
    assert not whole.says("unsaid")
    assert Sent.of([{"raw": [{"text": "raw"}]}], CONTEXT).says("raw")


@pytest.mark.parametrize(
    ("piece", "may"),
    [
        ({"message": {"content": "x"}}, False),
        ({"text": '{"logprobs" : null}'}, False),
        ({"json": {"logprobs": {"content": []}}}, True),
        ({"json": {"logprobs": None, "top_logprobs": []}}, True),
        ({"join": [{"base64": "aaaa"}]}, True),
    ],
)
def test_log_probabilities_are_sent_unless_they_are_null(piece: dict[str, Any], *, may: bool) -> None:
    assert sent(piece).logprobs is may


@pytest.mark.parametrize("name", ["x-ratelimit-limit-requests", "RateLimit", "anthropic-Rate-Limit-reset"])
def test_rate_limits_are_known_by_their_headers(name: str) -> None:
    assert sent(headers=[[name, "1"]]).rate_limits
    assert not sent(headers=[["X-Other", "1"]]).rate_limits


def test_what_holds_never_ends() -> None:
    assert sent({"text": "a"}, {"hold": True}).endless
    assert not sent({"text": "a"}, {"sleep": 1}).endless
    assert sent({"hex": "00"}).says("anything")

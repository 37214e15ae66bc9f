"""Usage totals: tokens wherever they are reported, requests that were sent, cost where it is known."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from botticelli import (
    BotticelliError,
    CallTimeoutError,
    ConnectError,
    EmptyResponseError,
    GenerateRequest,
    Model,
    ModelProvider,
    StreamError,
    Timeouts,
    Usage,
    UsageTotals,
)
from botticelli.drivers.usage import UsageTracker

from .conftest import DONE, END, STREAM_HEAD, Rim, Server, answer, completion, error, event, framed, http

Serve = Callable[..., Server]

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
COUNTED = UsageTotals(calls=1, prompt_tokens=5, completion_tokens=2)
FAILED = b'data: {"error": {"message": "no", "code": 503}}\n\n'


def told(*events: bytes) -> bytes:
    return STREAM_HEAD + b"".join(map(framed, events))


@pytest.mark.parametrize(
    ("rest", "failure"),
    [
        (b"", "stream_truncated"),
        (framed(FAILED), "stream_error"),
        (framed(b"data: {\n\n"), "malformed_response"),
    ],
)
def test_tokens_of_a_stream_that_broke_are_counted(
    rim: Rim, serve: Serve, ask: GenerateRequest, rest: bytes, failure: str
) -> None:
    driver = rim.driver(serve(told(event("Hi", usage=USAGE)) + rest + END))
    problem = rim.stream(driver, ask).error
    assert problem is not None
    assert problem.kind == failure
    assert problem.partial is not None
    assert driver.usage == COUNTED


@pytest.mark.parametrize("leave_after", [1, 2])
def test_tokens_of_a_stream_that_was_left_are_counted(
    rim: Rim, serve: Serve, ask: GenerateRequest, leave_after: int
) -> None:
    events = told(event("Hi", usage=USAGE), event(finish="stop"))
    driver = rim.driver(serve((events + framed(event("!")), "hold")))
    rim.stream(driver, ask, leave_after=leave_after)
    assert driver.usage == COUNTED


def test_a_stream_that_was_left_before_it_told_is_unknown(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    driver = rim.driver(serve((told(event("Hi")), "hold")))
    rim.stream(driver, ask, leave_after=1)
    rim.stream(driver, ask, leave_after=0)
    assert driver.usage == UsageTotals(calls=2, unknown=1)


def test_tokens_of_a_stream_without_a_choice_are_counted(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    driver = rim.driver(serve(told(event(choices=[], usage=USAGE), DONE) + END))
    assert isinstance(rim.stream(driver, ask).error, EmptyResponseError)
    assert driver.usage == COUNTED


@pytest.mark.parametrize("members", ['{"choices": []}', '{"choices": 5}', '{"error": {"message": "no"}}'])
def test_tokens_of_a_2xx_that_is_no_answer_are_counted(
    rim: Rim, serve: Serve, ask: GenerateRequest, members: str
) -> None:
    driver = rim.driver(serve(http(json.dumps({**json.loads(completion()), **json.loads(members)}))))
    with pytest.raises(BotticelliError):
        rim.generate(driver, ask)
    assert driver.usage == COUNTED


def test_a_request_counts_once_it_is_begun(rim: Rim, ask: GenerateRequest) -> None:
    server = Server([(answer(),)])
    server.stop()
    driver = rim.driver(server, max_retries=2)
    with pytest.raises(ConnectError) as caught:
        rim.generate(driver, ask)
    assert caught.value.attempts == 3
    assert driver.usage == UsageTotals(calls=1, retries=2)


def test_a_call_whose_time_is_over_before_it_begins_is_none(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    server = serve(answer())
    driver = rim.driver(server, timeout=Timeouts(total=5e-324))
    with pytest.raises(CallTimeoutError) as caught:
        rim.generate(driver, ask)
    assert (caught.value.phase, caught.value.attempts) == ("total", 0)
    assert (driver.usage, server.connections) == (UsageTotals(), 0)


# Errors inside a 200 name the request.


@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_inside_a_200_carries_the_requests_id(
    rim: Rim, serve: Serve, ask: GenerateRequest, streamed: bool
) -> None:
    whole = http('{"error": {"message": "no"}}', headers=(("x-request-id", "req-1"),))
    driver = rim.driver(serve(told(event("Hi"), FAILED) + END if streamed else whole))
    if streamed:
        problem = rim.stream(driver, ask).error
    else:
        with pytest.raises(StreamError) as caught:
            rim.generate(driver, ask)
        problem = caught.value
    assert isinstance(problem, StreamError)
    assert problem.request_id == "req-1"


# Money.


def priced(*offers: ModelProvider) -> UsageTracker:
    return UsageTracker([Model(id="m", providers=offers), Model(id="m:free", providers=(CHEAP,))])


DEAR = ModelProvider(provider="dear", input_price=1e6, output_price=1e6)
CHEAP = ModelProvider(provider="cheap", input_price=1.0, output_price=1.0)


@pytest.mark.parametrize(
    ("model", "provider", "cost"),
    [
        ("m", "dear", 2.0),
        ("m", "cheap", 2e-6),
        ("m", None, None),
        ("m", "stranger", None),
        ("m:dear", None, 2.0),
        ("m:fastest", None, None),
        ("m:fastest", "cheap", 2e-6),
        ("m:dear", "cheap", 2e-6),  # who answered is told by the answer
        ("m:free", None, 2e-6),
        ("other", "dear", None),
        ("other:dear", None, None),
    ],
)
def test_money_only_where_the_price_is_known(model: str, provider: str | None, cost: float | None) -> None:
    ledger = priced(DEAR, CHEAP)
    usage = Usage(prompt_tokens=1, completion_tokens=1)
    ledger.count(attempts=1, usage=usage, answered=True, model=model, provider=provider)
    assert ledger.usage.priced == (cost is not None)
    assert ledger.usage.cost == pytest.approx(cost or 0.0)


def test_a_failed_call_costs_nothing_and_is_not_unknown(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    driver = rim.driver(serve(error(400)), catalog=[Model(id="test/model", providers=(DEAR,))])
    with pytest.raises(BotticelliError):
        rim.generate(driver, ask)
    assert driver.usage == UsageTotals(calls=1)

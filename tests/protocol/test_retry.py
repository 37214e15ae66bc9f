"""Test which errors are retried; the invariants are in `tests/property/test_retry_properties.py`."""

from __future__ import annotations

import math
from typing import Any

import pytest

from botticelli.core.errors import (
    ApiError,
    CallTimeoutError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    CreditsExhaustedError,
    EmptyResponseError,
    MalformedResponseError,
    ModelsError,
    RateLimitError,
    ServerError,
    StreamError,
    StreamTruncatedError,
)
from botticelli.core.message import Text
from botticelli.core.response import Choice, GenerateResponse
from botticelli.protocol.retry import LONGEST, RetryPolicy

POLICY = RetryPolicy()
DELIVERED = GenerateResponse(choices=[Choice(outputs=[Text("Hi")])])


def api(status: int, **rest: Any) -> ApiError:
    return ApiError("x", status=status, **rest)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 520, 529, 599])
def test_retryable_statuses(status: int) -> None:
    assert POLICY.delay(0, api(status), 0.0) == 0.5


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 405, 410, 413, 422, 424, 499, 600])
def test_final_statuses(status: int) -> None:
    assert POLICY.delay(0, api(status), 0.0) is None


def untrusted() -> ConnectError:
    error = ConnectError("CERTIFICATE_VERIFY_FAILED")
    error.lasting = True
    return error


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectError("refused"), True),
        (untrusted(), False),
        (CallTimeoutError("pool", 10), True),
        (CallTimeoutError("connect", 5), True),
        (CallTimeoutError("first_byte", 120), False),
        (CallTimeoutError("idle", 60), False),
        (CallTimeoutError("progress", 300), False),
        (CallTimeoutError("total", 600), False),
        (ConnectionLostError("reset"), True),
        (ConnectionLostError("reset", answered=True), False),
        (ConnectionLostError("reset", partial=DELIVERED), False),
        (ConnectionLostError("reset", partial=GenerateResponse(id="c1")), True),
        (ConnectionLostError("reset", partial=GenerateResponse(choices=[Choice()])), False),
        (CreditsExhaustedError("empty", status=402), False),
        (CreditsExhaustedError("empty", status=429), False),
        (CreditsExhaustedError("empty", status=429, should_retry=True, retry_after=1.0), False),
        (RateLimitError("slow", status=429), True),
        (ServerError("full", status=498), True),
        (ServerError("full", status=498, should_retry=False), False),
        (MalformedResponseError("html"), False),
        (EmptyResponseError("nothing"), False),
        (StreamError("boom", status=503, cause_kind="server"), False),
        (StreamTruncatedError("cut"), False),
        (ModelsError("odd"), False),
        (api(400, should_retry=True), True),
        (api(503, should_retry=False), False),
    ],
    ids=repr,
)
def test_retryable_errors(error: ModelsError, again: bool) -> None:
    assert POLICY.delay(0, error, 0.0) == (0.5 if again else None)


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        (None, 0.5),
        (0.0, 0.5),  # it names no time
        (5e-324, 5e-324),
        (0.25, 0.25),
        (60.0, 60.0),
        (60.001, None),
        (86400.0, None),
        (math.inf, None),
        (-1.0, 0.5),
        (math.nan, 0.5),
    ],
)
def test_retry_after(asked: float | None, wait: float | None) -> None:
    assert POLICY.delay(0, api(429, retry_after=asked), 0.0) == wait
    assert POLICY.delay(0, api(400, retry_after=asked, should_retry=True), 0.0) == wait
    assert POLICY.delay(0, api(400, retry_after=asked), 0.0) is None


def test_the_backoff_doubles_up_to_the_maximum() -> None:
    policy = RetryPolicy(max_retries=10**9)
    waits = [policy.delay(attempt, ConnectError("x"), 0.0) for attempt in (0, 1, 2, 3, 4, 5, 5000, 10**8)]
    assert waits == [0.5, 1, 2, 4, 8, 8, 8, 8]


def test_chance_shortens_a_wait_by_up_to_the_jitter() -> None:
    assert POLICY.delay(1, ConnectError("x"), 0.5) == 0.875
    assert RetryPolicy(jitter=1).delay(1, ConnectError("x"), 0.5) == 0.5
    assert RetryPolicy(jitter=0).delay(1, ConnectError("x"), 0.9) == 1.0


def test_jitter_does_not_shorten_retry_after() -> None:
    assert POLICY.delay(0, api(429, retry_after=3.0), 0.9) == 3.0


def test_the_number_of_retries_is_limited() -> None:
    waits = [POLICY.delay(attempt, ConnectError("x"), 0.0) for attempt in range(4)]
    assert waits == [0.5, 1.0, None, None]
    assert RetryPolicy(max_retries=0).delay(0, ConnectError("x"), 0.0) is None


@pytest.mark.parametrize("name", ["initial", "maximum", "jitter", "max_retry_after"])
@pytest.mark.parametrize("value", [-0.1, math.nan, -math.inf, "1", None, True, 1j, -(10**400)])
def test_numbers_out_of_their_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must be a number of 0 or more") as caught:
        RetryPolicy(**{name: value})  # type: ignore[arg-type]  # the wrong type is the point
    assert caught.value.setting == name


@pytest.mark.parametrize("value", [-1, 1.0, "2", None, True, -(10**400)])
def test_a_number_of_retries_is_a_whole_number(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^max_retries must be a whole number") as caught:
        RetryPolicy(max_retries=value)  # type: ignore[arg-type]  # the wrong type is the point
    assert caught.value.setting == "max_retries"


def test_the_upper_ends_of_the_ranges() -> None:
    assert RetryPolicy(jitter=1, max_retry_after=math.inf, initial=0, maximum=0).max_retry_after == math.inf
    with pytest.raises(ConfigurationError, match=r"at most 1, not 1\.5"):
        RetryPolicy(jitter=1.5)
    with pytest.raises(ConfigurationError):
        RetryPolicy(initial=math.inf)
    with pytest.raises(ConfigurationError):
        RetryPolicy(maximum=math.inf)


def test_no_wait_is_longer_than_a_system_can_wait() -> None:
    patient = RetryPolicy(max_retry_after=math.inf, initial=1e300, maximum=1e300)
    assert patient.delay(0, api(429, retry_after=LONGEST), 0.0) == LONGEST
    assert patient.delay(0, api(429, retry_after=LONGEST + 1), 0.0) is None
    assert patient.delay(0, api(429), 0.0) == LONGEST

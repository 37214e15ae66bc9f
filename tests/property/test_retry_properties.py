"""The laws of trying again, for any policy, any error and any chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.core.errors import (
    KINDS,
    ApiError,
    CallTimeoutError,
    ConnectError,
    ConnectionLostError,
    CreditsExhaustedError,
    EmptyResponseError,
    MalformedResponseError,
    ModelsError,
    ServerError,
    StreamError,
    StreamTruncatedError,
)
from botticelli.core.message import Text
from botticelli.core.response import Choice, GenerateResponse
from botticelli.protocol.retry import RetryPolicy

if TYPE_CHECKING:
    from botticelli.core.errors import BotticelliError

ours = settings(deadline=None)  # a deadline would judge the machine

seconds = st.floats(0, 1e6)
policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 5),
    initial=seconds,
    maximum=seconds,
    jitter=st.floats(0, 1),
    max_retry_after=seconds,
)
attempts = st.integers(0, 6)
chances = st.floats(0, 1, exclude_max=True)

choices = st.builds(Choice, outputs=st.lists(st.builds(Text, st.text(max_size=3)), max_size=2))
partials = st.none() | st.builds(GenerateResponse, choices=st.lists(choices, max_size=2))
statuses = st.sampled_from([400, 402, 408, 409, 429, 500, 529, 599, 600]) | st.integers(100, 999)
waits = st.none() | st.just(0.0) | seconds | st.floats()


@st.composite
def make_api_errors(draw: st.DrawFn) -> ApiError:
    cls = draw(st.sampled_from([cls for cls in KINDS.values() if issubclass(cls, ApiError)]))
    again = draw(st.sampled_from([None, None, True, False]))
    return cls("x", status=draw(statuses), retry_after=draw(waits), should_retry=again)


api_errors = make_api_errors()
phases = st.sampled_from(["pool", "connect", "first_byte", "idle", "progress", "total"])
other_errors = st.one_of(
    st.builds(ConnectError, st.just("x")),
    st.builds(CallTimeoutError, phases, seconds, partial=partials),
    st.builds(ConnectionLostError, st.just("x"), answered=st.booleans(), partial=partials),
    st.builds(MalformedResponseError, st.just("x"), partial=partials),
    st.builds(EmptyResponseError, st.just("x")),
    st.builds(StreamError, st.just("x"), status=st.none() | statuses, partial=partials),
    st.builds(StreamTruncatedError, st.just("x"), partial=partials),
)
errors = api_errors | other_errors


def retried(policy: RetryPolicy, error: ModelsError) -> bool:
    return policy.delay(0, error, 0.0) is not None


@ours
@given(policies, attempts, errors, chances)
def test_a_wait_is_a_number_within_the_policys_limits(
    policy: RetryPolicy, attempt: int, error: ModelsError, chance: float
) -> None:
    wait = policy.delay(attempt, error, chance)
    assert wait is None or 0 <= wait <= max(policy.maximum, policy.max_retry_after)


@ours
@given(policies, st.integers(0, 100), errors, chances)
def test_there_are_never_more_retries_than_allowed(
    policy: RetryPolicy, beyond: int, error: ModelsError, chance: float
) -> None:
    assert policy.delay(policy.max_retries + beyond, error, chance) is None


@ours
@given(policies, attempts, attempts, errors, chances, chances)
def test_whether_to_retry_depends_on_the_error_alone(
    policy: RetryPolicy, one: int, other: int, error: ModelsError, chance: float, another: float
) -> None:
    if max(one, other) < policy.max_retries:
        assert (policy.delay(one, error, chance) is None) == (policy.delay(other, error, another) is None)


@ours
@given(policies, attempts, errors, chances)
def test_what_was_delivered_is_never_asked_for_again(
    policy: RetryPolicy, attempt: int, error: ModelsError, chance: float
) -> None:
    error.partial = GenerateResponse(choices=[Choice(outputs=[Text("H")])])
    assert policy.delay(attempt, error, chance) is None


@ours
@given(policies, attempts, other_errors, chances)
def test_what_may_have_been_billed_is_never_sent_again(
    policy: RetryPolicy, attempt: int, error: BotticelliError, chance: float
) -> None:
    assert isinstance(error, ModelsError)
    if policy.delay(attempt, error, chance) is not None:
        assert isinstance(error, ConnectError | CallTimeoutError | ConnectionLostError)
        if isinstance(error, CallTimeoutError):
            assert error.phase in {"pool", "connect"}
        if isinstance(error, ConnectionLostError):
            assert not error.answered


@ours
@given(policies, attempts, waits, st.sampled_from([None, True, False]), chances)
def test_exhausted_credits_are_never_tried_again(
    policy: RetryPolicy, attempt: int, wait: float | None, again: bool | None, chance: float
) -> None:
    error = CreditsExhaustedError("x", status=429, retry_after=wait, should_retry=again)
    assert policy.delay(attempt, error, chance) is None


@ours
@given(policies, attempts, api_errors, seconds.filter(bool), chances)
def test_a_server_is_called_when_it_asked_to_be_and_not_before(
    policy: RetryPolicy, attempt: int, error: ApiError, asked: float, chance: float
) -> None:
    error.retry_after = asked
    wait = policy.delay(attempt, error, chance)
    assert wait is None or wait == asked
    if asked > policy.max_retry_after:
        assert wait is None


@ours
@given(policies, attempts, api_errors, st.sampled_from([0.0, -0.0, -1.0, float("nan")]), chances)
def test_a_server_that_names_no_time_gets_the_policys_own_wait(
    policy: RetryPolicy, attempt: int, error: ApiError, asked: float, chance: float
) -> None:
    error.retry_after = None
    own = policy.delay(attempt, error, chance)
    error.retry_after = asked
    assert policy.delay(attempt, error, chance) == own


@ours
@given(st.integers(1, 5), api_errors)
def test_the_statuses_word_or_the_servers_decides(most: int, error: ApiError) -> None:
    policy = RetryPolicy(max_retries=most)
    error.retry_after = None
    assert error.status is not None
    # a rule may say of any status that the server failed
    passing = error.status in (408, 409, 429) or error.status // 100 == 5 or isinstance(error, ServerError)
    expected = passing if error.should_retry is None else error.should_retry
    assert retried(policy, error) == (expected and not isinstance(error, CreditsExhaustedError))


@ours
@given(policies, st.integers(0, 4), chances)
def test_the_backoff_doubles_up_to_its_maximum_less_the_jitter(
    policy: RetryPolicy, attempt: int, chance: float
) -> None:
    wait = policy.delay(attempt, ConnectError("x"), chance)
    if attempt >= policy.max_retries:
        assert wait is None
        return
    full = min(policy.initial * 2**attempt, policy.maximum)
    assert wait is not None
    assert full * (1 - policy.jitter) <= wait <= full
    assert policy.delay(attempt, ConnectError("x"), 0.0) == full

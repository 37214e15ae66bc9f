from __future__ import annotations

import math
from typing import Any

import pytest

from botticelli.core.errors import (
    CallTimeoutError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    RateLimitError,
    ServerError,
)
from botticelli.protocol.deadlines import Deadlines, Timeouts
from botticelli.protocol.retry import LONGEST, RetryPolicy

LIMITS = Timeouts(pool=1, connect=2, first_byte=3, idle=4, progress=10, total=100)
EXACT = RetryPolicy(jitter=0)


def call(timeouts: Timeouts = LIMITS, policy: RetryPolicy = EXACT, *, streaming: bool = True) -> Deadlines:
    made = Deadlines(timeouts, policy, streaming=streaming)
    made.start(1000)
    return made


# Timeouts.


def test_a_number_sets_pool_first_byte_and_idle() -> None:
    assert Timeouts.of(7) == Timeouts(pool=7, first_byte=7, idle=7, connect=5, progress=300, total=600)


def test_defaults() -> None:
    assert Timeouts.of(None) == Timeouts(pool=10, connect=5, first_byte=120, idle=60, progress=300, total=600)
    assert Timeouts.of(LIMITS) is LIMITS


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "5", 2_147_484, 10**400, -(10**400)])
@pytest.mark.parametrize("name", ["pool", "connect", "first_byte", "idle", "progress", "total"])
def test_invalid_limits(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Timeouts(**{name: value})
    assert caught.value.setting == f"timeout.{name}"


@pytest.mark.parametrize("value", [0, -1, math.nan, True, "5", 1e300, 10**400, Timeouts, (1, 2)])
def test_invalid_timeouts(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^timeout must be a number of seconds") as caught:
        Timeouts.of(value)
    assert caught.value.setting == "timeout"


def test_the_longest_limit_is_one() -> None:
    assert Timeouts.of(LONGEST).idle == LONGEST
    assert Timeouts(total=2_147_483).total == LONGEST


# The first phases.


def test_an_attempt_has_the_limits_of_its_phases() -> None:
    assert call().begin(1000) == {"pool": 1, "connect": 2, "write": 3, "read": 3}


def test_no_phase_is_longer_than_what_is_left_of_the_whole() -> None:
    assert call().begin(1098.5) == {"pool": 1, "connect": 1.5, "write": 1.5, "read": 1.5}


def test_without_limits_there_are_none() -> None:
    endless = call(Timeouts(pool=None, connect=None, first_byte=None, idle=None, progress=None, total=None))
    assert endless.begin(1e9) == {"pool": None, "connect": None, "write": None, "read": None}
    assert endless.remaining(1e9) is None
    assert endless.read_limit(1e9) == math.inf


def test_an_attempt_after_the_end_is_a_timeout() -> None:
    running = call()
    with pytest.raises(CallTimeoutError) as caught:
        running.begin(1100)
    assert (caught.value.phase, caught.value.seconds) == ("total", 100)
    assert running.attempts == 0


def test_attempts_are_counted_and_begin_anew() -> None:
    running = call()
    running.begin(1000)
    running.on_head()
    running.reused = True
    assert running.answered
    running.begin(1001)
    assert (running.attempts, running.answered, running.reused) == (2, False, False)


def test_remaining_is_never_negative() -> None:
    assert call().remaining(1040) == 60
    assert call().remaining(1200) == 0


@pytest.mark.parametrize(("phase", "seconds"), [("pool", 1), ("connect", 2), ("first_byte", 3)])
def test_a_phase_names_itself(phase: str, seconds: float) -> None:
    error = call().timeout_error(phase, 1050)
    assert (error.phase, error.seconds) == (phase, seconds)


def test_a_phase_that_the_whole_cut_short_names_the_whole() -> None:
    assert call().timeout_error("connect", 1099.999).phase == "total"


# The body.


def test_the_idle_limit_is_the_first_to_pass() -> None:
    running = call()
    assert running.read_limit(1000) == running.idle == 4
    assert running.timeout_error("idle", 1004).phase == "idle"


def test_every_read_has_the_idle_limit_anew() -> None:
    running = call()
    for now in (1000, 1003, 1006):
        assert running.read_limit(now) == 4


def test_comments_are_no_progress() -> None:
    running = call()
    running.read_limit(1000)
    assert running.read_limit(1003) == 4
    assert running.read_limit(1007) == 3  # 10 seconds of progress, 7 gone
    with pytest.raises(CallTimeoutError) as caught:
        running.read_limit(1010)
    assert (caught.value.phase, caught.value.seconds) == ("progress", 10)


def test_an_event_is_progress() -> None:
    running = call()
    running.read_limit(1000)
    running.on_progress()
    assert running.read_limit(1009) == 4
    assert running.read_limit(1012) == 4


def test_the_time_in_which_the_caller_is_busy_is_no_lack_of_progress() -> None:
    running = call()
    running.read_limit(1000)
    running.on_progress()
    assert running.read_limit(1090) == 4


def test_a_whole_answer_has_no_progress_to_make() -> None:
    running = call(streaming=False)
    for now in (1000, 1003, 1006, 1009, 1012):
        assert running.read_limit(now) == 4


def test_the_total_limit_may_pass_first() -> None:
    running = call()
    assert running.read_limit(1098) == 2
    assert running.timeout_error("idle", 1100).phase == "total"
    with pytest.raises(CallTimeoutError) as caught:
        running.read_limit(1100)
    assert caught.value.phase == "total"


def test_of_two_limits_that_passed_the_earlier_is_named() -> None:
    running = call(Timeouts(idle=5, progress=7, total=100))
    running.read_limit(1000)
    running.read_limit(1004)
    assert running.timeout_error("idle", 1009).phase == "progress"


@pytest.mark.parametrize("phase", ["pool", "connect", "first_byte", "idle"])
def test_a_timeout_says_what_to_change(phase: str) -> None:
    running = call()
    running.read_limit(1000)
    assert f"Timeouts({phase}=...)" in str(running.timeout_error(phase, 1004))


# Limits of the connection itself, below the HTTP client.


def test_a_read_is_limited_by_its_phase() -> None:
    running = call()
    running.begin(1000)
    assert running.io_limit(1000) == 100
    running.on_connect_proxy(1001)
    assert running.io_limit(1002) == 1  # connect
    running.on_connected()
    assert running.io_limit(1003) == 97  # writing has no limit of its own
    running.on_request_sent(1004)
    assert running.io_limit(1006) == 1  # first_byte
    assert running.io_limit(1008) == -1
    running.on_head()
    assert running.io_limit(1008) == 92
    running.read_limit(1009)
    assert running.io_limit(1010) == 9  # progress
    assert running.io_limit(1099.5) == -80.5


def test_without_limits_a_read_may_take_forever() -> None:
    running = call(Timeouts(connect=None, first_byte=None, idle=None, progress=None, total=None))
    running.begin(1000)
    running.on_connect_proxy(1000)
    running.on_connected()
    running.on_request_sent(1000)
    running.on_head()
    running.read_limit(1000)
    assert running.io_limit(9999) == math.inf


def test_reads_that_bring_nothing_whole_renew_the_idle_limit() -> None:
    running = call()
    running.begin(1000)
    running.on_head()
    running.read_limit(1000)
    for now in (1003, 1006, 1009):
        running.io_limit(now)
    assert running.timeout_error("idle", 1010).phase == "progress"


def test_bytes_from_a_proxy_are_not_part_of_the_response() -> None:
    running = call()
    running.begin(1000)
    running.on_connect_proxy(1000)
    running.on_bytes()
    assert (running.connecting, running.bytes_received) == (True, False)
    running.on_connected()
    running.on_bytes()
    assert (running.connecting, running.bytes_received) == (False, True)
    running.begin(1001)
    assert (running.connecting, running.bytes_received) == (False, False)
    assert running.io_limit(1001) == 99


# Failures.


def overloaded(**more: Any) -> ServerError:
    return ServerError("busy", status=503, **more)


def test_the_policy_decides() -> None:
    running = call()
    running.begin(1000)
    assert running.retry_delay(overloaded(), 1001, 0.0) == 0.5
    running.begin(1002)
    assert running.retry_delay(overloaded(), 1003, 0.0) == 1.0
    running.begin(1004)
    assert running.retry_delay(overloaded(), 1005, 0.0) is None


def test_nothing_is_repeated_once_it_is_delivered() -> None:
    running = call()
    running.begin(1000)
    running.delivered = True
    assert running.retry_delay(overloaded(), 1001, 0.0) is None


def test_no_retry_waits_past_the_total_limit() -> None:
    running = call()
    running.begin(1000)
    patient = RateLimitError("slowly", status=429, retry_after=50)
    assert running.retry_delay(patient, 1049.9, 0.0) == 50
    assert running.retry_delay(patient, 1050, 0.0) is None


def test_jitter_shortens_the_wait() -> None:
    running = call(policy=RetryPolicy(jitter=0.25))
    running.begin(1000)
    assert running.retry_delay(overloaded(), 1001, 0.5) == pytest.approx(0.4375)


def lost(*, answered: bool = False) -> ConnectionLostError:
    return ConnectionLostError("gone", answered=answered)


def test_a_reused_connection_that_was_closed_is_replaced_at_once_but_only_once() -> None:
    running = call()
    running.begin(1000)
    running.reused = True
    assert running.retry_delay(lost(), 1001, 0.0) == 0.0
    running.begin(1001)
    running.reused = True
    assert running.retry_delay(lost(), 1002, 0.0) == 1.0


def test_after_a_lost_new_connection_the_retry_waits() -> None:
    running = call()
    running.begin(1000)
    assert running.retry_delay(lost(), 1001, 0.0) == 0.5


def test_a_reused_connection_lost_in_the_response_is_not_replaced() -> None:
    running = call()
    running.begin(1000)
    running.reused = True
    assert running.retry_delay(lost(answered=True), 1001, 0.0) is None


def test_after_a_connect_error_on_a_reused_connection_the_retry_waits() -> None:
    running = call()
    running.begin(1000)
    running.reused = True
    assert running.retry_delay(ConnectError("no"), 1001, 0.0) == 0.5


def test_max_retries_0_applies_to_reused_connections_too() -> None:
    running = call(policy=RetryPolicy(max_retries=0))
    running.begin(1000)
    running.reused = True
    assert running.retry_delay(lost(), 1001, 0.0) is None

"""Track the attempts, waits and deadlines of one call. Pure: clock and random number are arguments.

The sync and the async driver use the same state machine. They report events to it (`start`, `begin` and the
``on_`` methods) and it returns how long they may wait; it never waits itself. ``now`` is the reading of a
monotonic clock in seconds, from any starting point; ``chance`` is a random number in [0, 1).

The phases of a call, each with its own limit (see `Timeouts`)::

    pool -> connect -> first_byte -> idle, progress      and total over all of it, retries included
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.core.errors import CallTimeoutError, ConfigurationError, ConnectionLostError
from botticelli.protocol.retry import LONGEST

if TYPE_CHECKING:
    from botticelli.core.errors import ModelsError
    from botticelli.protocol.retry import RetryPolicy

__all__ = ["Deadlines", "Timeouts"]

_TICK = 0.002
"""Seconds. Timers round to the scheduler's tick, so a wait may end this much before its deadline."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """How long each phase of a call may take, in seconds; None means no limit.

    Attributes:
        pool: Until a connection is free.
        connect: Until the connection is established, TLS handshake included.
        first_byte: From the end of the request until the whole head of the response has arrived, even if
            it arrives in small pieces; also for each write of the request.
        idle: Between two reads of the response's body, whatever they contain (comments count).
        progress: Between two events of a stream (comments don't count). The time that the caller spends
            on a chunk isn't counted.
        total: The whole call, including retries and the caller's own time. Exact in the async driver.
            The sync driver applies it to every read and write, but can't interrupt a DNS lookup; and
            waiting for a connection and making it may each take all the time that was left.

    A user's client whose transport isn't httpcore's applies them as far as it obeys httpx's own limits for
    each read.

    Raises:
        ConfigurationError: A limit is not a number above zero, or above `LONGEST`, which is 24 days.
    """

    pool: float | None = 10.0
    connect: float | None = 5.0
    first_byte: float | None = 120.0
    idle: float | None = 60.0
    progress: float | None = 300.0
    total: float | None = 600.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value: Any = getattr(self, name)
            if value is not None and not _is_valid_limit(value):
                raise ConfigurationError.wrong(f"timeout.{name}", _LIMIT, value, hint="None means no limit")

    @classmethod
    def of(cls, timeout: Timeouts | float | None) -> Timeouts:
        """Return the timeouts for a user's argument; a number sets pool, first_byte and idle.

        Raises:
            ConfigurationError: It is neither a number above zero nor a `Timeouts`.
        """
        if timeout is None:
            return cls()
        if isinstance(timeout, Timeouts):
            return timeout
        if not _is_valid_limit(timeout):
            hint = "Timeouts(idle=None, ...) takes single limits away"
            raise ConfigurationError.wrong("timeout", f"{_LIMIT}, or a Timeouts", timeout, hint=hint)
        return cls(pool=timeout, first_byte=timeout, idle=timeout)


class Deadlines:
    """The state of one call: its attempts so far, and the limits that apply now.

    Attributes:
        attempts: Requests begun, including the current one.
        answered: Whether the current attempt has received the head of a response.
        idle: Seconds that a read of the body may take by the idle limit; may be infinite.
        delivered: Whether the caller has received any part of the response; if so, nothing is retried.
        streaming: Whether events are expected.
        reused: Whether the current attempt uses a connection that has served an earlier request.
        connecting: Whether the current attempt is asking a proxy for a connection.
        bytes_received: Whether the current attempt has received a byte of a response.
    """

    __slots__ = (
        "_deadline",
        "_has_progressed",
        "_has_reconnected",
        "_idle_until",
        "_phase_until",
        "_policy",
        "_progress",
        "_timeouts",
        "answered",
        "attempts",
        "bytes_received",
        "connecting",
        "delivered",
        "idle",
        "reused",
        "streaming",
    )

    def __init__(self, timeouts: Timeouts, policy: RetryPolicy, *, streaming: bool) -> None:
        """Prepare a call; `start` begins it.

        Args:
            timeouts: The limits.
            policy: Decides about retries.
            streaming: Whether events are expected, so that the progress limit applies.
        """
        self._timeouts = timeouts
        self._policy = policy
        self.streaming = streaming
        self.idle = inf if timeouts.idle is None else timeouts.idle
        self._progress = timeouts.progress if streaming and timeouts.progress is not None else inf
        self._deadline = self._idle_until = self._phase_until = inf
        self._has_progressed = True
        self._has_reconnected = False
        self.attempts = 0
        self.answered = self.delivered = self.reused = self.connecting = self.bytes_received = False

    def start(self, now: float) -> None:
        """Start the clock of the whole call."""
        total = self._timeouts.total
        self._deadline = inf if total is None else now + total

    def remaining(self, now: float) -> float | None:
        """Return the seconds until the total limit passes, at least 0; None without a total limit."""
        return None if self._deadline == inf else max(self._deadline - now, 0.0)

    def check_total(self, now: float) -> None:
        """Raise a `CallTimeoutError` if the time of the whole call is over."""
        if now >= self._deadline:
            raise self.timeout_error("total", now)

    def begin(self, now: float) -> dict[str, float | None]:
        """Begin the next attempt.

        Returns:
            The limits of its first phases, under httpx's names: pool, connect, write, read.

        Raises:
            CallTimeoutError: The total limit has passed.
        """
        self.check_total(now)
        self.attempts += 1
        self.answered = self.reused = self.connecting = self.bytes_received = False
        self._phase_until = inf
        left = self._deadline - now
        limits = self._timeouts
        first_byte = _minimum(limits.first_byte, left)
        return {
            "pool": _minimum(limits.pool, left),
            "connect": _minimum(limits.connect, left),
            "write": first_byte,
            "read": first_byte,
        }

    def on_connect_proxy(self, now: float) -> None:
        """Note that a proxy is asked for a connection; this is part of the connect phase."""
        self.connecting = True
        self._limit_phase(self._timeouts.connect, now)

    def on_connected(self) -> None:
        """Note that the connection is established and the request is being sent."""
        self.connecting = False
        self._phase_until = inf

    def on_request_sent(self, now: float) -> None:
        """Note that the whole request has been sent."""
        self._limit_phase(self._timeouts.first_byte, now)

    def _limit_phase(self, seconds: float | None, now: float) -> None:
        self._phase_until = inf if seconds is None else now + seconds

    def on_bytes(self) -> None:
        """Note that bytes have arrived; those of a proxy's own reply aren't part of the response."""
        self.bytes_received = not self.connecting

    def on_head(self) -> None:
        """Note that the head of the response has arrived."""
        self.answered = True
        self._phase_until = inf
        self._has_progressed = True

    def io_limit(self, now: float) -> float:
        """Begin a read or write of the socket; a read of the body (`read_limit`) may take several of them.

        Returns:
            Seconds it may take by the limits that span several reads; 0 or less when one has passed, and
            infinite when there are none.
        """
        self._idle_until = now + self.idle
        return min(self._deadline, self._phase_until) - now

    def read_limit(self, now: float) -> float:
        """Begin a read of the body.

        Returns:
            Seconds it may take: `idle` if that limit passes first, else less.

        Raises:
            CallTimeoutError: A limit has already passed.
        """
        self._idle_until = now + self.idle
        if self._has_progressed:
            self._phase_until = now + self._progress
            self._has_progressed = False
        until = min(self._deadline, self._phase_until)
        if now >= until:
            raise self.timeout_error("idle", now)
        return self.idle if self._idle_until <= until else until - now

    def on_progress(self) -> None:
        """Note that a read completed an event, or returned a part of a whole response."""
        self._has_progressed = True

    def timeout_error(self, phase: str, now: float) -> CallTimeoutError:
        """Return the error for a wait that has timed out.

        Args:
            phase: The phase of the wait. In the body, ``idle``: which of its limits passed is found out here.
            now: The clock's reading.
        """
        if phase == "idle":
            # name the limit that passed first
            _, phase = min(
                (self._idle_until, "idle"), (self._phase_until, "progress"), (self._deadline, "total")
            )
        elif now + _TICK >= self._deadline:
            phase = "total"
        seconds = getattr(self._timeouts, phase)
        return CallTimeoutError(phase, seconds or 0.0, hint=_HINTS.get(phase))

    def retry_delay(self, error: ModelsError, now: float, chance: float) -> float | None:
        """Decide about a retry after the current attempt has failed.

        Returns:
            Seconds to wait before the next attempt; None if the error is final.
        """
        if self.delivered:
            return None
        if self._is_stale_connection(error):
            self._has_reconnected = True
            return 0.0
        wait = self._policy.delay(self.attempts - 1, error, chance)
        return None if wait is None or now + wait >= self._deadline else wait

    def _is_stale_connection(self, error: ModelsError) -> bool:
        """Return whether the server closed a reused connection before it responded.

        It closed the idle connection just as it was used again, so a retry needn't wait
        (connection-idle-close).
        """
        return (
            isinstance(error, ConnectionLostError)
            and not error.answered
            and self.reused
            and not self._has_reconnected
            and self.attempts <= self._policy.max_retries
        )


_HINTS = {
    "pool": "all connections are busy: httpx.Limits may allow more, Timeouts(pool=...) wait longer",
    "connect": "the host is not reached, or very slow to answer; Timeouts(connect=...) may be larger",
    "first_byte": "a model that thinks long before it answers needs a larger Timeouts(first_byte=...)",
    "idle": "a model that pauses longer needs a larger Timeouts(idle=...)",
    "progress": "only comments came; a larger Timeouts(progress=...) waits longer for an event",
    "total": "a longer answer needs a larger Timeouts(total=...)",
}


_LIMIT = f"a number of seconds above zero, at most {LONGEST:.0f}"


def _is_valid_limit(value: object) -> bool:
    # compared and not converted, because an int may be too large for a float
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LONGEST


def _minimum(limit: float | None, left: float) -> float | None:
    seconds = left if limit is None else min(limit, left)
    return None if seconds == inf else seconds

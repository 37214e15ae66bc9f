"""One call as a small state machine: attempts, waits and deadlines. Pure: clock and chance are arguments.

Both rims drive the same machine. They tell it what happened (`start`, `begin`, `head`, `moved`, `failed`)
and it answers how long they may wait; it never waits itself. ``now`` is a monotonic clock's reading in
seconds and has no meaning of its own; ``chance`` is a number in [0, 1).

The phases of a call, each with a limit of its own (see `Timeouts`)::

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
"""Timers round to a scheduler's tick: a wait cut off this little before a deadline was cut off by it."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """How long each phase of a call may take, in seconds; None means no limit.

    Attributes:
        pool: Until a connection is free.
        connect: Until the connection stands, TLS handshake included.
        first_byte: From when the request is sent until the whole head of the answer is there, however
            it drips; before that, for each write of the request.
        idle: Between two reads of the answer's body, whatever they bring (comments count).
        progress: Between two events of a stream (comments don't count); the time in which the caller
            is busy with a chunk isn't counted.
        total: The whole call, its retries and the caller's own time included. Exact in the async
            driver; the sync driver keeps to it in every read and write, but a look-up of a name can't
            be cut off, and waiting for a connection and making it may each take what was left before.

    A client of the user's with a transport that isn't httpcore's keeps them as far as it obeys httpx's own
    limits for each read.

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
            if value is not None and not _is_limit(value):
                raise ConfigurationError.wrong(f"timeout.{name}", _LIMIT, value, hint="None means no limit")

    @classmethod
    def of(cls, timeout: Timeouts | float | None) -> Timeouts:
        """Timeouts from what a user may give: a number sets pool, first_byte and idle.

        Raises:
            ConfigurationError: It is neither a number above zero nor a `Timeouts`.
        """
        if timeout is None:
            return cls()
        if isinstance(timeout, Timeouts):
            return timeout
        if not _is_limit(timeout):
            hint = "Timeouts(idle=None, ...) takes single limits away"
            raise ConfigurationError.wrong("timeout", f"{_LIMIT}, or a Timeouts", timeout, hint=hint)
        return cls(pool=timeout, first_byte=timeout, idle=timeout)


class Deadlines:
    """What one call has done, and what it may still do.

    Attributes:
        attempts: Requests begun, the running one included.
        answered: Whether the running attempt has had the head of an answer.
        idle: Seconds that a read of the body may take, by its own limit; maybe infinite.
        delivered: Whether the caller has been given any of the answer; from then on nothing is repeated.
        streaming: Whether events are expected.
        reused: Whether the running attempt went out on a connection that had served before.
        connecting: Whether the running attempt is talking to a proxy about a connection.
        bytes_received: Whether the running attempt has had a byte of an answer.
    """

    __slots__ = (
        "_deadline",
        "_idle_until",
        "_moved",
        "_phase_until",
        "_policy",
        "_progress",
        "_renewed",
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
        """A call that hasn't begun; `start` it.

        Args:
            timeouts: The limits.
            policy: Decides over retries.
            streaming: Whether events are expected, so that the progress limit applies.
        """
        self._timeouts = timeouts
        self._policy = policy
        self.streaming = streaming
        self.idle = inf if timeouts.idle is None else timeouts.idle
        self._progress = timeouts.progress if streaming and timeouts.progress is not None else inf
        self._deadline = self._idle_until = self._phase_until = inf
        self._moved = True
        self._renewed = False
        self.attempts = 0
        self.answered = self.delivered = self.reused = self.connecting = self.bytes_received = False

    def start(self, now: float) -> None:
        """The clock of the whole call begins to run."""
        total = self._timeouts.total
        self._deadline = inf if total is None else now + total

    def remaining(self, now: float) -> float | None:
        """Seconds until the whole call is over, at least 0; None without such a limit."""
        return None if self._deadline == inf else max(self._deadline - now, 0.0)

    def check_total(self, now: float) -> None:
        """Raise a `CallTimeoutError` if the time of the whole call is over."""
        if now >= self._deadline:
            raise self.timeout_error("total", now)

    def begin(self, now: float) -> dict[str, float | None]:
        """The next attempt begins.

        Returns:
            How long its first phases may take, under httpx's names: pool, connect, write, read.

        Raises:
            CallTimeoutError: The call's time is over.
        """
        self.check_total(now)
        self.attempts += 1
        self.answered = self.reused = self.connecting = self.bytes_received = False
        self._phase_until = inf
        left = self._deadline - now
        limits = self._timeouts
        answer = _least(limits.first_byte, left)
        return {
            "pool": _least(limits.pool, left),
            "connect": _least(limits.connect, left),
            "write": answer,
            "read": answer,
        }

    def on_connect_proxy(self, now: float) -> None:
        """A proxy is asked for a connection, which is a part of connecting."""
        self.connecting = True
        self._limit(self._timeouts.connect, now)

    def on_connected(self) -> None:
        """The connection stands, the request goes out."""
        self.connecting = False
        self._phase_until = inf

    def on_request_sent(self, now: float) -> None:
        """The request is sent."""
        self._limit(self._timeouts.first_byte, now)

    def _limit(self, seconds: float | None, now: float) -> None:
        self._phase_until = inf if seconds is None else now + seconds

    def on_bytes(self) -> None:
        """Bytes have come."""
        self.bytes_received = not self.connecting

    def on_head(self) -> None:
        """The answer's head has come."""
        self.answered = True
        self._phase_until = inf
        self._moved = True

    def io_limit(self, now: float) -> float:
        """A read or write of the connection itself begins; several may make up what `wait` is asked for.

        Returns:
            Seconds it may take by the limits that aren't each read's own: 0 or less when one has passed,
            maybe infinite.
        """
        self._idle_until = now + self.idle
        return min(self._deadline, self._phase_until) - now

    def read_limit(self, now: float) -> float:
        """A read of the body begins.

        Returns:
            Seconds it may take: `idle` itself, when that is the limit that passes first, else less.

        Raises:
            CallTimeoutError: A limit has already passed.
        """
        self._idle_until = now + self.idle
        if self._moved:
            self._phase_until = now + self._progress
            self._moved = False
        until = min(self._deadline, self._phase_until)
        if now >= until:
            raise self.timeout_error("idle", now)
        return self.idle if self._idle_until <= until else until - now

    def on_progress(self) -> None:
        """The read brought an event, or a part of a whole answer."""
        self._moved = True

    def timeout_error(self, phase: str, now: float) -> CallTimeoutError:
        """The error for a wait that was cut off.

        Args:
            phase: What was waited for. In the body, ``idle``: which of its limits passed is known here.
            now: The clock.
        """
        if phase == "idle":
            # which limit of the body passed first
            _, phase = min(
                (self._idle_until, "idle"), (self._phase_until, "progress"), (self._deadline, "total")
            )
        elif now + _TICK >= self._deadline:
            phase = "total"
        seconds = getattr(self._timeouts, phase)
        return CallTimeoutError(phase, seconds or 0.0, hint=_HINTS.get(phase))

    def retry_delay(self, error: ModelsError, now: float, chance: float) -> float | None:
        """The running attempt has failed.

        Returns:
            Seconds to wait before the next one; None when there is none and the error stands.
        """
        if self.delivered:
            return None
        if self._stale(error):
            self._renewed = True
            return 0.0
        wait = self._policy.delay(self.attempts - 1, error, chance)
        return None if wait is None or now + wait >= self._deadline else wait

    def _stale(self, error: ModelsError) -> bool:
        """Whether the server closed a kept connection just as it was used again: no reason to wait."""
        return (
            isinstance(error, ConnectionLostError)
            and not error.answered
            and self.reused
            and not self._renewed
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


def _is_limit(value: object) -> bool:
    # compared, not converted: an int may be too large for a float
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LONGEST


def _least(limit: float | None, left: float) -> float | None:
    least = left if limit is None else min(limit, left)
    return None if least == inf else least

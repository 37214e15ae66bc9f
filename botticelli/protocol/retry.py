"""Decide whether a failed call is retried, and after how long. Pure: no clock and no random numbers.

The caller passes a random number and does the waiting. Invariants, each tested by a property in
`tests/property`: a call isn't retried once any of its response was delivered or may have been billed, no
retry is earlier than the server asked for, and no wait is longer than the policy's limits.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from botticelli.core.errors import (
    ApiError,
    CallTimeoutError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    CreditsExhaustedError,
    ServerError,
)

if TYPE_CHECKING:
    from botticelli.core.errors import ModelsError

__all__ = ["LONGEST", "RetryPolicy", "check_number"]

_RETRYABLE_STATUSES: Final = frozenset({408, 409, 429, *range(500, 600)})
_PHASES_BEFORE_SENDING: Final = frozenset({"pool", "connect"})
"""The phases before the request is sent; a timeout after that may follow a response that is billed."""

LONGEST: Final = 2_147_483.0
"""The longest wait in seconds, some 24 days. poll(2) counts milliseconds in 31 bits, and CPython raises an
OverflowError for more (`sock_settimeout` in its socketmodule.c)."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a failed call is retried, and how long to wait before each retry.

    Attributes:
        max_retries: Requests after the first one; 0 for none.
        initial: Seconds before the first retry if the server named no time; doubled for each further one.
        maximum: Seconds at which the doubling stops.
        jitter: The largest part of a wait that is randomly taken off, from 0 to 1.
        max_retry_after: Seconds; if the server asks for a longer wait, there is no retry. May be infinite,
            which means `LONGEST`.

    Raises:
        ConfigurationError: A number has the wrong type or is out of its range.
    """

    max_retries: int = 2
    initial: float = 0.5
    maximum: float = 8.0
    jitter: float = 0.25
    max_retry_after: float = 60.0

    def __post_init__(self) -> None:
        if type(self.max_retries) is not int or self.max_retries < 0:
            raise ConfigurationError.wrong("max_retries", "a whole number, 0 or more", self.max_retries)
        check_number("initial", self.initial)
        check_number("maximum", self.maximum)
        check_number("jitter", self.jitter, most=1)
        check_number("max_retry_after", self.max_retry_after, most=math.inf)

    def delay(self, attempt: int, error: ModelsError, chance: float) -> float | None:
        """Return how long to wait before the next request of this call.

        The server's ``Retry-After`` replaces the policy's own wait, except ``0``: that names no time, and
        if all clients came back at once they would overload the server again. OpenAI's own client does the
        same (``0 < retry_after`` in `_calculate_retry_timeout`).

        Args:
            attempt: The number of retries so far; 0 for the first one.
            error: The error of the last request.
            chance: A random number from 0 to (not including) 1.

        Returns:
            Seconds, or None if the error is final.
        """
        if attempt >= self.max_retries or not _is_retryable(error):
            return None
        retry_after = error.retry_after  # 0 counts as none (retry-after-zero)
        if retry_after is not None and retry_after > 0:
            return retry_after if retry_after <= min(self.max_retry_after, LONGEST) else None
        # 2.0 ** 1024 overflows, so the exponent is capped
        wait = min(self.initial * 2.0 ** min(attempt, 1023), self.maximum, LONGEST)
        return wait * (1 - self.jitter * chance)


def check_number(setting: str, value: object, *, most: float = sys.float_info.max) -> None:
    """Check that a setting is a number from 0 to `most`, and not NaN.

    Raises:
        ConfigurationError: It isn't.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        wanted = f"a number of 0 or more{', at most 1' if most == 1 else ''}"
        raise ConfigurationError.wrong(setting, wanted, value)


def _is_retryable(error: ModelsError) -> bool:
    if error.partial is not None and error.partial.choices:
        return False
    match error:
        case ConnectError():
            return not error.lasting
        case CallTimeoutError():
            return error.phase in _PHASES_BEFORE_SENDING
        case ConnectionLostError():
            return not error.answered  # the answer is billed (retry-never-after-head)
        case CreditsExhaustedError():
            return False
        case ApiError():
            # a rule may map another status to a server error: Groq's 498, which says that a tier is full
            passing = error.status in _RETRYABLE_STATUSES or isinstance(error, ServerError)
            return passing if error.should_retry is None else error.should_retry
        case _:
            return False

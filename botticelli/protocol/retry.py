"""Whether a failed call is tried again, and after how long: a pure decision, without clock or chance.

The caller brings the chance and does the waiting. Laws, each held by a property in `tests/property`:
nothing that was delivered is asked for twice, what may have been billed isn't either, a server is never
called earlier than it asked, and no wait is longer than the policy's limits.
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

_STATUSES: Final = frozenset({408, 409, 429, *range(500, 600)})
_PHASES: Final = frozenset({"pool", "connect"})
"""Timeouts before the request was sent; after that the answer may already have been billed."""

LONGEST: Final = 2_147_483.0
"""Seconds that anything may be waited for, some 24 days: poll(2) counts milliseconds in 31 bits, and
CPython raises an OverflowError for more (`sock_settimeout` in its socketmodule.c)."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently to try again.

    Attributes:
        max_retries: Requests after the first one; 0 for none.
        initial: Seconds before the first retry, when the server didn't say; doubled for each further one.
        maximum: Seconds that the doubling ends at.
        jitter: The part of a wait that chance may take off, from 0 to 1.
        max_retry_after: Seconds; a server that asks for more gets no retry. May be infinite, which
            comes to `LONGEST`.

    Raises:
        ConfigurationError: If a number is of the wrong type or out of its range.
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
        """How long to wait before the next request of this call.

        A server's ``Retry-After`` takes the place of the policy's own wait, but for ``0``: it names no time,
        and a client that comes back at once, and all the others with it, is what the server was busy with.
        OpenAI's own client reads it so too (``0 < retry_after``, `_calculate_retry_timeout`).

        Args:
            attempt: How many retries were made already: 0 for the first one.
            error: What the last request came to.
            chance: From 0 to (not including) 1, drawn by the caller.

        Returns:
            Seconds, or None when the error stands.
        """
        if attempt >= self.max_retries or not _worth_retrying(error):
            return None
        asked = error.retry_after
        if asked is not None and asked > 0:
            return asked if asked <= min(self.max_retry_after, LONGEST) else None
        # 2.0 ** 1024 overflows; long before that the maximum holds
        wait = min(self.initial * 2.0 ** min(attempt, 1023), self.maximum, LONGEST)
        return wait * (1 - self.jitter * chance)


def check_number(setting: str, value: object, *, most: float = sys.float_info.max) -> None:
    """Refuse what isn't a number from 0 to `most`; NaN is none.

    Raises:
        ConfigurationError: It is refused.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        wanted = f"a number of 0 or more{', at most 1' if most == 1 else ''}"
        raise ConfigurationError.wrong(setting, wanted, value)


def _worth_retrying(error: ModelsError) -> bool:
    if error.partial is not None and error.partial.choices:
        return False
    match error:
        case ConnectError():
            return not error.lasting
        case CallTimeoutError():
            return error.phase in _PHASES
        case ConnectionLostError():
            return not error.answered
        case CreditsExhaustedError():
            return False
        case ApiError():
            # a rule may say of another status that the server failed: Groq's 498, a full tier
            passing = error.status in _STATUSES or isinstance(error, ServerError)
            return passing if error.should_retry is None else error.should_retry
        case _:
            return False

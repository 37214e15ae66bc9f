"""Read an answer's headers: the request's id, rate limits, how long to wait.

No header is trusted to be well formed. All functions take the headers with lower-case names, the values of a
repeated header joined by ``, ``, and the time in Unix seconds. What can't be read is None; nothing raises.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from botticelli.core.response import RateLimit, RateLimits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "parse_duration",
    "read_inference_provider",
    "read_rate_limits",
    "read_request_id",
    "read_retry_after",
    "read_should_retry",
]

_REQUEST_IDS: Final = (
    # HuggingFace's own client looks for these three, in this order; OpenAI and Groq send the first
    "x-request-id",
    "x-amzn-trace-id",
    "inference-id",  # HuggingFace's router; the next one is only its content network's
    "x-amz-cf-id",
    "request-id",  # Anthropic
    "apim-request-id",  # Azure
)

_LIMIT_PREFIXES: Final[Mapping[str, str]] = {
    "x-ratelimit-": "requests",  # OpenAI, Groq and most others: figure first, "limit-requests"
    "anthropic-ratelimit-": "requests",  # figure last, "input-tokens-remaining"
    "ratelimit-": "requests",  # the three headers of early drafts of the IETF's standard; Kong's
    # Mistral's, source: recorded answers of api.mistral.ai
    "ratelimitbysize-": "tokens",
    "x-ratelimitbysize-": "tokens",
}
"""What the names begin with, and what is limited where the rest of a name doesn't say."""
_WINDOWS: Final = frozenset({"second", "minute", "hour", "day", "month"})
"""Kong's names have nothing but a window: ``x-ratelimit-remaining-minute``."""
_FIGURES: Final = frozenset({"limit", "remaining", "reset"})

_LONGEST: Final = 128
"""Characters of a value that can mean something; of longer ones only whole numbers are read."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_DURATION = re.compile(f"(?:{_DURATION_PART.pattern})+", re.ASCII)
_UNITS: Final[Mapping[str, float]] = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400,
}  # fmt: skip

_LEAP_SECOND = re.compile(r":60(?!:)")
_TWO_DIGIT_YEAR = re.compile(r"[- ][A-Za-z]{3}[- ]\d{2} ", re.ASCII)
_BETWEEN = re.compile(r"(?<!Mon|Tue|Wed|Thu|Fri|Sat|Sun|day),")
"""The commas between joined values, but not the one after the weekday of a date."""


def read_request_id(headers: Mapping[str, str]) -> str | None:
    """Return the server's id of the request, or None."""
    return next((value for name in _REQUEST_IDS if (value := headers.get(name, "").strip())), None)


def read_inference_provider(headers: Mapping[str, str], header: str | None) -> str | None:
    """Return which provider a router chose, or None.

    Args:
        headers: The answer's headers.
        header: The header in which the router names it, in lower case. None if the service isn't a
            router.
    """
    return (headers.get(header, "").strip() if header else "") or None


def read_should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return what ``x-should-retry`` says, or None where it says neither ``true`` nor ``false``."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def read_retry_after(headers: Mapping[str, str], now: float, *, limited: bool = True) -> float | None:
    """Return how long the server asks us to wait, in seconds.

    The first that can be read decides: ``retry-after-ms``; ``Retry-After`` (seconds, also with a fraction,
    or a date; of several values the longest); then, if `limited`, when the exhausted limits are reset, by
    ``RateLimit`` (``"api";r=0;t=55``), then by ``x-ratelimit-*`` and its like (see `_LIMIT_PREFIXES`).

    Args:
        headers: The answer's headers.
        now: When it came.
        limited: Whether an exhausted limit may be what the answer is about: true of a 429 only.

    Returns:
        0.0 invites to try again at once. None if the server doesn't ask, for a date that has passed (one of
        the clocks is wrong), and for anything unreadable. A number beyond floating point is the greatest
        float: too long for any policy, yet still a number to show.
    """
    # retry-after-ms-first: the clients of OpenAI and Azure go by the more precise one
    milliseconds = _longest(map(_number, _values(headers.get("retry-after-ms", ""))))
    if milliseconds is not None:
        return milliseconds / 1000
    # retry-after-twice: of several the longest, which risks least
    asked = _longest(_wait(value, now) for value in _values(headers.get("retry-after", "")))
    if asked is not None or not limited:
        return asked
    # retry-after-from-ratelimit
    for limits in (_standard(headers), _customary(headers, now)):
        wait = _longest(limit.reset for _, limit in limits if limit.remaining == 0)
        if wait:
            return wait
    return None


def read_rate_limits(headers: Mapping[str, str], now: float) -> RateLimits | None:
    """Return the rate limits; where there are several on one thing, the one with least left.

    Args:
        headers: The answer's headers; a plain dict is read fastest.
        now: When it came.

    Returns:
        None where no figure could be read. A negative one, and ``unlimited``, count as unread.
    """
    found = [*_standard(headers), *_customary(headers, now)]
    if not found:
        return None
    requests = _tightest(limit for resource, limit in found if resource == "requests")
    tokens = _tightest(limit for resource, limit in found if resource == "tokens")
    return RateLimits(requests=requests, tokens=tokens) if requests or tokens else None


def parse_duration(text: str) -> float | None:
    """Return the seconds of a Go duration such as ``6m0s``, ``2m59.56s`` or ``120ms``, or None."""
    if len(text) > _LONGEST or not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def _values(header: str) -> list[str]:
    return [value.strip() for value in _BETWEEN.split(header)]


def _longest(waits: Iterable[float | None]) -> float | None:
    """Return the longest of several waits: to come back too early would only cost another error."""
    return max((wait for wait in waits if wait is not None and wait >= 0), default=None)


def _tightest(limits: Iterable[RateLimit]) -> RateLimit | None:
    known = [limit for limit in limits if limit != RateLimit()]
    return min(
        known,
        key=lambda limit: (limit.remaining is None, limit.remaining or 0, -(limit.reset or 0)),
        default=None,
    )


def _standard(headers: Mapping[str, str]) -> Iterator[tuple[str, RateLimit]]:
    """Yield the limits in ``RateLimit`` and ``RateLimit-Policy``, as HuggingFace's Hub sends them.

    Source: draft-ietf-httpapi-ratelimit-headers; hub-docs, docs/hub/rate-limits.md.
    """
    header = headers.get("ratelimit")
    if header is None:
        return
    quotas = {
        name: members.get("q")
        for names, members in map(_item, headers.get("ratelimit-policy", "").split(","))
        for name in names
    }
    for names, members in map(_item, header.split(",")):
        limit = next((quotas[name] for name in names if name in quotas), None)
        yield (
            "requests",
            RateLimit(
                limit=_count(limit), remaining=_count(members.get("r")), reset=_not_negative(members.get("t"))
            ),
        )


def _item(text: str) -> tuple[list[str], dict[str, str]]:
    """Return the names and the parameters of an item of a structured field."""
    parts = [part.strip() for part in text.split(";")]
    members = [part.partition("=") for part in parts if "=" in part]
    return [part for part in parts if "=" not in part], {name: value for name, _, value in members}


def _customary(headers: Mapping[str, str], now: float) -> Iterator[tuple[str, RateLimit]]:
    """Yield the limits in headers with one of `_LIMIT_PREFIXES`.

    The rest of such a name has a figure and what it is of, in either order: ``limit-requests``,
    ``remaining-tokens-minute``, ``input-tokens-reset``.
    """
    figures: dict[tuple[str, str], dict[str, str]] = {}
    for name, value in headers.items():
        prefix = next((prefix for prefix in _LIMIT_PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            continue
        parts = name[len(prefix) :].split("-")
        figure = next((part for part in parts if part in _FIGURES), None)
        if figure is not None:
            parts.remove(figure)
            figures.setdefault((prefix, "-".join(parts)), {})[figure] = _values(value)[0]
    for (prefix, of), found in figures.items():
        yield (
            _resource(of, _LIMIT_PREFIXES[prefix]),
            RateLimit(
                limit=_count(found.get("limit")),
                remaining=_count(found.get("remaining")),
                reset=_reset(found.get("reset", ""), now),
            ),
        )


def _resource(of: str, otherwise: str) -> str:
    """Return ``requests``, ``tokens``, or nothing for a limit on something else.

    Args:
        of: What a name says of it, such as ``req-minute``.
        otherwise: What it is where the name says nothing, or only in what time.
    """
    parts = of.split("-")
    if not of or of in _WINDOWS:
        return otherwise
    if any(part.startswith("tok") for part in parts):
        return "tokens"
    return "requests" if parts[0].startswith("req") else ""


def _number(text: str) -> float | None:
    """Return a number, or None; ``nan`` and ``inf`` are none, and ``1e400`` becomes the greatest float."""
    if len(text) > _LONGEST:
        # retry-after-many-digits: to convert them all takes time, and any policy has given up long before
        if not (text.isascii() and text.isdecimal()):
            return None
        text = text.lstrip("0") or "0"
        return float(text) if len(text) <= _LONGEST else sys.float_info.max
    if not _NUMBER.fullmatch(text):
        return None
    return max(-sys.float_info.max, min(float(text), sys.float_info.max))


def _not_negative(text: str | None) -> float | None:
    number = None if text is None else _number(text)
    return number if number is not None and number >= 0 else None


def _count(text: str | None) -> int | None:
    number = _not_negative(text)
    return int(number) if number is not None and number < 2**53 else None


def _wait(text: str, now: float) -> float | None:
    """Return the seconds of a value of ``Retry-After``, or None."""
    number = _number(text)
    if number is not None:
        return number
    date = _http_date(text, now)
    # retry-after-date-past: one of the clocks is wrong, so the date says nothing
    return date - now if date is not None and date > now else None


def _reset(text: str, now: float) -> float | None:
    """Return the seconds until a limit is reset, from any of the notations in use, or None."""
    number = _number(text)
    if number is None:
        lasting = parse_duration(text)
        if lasting is not None:
            return lasting
        date = _iso_date(text)
        date = _http_date(text, now) if date is None else date
        return None if date is None else max(date - now, 0.0)
    if number < 0:
        return None
    if number < 1e9:
        return number
    # headers-rate-limits-other-resets: seconds since 1970, or milliseconds; 1e11 seconds are the year 5138
    return max((number if number < 1e11 else number / 1000) - now, 0.0)


def _http_date(text: str, now: float) -> float | None:
    """Return an HTTP date in Unix seconds, or None; reads more than the three forms of RFC 9110, 5.6.7."""
    if len(text) > _LONGEST:
        return None
    try:
        # 60 is a leap second, which datetime doesn't know
        date = parsedate_to_datetime(_LEAP_SECOND.sub(":59", text))
        if _TWO_DIGIT_YEAR.search(text):
            # RFC 9110, 5.6.7: one that seems more than 50 years ahead is the last year with these digits
            latest = datetime.fromtimestamp(now, UTC).year + 50
            date = date.replace(year=latest - (latest - date.year) % 100)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None and text[-1:].isalpha():
        return None  # a time zone that nobody knows; HTTP dates are in GMT
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _iso_date(text: str) -> float | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()

"""What an answer's headers tell: ids, limits, waiting times. No header is trusted to be well-formed.

All functions take the headers with lower-case names, the values of a repeated header joined by ``, ``, and
the time as Unix seconds. Whatever can't be read is None; nothing here raises.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from botticelli.core.response import RateLimit, RateLimits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["duration", "inference_provider", "rate_limits", "request_id", "retry_after", "should_retry"]

_REQUEST_IDS: Final = ("x-request-id", "x-amzn-trace-id", "x-amz-cf-id")
"""In the order in which HuggingFace's own client looks for them."""

_LONGEST: Final = 128
"""Characters of a value that can mean something; longer ones aren't read."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_DURATION = re.compile(f"(?:{_DURATION_PART.pattern})+", re.ASCII)
_UNITS: Final[Mapping[str, float]] = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400,
}  # fmt: skip

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# RFC 9110, 5.6.7: the one form to send and the two to understand
_DATE = re.compile(
    r"(?:[A-Za-z]{3,9}, *)?(?P<day>\d{1,2})[ -](?P<month>[A-Za-z]{3})[ -](?P<year>\d{4}|\d{2})"
    r" +(?P<time>\d{2}:\d{2}:\d{2})(?: +(?:GMT|UTC|[+-]0000))?",
    re.ASCII,
)
_ASCTIME = re.compile(
    r"[A-Za-z]{3} +(?P<month>[A-Za-z]{3}) +(?P<day>\d{1,2}) +(?P<time>\d{2}:\d{2}:\d{2}) +(?P<year>\d{4})",
    re.ASCII,
)
_BETWEEN = re.compile(r"(?<!Mon|Tue|Wed|Thu|Fri|Sat|Sun|day),")
"""The commas between joined values, not the one behind the weekday of a date."""


def request_id(headers: Mapping[str, str]) -> str | None:
    """The server's id of the request, or None."""
    return next((value for name in _REQUEST_IDS if (value := headers.get(name, "").strip())), None)


def inference_provider(headers: Mapping[str, str]) -> str | None:
    """Return the service that a router chose to answer, or None where no header names it."""
    return headers.get("x-inference-provider", "").strip() or None


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """What ``x-should-retry`` says, or None where it says neither ``true`` nor ``false``."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def retry_after(headers: Mapping[str, str], now: float, *, limited: bool = True) -> float | None:
    """How long the server wants us to wait.

    The first that can be read decides: ``retry-after-ms``, ``Retry-After`` (seconds, also with a fraction,
    or a date; of several values the longest), then, if `limited`, the resets of the exhausted limits in
    ``RateLimit`` (``"api";r=0;t=55``) and in ``x-ratelimit-*``.

    Args:
        headers: The answer's headers.
        now: When it came.
        limited: Whether an exhausted limit may be what the answer is about: true of a 429 only.

    Returns:
        Seconds; 0.0 is an invitation to come back at once. None for no word of it, for a date that has
        passed (one of the clocks is wrong), and for anything unreadable. A number beyond floating point is
        the greatest float: too long for any policy, yet still a number to show.
    """
    milliseconds = _longest(map(_number, _values(headers.get("retry-after-ms", ""))))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = _longest(_wait(value, now) for value in _values(headers.get("retry-after", "")))
    if asked is not None or not limited:
        return asked
    for limits in (_standard(headers), _customary(headers, now)):
        wait = _longest(limit.reset for _, limit in limits if limit.remaining == 0)
        if wait:
            return wait
    return None


def rate_limits(headers: Mapping[str, str], now: float) -> RateLimits | None:
    """The limits that the headers tell; where there are several on one thing, the one with least left.

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


def duration(text: str) -> float | None:
    """Seconds from a Go duration such as ``6m0s``, ``2m59.56s`` or ``120ms``, or None."""
    if len(text) > _LONGEST or not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def _values(header: str) -> list[str]:
    return [value.strip() for value in _BETWEEN.split(header)]


def _longest(waits: Iterable[float | None]) -> float | None:
    """To come back too early costs another refusal, so of several answers the longest holds."""
    return max((wait for wait in waits if wait is not None and wait >= 0), default=None)


def _tightest(limits: Iterable[RateLimit]) -> RateLimit | None:
    known = [limit for limit in limits if limit != RateLimit()]
    return min(
        known,
        key=lambda limit: (limit.remaining is None, limit.remaining or 0, -(limit.reset or 0)),
        default=None,
    )


def _standard(headers: Mapping[str, str]) -> Iterator[tuple[str, RateLimit]]:
    """The limits in ``RateLimit`` and ``RateLimit-Policy``, as HuggingFace's Hub sends them.

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
    """An item of a structured field: its names, and its parameters."""
    parts = [part.strip() for part in text.split(";")]
    members = [part.partition("=") for part in parts if "=" in part]
    return [part for part in parts if "=" not in part], {name: value for name, _, value in members}


def _customary(headers: Mapping[str, str], now: float) -> Iterator[tuple[str, RateLimit]]:
    """The limits in ``x-ratelimit-{limit,remaining,reset}[-{requests,tokens}[-{minute,day,...}]]``."""
    figures: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        if name.startswith("x-ratelimit-"):
            figure, _, of = name[len("x-ratelimit-") :].partition("-")
            figures.setdefault(of, {})[figure] = _values(value)[0]
    for of, told in figures.items():
        resource = "tokens" if of.startswith("tok") else "requests" if not of or of.startswith("req") else ""
        yield (
            resource,
            RateLimit(
                limit=_count(told.get("limit")),
                remaining=_count(told.get("remaining")),
                reset=_reset(told.get("reset", ""), now),
            ),
        )


def _number(text: str) -> float | None:
    """The number that stands there; neither ``nan`` nor ``inf`` is one, and ``1e400`` is the greatest."""
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    return max(-sys.float_info.max, min(float(text), sys.float_info.max))


def _not_negative(text: str | None) -> float | None:
    number = None if text is None else _number(text)
    return number if number is not None and number >= 0 else None


def _count(text: str | None) -> int | None:
    number = _not_negative(text)
    return int(number) if number is not None and number < 2**53 else None


def _wait(text: str, now: float) -> float | None:
    """Seconds from a value of ``Retry-After``."""
    number = _number(text)
    if number is not None:
        return number
    date = _http_date(text)
    return date - now if date is not None and date > now else None


def _reset(text: str, now: float) -> float | None:
    """Seconds until a limit's window begins anew, from any of the spellings in use."""
    number = _number(text)
    if number is None:
        lasting = duration(text)
        if lasting is not None:
            return lasting
        date = _iso_date(text)
        date = _http_date(text) if date is None else date
        return None if date is None else max(date - now, 0.0)
    if number < 0:
        return None
    if number < 1e9:
        return number
    # seconds since 1970, or milliseconds: 1e11 seconds are the year 5138
    return max((number if number < 1e11 else number / 1000) - now, 0.0)


def _http_date(text: str) -> float | None:
    if len(text) > _LONGEST:
        return None
    found = _DATE.fullmatch(text) or _ASCTIME.fullmatch(text)
    if found is None or found["month"].lower() not in _MONTHS:
        return None
    year = int(found["year"])
    if year < 100:
        year += 2000 if year < 70 else 1900
    hour, minute, second = map(int, found["time"].split(":"))
    month = _MONTHS.index(found["month"].lower()) + 1
    try:
        # 60 is a leap second, which datetime doesn't know
        return datetime(year, month, int(found["day"]), hour, minute, min(second, 59), tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _iso_date(text: str) -> float | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()

"""Response headers: ids, rate limits, waits."""

from __future__ import annotations

import sys

import pytest

from botticelli.core.response import RateLimit, RateLimits
from botticelli.protocol.response_headers import (
    parse_duration,
    read_inference_provider,
    read_rate_limits,
    read_request_id,
    read_retry_after,
    read_should_retry,
)

NOW = 1_445_412_470.0  # ten seconds before the date that RFC 9110 would give as an example
SOON = "Wed, 21 Oct 2015 07:28:00 GMT"
GREATEST = sys.float_info.max


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"x-request-id": "a", "x-amzn-trace-id": "b"}, "a"),
        ({"x-request-id": " ", "x-amzn-trace-id": " b ", "x-amz-cf-id": "c"}, "b"),
        ({"x-amz-cf-id": "c"}, "c"),
        ({"x-amz-cf-id": "c", "inference-id": "i"}, "i"),
        ({"x-amzn-trace-id": "b", "inference-id": "i"}, "b"),
        ({"cf-ray": "d"}, None),
    ],
)
def test_the_request_id(headers: dict[str, str], found: str | None) -> None:
    assert read_request_id(headers) == found


def test_the_provider() -> None:
    assert read_inference_provider({"x-inference-provider": " acme "}, "x-inference-provider") == "acme"
    assert read_inference_provider({"x-inference-provider": ""}, "x-inference-provider") is None
    assert read_inference_provider({}, "x-inference-provider") is None


@pytest.mark.parametrize(
    ("value", "found"), [("true", True), (" False ", False), ("1", None), ("", None), (None, None)]
)
def test_should_retry(value: str | None, found: bool | None) -> None:
    assert read_should_retry({} if value is None else {"x-should-retry": value}) is found


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1", 1.0),
        ("1.5", 1.5),
        (" 2 ", 2.0),
        ("+3", 3.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e1", 10.0),
        ("0", 0.0),
        ("-0", 0.0),
        ("86400", 86400.0),
        ("99999999999999999999", 1e20),
        ("1e400", GREATEST),
        ("-1e400", None),
        ("-3", None),
        ("soon", None),
        ("", None),
        ("NaN", None),
        ("inf", None),
        ("Infinity", None),
        ("1_000", None),
        ("0x10", None),
        ("１２", None),
        ("1 2", None),
        ("1, 5", 5.0),
        ("5,1", 5.0),
        ("-3, 2", 2.0),
        ("soon, 2", 2.0),
        (",", None),
        (SOON, 10.0),
        (SOON.replace("GMT", "UTC"), 10.0),
        (SOON.replace("GMT", "+0000"), 10.0),
        (SOON.replace("07:28:00", "07:28:60"), 69.0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 10.0),
        ("Wed Oct 21 07:28:00 2015", 10.0),
        ("Sun Nov  6 08:49:37 2095", 3_971_407_777 - NOW),
        (f"{SOON}, Wed, 21 Oct 2015 07:28:05 GMT", 15.0),
        (f"3, {SOON}", 10.0),
        ("Wed, 21 Oct 2015 07:27:50 GMT", None),
        ("Wed, 21 Oct 2015 07:27:49 GMT", None),
        ("Sunday, 06-Nov-94 08:49:37 GMT", None),
        # RFC 9110, 5.6.7: a year with two digits is at most 50 years ahead, here of 2015
        ("Friday, 06-Nov-65 08:49:37 GMT", 3_024_722_977 - NOW),
        ("Saturday, 06-Nov-66 08:49:37 GMT", None),
        ("Sunday, 06-Nov-69 08:49:37 GMT", None),
        (SOON.replace("21 Oct", "31 Feb"), None),
        (SOON.replace("Oct", "Okt"), None),
        (SOON.replace("2015", "0000"), None),
        (SOON.replace("07:", "25:"), None),
        (SOON.replace("GMT", "CET"), None),
        (f"{SOON} {'x' * 200}", None),
        ("1" + "0" * 127, 1e127),
        ("1" + "0" * 128, GREATEST),
        ("9" * 5000, GREATEST),
        ("0" * 5000 + "7", 7.0),
        ("0" * 5000, 0.0),
        ("-" + "9" * 200, None),
        ("9" * 200 + ".5", None),
        ("٣" * 200, None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert read_retry_after({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "9"}, 0.0),
        ({"retry-after-ms": "-1", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "100, 1500"}, 1.5),
        ({"retry-after": "1", "ratelimit": '"api";r=0;t=55'}, 1.0),
        ({"retry-after": "0", "ratelimit": '"api";r=0;t=55'}, 0.0),
        ({"retry-after": "soon", "ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"ratelimit": '"api";r=1;t=55'}, None),
        ({"ratelimit": '"api";t=55'}, None),
        ({"ratelimit": '"api";r=0'}, None),
        ({"ratelimit": '"api";r=0;t=0'}, None),
        ({"ratelimit": '"api";r=0;t=-5'}, None),
        ({"ratelimit": '"a";r=0;t=5, "b" ; r=0 ; t=7, "c";r=3;t=99'}, 7.0),
        ({"ratelimit": ";;=;r;t=x,,"}, None),
        (
            {
                "ratelimit": '"api";r=0;t=55',
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
            },
            55.0,
        ),
        (
            {
                "ratelimit": '"api";r=9;t=55',
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
            },
            2.0,
        ),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "2s"}, None),
        ({"x-ratelimit-reset-requests": "2s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "0s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-tokens": "2s"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            360.0,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 30)}, 30.0),
        ({"x-ratelimit-remaining-images": "0", "x-ratelimit-reset-images": "4"}, 4.0),
        # HuggingFace's router, behind Kong
        (
            {
                "ratelimit-limit": "400",
                "ratelimit-remaining": "0",
                "ratelimit-reset": "19",
                "x-ratelimit-limit-minute": "400",
                "x-ratelimit-remaining-minute": "0",
            },
            19.0,
        ),
        ({"x-ratelimit-remaining-minute": "0"}, None),
        ({"ratelimitbysize-remaining": "0", "ratelimitbysize-reset": "34"}, 34.0),
    ],
)
def test_the_order_of_precedence(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers, NOW) == seconds


def test_exhausted_limits_can_be_left_aside() -> None:
    headers = {"ratelimit": '"api";r=0;t=55'}
    assert read_retry_after(headers, NOW, limited=False) is None
    assert read_retry_after({**headers, "retry-after": "4"}, NOW, limited=False) == 4


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400.0),
        ("7us", 7e-6),
        ("7µs", 7e-6),
        ("7μs", 7e-6),
        ("7ns", 7e-9),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("0s", 0.0),
        ("s", None),
        ("5", None),
        ("5 s", None),
        ("-5s", None),
        ("5s!", None),
        ("5m3", None),
        ("", None),
        ("٣s", None),
        ("1s" * 100, None),
    ],
)
def test_go_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("52ms", 0.052),
        ("60", 60.0),
        ("0.5", 0.5),
        ("0", 0.0),
        (str(int(NOW) + 7), 7.0),
        (str((int(NOW) + 7) * 1000), 7.0),
        (str(int(NOW) - 7), 0.0),
        ("999999999", 999999999.0),
        ("99999999999", 99_999_999_999 - NOW),
        ("100000000000", 0.0),
        ("2015-10-21T07:28:00Z", 10.0),
        ("2015-10-21T09:28:00+02:00", 10.0),
        ("2015-10-21T07:28:00.500", 10.5),
        ("2015-10-21T07:27:00Z", 0.0),
        (SOON, 10.0),
        ("1970-01-01T00:00:00Z", 0.0),
        ("-1", None),
        ("never", None),
        ("", None),
        ("2015-13-01", None),
        ("6s, 6s", 6.0),
    ],
)
def test_the_reset_of_a_limit(value: str, seconds: float | None) -> None:
    limits = read_rate_limits({"x-ratelimit-reset-tokens": value}, NOW)
    if seconds is None:
        assert limits is None
    else:
        assert limits is not None
        assert limits.tokens is not None
        assert limits.tokens.reset == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        ({}, None),
        ({"content-type": "text/plain"}, None),
        ({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-remaining-tokens": "unlimited"}, None),
        ({"x-ratelimit-limit-requests": ""}, None),
        ({"x-ratelimit-limit-requests": "1e300"}, None),
        ({"x-ratelimit-limit-images": "5"}, None),
        ({"x-ratelimit-remaining-requests": "499"}, RateLimits(requests=RateLimit(remaining=499))),
        ({"x-ratelimit-remaining-requests": "499, 499"}, RateLimits(requests=RateLimit(remaining=499))),
        (
            {"x-ratelimit-limit": "10", "x-ratelimit-limit-tokens": "2000.0"},
            RateLimits(requests=RateLimit(limit=10), tokens=RateLimit(limit=2000)),
        ),
        (
            {
                "x-ratelimit-remaining-requests-day": "900",
                "x-ratelimit-reset-requests-day": "4000",
                "x-ratelimit-remaining-req-minute": "3",
                "x-ratelimit-limit-req-minute": "30",
                "x-ratelimit-limit-requests-hour": "60",
            },
            RateLimits(requests=RateLimit(limit=30, remaining=3)),
        ),
        (
            {
                "x-ratelimit-remaining-tokens-day": "5",
                "x-ratelimit-reset-tokens-day": "4000",
                "x-ratelimit-remaining-tokens-minute": "5",
                "x-ratelimit-reset-tokens-minute": "40",
                "x-ratelimit-remaining-tokens-second": "5",
            },
            RateLimits(tokens=RateLimit(remaining=5, reset=4000.0)),
        ),
        (
            {"ratelimit": '"api";r=12;t=55', "ratelimit-policy": '"fixed window";"api";q=500;w=300'},
            RateLimits(requests=RateLimit(limit=500, remaining=12, reset=55.0)),
        ),
        (
            {"ratelimit": '"api";r=12', "ratelimit-policy": '"other";q=500'},
            RateLimits(requests=RateLimit(remaining=12)),
        ),
        (
            {
                "x-ratelimit-remaining-tokens-minute": "5",
                "x-ratelimit-reset-tokens-minute": "40",
                "x-ratelimit-remaining-tokens-day": "5",
                "x-ratelimit-reset-tokens-day": "4000",
            },
            RateLimits(tokens=RateLimit(remaining=5, reset=4000.0)),
        ),
        ({"ratelimit-limit": "9, 9;w=60"}, RateLimits(requests=RateLimit(limit=9))),
        (
            {"ratelimit-limit": "400", "ratelimit-remaining": "399", "ratelimit-reset": "19"},
            RateLimits(requests=RateLimit(limit=400, remaining=399, reset=19.0)),
        ),
        *(
            (
                {f"x-ratelimit-limit-{window}": "400", f"x-ratelimit-remaining-{window}": "399"},
                RateLimits(requests=RateLimit(limit=400, remaining=399)),
            )
            for window in ("second", "minute", "hour", "day", "month")
        ),
        ({"x-ratelimit-limit-fortnight": "400"}, None),
        (
            {
                "ratelimitbysize-limit": "500000",
                "ratelimitbysize-remaining": "499967",
                "ratelimitbysize-reset": "34",
                "ratelimitbysize-query-cost": "33",
            },
            RateLimits(tokens=RateLimit(limit=500000, remaining=499967, reset=34.0)),
        ),
        (
            {"x-ratelimitbysize-limit-minute": "500000", "x-ratelimitbysize-remaining-minute": "5"},
            RateLimits(tokens=RateLimit(limit=500000, remaining=5)),
        ),
        ({"x-ratelimit-limit": str(2**53 - 1)}, RateLimits(requests=RateLimit(limit=2**53 - 1))),
        ({"x-ratelimit-limit": str(2**53)}, None),
        ({"ratelimit": "nonsense"}, None),
    ],
)
def test_rate_limits(headers: dict[str, str], limits: RateLimits | None) -> None:
    assert read_rate_limits(headers, NOW) == limits


def test_the_limits_of_anthropic_name_the_figure_last() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2015-10-21T07:28:00Z",
        "anthropic-ratelimit-input-tokens-remaining": "7",
        "anthropic-ratelimit-output-tokens-remaining": "9",
        "anthropic-ratelimit-unified-reset": "5",
    }
    limits = RateLimits(requests=RateLimit(limit=50, remaining=49, reset=10.0), tokens=RateLimit(remaining=7))
    assert read_rate_limits(headers, NOW) == limits


def test_the_limits_of_the_early_drafts_are_read_apart_from_others() -> None:
    headers = {"ratelimit-limit": "9, 9;w=60", "ratelimit-remaining": "3", "x-ratelimit-remaining": "2"}
    assert read_rate_limits(headers, NOW) == RateLimits(requests=RateLimit(remaining=2))


def test_the_id_of_anthropic_and_azure() -> None:
    assert read_request_id({"request-id": "req_1", "apim-request-id": "b"}) == "req_1"
    assert read_request_id({"apim-request-id": "b"}) == "b"


def test_who_answered_is_in_the_header_that_the_router_has() -> None:
    headers = {"x-inference-provider": "groq", "x-router": " b "}
    assert read_inference_provider(headers, "x-inference-provider") == "groq"
    assert read_inference_provider(headers, "x-router") == "b"
    assert read_inference_provider(headers, "x-none") is None
    assert read_inference_provider(headers, None) is None

"""Laws of the mapping from an answer to an error, for any status, headers and bytes, and of its parts."""

from __future__ import annotations

import json
import math
import pickle
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from botticelli.core.errors import KINDS, ApiError, StreamError
from botticelli.protocol.error_body import MAX_MESSAGE
from botticelli.protocol.response_headers import parse_duration, read_rate_limits, read_retry_after
from botticelli.providers.huggingface import HUGGINGFACE_HINTS, HUGGINGFACE_RULES

from ..error_calls import error_from_response, error_in_success

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_700_000_000.0
BODIES: list[str] = [
    entry["body"]
    for section in ("errors", "embedded")
    for entry in json.loads((Path(__file__).parents[2] / "fixtures" / "errors.json").read_bytes())[section]
]
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
HUGGINGFACE: Any = {"error_rules": HUGGINGFACE_RULES, "hints": HUGGINGFACE_HINTS}
ours = settings(deadline=None)  # a deadline would judge the machine


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [
                "error", "errors", "detail", "message", "msg", "loc", "code", "type", "param", "status",
                "choices", "details", "@type", "retryDelay", "http_status_code", "reason", "title",
            ]
        )
        | st.text(max_size=3),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


def json_bytes(value: Any) -> bytes:
    """As careless servers write it: NaN, and halves of characters as escapes."""
    return json.dumps(value).encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real body, cut or with some of its bytes replaced."""
    body = bytearray(draw(st.sampled_from(BODIES)).encode())
    for _ in range(draw(st.integers(0, 3))):
        if body:
            at = draw(st.integers(0, len(body) - 1))
            body[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(body[: draw(st.integers(0, len(body)))] if draw(st.booleans()) else body)


bodies = st.one_of(
    st.binary(),
    st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
    json_values.map(json_bytes),
    damaged(),
    st.tuples(st.sampled_from([b"[", b'{"error":', b'{"a":[']), st.integers(1, 60_000)).map(
        lambda pair: pair[0] * pair[1]
    ),
)
header_values = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["0", "-1", "NaN", "inf", "1e400", "true", "text/html", '"api";r=0;t=55', "6m0s", ";=,"]),
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes().map(str),
)  # fmt: skip
header_names = st.sampled_from(
    [
        "content-type", "retry-after", "retry-after-ms", "ratelimit", "ratelimit-policy", "x-should-retry",
        "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-remaining-requests",
        "x-ratelimit-limit-tokens", "x-ratelimit-reset-requests", "x-ratelimit-", "x-error-code",
        "x-error-message", "x-request-id",
    ]
)  # fmt: skip
headers = st.dictionaries(header_names, header_values, max_size=5)


def check_is_whole(error: ApiError | StreamError) -> None:
    """It can be printed, pickled and sent as JSON, and its parts are of their types."""
    assert error.message
    assert len(error.message) <= MAX_MESSAGE
    str(error).encode()
    assert not any(ord(character) < 32 and character not in "\t\n\r" for character in error.message)
    assert isinstance(error.code, str | int | None)
    assert not isinstance(error.code, bool)
    assert isinstance(error.type, str | None)
    assert isinstance(error.param, str | None)
    told = {"code": error.code, "type": error.type, "param": error.param, "retry_after": error.retry_after}
    assert msgspec.json.decode(msgspec.json.encode(told)) == told
    revived: ApiError | StreamError = pickle.loads(pickle.dumps(error))
    assert (type(revived), str(revived)) == (type(error), str(error))


@ours
@given(st.integers(100, 999), headers, bodies, st.text(max_size=8) | st.none())
@example(404, {}, b"\xff", "\\")
@example(500, {}, b'{"errors":[]}', None)
@example(429, {"ratelimit": "=;;r"}, b'{"error":{"code":1e999}}', None)
@example(400, {}, b'{"code":' + b"9" * 5000 + b"}", None)
def test_any_answer_gives_one_whole_error(
    status: int, headers: dict[str, str], body: bytes, model: str | None
) -> None:
    error = error_from_response(status, headers, body, now=NOW, model=model, **HUGGINGFACE)
    assert isinstance(error, ApiError)
    assert KINDS[error.kind] is type(error)
    assert (error.status, error.body, error.model) == (status, body, model)
    assert error.retry_after is None or 0 <= error.retry_after < math.inf
    check_is_whole(error)


@ours
@given(bodies, st.text(max_size=8) | st.none())
@example(b'{"choices":[{}],"error":0}', None)
def test_any_bytes_inside_a_200_give_one_whole_error(body: bytes, model: str | None) -> None:
    error = error_in_success(body, model=model, **HUGGINGFACE)
    assert type(error) is StreamError
    assert error.cause_kind is None or issubclass(KINDS[error.cause_kind], ApiError)
    assert error.status is None or 400 <= error.status <= 599
    assert error.body == body
    check_is_whole(error)


ENVELOPES: list[Callable[[str], Any]] = [
    lambda words: {"error": {"message": words, "type": "t", "param": None, "code": None}},
    lambda words: {"error": words},
    lambda words: {"error": words, "error_type": "t"},
    lambda words: {"error": [words]},
    lambda words: {"error": "headline", "message": words},
    lambda words: [{"error": {"code": 400, "message": words}}],
    lambda words: {"success": False, "errors": [{"code": 1, "message": words}]},
    lambda words: {"detail": words},
    lambda words: {"detail": [{"loc": ["body"], "msg": words}]},
    lambda words: {"object": "error", "message": words},
    lambda words: {"object": "error", "message": {"detail": [{"msg": words}]}},
    lambda words: {"message": json.dumps({"detail": words})},
    lambda words: {"title": words, "status": 400},
    lambda words: words,
]
words = st.from_regex(r"[a-zA-Z]([a-zA-Z0-9 .,:']{0,60}[a-z])?", fullmatch=True)


@ours
@given(words, st.sampled_from(ENVELOPES), st.sampled_from([400, 404, 500]))
def test_the_servers_words_survive(words: str, envelope: Callable[[str], Any], status: int) -> None:
    body = json.dumps(envelope(words)).encode()
    assert words in error_from_response(status, {}, body, now=NOW).message
    assert words in error_in_success(body).message


@ours
@given(words, st.sampled_from(["text/plain", "application/json", ""]))
def test_plain_words_survive(words: str, content_type: str) -> None:
    # a text that begins as JSON does is read as JSON
    told = f"upstream: {words}"
    assert error_from_response(502, {"content-type": content_type}, told.encode(), now=NOW).message == told


SPELLINGS: list[Callable[[str], str]] = [
    lambda c: c,
    lambda c: rf"\u{ord(c):04x}",
    lambda c: rf"\u{ord(c):04X}",
    lambda c: rf"\\u{ord(c):04x}",
    lambda c: f"%{ord(c):02X}",
    lambda c: f"&#{ord(c)};",
    lambda c: f"&#x{ord(c):x};",
    lambda c: json.dumps(c)[1:-1],
    lambda c: json.dumps(json.dumps(c)[1:-1])[1:-1],
]
keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=60)
# without what begins an escape itself; RFC 6750 allows fewer still
plain_keys = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\%&"), min_size=8, max_size=60
)


@ours
@given(st.data(), plain_keys, words, words)
def test_no_spelling_of_a_key_gets_through(data: st.DataObject, key: str, before: str, after: str) -> None:
    spellings = data.draw(st.lists(st.sampled_from(SPELLINGS), min_size=len(key), max_size=len(key)))
    quoted = "".join(spell(c) for spell, c in zip(spellings, key, strict=True))
    body = f"{before} <{quoted}> {after}".encode()
    error = error_from_response(401, {}, body, now=NOW, secrets=(key,))
    assert error.body == f"{before} <[redacted]> {after}".encode()
    assert error.message == error.body.decode()


@ours
@given(keys, st.sampled_from(ENVELOPES))
def test_no_key_gets_through_an_envelope(key: str, envelope: Callable[[str], Any]) -> None:
    said, clean = (
        json.dumps(envelope(f"the key {shown} is unknown")).encode() for shown in (key, "[redacted]")
    )
    # a key that is one of the envelope's own words is masked there too
    assume(key[:8] not in clean.decode())
    for make in (partial(error_from_response, 401, {}, now=NOW), error_in_success):
        assert vars(make(body=said, secrets=(key,))) == vars(make(body=clean))


@ours
@given(headers, st.floats(0, 4e9))
def test_any_headers_can_be_read(headers: dict[str, str], now: float) -> None:
    wait = read_retry_after(headers, now)
    assert wait is None or 0 <= wait <= sys.float_info.max
    limits = read_rate_limits(headers, now)
    if limits is not None:
        assert limits.requests or limits.tokens
        for limit in filter(None, (limits.requests, limits.tokens)):
            numbers = (limit.limit, limit.remaining, limit.reset)
            assert any(number is not None for number in numbers)
            assert all(number is None or 0 <= number < math.inf for number in numbers)
        assert msgspec.json.encode(limits)


@ours
@given(st.integers(0, 10**12) | st.floats(0, 1e12))
def test_seconds_and_milliseconds_are_read_back(number: float) -> None:
    assert read_retry_after({"retry-after": str(number)}, NOW) == number
    assert read_retry_after({"retry-after-ms": str(number)}, NOW) == number / 1000


@ours
@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 12, 31)),  # noqa: DTZ001 -- made aware below
    st.integers(1, 10**7),
    st.sampled_from(["imf", "rfc850", "asctime"]),
)
def test_dates_are_read_back_in_all_three_forms(moment: datetime, ahead: int, form: str) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    text = {
        "imf": format_datetime(moment, usegmt=True),
        "rfc850": moment.strftime("%A, %d-%b-%y %H:%M:%S GMT"),
        "asctime": moment.ctime(),
    }[form]
    assert read_retry_after({"retry-after": text}, moment.timestamp() - ahead) == ahead
    assert read_retry_after({"retry-after": text}, moment.timestamp() + ahead) is None


@ours
@given(
    st.lists(
        st.tuples(st.integers(0, 999), st.sampled_from(["h", "m", "s", "ms", "us", "ns"])),
        min_size=1,
        max_size=6,
    )
)
def test_durations_add_up(parts: list[tuple[int, str]]) -> None:
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration(text) == pytest.approx(sum(number * units[unit] for number, unit in parts))

"""The error tree: its kinds, the data of each error, and pickling, copying and printing them."""

from __future__ import annotations

import copy
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.core import errors
from botticelli.core.errors import (
    KINDS,
    ApiError,
    AuthenticationError,
    BotticelliError,
    CallTimeoutError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    EmptyResponseError,
    MalformedResponseError,
    ModelsError,
    RateLimitError,
    RequestError,
    ResponseError,
    ServerError,
    StreamError,
    StreamTruncatedError,
    TransportError,
)
from botticelli.core.message import Text
from botticelli.core.response import Choice, GenerateResponse, RateLimit, RateLimits

if TYPE_CHECKING:
    from collections.abc import Callable

PARTIAL = GenerateResponse(id="p", choices=[Choice(outputs=[Text("half an ans")])])
LIMITS = RateLimits(requests=RateLimit(limit=10, remaining=0, reset=1.5))

API = {
    "status": 418,
    "code": 7,
    "type": "t",
    "param": "p",
    "body": b'{"error": 1}',
    "retry_after": 2.5,
    "should_retry": False,
    "rate_limits": LIMITS,
    "request_id": "r-1",
    "hint": "do this",
}
RESPONSE = {"status": 201, "body": b"[", "partial": PARTIAL, "request_id": "r-1", "hint": "do this"}
STREAM = {
    "status": 503,
    "code": "overloaded",
    "type": "t",
    "param": "p",
    "cause_kind": "server",
    "body": b"{}",
    "partial": PARTIAL,
    "request_id": "r-1",
    "hint": "do this",
}
MESSAGE = "went\nwrong"

DATA: dict[type[BotticelliError], tuple[tuple[Any, ...], dict[str, Any]]] = {
    BotticelliError: ((MESSAGE,), {"hint": "do this"}),
    ConfigurationError: ((MESSAGE,), {"setting": "HF_TOKEN", "hint": "do this"}),
    ClosedError: ((MESSAGE,), {"hint": "do this"}),
    RequestError: ((MESSAGE,), {"path": "$.messages[0]", "rule": "type", "hint": "do this"}),
    ModelsError: ((MESSAGE,), {"hint": "do this", "partial": PARTIAL, "request_id": "r-1"}),
    TransportError: ((MESSAGE,), {"hint": "do this", "partial": PARTIAL, "request_id": "r-1"}),
    ConnectError: ((MESSAGE,), {"hint": "do this", "partial": PARTIAL, "request_id": "r-1"}),
    CallTimeoutError: (("idle", 60.0), {"hint": "do this", "partial": PARTIAL}),
    ConnectionLostError: ((MESSAGE,), {"answered": True, "partial": PARTIAL, "hint": "do this"}),
    ResponseError: ((MESSAGE,), RESPONSE),
    MalformedResponseError: ((MESSAGE,), {"path": "$.choices", **RESPONSE}),
    EmptyResponseError: ((MESSAGE,), RESPONSE),
    StreamError: ((MESSAGE,), STREAM),
    StreamTruncatedError: ((MESSAGE,), STREAM),
}
"""For every class what it is made from; the classes of statuses are all made alike."""


def tree(root: type[BotticelliError] = BotticelliError) -> list[type[BotticelliError]]:
    return [root, *(found for below in root.__subclasses__() for found in tree(below))]


def given_data(kind: type[BotticelliError]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return ((MESSAGE,), API) if issubclass(kind, ApiError) else DATA[kind]


def made(kind: type[BotticelliError]) -> BotticelliError:
    positional, named = given_data(kind)
    error = kind(*positional, **named)
    if isinstance(error, ModelsError):
        error.during(provider="huggingface", model="m", attempts=3)
    return error


def unpickled(error: BotticelliError) -> BotticelliError:
    return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]  # what pickle gives is untyped


COPIES: dict[str, Callable[[BotticelliError], BotticelliError]] = {
    "pickle": unpickled,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}

every_class = pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)


@every_class
def test_it_carries_what_it_was_given(kind: type[BotticelliError]) -> None:
    error = made(kind)
    positional, named = given_data(kind)
    assert {name: getattr(error, name) for name in named} == named
    assert error.args == (error.message,)
    if kind is not CallTimeoutError:
        assert error.message == positional[0]


@every_class
@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES.keys())
def test_a_copy_is_the_same_error(
    kind: type[BotticelliError], again: Callable[[BotticelliError], BotticelliError]
) -> None:
    error = made(kind)
    error.add_note("a note")
    found = again(error)
    assert found is not error
    assert type(found) is kind
    assert vars(found) == vars(error)
    assert found.args == error.args
    assert str(found) == str(error)


def test_only_a_deep_copy_copies_what_was_delivered() -> None:
    error = ConnectionLostError("gone", partial=GenerateResponse(id="p"))
    assert copy.copy(error).partial is error.partial
    assert copy.deepcopy(error).partial == error.partial
    assert copy.deepcopy(error).partial is not error.partial


def test_a_copy_has_attributes_of_its_own() -> None:
    error = ConnectError("refused")
    copy.copy(error).during(provider="other", model="m", attempts=2)
    assert (error.provider, error.attempts) == (None, 1)


@every_class
def test_it_prints_exactly_one_line(kind: type[BotticelliError]) -> None:
    error = made(kind)
    assert len(str(error).splitlines()) == 1
    assert str(error).endswith("; do this")
    assert len(repr(error).splitlines()) == 1
    assert repr(error) == f"{kind.__name__}({str(error)!r})"


BREAKS = "a\nb\r\nc\u2028d\u2029e\x85f\x0bg\x0ch\x1ci\x1dj\x1ek"


@pytest.mark.parametrize(
    "error",
    [
        BotticelliError(BREAKS),
        BotticelliError("m", hint=BREAKS),
        RequestError("m", path=f"$.extra.{BREAKS}", rule="type"),
        MalformedResponseError("m", path=BREAKS),
        ModelsError("m", request_id=BREAKS),
        ModelsError("m").during(provider=BREAKS, model=BREAKS, attempts=1),
        StreamError("m", cause_kind=BREAKS),
    ],
    ids=["message", "hint", "path", "malformed-path", "request-id", "call", "cause"],
)
def test_no_line_break_in_its_data_breaks_the_line(error: BotticelliError) -> None:
    assert len(str(error).splitlines()) == 1
    assert "a b c d e f g h i j k" in str(error)


def test_an_error_without_a_message_prints_its_kind() -> None:
    assert str(RateLimitError(" \n", status=429)) == "rate limit (429)"
    assert str(BotticelliError("")) == "error"


def test_a_hint_follows_the_message_as_one_sentence() -> None:
    assert str(BotticelliError("It broke.", hint="mend it")) == "It broke; mend it"
    assert str(BotticelliError("It broke.")) == "It broke."


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RequestError("bad", path="$.n", rule="type"), "bad (at $.n)"),
        (ModelsError("bad"), "bad"),
        (ModelsError("bad", request_id="r"), "bad (request r)"),
        (ModelsError("bad").during(provider="p", model="m", attempts=1), "bad (p, model m)"),
        (
            ModelsError("bad").during(provider="p", model="m", attempts=2),
            "bad (p, model m, after 2 attempts)",
        ),
        (ApiError("bad", status=418), "bad (418)"),
        (ApiError("bad", status=418, retry_after=0), "bad (418, retry after 0 s)"),
        (
            ApiError("bad", status=418, retry_after=1.5, request_id="r"),
            "bad (418, request r, retry after 1.5 s)",
        ),
        (CallTimeoutError("idle", 0.25), "no answer in time: idle limit of 0.25 s passed"),
        (MalformedResponseError("bad", path="byte 17", request_id="r"), "bad (at byte 17, request r)"),
        (StreamError("bad"), "bad"),
        (StreamError("bad", cause_kind="rate_limit", request_id="r"), "bad (rate limit, request r)"),
    ],
)
def test_the_line_tells_what_is_known_in_brackets(error: BotticelliError, line: str) -> None:
    assert str(error) == line


@every_class
def test_status_wait_and_partial_can_be_asked_of_every_error(kind: type[BotticelliError]) -> None:
    positional, _ = given_data(kind)
    needed: dict[str, Any] = {"path": "$", "rule": "type"} if kind is RequestError else {}
    if issubclass(kind, ApiError):
        needed = {"status": 500}
    error = kind(*positional, **needed)
    status = 500 if issubclass(kind, ApiError) else 200 if issubclass(kind, ResponseError) else None
    assert (error.status, error.retry_after, error.partial, error.hint) == (status, None, None, None)


def test_during_fills_in_the_call_and_gives_the_error_itself() -> None:
    error = AuthenticationError("no", status=401)
    assert (error.provider, error.model, error.attempts) == (None, None, 1)
    assert error.during(provider="p", model="m", attempts=3) is error
    assert (error.provider, error.model, error.attempts) == ("p", "m", 3)


def test_the_kinds() -> None:
    assert set(KINDS) == {
        "configuration",
        "request",
        "closed",
        "authentication",
        "permission_denied",
        "model_not_found",
        "not_chat_model",
        "not_found",
        "rate_limit",
        "credits_exhausted",
        "context_length",
        "content_filtered",
        "invalid_request",
        "request_too_large",
        "server",
        "api",
        "connect",
        "connection_lost",
        "timeout",
        "malformed_response",
        "empty_response",
        "stream_error",
        "stream_truncated",
    }


def test_a_kind_belongs_to_one_class_and_only_groups_are_left_out() -> None:
    assert all(found.kind == kind for kind, found in KINDS.items())
    assert set(tree()) - set(KINDS.values()) == {BotticelliError, ModelsError, TransportError, ResponseError}
    assert len({found.kind for found in tree()}) == len(tree())


def test_every_class_is_public() -> None:
    assert {found.__name__ for found in tree()} | {"KINDS"} == set(errors.__all__)


@pytest.mark.parametrize(
    ("group", "members"),
    [
        (ModelsError, set(KINDS) - {"configuration", "request", "closed"}),
        (TransportError, {"connect", "timeout", "connection_lost"}),
        (ResponseError, {"malformed_response", "empty_response"}),
        (StreamError, {"stream_error", "stream_truncated"}),
        (
            ApiError,
            {
                *("api", "authentication", "permission_denied", "model_not_found", "not_chat_model"),
                *("not_found", "rate_limit", "credits_exhausted", "context_length", "invalid_request"),
                *("request_too_large", "content_filtered", "server"),
            },
        ),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_except_catches_groups(group: type[BotticelliError], members: set[str]) -> None:
    assert {kind for kind, found in KINDS.items() if issubclass(found, group)} == members


def test_every_error_is_an_ordinary_exception() -> None:
    with pytest.raises(Exception, match="busy") as caught:
        raise ServerError("busy", status=503)
    assert isinstance(caught.value, BotticelliError)


def test_a_wrong_setting_quotes_numbers_only() -> None:
    given: list[tuple[object, str]] = [
        (None, "None"),
        (True, "True"),
        (-1, "-1"),
        (1.5, "1.5"),
        (2**64 - 1, str(2**64 - 1)),
        (2**64, "a number of 65 bits"),
        (-(10**5000), "a number of 16610 bits"),  # more digits than Python writes out
        ("hf_secret", "a str"),
        (b"hf_secret", "a bytes"),
        ([], "a list"),
        (int, "a type"),
    ]
    for value, shown in given:
        error = ConfigurationError.wrong("n", "a small number", value, hint="give one")
        assert str(error) == f"n must be a small number, not {shown}; give one"
        assert (error.setting, error.missing) == ("n", False)


def test_the_tree_is_drawn_as_it_is() -> None:
    """Compare the drawing in the module's docstring with the classes, their parents and their kinds."""
    drawn: set[tuple[str, str | None, str | None]] = set()
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:[│ ]   )*(?:[├└]── )?)(\w+)(?: \[(\w+)\])?", line)
        if found:
            depth = len(found[1]) // 4
            del above[depth:]
            drawn.add((found[2], above[-1] if above else None, found[3]))
            above.append(found[2])
    assert drawn == {
        (
            kind.__name__,
            kind.__base__.__name__ if kind.__base__ and kind is not BotticelliError else None,
            kind.kind if kind in KINDS.values() else None,
        )
        for kind in tree()
    }

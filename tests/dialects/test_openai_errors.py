"""From an answer to an error: the table of error bodies, then what no table can hold."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from botticelli.core.errors import KINDS, ApiError, ConfigurationError, StreamError
from botticelli.core.response import GenerateResponse, RateLimit, RateLimits
from botticelli.dialects.openai import errors as module
from botticelli.dialects.openai.errors import OPENAI_ERRORS, is_error
from botticelli.protocol.error_body import MAX_BODY, MAX_MESSAGE
from botticelli.protocol.error_rules import (
    CLASSES,
    ErrorRule,
    find_hint,
    find_kind,
)
from botticelli.providers.huggingface import HUGGINGFACE_HINTS, HUGGINGFACE_RULES

from ..error_calls import error_from_response, error_in_success

# The mapping from an answer to an error: the table of envelopes, then what no table can hold.

NOW = 1_700_000_000.0
TABLE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "fixtures" / "errors.json").read_bytes())
ROWS: dict[str, tuple[ErrorRule, ...]] = {"openai": (), "huggingface": HUGGINGFACE_RULES}


def entries(section: str) -> list[Any]:
    return [pytest.param(entry, id=entry["id"]) for entry in TABLE[section]]


def fail(status: int, body: bytes | str = b"", **rest: Any) -> ApiError:
    data = body.encode() if isinstance(body, str) else body
    return error_from_response(status, rest.pop("headers", {}), data, now=NOW, **rest)


@pytest.mark.parametrize("entry", entries("errors"))
def test_the_table_of_answers(entry: dict[str, Any]) -> None:
    body = entry["body"].encode()
    error = error_from_response(
        entry["status"],
        entry["headers"],
        body,
        now=NOW,
        model=entry.get("model"),
        error_rules=ROWS[entry["table"]],
    )
    assert {name: getattr(error, name) for name in entry["expect"]} == entry["expect"]
    assert (error.status, error.body, error.model) == (entry["status"], body, entry.get("model"))


@pytest.mark.parametrize("entry", entries("embedded"))
def test_the_table_of_errors_inside_a_200(entry: dict[str, Any]) -> None:
    body = entry["body"].encode()
    error = error_in_success(body, model=entry.get("model"), error_rules=ROWS[entry["table"]])
    assert type(error) is StreamError
    assert {name: getattr(error, name) for name in entry["expect"]} == entry["expect"]
    assert (error.body, error.model) == (body, entry.get("model"))


@pytest.mark.parametrize("section", ["errors", "embedded"])
def test_the_table_has_unique_ids_and_says_where_each_entry_is_from(section: str) -> None:
    assert len({entry["id"] for entry in TABLE[section]}) == len(TABLE[section])
    assert all(entry["evidence"] and entry["source"] for entry in TABLE[section])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request"),
        (401, "authentication"),
        (402, "credits_exhausted"),
        (403, "permission_denied"),
        (404, "not_found"),
        (405, "invalid_request"),
        (406, "api"),
        (408, "server"),
        (409, "invalid_request"),
        (413, "request_too_large"),
        (422, "invalid_request"),
        (424, "api"),
        (429, "rate_limit"),
        (499, "api"),
        (500, "server"),
        (529, "server"),
        (599, "server"),
        (600, "api"),
        (302, "api"),
        (204, "api"),
    ],
)
def test_the_status_decides_the_class(status: int, kind: str) -> None:
    assert fail(status, '{"error":{"message":"x"}}').kind == kind


@pytest.mark.parametrize(
    ("message", "model", "kind"),
    [
        ("model 'm' not found", "m", "model_not_found"),
        ("no such model: acme/m.", "acme/m", "model_not_found"),
        ("acme/m is unknown", "acme/m:together", "model_not_found"),
        ("acme/m:together is unknown", "acme/m:together", "model_not_found"),
        ('model "tiny:latest" not found', "tiny", "model_not_found"),
        ("Not Found: /v1/chat/completions", "chat", "not_found"),
        ("Not Found", "found", "not_found"),
        ("tiny-2 is gone", "tiny", "not_found"),
        ("tiny.2 is gone", "tiny", "not_found"),
        ("teeny-tiny is gone", "tiny", "not_found"),
        ("a+b is gone", "a.b", "not_found"),
        ("nothing: here", ":", "not_found"),
        ("nothing here", "", "not_found"),
        ("model 'm' not found", None, "not_found"),
    ],
)
def test_a_404_is_about_the_model_when_it_names_it(message: str, model: str | None, kind: str) -> None:
    assert fail(404, json.dumps({"error": message}), model=model).kind == kind


def test_a_404_is_about_the_model_when_it_blames_that_parameter() -> None:
    assert fail(404, '{"error":{"message":"gone","param":"model"}}').kind == "model_not_found"
    assert fail(404, '{"error":{"message":"gone","param":"messages"}}').kind == "not_found"


def test_naming_the_model_means_nothing_with_another_status() -> None:
    assert fail(400, '{"error":"m is busy"}', model="m").kind == "invalid_request"


def test_a_refinement_needs_its_status() -> None:
    code = '{"error":{"message":"x","code":"context_length_exceeded"}}'
    assert fail(400, code).kind == "context_length"
    assert fail(413, code).kind == "context_length"
    assert fail(500, code).kind == "server"
    assert fail(402, '{"error":{"message":"x","code":"insufficient_quota"}}').kind == "credits_exhausted"
    assert fail(400, '{"error":{"message":"x","code":"insufficient_quota"}}').kind == "invalid_request"


@pytest.mark.parametrize(
    "word",
    [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    ],
)
def test_a_terminal_quota_is_known_by_its_code_alone(word: str) -> None:
    assert fail(429, json.dumps({"error": {"message": "x", "code": word}})).kind == "credits_exhausted"


def test_a_terminal_quota_is_known_by_its_type_alone() -> None:
    assert fail(429, '{"error":{"message":"x","type":"insufficient_quota"}}').kind == "credits_exhausted"


def test_the_providers_rows_come_before_the_formats() -> None:
    mine = ErrorRule(kind="permission_denied", codes=frozenset({"model_not_found"}))
    body = '{"error":{"message":"x","code":"model_not_found"}}'
    assert fail(404, body).kind == "model_not_found"
    assert fail(404, body, error_rules=(mine,)).kind == "permission_denied"
    assert error_in_success(body.encode(), error_rules=(mine,)).cause_kind == "permission_denied"


def test_a_code_in_a_header_refines_too_unless_the_body_has_one() -> None:
    headers = {"x-error-code": " model_not_found "}
    assert fail(404, "", headers=headers).kind == "model_not_found"
    error = fail(404, '{"error":{"code":0,"message":"x"}}', headers=headers)
    assert (error.kind, error.code) == ("not_found", 0)


def test_headers_are_told() -> None:
    error = fail(
        429,
        "{}",
        headers={
            "x-request-id": "r-1",
            "x-should-retry": "false",
            "retry-after": "7",
            "x-ratelimit-remaining-requests": "0",
        },
    )
    assert (error.request_id, error.should_retry, error.retry_after) == ("r-1", False, 7.0)
    assert error.rate_limits == RateLimits(requests=RateLimit(remaining=0))
    assert str(error) == (
        "Too Many Requests (429, request r-1, retry after 7 s); "
        "wait before the next call, or make fewer at a time"
    )


def test_an_exhausted_limit_says_when_to_come_back_only_on_a_429() -> None:
    headers = {"ratelimit": '"api";r=0;t=55'}
    assert fail(429, headers=headers).retry_after == 55
    assert fail(503, headers=headers).retry_after is None
    assert fail(503, headers={"retry-after": "3"}).retry_after == 3


def test_a_header_beats_the_wait_in_the_body() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
    body = json.dumps({"error": {"message": "x", "details": [info]}})
    assert fail(429, body).retry_after == 34
    assert fail(429, body, headers={"retry-after": "0"}).retry_after == 0


def test_a_wait_inside_a_200_is_told() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
    body = json.dumps({"error": {"code": 429, "message": "x", "details": [info]}}).encode()
    assert error_in_success(body).retry_after == 34
    assert error_in_success(b'{"error":"x"}').retry_after is None


def test_a_code_in_a_header_is_bounded_and_safe_to_print() -> None:
    assert fail(404, "", headers={"x-error-code": "\x1b" + "x" * 500}).code == "\ufffd" + "x" * 198 + "…"


MEANINGS = {
    "invalid_request": (
        "invalid_request_error BadRequestError INVALID_ARGUMENT validation template_error tool_error"
    ),
    "authentication": "authentication_error invalid_api_key UNAUTHENTICATED",
    "permission_denied": "permission_error PERMISSION_DENIED",
    "credits_exhausted": "billing_error insufficient_quota",
    "content_filtered": "content_filter",
    "not_found": "not_found_error NotFoundError NOT_FOUND",
    "request_too_large": "request_too_large",
    "rate_limit": (
        "rate_limit_error rate_limit_exceeded too_many_requests_error RESOURCE_EXHAUSTED overloaded"
    ),
    "server": (
        "server_error api_error internal_server_error InternalServerError INTERNAL UNAVAILABLE "
        "overloaded_error server_is_overloaded unavailable_error service_unavailable_error timeout_error "
        "generation incomplete_generation incomplete_generation_stream"
    ),
}


@pytest.mark.parametrize("kind", MEANINGS)
def test_each_word_has_its_meaning_as_a_code_and_as_a_type(kind: str) -> None:
    for word in MEANINGS[kind].split():
        for member in ("code", "type"):
            body = json.dumps({"error": {"message": "x", member: word}}).encode()
            assert (word, error_in_success(body).cause_kind) == (word, kind)


def test_no_word_is_without_a_test() -> None:
    assert {word for words in MEANINGS.values() for word in words.split()} == set(OPENAI_ERRORS.kinds)


def test_hints_come_from_the_provider_first() -> None:
    for status, mine in ((401, "hf_"), (403, "Make calls to Inference Providers"), (402, "billing")):
        assert mine in str(fail(status, hints=HUGGINGFACE_HINTS))
        assert mine not in str(fail(status))
    assert str(fail(500, hints=HUGGINGFACE_HINTS)) == str(fail(500))
    assert "/v1" in str(fail(404))
    assert "/v1" in str(error_in_success(b'{"error":"Unexpected endpoint or method. (GET /models)"}'))
    assert error_in_success(b'{"error":"overloaded"}').hint is None


def test_a_long_message_is_shortened_and_the_body_kept() -> None:
    body = json.dumps({"error": {"message": "x" * 5000}}).encode()
    error = fail(400, body)
    assert len(error.message) == MAX_MESSAGE
    assert error.message.endswith("x…")
    assert error.body == body


def test_of_a_huge_body_a_mebibyte_is_kept() -> None:
    body = b'{"error":{"message":"' + b"x" * (MAX_BODY + 100)
    error = fail(400, body)
    assert error.body == body[:MAX_BODY]
    assert error.message.startswith('{"error":{"message":"xxx')
    assert error_in_success(body).body == body[:MAX_BODY]


def test_a_page_deeper_than_any_reader_is_told_as_text() -> None:
    error = fail(500, b"[" * 200_000)
    assert (error.kind, len(error.message)) == ("server", MAX_MESSAGE)


def test_what_was_delivered_goes_with_an_embedded_error() -> None:
    partial = GenerateResponse(id="c1")
    error = error_in_success(b'{"error":"x"}', partial=partial)
    assert error.partial is partial


CANARY = (
    "hf_kEeP-tHiS_SeCrEtCaNaRyToKeN"  # not a HuggingFace token: its dash and its underscores may be escaped
)
SPELLINGS = {
    "plain": CANARY,
    "cut short": CANARY[:17],
    "unicode escapes": CANARY.replace("-", r"\u002d").replace("_", r"\u005F"),
    "every character escaped": "".join(rf"\u{ord(c):04x}" for c in CANARY),
    "percent escapes": CANARY.replace("-", "%2D").replace("_", "%5f"),
    "entities": CANARY.replace("-", "&#45;").replace("_", "&#x5F;"),
    "JSON in JSON": CANARY.replace("-", r"\\u002d"),
}


def leaks(error: ApiError | StreamError) -> bool:
    """Whether any ten characters of the canary can be found in anything the error holds."""
    stored = [str(error), repr(error), str(error.args), repr(vars(error)), error.body.decode("latin-1")]
    revived: ApiError | StreamError = pickle.loads(pickle.dumps(error))
    stored += [repr(vars(revived)), repr(vars(copy.copy(error)))]
    windows = {spelt[i : i + 10] for spelt in SPELLINGS.values() for i in range(len(spelt) - 9)}
    return any(window in text for text in stored for window in windows)


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=list(SPELLINGS))
@pytest.mark.parametrize(
    "envelope",
    [
        '{"error":{"message":"bad key KEY given","type":"KEY","param":"KEY","code":"KEY"}}',
        '{"error":"KEY"}',
        "no JSON, but the KEY",
        "<html><title>KEY</title></html>",
        '{"headers":{"authorization":"Bearer KEY"}}',
        '{"detail":[{"loc":["KEY"],"msg":"KEY"}]}',
    ],
)
def test_a_key_never_comes_back(envelope: str, spelling: str) -> None:
    body = envelope.replace("KEY", spelling)
    headers = {"x-request-id": spelling, "x-error-code": spelling, "x-error-message": spelling}
    for error in (
        fail(401, body, secrets=(CANARY,)),
        fail(401, "", headers=headers, secrets=(CANARY,)),
        error_in_success(body.encode(), secrets=(CANARY,)),
    ):
        assert not leaks(error)
        assert "[redacted]" in error.body.decode() + error.message


def test_the_canary_test_would_notice() -> None:
    assert leaks(fail(401, '{"error":"no-such-secret, but ' + CANARY[3:] + '"}'))


def test_a_known_form_of_token_is_masked_without_being_told() -> None:
    body = '{"error":{"message":"Incorrect API key provided: sk-abcd********wxyz. You can"}}'
    assert fail(401, body).message == "Incorrect API key provided: [redacted]. You can"
    error = fail(401, '{"error":"hf_abcdefghijKLMNOPqrst0123456789abcd is invalid"}')
    assert error.message == "[redacted] is invalid"
    assert error.body == b'{"error":"[redacted] is invalid"}'


def test_nothing_public_is_left_out() -> None:
    assert set(module.__all__) == {
        "FAILED",
        "OPENAI_ERRORS",
        "MakeStreamError",
        "error_from_response",
        "error_in_success",
        "is_error",
    }


# Which JSON values that came with a 200 are errors.

CHOICE: dict[str, Any] = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}


@pytest.mark.parametrize(
    "value",
    [
        {"error": {"message": "No."}},
        {"error": "No."},
        {"error": True},
        {"error": {"code": 429}},
        {"error": {"message": "", "details": [{"reason": "No."}]}},
        {"error": {"message": "No."}, "choices": [CHOICE]},
        {"object": "error", "message": "No."},
        {"object": "error", "choices": []},
        {"choices": [CHOICE, {"error": {"code": 502}}]},
        {"choices": [{**CHOICE, "finish_reason": "error"}]},
        {"errors": ["No."]},
        {"detail": "No."},
        {"detail": [{"loc": ["body"], "msg": "No."}]},
        {"message": "No."},
        {"choices": [{**CHOICE, "finish_reason": "network_error"}]},
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "No."}},
        {"choices": [], "base_resp": {"status_code": "1008"}, "usage": {"total_tokens": 0}},
        {"error_code": 336003, "error_msg": "No."},
        {"error_type": "t", "error_message": "No.", "choices": []},
        [{"error": {"message": "No."}}],
        [{"error": "No."}, {}],
    ],
)
def test_an_error(value: Any) -> None:
    assert is_error(value)


@pytest.mark.parametrize(
    "nothing", [None, {}, "", 0, False, [], {"code": 0, "message": ""}, {"a": [], "b": {}}]
)
def test_an_error_member_that_says_nothing_is_none(nothing: Any) -> None:
    assert not is_error({"error": nothing})
    assert not is_error([{"error": nothing}])
    assert not is_error({"choices": [{"error": nothing}]})
    assert not is_error({"errors": nothing, "detail": nothing, "message": nothing})


@pytest.mark.parametrize("member", ["choices", "data", "usage"])
@pytest.mark.parametrize("word", ["message", "detail", "errors"])
def test_a_loose_word_beside_an_answer_is_no_error(member: str, word: str) -> None:
    assert not is_error({member: [], word: "No."})


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"choices": [CHOICE]},
        {"choices": ["error", None]},
        {"choices": {"error": "No."}},
        {"choices": [{**CHOICE, "finish_reason": "stop"}]},
        {"choices": [{**CHOICE, "finish_reason": ["error"]}]},
        {"choices": None, "base_resp": {"status_code": 0, "status_msg": "success"}},
        {"choices": None, "base_resp": {"status_code": "0"}},
        {"choices": None, "base_resp": {}},
        {"choices": None, "base_resp": 1008},
        {"choices": [CHOICE], "base_resp": {"status_code": 1008, "status_msg": "No."}},
        {"data": ["m"], "error_code": 1, "error_msg": "No."},
        {"error_code": 0, "error_msg": "success"},
        {"error_code": 336003, "error_msg": ""},
        {"error_code": 336003, "error_msg": {"a": 1}},
        {"error_message": "No."},
        {"object": "chat.completion", "id": "a"},
        {"message": {"content": "Hi"}},
        {"message": ["Hi"]},
        [],
        ["error"],
        [{}, {"error": "No."}],
        ["error", {"error": "No."}],
        [[{"error": "No."}]],
        "error",
        None,
        0,
    ],
)
def test_no_error(value: Any) -> None:
    assert not is_error(value)


def test_an_error_is_found_at_any_depth() -> None:
    value: Any = "No."
    for _ in range(5000):
        value = [value]
    assert is_error({"error": value})


# The tables: rows are checked when they are made, and every row and hint can be reached.


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"kind": "stream_error", "codes": frozenset({"x"})}, "stream_error"),
        ({"kind": "server", "statuses": frozenset({500})}, "needs a code, a type or a pattern"),
        ({"kind": "server", "patterns": ("(",)}, "can't be compiled"),
    ],
)
def test_a_row_that_means_nothing_is_refused(row: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as caught:
        ErrorRule(**row)
    assert caught.value.setting == "error_rules"


ROW = ErrorRule(
    kind="server",
    statuses=frozenset({400, 404}),
    codes=frozenset({"c", 7}),
    types=frozenset({"t"}),
    patterns=("^one$", "two"),
)


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ((400, "c", "t", "one"), True),
        ((404, 7, "t", "and TWO"), True),
        ((None, "c", "t", "one"), True),
        ((500, "c", "t", "one"), False),
        ((400, "d", "t", "one"), False),
        ((400, None, "t", "one"), False),
        ((400, "c", "u", "one"), False),
        ((400, "c", None, "one"), False),
        ((400, "c", "t", "not one"), False),
    ],
)
def test_every_criterion_must_hold_and_any_value_of_it_does(said: Any, fits: bool) -> None:
    assert ROW.matches(*said) is fits


def test_what_is_not_asked_for_does_not_matter() -> None:
    assert ErrorRule(kind="server", codes=frozenset({"c"})).matches(418, "c", None, "")
    assert ErrorRule(kind="server", types=frozenset({"t"})).matches(418, None, "t", "")
    assert ErrorRule(kind="server", patterns=("m",)).matches(418, None, None, "m")


def test_the_first_row_decides() -> None:
    other = ErrorRule(kind="api", codes=frozenset({"c"}))
    assert find_kind((other, ROW), 400, "c", "t", "one") == "api"
    assert find_kind((ROW, other), 400, "c", "t", "one") == "server"
    assert find_kind((ROW, other), 400, "c", "t", "three") == "api"
    assert find_kind((ROW,), 400, None, None, "") is None
    assert find_kind((), 400, None, None, "") is None


@pytest.mark.parametrize(
    ("kind", "status", "found"),
    [
        ("server", 504, "first 504"),
        ("server", 503, "first"),
        ("api", 301, "second 301"),
        ("api", 999, None),
        ("rate_limit", None, "second"),
    ],
)
def test_the_first_table_with_a_hint_decides_and_the_closer_key(
    kind: str, status: int | None, found: str | None
) -> None:
    first = {"server": "first", "server/504": "first 504"}
    second = {"server/503": "never", "api/301": "second 301", "rate_limit": "second"}
    assert find_hint(kind, status, first, second) == found


def test_the_tables_speak_of_kinds_that_exist() -> None:
    assert set(CLASSES) <= set(KINDS)
    assert {key.partition("/")[0] for key in OPENAI_ERRORS.hints} == set(CLASSES) - {"api"} | {"api"}
    assert set(OPENAI_ERRORS.kinds.values()) <= set(CLASSES)
    assert {row.kind for row in OPENAI_ERRORS.rules} <= set(CLASSES)
    assert CLASSES["api"].kind == "api"

"""Error bodies of every shape: message, code, type and param."""

from __future__ import annotations

import json

import pytest

from botticelli.protocol.error_body import ErrorBody, clean, read_error_body


def say(value: object) -> ErrorBody:
    return read_error_body(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"error": {"message": "a"}, "errors": [{"message": "b"}], "message": "e"}, "a"),
        ({"error": "a", "errors": ["b"], "detail": "c"}, "a: c"),
        ({"error": "a", "errors": ["b"], "title": "f"}, "a: b"),
        ({"error": "invalid_token", "error_description": "it is old"}, "invalid_token: it is old"),
        ({"errors": [{"message": "b"}], "detail": "c", "message": "e"}, "b"),
        ({"detail": "c", "message": "e", "title": "f"}, "c"),
        ({"message": "e", "msg": "g", "title": "f"}, "e"),
        ({"msg": "g", "title": "f"}, "g"),
        ({"title": "f", "error_description": "h"}, "f"),
        ({"error_description": "h", "reason": "i"}, "h"),
        ({"reason": "i"}, "i"),
        ({"error": "a", "message": "longer a"}, "longer a"),
        ({"error": "longer a", "message": "a"}, "longer a"),
        ({"error": "a", "message": "e"}, "a: e"),
        ({"error": "a", "message": {"detail": "d"}}, "a: d"),
        ({"error": ["a"], "message": "e"}, "a"),
        ({"error": "", "message": "e"}, "e"),
        ({"error": {}, "message": "e"}, "e"),
        ({"error": {"error": {"message": "deep"}}}, "deep"),
        ({"error": {"message": "", "detail": "d"}}, "d"),
        ({"error": {"msg": "g", "detail": "d"}}, "g"),
        ({"error": {"code": "boom"}}, '{"error": {"code": "boom"}}'),
        ({"error": [{"msg": "x"}, "y", 3, {"loc": ["a", 1, None], "msg": "z"}]}, "x; y; a.1: z"),
        ({"error": {"loc": "no list", "msg": "z"}}, "z"),
        ({"error": {"loc": ["a"]}}, '{"error": {"loc": ["a"]}}'),
        ([[[{"error": "wrapped"}]]], "wrapped"),
        (["one", {"message": "two"}], "one; two"),
        ("  spaced ", "spaced"),
        (5, ""),
        (None, ""),
        ({}, ""),
        ([], ""),
        ({"error_code": 1, "error_msg": "j"}, "j"),
        ({"error_type": "t", "error_message": "k"}, "k"),
        ({"base_resp": {"status_code": 1008, "status_msg": "l"}}, "l"),
        ({"detail": {"error": {"message": "inner"}}}, "inner"),
        ({"choices": [{"index": 0}], "error": None}, ""),
        ({"choices": [], "object": "error", "message": "flat"}, "flat"),
        ({"choices": "none", "detail": "d"}, "d"),
        ({"choices": [{"error": "in a choice"}], "error": "beside"}, "in a choice"),
        ({"choices": [{"error": ""}, 3, {"error": "in a choice"}]}, "in a choice"),
    ],
)
def test_the_message(value: object, message: str) -> None:
    assert say(value).message == message


def test_prose_too_deep_or_too_long_is_not_followed() -> None:
    deep: object = "bottom"
    for _ in range(20):
        deep = {"error": deep}
    assert say(deep).message.startswith('{"error": {"error"')
    assert say({"errors": ["x"] * 50}).message == "; ".join("x" * 20)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"error": {"code": "c"}, "code": "outer"}, "c"),
        ({"error": {"code": None}, "code": "outer"}, "outer"),
        ({"error": {"code": 5}}, 5),
        ({"error": {"code": 0}}, 0),
        ({"error": {"code": "5"}}, "5"),
        ({"error": {"code": 5.0}}, 5),
        ({"error": {"code": 5.5}}, None),
        ({"error": {"code": True}}, None),
        ({"error": {"code": ""}}, None),
        ({"error": {"code": ["x"]}}, None),
        ({"error": {"code": 2**63}}, None),
        ({"error": {"code": "x" * 500}}, "x" * 199 + "…"),
        ({"errors": [{"code": 7003}]}, 7003),
        ({"errors": []}, None),
        ({"error": {"error": {"code": "deep"}}}, "deep"),
    ],
)
def test_the_code(value: object, code: str | int | None) -> None:
    found = say(value).code
    assert (found, type(found)) == (code, type(code))


@pytest.mark.parametrize(
    ("value", "type_", "param"),
    [
        ({"error": {"type": "t", "param": "p"}}, "t", "p"),
        ({"error": "x", "error_type": "t"}, "t", None),
        ({"error": {"status": "S"}, "type": "outer"}, "S", None),
        ({"error": {"type": 3, "status": 400, "param": 1}}, None, None),
        ({"reason": "R", "param": "p"}, "R", "p"),
    ],
)
def test_type_and_param(value: object, type_: str | None, param: str | None) -> None:
    assert (say(value).type, say(value).param) == (type_, param)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ({"error": {"http_status_code": 422, "code": 500}}, 422),
        ({"error": {"status_code": 503}}, 503),
        ({"error": "x", "statusCode": 422}, 422),
        ({"error": {"status": 404}}, 404),
        ({"error": {"code": "429"}}, 429),
        ({"error": {"code": "４２９"}}, 429),
        ({"error": {"code": "²"}}, None),
        ({"error": {"code": 399}}, None),
        ({"error": {"code": 600}}, None),
        ({"error": {"code": "E404"}}, None),
        ({"error": {"code": True}}, None),
    ],
)
def test_the_status_in_the_body(value: object, status: int | None) -> None:
    assert say(value).status == status


RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


@pytest.mark.parametrize(
    ("details", "wait"),
    [
        ([{"@type": RETRY_INFO, "retryDelay": "34.5s"}], 34.5),
        ([{"@type": "other", "retryDelay": "1s"}, "x", {"@type": RETRY_INFO, "retryDelay": "2s"}], 2.0),
        ([{"@type": RETRY_INFO, "retryDelay": 34}], None),
        ([{"@type": RETRY_INFO, "retryDelay": "-1s"}], None),
        ([{"@type": RETRY_INFO}], None),
        ({"@type": RETRY_INFO, "retryDelay": "2s"}, None),
        (None, None),
    ],
)
def test_the_wait_in_the_body(details: object, wait: float | None) -> None:
    assert say({"error": {"message": "x", "details": details}}).wait == wait


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"plain words\n", "text/plain", "plain words"),
        (b'{"error":"json"} trailing', "", "json"),
        (b'"a string" and more', "", '"a string" and more'),
        (b"404 page not found", "application/json", "404 page not found"),
        (b"\xef\xbb\xbfwords", "", "words"),
        (b"caf\xe9 is closed today", "text/plain", "caf\ufffd is closed today"),
        (b"\x1f\x8b\x08\x00\x00\x00\xff\xfe", "application/json", ""),
        (b"", "", ""),
        (b"  \n", "", ""),
        (
            b"<Error><Message>denied</Message></Error>",
            "application/xml",
            "<Error><Message>denied</Message></Error>",
        ),
        (b"<p>fragment</p>", "text/html", ""),
        (b"<p>fragment</p>", "", "<p>fragment</p>"),
        (b"<!doctype html><title> </title><h1>heading</h1>", "", "heading"),
        (b"<title>unfinished", "TEXT/HTML", "unfinished"),
        (b"<titlebar>no</titlebar><h1 class='x'>yes</h1>", "text/html", "yes"),
        (b"<html><title>a &amp; b\n c</title>", "", "a & b c"),
        (b"[" * 100_000, "", "[" * 65536),
    ],
)
def test_what_is_not_json(body: bytes, content_type: str, message: str) -> None:
    assert read_error_body(body, content_type) == ErrorBody(message=message)


def test_clean_text_is_safe_to_print_and_bounded() -> None:
    assert clean(" a\x1b[31mb\x00\ud800\x85\tc\n", 100) == "a\ufffd[31mb\ufffd\ufffd\ufffd\tc"
    assert clean("abcde", 5) == "abcde"
    assert clean("abcdef", 5) == "abcd…"
    assert clean("", 5) == ""


def relayed(raw: object, **members: object) -> ErrorBody:
    """What is read of OpenRouter's envelope around another server's error."""
    return say(
        {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}, **members}}
    )


LONG = "prompt is too long: 5 tokens > 4 maximum"


@pytest.mark.parametrize(
    "raw",
    [
        LONG,
        f"  {LONG}\n",
        json.dumps({"error": {"message": LONG}}),
        json.dumps({"error": {"message": LONG}}, indent=2),
        json.dumps({"detail": LONG}),
        {"error": {"message": LONG}},
    ],
)
def test_a_reason_that_a_gateway_hands_on_is_told(raw: object) -> None:
    found = relayed(raw)
    assert found.message == f"Provider returned error: {LONG}"
    assert (found.reason, found.code, found.status) == (LONG, 400, 400)


def test_the_inner_code_type_and_parameter_are_the_more_precise() -> None:
    inner = {
        "message": LONG, "code": "context_length_exceeded", "type": "t", "param": "messages", "status": 429,
        "n_ctx": 4, "n_prompt_tokens": 5,
    }  # fmt: skip
    found = relayed(json.dumps({"error": inner}), type="outer", param="outer")
    assert (found.code, found.type, found.param) == ("context_length_exceeded", "t", "messages")
    assert (found.status, found.limit, found.used) == (400, 4, 5)
    assert relayed(json.dumps({"error": "x"}), type="outer", param="p").type == "outer"


def test_the_inner_status_and_wait_count_where_there_is_no_other() -> None:
    info = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]
    raw = json.dumps({"error": {"code": 429, "message": "busy", "details": info}})
    found = say({"message": "Provider returned error", "metadata": {"raw": raw}})
    assert (found.message, found.status, found.wait) == ("Provider returned error: busy", 429, 34)


@pytest.mark.parametrize(
    ("message", "raw", "joined"),
    [
        ("A: busy", "busy", "A: busy"),
        ("busy", "A: busy", "A: busy"),
        ("", "busy", "busy"),
        ("busy", " ", "busy"),
        ("busy", '{"error":{"code":"c"}}', 'busy: {"error":{"code":"c"}}'),
        ("busy", "[1, 2]", "busy: [1, 2]"),
        ("busy", '{"a": 1} and more', 'busy: {"a": 1} and more'),
        ("busy", '{"message": ', 'busy: {"message":'),
        ("busy", None, "busy"),
        ("busy", "", "busy"),
        ("busy", ["odd"], "busy"),
        ("busy", 7, "busy"),
        ("busy", {}, "busy"),
    ],
)
def test_a_reason_is_added_only_where_it_says_more(message: str, raw: object, joined: str) -> None:
    assert relayed(raw, message=message).message == joined


def test_half_a_surrogate_pair_in_a_reason_does_no_harm() -> None:
    assert clean(relayed("a \ud800").message, 99) == "Provider returned error: a \ufffd"


@pytest.mark.parametrize("metadata", [None, "raw", [], {}, {"raw": None}])
def test_metadata_without_a_reason_changes_nothing(metadata: object) -> None:
    found = say({"error": {"message": "busy", "metadata": metadata}})
    assert (found.message, found.reason) == ("busy", "")


def test_a_reason_in_a_failed_choice_is_told_too() -> None:
    error = {"code": 502, "message": "Provider returned error", "metadata": {"raw": "busy"}}
    found = say({"choices": [{"index": 0, "error": error}]})
    assert (found.message, found.status) == ("Provider returned error: busy", 502)


def test_what_a_gateway_hands_on_is_read_once_however_often_it_was_handed_on() -> None:
    inner = {"error": {"message": "Provider returned error", "metadata": {"raw": "busy"}}}
    assert relayed(inner).message == "Provider returned error"


def test_code_and_type_inside_detail_are_read() -> None:
    # FastChat's, measured
    error = {"message": "", "type": "invalid_request_error", "code": "invalid_api_key", "param": "p"}
    found = say({"detail": {"error": error}})
    assert (found.code, found.type, found.param) == ("invalid_api_key", "invalid_request_error", "p")
    assert say({"detail": {"code": "c", "status_code": 403}}) == ErrorBody(
        message='{"detail": {"code": "c", "status_code": 403}}', code="c", status=403
    )


def test_places_in_a_list_of_details_are_no_type() -> None:
    found = say({"detail": [{"loc": ["body"], "msg": "No.", "type": "missing"}]})
    assert (found.message, found.type) == ("body: No.", None)


@pytest.mark.parametrize(
    ("value", "code", "type_"),
    [
        ({"error_code": 336003, "error_msg": "No."}, 336003, None),
        ({"error_code": "c", "error_type": "t", "error_message": "No."}, "c", "t"),
        ({"base_resp": {"status_code": 1008, "status_msg": "No."}}, 1008, None),
        ({"base_resp": {"status_code": 429, "status_msg": "No."}}, 429, None),
        ({"code": "c", "base_resp": 3, "message": "No."}, "c", None),
    ],
)
def test_codes_under_other_names(value: object, code: object, type_: str | None) -> None:
    found = say(value)
    assert (found.message, found.code, found.type) == ("No.", code, type_)

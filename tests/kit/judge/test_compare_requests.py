"""What the server saw, held against what it should have seen."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.judge.requests import compare_requests
from botticelli.kit.server.recording import RecordedRequest, Recording, Request

HEADERS = (("Authorization", "Bearer k"), ("Accept", "a"), ("accept", "b"))
BODY = '{"model":"m","messages":[{"role":"user","content":"é"}],"n":0}'.encode()


def request(body: bytes = BODY, **circumstances: Any) -> RecordedRequest:
    details: dict[str, Any] = {"connection": 0, "delay": None, **circumstances}
    return RecordedRequest(Request("POST", "/v1/x?a=b", HEADERS, body), **details)


def paths(wanted: dict[str, Any], *requests: RecordedRequest, connections: int = 1) -> list[str]:
    seen = Recording(requests, connections, ())
    return [difference.path for difference in compare_requests(wanted, seen)]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({}, None),
        ({"method": "POST", "path": "/v1/x?a=b"}, None),
        ({"method": "GET"}, "/method"),
        ({"path": "/v1/x"}, "/path"),
        ({"headers": {"authorization": "Bearer k", "ACCEPT": "a, b"}}, None),
        ({"headers": {"Authorization": "Bearer K"}}, "/headers/Authorization"),
        ({"headers": {"Authorization": True, "X-A": False}}, None),
        ({"headers": {"X-A": True}}, "/headers/X-A"),
        ({"headers": {"Accept": False}}, "/headers/Accept"),
        ({"headers": {"Accept": {"contains": "b"}, "X-A": {"lacks": "b"}}}, None),
        ({"headers": {"Accept": {"contains": "c"}}}, "/headers/Accept"),
        ({"headers": {"X-A": {"contains": "c"}}}, "/headers/X-A"),
        ({"headers": {"Accept": {"lacks": "b"}}}, "/headers/Accept"),
        ({"headers": {"X-A": "c"}}, "/headers/X-A"),
        ({"body": {"messages": [{"content": "é"}]}}, None),
        ({"body": {"n": False}}, "/body/n"),
        ({"body": {"seed": 1}}, "/body/seed"),
        ({"body_keys": ["n", "messages", "model"]}, None),
        ({"body_keys": ["messages", "model"]}, "/body"),
        ({"body_keys": ["messages", "model", "n", "seed"]}, "/body"),
        ({"body_first_key": "model"}, None),
        ({"body_first_key": "messages"}, "/body"),
        ({"body_absent": ["/seed", "/messages/1", "/messages/0/name", "/n/x"]}, None),
        ({"body_absent": ["/n"]}, "/body/n"),
        ({"body_absent": ["/messages/0/role"]}, "/body/messages/0/role"),
        ({"raw_contains": ["é", '"n":0']}, None),
        ({"raw_contains": ["\\u00e9"]}, "/body"),
        ({"raw_lacks": ["null"]}, None),
        ({"raw_lacks": ["é"]}, "/body"),
        ({"client_left": False}, None),
        ({"client_left": True}, "/connection"),
        ({"delay": {"min": 0}}, "/delay"),
    ],
)
def test_a_request_fits_or_says_where_not(rule: dict[str, Any], path: str | None) -> None:
    expected = [] if path is None else [f"/requests/0{path}"]
    assert paths({"all": rule}, request()) == expected
    assert paths({"each": [rule]}, request()) == expected


def test_a_pointer_is_unescaped() -> None:
    one = request(b'{"a/b":{"c~d":1}}')
    assert paths({"all": {"body_absent": ["/a~1b/c~0d"]}}, one) == ["/requests/0/body/a~1b/c~0d"]


DEEP = [b'{"a":' + b"[" * levels + b"]" * levels + b"}" for levels in (101, 200_000)]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": "\xed\xa0\x80"}', *DEEP])
def test_a_body_that_is_not_json_is_a_difference_when_json_is_asked_for(body: bytes) -> None:
    assert paths({"all": {"body": {}}}, request(body)) == ["/requests/0/body"]
    assert paths({"all": {"body_absent": ["/x"]}}, request(body)) == ["/requests/0/body"]
    assert paths({"all": {"method": "POST"}}, request(body)) == []


def test_a_body_that_is_not_an_object_has_no_keys() -> None:
    assert paths({"all": {"body_keys": ["a"]}}, request(b"[1]")) == ["/requests/0/body"]


def test_count_and_connections() -> None:
    two = (request(), request())
    assert paths({"count": 2, "connections": 1}, *two) == []
    assert paths({"count": 3, "connections": 2}, *two) == ["/requests/count", "/requests/connections"]
    assert paths({"count": {"min": 1, "max": 2}}, *two) == []
    assert paths({"count": {"min": 3}}, *two) == ["/requests/count"]
    assert paths({"connections": {"max": 1}}, *two, connections=2) == ["/requests/connections"]
    assert paths({"count": 0}) == []


def test_each_is_by_position_and_a_missing_one_is_reported_once() -> None:
    assert paths({"each": [{}, {"method": "GET"}]}, request(), request()) == ["/requests/1/method"]
    assert paths({"each": [{}, {}, {}]}, request()) == ["/requests/1", "/requests/2"]
    assert paths({"each": [{}, {}], "count": 2}, request()) == ["/requests/count"]


def test_bodies_that_must_be_those_of_the_first() -> None:
    rule = {"all": {"body_matches": "first"}}
    assert paths(rule, request(), request()) == []
    assert paths(rule, request(), request(BODY + b" ")) == ["/requests/1/body"]


def test_delays_and_departures() -> None:
    late = request(delay=1.2, client_left=True)
    assert paths({"all": {"delay": {"min": 1, "max": 2}, "client_left": True}}, late) == []
    assert paths({"all": {"delay": {"min": 1.3}}}, late) == ["/requests/0/delay"]
    assert paths({"all": {"delay": {"max": 1}}}, late) == ["/requests/0/delay"]
    assert paths({"all": {"client_left": False}}, late) == ["/requests/0/connection"]


def test_protocol_errors_are_reported_whatever_is_asked() -> None:
    [difference] = compare_requests({}, Recording((), 1, ("not a request line: b'x'",)))
    assert difference.got == "not a request line: b'x'"


@pytest.mark.parametrize(
    ("rule", "body", "gravity"),
    [
        ({"method": "GET"}, BODY, Gravity.IMPRECISE),
        ({"headers": {"X-A": True}}, BODY, Gravity.IMPRECISE),
        ({"body_first_key": "n"}, BODY, Gravity.IMPRECISE),
        ({"client_left": True}, BODY, Gravity.IMPRECISE),
        ({"delay": {"min": 9}}, BODY, Gravity.IMPRECISE),
        ({"body": {"model": "other"}}, BODY, Gravity.SILENT),
        ({"raw_contains": ["x"]}, BODY, Gravity.SILENT),
        ({"body": {}}, b"no JSON", Gravity.SILENT),
        # A null too many asks for nothing; anything else changes the answer.
        ({"body_absent": ["/a"]}, b'{"a":null}', Gravity.IMPRECISE),
        ({"body_absent": ["/a"]}, b'{"a":0}', Gravity.SILENT),
        ({"body_keys": ["b"]}, b'{"a":null,"b":1}', Gravity.IMPRECISE),
        ({"body_keys": ["b"]}, b'{"a":1,"b":1}', Gravity.SILENT),
        ({"body_keys": ["b"]}, b'{"a":null}', Gravity.SILENT),
    ],
)
def test_a_body_that_differs_is_graver_than_what_stands_around_it(
    rule: dict[str, Any], body: bytes, gravity: Gravity
) -> None:
    seen = Recording((request(body, delay=1.0),), 1, ())
    assert {one.gravity for one in compare_requests({"all": rule}, seen)} == {gravity}


@pytest.mark.parametrize(
    ("again", "gravity"), [(b'{ "a": 1 }', Gravity.IMPRECISE), (b'{"a":2}', Gravity.SILENT)]
)
def test_a_repeated_request_may_be_laid_out_otherwise(again: bytes, gravity: Gravity) -> None:
    seen = Recording((request(b'{"a":1}'), request(again)), 1, ())
    [found] = compare_requests({"all": {"body_matches": "first"}}, seen)
    assert found.gravity is gravity

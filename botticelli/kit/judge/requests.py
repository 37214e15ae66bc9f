"""Compare what the server received with what its case expects.

All functions are pure and work on raw bytes and JSON. contracts/kit/case.schema.json defines what
``requests`` means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.jsonvalue import DEEPEST, as_object, equal, is_object, resolve, too_deep
from botticelli.kit.judge.compare import Difference, compare_part, compare_range, show
from botticelli.kit.judge.gravity import Gravity

if TYPE_CHECKING:
    from botticelli.kit.server.recording import RecordedRequest, Recording

__all__ = ["compare_count", "compare_requests", "wasted_requests"]

Object: TypeAlias = Mapping[str, Any]


def compare_requests(wanted: Object, recording: Recording) -> Iterator[Difference]:
    """Compare everything that the server received with a case's ``requests``."""
    for problem in recording.protocol_errors:
        yield Difference("/requests", "a request that can be answered", problem)
    yield from compare_count(wanted.get("count"), len(recording.requests), "/requests/count")
    yield from compare_count(wanted.get("connections"), recording.connections, "/requests/connections")
    for number, request in enumerate(recording.requests):
        path = f"/requests/{number}"
        yield from _request(wanted.get("all", {}), request, recording, path)
        each = wanted.get("each", [])
        if number < len(each):
            yield from _request(each[number], request, recording, path)
    if "count" not in wanted:
        for number in range(len(recording.requests), len(wanted.get("each", []))):
            yield Difference(f"/requests/{number}", "a request", "none")


def wasted_requests(wanted: Object, answers: int, recording: Recording) -> bool:
    """Tell whether calls were answered without a request, or with more requests than necessary.

    Nobody would notice that an answer wasn't asked for, or was paid for twice. After an error at least
    the user looks.

    Args:
        wanted: A case's ``requests``, with ``count``.
        answers: How many calls ended with an answer.
        recording: What the server received.
    """
    count = wanted["count"]
    most: int = count.get("max", len(recording.requests)) if is_object(count) else count
    return answers > len(recording.requests) or (answers > 0 and len(recording.requests) > most)


def compare_count(wanted: int | Object | None, got: int, path: str) -> Iterator[Difference]:
    """Compare a count with a number or a range; None accepts any."""
    if isinstance(wanted, Mapping):
        yield from compare_range(wanted, got, path)
    elif wanted is not None and wanted != got:
        yield Difference(path, str(wanted), str(got))


def _request(wanted: Object, got: RecordedRequest, recording: Recording, path: str) -> Iterator[Difference]:
    request = got.request
    for name, value in (("method", request.method), ("path", request.path)):
        if name in wanted and wanted[name] != value:
            yield Difference(f"{path}/{name}", wanted[name], value)
    for name, rule in wanted.get("headers", {}).items():
        yield from _header(rule, request.header(name), f"{path}/headers/{name}")
    # The model reads the body: one that is lost or altered is answered, and nobody knows.
    for found in _body(wanted, request.body, f"{path}/body"):
        yield replace(found, gravity=Gravity.SILENT)
    yield from _surplus(wanted, request.body, f"{path}/body")
    yield from _first_member(wanted, request.body, f"{path}/body")
    first = recording.requests[0].request.body
    if "body_matches" in wanted and request.body != first:
        same = equal(_parse(request.body)[0], _parse(first)[0])
        yield Difference(
            f"{path}/body",
            "the bytes of the first request",
            _readable(request.body),
            Gravity.IMPRECISE if same else Gravity.SILENT,
        )
    if "delay" in wanted:
        if got.delay is None:
            yield Difference(f"{path}/delay", "an answer before it", "none")
        else:
            yield from compare_range(wanted["delay"], got.delay, f"{path}/delay", "s")
    if "client_left" in wanted and wanted["client_left"] != got.client_left:
        words = {True: "closed before the answer's end", False: "left open"}
        path = f"{path}/connection"
        yield Difference(path, words[wanted["client_left"]], words[got.client_left])


def _header(rule: str | bool | Object, got: str | None, path: str) -> Iterator[Difference]:
    found = "not there" if got is None else show(got)
    match rule:
        case True if got is None:
            yield Difference(path, "there", found)
        case False if got is not None:
            yield Difference(path, "not there", found)
        case str() if got != rule:
            yield Difference(path, show(rule), found)
        case {"contains": str(text)} if text not in (got or ""):
            yield Difference(path, f"{show(text)} in it", found)
        case {"lacks": str(text)} if text in (got or ""):
            yield Difference(path, f"no {show(text)} in it", found)
        case _:
            pass


_JSON_RULES = ("body", "body_keys", "body_absent")


def _body(wanted: Object, raw: bytes, path: str) -> Iterator[Difference]:
    for text in wanted.get("raw_contains", ()):
        if text.encode() not in raw:
            yield Difference(path, f"{show(text)} in it", _readable(raw))
    for text in wanted.get("raw_lacks", ()):
        if text.encode() in raw:
            yield Difference(path, f"no {show(text)} in it", _readable(raw))
    if not any(rule in wanted for rule in _JSON_RULES):
        return
    body, problem = _parse(raw)
    if problem:
        yield Difference(path, "JSON", f"{_readable(raw)} ({problem})")
        return
    if "body" in wanted:
        yield from compare_part(wanted["body"], body, path)


def _surplus(wanted: Object, raw: bytes, path: str) -> Iterator[Difference]:
    """Compare which members the body has. One too many that is null asks for nothing: it isn't grave."""
    body = as_object(_parse(raw)[0])
    keys, due = list(body), wanted.get("body_keys", list(body))
    if set(keys) != set(due):
        empty = set(due) <= body.keys() and all(body[key] is None for key in body.keys() - set(due))
        gravity = Gravity.IMPRECISE if empty else Gravity.SILENT
        yield Difference(path, f"exactly {', '.join(due)}", ", ".join(keys), gravity)
    for pointer in wanted.get("body_absent", ()):
        try:
            value = resolve(body, pointer)
        except LookupError:
            continue
        gravity = Gravity.IMPRECISE if value is None else Gravity.SILENT
        yield Difference(path + pointer, "nothing", show(value), gravity)


def _first_member(wanted: Object, raw: bytes, path: str) -> Iterator[Difference]:
    """Compare the first member of the body, on which no answer depends."""
    keys = list(as_object(_parse(raw)[0]))
    if "body_first_key" in wanted and keys[:1] != [wanted["body_first_key"]]:
        yield Difference(path, f"{wanted['body_first_key']} first", ", ".join(keys))


def _parse(raw: bytes) -> tuple[Any, str]:
    """Return the parsed body, and what is wrong with it or an empty text."""
    try:
        # json.loads would also take UTF-16, and bytes that aren't UTF-8.
        body = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        return None, str(error)
    return body, f"more than {DEEPEST} levels" if too_deep(body) else ""


def _readable(raw: bytes) -> str:
    return show(raw.decode("utf-8", "backslashreplace"))

"""What the server saw against what it should have seen.

Pure. The rules' meaning is written in contracts/kit/case.schema.json under ``requests``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import DEEPEST, as_object, is_object, resolve, too_deep
from botticelli.kit.judge.mismatch import Mismatch, part, show, within

if TYPE_CHECKING:
    from botticelli.kit.server.recording import Seen, SeenRequest

Object = Mapping[str, Any]


def sent(wanted: Object, seen: Seen) -> Iterator[Mismatch]:
    """Compare all that a stage saw with a case's ``requests``."""
    for trouble in seen.trouble:
        yield Mismatch("/requests", "a request that can be answered", trouble)
    yield from _count(wanted.get("count"), len(seen.requests), "/requests/count")
    yield from _count(wanted.get("connections"), seen.connections, "/requests/connections")
    for number, request in enumerate(seen.requests):
        path = f"/requests/{number}"
        yield from _request(wanted.get("all", {}), request, seen, path)
        each = wanted.get("each", [])
        if number < len(each):
            yield from _request(each[number], request, seen, path)
    if "count" not in wanted:
        for number in range(len(seen.requests), len(wanted.get("each", []))):
            yield Mismatch(f"/requests/{number}", "a request", "none")


def unnoticed(wanted: Object, answers: int, seen: Seen) -> bool:
    """Tell whether nobody would know that the requests were not those that were due.

    So it is when an answer was given for which nothing was asked, or one that was asked for, and
    paid, more often than was wanted. After an error at least the user looks.

    Args:
        wanted: A case's ``requests``.
        answers: How many calls were answered, other than by an error.
        seen: What the server saw.
    """
    count = wanted["count"]
    most: int = count.get("max", len(seen.requests)) if is_object(count) else count
    return answers > len(seen.requests) or (answers > 0 and len(seen.requests) > most)


def _count(wanted: int | Object | None, got: int, path: str) -> Iterator[Mismatch]:
    if isinstance(wanted, Mapping):
        yield from within(wanted, got, path)
    elif wanted is not None and wanted != got:
        yield Mismatch(path, str(wanted), str(got))


def _request(wanted: Object, got: SeenRequest, seen: Seen, path: str) -> Iterator[Mismatch]:
    request = got.request
    for name, value in (("method", request.method), ("path", request.path)):
        if name in wanted and wanted[name] != value:
            yield Mismatch(f"{path}/{name}", wanted[name], value)
    for name, rule in wanted.get("headers", {}).items():
        yield from _header(rule, request.header(name), f"{path}/headers/{name}")
    yield from _body(wanted, request.body, f"{path}/body")
    if "body_matches" in wanted and request.body != seen.requests[0].request.body:
        yield Mismatch(f"{path}/body", "the bytes of the first request", _shown(request.body))
    if "delay" in wanted:
        if got.delay is None:
            yield Mismatch(f"{path}/delay", "an answer before it", "none")
        else:
            yield from within(wanted["delay"], got.delay, f"{path}/delay", "s")
    if "client_left" in wanted and wanted["client_left"] != got.client_left:
        words = {True: "closed before the answer's end", False: "left open"}
        path = f"{path}/connection"
        yield Mismatch(path, words[wanted["client_left"]], words[got.client_left])


def _header(rule: str | bool | Object, got: str | None, path: str) -> Iterator[Mismatch]:
    told = "not there" if got is None else show(got)
    match rule:
        case True if got is None:
            yield Mismatch(path, "there", told)
        case False if got is not None:
            yield Mismatch(path, "not there", told)
        case str() if got != rule:
            yield Mismatch(path, show(rule), told)
        case {"contains": str(text)} if text not in (got or ""):
            yield Mismatch(path, f"{show(text)} in it", told)
        case {"lacks": str(text)} if text in (got or ""):
            yield Mismatch(path, f"no {show(text)} in it", told)
        case _:
            pass


_JSON_RULES = ("body", "body_keys", "body_first_key", "body_absent")


def _body(wanted: Object, raw: bytes, path: str) -> Iterator[Mismatch]:
    for text in wanted.get("raw_contains", ()):
        if text.encode() not in raw:
            yield Mismatch(path, f"{show(text)} in it", _shown(raw))
    for text in wanted.get("raw_lacks", ()):
        if text.encode() in raw:
            yield Mismatch(path, f"no {show(text)} in it", _shown(raw))
    if not any(rule in wanted for rule in _JSON_RULES):
        return
    body, trouble = _parsed(raw)
    if trouble:
        yield Mismatch(path, "JSON", f"{_shown(raw)} ({trouble})")
        return
    if "body" in wanted:
        yield from part(wanted["body"], body, path)
    keys = list(as_object(body))
    if "body_keys" in wanted and set(keys) != set(wanted["body_keys"]):
        yield Mismatch(path, f"exactly {', '.join(wanted['body_keys'])}", ", ".join(keys))
    if "body_first_key" in wanted and keys[:1] != [wanted["body_first_key"]]:
        yield Mismatch(path, f"{wanted['body_first_key']} first", ", ".join(keys))
    for pointer in wanted.get("body_absent", ()):
        present, value = _at(body, pointer)
        if present:
            yield Mismatch(path + pointer, "nothing", show(value))


def _parsed(raw: bytes) -> tuple[Any, str]:
    """Return a body and what is wrong with it; empty when nothing is."""
    try:
        # Decoded first: json.loads takes bytes that are UTF-16, or no UTF-8 at all.
        body = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        return None, str(error)
    return body, f"more than {DEEPEST} levels" if too_deep(body) else ""


def _at(value: Any, pointer: str) -> tuple[bool, Any]:
    try:
        return True, resolve(value, pointer)
    except LookupError:
        return False, None


def _shown(raw: bytes) -> str:
    return show(raw.decode("utf-8", "backslashreplace"))

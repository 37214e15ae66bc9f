"""An outcome against what a case expects of it: every difference with its path.

Pure. The matchers' meaning is written in contracts/kit/case.schema.json; here it is done, on raw
JSON. A function of this module yields :class:`Mismatch` and yields nothing when all is well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botticelli.contracts.jsonvalue import equal
from botticelli.kit.judge.mismatch import Mismatch, part, same, show, text, within

Object = Mapping[str, Any]


def outcome(expected: Object, got: Object, *, claims: frozenset[str]) -> Iterator[Mismatch]:
    """Compare an outcome with one of the outcomes that are right.

    Args:
        expected: One member, as in a case's ``expect``.
        got: The outcome, valid by its schema.
        claims: What the door says that the driver can do.
    """
    kind = next(iter(expected))
    if kind not in got:
        yield Mismatch("", kind, _told(got))
        return
    wanted = expected[kind]
    strict = "deviations" in claims
    if kind == "response":
        yield from response(wanted, got["response"], "/response", strict=strict)
        yield from _at_least(wanted, got["response"].get("chunks", ()), "/response/chunks")
    elif kind == "error":
        yield from _error(wanted, got, claims)
        yield from _at_least(wanted, got.get("partial_chunks", ()), "/partial_chunks")
    elif kind == "models":
        yield from same(wanted, got["models"], "/models")
    else:
        yield from _at_least(wanted, got.get("partial_chunks", ()), "/partial_chunks")


def _told(got: Object) -> str:
    for kind in ("error", "unsupported", "models"):
        if kind in got:
            return f"{kind} {show(got[kind])}"
    if "response" in got:
        choices = got["response"]["choices"]
        return f"response with {show(choices[0]) if choices else 'no choice'}"
    return "cancelled"


def _at_least(wanted: Object, chunks: Sequence[str], path: str) -> Iterator[Mismatch]:
    if len(chunks) < wanted.get("min_chunks", 0):
        yield Mismatch(path, f"at least {wanted['min_chunks']} texts", f"{len(chunks)}")


def response(wanted: Object, got: Object, path: str, *, strict: bool) -> Iterator[Mismatch]:
    """Compare a response, or a partial one, with what is wanted of it."""
    # Without choices, what is said is said of the only one there may be.
    choices = wanted.get("choices", [{**wanted, "index": 0}])
    yield from _choices(choices, got["choices"], f"{path}/choices")
    if "usage" in wanted:
        yield from _usage(wanted["usage"], got.get("usage"), f"{path}/usage")
    for name in ("id", "model", "request_id", "provider"):
        if name in wanted:
            yield from text(wanted[name], got.get(name), f"{path}/{name}")
    if "rate_limits" in wanted:
        yield from part(wanted["rate_limits"], got.get("rate_limits"), f"{path}/rate_limits")
    account = got.get("deviations")
    if "deviations" in wanted and (account is not None or strict):
        yield from _deviations(wanted["deviations"], account or [], f"{path}/deviations")


def _deviations(wanted: list[str], got: list[str], path: str) -> Iterator[Mismatch]:
    if not wanted and got:
        yield Mismatch(path, "none", show(got))
    for code in wanted:
        if code not in got:
            yield Mismatch(path, f"{code} among them", show(got))


def _choices(wanted: list[Object], got: list[Object], path: str) -> Iterator[Mismatch]:
    if len(wanted) != len(got):
        yield Mismatch(path, f"{len(wanted)} choices", show(got))
        return
    for position, (one, other) in enumerate(zip(wanted, got, strict=True)):
        yield from _choice(one, other, f"{path}/{position}")


def _choice(wanted: Object, got: Object, path: str) -> Iterator[Mismatch]:
    for name in ("text", "reasoning", "refusal"):
        # Null and "" say the same of a message's content, and so does a case that says nothing.
        yield from text(wanted.get(name, ""), got.get(name) or "", f"{path}/{name}")
    for name in ("index", "finish_reason", "finish_reason_raw"):
        if name in wanted:
            yield from same(wanted[name], got.get(name), f"{path}/{name}")
    if "logprobs" in wanted:
        yield from part(wanted["logprobs"], got.get("logprobs"), f"{path}/logprobs")
    calls, told = wanted.get("tool_calls", []), got.get("tool_calls", [])
    if len(calls) != len(told):
        yield Mismatch(f"{path}/tool_calls", f"{len(calls)} tool calls", show(told))
    elif "tool_calls_in_any_order" in wanted:
        yield from _in_any_order(calls, told, f"{path}/tool_calls")
    else:
        for position, (one, other) in enumerate(zip(calls, told, strict=True)):
            yield from _tool_call(one, other, f"{path}/tool_calls/{position}")


def _in_any_order(wanted: list[Object], got: list[Object], path: str) -> Iterator[Mismatch]:
    """Pair every call with one of its own (Kuhn's augmenting paths: the first fit may be another's)."""
    fits = [[n for n, other in enumerate(got) if not any(_tool_call(one, other, ""))] for one in wanted]
    taken: dict[int, int] = {}

    def seat(call: int, seen: set[int]) -> bool:
        for place in fits[call]:
            if place not in seen:
                seen.add(place)
                if place not in taken or seat(taken[place], seen):
                    taken[place] = call
                    return True
        return False

    for number, one in enumerate(wanted):
        if not seat(number, set()):
            yield Mismatch(path, f"{show(one)} among them", show(got))
            return


def _tool_call(wanted: Object, got: Object, path: str) -> Iterator[Mismatch]:
    if isinstance(wanted.get("id"), dict):
        if not got["id"]:
            yield Mismatch(f"{path}/id", "an id", show(got["id"]))
    elif "id" in wanted:
        yield from same(wanted["id"], got["id"], f"{path}/id")
    if "type" in wanted:
        yield from same(wanted["type"], got.get("type"), f"{path}/type")
    if "name" in wanted:
        yield from text(wanted["name"], got["name"] or "", f"{path}/name")
    if "arguments" in wanted:
        yield from _arguments(wanted["arguments"], got["arguments"] or "", f"{path}/arguments")


def _arguments(wanted: str | Object, got: str, path: str) -> Iterator[Mismatch]:
    if isinstance(wanted, str) or "json" not in wanted:
        yield from text(wanted, got, path)
        return
    try:
        value = json.loads(got)
    except (ValueError, RecursionError):
        yield Mismatch(path, f"the text of {show(wanted['json'])}", show(got))
        return
    if not equal(wanted["json"], value):
        yield Mismatch(path, f"the text of {show(wanted['json'])}", show(got))


def _usage(wanted: Object | None, got: Object | None, path: str) -> Iterator[Mismatch]:
    if wanted is None or got is None:
        yield from same(wanted, got, path)
        return
    for name, count in wanted.items():
        yield from same(count, got.get(name), f"{path}/{name}")


def _error(wanted: Object, whole: Object, claims: frozenset[str]) -> Iterator[Mismatch]:
    got, path = whole["error"], "/error"
    strict = "deviations" in claims
    if got["kind"] not in wanted["kind"]:
        yield Mismatch(f"{path}/kind", " or ".join(wanted["kind"]), got["kind"])
    for name in ("status", "code", "cause_kind"):
        if name in wanted:
            yield from same(wanted[name], got.get(name), f"{path}/{name}")
    for name in ("attempts", "phase"):
        # What the server saw is judged in any case; not every driver tells of it.
        if name in wanted and (got.get(name) is not None or name in claims):
            yield from same(wanted[name], got.get(name), f"{path}/{name}")
    if "request_id" in wanted:
        yield from text(wanted["request_id"], got.get("request_id"), f"{path}/request_id")
    if "retry_after" in wanted:
        yield from _seconds(wanted["retry_after"], got.get("retry_after"), f"{path}/retry_after")
    yield from _message(wanted, got["message"], f"{path}/message")
    yield from _partial(
        wanted.get("partial"), got.get("partial"), whole.get("partial_chunks", []), strict=strict
    )


def _message(wanted: Object, got: str, path: str) -> Iterator[Mismatch]:
    for piece in wanted.get("message_contains", ()):
        if piece not in got:
            yield Mismatch(path, f"{show(piece)} in it", show(got))
    for piece in wanted.get("message_lacks", ()):
        if piece in got:
            yield Mismatch(path, f"no {show(piece)} in it", show(got))
    if len(got) > wanted.get("message_max", len(got)):
        yield Mismatch(path, f"at most {wanted['message_max']} characters", f"{len(got)}")


def _partial(
    wanted: Object | None, got: Object | None, delivered: list[str], *, strict: bool
) -> Iterator[Mismatch]:
    path = "/error/partial"
    if wanted is None:
        if delivered or (got and any(map(_says_something, got["choices"]))):
            yield Mismatch(path, "nothing delivered", show(got or delivered))
    elif got is not None:
        yield from response(wanted, got, path, strict=strict)
    elif set(wanted) == {"text"}:
        # No partial answer on the error, but the user had the text in hand: nothing is lost.
        yield from text(wanted["text"], "".join(delivered), "/partial_chunks")
    else:
        yield Mismatch(path, show(wanted), "null")


def _says_something(choice: Object) -> bool:
    return any(choice.get(name) for name in ("text", "reasoning", "refusal", "tool_calls"))


def _seconds(wanted: float | Object | None, got: float | None, path: str) -> Iterator[Mismatch]:
    if wanted is None or got is None:
        yield from same(wanted, got, path)
    elif isinstance(wanted, Mapping):
        yield from within(wanted, got, path, "s")
    elif abs(wanted - got) > 0.01:
        yield Mismatch(path, f"{wanted} s", f"{got} s")

"""What was expected against what was got: every difference with its path.

Pure. The matchers' meaning is written in contracts/kit/case.schema.json; here it is done, on raw
JSON. A function of this module yields :class:`Mismatch` and yields nothing when all is well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botticelli.kit.values import equal, is_array, is_object

Object = Mapping[str, Any]

_FIRST_CHOICE = frozenset(
    {
        "text",
        "reasoning",
        "refusal",
        "finish_reason",
        "finish_reason_raw",
        "tool_calls",
        "tool_calls_in_any_order",
        "logprobs",
    }
)
_NOTHING: Object = {}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference.

    Attributes:
        path: JSON pointer into the outcome (``/response/choices/0/text``) or, under
            ``/requests``, into what the server saw.
        expected: What would have been right, in words or as JSON.
        got: What there was.
    """

    path: str
    expected: str
    got: str


def show(value: object) -> str:
    """Return a value as JSON, cut in the middle when it is long."""
    text = visible(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 400 else f"{text[:280]} [... {len(text)} characters] {text[-100:]}"


def visible(text: str) -> str:
    """Return a text with what cannot be printed or seen escaped; its lines stay lines."""
    seen = (c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
    return "".join(seen)


def outcome(expected: Object, got: Object, *, strict_deviations: bool) -> Iterator[Mismatch]:
    """Compare an outcome with one of the outcomes that are right.

    Args:
        expected: One member, as in a case's ``expect``.
        got: The outcome, valid by its schema.
        strict_deviations: The driver claims to keep account of deviations.
    """
    kind = next(iter(expected))
    if kind not in got:
        yield Mismatch("", kind, _told(got))
        return
    wanted = expected[kind]
    if kind == "response":
        yield from response(wanted, got["response"], "/response", strict=strict_deviations)
        yield from _at_least(wanted, got["response"].get("chunks", ()), "/response/chunks")
    elif kind == "error":
        yield from _error(wanted, got)
    elif kind == "models":
        yield from _same(wanted, got["models"], "/models")
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
    first = {key: value for key, value in wanted.items() if key in _FIRST_CHOICE}
    if first:
        choice = next((c for c in got["choices"] if c["index"] == 0), None)
        if choice is None:
            yield Mismatch(f"{path}/choices", "a choice with index 0", show(got["choices"]))
        else:
            position = got["choices"].index(choice)
            yield from _choice(first, choice, f"{path}/choices/{position}")
    if "choices" in wanted:
        yield from _choices(wanted["choices"], got["choices"], f"{path}/choices")
    if "usage" in wanted:
        yield from _usage(wanted["usage"], got.get("usage"), f"{path}/usage")
    for name in ("id", "model", "request_id", "provider"):
        if name in wanted:
            yield from _text(wanted[name], got.get(name), f"{path}/{name}")
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
        if name in wanted:
            # Null and "" say the same of a message's content.
            yield from _text(wanted[name], got.get(name) or "", f"{path}/{name}")
    for name in ("index", "finish_reason", "finish_reason_raw"):
        if name in wanted:
            yield from _same(wanted[name], got.get(name), f"{path}/{name}")
    if "logprobs" in wanted:
        yield from part(wanted["logprobs"], got.get("logprobs"), f"{path}/logprobs")
    if "tool_calls" in wanted:
        free = "tool_calls_in_any_order" in wanted
        yield from _tool_calls(
            wanted["tool_calls"], got.get("tool_calls", []), f"{path}/tool_calls", free=free
        )


def _tool_calls(wanted: list[Object], got: list[Object], path: str, *, free: bool) -> Iterator[Mismatch]:
    if len(wanted) != len(got):
        yield Mismatch(path, f"{len(wanted)} tool calls", show(got))
        return
    if free:
        left = list(got)
        for one in wanted:
            fit = next((other for other in left if not list(_tool_call(one, other, ""))), None)
            if fit is None:
                yield Mismatch(path, f"{show(one)} among them", show(got))
                return
            left.remove(fit)
        return
    for position, (one, other) in enumerate(zip(wanted, got, strict=True)):
        yield from _tool_call(one, other, f"{path}/{position}")


def _tool_call(wanted: Object, got: Object, path: str) -> Iterator[Mismatch]:
    if isinstance(wanted.get("id"), dict):
        if not got["id"]:
            yield Mismatch(f"{path}/id", "an id", show(got["id"]))
    elif "id" in wanted:
        yield from _same(wanted["id"], got["id"], f"{path}/id")
    if "type" in wanted:
        yield from _same(wanted["type"], got.get("type"), f"{path}/type")
    if "name" in wanted:
        yield from _text(wanted["name"], got["name"] or "", f"{path}/name")
    if "arguments" in wanted:
        yield from _arguments(wanted["arguments"], got["arguments"] or "", f"{path}/arguments")


def _arguments(wanted: str | Object, got: str, path: str) -> Iterator[Mismatch]:
    if isinstance(wanted, str) or "json" not in wanted:
        yield from _text(wanted, got, path)
        return
    try:
        value = json.loads(got)
    except ValueError:
        yield Mismatch(path, f"the text of {show(wanted['json'])}", show(got))
        return
    if not equal(wanted["json"], value):
        yield Mismatch(path, f"the text of {show(wanted['json'])}", show(got))


def _usage(wanted: Object | None, got: Object | None, path: str) -> Iterator[Mismatch]:
    if wanted is None or got is None:
        yield from _same(wanted, got, path)
        return
    for name, count in wanted.items():
        yield from _same(count, got.get(name), f"{path}/{name}")


def _error(wanted: Object, whole: Object) -> Iterator[Mismatch]:
    got, path = whole["error"], "/error"
    if got["kind"] not in wanted["kind"]:
        yield Mismatch(f"{path}/kind", " or ".join(wanted["kind"]), got["kind"])
    for name in ("status", "code", "phase", "cause_kind", "attempts"):
        if name in wanted:
            yield from _same(wanted[name], got.get(name), f"{path}/{name}")
    if "request_id" in wanted:
        yield from _text(wanted["request_id"], got.get("request_id"), f"{path}/request_id")
    if "retry_after" in wanted:
        yield from _seconds(wanted["retry_after"], got.get("retry_after"), f"{path}/retry_after")
    yield from _message(wanted, got["message"], f"{path}/message")
    if "partial" in wanted:
        yield from _partial(wanted["partial"], got.get("partial"), whole.get("partial_chunks", []))


def _message(wanted: Object, got: str, path: str) -> Iterator[Mismatch]:
    for text in wanted.get("message_contains", ()):
        if text not in got:
            yield Mismatch(path, f"{show(text)} in it", show(got))
    for text in wanted.get("message_lacks", ()):
        if text in got:
            yield Mismatch(path, f"no {show(text)} in it", show(got))
    if len(got) > wanted.get("message_max", len(got)):
        yield Mismatch(path, f"at most {wanted['message_max']} characters", f"{len(got)}")


def _partial(wanted: Object | None, got: Object | None, delivered: list[str]) -> Iterator[Mismatch]:
    path = "/error/partial"
    if wanted is None:
        if delivered or (got and any(choice["text"] for choice in got["choices"])):
            yield Mismatch(path, "nothing delivered", show(got or delivered))
    elif got is not None:
        yield from response(wanted, got, path, strict=False)
    elif set(wanted) == {"text"}:
        # No partial answer on the error, but the user had the text in hand: nothing is lost.
        yield from _text(wanted["text"], "".join(delivered), "/partial_chunks")
    else:
        yield Mismatch(path, show(wanted), "null")


def _seconds(wanted: float | Object | None, got: float | None, path: str) -> Iterator[Mismatch]:
    if wanted is None or got is None:
        yield from _same(wanted, got, path)
    elif isinstance(wanted, Mapping):
        yield from within(wanted, got, path, "s")
    elif abs(wanted - got) > 0.01:
        yield Mismatch(path, f"{wanted} s", f"{got} s")


def within(wanted: Object, got: float, path: str, unit: str = "") -> Iterator[Mismatch]:
    """Compare a number with ``{min, max}``, either of which may be missing."""
    low, high = wanted.get("min"), wanted.get("max")
    if (low is not None and got < low) or (high is not None and got > high):
        bounds = [f"at least {low}" if low is not None else "", f"at most {high}" if high is not None else ""]
        words = ", ".join(filter(None, bounds))
        yield Mismatch(path, f"{words} {unit}".rstrip(), f"{round(got, 3)} {unit}".rstrip())


def _text(wanted: str | Object | None, got: str | None, path: str) -> Iterator[Mismatch]:
    match wanted:
        case {"any_of": [*variants]}:
            if got not in variants:
                yield Mismatch(path, " or ".join(show(v) for v in variants), show(got))
        case {"contains": str(text)}:
            if text not in (got or ""):
                yield Mismatch(path, f"{show(text)} in it", show(got))
        case {"repeat": int(times), "of": str(text)}:
            yield from _same(text * times, got, path)
        case _:
            yield from _same(wanted, got, path)


def _same(wanted: object, got: object, path: str) -> Iterator[Mismatch]:
    if not equal(wanted, got):
        yield Mismatch(path, show(wanted), show(got))


def part(wanted: object, got: object, path: str) -> Iterator[Mismatch]:
    """Compare JSON of which ``wanted`` is a part: its members must be there, its lists whole."""
    if is_object(wanted) and is_object(got):
        for key, value in wanted.items():
            below = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key in got:
                yield from part(value, got[key], below)
            else:
                yield Mismatch(below, show(value), "nothing")
    elif is_array(wanted) and is_array(got) and len(wanted) == len(got):
        for position, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from part(one, other, f"{path}/{position}")
    else:
        yield from _same(wanted, got, path)

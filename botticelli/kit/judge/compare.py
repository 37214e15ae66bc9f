"""Compare the outcome of a call with what its case expects, and the JSON inside both.

All functions are pure and work on raw JSON. contracts/kit/case.schema.json defines what the expectations
mean. Each function yields one :class:`Difference` per difference, and nothing when all is right.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.jsonvalue import (
    equal,
    escape_token,
    is_array,
    is_object,
)
from botticelli.kit.judge.gravity import Gravity

if TYPE_CHECKING:
    from botticelli.contracts.jsonvalue import Document

__all__ = [
    "REPORTED",
    "Difference",
    "compare_outcome",
    "compare_part",
    "compare_range",
    "compare_text",
    "compare_value",
    "delta_level",
    "escape_invisible",
    "show",
]

Object: TypeAlias = Mapping[str, Any]

REPORTED = frozenset(
    {
        *("attempts", "phase", "code", "retry_after", "partial"),  # of errors
        *("request_id", "provider", "deviations", "finish_words", "content", "raw_arguments"),  # of answers
    }
)
"""The capabilities that say what a driver reports. Without one, null is right for the member it names."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between what was expected and what happened.

    Attributes:
        path: JSON pointer into the outcome (``/response/choices/0/text``) or, under ``/requests``, into
            what the server received. Empty for the outcome as a whole.
        expected: What would have been right, in words or as JSON.
        got: What there was.
        gravity: How grave it is, by what the user gets from it.
    """

    path: str
    expected: str
    got: str
    gravity: Gravity = Gravity.IMPRECISE


# Any two JSON values


def show(value: object) -> str:
    """Return a value as printable JSON.

    It isn't shortened: reports do that once the API key is blanked, so that no part of a key is left.
    """
    return escape_invisible(json.dumps(value, ensure_ascii=False, default=str))


def escape_invisible(text: str) -> str:
    """Return a text with every character escaped that can't be printed; line feeds stay."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def compare_range(wanted: Object, got: float, path: str, unit: str = "") -> Iterator[Difference]:
    """Compare a number with ``{min, max}``, either of which may be missing; both are inclusive."""
    low, high = wanted.get("min"), wanted.get("max")
    if (low is not None and got < low) or (high is not None and got > high):
        bounds = [f"at least {low}" if low is not None else "", f"at most {high}" if high is not None else ""]
        words = ", ".join(filter(None, bounds))
        yield Difference(path, f"{words} {unit}".rstrip(), f"{round(got, 3)} {unit}".rstrip())


def compare_text(wanted: str | Object | None, got: str | None, path: str) -> Iterator[Difference]:
    """Compare a text with a text, or with one of the matchers of case.schema.json."""
    match wanted:
        case {"any_of": [*variants]}:
            if got not in variants:
                yield Difference(path, " or ".join(show(v) for v in variants), show(got))
        case {"contains": str(piece)}:
            if piece not in (got or ""):
                yield Difference(path, f"{show(piece)} in it", show(got))
        case {"repeat": int(times), "of": str(piece)}:
            yield from compare_value(piece * times, got, path)
        case _:
            yield from compare_value(wanted, got, path)


def compare_value(wanted: object, got: object, path: str) -> Iterator[Difference]:
    """Compare two JSON values, which must be equal."""
    if not equal(wanted, got):
        yield Difference(path, show(wanted), show(got))


def compare_part(wanted: object, got: object, path: str) -> Iterator[Difference]:
    """Compare a JSON value with a part of it: objects may have further members, arrays no further items."""
    if is_object(wanted) and is_object(got):
        for key, value in wanted.items():
            if key in got:
                yield from compare_part(value, got[key], f"{path}/{escape_token(key)}")
            else:
                yield Difference(f"{path}/{escape_token(key)}", show(value), "nothing")
    elif is_array(wanted) and is_array(got) and len(wanted) == len(got):
        for position, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from compare_part(one, other, f"{path}/{position}")
    else:
        yield from compare_value(wanted, got, path)


# Outcomes


def compare_outcome(
    expected: Object, got: Object, *, claims: frozenset[str], streamed: bool = True, endless: bool = True
) -> Iterator[Difference]:
    """Compare an outcome with one of the outcomes that are right.

    Args:
        expected: One member of a case's ``expect``.
        got: The outcome, valid by its schema.
        claims: The capabilities that the adapter declares.
        streamed: The call was a stream, which delivers text before its error.
        endless: The server plays an answer that never ends; so an answer can't be the whole of it.
    """
    kind = next(iter(expected))
    if kind not in got:
        yield Difference("", kind, _summary(got), _gravity_of_another(expected, got, endless=endless))
        return
    wanted = expected[kind]
    if kind == "response":
        yield from _response(wanted, got["response"], "/response", claims)
        chunks = got["response"].get("chunks", ())
        yield from _at_least(wanted, chunks, "/response/chunks")
        if "chunks_text" in wanted:
            yield from _content(compare_text(wanted["chunks_text"], "".join(chunks), "/response/chunks"))
    elif kind == "error":
        yield from _error(wanted, got["error"], "/error", claims)
        partial = got["error"].get("partial")
        if streamed or _is_judged(partial, "partial", claims):
            delivered = got.get("partial_chunks", [])
            found = _partial(wanted.get("partial"), partial, delivered, claims)
            # The error says that not all is there. What is there must be what was sent.
            less = _is_beginning(wanted.get("partial"), partial, delivered, claims)
            yield from _graver(found, Gravity.REFUSED if less else Gravity.SILENT)
        yield from _graver(
            _at_least(wanted, got.get("partial_chunks", ()), "/partial_chunks"), Gravity.REFUSED
        )
    elif kind == "models":
        yield from _content(compare_value(wanted, got["models"], "/models"))
    else:
        yield from _at_least(wanted, got.get("partial_chunks", ()), "/partial_chunks")


def _gravity_of_another(expected: Object, got: Object, *, endless: bool) -> Gravity:
    """Return how grave it is that an outcome is of another kind than expected.

    A typed error where an answer was due is noticed; an answer where an error was due isn't. But an answer
    that came after a limit, or after it was cancelled, is whole unless it never ended: it is late.
    """
    if "error" in got:
        return Gravity.IMPRECISE if "cancelled" in expected else Gravity.REFUSED
    if "cancelled" not in got and not endless:
        if "cancelled" in expected:
            return Gravity.IMPRECISE
        if expected.get("error", {}).get("kind") == ["timeout"]:
            return Gravity.HANG
    return Gravity.SILENT


def _content(found: Iterable[Difference]) -> Iterator[Difference]:
    """Mark differences as differences in content."""
    return _graver(found, Gravity.SILENT)


def _graver(found: Iterable[Difference], gravity: Gravity) -> Iterator[Difference]:
    for difference in found:
        yield replace(difference, gravity=gravity)


def _is_beginning(
    wanted: Object | None, got: Object | None, delivered: list[str], claims: frozenset[str]
) -> bool:
    """Tell whether a partial answer holds nothing but what was sent, though less of it."""
    if wanted is None:
        return False
    choices: list[Object] = (got or {"choices": [{"text": "".join(delivered)}]})["choices"]
    due: list[Object] = wanted.get("choices", [wanted])
    return len(choices) <= len(due) and all(
        _begins(*pair, claims) for pair in zip(due, choices, strict=False)
    )


def _begins(wanted: Object, got: Object, claims: frozenset[str]) -> bool:
    texts = all(
        str(wanted.get(name, "")).startswith(got.get(name) or "") for name in ("text", "reasoning", "refusal")
    )
    calls: list[Object] = got.get("tool_calls", [])
    due: list[Object] = wanted.get("tool_calls", [])
    return (
        texts
        and len(calls) <= len(due)
        and not any(any(_tool_call(*pair, "", claims)) for pair in zip(due, calls, strict=False))
    )


def _summary(got: Object) -> str:
    """Return which outcome this is, with the part of it that says most."""
    for kind in ("error", "unsupported", "models"):
        if kind in got:
            return f"{kind} {show(got[kind])}"
    if "response" in got:
        choices = got["response"]["choices"]
        return f"response with {show(choices[0]) if choices else 'no choice'}"
    return "cancelled"


def _at_least(wanted: Object, chunks: Sequence[str], path: str) -> Iterator[Difference]:
    if len(chunks) < wanted.get("min_chunks", 0):
        yield Difference(path, f"at least {wanted['min_chunks']} texts", f"{len(chunks)}")


def _response(wanted: Object, got: Object, path: str, claims: frozenset[str]) -> Iterator[Difference]:
    """Compare a response, whole or partial."""
    # A case that lists no choices describes the only choice.
    choices = wanted.get("choices", [{**wanted, "index": 0}])
    yield from _content(_choices(choices, got["choices"], f"{path}/choices", claims))
    if "usage" in wanted:
        yield from _content(_usage(wanted["usage"], got.get("usage"), f"{path}/usage"))
    for name in ("id", "model"):
        if name in wanted:
            yield from compare_text(wanted[name], got.get(name), f"{path}/{name}")
    for name, word in (("request_id", "request_id"), ("inference_provider", "provider")):
        if name in wanted and _is_judged(got.get(name), word, claims):
            yield from compare_text(wanted[name], got.get(name), f"{path}/{name}")
    if "rate_limits" in wanted:
        yield from compare_part(wanted["rate_limits"], got.get("rate_limits"), f"{path}/rate_limits")
    listed = got.get("deviations")
    if "deviations" in wanted and _is_judged(listed, "deviations", claims):
        yield from _deviations(wanted["deviations"], listed or [], f"{path}/deviations")


def _is_judged(reported: object, word: str, claims: frozenset[str]) -> bool:
    """Tell whether a member of :data:`REPORTED` is judged: null is wrong only of a driver that claims it."""
    return reported is not None or word in claims


def _deviations(wanted: list[str], got: list[str], path: str) -> Iterator[Difference]:
    due, reported = Counter(wanted), Counter(got)
    for code in dict.fromkeys([*wanted, *got]):
        if due[code] != reported[code]:
            yield Difference(path, f"{code} {_times(due[code])}", f"{_times(reported[code])}, in {show(got)}")


def _times(count: int) -> str:
    return ("not at all", "once")[count] if count < 2 else f"{count} times"


def _choices(
    wanted: list[Object], got: list[Object], path: str, claims: frozenset[str]
) -> Iterator[Difference]:
    if len(wanted) != len(got):
        yield Difference(path, f"{len(wanted)} choices", show(got))
        return
    for position, (one, other) in enumerate(zip(wanted, got, strict=True)):
        place = position if other["index"] is None else other["index"]
        yield from _choice(one, {**other, "index": place}, f"{path}/{position}", claims)
        blocks = other.get("content")
        if "content" in one and _is_judged(blocks, "content", claims):
            yield from _blocks(one["content"], blocks or [], f"{path}/{position}/content")


def _blocks(wanted: list[Object], got: list[Object], path: str) -> Iterator[Difference]:
    """Compare the order of blocks, and what they hold.

    Neighbours of one type count as one block: a driver may split or join what follows each other.
    """
    due, found = ([[*run] for _, run in groupby(blocks, itemgetter("type"))] for blocks in (wanted, got))
    order = [[run[0]["type"] for run in runs] for runs in (due, found)]
    if order[0] != order[1]:
        yield Difference(
            path, ", then ".join(order[0]) or "no blocks", ", then ".join(order[1]) or "no blocks"
        )
        return
    for position, (run, other) in enumerate(zip(due, found, strict=True)):
        text = "".join(block.get("text", "") for block in other)
        for block in run:
            if "text" in block:
                yield from compare_text(block["text"], text, f"{path}/{position}/text")
            if "count" in block:
                count = sum(block.get("count", 1) for block in other)
                yield from compare_value(block["count"], count, f"{path}/{position}/count")


def _choice(wanted: Object, got: Object, path: str, claims: frozenset[str]) -> Iterator[Difference]:
    for name in ("text", "reasoning", "refusal"):
        # Null, "" and a member that the case leaves out all mean: no text.
        yield from compare_text(wanted.get(name, ""), got.get(name) or "", f"{path}/{name}")
    for name in ("index", "finish_reason", "finish_reason_raw"):
        free = name == "finish_reason" and not _is_judged(got.get(name), "finish_words", claims)
        if name in wanted and not free:
            yield from compare_value(wanted[name], got.get(name), f"{path}/{name}")
    if "logprobs" in wanted:
        yield from compare_part(wanted["logprobs"], got.get("logprobs"), f"{path}/logprobs")
    calls, made = wanted.get("tool_calls", []), got.get("tool_calls", [])
    if len(calls) != len(made):
        yield Difference(f"{path}/tool_calls", f"{len(calls)} tool calls", show(made))
    elif "tool_calls_in_any_order" in wanted:
        yield from _in_any_order(calls, made, f"{path}/tool_calls", claims)
    else:
        for position, (one, other) in enumerate(zip(calls, made, strict=True)):
            yield from _tool_call(one, other, f"{path}/tool_calls/{position}", claims)


def _in_any_order(
    wanted: list[Object], got: list[Object], path: str, claims: frozenset[str]
) -> Iterator[Difference]:
    """Match every wanted call with a different one that was made, in whatever order.

    Kuhn's augmenting paths: one call may fit several wanted ones, so taking the first fit isn't enough.
    """
    fits = [
        [n for n, other in enumerate(got) if not any(_tool_call(one, other, "", claims))] for one in wanted
    ]
    taken: dict[int, int] = {}

    def assign(call: int, tried: set[int]) -> bool:
        for place in fits[call]:
            if place not in tried:
                tried.add(place)
                if place not in taken or assign(taken[place], tried):
                    taken[place] = call
                    return True
        return False

    for number, one in enumerate(wanted):
        if not assign(number, set()):
            yield Difference(path, f"{show(one)} among them", show(got))
            return


def _tool_call(wanted: Object, got: Object, path: str, claims: frozenset[str]) -> Iterator[Difference]:
    if isinstance(wanted.get("id"), dict):
        if not got["id"]:
            yield Difference(f"{path}/id", "an id", show(got["id"]))
    elif "id" in wanted:
        yield from compare_value(wanted["id"], got["id"], f"{path}/id")
    if "type" in wanted and got.get("type") is not None:  # many libraries know one type and don't say it
        yield from compare_value(wanted["type"], got.get("type"), f"{path}/type")
    if "name" in wanted:
        yield from compare_text(wanted["name"], got["name"] or "", f"{path}/name")
    if "arguments" in wanted:
        due = wanted["arguments"]
        if isinstance(due, str) and "raw_arguments" not in claims:
            due = _parsed(due)
        yield from _arguments(due, got["arguments"] or "", f"{path}/arguments")


def _parsed(arguments: str) -> str | Document:
    """Return what a driver must give that hands out parsed arguments; the text itself where it isn't JSON."""
    try:
        return {"json": json.loads(arguments)}
    except (ValueError, RecursionError):
        return arguments


def _arguments(wanted: str | Object, got: str, path: str) -> Iterator[Difference]:
    if isinstance(wanted, str) or "json" not in wanted:
        yield from compare_text(wanted, got, path)
        return
    try:
        value = json.loads(got)
    except (ValueError, RecursionError):
        yield Difference(path, f"the text of {show(wanted['json'])}", show(got))
        return
    if not equal(wanted["json"], value):
        yield Difference(path, f"the text of {show(wanted['json'])}", show(got))


def _usage(wanted: Object | None, got: Object | None, path: str) -> Iterator[Difference]:
    # A usage of which no count is known says what null says.
    wanted, got = (one if one and any(n is not None for n in one.values()) else None for one in (wanted, got))
    if wanted is None or got is None:
        yield from compare_value(wanted, got, path)
        return
    for name, count in wanted.items():
        yield from compare_value(count, got.get(name), f"{path}/{name}")


def _error(wanted: Object, got: Object, path: str, claims: frozenset[str]) -> Iterator[Difference]:
    if got["kind"] not in wanted["kind"]:
        yield Difference(f"{path}/kind", " or ".join(wanted["kind"]), got["kind"])
    for name in ("status", "cause_kind"):
        if name in wanted:
            yield from compare_value(wanted[name], got.get(name), f"{path}/{name}")
    # The requests that the server received are judged in any case; few drivers report all of these.
    judged = [name for name in wanted if name in REPORTED and _is_judged(got.get(name), name, claims)]
    for name in ("code", "attempts", "phase"):
        if name in judged:
            yield from compare_value(wanted[name], got.get(name), f"{path}/{name}")
    if "request_id" in judged:
        yield from compare_text(wanted["request_id"], got.get("request_id"), f"{path}/request_id")
    if "retry_after" in judged:
        yield from _seconds(wanted["retry_after"], got.get("retry_after"), f"{path}/retry_after")
    yield from _message(wanted, got["message"], f"{path}/message")


def _message(wanted: Object, got: str, path: str) -> Iterator[Difference]:
    for piece in wanted.get("message_contains", ()):
        if piece not in got:
            yield Difference(path, f"{show(piece)} in it", show(got))
    for piece in wanted.get("message_lacks", ()):
        if piece in got:
            yield Difference(path, f"no {show(piece)} in it", show(got))
    if len(got) > wanted.get("message_max", len(got)):
        yield Difference(path, f"at most {wanted['message_max']} characters", f"{len(got)}")


def _partial(
    wanted: Object | None, got: Object | None, delivered: list[str], claims: frozenset[str]
) -> Iterator[Difference]:
    path = "/error/partial"
    if wanted is None:
        if delivered or (got and any(map(_has_content, got["choices"]))):
            yield Difference(path, "nothing delivered", show(got or delivered))
    elif got is not None:
        yield from _response(wanted, got, path, claims)
    elif set(wanted) == {"text"} or ("partial" not in claims and "choices" not in wanted):
        # The error carries no partial answer, but the user received the text before it: nothing is lost.
        yield from compare_text(wanted.get("text", ""), "".join(delivered), "/partial_chunks")
    elif "partial" in claims:
        yield Difference(path, show(wanted), "null")


def delta_level(document: Object) -> Document:
    """Return an outcome, or what is expected of one, with no more than a stream says chunk by chunk.

    That are the texts and the reason for the end. The rest is put together by whoever reads the chunks: of
    a driver that does not assemble, it would be the adapter that is judged.
    """

    def reduced(answer: Object) -> Document:
        rest = {name: value for name, value in answer.items() if name not in _ASSEMBLED}
        return rest | ({"choices": [*map(reduced, rest["choices"])]} if "choices" in rest else {})

    found = dict(document)
    if "response" in found:
        found["response"] = reduced(found["response"])
    if "error" in found and found["error"].get("partial"):
        found["error"] = {**found["error"], "partial": reduced(found["error"]["partial"])}
    return found


_ASSEMBLED = frozenset(
    {"tool_calls", "tool_calls_in_any_order", "logprobs", "content", "usage", "id", "model"}
)


def _has_content(choice: Object) -> bool:
    return any(choice.get(name) for name in ("text", "reasoning", "refusal", "tool_calls"))


def _seconds(wanted: float | Object | None, got: float | None, path: str) -> Iterator[Difference]:
    if wanted is None or got is None:
        yield from compare_value(wanted, got, path)
    elif isinstance(wanted, Mapping):
        yield from compare_range(wanted, got, path, "s")
    elif abs(wanted - got) > 0.01:
        yield Difference(path, f"{wanted} s", f"{got} s")

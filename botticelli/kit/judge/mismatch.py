"""One JSON value against another: every difference with its path, in words that can be printed.

Pure, and knows nothing of answers: what an outcome is stands in match.py, what a request is in
sent.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botticelli.contracts.jsonvalue import equal, escape_token, is_array, is_object

Object = Mapping[str, Any]


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
    """Return a value as printable JSON, whole: it is cut where the key in it has been blanked (report.py)."""
    return visible(json.dumps(value, ensure_ascii=False, default=str))


def visible(text: str) -> str:
    """Return a text with what cannot be printed or seen escaped; its lines stay lines."""
    seen = (c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
    return "".join(seen)


def child(path: str, key: str) -> str:
    """Return the JSON pointer to a member of what ``path`` points to."""
    return f"{path}/{escape_token(key)}"


def within(wanted: Object, got: float, path: str, unit: str = "") -> Iterator[Mismatch]:
    """Compare a number with ``{min, max}``, either of which may be missing."""
    low, high = wanted.get("min"), wanted.get("max")
    if (low is not None and got < low) or (high is not None and got > high):
        bounds = [f"at least {low}" if low is not None else "", f"at most {high}" if high is not None else ""]
        words = ", ".join(filter(None, bounds))
        yield Mismatch(path, f"{words} {unit}".rstrip(), f"{round(got, 3)} {unit}".rstrip())


def text(wanted: str | Object | None, got: str | None, path: str) -> Iterator[Mismatch]:
    """Compare a text with a text, or with one of the variants of case.schema.json."""
    match wanted:
        case {"any_of": [*variants]}:
            if got not in variants:
                yield Mismatch(path, " or ".join(show(v) for v in variants), show(got))
        case {"contains": str(piece)}:
            if piece not in (got or ""):
                yield Mismatch(path, f"{show(piece)} in it", show(got))
        case {"repeat": int(times), "of": str(piece)}:
            yield from same(piece * times, got, path)
        case _:
            yield from same(wanted, got, path)


def same(wanted: object, got: object, path: str) -> Iterator[Mismatch]:
    """Compare two JSON values as wholes."""
    if not equal(wanted, got):
        yield Mismatch(path, show(wanted), show(got))


def part(wanted: object, got: object, path: str) -> Iterator[Mismatch]:
    """Compare JSON of which ``wanted`` is a part: its members must be there, its lists whole."""
    if is_object(wanted) and is_object(got):
        for key, value in wanted.items():
            if key in got:
                yield from part(value, got[key], child(path, key))
            else:
                yield Mismatch(child(path, key), show(value), "nothing")
    elif is_array(wanted) and is_array(got) and len(wanted) == len(got):
        for position, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from part(one, other, f"{path}/{position}")
    else:
        yield from same(wanted, got, path)

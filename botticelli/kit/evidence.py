"""The evidence of a failure: what was asked, what came of it, and what went over the wire.

Its form is ``evidence`` in contracts/kit/report.schema.json. The API keys of the case are struck out, however
they are spelt and wherever a write or a limit has cut them.
"""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.kit.judge.verdict import Crash, Hang

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.judge.verdict import Outcome
    from botticelli.kit.server.wire import Piece, Side

__all__ = ["STRUCK", "Secrets", "evidence_of"]

STRUCK = "[key]"
"""What stands in place of a key."""

_SHORTEST = 4  # characters of a key that are struck out where the rest of it was cut off
_LONG = 64 << 10  # characters kept of a text that an adapter hands over
_MORE = 4 << 10
_MANY = 1000  # items kept of a list that an adapter hands over
_INVISIBLE = r"[\u00ad\u200b-\u200f\u2060\ufeff]*"
_INVISIBLE_BYTES = r"(?:\xc2\xad|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\xef\xbb\xbf)*"  # the same in UTF-8


class Secrets:
    """Strikes out the API keys of a case.

    Args:
        keys: The keys; an empty one is no secret.
    """

    def __init__(self, keys: Iterable[str | None]) -> None:
        plain = {key for key in keys if key}
        self._spellings = sorted({word for key in plain for word in _spellings(key)}, key=len, reverse=True)
        self._in_text = _pattern(plain, self._spellings, _INVISIBLE)
        self._in_bytes = _pattern(map(_latin, plain), map(_latin, self._spellings), _INVISIBLE_BYTES)

    def strike(self, text: str) -> str:
        """Return a text without the keys."""
        return self._in_text.sub(STRUCK, text) if self._in_text else text

    def strike_json(self, value: object) -> Any:
        """Return a JSON value without the keys, in names of members too; what is long is shortened."""
        if isinstance(value, str):
            # Of a long text only so much is looked at as is kept, and a little more for a key at its end.
            text = self.strike(value[: _LONG + _MORE])
            if len(text) <= _LONG and len(value) <= _LONG + _MORE:
                return text
            return f"{self.cut(text[:_LONG])} [... {len(value)} characters]"
        if is_array(value):
            kept = [self.strike_json(item) for item in value[:_MANY]]
            return kept if len(value) <= _MANY else [*kept, f"[... {len(value)} items]"]
        if is_object(value):
            return {self.strike(str(name)): self.strike_json(item) for name, item in value.items()}
        return value

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Return where in some bytes the keys are."""
        if self._in_bytes is None:
            return []
        return [match.span() for match in self._in_bytes.finditer(data.decode("latin-1"))]

    def begun(self, data: bytes) -> int:
        """Return how many bytes at the end of some begin a key whose rest isn't there."""
        return max((_overlap(data.lower(), word.encode().lower()) for word in self._ascii()), default=0)

    def ended(self, data: bytes) -> int:
        """Return how many bytes at the beginning of some end a key that began before them."""
        backwards = data[:512].lower()[::-1]
        return max((_overlap(backwards, word.encode().lower()[::-1]) for word in self._ascii()), default=0)

    def cut(self, text: str) -> str:
        """Return a text that was cut off, without a key's beginning at its end."""
        whole = self.strike(text)
        count = self.begun(whole.encode("ascii", "replace"))
        return whole[: len(whole) - count] + STRUCK if count else whole

    def _ascii(self) -> Iterator[str]:
        return (word for word in self._spellings if word.isascii())


def _pattern(keys: Iterable[str], spellings: Iterable[str], between: str) -> re.Pattern[str] | None:
    """Return what finds the spellings, and the keys themselves with invisible characters in them too."""
    hidden = (between.join(map(re.escape, key)) for key in keys)
    every = "|".join([*hidden, *map(re.escape, spellings)])
    return re.compile(every, re.IGNORECASE) if every else None


def _latin(text: str) -> str:
    """Return a text whose characters are the bytes of another one."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _overlap(text: bytes, word: bytes) -> int:
    """Return the length of the longest end of ``text`` that is a beginning of ``word``."""
    for count in range(min(len(text), len(word) - 1), _SHORTEST - 1, -1):
        if text.endswith(word[:count]):
            return count
    return 0


def _spellings(key: str) -> Iterator[str]:
    """Yield a key as headers, JSON, URLs, Base64 and hexadecimal spell it."""
    raw = key.encode("utf-8", "surrogatepass")
    yield key
    yield key[::-1]
    yield from {json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1], repr(key)[1:-1]}
    yield from {quote(raw, safe=""), quote_plus(raw), raw.hex()}
    # In Base64 a text has three spellings, by what stands before it; the outermost characters depend on the
    # neighbours.
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        inner = encoded[-(-before * 8 // 6) : len(encoded) - ((before + len(raw)) % 3 > 0)]
        if len(inner) >= 2 * _SHORTEST:
            yield inner
            yield inner.translate(str.maketrans("+/", "-_"))
    # A key with a line end or the like in it is also a key without it.
    yield from (part for part in re.split(r"[\x00-\x20\x7f]+", key) if len(part) >= 2 * _SHORTEST)


def evidence_of(
    calls: Sequence[Document],
    outcomes: Sequence[Outcome],
    wire: Sequence[Piece],
    *,
    secrets: Secrets,
    output: str = "",
    command: str = "",
) -> Document:
    """Return the evidence of one case.

    Args:
        calls: The neutral calls.
        outcomes: What came of them, as far as they were made.
        wire: What the server saw and sent.
        secrets: Strikes out the keys.
        output: What the adapter printed meanwhile.
        command: What plays the case again.
    """
    found: Document = {
        "calls": [secrets.strike_json(call) for call in calls],
        "outcomes": [secrets.strike_json(_outcome(outcome)) for outcome in outcomes],
        "wire": list(_wire(wire, secrets)),
    }
    more = {"output": secrets.cut(output[:_LONG]), "command": command}
    return found | {name: text for name, text in more.items() if text}


def _outcome(outcome: Outcome) -> object:
    if isinstance(outcome, Crash):
        return {"crash": outcome.message}
    if isinstance(outcome, Hang):
        return {"hang": outcome.seconds}
    try:
        plain: object = json.loads(json.dumps(outcome, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return {"not JSON": type(outcome).__name__}
    return plain


def _wire(pieces: Sequence[Piece], secrets: Secrets) -> Iterator[Document]:
    without = _without_keys(pieces, secrets)
    for place, piece in enumerate(pieces):
        noted: dict[str, Any] = {
            "at": round(max(piece.at, 0.0), 4),
            "connection": piece.connection,
            "from": piece.side,
        }
        if piece.event:
            yield noted | {"event": piece.event}
        elif piece.omitted:
            yield noted | {"omitted": piece.omitted}
        elif data := without[place]:
            yield noted | _bytes(data)


def _bytes(data: bytes) -> Document:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _without_keys(pieces: Sequence[Piece], secrets: Secrets) -> dict[int, bytes]:
    """Return the bytes of each piece without the keys, which may begin in one and end in another."""
    runs: defaultdict[tuple[int, Side], list[list[int]]] = defaultdict(lambda: [[]])
    for place, piece in enumerate(pieces):
        if piece.omitted:
            runs[piece.connection, piece.side].append([])
        elif not piece.event:
            runs[piece.connection, piece.side][-1].append(place)
    struck: dict[int, bytes] = {}
    for direction in runs.values():
        for number, run in enumerate(direction):
            data = b"".join(pieces[place].data for place in run)
            spans = secrets.spans(data)
            if number < len(direction) - 1 and (count := secrets.begun(data)):
                spans.append((len(data) - count, len(data)))
            if number and (count := secrets.ended(data)):
                spans.insert(0, (0, count))
            begin = 0
            for place in run:
                end = begin + len(pieces[place].data)
                struck[place] = _strike(data[begin:end], begin, spans)
                begin = end
    return struck


def _strike(data: bytes, begin: int, spans: Sequence[tuple[int, int]]) -> bytes:
    """Return one piece without the spans; the mark stands in the piece in which a span begins."""
    if not spans:
        return data
    kept, at, end = bytearray(), begin, begin + len(data)
    for first, last in spans:
        if last <= at or first >= end:
            continue
        kept += data[at - begin : max(first, at) - begin]
        if first >= begin:
            kept += STRUCK.encode()
        at = min(last, end)
    return bytes(kept + data[at - begin :])

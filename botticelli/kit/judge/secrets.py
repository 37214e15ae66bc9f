"""Find an API key in a text however it is spelt, and strike it out.

A key is shown when the whole of it stands there, or a run of eight or more of its characters: in either case,
backwards, in Base64, in hexadecimal, percent-encoded, written with the escapes of JSON or HTML, or split by
blanks and invisible characters. What is cut off, or comes in several writes, is struck out from its first
fourth character on.
"""

from __future__ import annotations

import base64
import html
import json
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

from botticelli.contracts.jsonvalue import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["LONG", "STRUCK", "Secrets"]

STRUCK = "[key]"
"""What stands in reports where a key stood."""

_RUN = 8
"""So many characters of a key in a row are a part that helps to guess or to find it."""

LONG = 64 << 10
"""Characters that are kept of a text which an adapter hands over."""

_MORE = 4 << 10  # characters looked at beyond those, for a key at the end
_MANY = 1000  # items kept of a list that an adapter hands over
_SHORTEST = 4  # characters of a key that are struck out where the rest of it was cut off
_INVISIBLE = r"[\u00ad\u200b-\u200f\u2060\ufeff]*"
_INVISIBLE_BYTES = r"(?:\xc2\xad|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\xef\xbb\xbf)*"  # the same in UTF-8
_WITHHELD = "[a text that spells the key]"
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_SPLITTERS = re.compile(r"[\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]+")
_MARKS = re.compile(r"[\\%&]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)


class Secrets:
    """The keys of one run.

    Args:
        keys: What must not be shown; one of fewer than eight characters counts as a whole and as it stands,
            and an empty one is no secret.
    """

    def __init__(self, keys: Iterable[str | None]) -> None:
        self._known = known = sorted({key for key in keys if key})
        self._short = [key for key in known if len(key) < _RUN]
        long = [key for key in known if len(key) >= _RUN]
        plain = {_fold(form) for key in long for form in (key, _joined(key)) if len(form) >= _RUN}
        turned = {form[::-1] for form in plain}
        # Hexadecimal and Base64 need more characters to say the same.
        hexed = {form.encode("utf-8", "replace").hex() for key in long for form in (key, _fold(key))}
        coded = {form for key in long for form in _base64(key)}
        self._folded = {*_runs(plain | turned, _RUN), *_runs(hexed, 2 * _RUN)}
        self._exact = {*_runs(coded, 11)}
        # Every run holds one of these pieces, of which there are few: most texts are done with them.
        self._pieces = {*_pieces(plain | turned), *_pieces(hexed)}
        self._coded_pieces = {*_pieces(coded)}

    # Needed only where something is struck out. They take longer to make than all the rest of a case.

    @cached_property
    def _spellings(self) -> list[str]:
        return sorted({word for key in self._known for word in _spellings(key)}, key=len, reverse=True)

    @cached_property
    def _in_text(self) -> re.Pattern[str] | None:
        return _pattern(self._known, self._spellings, _INVISIBLE)

    @cached_property
    def _in_bytes(self) -> re.Pattern[str] | None:
        return _pattern(map(_latin, self._known), map(_latin, self._spellings), _INVISIBLE_BYTES)

    def shown_in(self, text: str) -> bool:
        """Tell whether a text shows one of the keys."""
        if len(text) < _RUN and not self._short:
            return False
        return any(self._stands_in(reading) for reading in _readings(text))

    def strike(self, text: str) -> str:
        """Return a text without the keys that stand in it.

        Where one is spelt so that it can't be cut out, nothing of the text is left.
        """
        places = self._places(text, self._in_text)
        for begin, end in reversed(places):
            text = text[:begin] + STRUCK + text[end:]
        return _WITHHELD if self.shown_in(text) else text

    def strike_json(self, value: object) -> Any:
        """Return a JSON value without the keys, in names of members too; what is long is shortened."""
        if isinstance(value, str):
            # Of a long text only so much is looked at as is kept, and a little more for a key at its end.
            text = self.strike(value[: LONG + _MORE])
            if len(text) <= LONG and len(value) <= LONG + _MORE:
                return text
            return f"{self.cut(text[:LONG])} [... {len(value)} characters]"
        if is_array(value):
            kept = [self.strike_json(item) for item in value[:_MANY]]
            return kept if len(value) <= _MANY else [*kept, f"[... {len(value)} items]"]
        if is_object(value):
            return {self.strike(str(name)): self.strike_json(item) for name, item in value.items()}
        return value

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Return where in some bytes the keys are, in order and without overlaps."""
        return self._places(data.decode("latin-1"), self._in_bytes)

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

    def _stands_in(self, text: str) -> bool:
        if any(key in text for key in self._short):
            return True
        folded = _fold(text)
        if any(piece in folded for piece in self._pieces) and any(run in folded for run in self._folded):
            return True
        coded = _standard(text) if self._coded_pieces else ""
        return any(piece in coded for piece in self._coded_pieces) and any(
            run in coded for run in self._exact
        )

    def _places(self, text: str, whole: re.Pattern[str] | None) -> list[tuple[int, int]]:
        """Return where keys stand, wholly or in part, in order and without overlaps.

        Args:
            text: Where to look.
            whole: Finds the whole keys, however they are spelt.
        """
        found = [match.span() for match in whole.finditer(text)] if whole else []
        if not found and not self._stands_in(text):
            return []
        found += [
            (place, place + len(run))
            for runs, where in (
                (self._short, text),
                (self._folded, _fold(text)),
                (self._exact, _standard(text)),
            )
            for run in runs
            for place in _every(run, where)
        ]
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(found):
            if merged and begin <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((begin, end))
        return merged


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
    for inner in _base64(key):
        if len(inner) >= 2 * _SHORTEST:
            yield inner
            yield inner.translate(str.maketrans("+/", "-_"))
    # A key with a line end or the like in it is also a key without it.
    yield from (part for part in re.split(r"[\x00-\x20\x7f]+", key) if len(part) >= 2 * _SHORTEST)


def _fold(text: str) -> str:
    """Return a text with small ASCII letters, as long as before."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def _standard(text: str) -> str:
    """Return a text in which Base64 has its usual alphabet."""
    return text.replace("-", "+").replace("_", "/")


def _joined(text: str) -> str:
    return _SPLITTERS.sub("", "".join(text.split()))


def _readings(text: str) -> Iterator[str]:
    """Yield a text, and what it says to somebody who undoes its escapes and joins its pieces."""
    yield text
    said = text
    for _ in range(3):  # JSON in JSON, and an address in that
        before = said
        if not _MARKS.search(said):
            break
        said = html.unescape(unquote(_ESCAPE.sub(_unescaped, said)))
        if said == before:
            break
        yield said
    if (joined := _joined(said)) != said:
        yield joined


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else ("" if match[3] in "nrtbf" else match[3])


def _base64(key: str) -> Iterator[str]:
    """Yield how a key reads in Base64, for each of the places where it may begin among the bytes."""
    data = key.encode("utf-8", "replace")
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode()
        # The characters at the ends also depend on what stands around the key.
        yield text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]


def _runs(forms: Iterable[str], length: int) -> Iterator[str]:
    for form in forms:
        for begin in range(max(len(form) - length, 0) + 1):
            yield form[begin : begin + length]


def _pieces(forms: Iterable[str]) -> Iterator[str]:
    """Yield every fifth piece of four: one of them stands in every run of eight or more."""
    for form in forms:
        for begin in range(0, len(form) - 3, 5):
            yield form[begin : begin + 4]


def _every(run: str, text: str) -> Iterator[int]:
    place = text.find(run)
    while place >= 0:
        yield place
        place = text.find(run, place + 1)

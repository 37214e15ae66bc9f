"""Find an API key in a text however it is spelt, and strike it out.

A key is shown when the whole of it stands there, or a run of eight or more of its characters: in either case,
backwards, in Base64, in hexadecimal, percent-encoded, written with the escapes of JSON or HTML, or split by
blanks and invisible characters.
"""

from __future__ import annotations

import base64
import html
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["STRUCK", "Secrets"]

STRUCK = "[key]"
"""What stands in reports where a key stood."""

_RUN = 8
"""So many characters of a key in a row are a part that helps to guess or to find it."""

_WITHHELD = "[a text that spells the key]"
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_SPLITTERS = re.compile(r"[\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]+")
_MARKS = re.compile(r"[\\%&]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)


class Secrets:
    """The keys of one run.

    Args:
        keys: What must not be shown; one of fewer than eight characters counts as a whole and as it stands.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        known = sorted({*keys})
        self._short = [key for key in known if 0 < len(key) < _RUN]
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

    def shown_in(self, text: str) -> bool:
        """Tell whether a text shows one of the keys."""
        if len(text) < _RUN and not self._short:
            return False
        return any(self._stands_in(reading) for reading in _readings(text))

    def strike(self, text: str) -> str:
        """Return a text without the keys that stand in it.

        Where one is spelt so that it can't be cut out, nothing of the text is left.
        """
        places = self._places(text)
        for begin, end in reversed(places):
            text = text[:begin] + STRUCK + text[end:]
        return _WITHHELD if self.shown_in(text) else text

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

    def _places(self, text: str) -> list[tuple[int, int]]:
        """Return where keys stand as they are, in order and without overlaps."""
        if not self._stands_in(text):
            return []
        found = [
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

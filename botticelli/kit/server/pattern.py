"""Write texts that match a regular expression of the kinds that JSON Schemas use.

Understood are literals, classes, escapes, groups, alternatives, quantifiers and anchors. What isn't
understood (look-around, back references) gives no text; the caller checks every text anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

__all__ = ["texts_for"]

_Writer: TypeAlias = Callable[[int], str]
"""Returns a text; a quantifier that allows it repeats as many times more as the argument says."""

_VARIANTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
_LONGEST = 10_000
_CLASSES = {"d": "0", "D": "a", "w": "a", "W": "-", "s": " ", "S": "a"}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_USUAL = (
    "aA0_- .@/:,#%+*=~!?&;(){}[]<>|^$'\"\\é" + "bcdefghijklmnopqrstuvwxyzBCDEFGHIJKLMNOPQRSTUVWXYZ123456789"
)
_COUNTED = re.compile(r"\{(\d{1,6})(,(\d{0,6}))?\}")
_CODE = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}")


class _NotUnderstoodError(Exception):
    """The pattern has a construct that isn't written here."""


def texts_for(pattern: str) -> Iterator[str]:
    """Yield texts that probably match, the shortest first; none if the pattern isn't understood."""
    try:
        reader = _Reader(pattern)
        write = reader.alternatives()
        if reader.rest:
            return
        for more in _VARIANTS:
            yield write(more)
    except (_NotUnderstoodError, RecursionError, re.error):
        return


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.rest = pattern

    def alternatives(self) -> _Writer:
        """Read up to the end or a closing bracket; the first alternative is written."""
        first = self._sequence()
        while self._take("|"):
            self._sequence()
        return first

    def _sequence(self) -> _Writer:
        parts: list[_Writer] = []
        while self.rest and self.rest[0] not in "|)":
            parts.append(self._quantified())

        def write(more: int) -> str:
            text = "".join(part(more) for part in parts)
            if len(text) > _LONGEST:
                raise _NotUnderstoodError
            return text

        return write

    def _quantified(self) -> _Writer:
        part = self._atom()
        least, most = 1, 1
        if self._take("*"):
            least, most = 0, _LONGEST
        elif self._take("+"):
            least, most = 1, _LONGEST
        elif self._take("?"):
            least, most = 0, 1
        elif counted := _COUNTED.match(self.rest):
            self.rest = self.rest[counted.end() :]
            least = int(counted[1])
            most = least if counted[2] is None else int(counted[3] or _LONGEST)
        else:
            return part
        self._take("?")  # lazy or greedy, the texts are the same

        def write(more: int) -> str:
            times, once = min(least + more, most), part(more)
            if times * len(once) > _LONGEST:
                raise _NotUnderstoodError
            return once * times

        return write

    def _atom(self) -> _Writer:
        char, self.rest = self.rest[0], self.rest[1:]
        if char in "^$":
            return lambda _: ""
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        text = self._escape() if char == "\\" else "a" if char == "." else char
        return lambda _: text

    def _group(self) -> _Writer:
        if self._take("?") and not self._take(":"):
            named = re.match(r"P?<[A-Za-z_]\w*>", self.rest)
            if not named:
                raise _NotUnderstoodError
            self.rest = self.rest[named.end() :]
        inner = self.alternatives()
        if not self._take(")"):
            raise _NotUnderstoodError
        return inner

    def _class(self) -> _Writer:
        # Python's own classes decide what is in it: only its end has to be found here.
        end = re.match(r"\^?\]?(?:\\.|[^\]\\])*\]", self.rest)
        if not end:
            raise _NotUnderstoodError
        self.rest = self.rest[end.end() :]
        inside = re.compile("[" + end.group().replace("[", "\\["))
        text = next(filter(inside.fullmatch, _first(end.group()) + _USUAL), None)
        if text is None:
            raise _NotUnderstoodError
        return lambda _: text

    def _escape(self) -> str:
        if coded := _CODE.match(self.rest):
            self.rest = self.rest[coded.end() :]
            return chr(int(coded[1] or coded[2] or coded[3], 16))
        char, self.rest = self.rest[:1], self.rest[1:]
        if char in "bB":
            return ""
        if not char or char in "kpP123456789":
            raise _NotUnderstoodError
        return _CLASSES.get(char) or _CONTROLS.get(char) or char

    def _take(self, word: str) -> bool:
        if not self.rest.startswith(word):
            return False
        self.rest = self.rest.removeprefix(word)
        return True


def _first(inside: str) -> str:
    return "" if inside[0] in "^\\" else inside[0]

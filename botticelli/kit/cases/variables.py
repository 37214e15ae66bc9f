"""Variables of a case: seeded values and addresses, filled into its strings.

Pure. A value depends on the seed, the case and the variable's name alone, so that a failure can
be played again and no driver can learn an answer by heart.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.kit.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = re.compile(r"\{\{([a-z][a-z_-]*)(\d*)(:[+-]\d+)?\}\}")
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = _LOWER + "0123456789"
_SYLLABLES = ("za", "ré", "nø", "那", "ли", "ψη", "or", "ŵen", "ti", "🎨", "ka", "ß")


def _letters(chance: random.Random, alphabet: str, count: int) -> str:
    return "".join(chance.choice(alphabet) for _ in range(count))


def _text(chance: random.Random) -> str:
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(1, 3))) for _ in range(3)]
    # One character of each UTF-8 length is always there, or a seed could miss the point.
    words.insert(chance.randint(0, 3), "aé那🎨")
    return " ".join(words)


_MAKERS: dict[str, Callable[[random.Random], str]] = {
    "word": lambda chance: _letters(chance, _LOWER, chance.randint(5, 9)),
    "text": _text,
    "prompt": _text,
    "id": lambda chance: "chatcmpl-" + _letters(chance, _ALNUM, 12),
    "call_id": lambda chance: "call_" + _letters(chance, _ALNUM, 12),
    "model": lambda chance: f"{_letters(chance, _LOWER, 5)}/{_letters(chance, _LOWER, 7)}-1B",
    "key": lambda chance: "sk-" + _letters(chance, _ALNUM, 24),
}


@dataclass(frozen=True, slots=True)
class Variables:
    """The values of one play of one case.

    Attributes:
        seed: Any number; the same gives the same values.
        case: Id of the case.
        port: Where its server listens, on 127.0.0.1.
    """

    seed: int
    case: str
    port: int

    def value(self, name: str, number: str = "") -> str:
        """Return the value of ``{{name}}``.

        Raises:
            CaseError: There is no such variable.
        """
        if name == "origin":
            return f"http://127.0.0.1:{self.port}"
        if name == "port":
            return str(self.port)
        if name not in _MAKERS:
            raise CaseError(
                f"{self.case}: unknown variable {{{{{name}}}}}; known: origin, port, "
                f"http-date:+SECONDS, {', '.join(_MAKERS)}"
            )
        # Not for secrets: the chance of random.Random is reproducible, which is the point.
        return _MAKERS[name](random.Random(f"{self.seed}/{self.case}/{name}{number}"))  # noqa: S311

    def fill(self, value: object) -> Any:
        """Return the JSON value with the variables in its strings (not its keys) filled in."""
        if isinstance(value, str):
            return VARIABLE.sub(self._replace, value) if "{{" in value else value
        if is_array(value):
            return [self.fill(item) for item in value]
        if is_object(value):
            return {key: self.fill(item) for key, item in value.items()}
        return value

    def _replace(self, match: re.Match[str]) -> str:
        name, number, argument = match.groups()
        if name == "http-date" and argument:
            return match.group()  # only the player knows when
        return self.value(name, number)


def fill_dates(text: str, now: datetime) -> str:
    """Replace ``{{http-date:+N}}`` by the HTTP date N seconds after ``now``."""
    if "{{http-date" not in text:
        return text

    def date(match: re.Match[str]) -> str:
        name, _, argument = match.groups()
        if name != "http-date" or not argument:
            return match.group()
        moment = now.astimezone(UTC) + timedelta(seconds=int(argument[1:]))
        return format_datetime(moment, usegmt=True)

    return VARIABLE.sub(date, text)

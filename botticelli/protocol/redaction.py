"""Blanking out keys in what a server says, however it spells them: text in, text out.

Servers quote the key they refuse, whole or in part, and gateways log and echo whole requests. Masked are
the secrets of the call, from their first characters on, in any of the escapes of JSON, URLs and HTML, and
whatever looks like a token of HuggingFace or OpenAI.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Final

__all__ = ["MASK", "redact", "redact_bytes"]

MASK: Final = "[redacted]"

_ENOUGH: Final = 8
"""So many of a secret's first characters give it away."""
_SHORTEST: Final = 4
"""A shorter secret keeps nobody out, and masking ``x`` or ``key`` would spoil every message."""

_WORD = "[A-Za-z0-9]"
# a letter before a token is part of a word ("task-specific"), unless an escape put it there ("\nsk-...")
_START = rf"(?:(?<!{_WORD})|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{{4}}))"


@functools.cache
def _spellings(character: str) -> str:
    r"""A pattern for a character as ``\u002d``, ``%2d``, ``&#45;``, ``&#x2d;``, ``\-`` and as it is.

    JSON in JSON doubles the backslashes, hence several.
    """
    code = ord(character)
    return (
        rf"(?:\\{{1,8}}u(?i:{code:04x})|%(?i:{code:02x})|&\#0{{0,4}}{code};|&\#[xX]0{{0,4}}(?i:{code:x});"
        rf"|\\{{0,8}}{re.escape(character)})"
    )


def _spelled(text: str) -> str:
    return "".join(map(_spellings, text))


_INSIDE = rf"(?:{_WORD}|{_spellings('-')}|{_spellings('_')}|{_spellings('*')})"
_TOKEN = re.compile(
    # ten, for "hf_inference" is a name; fewer where stars show that something was left out
    rf"{_spelled('hf_')}(?:{_WORD}{{10,}}|{_WORD}{{0,9}}\*+{_INSIDE}*)"
    rf"|{_START}{_spelled('sk-')}{_INSIDE}{{4,}}"
)


@functools.lru_cache(maxsize=64)
def _opening(secret: str) -> re.Pattern[str]:
    """What a quotation of the secret begins with; a short secret must stand alone and be whole."""
    if len(secret) < _ENOUGH:
        return re.compile(rf"{_START}{_spelled(secret)}(?!{_WORD})")
    return re.compile(_spelled(secret[:_ENOUGH]))


@functools.cache
def _next(character: str) -> re.Pattern[str]:
    return re.compile(_spellings(character))


def _blank_out(text: str, secret: str) -> str:
    pieces: list[str] = []
    done = 0
    while found := _opening(secret).search(text, done):
        pieces += text[done : found.start()], MASK
        done = found.end()
        # a quotation may break off anywhere, and what is left of it has to go too
        for character in secret[_ENOUGH:]:
            more = _next(character).match(text, done)
            if more is None:
                break
            done = more.end()
    return "".join(pieces) + text[done:] if pieces else text


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """The text without keys.

    Args:
        text: Anything a server sent.
        secrets: The keys of the call: ASCII. Eight or more characters are masked wherever their first
            eight stand, four to seven only as a word of their own, fewer never.
    """
    for secret in secrets:
        if len(secret) >= _ENOUGH:
            # a backslash, percent sign or ampersand of the key's own looks like the beginning of an escape
            quoted = json.dumps(secret)[1:-1]
            for exact in (json.dumps(quoted)[1:-1], quoted, secret):
                text = text.replace(exact, MASK)
        if len(secret) >= _SHORTEST:
            text = _blank_out(text, secret)
    return _TOKEN.sub(MASK, text)


def redact_bytes(data: bytes, secrets: tuple[str, ...] = ()) -> bytes:
    """`redact` for a body in any encoding that extends ASCII; the same object when there was nothing."""
    text = data.decode("latin-1")
    masked = redact(text, secrets)
    return data if masked == text else masked.encode("latin-1")

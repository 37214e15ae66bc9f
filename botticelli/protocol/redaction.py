"""Mask keys in what a server sends, however they are escaped.

Servers quote the key that they refuse, whole or in part, and gateways log and echo whole requests. Masked are
the secrets of the call, from their first characters on, in any of the escapes of JSON, URLs and HTML, and
whatever looks like a key of a provider in `KEY_PREFIXES`.
"""

from __future__ import annotations

import functools
import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEY_PREFIXES", "MASK", "redact", "redact_bytes"]

MASK: Final = "[redacted]"

KEY_PREFIXES: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {
        # HuggingFace. Ten, because "hf_inference" is the name of a provider.
        "hf_": ("letters", 10),
        "sk-": ("all", 4),  # OpenAI (sk-proj-), Anthropic (sk-ant-), OpenRouter (sk-or-), DeepSeek and others
        "gsk_": ("letters", 10),  # Groq
        "AIza": ("all", 10),  # Google: Gemini
        "ya29.": ("all", 10),  # Google: an OAuth access token
        "xai-": ("letters", 16),  # xAI. Sixteen, because words may follow in a name, such as "xai-grok".
        "pplx-": ("letters", 16),  # Perplexity
        "nvapi-": ("all", 10),  # NVIDIA
        "csk-": ("letters", 10),  # Cerebras
        "r8_": ("letters", 16),  # Replicate
        "fw_": ("letters", 16),  # Fireworks
        "tgp_v1_": ("all", 10),  # Together
        "sk_": ("letters", 16),  # Novita, ElevenLabs
        "ghp_": ("letters", 16),  # GitHub Models
        "github_pat_": ("all", 16),
    }
)
"""What a provider's keys begin with, and what must follow for a text to be taken for one of them: so many
letters and digits, or (``all``) letters, digits, ``-``, ``_`` and ``*``. Stars after a prefix show that
something was left out, so fewer letters will do then."""

_ENOUGH: Final = 8
"""So many of a secret's first characters give it away."""
_SHORTEST: Final = 4
"""A shorter secret protects nothing, and masking ``x`` or ``key`` would spoil every message."""

_WORD = "[A-Za-z0-9]"
# a letter before a token is part of a word ("task-specific"), unless an escape put it there ("\nsk-...")
_START = rf"(?:(?<!{_WORD})|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{{4}}))"


@functools.cache
def _spellings(character: str) -> str:
    r"""Return a pattern for a character as ``\u002d``, ``%2d``, ``&#45;``, ``&#x2d;``, ``\-`` and as it is.

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


def _pattern(prefix: str, alphabet: str, least: int) -> str:
    # "hf_" is found inside of words too, for it isn't the end of any word
    start = "" if prefix == "hf_" else _START
    if alphabet == "all":
        return rf"{start}{_spelled(prefix)}{_INSIDE}{{{least},}}"
    return rf"{start}{_spelled(prefix)}(?:{_WORD}{{{least},}}|{_WORD}{{0,{least - 1}}}\*+{_INSIDE}*)"


@functools.cache
def _token() -> re.Pattern[str]:
    """Return the pattern for the keys of `KEY_PREFIXES`; compiling it takes 30 ms, so not at the import."""
    first = "".join(sorted({prefix[0] for prefix in KEY_PREFIXES}))
    pairs = "|".join(sorted({re.escape(prefix[:2]) for prefix in KEY_PREFIXES}))
    keys = "|".join(_pattern(prefix, *shape) for prefix, shape in KEY_PREFIXES.items())
    # The first look-ahead fails at most characters and the second at most others, so that the alternatives
    # are seldom tried: a mebibyte of "x" takes 0.15 s, and took 1.05 s without the second (error-body-huge).
    return re.compile(rf"(?=[\\%&{first}])(?=[\\%&]|{pairs}|[{first}][\\%&])(?:{keys})")


@functools.lru_cache(maxsize=64)
def _opening(secret: str) -> re.Pattern[str]:
    """Return a pattern for how a quoted secret begins; a short one must stand alone and be whole."""
    begins = rf"(?=[\\%&{re.escape(secret[0])}])"  # false at most characters, and faster than the spellings
    if len(secret) < _ENOUGH:
        return re.compile(rf"{begins}{_START}{_spelled(secret)}(?!{_WORD})")
    return re.compile(begins + _spelled(secret[:_ENOUGH]))


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
    """Return a text with `MASK` for every key in it.

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
    return _token().sub(MASK, text)


def redact_bytes(data: bytes, secrets: tuple[str, ...] = ()) -> bytes:
    """Redact a body in any encoding that extends ASCII; the same object when there was nothing to mask."""
    text = data.decode("latin-1")
    masked = redact(text, secrets)
    return data if masked == text else masked.encode("latin-1")

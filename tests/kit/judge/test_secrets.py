"""A key is found in every spelling, and struck out."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote

import pytest

from botticelli.kit.judge.secrets import STRUCK, Secrets

KEY = "sk-Ab3dE7gh1jKLmn0pQr"
SECRETS = Secrets([KEY])

SPELLINGS = [
    KEY,
    KEY.upper(),
    KEY.swapcase(),
    KEY[::-1],
    KEY[:8],
    KEY[5:13],
    KEY[-8:],
    KEY.encode().hex(),
    KEY.encode().hex().upper(),
    *(base64.b64encode(before + KEY.encode()).decode() for before in (b"", b"u", b"u:")),
    base64.b64encode(b"Bearer " + KEY.encode()).decode(),
    base64.urlsafe_b64encode(b"??>" + KEY.encode()).decode(),
    base64.b64encode(KEY[4:16].encode()).decode(),
    "".join(f"%{ord(c):02x}" for c in KEY),
    quote(KEY, safe="").replace("-", "%2D"),
    "".join(f"\\u{ord(c):04x}" for c in KEY),
    "".join(f"\\x{ord(c):02x}" for c in KEY),
    KEY[:4] + "\\n" + KEY[4:],
    KEY.replace("-", "\\-"),
    "".join(f"&#{ord(c)};" for c in KEY),
    html.escape(KEY).replace("-", "&#45;"),
    " ".join(KEY),
    "\u200b".join(KEY),
    KEY[:7] + "\n" + KEY[7:14] + "\r\n" + KEY[14:],
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_found_in_every_spelling(spelling: str) -> None:
    for text in (spelling, f"bad key: {spelling}, sorry", json.dumps({"a": spelling})):
        assert SECRETS.shown_in(text)
        struck = SECRETS.strike(text)
        assert not SECRETS.shown_in(struck)
        assert spelling not in struck


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-",
        KEY[:7],
        f"{KEY[:7]}..{KEY[-7:]}",
        "sk-another-key-entirely",
        "%%\\\\&&",
        "\\u00",
        "50 % & more",
    ],
)
def test_what_is_no_key_is_left_alone(text: str) -> None:
    assert not SECRETS.shown_in(text)
    assert SECRETS.strike(text) == text


def test_only_the_key_is_struck_out() -> None:
    assert (
        SECRETS.strike(f"a {KEY} b {KEY[2:12].upper()} c {KEY}{KEY}") == f"a {STRUCK} b {STRUCK} c {STRUCK}"
    )


def test_a_text_that_spells_it_in_a_roundabout_way_is_withheld() -> None:
    assert SECRETS.strike(f"x {' '.join(KEY)}") == "[a text that spells the key]"


def test_a_short_key_counts_as_it_stands() -> None:
    short = Secrets(["abc", ""])
    assert short.shown_in("x abc")
    assert not short.shown_in("x ABC ab c"[:8])
    assert short.strike("x abc") == f"x {STRUCK}"


def test_a_key_with_a_line_end_is_found_without_it() -> None:
    odd = Secrets(["abcd\r\nefgh"])
    assert odd.shown_in("xabcdefgh")
    assert odd.shown_in(repr("abcd\r\nefgh"))


def test_without_keys_nothing_is_shown() -> None:
    assert not Secrets([]).shown_in(KEY)
    assert Secrets([]).strike(KEY) == KEY


def test_a_key_is_looked_for_under_three_layers_of_escapes() -> None:
    text = "".join(f"%{ord(c):02x}" for c in KEY)
    assert SECRETS.shown_in(text.replace("%", "%2525"))
    # Somewhere it must end, also for a text that hides ever more.
    assert not SECRETS.shown_in(text.replace("%", "%25252525"))

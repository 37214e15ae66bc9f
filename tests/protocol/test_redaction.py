"""No key comes back, however it is escaped, whichever provider made it."""

from __future__ import annotations

import json

import pytest

from botticelli.protocol.redaction import KEY_PREFIXES, MASK, redact, redact_bytes


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("token hf_abcdefghijkl!", f"token {MASK}!"),
        ("xhf_abcdefghijkl", f"x{MASK}"),
        (r"\nhf\u005fabcdefghijkl", rf"\n{MASK}"),
        ("hf_ab****yz", MASK),
        ("hf_****", MASK),
        ("hf_inference and hf_hub", "hf_inference and hf_hub"),
        ("key sk-abcd", f"key {MASK}"),
        ("key sk-proj-ab_cd-9***x.", f"key {MASK}."),
        (r"\nsk-abcdefgh", rf"\n{MASK}"),
        (r"\u000ask\u002dabcd\u002Defgh", rf"\u000a{MASK}"),
        ("task-specific, disk-based, risk-averse", "task-specific, disk-based, risk-averse"),
        ("sk-abc", "sk-abc"),
        ("", ""),
    ],
)
def test_known_forms_of_tokens(text: str, masked: str) -> None:
    assert redact(text) == masked


SECRET = 'Q7+x/9"z\\w-end'


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"<{SECRET}>", f"<{MASK}>"),
        (f"{SECRET}{SECRET}", f"{MASK}{MASK}"),
        (SECRET[:8], MASK),
        (SECRET[:8] + "other", MASK + "other"),
        (SECRET[:-1] + "X", MASK + "X"),
        (SECRET[:7], SECRET[:7]),
        (SECRET.lower(), SECRET.lower()),
        (r"Q7+x\/9\"z\\w-end", MASK),
        (r"Q7\u002bx/9\\\"z\\\\w\\u002dend", MASK),
        ("Q7%2Bx%2f9%22z%5cw-end", MASK),
        ("Q7&#43;x&#x2F;9&#034;z&#0092;w-end", MASK),
    ],
)
def test_a_secret_in_its_spellings(text: str, masked: str) -> None:
    assert redact(text, (SECRET,)) == masked


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize(
    "secret", [r"abcdefgh\\\\ij", "abcdefgh%25ij", "abcdefgh&#38;ij", r"abcdefgh\u0041ij"]
)
def test_a_secret_with_what_looks_like_an_escape(secret: str, depth: int) -> None:
    quoted = secret
    for _ in range(depth):
        quoted = json.dumps(quoted)[1:-1]
    assert redact(f"<{quoted}>", (secret,)) == f"<{MASK}>"


@pytest.mark.parametrize(
    ("secret", "text", "masked"),
    [
        ("abcdefg", "is abcdefg.", f"is {MASK}."),
        ("abcdefg", "xabcdefg abcdefgx", "xabcdefg abcdefgx"),
        ("abcd", r"\nabcd", rf"\n{MASK}"),
        ("abc", "abc", "abc"),
        ("", "abc", "abc"),
    ],
)
def test_short_secrets_stand_alone(secret: str, text: str, masked: str) -> None:
    assert redact(text, (secret,)) == masked


def test_several_secrets() -> None:
    assert redact("first-key-1 second-key-2", ("first-key-1", "second-key-2")) == f"{MASK} {MASK}"


def test_a_key_of_thousands_of_characters() -> None:
    secret = "eyJ" + "0123456789abcdef" * 400
    assert redact(f"Bearer {secret}.", (secret,)) == f"Bearer {MASK}."


def test_bytes_are_kept_but_for_the_key() -> None:
    body = b"\xff\x00caf\xc3\xa9 " + SECRET.encode() + b" \xfe"
    assert redact_bytes(body, (SECRET,)) == b"\xff\x00caf\xc3\xa9 " + MASK.encode() + b" \xfe"
    assert redact_bytes(body) is body


KEYS = (
    "hf_abcdefghijKLMNOPqrst0123456789abcd",
    "sk-proj-abcdefghijklmnop_qrst-0123",
    "sk-ant-api03-abcdefghijklmnop_qrst-0123",
    "sk-or-v1-0123456789abcdef",
    "gsk_abcdefghijKLMNOPqrst0123456789abcd",
    "AIzaSyA-abcdefghijKLMNOPqrst_0123456789",
    "ya29.a0AfB_abcdefghijklm",
    "xai-abcdefghijKLMNOPqrst0123456789abcd",
    "pplx-abcdefghijKLMNOPqrst0123456789abcd",
    "nvapi-abcdefghij-KLMNOPqrst0123456789",
    "csk-abcdefghijklmnopqrst",
    "r8_abcdefghijklmnopqrst",
    "fw_abcdefghijklmnopqrst",
    "tgp_v1_abcdefghij-klmnopqrst",
    "sk_abcdefghijklmnopqrst",
    "ghp_abcdefghijklmnopqrst",
    "github_pat_abcdefghij_klmnopqrst",
)


@pytest.mark.parametrize("key", KEYS)
def test_the_keys_of_every_provider_are_masked(key: str) -> None:
    assert redact(f"bad key {key}, no more") == f"bad key {MASK}, no more"
    assert redact(f'{{"key":"\\n{key}"}}') == f'{{"key":"\\n{MASK}"}}'
    escaped = key.replace("-", "%2d").replace("_", "\\u005f")
    assert redact(f"={escaped}") == f"={MASK}"


@pytest.mark.parametrize(
    "text",
    ["xai-org/grok-4", "hf_inference", "fw_config", "task-specific", "gsk_", "ask_me_anything", "AIza"],
)
def test_names_that_begin_like_a_key_are_left(text: str) -> None:
    assert redact(text) == text


NEAR_MISSES = {
    "hf_": "hf_inference and hf_abcd012",
    "sk-": "sk-abc",
    "gsk_": "gsk_abcdefghi and gsk_abcde-fghij",
    "AIza": "AIza-bcdefghi",
    "ya29.": "ya29.abcd-fghi",
    "xai-": "xai-organisation-grok and xai-abcdefghijklmno",
    "pplx-": "pplx-embeddings-model and pplx-abcdefghijklmno",
    "nvapi-": "nvapi-abcd_fghi",
    "csk-": "csk-abcdefghi and csk-abcde-fghij",
    "r8_": "r8_abcdefghijklmno and r8_quantised_weights",
    "fw_": "fw_abcdefghijklmno and fw_config_of_the_router",
    "tgp_v1_": "tgp_v1_abcd_fghi",
    "sk_": "sk_abcdefghijklmno and sk_learn_model_selection",
    "ghp_": "ghp_abcdefghijklmno and ghp_pages_of_the_project",
    "github_pat_": "github_pat_abcdefg-ijklmno",
}


@pytest.mark.parametrize("prefix", KEY_PREFIXES)
def test_each_prefix_has_a_key_among_the_examples_and_a_near_miss(prefix: str) -> None:
    assert any(key.startswith(prefix) for key in KEYS)
    text = NEAR_MISSES[prefix]
    assert redact(text) == text


@pytest.mark.parametrize("prefix", KEY_PREFIXES)
def test_one_character_more_or_less_decides(prefix: str) -> None:
    _, least = KEY_PREFIXES[prefix]
    key = prefix + "a1B2c3D4e5F6g7H8"[:least]
    assert redact(f"key {key}.") == f"key {MASK}."
    assert redact(f"key {key[:-1]}.") == f"key {key[:-1]}."


@pytest.mark.parametrize("escape", [r"\b", r"\f", r"\n", r"\r", r"\t", r"\u000a"])
def test_the_letter_of_an_escape_is_no_part_of_a_word(escape: str) -> None:
    assert redact(f"{escape}sk-abcdefgh") == f"{escape}{MASK}"
    assert redact(f"{escape}abcd", ("abcd",)) == f"{escape}{MASK}"


@pytest.mark.parametrize("backslashes", [1, 2, 4, 8])
def test_an_escape_is_read_through_three_layers_of_json(backslashes: int) -> None:
    escaped = "\\" * backslashes + "u002d"
    assert redact(f"<abcd{escaped}efghij>", ("abcd-efghij",)) == f"<{MASK}>"


def test_a_long_secret_that_is_cut_short_is_masked_to_its_last_character() -> None:
    secret = "eyJ" + "0123456789abcdef" * 40
    assert redact(f"Bearer {secret[:-1]}.", (secret,)) == f"Bearer {MASK}."

"""Keys, base URLs and headers, before any network."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from botticelli import AsyncHuggingFaceDriver, ConfigurationError, HuggingFaceDriver, Timeouts
from botticelli.drivers.huggingface import HUGGINGFACE
from botticelli.drivers.settings import Secret, find_key, under

FIRST, SECOND, BASE = "HUGGINGFACE_API_KEY", "HF_TOKEN", "HUGGINGFACE_BASE_URL"


def found() -> str:
    return find_key(HUGGINGFACE, None)[0].reveal()


def base_of(**options: Any) -> str:
    with HuggingFaceDriver("m", **options) as driver:
        return repr(driver).rpartition("base_url=")[2].strip("')")


# The key.


def test_the_first_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECOND, "hf_second")
    assert found() == "hf_second"
    monkeypatch.setenv(FIRST, "hf_first")
    assert found() == "hf_first"


@pytest.mark.parametrize("empty", ["", "   ", "\n"])
def test_an_empty_variable_is_a_missing_one(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    monkeypatch.setenv(FIRST, empty)
    monkeypatch.setenv(SECOND, "hf_second")
    assert found() == "hf_second"


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"{FIRST}=hf_file\n")
    assert found() == "hf_file"
    monkeypatch.setenv(SECOND, "hf_environment")
    assert found() == "hf_environment"


def test_the_file_is_looked_for_upwards_and_read_literally(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"A=1\nexport {SECOND}='hf_${{A}}$A'\n")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert found() == "hf_${A}$A"


def test_the_environment_is_left_alone() -> None:
    Path(".env").write_text(f"{FIRST}=hf_file\nOTHER_VARIABLE=1\n")
    before = dict(os.environ)
    assert found() == "hf_file"
    assert dict(os.environ) == before


@pytest.mark.parametrize("kind", [HuggingFaceDriver, AsyncHuggingFaceDriver])
def test_a_missing_key_says_what_to_do(kind: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind("m")
    assert caught.value.setting == FIRST
    for word in (FIRST, SECOND, ".env", "put it in .env", "https://huggingface.co/settings/tokens"):
        assert word in str(caught.value)


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_argument_is_a_missing_one(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    monkeypatch.setenv(FIRST, "hf_environment")
    assert find_key(HUGGINGFACE, empty)[0].reveal() == "hf_environment"


def test_an_argument_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FIRST, "hf_environment")
    assert find_key(HUGGINGFACE, " hf_argument\n")[0].reveal() == "hf_argument"


@pytest.mark.parametrize("odd", ["sk-你好", "sk-a\0b", "sk-a b", "sk-a\r\nX-Evil: 1", "sk-\x7f", "sk-\ud83d"])
def test_an_odd_key_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        HuggingFaceDriver("m", api_key=odd)
    assert caught.value.setting == "api_key"
    assert "sk-" not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        HuggingFaceDriver.with_api_token(odd, "m")
    assert "sk-" not in str(caught.value)
    if "\0" not in odd and "\ud83d" not in odd:
        monkeypatch.setenv(SECOND, odd)
        with pytest.raises(ConfigurationError) as caught:
            HuggingFaceDriver("m")
        assert caught.value.setting == SECOND


def test_a_key_is_text() -> None:
    with pytest.raises(ConfigurationError, match="must be a str, not int"):
        HuggingFaceDriver("m", api_key=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- the point


@pytest.mark.parametrize("content", [b"\xff\xfe" + b"hf_Canary", None])
def test_a_file_that_cant_be_read_is_an_error_without_its_content(content: bytes | None) -> None:
    if content is None:
        Path(".env").symlink_to("/proc/self/mem")  # opens, and fails when it is read
    else:
        Path(".env").write_bytes(f"{FIRST}=".encode() + content)
    with pytest.raises(ConfigurationError, match=r"\.env") as caught:
        found()
    assert "Canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_secret_shows_nothing() -> None:
    secret = Secret("hf_Canary")
    assert (repr(secret), str(secret), f"{secret}") == ("***", "***", "***")
    assert secret.reveal() == "hf_Canary"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


# The base URL.


def test_the_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FIRST, "hf_x")
    assert base_of() == "https://router.huggingface.co/v1"
    monkeypatch.setenv(BASE, "http://environment/v1")
    assert base_of() == "http://environment/v1"
    assert base_of(base_url="http://argument/v1") == "http://argument/v1"
    monkeypatch.setenv(BASE, "")
    assert base_of() == "https://router.huggingface.co/v1"


def test_a_query_is_not_shown() -> None:
    driver = HuggingFaceDriver.with_api_token("hf_x", "m", base_url="http://h/v1?key=Canary")
    assert repr(driver) == "HuggingFaceDriver('m', provider='huggingface', base_url='http://h/v1')"
    driver.close()


def test_a_file_names_the_base_url_only_for_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"{FIRST}=hf_file\n{BASE}=http://file/v1\n")
    assert base_of() == "http://file/v1"
    monkeypatch.setenv(BASE, "")
    assert base_of() == "http://file/v1"
    monkeypatch.setenv(BASE, "http://environment/v1")
    assert base_of() == "http://environment/v1"
    monkeypatch.delenv(BASE)
    # else a file in a directory could send the environment's key wherever it likes
    monkeypatch.setenv(SECOND, "hf_environment")
    assert base_of() == "https://router.huggingface.co/v1"
    assert base_of(api_key="hf_argument") == "https://router.huggingface.co/v1"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h/v1", "http://h/v1/models"),
        ("http://h/v1/", "http://h/v1/models"),
        ("http://h/v1//", "http://h/v1/models"),
        ("http://h", "http://h/models"),
        ("http://h/", "http://h/models"),
        ("http://h/v1?a=1&b=2", "http://h/v1/models?a=1&b=2"),
        ("http://h/v1/?a=/", "http://h/v1/models?a=/"),
        ("http://h/a%2Fb/v1", "http://h/a%2Fb/v1/models"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/models"),
    ],
)
def test_paths_are_joined(base: str, url: str) -> None:
    assert under(base, "/models") == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "router.huggingface.co/v1",
        "ftp://h/v1",
        "file:///etc/passwd",
        "//h/v1",
        "http://",
        "http:///v1",
        "http://h:port/v1",
        "http://h:99999/v1",
        "http://[::1/v1",
        "http://user:Canary@h/v1",
        "http://user@h/v1",
        "http://h/v1#part",
        "http://h/a b",
        "http://h/\nv1",
        "http://h\\@evil/v1",
        "http://" + "a" * 70 + "ä.example/v1",
        5,
    ],
)
def test_a_base_url_that_is_none(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base URL") as caught:
        HuggingFaceDriver.with_api_token("hf_x", "m", base_url=url)
    assert caught.value.setting == "base_url"
    assert "Canary" not in str(caught.value)


def test_the_variable_is_named_when_its_url_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE, "nonsense")
    with pytest.raises(ConfigurationError) as caught:
        HuggingFaceDriver.with_api_token("hf_x", "m")
    assert caught.value.setting == BASE


# The rest.


@pytest.mark.parametrize("kind", [HuggingFaceDriver, AsyncHuggingFaceDriver])
@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"timeout": 0}, "timeout.pool"),
        ({"timeout": "5"}, "timeout.pool"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"max_retry_after": -1}, "max_retry_after"),
        ({"backoff": float("nan")}, "backoff"),
        ({"http_client": "httpx"}, "http_client"),
        ({"cache": 5}, "cache"),
    ],
)
def test_options_that_are_refused(kind: Any, options: dict[str, Any], setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind.with_api_token("hf_x", "m", **options)
    assert caught.value.setting == setting


@pytest.mark.parametrize("model", ["", "  ", None, 5])
def test_a_model_is_a_name(model: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        HuggingFaceDriver.with_api_token("hf_x", model)
    assert caught.value.setting == "model"


def test_an_unknown_option_is_a_slip_of_the_pen() -> None:
    with pytest.raises(TypeError, match="retries"):
        HuggingFaceDriver.with_api_token("hf_x", "m", retries=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] -- the point


def test_timeouts_may_be_a_number() -> None:
    with HuggingFaceDriver.with_api_token("hf_x", "m", timeout=Timeouts(total=None)):
        pass
    with HuggingFaceDriver.with_api_token("hf_x", "m", timeout=3):
        pass

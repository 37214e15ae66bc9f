"""Keys, base URLs and headers, before any network."""

from __future__ import annotations

import copy
import os
import pickle
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from botticelli import (
    AsyncChatDriver,
    AsyncHuggingFaceDriver,
    ChatDriver,
    ConfigurationError,
    HuggingFaceDriver,
    Model,
    ModelProvider,
    Provider,
    Secret,
    Timeouts,
)
from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.drivers.config import under
from botticelli.drivers.credentials import ANONYMOUS, find_key
from botticelli.providers.huggingface import HUGGINGFACE, login_token_path

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


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    """Editors on Windows write one."""
    Path(".env").write_bytes(f"\ufeff{FIRST}=hf_file\n".encode())
    assert found() == "hf_file"


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
    with pytest.raises(ConfigurationError, match="api_key must be a str, not 5"):
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
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            take(secret)
        assert "Canary" not in str(caught.value)
    assert (repr(secret), str(secret), f"{secret}") == ("***", "***", "***")
    assert secret.reveal() == "hf_Canary"


@pytest.mark.parametrize("held", ["sk-a\r\nX-Evil: 1", 5])
def test_a_secret_is_held_to_the_same(held: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        HuggingFaceDriver("m", api_key=Secret(held))
    assert caught.value.setting == "api_key"
    assert "sk-" not in str(caught.value)
    assert find_key(HUGGINGFACE, Secret(""))[0] is ANONYMOUS


# The base URL.


def test_the_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FIRST, "hf_x")
    assert base_of() == "https://router.huggingface.co/v1"
    monkeypatch.setenv(BASE, "https://environment/v1")
    assert base_of() == "https://environment/v1"
    assert base_of(base_url="https://argument/v1") == "https://argument/v1"
    monkeypatch.setenv(BASE, "")
    assert base_of() == "https://router.huggingface.co/v1"


def test_a_query_is_not_shown() -> None:
    driver = HuggingFaceDriver.with_api_token("hf_x", "m", base_url="http://h/v1?key=Canary")
    assert repr(driver) == "HuggingFaceDriver('m', provider='huggingface', base_url='http://h/v1')"
    driver.close()


def test_a_file_names_the_base_url_only_for_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"{FIRST}=hf_file\n{BASE}=https://file/v1\n")
    assert base_of() == "https://file/v1"
    monkeypatch.setenv(BASE, "")
    assert base_of() == "https://file/v1"
    monkeypatch.setenv(BASE, "https://environment/v1")
    assert base_of() == "https://environment/v1"
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
        "http://h/" + "a" * 70_000,
        "http://h:0/v1",
        "http://a..b/v1",
        "http://xn--a/v1",
        "http://h/\ud800",
        "http://h\ud800/",
        "http://h/\x85v1",
        "http://h/\u2028v1",
        "http://h/v1/chat/completions",
        "http://h/v1/chat/completions/",
        "http://h/v1/Chat/Completions?api-version=1",
        "http://h/v1/completions",
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


@pytest.mark.parametrize("end", ["/chat/completions", "/completions"])
def test_a_base_url_that_goes_too_far_says_what_to_cut(end: str) -> None:
    with pytest.raises(ConfigurationError, match=f"cut {end} from its path"):
        base_of(api_key="hf_x", base_url=f"http://h/v1{end}")
    # Azure's begins with such a path
    assert base_of(api_key="hf_x", base_url="http://h/completions/models") == "http://h/completions/models"


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
        ({"timeout": 0}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"timeout": 10**400}, "timeout"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"max_retries": "2"}, "max_retries"),
        ({"max_retry_after": -1}, "max_retry_after"),
        ({"backoff": float("nan")}, "backoff"),
        ({"http_client": "httpx"}, "http_client"),
        ({"http_client": object()}, "http_client"),
        ({"cache": 5}, "cache"),
        ({"cache": object()}, "cache"),
        ({"cache": dict}, "cache"),
        ({"audit": "yes"}, "audit"),
        ({"audit": 1}, "audit"),
        ({"limits": 5}, "limits"),
        ({"bill_to": ""}, "bill_to"),
        ({"bill_to": 5}, "bill_to"),
        ({"bill_to": "a\r\nb"}, "bill_to"),
        ({"bill_to": "\ud800"}, "bill_to"),
        ({"headers": ["a"]}, "headers"),
        ({"catalog": None}, "catalog"),
        ({"catalog": 5}, "catalog"),
        ({"catalog": ["a"]}, "catalog[0]"),
        ({"catalog": [Model(id="m"), Model(id=cast("Any", 5))]}, "catalog[1]"),
        ({"catalog": [Model(id=cast("Any", object()))]}, "catalog[0]"),
        (
            {
                "catalog": [
                    Model(id="m", providers=(ModelProvider(provider="p", input_price=cast("Any", "1")),))
                ]
            },
            "catalog[0]",
        ),
        (
            {"catalog": [Model(id="m", providers=(ModelProvider(provider="p", output_price=float("nan")),))]},
            "catalog[0]",
        ),
        (
            {"catalog": [Model(id="m", providers=(ModelProvider(provider="p", input_price=float("inf")),))]},
            "catalog[0]",
        ),
    ],
)
def test_options_that_are_refused(kind: Any, options: dict[str, Any], setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind.with_api_token("hf_x", "m", **options)
    assert caught.value.setting == setting
    # a parameter that nobody wrote is no help
    assert str(caught.value).startswith(("the value of header", setting))


@pytest.mark.parametrize("model", ["", "  ", None, 5, "m\n", "m\0", "\ud800", "m\x85", "m\u2028n"])
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


# Nonsense of any sort.


class Hostile:
    """Says nothing about itself, not even for an error."""

    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __bool__(self) -> bool:
        raise ValueError("no truth")

    def __eq__(self, other: object) -> bool:
        raise ValueError("no comparison")

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType] -- how Python spells it


PARAMETERS = (
    "model",
    "api_key",
    "http_client",
    "base_url",
    "timeout",
    "max_retries",
    "max_retry_after",
    "backoff",
    "cache",
    "audit",
    "limits",
    "bill_to",
    "headers",
    "catalog",
)
texts = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("\0\r\n\x85\u2028\ud800 :/@#?[]%"), max_size=9
)
atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, 2**63, -(2**64)]),
    st.sampled_from([1, -1]).map(lambda sign: sign * 10**5000),
    st.floats(),
    texts,
    texts.map("http://".__add__),
    texts.map("http://h/".__add__),
    texts.map("hf_Canary".__add__),
    st.binary(max_size=5),
    st.sampled_from([object(), dict, Secret, len, 1j, Decimal("NaN"), Fraction(1, 3), httpx.Timeout(1)]),
    st.builds(Timeouts),
    st.builds(Model, id=texts | st.integers()),
    texts.map(Secret),
)
junk = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.tuples(inner)
        | st.dictionaries(texts, inner, max_size=2)
        | st.dictionaries(st.integers(), inner, max_size=1)
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([HuggingFaceDriver, AsyncHuggingFaceDriver]), st.sampled_from(PARAMETERS), junk)
@example(HuggingFaceDriver, "base_url", "http://h\ud800/")
def test_whatever_a_parameter_is_given_makes_a_driver_or_names_the_parameter(
    kind: Any, parameter: str, value: Any
) -> None:
    check_given(kind, parameter, value)


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_what_says_nothing_about_itself_is_refused_too(parameter: str) -> None:
    check_given(HuggingFaceDriver, parameter, Hostile(), refused=True)


def check_given(kind: Any, parameter: str, value: object, *, refused: bool = False) -> None:
    options: dict[str, Any] = {"model": "m", "api_key": "hf_x", "base_url": "http://h/v1", parameter: value}
    problem: ConfigurationError | None = None
    try:
        kind(options.pop("model"), **options)
    except ConfigurationError as error:
        problem = error
    assert problem is not None or not refused
    if problem is not None:
        named = re.split(r"[.\[]", problem.setting or "")[0]
        assert named == ("HUGGINGFACE_API_KEY" if problem.missing else parameter)
        assert "Canary" not in str(problem)
        assert str(problem).isprintable()
        assert problem.__context__ is None


@pytest.mark.parametrize("kind", [ChatDriver, AsyncChatDriver])
def test_a_driver_has_a_provider(kind: Any) -> None:
    for driver in (kind, type("Mine", (kind,), {"provider": "huggingface"})):
        with pytest.raises(ConfigurationError, match=f"^{driver.__name__} has no Provider") as caught:
            driver("m", api_key="k")
        assert caught.value.setting == "provider"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", 5),
        ("base_url", None),
        ("base_url_env", 5),
        ("key_env", "MY_KEY"),
        ("key_env", ["MY_KEY"]),
        ("key_env", (5,)),
        ("auth_header", None),
        ("auth_header", ""),
        ("auth_scheme", None),
        ("key_prefix", None),
        ("key_help", 5),
        ("headers", [("a", "b")]),
        ("headers", {"a": 5}),
        ("headers", {5: "a"}),
        ("headers_env", {"A": 5}),
        ("bill_to_header", True),
        ("error_rules", []),
        ("error_rules", ("context_length",)),
        ("hints", {"server": None}),
    ],
)
def test_a_providers_fields_are_of_their_types(field: str, value: Any) -> None:
    fields: dict[str, Any] = {
        "name": "p",
        "base_url": "http://h",
        "dialect": OpenAIDialect(),
        "key_env": ("K",),
    }
    Provider(**fields)
    with pytest.raises(ConfigurationError, match=f"^provider.{field} must be") as caught:
        Provider(**(fields | {field: value}))
    assert caught.value.setting == f"provider.{field}"


LAN = "http://10.0.0.5:8000/v1"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v1", "http://[::1]/v1", "http://localhost/v1", "https://10.0.0.5/v1"]
)
def test_a_key_of_the_environment_goes_to_this_machine_and_over_https(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FIRST, "hf_environment")
    assert HuggingFaceDriver("m", base_url=url)


def test_a_key_of_the_environment_goes_nowhere_else_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FIRST, "hf_environment")
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.5.*plain http") as caught:
        HuggingFaceDriver("m", base_url=LAN)
    assert "hf_environment" not in str(caught.value)
    monkeypatch.setenv(BASE, LAN)
    assert HuggingFaceDriver("m"), "who sets both in the environment sets the one for the other"
    assert HuggingFaceDriver("m", base_url=LAN, api_key="hf_given")
    assert HuggingFaceDriver.with_api_token("hf_given", "m", base_url=LAN)
    assert HuggingFaceDriver.with_api_token(None, "m", base_url=LAN)


def test_a_driver_whose_making_failed_can_be_shown() -> None:
    driver = HuggingFaceDriver.__new__(HuggingFaceDriver)
    assert repr(driver) == "HuggingFaceDriver(not made)"


LOGIN = "hf_loginCanary0123456789"


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{LOGIN}\n")
    monkeypatch.setenv("HF_TOKEN_PATH", str(path))
    return path


def test_the_token_of_a_login_is_the_last_resort(
    login: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_key(HUGGINGFACE, None)[0].reveal() == LOGIN
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("HF_TOKEN=hf_dotenv")
    assert find_key(HUGGINGFACE, None)[0].reveal() == "hf_dotenv"
    monkeypatch.setenv(FIRST, "hf_environment")
    assert find_key(HUGGINGFACE, None)[0].reveal() == "hf_environment"
    assert find_key(HUGGINGFACE, "hf_given")[0].reveal() == "hf_given"
    login.unlink()


@pytest.mark.usefixtures("login")
def test_the_token_of_a_login_goes_to_the_provider_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HuggingFaceDriver("m", base_url="https://router.huggingface.co/v1")
    with pytest.raises(ConfigurationError, match="is not set"):
        HuggingFaceDriver("m", base_url="https://example.com/v1")
    monkeypatch.setenv(BASE, "https://example.com/v1")
    with pytest.raises(ConfigurationError, match="is not set"):
        HuggingFaceDriver("m")


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_login_is_none(login: Path, text: str) -> None:
    login.write_text(text)
    with pytest.raises(ConfigurationError, match="is not set"):
        HuggingFaceDriver("m")


def test_a_login_that_cannot_be_read_is_an_error_without_the_key(login: Path) -> None:
    login.write_text(f"{LOGIN} x")
    with pytest.raises(ConfigurationError, match="holds a space") as caught:
        HuggingFaceDriver("m")
    assert LOGIN not in str(caught.value)
    login.unlink()
    login.mkdir()
    with pytest.raises(ConfigurationError, match="can't be read from"):
        HuggingFaceDriver("m")


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({}, "~/.cache/huggingface/token"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/token"),
        ({"HF_HOME": "/h", "XDG_CACHE_HOME": "/c"}, "/h/token"),
        ({"HF_TOKEN_PATH": "/t", "HF_HOME": "/h"}, "/t"),
    ],
)
def test_where_a_login_keeps_its_token(environment: dict[str, str], path: str) -> None:
    assert login_token_path(environment) == path


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_key_sends_the_one_of_the_environment_nowhere_else(
    blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FIRST, "hf_environment")
    with pytest.raises(ConfigurationError, match="plain http"):
        HuggingFaceDriver("m", api_key=blank, base_url=LAN)


@pytest.mark.parametrize("url", ["https://h:99999/v1", "http://[::1/v1", "http://h:x/v1", "x" * 9])
def test_a_base_url_that_is_none_is_told_apart_from_a_missing_key(url: str) -> None:
    assert not HUGGINGFACE.owns(url)
    with pytest.raises(ConfigurationError):
        HuggingFaceDriver("m", base_url=url)

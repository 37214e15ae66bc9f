"""The providers: their registry, their variables, and the tables of their errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import botticelli
from botticelli import AsyncChatDriver, ChatDriver, ConfigurationError, GenerateRequest, Message, Provider
from botticelli.cli import main
from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.drivers.conformance import ChatAdapter
from botticelli.protocol.error_rules import CLASSES
from botticelli.providers import DEFAULT, PROVIDERS, adapters, async_driver, sync_driver
from botticelli.providers.groq import GROQ, read_base_url
from botticelli.providers.ollama import OLLAMA, read_host
from botticelli.providers.openai import OPENAI
from tests.error_calls import error_from_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botticelli.protocol.error_rules import ErrorRule

NEW = {provider.name: provider for provider in (GROQ, OLLAMA, OPENAI)}
VARIABLES = [
    *("GROQ_API_KEY", "GROQ_BASE_URL", "OLLAMA_API_KEY", "OLLAMA_HOST"),
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"),
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of a provider is set, and there is no .env."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_importing_the_registry_loads_no_driver() -> None:
    code = "import sys, botticelli.providers; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "botticelli.providers" in loaded
    assert not loaded & {"httpx", "msgspec", "botticelli.drivers", "botticelli.core"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_everything_follows_from_the_registry(name: str) -> None:
    sync, aio = sync_driver(name), async_driver(name)
    assert (sync.provider.name, aio.provider) == (name, sync.provider)
    assert getattr(botticelli, PROVIDERS[name]) is sync
    assert getattr(botticelli, f"Async{PROVIDERS[name]}") is aio
    assert {PROVIDERS[name], f"Async{PROVIDERS[name]}"} <= set(botticelli.__all__)
    assert sync.provider.default_model
    assert getattr(adapters, name)().capabilities < getattr(adapters, f"async_{name}")().capabilities


def test_the_registry_has_each_file_of_a_provider_and_the_default() -> None:
    folder = Path(adapters.__file__).parent
    others = {"__init__", "adapters", "mock"}
    assert {path.stem for path in folder.glob("*.py")} - others == set(PROVIDERS)
    assert DEFAULT in PROVIDERS


@pytest.mark.parametrize("name", ["nobody", "async_nobody"])
def test_an_adapter_that_isnt_there(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(adapters, name)


def test_a_provider_that_isnt_there() -> None:
    with pytest.raises(KeyError):
        sync_driver("nobody")
    with pytest.raises(ImportError, match="holds no class AsyncPath"):
        async_driver("pathlib:Path")


OUTSIDE = """
from botticelli import AsyncChatDriver, ChatDriver, Provider
from botticelli.dialects.openai.dialect import OpenAIDialect

MINE = Provider(name="mine", base_url="http://127.0.0.1:1/v1", dialect=OpenAIDialect(), key_env=("MY_KEY",))

class MyDriver(ChatDriver):
    provider = MINE

class AsyncMyDriver(AsyncChatDriver):
    provider = MINE
"""


def test_a_provider_from_outside_works_with_driver_adapter_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outside_provider.py").write_text(OUTSIDE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "outside_provider", raising=False)
    assert main(["chat", "hi", "--provider", "outside_provider:MyDriver", "--model", "m"]) == 2
    assert "MY_KEY is not set" in capsys.readouterr().err
    assert main(["chat", "hi", "--provider", "outside_provider:MyDriver"]) == 2
    assert "has no default model; name one with --model" in capsys.readouterr().err
    sync = sync_driver("outside_provider:MyDriver")
    assert issubclass(sync, ChatDriver)
    assert issubclass(async_driver("outside_provider:MyDriver"), AsyncChatDriver)
    with sync("m", api_key="k") as driver:
        assert driver.provider_name == "mine"
    assert "generate" in ChatAdapter(sync).capabilities


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("nobody", "there is no provider 'nobody'; choose from groq, huggingface, ollama, openai"),
        ("no_such_module_x:Driver", "can't be loaded"),
        ("pathlib:Path", "isn't a subclass of ChatDriver"),
        ("pathlib:Nothing", "holds no class Nothing"),
    ],
)
def test_a_provider_that_the_command_cant_use_is_one_line(
    name: str, wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["models", "--provider", name]) == 2
    printed = capsys.readouterr().err
    assert wrong in printed
    assert printed.count("\n") == 1


def test_a_word_that_is_no_driver_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "driver", "nobody"]) == 2
    assert "there is no driver 'nobody'; give one of groq, huggingface" in capsys.readouterr().err


def test_a_providers_name_stands_for_its_two_drivers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "driver", "ollama", "--case", "sse-cr-only"]) == 0
    printed = capsys.readouterr().out
    assert "botticelli.providers.adapters:ollama" in printed
    assert "botticelli.providers.adapters:async_ollama" in printed


@pytest.mark.parametrize("name", ["openai", "groq"])
def test_a_key_that_is_needed_and_missing(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name.upper()}_API_KEY is not set"):
        sync_driver(name)("m")


def test_a_server_without_keys_has_an_ordinary_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "http://127.0.0.1:11434/v1" in repr(sync_driver("ollama")("llama3"))
    assert "http://127.0.0.1:11434/v1" in repr(async_driver("ollama")("llama3"))
    Path(".env").write_text("OLLAMA_HOST=10.0.0.7\n")
    assert "http://10.0.0.7:11434/v1" in repr(sync_driver("ollama")("llama3"))
    monkeypatch.setenv("OLLAMA_API_KEY", "canary-of-a-key")
    assert "127.0.0.1" in repr(sync_driver("ollama")("llama3"))  # no .env sends the key elsewhere


HOSTS = [
    ("", "http://127.0.0.1:11434/v1"),
    ("1.2.3.4", "http://1.2.3.4:11434/v1"),
    ("1.2.3.4:5", "http://1.2.3.4:5/v1"),
    (":5", "http://127.0.0.1:5/v1"),
    ("example.com", "http://example.com:11434/v1"),
    ("http://example.com", "http://example.com:80/v1"),
    ("https://example.com", "https://example.com:443/v1"),
    ("https://example.com:99/x/", "https://example.com:99/x/v1"),
    ("http://example.com:8000/v1", "http://example.com:8000/v1"),
    ("ollama.com", "https://ollama.com:443/v1"),
    ("0.0.0.0", "http://127.0.0.1:11434/v1"),
    ("0.0.0.0:80", "http://127.0.0.1:80/v1"),
    ("::", "http://[::1]:11434/v1"),
    ("[::1]", "http://[::1]:11434/v1"),
    ("[::1]:7", "http://[::1]:7/v1"),
    ("fe80::1", "http://[fe80::1]:11434/v1"),
    ("1.2.3.4:66000", "http://1.2.3.4:11434/v1"),
    ("1.2.3.4:x", "http://1.2.3.4:11434/v1"),
    ("  \"'1.2.3.4'\" ", "http://1.2.3.4:11434/v1"),
    ("example.com/sub", "http://example.com:11434/sub/v1"),
]


@pytest.mark.parametrize(("value", "url"), HOSTS)
def test_ollama_host_by_its_own_grammar(value: str, url: str) -> None:
    assert read_host(value) == url


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("https://api.groq.com/ ", "https://api.groq.com/openai/v1"),
        ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1"),
        ("http://h:1/v1", "http://h:1/v1"),
        ("http://h?a=1", "http://h?a=1"),
        ("http://[", "http://["),
        ("nonsense", "nonsense"),
    ],
)
def test_groq_base_url_with_or_without_its_path(value: str, url: str) -> None:
    assert read_base_url(value) == url


def test_groqs_driver_reads_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_BASE_URL", "http://h:1")
    assert "base_url='http://h:1/openai/v1'" in repr(sync_driver("groq")("m", api_key="k"))


@pytest.mark.parametrize(("name", "chosen"), [("huggingface", "acme"), ("openai", None)])
def test_only_a_router_says_which_provider_it_chose(name: str, chosen: str | None) -> None:
    import httpx

    def answer(request: httpx.Request) -> httpx.Response:
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        return httpx.Response(200, json={"choices": [choice]}, headers={"X-Inference-Provider": "acme"})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        driver = sync_driver(name)("m", api_key="k", http_client=client)
        assert driver.generate(GenerateRequest([Message.user("hi")])).inference_provider == chosen


def test_openais_organization_and_project_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        return httpx.Response(200, json={"choices": [choice]})

    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", " ")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://h/v1")
    request = GenerateRequest([Message.user("hi")], max_tokens=5)
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        sync_driver("openai")("m", http_client=client).generate(request)
        monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
        sync_driver("openai")("m", http_client=client, headers={"openai-project": "mine"}).generate(request)
    first, second = sent
    assert str(first.url) == "http://h/v1/chat/completions"
    assert first.headers["openai-organization"] == "org-1"
    assert "openai-project" not in first.headers
    assert second.headers["openai-project"] == "mine"
    assert b'"max_completion_tokens":5' in first.content


def test_a_header_from_the_environment_that_isnt_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org\n1")
    with pytest.raises(ConfigurationError) as caught:
        sync_driver("openai")("m", api_key="k")
    assert "OPENAI_ORG_ID" in str(caught.value.setting)


def test_capabilities_are_the_dialects_unless_the_provider_has_its_own() -> None:
    assert OPENAI.capabilities == OpenAIDialect().capabilities
    fields: dict[str, Any] = {"name": "p", "base_url": "http://h", "dialect": OpenAIDialect()}
    own = botticelli.Capabilities(images=False)
    mine = Provider(**fields, own_capabilities=own)
    assert type("Mine", (ChatDriver,), {"provider": mine})("m", api_key="k").capabilities == own


def body(message: str, type_: str = "invalid_request_error", code: str | None = None) -> str:
    import json

    return json.dumps({"error": {"message": message, "type": type_, "param": None, "code": code}})


ERRORS = [
    (
        *("openai", 429, "credits_exhausted"),
        body("Your account is not active, please check your billing details.", "billing_not_active"),
    ),
    (
        *("groq", 400, "model_not_found"),
        body("The model `old` has been decommissioned.", code="model_decommissioned"),
    ),
    (
        *("groq", 400, "not_chat_model"),
        body("The model `whisper-large-v3` does not support chat completions"),
    ),
    (
        *("groq", 400, "permission_denied"),
        body("The model `playai-tts` requires terms acceptance.", code="model_terms_required"),
    ),
    (
        *("groq", 498, "server"),
        body("Flex tier capacity exceeded", "capacity_exceeded", "capacity_exceeded"),
    ),
    (
        *("groq", 413, "request_too_large"),
        body("Request too large for model `m`", "tokens", "rate_limit_exceeded"),
    ),
    (
        *("groq", 400, "invalid_request"),
        body("Failed to call a function.", code="tool_use_failed"),
    ),
    ("ollama", 404, "model_not_found", body("model 'nope' not found", "not_found_error")),
    ("ollama", 404, "not_found", "404 page not found"),
    (
        *("ollama", 429, "credits_exhausted"),
        body("you (me) have reached your weekly usage limit, upgrade for higher limits", "api_error"),
    ),
    ("ollama", 429, "rate_limit", body("too many requests", "api_error")),
    ("ollama", 401, "authentication", body("unauthorized", "api_error")),
]


def wrong(name: str, rows: Iterable[ErrorRule]) -> list[str]:
    """The bodies of a provider's errors that come out as another kind than they should."""
    return [
        text
        for provider, status, kind, text in ERRORS
        if provider == name
        and error_from_response(status, {}, text.encode(), now=0.0, error_rules=tuple(rows)).kind != kind
    ]


@pytest.mark.parametrize("name", NEW)
def test_with_the_table_all_errors_are_right(name: str) -> None:
    assert wrong(name, NEW[name].error_rules) == []


@pytest.mark.parametrize(
    ("name", "row"), [(name, row) for name in NEW for row in range(len(NEW[name].error_rules))]
)
def test_without_a_row_some_error_is_wrong(name: str, row: int) -> None:
    rules = NEW[name].error_rules
    assert wrong(name, rules[:row] + rules[row + 1 :])


@pytest.mark.parametrize("name", NEW)
def test_hints_are_for_kinds_that_exist(name: str) -> None:
    assert {key.partition("/")[0] for key in NEW[name].hints} <= set(CLASSES)


# Whose hints, and of which server.


def failing(status: int, text: str = "{}") -> Any:
    """An HTTP client whose server always answers with this error."""
    import httpx

    return httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(status, text=text)))


def refused(name: str, status: int, base_url: str | None = None, key: str = "k") -> botticelli.ApiError:
    with failing(status) as client:
        driver = sync_driver(name).with_api_token(
            key, "m", http_client=client, base_url=base_url, max_retries=0
        )
        with pytest.raises(botticelli.ApiError) as caught:
            driver.generate(GenerateRequest([Message.user("hi")]))
    return caught.value


def test_at_its_own_address_the_hints_are_the_providers() -> None:
    error = refused("huggingface", 402)
    assert "huggingface.co/settings/billing" in str(error)
    assert "(402, huggingface, model m)" in str(error)
    assert error.host is None
    assert "eu.api.openai.com" not in str(refused("openai", 404, "https://eu.api.openai.com/v1"))
    assert "OpenAI's is" in str(refused("openai", 404, "https://eu.api.openai.com/v1"))


@pytest.mark.parametrize(
    ("key", "said"), [("hf_abcdef", None), ("sk-abcdef", "doesn't begin with hf_"), ("", "no key was sent")]
)
def test_a_refused_key_is_looked_at(key: str, said: str | None) -> None:
    error = refused("huggingface", 401, key=key)
    assert "settings/tokens" in str(error)
    for word in ("doesn't begin with hf_", "no key was sent"):
        assert (word in str(error)) == (word == said)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429])
@pytest.mark.parametrize("name", ["huggingface", "openai", "groq"])
def test_at_another_address_the_hints_are_those_for_all_servers(name: str, status: int) -> None:
    error = refused(name, status, "http://127.0.0.1:28012/v1", key="tok-1")
    expected = error_from_response(status, {}, b"{}", now=0.0)
    assert error.hint == expected.hint
    assert f"({status}, 127.0.0.1:28012, model m)" in str(error)
    assert (error.host, error.provider) == ("127.0.0.1:28012", name)


@pytest.mark.parametrize(
    ("base_url", "own"),
    [
        ("https://api.openai.com/v1", True),
        ("https://API.OpenAI.com/other", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://api.openai.com:8443/v1", False),
        ("http://api.openai.com/v1", False),
        ("https://notapi.openai.com.example/v1", False),
        ("https://myapi.openai.com/v1", False),
        ("http://127.0.0.1:8000/v1", False),
    ],
)
def test_which_addresses_are_a_providers_own(base_url: str, own: bool) -> None:
    assert OPENAI.owns(base_url) is own


def test_a_program_that_anybody_runs_is_at_home_everywhere() -> None:
    assert OLLAMA.owns("http://10.0.0.7:11434/v1")
    error = refused("ollama", 401, "http://10.0.0.7:9/v1")
    assert "ollama signin" in str(error)
    assert "(401, ollama, model m)" in str(error)


def test_the_list_of_models_names_none() -> None:
    with failing(404, '{"error":"m is unknown"}') as client:
        driver = sync_driver("groq")("m", api_key="gsk_1", http_client=client, max_retries=0)
        with pytest.raises(botticelli.NotFoundError) as caught:
            driver.models()
    assert caught.value.model is None
    assert "model" not in str(caught.value)

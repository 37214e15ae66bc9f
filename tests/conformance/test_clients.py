"""The adapters that come with the kit, each against its client; those that aren't installed are skipped."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.cli import main
from botticelli.kit.adapters.clients import registry
from botticelli.kit.adapters.limits import LIMIT, bypass_proxies
from botticelli.kit.adapters.load import close_adapter, load_adapter
from botticelli.kit.adapters.toolkit import (
    ClientAdapter,
    chunk_texts,
    import_client,
    kind_of_status,
    transport_kind,
    version_of,
    whole_response,
)
from botticelli.kit.cases.case import load_cases
from botticelli.kit.errors import AdapterError
from botticelli.kit.report.text import describe_failure
from botticelli.kit.runner import Status, run_cases

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from botticelli.kit.adapters.adapter import Adapter

# Foreign code warns as it likes; the clients are judged by what they answer.
pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).resolve().parents[2]
JS = Path(registry.__file__).with_name("js")

# What any client must manage: an answer, a stream, a status, a stream that is left.
EASY = {
    "chunk-content-empty-first",
    "sse-one-read",
    "unicode-emoji-split",
    "error-status-400",
    "cancel-stream-closes-connection",
}


@pytest.fixture(autouse=True)
def _no_proxies() -> Iterator[None]:
    with bypass_proxies():
        yield


def opened(word: str) -> Adapter:
    try:
        return load_adapter(word)
    except AdapterError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("word", sorted(registry.CLIENTS))
def test_each_client_manages_what_is_easy(word: str) -> None:
    adapter = opened(word)
    cases = [case for case in load_cases() if case.id in EASY]
    results = list(run_cases(cases, adapter, jobs=4))
    close_adapter(adapter)
    failures = [describe_failure(result) for result in results if result.fails_run]
    assert not failures, "\n\n".join(failures)
    assert len(results) == len(EASY)
    # Not all clients try again, which the case of a status needs.
    assert {result.reason for result in results if result.status is Status.NOT_CLAIMED} <= {"retry"}


@pytest.mark.parametrize("word", sorted(registry.PYTHON))
def test_each_python_adapter_tells_its_clients_version(word: str) -> None:
    opened(word)
    adapter: Any = registry.open_client(word, LIMIT)
    assert re.fullmatch(r"[a-z_-]+ \d+(\.\d+)+\S*", adapter.version)


# How they are named and opened


@pytest.mark.parametrize(
    ("word", "adapters"),
    [
        ("openai", ("openai-sync", "openai-async")),
        ("litellm", ("litellm",)),
        ("npm:openai", ("npm:openai",)),
        ("huggingface", ()),
        ("OpenAIDriver", ()),
    ],
)
def test_a_word_stands_for_adapters(word: str, adapters: tuple[str, ...]) -> None:
    assert registry.adapters_for(word) == adapters


@pytest.mark.parametrize(
    ("word", "judged"),
    [
        ("openai", ["openai-sync", "openai-async"]),
        ("OpenAIDriver", ["botticelli.providers.adapters:openai"]),
        ("AsyncOpenAIDriver", ["botticelli.providers.adapters:async_openai"]),
        (
            "huggingface",
            ["botticelli.providers.adapters:huggingface", "botticelli.providers.adapters:async_huggingface"],
        ),
    ],
)
def test_where_a_client_and_a_provider_share_a_name_the_client_is_judged(
    word: str, judged: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    assert main(["check", "driver", word, "--case", "sse-one-read"]) == 0
    names = [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()]  # a version may follow
    assert [name for name in names if name in judged] == judged


def test_the_words_are_listed_in_the_help_and_where_one_is_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["check", "driver", "--help"])
    listed = "".join(capsys.readouterr().out.split())
    assert main(["check", "driver", "nobody"]) == 2
    refused = capsys.readouterr().err
    for word in registry.WORDS:
        assert word in listed
        assert word in refused


@pytest.mark.parametrize("word", sorted(registry.PYTHON))
def test_a_client_is_imported_only_when_it_is_asked_for(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, _ = registry.PYTHON[word]
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["check", "driver", word, "--in-process", "--case", "sse-one-read"]) == 2
    printed = capsys.readouterr().err
    assert re.search(r"isn't installed \(.*\); install it with: pip install '", printed)
    assert printed.count("\n") == 1


def test_a_missing_client_in_javascript_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str | None] = ["/usr/bin/node"]

    def which(_name: str) -> str | None:
        return found[0]

    monkeypatch.setattr(shutil, "which", which)
    with pytest.raises(AdapterError, match="'openai' isn't installed; install it with: npm install --prefix"):
        registry.node_command("npm:openai", tmp_path)
    found[0] = None
    with pytest.raises(AdapterError, match="there is no program node"):
        registry.node_command("npm:openai", tmp_path)


def test_what_is_judged_is_pinned_in_one_place_each() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    pins = {re.split(r"[\[=]", pin)[0].replace("-slim", "") for pin in extras["clients"] if "==" in pin}
    assert len(pins) == len(extras["clients"])
    assert pins == {word.removesuffix("-sync").removesuffix("-async") for word in registry.PYTHON}
    packages = json.loads((JS / "package.json").read_text("utf-8"))["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in packages.values())
    assert {name for client in registry.NODE.values() for name in client.packages} <= packages.keys()
    for client in registry.NODE.values():
        assert len((JS / client.file).read_text("utf-8").splitlines()) < 120


# Two adapters of different taste


class CarefulOpenAIAdapter(ClientAdapter):
    """Another author's adapter for the same client: it assembles streams itself, and types what it shows."""

    capabilities = frozenset(
        {
            *("generate", "stream", "models", "tools", "n", "logprobs", "structured_output", "vision"),
            *("reasoning", "refusal", "audio", "files"),
            *("stream_usage", "extra", "retry", "headers", "code", "cancel"),
            *("pool_timeout", "connect_timeout", "first_byte_timeout", "idle_timeout"),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.openai = import_client("openai", "openai")
        self.errors = (self.openai.OpenAIError,)
        self.version = version_of("openai")

    def connect(self, call: dict[str, Any]) -> Any:
        options, limits = call["options"], call["options"].get("timeouts", {})
        longest = 600.0
        read = min(limits.get("first_byte", longest), limits.get("idle", longest))
        connect, pool = limits.get("connect", longest), limits.get("pool", longest)
        return self.openai.OpenAI(
            base_url=call["base_url"],
            api_key=call["api_key"],
            max_retries=options.get("max_retries", 2),
            timeout=self.openai.Timeout(connect=connect, read=read, write=longest, pool=pool),
            default_headers=options.get("headers", {}),
        )

    def arguments(self, call: dict[str, Any]) -> dict[str, Any]:
        body = dict(call["request"])
        usage, extra = body.pop("stream_usage", None), body.pop("extra", {})
        if call["operation"] == "stream":
            body["stream"] = True
            if usage is not None:
                body["stream_options"] = {"include_usage": usage}
        return {**body, "model": call["model"], "extra_body": extra}

    def generate(self, client: Any, call: dict[str, Any]) -> dict[str, Any]:
        answer = client.chat.completions.create(**self.arguments(call))
        return whole_response(answer.model_dump(warnings=False))

    def stream(self, client: Any, call: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        stream = client.chat.completions.create(**self.arguments(call))
        try:
            for chunk in stream:
                yield chunk.model_dump(warnings=False)
        finally:
            stream.close()

    def models(self, client: Any) -> list[str]:
        return [model.id for page in client.models.list().iter_pages() for model in page.data]

    def streamed(self, chunks: list[dict[str, Any]]) -> dict[str, Any]:
        texts: dict[int, str] = {}
        more: dict[int, dict[str, Any]] = {}
        for chunk in chunks:
            for choice in chunk["choices"] or ():
                place: int = choice["index"] or 0
                delta: dict[str, Any] = choice["delta"] or {}
                texts[place] = texts.get(place, "") + (delta.get("content") or "")
                about = more.setdefault(place, {"finish_reason_raw": None})
                about["finish_reason_raw"] = choice["finish_reason"] or about["finish_reason_raw"]
                for name, members in (
                    ("reasoning", ("reasoning_content", "reasoning")),
                    ("refusal", ("refusal",)),
                ):
                    said: str = next((delta[member] for member in members if delta.get(member)), "")
                    about[name] = about.get(name, "") + said
        choices = [
            {"index": place, "text": texts[place], "finish_reason": None, **more[place]}
            for place in sorted(texts)
        ]
        pieces = [text for chunk in chunks for text in chunk_texts(chunk)]
        return {"choices": choices, "chunks": pieces, "final_chunks": 1}

    def error(self, error: BaseException) -> dict[str, Any]:
        status = getattr(error, "status_code", None)
        found = {"message": f"{error}", "status": status, "code": getattr(error, "code", None)}
        if status is not None:
            return {"kind": kind_of_status(status), **found}
        if isinstance(error, self.openai.APITimeoutError):
            return {"kind": "timeout", **found}
        if isinstance(error, self.openai.APIConnectionError):
            return {"kind": transport_kind(error) or "connection_lost", **found}
        return {
            "kind": "stream_error" if isinstance(error, self.openai.APIError) else "configuration",
            **found,
        }


def test_two_adapters_of_different_taste_get_the_same_verdicts_on_what_is_required() -> None:
    pytest.importorskip("openai")
    musts = [case for case in load_cases() if case.level == "must"]
    verdicts: list[dict[str, bool]] = []
    for adapter in (opened("openai-sync"), CarefulOpenAIAdapter()):
        results = list(run_cases(musts, adapter))
        close_adapter(adapter)
        verdicts.append(
            {
                result.case.key: result.verdict.passed
                for result in results
                if result.status is not Status.NOT_CLAIMED
            }
        )
    one, other = verdicts
    both = one.keys() & other.keys()
    assert len(both) > 100
    assert {key for key in both if one[key] != other[key]} == set()

"""Real servers' whole answers and errors, replayed: what the driver makes of them. No secret stands in them.

vcrpy drains streams, so streaming is proven by tapes and cases instead.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from botticelli import AsyncHuggingFaceDriver, BotticelliError, GenerateResponse, HuggingFaceDriver, contracts

from .calls import CALLS, Call
from .recorded import FOLDER, MODEL, SERVERS, suspicions

if TYPE_CHECKING:
    from botticelli import Model

    from .conftest import Source
    from .recorded import Cassette


def ask(call: Call, key: str, url: str, model: str) -> GenerateResponse | list[Model]:
    with HuggingFaceDriver(model, api_key=key, base_url=url, max_retries=0) as driver:
        return driver.generate(call.request) if call.request else driver.models()


async def aask(call: Call, key: str, url: str, model: str) -> GenerateResponse | list[Model]:
    async with AsyncHuggingFaceDriver(model, api_key=key, base_url=url, max_retries=0) as driver:
        return await driver.generate(call.request) if call.request else await driver.models()


def outcome(got: GenerateResponse | list[Model] | BotticelliError) -> dict[str, Any]:
    """What came out, in the words of `Call.expected`."""
    if isinstance(got, BotticelliError):
        return {"kind": got.kind, "status": got.status, "message": got.message}
    if not isinstance(got, GenerateResponse):
        return {"models": [model.id for model in got]}
    assert got.usage is not None
    return {
        "text": got.text,
        "finish": got.finish_reason_raw,
        "usage": (got.usage.prompt_tokens, got.usage.completion_tokens),
        "calls": list(map(str, got.tool_calls)),
        "deviations": list(dict.fromkeys(deviation.code for deviation in got.deviations)),
    }


@pytest.mark.vcr
@pytest.mark.parametrize("rim", ["sync", "async"])
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_recorded_answer(call: Call, rim: str, vcr: Cassette, source: Source, canary: str) -> None:
    got: GenerateResponse | list[Model] | BotticelliError
    key = source.key if call.good_key else canary
    try:
        if rim == "sync":
            got = ask(call, key, source.url(call), source.model)
        else:
            got = asyncio.run(aask(call, key, source.url(call), source.model))
    except BotticelliError as error:
        got = error
    if isinstance(got, GenerateResponse):
        # the judge reads the same bytes without the driver
        broken = contracts.validate_bytes("openai/response", got.raw)
        assert bool(broken) == bool(got.deviations)
    if not source.server:
        came = outcome(got)
        if "message" in came:
            came["message"] = came["message"][: len(call.expected["message"])]
        assert came == call.expected
        assert vcr.play_count == len(vcr) == 1


def test_every_cassette_is_played() -> None:
    found = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.yaml")}
    assert found == set(map(str, CALLS))
    assert len(set(map(str, CALLS))) == len(CALLS)


def test_every_server_is_named() -> None:
    servers = json.loads(SERVERS.read_text("utf-8"))
    assert set(servers) == {call.server for call in CALLS}
    for described in servers.values():
        assert described["server"].split()[-1][0].isdigit()
        assert described["model"] == MODEL
        assert described["recorded"]


def test_no_cassette_holds_anything_like_a_secret() -> None:
    texts = {str(path): path.read_text("utf-8") for path in FOLDER.rglob("*") if path.is_file()}
    assert len(texts) > len(CALLS)
    assert {name: found for name, text in texts.items() if (found := suspicions(text))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "token hf_abcdefghijklmnop",
        '"sk-none"',
        "ghp_abcdefghijklmnop",
        "AKIAABCDEFGHIJKLMNOP",
        "AIzaSyAbcdefghijklmnopqrstuv",
        "xoxb-123456789012",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
        "-----BEGIN RSA PRIVATE KEY-----",
        "- Bearer abcdef",
        "      authorization:\n      - x",
        "      X-Api-Key:\n      - x",
        "      Set-Cookie:\n      - x",
        "http://me:secret@host/",
        "/home/me/model",
    ],
)
def test_what_looks_like_a_secret_is_found(text: str) -> None:
    assert suspicions(text)

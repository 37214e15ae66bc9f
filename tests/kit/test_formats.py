"""Abstract cases: rendered, compiled and played in formats that nobody wrote them for.

Two formats are made up here, with bodies of their own. One streams named server-sent events, as Anthropic
does; the other streams JSON lines, as Ollama does. A small client speaks both.
"""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from botticelli.kit.cases.case import Case, cases_folder, check_folder, load_cases
from botticelli.kit.cases.formats import COMPLETION_TOKENS, FORMATS, PROMPT_TOKENS, Event, Format
from botticelli.kit.cases.script import compile_exchange
from botticelli.kit.runner import Status, run_cases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.cases.formats import Answer, Chunk, Context, Failure, ToolCall

_USAGE = {"in": PROMPT_TOKENS, "out": COMPLETION_TOKENS}


# Two formats --------------------------------------------------------------------------------------------


def _paths(stream_type: str) -> dict[str, str]:
    return {
        "base-path": "/api",
        "chat-path": "/api/{{model}}/chat",
        "stream-path": "/api/{{model}}/chat?stream",
        "models-path": "/api/list",
        "answer-type": "application/json",
        "stream-type": stream_type,
    }


def _blocks(part: Answer | Chunk) -> Iterator[Document]:
    if part.reasoning:
        yield {"kind": "thought", "text": part.reasoning}
    if part.text:
        yield {"kind": "text", "text": part.text}


def _call(call: ToolCall) -> Document:
    return {"kind": "call", "id": call.id, "name": call.name, "args": call.arguments}


def _answer(answer: Answer, context: Context) -> object:
    blocks = [*_blocks(answer), *map(_call, answer.tool_calls)]
    return {"id": context.id, "blocks": blocks, "why": answer.finish, "count": _USAGE}


def _failure(failure: Failure) -> object:
    return {"problem": {"says": failure.message, "status": failure.status}}


def _models(ids: Sequence[str]) -> object:
    return {"names": list(ids)}


def _named_events(chunk: Chunk, context: Context) -> list[Event]:
    """Return events as Anthropic has them: a start, a delta for each block, a stop that has the counts."""
    events = [Event({"kind": "start", "id": context.id}, "start")] if chunk.first else []
    events += [Event(block, "delta") for block in _blocks(chunk)]
    if chunk.tool_call:
        events.append(Event(_call(chunk.tool_call), "delta"))
    if chunk.finish:
        events.append(Event({"kind": "why", "why": chunk.finish, "count": _USAGE}, "why"))
    return events


def _lines(chunk: Chunk, context: Context) -> list[Event]:
    """Return lines as Ollama has them: what there is to say, and on the last one why it ended."""
    line: Document = {"id": context.id, "blocks": list(_blocks(chunk)), "why": chunk.finish or None}
    return [Event({**line, "count": _USAGE} if chunk.finish else line)]


NAMED = Format(
    name="anthropic",
    traits=frozenset({"sse", "end-mark"}),
    variables=_paths("text/event-stream"),
    prefixes={"id": "msg_", "key": "sk-named-"},
    credential=("X-Key", ""),
    request={"ask": "{{prompt}}", "most": 100},
    answer=_answer,
    chunk=_named_events,
    done=Event({"kind": "stop"}, "stop"),
    failure=_failure,
    failure_event=lambda failure: Event(_failure(failure), "problem"),
    models=_models,
    usage_member="count",
)
LINES = Format(
    name="ollama",
    traits=frozenset({"lines"}),
    variables=_paths("application/x-ndjson"),
    prefixes={},
    credential=("Authorization", "Key "),
    request={"ask": "{{prompt}}"},
    answer=_answer,
    chunk=_lines,
    done=None,
    failure=_failure,
    failure_event=lambda failure: Event(_failure(failure)),
    models=_models,
    usage_member="count",
)
KNOWN: Mapping[str, Format] = {**FORMATS, NAMED.name: NAMED, LINES.name: LINES}


@cache
def cases(name: str) -> list[Case]:
    return [case for case in load_cases(formats=KNOWN) if case.format.name == name]


# What every format gets ---------------------------------------------------------------------------------


def test_the_case_files_are_right_in_formats_that_they_do_not_know() -> None:
    assert list(check_folder(cases_folder(), KNOWN)) == []


def test_an_abstract_case_is_there_for_each_format_that_has_its_traits() -> None:
    abstract = {path.stem: json.loads(path.read_bytes()) for path in cases_folder().glob("any/*/*.json")}
    sse = {slug for slug, document in abstract.items() if "sse" in document.get("traits", ())}
    marked = {slug for slug, document in abstract.items() if "end-mark" in document.get("traits", ())}
    assert len(abstract) > 100
    assert len(sse) > 20
    assert len(marked) > 4
    assert {case.id for case in cases("anthropic")} == abstract.keys()
    assert {case.id for case in cases("ollama")} == abstract.keys() - sse - marked
    assert abstract.keys() <= {case.id for case in cases("openai")}
    assert len(cases("openai")) == len(load_cases())


def test_a_key_names_the_format_unless_it_is_openai() -> None:
    assert {case.key for case in cases("openai")} == {case.id for case in cases("openai")}
    assert {case.key for case in cases("ollama")} == {f"ollama/{case.id}" for case in cases("ollama")}
    assert "ollama" in cases("ollama")[0].needs
    assert "openai" not in cases("openai")[0].needs


@pytest.mark.parametrize("name", ["anthropic", "ollama"])
def test_no_case_has_a_trace_of_another_format(name: str) -> None:
    for case in cases(name):
        run = case.render(seed=3, port=80)
        played = b"".join(
            step
            for exchange in run.exchanges
            for step in compile_exchange(exchange, run.context, datetime.now(UTC)).steps
            if isinstance(step, bytes)
        )
        for word in (b"chatcmpl", b"[DONE]", b"choices", b"chat.completion", b'"delta":{'):
            assert word not in played, case.id
        asked = json.dumps([run.requests, [call.neutral for call in run.calls]])
        for text in ("/v1", "Bearer", "messages"):
            assert text not in asked, case.id


def test_the_key_is_looked_for_where_the_format_has_it() -> None:
    [case] = [case for case in cases("anthropic") if case.id == "auth-bearer"]
    run = case.render(seed=0, port=1)
    assert run.requests["all"]["headers"] == {"X-Key": run.key}
    assert run.key.startswith("sk-named-")
    [case] = [case for case in cases("ollama") if case.id == "auth-anonymous"]
    assert case.render(seed=0, port=1).requests["all"]["headers"] == {"Authorization": False}


def test_deviations_that_a_format_cannot_have_are_not_expected() -> None:
    found = {
        case.format.name: case.document["calls"][0]["expect"][0]["response"].get("deviations")
        for name in KNOWN
        for case in cases(name)
        if case.id == "sse-empty-data"
    }
    assert found == {"openai": ["event-empty"], "anthropic": None}
    [case] = [case for case in cases("anthropic") if case.id == "sse-crlf"]
    assert case.document["calls"][0]["expect"][0]["response"]["deviations"] == []


# A client for each, which knows nothing of the cases ----------------------------------------------------


class Client:
    """A small client of one format: no retries, no repair."""

    capabilities = frozenset({"generate", "stream", "models", "anonymous", "headers"})

    def __init__(self, played: Format) -> None:
        self._format = played
        self.capabilities = self.capabilities | {played.name}

    def exchange(self, call: Document) -> Document:
        """Make one call."""
        try:
            return self._made(call)
        except (OSError, http.client.HTTPException, ValueError) as error:
            kind = "malformed_response" if isinstance(error, ValueError) else "connection_lost"
            kind = "connect" if isinstance(error, ConnectionRefusedError) else kind
            return {"error": {"kind": kind, "message": f"failed: {type(error).__name__}"}}

    def _made(self, call: Document) -> Document:
        url = urlsplit(str(call["base_url"]))
        models = call["operation"] == "models"
        path = "/list" if models else f"/{call['model']}/chat"
        body = None if models else json.dumps(call["request"])
        headers = dict(call["options"].get("headers", {}))
        if call["api_key"] is not None:
            name, before = self._format.credential
            headers[name] = before + call["api_key"]
        with closing(http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)) as connection:
            connection.request("GET" if models else "POST", url.path + path, body, headers)
            reply = connection.getresponse()
            whole = reply.read()
        if reply.status != 200:
            kind = {401: "authentication"}.get(reply.status, "server")
            plain = not whole.startswith(b"{")
            message = whole.decode() if plain else str(json.loads(whole)["problem"]["says"])
            message = message.replace(call["api_key"] or "\0", "[key]")
            return {"error": {"kind": kind, "message": message, "status": reply.status}}
        if models:
            return {"models": json.loads(whole)["names"]}
        if call["operation"] == "generate":
            return {"response": _outcome(json.loads(whole)["blocks"], json.loads(whole))}
        read = list(_sse(whole) if "sse" in self._format.traits else map(json.loads, whole.splitlines()))
        ended = [event for event in read if event.get("why")]
        blocks = [block for event in read for block in event.get("blocks", [event])]
        chunks = [block["text"] for block in blocks if block.get("kind") == "text"]
        if not ended:
            choice = {"index": 0, "text": "".join(chunks), "finish_reason": None}
            partial = {"choices": [choice]} if chunks else None
            failed = {"kind": "stream_truncated", "message": "no end", "partial": partial}
            return {"error": failed, "partial_chunks": chunks}
        return {"response": {**_outcome(blocks, ended[-1]), "chunks": chunks, "final_chunks": 1}}


def _sse(body: bytes) -> Iterator[Document]:
    """Yield the events of a body, by the letter of the standard."""
    data: list[str] = []
    text = body.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        elif not line and "".join(data):
            yield json.loads("\n".join(data))
            data = []
        elif not line:
            data = []


def _outcome(blocks: Sequence[Document], end: Document) -> Document:
    text = "".join(block["text"] for block in blocks if block.get("kind") == "text")
    usage = {"prompt_tokens": end["count"]["in"], "completion_tokens": end["count"]["out"], "total_tokens": 7}
    return {"choices": [{"index": 0, "text": text, "finish_reason": end["why"]}], "usage": usage}


PLAYED = {
    "anthropic": (
        "auth-anonymous auth-bearer auth-custom-header auth-key-echoed-by-server connection-close-delimited "
        "connection-framings-in-turn connection-lost-before-answer connection-not-http connection-refused "
        "sse-bom-split sse-byte-by-byte sse-comment-variants sse-control-only-events sse-cr-only sse-crlf "
        "sse-crlf-split sse-ends-without-finish sse-glued-frames sse-long-event sse-mixed-line-ends "
        "sse-no-space-after-colon sse-one-read sse-several-data-lines sse-two-spaces sse-unknown-fields "
        "unicode-emoji-split unicode-not-normalised"
    ),
    "ollama": (
        "auth-anonymous auth-bearer auth-custom-header auth-key-echoed-by-server connection-close-delimited "
        "connection-framings-in-turn connection-lost-before-answer connection-not-http connection-refused "
        "unicode-emoji-split unicode-not-normalised"
    ),
}
BY_DESIGN = {("anthropic", "sse-glued-frames"): "partial"}
"""What these clients do wrong, as they are too small: the judge finds it in their formats too."""


@pytest.mark.parametrize("name", PLAYED)
def test_a_small_client_is_judged_in_its_own_format(name: str) -> None:
    chosen = [case for case in cases(name) if case.id in PLAYED[name].split()]
    assert len(chosen) == len(PLAYED[name].split())
    results = list(run_cases(chosen, Client(KNOWN[name])))
    failed = {result.case.id: str(result.verdict) for result in results if result.status is Status.FAILED}
    assert {slug for (known, slug) in BY_DESIGN if known == name} == failed.keys(), failed
    assert all(BY_DESIGN[name, slug] in verdict for slug, verdict in failed.items())
    assert {result.status for result in results} <= {Status.PASSED, Status.FAILED}


def test_an_adapter_that_does_not_claim_a_format_is_not_asked_for_it() -> None:
    client: Any = Client(NAMED)
    results = list(run_cases(cases("ollama")[:3], client))
    assert {result.status for result in results} == {Status.NOT_CLAIMED}
    assert all("ollama" in result.reason for result in results)

"""Try an adapter before its client is judged: a few easy calls, and what is wrong with the adapter in prose.

The cases of the suite are hard on purpose, and blame the client. These are the easiest there are: who fails
here has most likely a mistake in the adapter, so each finding says what to mend in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from botticelli.contracts.jsonvalue import is_object
from botticelli.kit.adapters.adapter import claims_of
from botticelli.kit.adapters.hosted import open_adapter
from botticelli.kit.adapters.limits import LIMIT, bypass_proxies
from botticelli.kit.adapters.load import close_adapter, importable_working_directory
from botticelli.kit.cases.case import Case
from botticelli.kit.errors import AdapterError, KitError
from botticelli.kit.judge.secrets import Secrets
from botticelli.kit.judge.verdict import Crash, Hang
from botticelli.kit.report.running import cut
from botticelli.kit.report.text import painter
from botticelli.kit.runner import Played, play_case
from botticelli.kit.schemas import schema_violations
from botticelli.kit.server.server import MockServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.contracts.jsonvalue import Document

__all__ = ["check_adapter"]

Look: TypeAlias = Callable[[Played, Mapping[str, Any]], Iterator[str]]
"""Yields what is wrong, given the last outcome, which is valid by its schema."""

_JSON = [["Content-Type", "application/json"]]
_EVENTS = [["Content-Type", "text/event-stream"]]
_WORD = "zzz-unheard-of"
_PERHAPS = "perhaps: "  # begins what may be the client's way, and doesn't count
_LINGER = 0.3  # seconds in which a client that is closed has closed its connection
_TOOL: Document = {"type": "function", "function": {"name": "a", "parameters": {"type": "object"}}}
_ARGUMENTS = '{ "x" : 1 }'


@dataclass(frozen=True, slots=True)
class _Trial:
    """One easy case.

    Attributes:
        name: What is tried, in words.
        case: The case.
        look: What to look at beside what holds for every call.
    """

    name: str
    case: Case
    look: Look


def _case(slug: str, calls: Sequence[Document], exchanges: Sequence[Document], **rest: Any) -> Case:
    head = {"id": f"adapter-{slug}", "title": slug, "level": "must", "side": "driver", "format": "openai"}
    about = {"area": "adapter", "source": ["constructed"], "provenance": "reasoned"}
    return Case({**head, **about, "calls": list(calls), "exchanges": list(exchanges), **rest})


def _answer(**message: Any) -> Document:
    body = {"message": {"content": "{{text}}", **message}}
    return {"status": 200, "headers": _JSON, "framing": "length", "body": [body]}


def _whole(_played: Played, got: Mapping[str, Any]) -> Iterator[str]:
    if "response" not in got:
        yield f"a good answer was taken for {_shown(got)}: the outcome is an object with the member response"


def _streamed(played: Played, got: Mapping[str, Any]) -> Iterator[str]:
    yield from _whole(played, got)
    response = got.get("response", {})
    if "response" in got and not ("events" in response or {"chunks", "final_chunks"} <= response.keys()):
        yield (
            "the response of a stream has chunks (the texts as they came) and final_chunks (1 at its end); "
            "where the adapter claims events, it has those instead"
        )
    if any(
        json.loads(one.request.body or b"{}").get("stream") is not True for one in played.recording.requests
    ):
        yield "operation stream was asked for, and the request has no stream: true"


def _error(played: Played, got: Mapping[str, Any]) -> Iterator[str]:
    if "error" not in got:
        yield f"the server answered 401, and the outcome is {_shown(got)}: hand on the client's error"
        return
    error: Mapping[str, Any] = got["error"]
    if error["kind"] != "authentication":
        yield f"401 is of kind authentication, not {error['kind']}: see kind in outcome.schema.json"
    if error.get("status") != 401:
        yield f"the error's status is {error.get('status')!r}, not 401"
    words = played.play.exchanges[0]["body"][0]["failure"]["message"]
    if words not in error["message"]:
        yield (
            f"{_PERHAPS}the server's words are not in the error's message, {_shown(error['message'])}: hand "
            "them on, unless this client doesn't show them"
        )


def _retries(played: Played, got: Mapping[str, Any]) -> Iterator[str]:
    if len(played.recording.requests) > 1:
        count = len(played.recording.requests)
        yield f"options.max_retries is 0, and {count} requests came for one call: hand it to the client"
    if "error" not in got:
        yield f"the server answered 500, and the outcome is {_shown(got)}"


def _models(_played: Played, got: Mapping[str, Any]) -> Iterator[str]:
    if "models" not in got:
        yield f"operation models gives {{'models': [names]}}, not {_shown(got)}"


def _tools(_played: Played, got: Mapping[str, Any]) -> Iterator[str]:
    choices: list[Mapping[str, Any]] = got.get("response", {}).get("choices", [])
    calls: list[Mapping[str, Any]] = choices[0].get("tool_calls", []) if choices else []
    if len(calls) != 1:
        yield f"the server called one tool, and the outcome has {len(calls)} tool_calls"
    elif calls[0]["arguments"] != _ARGUMENTS:
        yield (
            f"a tool's arguments are the text as the server sent it, {_ARGUMENTS!r}, "
            f"not {_shown(calls[0]['arguments'])}"
        )


def _finish(_played: Played, got: Mapping[str, Any]) -> Iterator[str]:
    choices: list[Mapping[str, Any]] = got.get("response", {}).get("choices", [])
    choice: Mapping[str, Any] = choices[0] if choices else {}
    if choice.get("finish_reason") not in ("other", None):
        yield (
            f"the server ended with the word {_WORD!r}, and finish_reason is {choice['finish_reason']!r}: "
            "don't invent a word; it is other, or null where the client has no words of its own"
        )
    if choice.get("finish_reason_raw", _WORD) != _WORD:
        yield f"finish_reason_raw is {choice['finish_reason_raw']!r}, and the server sent {_WORD!r}"


def _twice(played: Played, _got: Mapping[str, Any]) -> Iterator[str]:
    if played.recording.connections > 1:
        yield (
            f"{_PERHAPS}two calls with one base_url made {played.recording.connections} connections: "
            "keep one client per base_url, unless this client never keeps a connection"
        )
    elif not any(piece.side == "client" and piece.event for piece in played.recording.wire):
        yield "the connection stayed open after the call whose last is true: close the client then"


def _cancelled(played: Played, got: Mapping[str, Any]) -> Iterator[str]:
    if "cancelled" not in got:
        yield f"cancel_after was obeyed by {_shown(got)}: leave the stream and return {{'cancelled': True}}"
    if not all(one.client_left for one in played.recording.requests):
        yield "the stream was left, and its connection stayed open: close the stream too"


def _trials() -> Iterator[_Trial]:
    right = [{"response": {"text": "{{text}}"}}]
    stream_end: list[Document] = [{"delta": {}, "finish_reason": "stop"}, {"event": "[DONE]"}]
    chunks = [{"delta": {"content": "{{text}}"}}, {"delta": {"content": "{{word}}"}}]
    generate: Document = {"operation": "generate", "expect": right}
    stream: Document = {"operation": "stream", "expect": [{"response": {"text": "{{text}}{{word}}"}}]}
    events: Document = {"status": 200, "headers": _EVENTS}
    yield _Trial("a whole answer", _case("whole-answer", [generate], [_answer()]), _whole)
    yield _Trial(
        "a streamed answer",
        _case("streamed-answer", [stream], [{**events, "body": [*chunks, *stream_end]}]),
        _streamed,
    )
    refused = {"status": 401, "headers": _JSON, "body": [{"failure": {"status": 401, "message": "{{text}}"}}]}
    wrong: Document = {"operation": "generate", "expect": [{"error": {"kind": ["authentication"]}}]}
    yield _Trial("an error", _case("an-error", [wrong], [refused]), _error)
    broken = {"status": 500, "headers": _JSON, "body": [{"failure": {"status": 500, "message": "{{text}}"}}]}
    fails: Document = {"operation": "generate", "expect": [{"error": {"kind": ["server"]}}]}
    yield _Trial("no retries", _case("no-retries", [fails], [broken]), _retries)
    listed: Document = {"operation": "models", "expect": [{"models": ["{{model1}}"]}]}
    page = {
        "status": 200,
        "headers": _JSON,
        "body": [{"json": {"object": "list", "data": [{"id": "{{model1}}"}]}}],
    }
    yield _Trial("the list of models", _case("the-models", [listed], [page]), _models)
    tool = {"id": "{{call_id}}", "type": "function", "function": {"name": "a", "arguments": _ARGUMENTS}}
    called = _answer(content=None, tool_calls=[tool])
    called["body"][0]["finish_reason"] = "tool_calls"
    due = {"id": "{{call_id}}", "name": "a", "arguments": _ARGUMENTS}
    expected = [{"response": {"text": "", "tool_calls": [due]}}]
    asked = {**generate, "request": {"tools": [_TOOL]}, "expect": expected}
    yield _Trial("a tool call", _case("a-tool-call", [asked], [called]), _tools)
    odd = _answer()
    odd["body"][0]["finish_reason"] = _WORD
    yield _Trial("a finish reason that no list knows", _case("finish-word", [generate], [odd]), _finish)
    yield _Trial(
        "two calls, one client",
        _case("two-calls", [generate, generate], [_answer()], requests={"count": 2, "linger": _LINGER}),
        _twice,
    )
    left: Document = {**stream, "cancel_after": {"chunks": 1}, "expect": [{"cancelled": {}}]}
    held = {**events, "body": [*chunks, {"hold": True}], "end": "cut"}
    yield _Trial(
        "a stream that is left",
        _case("left-stream", [left], [held], requests={"count": 1, "all": {"client_left": True}}),
        _cancelled,
    )


def check_adapter(
    spec: str, out: TextIO, *, seed: int = 0, in_process: bool = False, limit: float = LIMIT
) -> int:
    """Try an adapter and write what is wrong with it.

    Args:
        spec: The adapter: ``package.module:factory`` or ``command: ...``.
        out: Where to write.
        seed: Decides the texts, ids and keys that are played.
        in_process: Import an adapter in Python into this process.
        limit: Seconds that it has for one call.

    Returns:
        0 when nothing is wrong, else 1.

    Raises:
        AdapterError: It cannot be opened.
    """
    paint, count = painter(out), 0
    with bypass_proxies(), importable_working_directory(), MockServer() as server:
        adapter = open_adapter(spec, limit=limit, in_process=in_process)
        try:
            claims = claims_of(adapter)
            out.write(f"{paint(spec, 'bold')}\n\n")
            for trial in _trials():
                if lacking := trial.case.needs - claims:
                    out.write(f"not claimed  {trial.name}: {', '.join(sorted(lacking))}\n")
                    continue
                played = play_case(trial.case, adapter, server, seed=seed, limit=limit)
                found = list(dict.fromkeys(_findings(trial, played)))
                wrong = [line for line in found if not line.startswith(_PERHAPS)]
                count += len(wrong)
                out.write(
                    f"{paint('wrong', 'red') if wrong else paint('right', 'green')}        {trial.name}\n"
                )
                out.writelines(f"             {line}\n" for line in found)
            try:
                close_adapter(adapter, limit)
            except AdapterError as error:
                count += 1
                out.write(f"{paint('wrong', 'red')}        close: {error}\n")
        finally:
            getattr(adapter, "kill", lambda: None)()
    if not {"generate", "stream", "models"} & claims:
        raise KitError(f"{spec}: claims no operation: capabilities must have generate, stream or models")
    if count:
        out.write(f"\n{count} thing{'s' * (count != 1)} to mend in the adapter before its client is judged\n")
    else:
        out.write(f"\nthe adapter looks right: botticelli check driver {spec!r} judges its client\n")
    return 1 if count else 0


def _findings(trial: _Trial, played: Played) -> Iterator[str]:
    secrets = Secrets([played.play.key])
    specific = [*_of_outcomes(trial, played), *_of_requests(played)]
    yield from (cut(secrets.strike(line)) for line in specific)
    if specific or played.verdict.passed:
        return
    for difference in played.verdict.differences[:3]:
        place = difference.path or "the outcome"
        yield f"at {place}: expected {cut(difference.expected)}, got {cut(difference.got)}"


def _of_outcomes(trial: _Trial, played: Played) -> Iterator[str]:
    """Yield what is wrong with the outcomes."""
    for got in played.outcomes:
        if isinstance(got, Hang):
            yield f"exchange didn't return in {got.seconds:g} s; hand options.timeouts to the client"
        elif isinstance(got, Crash):
            yield f"exchange raised {got.message}: turn the client's own errors into the outcome error"
        elif not is_object(got):
            yield f"exchange returned {_shown(got)}, not an object with one outcome"
        elif violations := schema_violations("outcome", got):
            yield f"the outcome breaks contracts/kit/outcome.schema.json: {'; '.join(violations[:3])}"
        elif "unsupported" in got:
            claimed = ", ".join(sorted(trial.case.needs))
            yield f"it claims {claimed}, and answers unsupported: {got['unsupported']}. Claim less instead"
        elif got is played.outcomes[-1]:
            yield from trial.look(played, got)


def _of_requests(played: Played) -> Iterator[str]:
    """Yield what the requests lack of the call that they were made for."""
    if played.recording.protocol_errors:
        return
    call = played.play.calls[0].neutral
    if not played.recording.requests:
        yield f"no request came to base_url, {call['base_url']}: hand it to the client"
        return
    base = "/" + call["base_url"].split("/", 3)[3]
    for one in played.recording.requests:
        request = one.request
        if not request.path.startswith(base):
            yield f"a request went to {request.path}, which isn't under the base_url's path {base}"
        if request.header("authorization") != f"Bearer {played.play.key}":
            yield "api_key didn't arrive as the header Authorization: Bearer KEY: hand it to the client"
        if call["operation"] == "models":
            continue
        try:
            body = json.loads(request.body)
        except ValueError:
            yield "the body of a request isn't JSON"
            continue
        if body.get("model") != call["model"]:
            yield f"the request asks for model {_shown(body.get('model'))}, the call for {call['model']}"
        if body.get("messages") != call["request"]["messages"]:
            yield f"the request's messages are {_shown(body.get('messages'))}, not those of call['request']"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) < 120 else f"{text[:100]}..."

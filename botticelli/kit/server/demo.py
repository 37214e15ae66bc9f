"""The demo server: a mock server to point any client at.

Every case is played under its own path: ``/sse-cr-only/v1``, or ``/FORMAT/SLUG/v1`` in a format other than
openai. ``/v1`` answers like a well-behaved server of the OpenAI format, so that a first program can be tried
without a key.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from botticelli.contracts.jsonvalue import Document, as_object, is_array, is_object
from botticelli.kit.cases.formats import CREATED, OPENAI, Context
from botticelli.kit.cases.script import ByteScript, compile_exchange
from botticelli.kit.errors import KitError
from botticelli.kit.report.text import write_table
from botticelli.kit.server.server import MockServer, exchange_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from botticelli.kit.cases.case import Case
    from botticelli.kit.server.recording import Request

__all__ = ["MODEL", "TEXT", "demo_answer", "serve", "serving"]

_LISTED = 20  # more cases than this aren't listed one by one


class _DemoResponder:
    """Chooses what to play for a request, by its path."""

    def __init__(self, cases: Sequence[Case], port: int) -> None:
        self._cases: Mapping[str, Case] = {case.key: case for case in cases}
        self._port = port
        self._played: Counter[str] = Counter()

    def __call__(self, _index: int, request: Request) -> ByteScript:
        now = datetime.now(UTC)
        case = self._named(request.path)
        if case is None:
            return compile_exchange(
                demo_answer(request.method, request.path, request.body),
                Context(OPENAI, "chatcmpl-1", MODEL),
                now,
            )
        play = case.render(seed=0, port=self._port)
        number = self._played[case.key]
        self._played[case.key] += 1
        # Start again after the last exchange, so that a client can be run against a case twice.
        total = sum(exchange.get("times", 1) for exchange in play.exchanges) or 1
        return compile_exchange(exchange_for(play.exchanges, number % total), play.context, now)

    def _named(self, path: str) -> Case | None:
        """Return the case whose key begins the path: one segment, or two for a case of another format."""
        parts = path.partition("?")[0].split("/")
        return self._cases.get("/".join(parts[1:3])) or self._cases.get(parts[1])


@contextmanager
def serving(cases: Sequence[Case], *, port: int = 0, host: str = "127.0.0.1") -> Generator[str, None, None]:
    """Serve while the block runs.

    Args:
        cases: The cases to offer, each under ``/KEY/v1`` (Case.key).
        port: The port; 0 for any free one.
        host: The address to listen on.

    Yields:
        The origin, ``http://HOST:PORT``.

    Raises:
        KitError: The port is taken, or this machine doesn't have the address.
    """
    with MockServer(host) as server:
        try:
            listener = server.open(port=port, records=False)
        except OSError as error:
            raise KitError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        listener.respond(_DemoResponder(cases, listener.port))
        try:
            yield f"http://{f'[{host}]' if ':' in host else host}:{listener.port}"
        finally:
            listener.finish()


def serve(
    cases: Sequence[Case],
    *,
    port: int,
    host: str,
    out: TextIO,
    until: Callable[[], object] | None = None,
) -> None:
    """Serve until interrupted, and write the base URLs first.

    Args:
        cases: The cases to offer.
        port: The port.
        host: The address to listen on.
        out: Where the addresses are written.
        until: Returns when it is time to end, or raises KeyboardInterrupt; by default never.

    Raises:
        KitError: The port is taken.
    """
    with serving(cases, port=port, host=host) as origin:
        rows = [
            (f"{origin}/v1", f"a well-behaved server with one model, {MODEL}"),
        ]
        if len(cases) > _LISTED:
            rows.append((f"{origin}/CASE/v1", f"one of {len(cases)} cases; botticelli list cases names them"))
        else:
            rows += [(f"{origin}/{case.key}/v1", case.title) for case in cases]
        write_table(out, ("base URL", "what answers there"), rows)
        out.write("\nAny API key and model name is accepted. Ctrl-C ends it.\n")
        out.flush()
        try:
            (until or threading.Event().wait)()
        except KeyboardInterrupt:
            out.write("\n")


# The well-behaved server

MODEL = "botticelli/echo"
TEXT = "Hello from the embedded server."

_JSON = [["Content-Type", "application/json"]]
_EVENTS = [["Content-Type", "text/event-stream"]]
_SIMPLEST: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "array": [], "null": None}


def demo_answer(method: str, path: str, body: bytes) -> Document:
    """Return the exchange that answers a request to ``/v1``.

    Nothing is generated: the same request always gets the same answer. The first tool is called once, and a
    schema gets its simplest instance, so that every line of a first program has something to print.

    Args:
        method: The request's method.
        path: The request's path, with its query.
        body: The request's body.

    Returns:
        An exchange as in a case file; for a faulty request a 400 or 404 in the OpenAI error envelope.
    """
    path = path.partition("?")[0]
    if path == "/v1/models" and method == "GET":
        model = {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "botticelli"}
        return _json(200, {"object": "list", "data": [model]})
    if path != "/v1/chat/completions" or method != "POST":
        return _error(404, f"nothing at {method} {path}; try /v1 or /CASE/v1")
    try:
        request = json.loads(body)
    except ValueError as error:
        return _error(400, f"the body is not JSON: {error}")
    if not is_object(request) or not is_array(request.get("messages")) or not request["messages"]:
        return _error(400, "messages is missing")
    calls = _calls(request)
    text = "" if calls else _text(as_object(request.get("response_format")))
    return _streamed(request, text, calls) if request.get("stream") else _whole(text, calls)


def _json(status: int, value: Document) -> Document:
    return {"status": status, "headers": _JSON, "framing": "length", "body": [{"json": value}]}


def _error(status: int, message: str) -> Document:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return _json(status, {"error": error})


def _calls(request: Document) -> list[Document]:
    """Return a call of the first function, if the last message is the user's and tool_choice allows it."""
    functions = [as_object(tool.get("function")) for tool in request.get("tools") or () if is_object(tool)]
    last = as_object(request["messages"][-1])
    if not functions or last.get("role") != "user" or request.get("tool_choice") == "none":
        return []
    function = functions[0]
    arguments = json.dumps(_example(function.get("parameters"), "value"), separators=(",", ":"))
    called = {"name": function.get("name"), "arguments": arguments}
    return [{"id": "call_1", "type": "function", "function": called}]


def _text(form: Document) -> str:
    if form.get("type") == "json_object":
        return "{}"
    if form.get("type") == "json_schema":
        return json.dumps(_example(as_object(form.get("json_schema")).get("schema"), "value"))
    return TEXT


def _example(schema: object, name: str) -> Any:
    """Return the simplest instance of a simple schema: required members, first of an enum, its own name."""
    rules = as_object(schema)
    if is_array(rules.get("enum")) and rules["enum"]:
        return rules["enum"][0]
    kind = rules.get("type", "object")
    if kind == "string":
        return name
    if kind in _SIMPLEST:
        return _SIMPLEST[kind]
    members = as_object(rules.get("properties"))
    return {member: _example(members.get(member), member) for member in rules.get("required") or ()}


def _usage(text: str) -> Document:
    count = len(text.split())
    return {"prompt_tokens": 5, "completion_tokens": count, "total_tokens": 5 + count}


def _whole(text: str, calls: list[Document]) -> Document:
    message: Document = {"role": "assistant", "content": text or None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": _reason(calls), "logprobs": None}
    return _json(200, {**_head("chat.completion"), "choices": [choice], "usage": _usage(text)})


def _streamed(request: Document, text: str, calls: list[Document]) -> Document:
    deltas: list[Document] = [{"role": "assistant", "content": ""}]
    words = text.split(" ")
    deltas += [{"content": word if at == 0 else f" {word}"} for at, word in enumerate(words) if text]
    deltas += [{"tool_calls": [{"index": at, **call}]} for at, call in enumerate(calls)]
    body: list[Document] = [{"event": _chunk(delta, None)} for delta in deltas]
    body.append({"event": _chunk({}, _reason(calls))})
    if as_object(request.get("stream_options")).get("include_usage"):
        counted: Document = {**_head("chat.completion.chunk"), "choices": [], "usage": _usage(text)}
        body.append({"event": counted})
    body.append({"event": "[DONE]"})
    return {"status": 200, "headers": _EVENTS, "body": body}


def _head(kind: str) -> Document:
    return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": MODEL}


def _chunk(delta: Document, reason: str | None) -> Document:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {**_head("chat.completion.chunk"), "choices": [choice]}


def _reason(calls: list[Document]) -> str:
    return "tool_calls" if calls else "stop"

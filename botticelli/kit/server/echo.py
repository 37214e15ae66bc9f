"""What a well-behaved server answers: a request's method, path and body in, an exchange out. No I/O.

Nothing is generated: the same request gets the same answer. Tools are called once, schemas are kept to
with the plainest instance, so that every line of a first program has something to print.
"""

from __future__ import annotations

import json
from typing import Any

from botticelli.contracts.jsonvalue import Document, as_object, is_array, is_object
from botticelli.kit.cases.formats import CREATED

__all__ = ["MODEL", "TEXT", "answer"]

MODEL = "botticelli/echo"
TEXT = "Hello from the embedded server."

_JSON = [["Content-Type", "application/json"]]
_EVENTS = [["Content-Type", "text/event-stream"]]
_PLAINEST: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "array": [], "null": None}


def answer(method: str, path: str, body: bytes) -> Document:
    """The exchange that answers a request to ``/v1``.

    Args:
        method: Of the request.
        path: Of the request, with its query.
        body: Of the request.

    Returns:
        An exchange in the notation of the cases; a 400 or 404 in the published envelope for what is wrong.
    """
    path = path.partition("?")[0]
    if path == "/v1/models" and method == "GET":
        model = {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "botticelli"}
        return _json(200, {"object": "list", "data": [model]})
    if path != "/v1/chat/completions" or method != "POST":
        return _refused(404, f"nothing at {method} {path}; try /v1 or /CASE/v1")
    try:
        asked = json.loads(body)
    except ValueError as error:
        return _refused(400, f"the body is not JSON: {error}")
    if not is_object(asked) or not is_array(asked.get("messages")) or not asked["messages"]:
        return _refused(400, "messages is missing")
    calls = _calls(asked)
    text = "" if calls else _text(as_object(asked.get("response_format")))
    return _streamed(asked, text, calls) if asked.get("stream") else _whole(text, calls)


def _json(status: int, value: Document) -> Document:
    return {"status": status, "headers": _JSON, "framing": "length", "body": [{"json": value}]}


def _refused(status: int, message: str) -> Document:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return _json(status, {"error": error})


def _calls(asked: Document) -> list[Document]:
    """A call of the first function, if the user has the last word and the choice allows it."""
    functions = [as_object(tool.get("function")) for tool in asked.get("tools") or () if is_object(tool)]
    last = as_object(asked["messages"][-1])
    if not functions or last.get("role") != "user" or asked.get("tool_choice") == "none":
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
    """The plainest instance of a simple schema: what is required, the first word of a list, its own name."""
    rules = as_object(schema)
    if is_array(rules.get("enum")) and rules["enum"]:
        return rules["enum"][0]
    kind = rules.get("type", "object")
    if kind == "string":
        return name
    if kind in _PLAINEST:
        return _PLAINEST[kind]
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


def _streamed(asked: Document, text: str, calls: list[Document]) -> Document:
    deltas: list[Document] = [{"role": "assistant", "content": ""}]
    words = text.split(" ")
    deltas += [{"content": word if at == 0 else f" {word}"} for at, word in enumerate(words) if text]
    deltas += [{"tool_calls": [{"index": at, **call}]} for at, call in enumerate(calls)]
    body: list[Document] = [{"event": _chunk(delta, None)} for delta in deltas]
    body.append({"event": _chunk({}, _reason(calls))})
    if as_object(asked.get("stream_options")).get("include_usage"):
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

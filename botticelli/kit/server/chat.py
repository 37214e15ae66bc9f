"""The well-behaved server of the OpenAI format: one exchange for each request.

Nothing is generated. The text is always the same, the first tool is called once, and a schema gets a simple
instance, so that every line of a first program has something to print. What OpenAI refuses is refused.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from botticelli.contracts.jsonvalue import as_object, as_objects, is_array, is_object
from botticelli.kit.cases.formats import CREATED, compact, utf8
from botticelli.kit.server.example import UnsatisfiableError, example
from botticelli.kit.server.refusals import (
    RefusalError,
    check_request,
    named_tool,
    read_request_body,
    texts_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.server.recording import Request

__all__ = ["MODEL", "TEXT", "ChatServer"]

MODEL = "botticelli/echo"
TEXT = "Hello from the embedded server."

_CHAT = "/v1/chat/completions"
_MODELS = "/v1/models"
_MOST_CHUNKS = 20_000  # of one stream; longer answers come in larger pieces
_IMAGE_TOKENS = 85  # what OpenAI counts for one in low detail
_TOKEN = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True, slots=True)
class ChatServer:
    """Answers what is asked of ``/v1``.

    Attributes:
        text: The answer to a question without tools and without a format.
        delay: Seconds between two chunks of a stream.
        key: The only API key that is accepted; None accepts any, and none at all.
        models: The models that are served; empty means any name, and one is listed.
    """

    text: str = TEXT
    delay: float = 0.0
    key: str | None = field(default=None, repr=False)
    models: Sequence[str] = ()

    def answer(self, request: Request) -> Document:
        """Return the exchange that answers a request, as in a case file."""
        try:
            exchange = self._route(request)
        except RefusalError as refusal:
            exchange = _whole(refusal.status, refusal.envelope(), refusal.headers)
        exchange["headers"] += [
            ["Date", format_datetime(datetime.now(UTC), usegmt=True)],
            ["x-request-id", f"req_{secrets.token_hex(16)}"],
        ]
        if request.method == "HEAD":
            # What GET would say of the body, without the body (RFC 9110, section 9.3.2).
            length = sum(len(utf8(compact(piece["json"]))) for piece in exchange["body"])
            exchange["headers"] += [["Content-Length", str(length)]]
            exchange["body"] = []
        if request.closes:
            exchange["headers"] += [["Connection", "close"]]
            exchange["end"] = "close"
        if request.version == "1.0" and exchange["framing"] == "chunked":
            exchange["framing"] = "close"
        return exchange

    def _route(self, request: Request) -> Document:
        path = request.path.partition("?")[0]
        asked = unquote(path.removeprefix(f"{_MODELS}/")) if path.startswith(f"{_MODELS}/") else ""
        if path == _CHAT:
            self._check(request, "POST")
            return self._chat(read_request_body(request.body))
        if path == _MODELS:
            self._check(request, "GET", "HEAD")
            listed = [_model(name) for name in self.models or (MODEL,)]
            return _whole(200, {"object": "list", "data": listed})
        if asked:
            self._check(request, "GET", "HEAD")
            self._check_model(asked)
            return _whole(200, _model(asked))
        raise RefusalError(f"nothing at {request.method} {path}; try /v1 or /CASE/v1", status=404)

    def _check(self, request: Request, *methods: str) -> None:
        """Check the method and the key."""
        if request.method not in methods:
            message = f"Only {' and '.join(methods)} requests are accepted."
            allow = (("Allow", ", ".join(methods)),)
            raise RefusalError(message, code="method_not_supported", status=405, headers=allow)
        if self.key is None:
            return
        challenge = (("WWW-Authenticate", 'Bearer realm="botticelli"'),)
        scheme, _, given = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            message = "You didn't provide an API key. Send it in an Authorization header: Bearer YOUR_KEY"
            raise RefusalError(message, status=401, headers=challenge)
        # Header bytes are read as latin-1; a key on the command line is UTF-8.
        if not hmac.compare_digest(given.strip().encode("latin-1", "replace"), self.key.encode()):
            message = "Incorrect API key provided."
            raise RefusalError(message, code="invalid_api_key", status=401, headers=challenge)

    def _check_model(self, name: str) -> None:
        if self.models and name not in self.models:
            message = f"The model '{name[:100]}' does not exist or you do not have access to it."
            raise RefusalError(message, param="model", code="model_not_found", status=404)

    def _chat(self, request: Document) -> Document:
        check_request(request)
        self._check_model(request["model"])
        reply = _reply(request, self.text)
        return _stream(request, reply, self.delay) if request.get("stream") else _answer(request, reply)


def _whole(status: int, value: Document, headers: Sequence[tuple[str, str]] = ()) -> Document:
    lines = [["Content-Type", "application/json"], *map(list, headers)]
    return {"status": status, "headers": lines, "framing": "length", "body": [{"json": value}]}


def _model(name: str) -> Document:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "botticelli"}


# What is said


@dataclass(frozen=True, slots=True)
class _Reply:
    """One choice, before it is written.

    Attributes:
        tokens: Its words, those of the text or of the arguments of the call.
        function: The function that is called, or None.
        reason: The finish reason.
        prompt: The words of the request.
    """

    tokens: list[str]
    function: str | None
    reason: str
    prompt: int

    def usage(self, choices: int) -> Document:
        """Return the usage of a number of choices like this one; a word is a token."""
        completion = len(self.tokens) * choices
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": completion,
            "total_tokens": self.prompt + completion,
        }


def _reply(request: Document, text: str) -> _Reply:
    function = _called(request)
    if function is None:
        said, reason = _stopped(_said(request, text), request.get("stop")), "stop"
    else:
        said, reason = _arguments(request, function), "tool_calls"
    tokens: list[str] = _TOKEN.findall(said)
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    if limit is not None and len(tokens) > limit:
        tokens, reason = tokens[: int(limit)], "length"
    prompt = sum(len(part.split()) for message in request["messages"] for part in texts_of(message))
    # Images cost tokens too: a usage that doesn't count them says that they were ignored.
    prompt += _IMAGE_TOKENS * sum(map(_images, request["messages"]))
    return _Reply(tokens, function["name"] if function else None, reason, max(prompt, 1))


def _images(message: Document) -> int:
    return sum(part.get("type") == "image_url" for part in as_objects(message.get("content")))


def _called(request: Document) -> Document | None:
    """Return the function to call: the one that is named, or the first one if a call fits here."""
    functions = [tool["function"] for tool in request.get("tools") or ()]
    choice = request.get("tool_choice", "auto")
    name = named_tool(choice)
    if name is not None:
        return next(as_object(function) for function in functions if function["name"] == name)
    allowed = as_object(as_object(choice).get("allowed_tools"))
    if allowed:
        names = list(map(named_tool, allowed["tools"]))
        functions = [function for function in functions if function["name"] in names]
        choice = allowed["mode"]
    fits = choice == "required" or (choice == "auto" and request["messages"][-1]["role"] == "user")
    return as_object(functions[0]) if functions and fits else None


def _arguments(request: Document, function: Document) -> str:
    try:
        return json.dumps(_object_of(function.get("parameters", {})))
    except UnsatisfiableError as error:
        index = next(at for at, tool in enumerate(request["tools"]) if tool["function"] is function)
        raise RefusalError(
            f"Invalid schema for function '{function['name']}': {error}",
            param=f"tools[{index}].function.parameters",
            code="invalid_function_parameters",
        ) from error


def _object_of(schema: Document) -> Document:
    value = example(schema)
    if not is_object(value):
        raise UnsatisfiableError("the arguments of a call must be an object")
    return value


def _said(request: Document, text: str) -> str:
    form = as_object(request.get("response_format"))
    if form.get("type") == "json_object":
        return "{}"
    if form.get("type") != "json_schema":
        return text
    try:
        return json.dumps(example(form["json_schema"].get("schema", {})))
    except UnsatisfiableError as error:
        message = f"Invalid schema for response_format '{form['json_schema']['name']}': {error}"
        raise RefusalError(message, param="response_format") from error


def _stopped(text: str, stop: Any) -> str:
    """Return the text up to the first of the stop sequences, which isn't part of it."""
    words = stop if is_array(stop) else [stop]
    found = [text.find(word) for word in words if word]
    return text[: min((at for at in found if at >= 0), default=len(text))]


# How it is written


def _answer(request: Document, reply: _Reply) -> Document:
    said = "".join(reply.tokens)
    choices: list[Document] = []
    for index in range(_count(request)):
        message: Document = {"role": "assistant", "content": said, "refusal": None}
        if reply.function is not None:
            called = {"name": reply.function, "arguments": said}
            message["content"] = None
            message["tool_calls"] = [{"id": _call_id(), "type": "function", "function": called}]
        logprobs = _logprobs(request, reply, reply.tokens)
        choice = {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reply.reason}
        choices.append(choice)
    head = _head(request, "chat.completion")
    return _whole(200, {**head, "choices": choices, "usage": reply.usage(len(choices))})


def _stream(request: Document, reply: _Reply, delay: float) -> Document:
    head, count = _head(request, "chat.completion.chunk"), _count(request)
    asked_usage = as_object(request.get("stream_options")).get("include_usage") is True
    # When the usage is asked for, all chunks before it have a usage of null.
    head |= {"usage": None} if asked_usage else {}
    chunks: list[Document] = []

    def add(delta: Document, tokens: Sequence[str] = (), reason: str | None = None) -> None:
        for index in range(count):
            called = delta.get("tool_calls")
            # Each choice makes a call of its own, so the ids differ.
            own = (
                {"tool_calls": [{**call, "id": _call_id()} if "type" in call else call for call in called]}
                if called
                else {}
            )
            logprobs = _logprobs(request, reply, tokens) if tokens else None
            choice = {
                "index": index,
                "delta": {**delta, **own},
                "logprobs": logprobs,
                "finish_reason": reason,
            }
            chunks.append({**head, "choices": [choice]})

    add({"role": "assistant", "content": None if reply.function else "", "refusal": None})
    if reply.function is not None:
        called = {"name": reply.function, "arguments": ""}
        add({"tool_calls": [{"index": 0, "type": "function", "function": called}]})
    size = len(reply.tokens) * count // _MOST_CHUNKS + 1
    for start in range(0, len(reply.tokens), size):
        tokens = reply.tokens[start : start + size]
        if reply.function is None:
            add({"content": "".join(tokens)}, tokens)
        else:
            add({"tool_calls": [{"index": 0, "function": {"arguments": "".join(tokens)}}]})
    add({}, reason=reply.reason)
    if asked_usage:
        chunks.append({**head, "choices": [], "usage": reply.usage(count)})
    body: list[Document] = []
    for piece in (*chunks, "[DONE]"):
        body += [{"sleep": delay}] if delay and body else []
        body.append({"event": piece})
    headers = [["Content-Type", "text/event-stream"], ["Cache-Control", "no-cache"]]
    return {"status": 200, "headers": headers, "framing": "chunked", "body": body}


def _head(request: Document, kind: str) -> Document:
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": request["model"],
    }


def _count(request: Document) -> int:
    return int(request.get("n") or 1)


def _call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def _logprobs(request: Document, reply: _Reply, tokens: Sequence[str]) -> Document | None:
    """Return the log probabilities of the words of a text: 0, for this server is certain of them."""
    if not request.get("logprobs") or reply.function is not None:
        return None
    content: list[Document] = []
    for token in tokens:
        entry: Document = {"token": token, "logprob": 0.0, "bytes": list(token.encode())}
        others = [dict(entry)] if request.get("top_logprobs") else []
        content.append({**entry, "top_logprobs": others})
    return {"content": content, "refusal": None}

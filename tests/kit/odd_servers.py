"""The well-behaved server with oddities that harm nobody: none of them may trip a must.

To add one, write a function that changes the exchange which answers a request, and a row in `HARMLESS`.
"""

from __future__ import annotations

import json
from dataclasses import replace

from botticelli.contracts.jsonvalue import Document, as_objects
from botticelli.kit.server.chat import ChatServer
from tests.kit.changed_server import (
    TEXT,
    Asked,
    Broken,
    Change,
    each_chunk,
    each_message,
    each_usage,
    refuses,
)

__all__ = ["HARMLESS", "jitters"]


def without_refusal(message: Document) -> None:
    message.pop("refusal", None)


def null_members(asked: Asked) -> None:
    for message in asked.messages:
        message.setdefault("tool_calls", None)
        message.setdefault("function_call", None)
    for one in (asked.whole, *asked.chunks):
        if one:
            one["system_fingerprint"] = None
            one["service_tier"] = None


def no_logprobs_member(asked: Asked) -> None:
    for one in (asked.whole, *asked.chunks):
        for choice in as_objects(one.get("choices")):
            if not choice.get("logprobs"):
                choice.pop("logprobs", None)


def extra_members(asked: Asked) -> None:
    for one in (asked.whole, *asked.chunks):
        if one:
            one["timings"] = {"predicted_ms": 5}
            one["x_vendor"] = [1]


def keep_alives(asked: Asked) -> None:
    if asked.streams:
        asked.exchange["body"] = [
            piece for event in asked.exchange["body"] for piece in ({"text": ": keepalive\n\n"}, event)
        ]


def named_stop(asked: Asked) -> None:
    """End a call that was forced by name with stop, as OpenAI and vLLM do."""
    if isinstance(asked.body.get("tool_choice"), dict):
        for one in (asked.whole, *asked.chunks):
            for choice in as_objects(one.get("choices")):
                if choice.get("finish_reason") == "tool_calls":
                    choice["finish_reason"] = "stop"


def thinks(asked: Asked) -> None:
    """Think before the answer, in a member of its own; short limits are used up by it."""
    limit = asked.body.get("max_completion_tokens") or asked.body.get("max_tokens")
    if not asked.whole or not isinstance(limit, int):
        return
    for choice in asked.whole["choices"]:
        choice["message"]["reasoning_content"] = "Let me think about it."
        if limit < 100:
            choice["message"]["content"], choice["finish_reason"] = "", "length"


def never_calls(asked: Asked) -> None:
    """Call a tool only where it is forced."""
    if asked.ok and "tools" in asked.body and asked.body.get("tool_choice", "auto") == "auto":
        asked.answer_as(tool_choice="none")


def closes_each(asked: Asked) -> None:
    asked.exchange["headers"].append(["Connection", "close"])
    asked.exchange["end"] = "close"


def slow(asked: Asked) -> None:
    if asked.number % 10 == 0:
        asked.exchange.setdefault("body", []).insert(0, {"sleep": 0.1})


def constant_usage(usage: Document) -> None:
    usage.update({"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20})


def role_in_every_chunk(_number: int, chunk: Document) -> None:
    for choice in chunk["choices"]:
        choice["delta"]["role"] = "assistant"


def one_chunk_per_stream(asked: Asked) -> None:
    """Send all events in one write."""
    if asked.streams:
        events = [piece["event"] for piece in asked.exchange["body"] if "event" in piece]
        text = "".join(f"data: {e if isinstance(e, str) else json.dumps(e)}\n\n" for e in events)
        asked.exchange["body"] = [{"text": text}]


def unsteady(asked: Asked) -> None:
    """Say something else each time."""
    if asked.is_chat and asked.ok:
        words = " ".join(f"thing{'s' * (asked.number % 7)}" for _ in range(asked.number % 5))
        asked.exchange = ChatServer(text=f"Now {words} {TEXT}").answer(asked.request)


def busy(asked: Asked) -> None:
    """Answer every third request with 429, and ask to wait."""
    if asked.number % 3 == 1:
        error = {"message": "slow down", "type": "rate_limit", "param": None, "code": "rate_limit_exceeded"}
        asked.say({"error": error}, 429)
        asked.exchange["headers"].append(["Retry-After", "1"])


def arguments_as_object(message: Document) -> None:
    """Give the arguments as an object, as Ollama's own API does."""
    for call in message.get("tool_calls") or ():
        try:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"] or "{}")
        except ValueError:
            call["function"]["arguments"] = {}


def calls_without_index(message: Document) -> None:
    for call in message.get("tool_calls") or ():
        call.pop("index", None)


def weak(asked: Asked) -> None:
    """Say the same few words to everything, and call no tool."""
    if asked.is_chat and asked.ok and not {"response_format", "tool_choice"} & asked.body.keys():
        tools = {"tools": None, "parallel_tool_calls": None}
        changed = {name: value for name, value in asked.body.items() if name not in tools}
        request = replace(asked.request, body=json.dumps(changed).encode())
        asked.exchange = ChatServer(text="I am a tiny test model.").answer(request)
        for one in (asked.whole, *asked.chunks):
            if one.get("usage"):
                one["usage"].update({"prompt_tokens": 300, "total_tokens": 300})
                one["usage"]["total_tokens"] += one["usage"]["completion_tokens"]


def laconic(text: str, *, usage: int | None = None) -> Change:
    """Have a model that says the same two words to what asks for many; with some usage, or none."""

    def change(asked: Asked) -> None:
        if not asked.is_chat or not asked.ok or "Count from one" not in json.dumps(asked.body):
            return
        asked.exchange = ChatServer(text=text).answer(asked.request)
        for one in (asked.whole, *asked.chunks):
            for choice in as_objects(one.get("choices")):
                choice["finish_reason"] = choice["finish_reason"] and "stop"
            if usage is None:
                one.pop("usage", None)
            elif one.get("usage"):
                one["usage"]["completion_tokens"] = usage

    return change


def overloaded(asked: Asked) -> None:
    """Answer every fourth request with 503, and ask to wait."""
    if asked.number % 4 == 1:
        error = {"message": "overloaded", "type": "overloaded", "param": None, "code": None}
        asked.say({"error": error}, 503)
        asked.exchange["headers"].append(["Retry-After", "1"])


def jitters(asked: Asked) -> None:
    """Wait a little, now more, now less, before an answer and within it."""
    for place in (0, 2):
        asked.exchange.setdefault("body", []).insert(place, {"sleep": asked.number * 7 % 5 / 100})


HARMLESS: tuple[Broken, ...] = (
    Broken("leaves out refusal", each_message(without_refusal)),
    Broken("sends null members", null_members),
    Broken("leaves out logprobs", no_logprobs_member),
    Broken("sends extra members", extra_members),
    Broken("sends keep-alive comments", keep_alives),
    Broken("ends a named call with stop", named_stop),
    Broken("refuses tools", refuses("tools")),
    Broken("refuses n", refuses("n")),
    Broken("refuses logprobs", refuses("logprobs")),
    Broken("refuses response_format", refuses("response_format")),
    Broken("refuses stop with 422", refuses("stop", 422)),
    Broken("refuses streams with 501", refuses("stream", 501)),
    Broken("refuses tool_choice", refuses("tool_choice")),
    Broken("thinks before it answers", thinks),
    Broken("calls no tool by itself", never_calls),
    Broken("closes each connection", closes_each),
    Broken("is slow at times", slow),
    Broken("always says the same usage", each_usage(constant_usage)),
    Broken("has the role in every chunk", each_chunk(role_in_every_chunk)),
    Broken("sends all events in one write", one_chunk_per_stream),
    Broken("doesn't answer alike twice", unsteady),
    Broken("is busy at times", busy),
    Broken("is overloaded at times", overloaded),
    Broken("answers with jitter", jitters),
    Broken("gives arguments as an object", each_message(arguments_as_object)),
    Broken("leaves out the index of a call", each_message(calls_without_index)),
    Broken("is a weak model", weak),
    Broken("is a model of two words, as many as the limit", laconic("I see.", usage=2)),
    Broken("is a model of two words, of more tokens than the limit", laconic("I see", usage=4)),
    Broken("is a model of two words, without usage", laconic("I see")),
)

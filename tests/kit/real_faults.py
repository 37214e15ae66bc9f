"""The well-behaved server with one fault each that a real server, gateway or proxy has had.

To add one, write a function that changes the exchange which answers a request, and a row in `REAL` with the
probes that exist for it. `tests/kit/test_probes.py` drives them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import Document, as_object, as_objects
from tests.kit.changed_server import (
    TEXT,
    Asked,
    Broken,
    Change,
    each_chunk,
    each_message,
    each_usage,
    each_whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REAL"]


def fails(when: Callable[[Asked], bool], status: int = 500) -> Change:
    """A server that fails where it should answer."""

    def change(asked: Asked) -> None:
        if asked.is_chat and when(asked):
            error = {"message": "Internal Server Error", "type": "server", "param": None, "code": None}
            asked.say({"error": error}, status)

    return change


def has_message(**members: Any) -> Callable[[Asked], bool]:
    """Tell whether a message of the request has certain members."""
    return lambda asked: any(
        members.items() <= message.items() for message in as_objects(asked.body.get("messages"))
    )


def usage_as_whole(_number: int, chunk: Document) -> None:
    if chunk.get("usage"):
        chunk["object"] = "chat.completion"


def no_early_finish(_number: int, chunk: Document) -> None:
    for choice in chunk["choices"]:
        if choice["finish_reason"] is None:
            del choice["finish_reason"]


def mislabelled(asked: Asked) -> None:
    """A server that labels everything as JSON, plain text too."""
    if asked.exchange["status"] == 404:
        asked.exchange["headers"] = [["Content-Type", "application/json"]]
        asked.exchange["body"] = [{"text": "Not Found"}]


def no_header(name: str) -> Change:
    """A server that leaves out a header."""

    def change(asked: Asked) -> None:
        headers = asked.exchange.get("headers", [])
        asked.exchange["headers"] = [header for header in headers if header[0].lower() != name]

    return change


def labelled(media: str, when: Callable[[Asked], bool]) -> Change:
    """A server that labels JSON as something else."""

    def change(asked: Asked) -> None:
        if when(asked):
            for header in asked.exchange["headers"]:
                if header[0] == "Content-Type":
                    header[1] = media

    return change


def only_streams(change: Change) -> Change:
    """A server that does this in streams alone."""

    def changed(asked: Asked) -> None:
        if asked.streams:
            change(asked)

    return changed


def drops(*names: str) -> Change:
    def change(asked: Asked) -> None:
        if asked.is_chat and asked.ok and set(names) & asked.body.keys():
            asked.answer_as(**dict.fromkeys(names))

    return change


def one_id(answer: Document) -> None:
    answer["id"] = "chatcmpl-1"


def other_model(answer: Document) -> None:
    answer["model"] = "gpt-3.5-turbo"


def vendor_finish(asked: Asked) -> None:
    """End with the tokeniser's own word for it."""
    for one in (asked.whole, *asked.chunks):
        for choice in as_objects(one.get("choices")):
            if choice.get("finish_reason") == "stop":
                choice["finish_reason"] = "eos_token"


def limit_says_stop(asked: Asked) -> None:
    for one in (asked.whole, *asked.chunks):
        for choice in as_objects(one.get("choices")):
            if choice.get("finish_reason") == "length":
                choice["finish_reason"] = "stop"


def one_index(asked: Asked) -> None:
    for one in (asked.whole, *asked.chunks):
        for choice in as_objects(one.get("choices")):
            choice["index"] = 0


def usage_beside_finish(asked: Asked) -> None:
    """Send the usage with the finish reason, as transformers does."""
    chunks = asked.chunks
    if len(chunks) > 1 and chunks[-1].get("usage") and not chunks[-1]["choices"]:
        chunks[-2]["usage"] = chunks[-1]["usage"]
        asked.exchange["body"] = [
            p for p in asked.exchange["body"] if as_object(p).get("event") is not chunks[-1]
        ]


def usage_unasked(asked: Asked) -> None:
    if asked.streams and "stream_options" not in asked.body:
        asked.answer_as(stream_options={"include_usage": True})


def usage_of_nothing(usage: Document) -> None:
    usage.update({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})


def stream_usage_larger(asked: Asked) -> None:
    """Count each chunk of a stream as a token more."""
    for chunk in asked.chunks:
        if chunk.get("usage"):
            chunk["usage"]["completion_tokens"] += 9
            chunk["usage"]["total_tokens"] += 9


def no_usage(answer: Document) -> None:
    answer.pop("usage", None)


def no_call_type(message: Document) -> None:
    for call in message.get("tool_calls") or ():
        call.pop("type", None)


def new_call_id_in_each_chunk(asked: Asked) -> None:
    for number, message in enumerate(asked.messages if asked.streams else ()):
        for call in message.get("tool_calls") or ():
            call["id"] = f"call_{number}"


def calls_end_with_stop(asked: Asked) -> None:
    """End calls with stop."""
    for one in (asked.whole, *asked.chunks):
        for choice in as_objects(one.get("choices")):
            if choice.get("finish_reason") == "tool_calls":
                choice["finish_reason"] = "stop"


def calls_as_text(message: Document) -> None:
    """Write the call into the text, as servers do that don't know the model's template."""
    if message.get("tool_calls"):
        message["content"] = f"<tool_call>{json.dumps(message.pop('tool_calls'))}</tool_call>"


def fenced_json(asked: Asked) -> None:
    """Put the JSON into a fence of Markdown."""
    if as_object(asked.body.get("response_format")).get("type") in ("json_object", "json_schema"):
        for message in asked.messages if asked.whole else ():
            message["content"] = f"```json\n{message['content']}\n```"


def positive_logprobs(asked: Asked) -> None:
    """Give probabilities for their logarithms."""
    for one in (asked.whole, *asked.chunks):
        for choice in as_objects(one.get("choices")):
            for entry in as_object(choice.get("logprobs")).get("content") or ():
                entry["logprob"] = 0.97


def no_other_logprobs(asked: Asked) -> None:
    for one in (asked.whole, *asked.chunks):
        for choice in as_objects(one.get("choices")):
            for entry in as_object(choice.get("logprobs")).get("content") or ():
                entry["top_logprobs"] = []


def whole_text_again(asked: Asked) -> None:
    """Send the whole text once more with the finish reason, as some gateways do."""
    for chunk in asked.chunks:
        for choice in as_objects(chunk.get("choices")):
            if choice.get("finish_reason") == "stop":
                choice["delta"]["content"] = TEXT


def lists_twice(asked: Asked) -> None:
    if asked.request.path == "/v1/models" and asked.ok and asked.request.method == "GET":
        data = asked.exchange["body"][0]["json"]["data"]
        data.extend(list(data))


def lists_nothing(asked: Asked) -> None:
    if asked.request.path == "/v1/models" and asked.ok and asked.request.method == "GET":
        asked.exchange["body"][0]["json"]["data"] = []


def other_entry(asked: Asked) -> None:
    if asked.request.path.startswith("/v1/models/") and asked.ok and asked.request.method == "GET":
        asked.exchange["body"][0]["json"]["id"] = "another"


def any_entry(asked: Asked) -> None:
    if asked.request.path.startswith("/v1/models/") and asked.exchange["status"] == 404:
        asked.say({"id": "any", "object": "model", "created": 1, "owned_by": "me"})


def any_path(asked: Asked) -> None:
    """Show a web page for each path that isn't known, as a proxy with a user interface does."""
    known = asked.is_chat or asked.request.path.startswith("/v1/models")
    if asked.exchange["status"] == 404 and not known:
        asked.say({"page": "Welcome"})


def chunks_for_old_clients(asked: Asked) -> None:
    if asked.streams and asked.request.version == "1.0":
        asked.exchange["framing"] = "chunked"


def members_unnamed(asked: Asked) -> None:
    """Say of each error only that there is one."""
    if asked.exchange["status"] == 400:
        error = {"message": "bad request", "type": "invalid_request_error", "param": None, "code": None}
        asked.say({"error": error}, 400)


def detail_errors(asked: Asked) -> None:
    """Send FastAPI's own errors."""
    if asked.exchange["status"] == 400:
        asked.say({"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]}, 422)


def result_unread(asked: Asked) -> None:
    """Drop the result of a tool from the conversation."""
    messages = as_objects(asked.body.get("messages"))
    kept = [message for message in messages if message.get("role") != "tool"]
    if asked.ok and kept != messages:
        kept = [{name: value for name, value in one.items() if name != "tool_calls"} for one in kept]
        asked.answer_as(messages=[{**one, "content": one.get("content") or "."} for one in kept], tools=None)


def unparsed(asked: Asked) -> bool:
    return asked.exchange["status"] == 400 and not asked.body


def is_whole(asked: Asked) -> bool:
    return bool(asked.whole)


def any_null(asked: Asked) -> bool:
    return any(value is None for value in asked.body.values())


_STOPS = (
    "stop-word",
    "stop-word-list",
    "stop-several",
    "stop-split",
    "stop-word-stream",
    "stop-split-stream",
)
_NULLS = tuple(
    f"parameter-null-{name}"
    for name in ("n", "seed", "stop", "stream", "temperature", "top-p", "presence-penalty")
)

REAL: tuple[Broken, ...] = (
    Broken("all answers have one id", each_whole(one_id), ("answer-ids-differ",)),
    Broken("another model is named", each_whole(other_model), ("answer-names-model",)),
    Broken(
        "the finish reason is the tokeniser's",
        vendor_finish,
        ("answer-finishes", "stream-finish-known"),
        _STOPS,
    ),
    Broken(
        "a limit that is reached is called stop",
        limit_says_stop,
        (
            "parameter-max-tokens",
            "parameter-max-tokens-stream",
            "parameter-max-tokens-one",
            "parameter-max-completion-tokens",
        ),
    ),
    Broken(
        "all choices have the index 0",
        one_index,
        ("choices-two", "choices-two-stream"),
        ("choices-two-stream-finish",),
    ),
    Broken("n is ignored in streams", only_streams(drops("n")), ("choices-two-stream",)),
    Broken("the usage comes with the finish reason", usage_beside_finish, ("usage-stream-own-chunk",)),
    Broken("the usage of a stream says it is a whole answer", each_chunk(usage_as_whole), ("stream-object",)),
    Broken("only the last chunk has a finish_reason", each_chunk(no_early_finish), ("stream-finish-null",)),
    Broken("a text is labelled as JSON", mislabelled, ("error-label-true",)),
    Broken("usage is sent unasked", usage_unasked, ("usage-stream-unasked",)),
    Broken("usage is all zero", each_usage(usage_of_nothing), ("usage-counts",)),
    Broken("a stream counts more tokens", stream_usage_larger, ("usage-stream-equals-whole",)),
    Broken("whole answers have no usage", each_whole(no_usage), ("usage-whole",)),
    Broken("calls have no type", each_message(no_call_type), ("tools-call-type",)),
    Broken("a call has a new id in each chunk", new_call_id_in_each_chunk, ("tools-stream-id",)),
    Broken("calls end with stop", calls_end_with_stop, ("tools-call-finish", "tools-stream-finish-reason")),
    Broken(
        "calls are written into the text",
        each_message(calls_as_text),
        ("tools-call-finish",),
        ("tools-read",),
    ),
    Broken(
        "JSON is fenced",
        fenced_json,
        ("json-object-kept", "schema-kept", "schema-ref", "schema-array", "schema-enum", "schema-nullable"),
    ),
    Broken(
        "the schema is ignored in streams",
        only_streams(drops("response_format")),
        ("schema-kept-stream", "json-object-kept-stream"),
    ),
    Broken("log probabilities are above 0", positive_logprobs, ("logprobs-whole", "logprobs-stream")),
    Broken("no alternatives among the logprobs", no_other_logprobs, ("logprobs-top",)),
    Broken(
        "logprobs are ignored in streams",
        only_streams(drops("logprobs", "top_logprobs")),
        ("logprobs-stream",),
    ),
    Broken(
        "the whole text is sent again at the end",
        whole_text_again,
        ("stream-equals-whole",),
        (
            "logprobs-stream",
            "stop-unused",
            "stop-word-stream",
            "stop-split-stream",
            "json-object-kept-stream",
            "schema-kept-stream",
        ),
    ),
    Broken("models are listed twice", lists_twice, ("models-list-unique",)),
    Broken("no model is listed", lists_nothing, ("models-list-has-model",)),
    Broken("another model's entry is given", other_entry, ("models-retrieve",)),
    Broken("an unknown model has an entry", any_entry, ("models-retrieve-unknown",)),
    Broken("unknown paths show a page", any_path, ("error-wrong-path",)),
    Broken("HTTP/1.0 gets chunks", chunks_for_old_clients, ("http-1-0-stream",)),
    Broken("errors name nothing", members_unnamed, ("error-names-member",)),
    Broken("errors are FastAPI's own", detail_errors, ("error-shape",)),
    Broken("no Date", no_header("date"), ("header-date",)),
    Broken("no x-request-id", no_header("x-request-id"), ("header-request-id",)),
    Broken("answers are labelled text/plain", labelled("text/plain", is_whole), ("answer-json-type",)),
    Broken(
        "streams are labelled text/plain",
        labelled("text/plain", lambda asked: asked.streams),
        ("stream-is-stream",),
    ),
    Broken(
        "the model list is labelled text/html",
        labelled("text/html", lambda asked: asked.request.path == "/v1/models"),
        ("models-json-type",),
    ),
    Broken(
        "content null in an earlier turn fails the server",
        fails(has_message(role="assistant", content=None)),
        ("answer-assistant-null",),
        ("tools-result-turn",),
    ),
    Broken(
        "a developer message fails the server",
        fails(has_message(role="developer")),
        ("answer-developer-message",),
    ),
    Broken("null members fail the server", fails(any_null), _NULLS),
    Broken("the result of a tool fails the server", fails(has_message(role="tool")), ("tools-result-turn",)),
    Broken("the result of a tool is not read", result_unread, ("tools-result-read",)),
    Broken(
        "a second system message fails the server",
        fails(lambda asked: str(asked.body.get("messages")).count("'system'") > 1),
        ("answer-two-system-messages",),
    ),
    Broken(
        "a name of the user fails the server",
        fails(lambda asked: any("name" in one for one in as_objects(asked.body.get("messages")))),
        ("answer-named-user",),
    ),
    Broken("a query fails the server", fails(lambda asked: "?" in asked.request.path), ("http-query",)),
    Broken("a body that isn't JSON fails the server", fails(unparsed), ("body-not-json", "body-empty")),
    Broken(
        "a charset fails the server",
        fails(lambda asked: "charset" in (asked.request.header("content-type") or ""), 415),
        ("header-charset",),
    ),
    Broken("a seed fails the server", fails(lambda asked: "seed" in asked.body), ("parameter-seed",)),
)

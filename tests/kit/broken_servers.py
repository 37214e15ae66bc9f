"""The well-behaved server with one fault each.

To add one, write a function that changes the exchange which answers a request, and a row in `BROKEN` with the
probes that exist for it. `tests/kit/test_probes.py` drives them. Faults that were seen at real servers are in
`real_faults.py`, oddities that harm nobody in `odd_servers.py`.
"""

from __future__ import annotations

import json
from dataclasses import replace

from botticelli.contracts.jsonvalue import Document, as_object, as_objects
from botticelli.kit.server.chat import ChatServer
from botticelli.kit.server.recording import Request
from tests.kit.changed_server import (
    TEXT,
    Asked,
    Broken,
    accepts,
    each_chunk,
    each_message,
    each_usage,
    ignores,
)

__all__ = ["BROKEN", "stop_deleted"]


def _stops(asked: Asked) -> list[str]:
    stop = asked.body.get("stop")
    return [stop] if isinstance(stop, str) else list(stop or [])


def _retell(asked: Asked, text: str) -> None:
    """Say another text, as a whole or as a stream."""
    changed = Request("POST", asked.request.path, asked.request.headers, json.dumps(
        {name: value for name, value in asked.body.items() if name != "stop"}
    ).encode())  # fmt: skip
    asked.exchange = ChatServer(text=text).answer(changed)


def stop_deleted(asked: Asked) -> None:
    """Delete stop words, and talk on."""
    if asked.is_chat and asked.ok and _stops(asked):
        text = TEXT
        for word in _stops(asked):
            text = text.replace(word, "")
        _retell(asked, text)


def stop_left_in(asked: Asked) -> None:
    """End after the stop word instead of before it."""
    if asked.is_chat and asked.ok:
        found = [TEXT.find(word) + len(word) for word in _stops(asked) if word in TEXT]
        if found:
            _retell(asked, TEXT[: min(found)])


def stop_as_tokens(asked: Asked) -> None:
    """See only stop words that are one whole token."""
    words = _stops(asked)
    if asked.is_chat and asked.ok and words and not any(word in TEXT.split() for word in words):
        _retell(asked, TEXT)


def stop_only_first(asked: Asked) -> None:
    """See only the first of several stop words."""
    if asked.is_chat and asked.ok and len(_stops(asked)) > 1:
        asked.answer_as(stop=_stops(asked)[0])


def stop_not_in_streams(asked: Asked) -> None:
    if asked.streams and _stops(asked):
        _retell(asked, TEXT)


def finish_twice(asked: Asked) -> None:
    for place, piece in enumerate(asked.exchange["body"] if asked.streams else []):
        event = as_object(as_object(piece).get("event"))
        if any(choice["finish_reason"] for choice in as_objects(event.get("choices"))):
            asked.exchange["body"].insert(place, json.loads(json.dumps(piece)))
            return


def finish_never(_number: int, chunk: Document) -> None:
    for choice in chunk["choices"]:
        choice["finish_reason"] = None


def content_after_finish(asked: Asked) -> None:
    """Say the last word after the finish reason."""
    chunks = [chunk for chunk in asked.chunks if chunk["choices"]]
    if len(chunks) > 2 and chunks[-2]["choices"][0]["delta"].get("content"):
        chunks[-2]["choices"], chunks[-1]["choices"] = chunks[-1]["choices"], chunks[-2]["choices"]


def loses_a_chunk(asked: Asked) -> None:
    chunks = [chunk for chunk in asked.chunks if any(c["delta"].get("content") for c in chunk["choices"])]
    if len(chunks) > 4:
        lost = chunks[2]
        asked.exchange["body"] = [p for p in asked.exchange["body"] if as_object(p).get("event") is not lost]


def no_done(asked: Asked) -> None:
    if asked.streams:
        asked.exchange["body"] = [piece for piece in asked.exchange["body"] if piece != {"event": "[DONE]"}]


def data_after_done(asked: Asked) -> None:
    if asked.streams:
        asked.exchange["body"].append({"event": json.loads(json.dumps(asked.chunks[0] | {"choices": []}))})


def cut_streams(asked: Asked) -> None:
    """Close every stream in the middle, with its framing broken."""
    if asked.streams:
        asked.exchange["body"] = asked.exchange["body"][:3]
        asked.exchange["end"] = "cut"


def ids_differ(number: int, chunk: Document) -> None:
    chunk["id"] = f"chatcmpl-{number}"


def created_differs(number: int, chunk: Document) -> None:
    chunk["created"] += number


def model_differs(number: int, chunk: Document) -> None:
    chunk["model"] = f"m-{number}"


def no_role(_number: int, chunk: Document) -> None:
    for choice in chunk["choices"]:
        choice["delta"].pop("role", None)


def broken_characters(_number: int, chunk: Document) -> None:
    for choice in chunk["choices"]:
        if choice["delta"].get("content"):
            choice["delta"]["content"] = choice["delta"]["content"].replace("v", "�")


def stream_as_whole(asked: Asked) -> None:
    if asked.streams:
        asked.answer_as(stream=False, stream_options=None)


def all_at_once(asked: Asked) -> None:
    """Wait for the whole answer, and send its chunks together."""
    if asked.streams:
        asked.exchange["body"].insert(0, {"sleep": 0.6})


def usage_unsummed(usage: Document) -> None:
    usage["total_tokens"] += 3


def usage_missing(asked: Asked) -> None:
    if asked.streams and "stream_options" in asked.body:
        asked.answer_as(stream_options=None)


def usage_of_one(asked: Asked) -> None:
    if asked.whole and asked.body.get("n") == 2:
        asked.whole["usage"]["completion_tokens"] //= 2
        usage = asked.whole["usage"]
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]


def arguments_not_json(message: Document) -> None:
    for call in message.get("tool_calls", []):
        call["function"]["arguments"] = call["function"]["arguments"].replace('"', "'")


def same_call_ids(message: Document) -> None:
    for call in message.get("tool_calls", []):
        if "id" in call:
            call["id"] = "call_0"


def no_call_ids(message: Document) -> None:
    for call in message.get("tool_calls", []):
        call.pop("id", None)


def invented_tool(message: Document) -> None:
    for call in message.get("tool_calls", []):
        if call["function"].get("name"):
            call["function"]["name"] = "invented"


def finish_tool_calls_without(asked: Asked) -> None:
    if asked.whole and "tools" in asked.body:
        for choice in asked.whole["choices"]:
            choice["message"].pop("tool_calls", None)
            choice["message"]["content"] = "Let me see."
            choice["finish_reason"] = "tool_calls"


def tools_unread(asked: Asked) -> None:
    if asked.is_chat and asked.ok and "tools" in asked.body:
        asked.answer_as(tools=None, tool_choice=None, parallel_tool_calls=None)


def calls_though_none(asked: Asked) -> None:
    if asked.ok and asked.body.get("tool_choice") == "none":
        asked.answer_as(tool_choice="required")


def error_in_200(asked: Asked) -> None:
    if asked.exchange["status"] == 400:
        asked.exchange["status"] = 200


def error_500(asked: Asked) -> None:
    if asked.exchange["status"] == 400:
        asked.exchange["status"] = 500


def error_as_text(asked: Asked) -> None:
    if asked.exchange["status"] == 400:
        asked.exchange["headers"] = [["Content-Type", "text/plain"]]
        asked.exchange["body"] = [{"text": "Bad Request"}]


def key_echoed(asked: Asked) -> None:
    """Repeat the credentials in every error."""
    sent = asked.request.header("authorization") or ""
    if asked.exchange["status"] >= 400:
        error = {"message": f"refused: {sent}", "type": "invalid_request_error", "param": None, "code": None}
        asked.say({"error": error}, asked.exchange["status"])


def any_key(asked: Asked) -> None:
    """Take any key, but not none."""
    if asked.exchange["status"] == 401 and asked.request.header("authorization"):
        asked.exchange = ChatServer(text=TEXT).answer(asked.request)


def image_ignored(asked: Asked) -> None:
    if asked.ok and "image_url" in json.dumps(asked.body):
        messages = json.loads(json.dumps(asked.body["messages"]))
        for message in messages:
            message["content"] = [part for part in message["content"] if part["type"] == "text"]
        asked.answer_as(messages=messages)


def system_ignored(asked: Asked) -> None:
    messages = as_objects(asked.body.get("messages"))
    kept = [message for message in messages if message.get("role") != "system"]
    if asked.ok and kept != messages:
        asked.answer_as(messages=kept)


def history_ignored(asked: Asked) -> None:
    messages = as_objects(asked.body.get("messages"))
    if asked.ok and len(messages) > 1 and messages[-1].get("role") == "user":
        asked.answer_as(messages=messages[-1:])


def first_part_only(asked: Asked) -> None:
    messages = json.loads(json.dumps(as_objects(asked.body.get("messages"))))
    if asked.ok and any(isinstance(message.get("content"), list) for message in messages):
        for message in messages:
            if isinstance(message.get("content"), list):
                message["content"] = message["content"][:1]
        asked.answer_as(messages=messages)


def no_content(message: Document) -> None:
    if isinstance(message.get("content"), str):
        message["content"] = {"text": message["content"]}


def no_choices(asked: Asked) -> None:
    """Answer later questions without choices: the first one looks right."""
    if asked.whole and asked.number > 0:
        asked.whole["choices"] = "none"


def no_choices_in_streams(_number: int, chunk: Document) -> None:
    chunk["choices"] = []


def models_unlisted(asked: Asked) -> None:
    if asked.request.path == "/v1/models" and asked.ok and asked.request.method == "GET":
        asked.say({"object": "list", "data": "none"})


def knows_no_vendor_headers(asked: Asked) -> None:
    if asked.request.header("x-stainless-lang"):
        asked.say({"error": "unknown header"}, 400)


def wants_exact_headers(asked: Asked) -> None:
    names = {name for name, _ in asked.request.headers}
    if asked.is_chat and asked.request.body and "Content-Type" not in names:
        asked.say({"error": "no content type"}, 415)


def one_choice_too_many(asked: Asked) -> None:
    if asked.is_chat and asked.ok and asked.body.get("n") == 1:
        asked.answer_as(n=2)


def drops_bad_json(asked: Asked) -> None:
    if asked.exchange["status"] == 400 and not asked.body:
        asked.exchange = {"end": "close"}


def head_with_body(asked: Asked) -> None:
    """Answer HEAD as if it were GET, the body in a write of its own."""
    if asked.request.method == "HEAD":
        get = replace(asked.request, method="GET")
        asked.exchange = ChatServer(text=TEXT).answer(get)
        asked.exchange["body"].insert(0, {"sleep": 0.01})


_STOPS = (
    "stop-word",
    "stop-word-list",
    "stop-several",
    "stop-split",
    "stop-word-stream",
    "stop-split-stream",
)

BROKEN: tuple[Broken, ...] = (
    Broken("a stop word is deleted, and the model talks on", stop_deleted, _STOPS),
    Broken("the stop word is left in", stop_left_in, _STOPS),
    Broken("stop is ignored", ignores("stop"), _STOPS),
    Broken("stop words over two tokens are not seen", stop_as_tokens, ("stop-split", "stop-split-stream")),
    Broken("only the first stop word is seen", stop_only_first, ("stop-several",)),
    Broken("stop is ignored in streams", stop_not_in_streams, ("stop-word-stream", "stop-split-stream")),
    Broken(
        "max_tokens is ignored",
        ignores("max_tokens"),
        ("parameter-max-tokens", "parameter-max-tokens-stream", "parameter-max-tokens-one"),
    ),
    Broken(
        "max_completion_tokens is ignored",
        ignores("max_completion_tokens"),
        ("parameter-max-completion-tokens",),
    ),
    Broken(
        "a choice finishes twice",
        finish_twice,
        ("stream-finishes-once", "tools-stream-finish"),
        (
            "parameter-max-tokens-stream",
            "choices-two-stream-finish",
            "concurrent-streams",
            "cancel-then-stream",
        ),
    ),
    Broken(
        "a choice never finishes",
        each_chunk(finish_never),
        ("stream-finishes-once", "stream-finish-known"),
        (
            "parameter-max-tokens-stream",
            "choices-two-stream-finish",
            "concurrent-streams",
            "cancel-then-stream",
            "tools-stream-finish",
            "stream-equals-whole",
            "stop-word-stream",
            "stop-split-stream",
        ),
    ),
    Broken(
        "content comes after the finish reason",
        content_after_finish,
        ("stream-nothing-after-finish",),
        ("choices-two-stream-finish", "concurrent-streams", "cancel-then-stream", "stream-equals-whole"),
    ),
    Broken(
        "a chunk is lost",
        loses_a_chunk,
        ("stream-equals-whole",),
        (
            "stop-unused",
            "stop-word-stream",
            "stop-split-stream",
            "logprobs-stream",
            "schema-kept-stream",
            "json-object-kept-stream",
        ),
    ),
    Broken("no [DONE]", no_done, ("stream-done",)),
    Broken("data after [DONE]", data_after_done, ("stream-done",)),
    Broken(
        "streams are cut",
        cut_streams,
        ("stream-is-stream", "stream-readable", "stream-finishes-once"),
        wide=True,
    ),
    Broken(
        "ids differ between chunks",
        each_chunk(ids_differ),
        ("stream-one-id",),
        ("concurrent-streams", "cancel-then-stream"),
    ),
    Broken("created differs between chunks", each_chunk(created_differs), ("stream-one-created",)),
    Broken("model differs between chunks", each_chunk(model_differs), ("stream-one-model",)),
    Broken("no role in streams", each_chunk(no_role), ("stream-role-first",)),
    Broken(
        "characters are broken between chunks",
        each_chunk(broken_characters),
        ("stream-unicode",),
        ("stream-equals-whole", "stop-unused", "stop-word-stream", "stop-split-stream"),
    ),
    Broken("stream is ignored", stream_as_whole, ("stream-is-stream",)),
    Broken("chunks come all at once", all_at_once, ("stream-arrives",)),
    Broken("usage doesn't add up", each_usage(usage_unsummed), ("usage-sums", "usage-stream-sums")),
    Broken("usage is missing though asked for", usage_missing, ("usage-stream",)),
    Broken("usage counts one of two choices", usage_of_one, ("choices-usage",)),
    Broken("n is ignored", ignores("n"), ("choices-two", "choices-two-stream")),
    Broken(
        "logprobs is ignored",
        ignores("logprobs", "top_logprobs"),
        ("logprobs-whole", "logprobs-top", "logprobs-stream"),
    ),
    Broken(
        "arguments are not JSON",
        each_message(arguments_not_json),
        ("tools-call-arguments", "tools-stream-arguments"),
    ),
    Broken("all calls have one id", each_message(same_call_ids), ("tools-call-ids-differ",)),
    Broken(
        "calls have no id", each_message(no_call_ids), ("tools-call-id", "tools-stream-id", "tools-parallel")
    ),
    Broken(
        "a tool is invented", each_message(invented_tool), ("tools-call-readable", "tools-stream-readable")
    ),
    Broken(
        "finish_reason tool_calls without calls",
        finish_tool_calls_without,
        ("tools-call-finish",),
        ("tools-read",),
    ),
    Broken("tools are not read", tools_unread, ("tools-read", "tools-required", "tools-named")),
    Broken(
        "tool_choice is ignored", ignores("tool_choice"), ("tools-none", "tools-stream-none", "tools-named")
    ),
    Broken("a tool is called though none may be", calls_though_none, ("tools-none", "tools-stream-none")),
    Broken(
        "the schema is ignored",
        ignores("response_format"),
        (
            "schema-kept",
            "schema-kept-stream",
            "schema-ref",
            "schema-nullable",
            "schema-enum",
            "schema-array",
            "json-object-kept",
            "json-object-kept-stream",
        ),
    ),
    Broken(
        "an error in a 200",
        error_in_200,
        ("error-no-messages", "error-unknown-role", "limit-negative", "body-not-json"),
    ),
    Broken(
        "bad requests are 500",
        error_500,
        ("error-unknown-role", "limit-negative", "body-not-json"),
        ("error-no-messages", "error-readable", "http-clean", "answers-after-faults"),
    ),
    Broken("errors are text", error_as_text, ("error-shape", "error-json-type", "error-readable")),
    Broken("the key is echoed", key_echoed, ("auth-key-not-shown", "auth-wrong-key-not-shown")),
    Broken("any key is accepted", any_key, ("auth-wrong-key",)),
    Broken("images are ignored", image_ignored, ("image-looked-at", "image-looked-at-stream")),
    Broken("system messages are ignored", system_ignored, ("answer-system-read",)),
    Broken("earlier turns are ignored", history_ignored, ("answer-history-read",), ("answer-system-read",)),
    Broken("only the first part is read", first_part_only, ("answer-content-parts-read",)),
    Broken(
        "bad requests are answered",
        accepts(400),
        (
            "error-no-messages",
            "error-empty-messages",
            "error-unknown-role",
            "limit-negative",
            "schema-invalid",
            "part-unknown",
        ),
    ),
    Broken("an unknown model is answered", accepts(404), ("error-unknown-model",)),
    Broken(
        "broken JSON closes the connection",
        drops_bad_json,
        ("body-not-json", "body-empty"),
        ("answers-after-faults",),
    ),
    Broken(
        "later answers have no choices",
        no_choices,
        (
            "answer-readable",
            "answer-says-something",
            "answer-content-parts",
            "answer-escaped-prompt",
            "answer-several-turns",
            "answer-system-message",
            "answer-unicode-prompt",
            "concurrent-answers",
            "logprobs-readable",
            "parameter-stream-false",
            "parameter-temperature",
            "tools-accepted",
            "tools-result-turn",
            "cancel-then-ask",
        ),
        wide=True,
    ),
    Broken(
        "streams have no choices", each_chunk(no_choices_in_streams), ("stream-says-something",), wide=True
    ),
    Broken("the list of models is none", models_unlisted, ("models-list-readable",)),
    Broken("headers of the official client are refused", knows_no_vendor_headers, ("header-client-headers",)),
    Broken("header names are taken by their case", wants_exact_headers, ("header-names-any-case",)),
    Broken("the answer to HEAD has a body", head_with_body, ("http-head",)),
    Broken("one choice too many", one_choice_too_many, ("answer-one-choice",)),
)

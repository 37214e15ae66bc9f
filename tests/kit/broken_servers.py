"""The well-behaved server with one fault each, and with oddities that harm nobody.

To add one, write a function that changes the exchange which answers a request, and a row in `BROKEN` with the
probes that exist for it, or in `HARMLESS`. `tests/kit/test_probes.py` drives them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.jsonvalue import Document, as_object, as_objects
from botticelli.kit.cases.formats import OPENAI, Context
from botticelli.kit.cases.script import ByteScript, compile_exchange
from botticelli.kit.server.chat import MODEL, ChatServer
from botticelli.kit.server.recording import Request
from botticelli.kit.server.server import MockServer

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["BROKEN", "HARMLESS", "KEY", "TEXT", "Broken", "serving"]

TEXT = "Gentle rivers carry silver leaves toward the quiet harbour every morning."
KEY = "sk-the-right-key-of-the-tests"


@dataclass
class Asked:
    """One request, and what the well-behaved server would answer.

    Attributes:
        request: As received.
        body: Its JSON, or an empty object.
        exchange: The answer, which may be changed.
        number: How many requests came before it.
    """

    request: Request
    body: Document
    exchange: Document
    number: int

    @property
    def ok(self) -> bool:
        return bool(self.exchange["status"] == 200)

    @property
    def is_chat(self) -> bool:
        return self.request.path.startswith("/v1/chat/completions")

    @property
    def streams(self) -> bool:
        return self.is_chat and self.ok and self.body.get("stream") is True

    @property
    def chunks(self) -> list[Document]:
        """The chunks of a stream, to be changed."""
        pieces = [as_object(piece).get("event") for piece in self.exchange["body"]] if self.streams else []
        return [piece for piece in pieces if isinstance(piece, dict)]

    @property
    def whole(self) -> Document:
        """The body of a whole chat answer, to be changed; empty for any other."""
        return (
            as_object(self.exchange["body"][0]["json"])
            if self.is_chat and self.ok and not self.streams
            else {}
        )

    @property
    def messages(self) -> list[Document]:
        """The messages of a whole answer and the deltas of a stream."""
        choices = [choice for one in (self.whole, *self.chunks) for choice in as_objects(one.get("choices"))]
        return [choice["message" if "message" in choice else "delta"] for choice in choices]

    def say(self, value: Any, status: int = 200) -> None:
        """Answer with JSON."""
        headers = [["Content-Type", "application/json"]]
        self.exchange = {"status": status, "headers": headers, "framing": "length", "body": [{"json": value}]}

    def answer_as(self, **members: Any) -> None:
        """Answer as if the request had other members; None takes one away."""
        body = {name: value for name, value in {**self.body, **members}.items() if value is not None}
        changed = Request(
            self.request.method, self.request.path, self.request.headers, json.dumps(body).encode()
        )
        self.exchange = ChatServer(text=TEXT).answer(changed)


Change: TypeAlias = Callable[[Asked], None]


@dataclass(frozen=True)
class Broken:
    """A server with one fault.

    Attributes:
        name: What is wrong with it.
        change: Changes each answer.
        caught: The probes that exist for it: all must find it.
        also: Other must-probes that may find it too, because they can't but see it.
        wide: It breaks so much that any probe may find it.
    """

    name: str
    change: Change
    caught: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    wide: bool = False


def ignores(*names: str) -> Change:
    """A server that ignores members of a request, as if they weren't there."""

    def change(asked: Asked) -> None:
        if asked.is_chat and set(names) & asked.body.keys():
            asked.answer_as(**dict.fromkeys(names))

    return change


def refuses(name: str, status: int = 400) -> Change:
    """A server that refuses a member honestly."""

    def change(asked: Asked) -> None:
        if asked.is_chat and asked.body.get(name) not in (None, False, 1, []):
            error = {
                "message": f"{name} is not supported",
                "type": "invalid_request_error",
                "param": name,
                "code": None,
            }
            asked.say({"error": error}, status)

    return change


def accepts(*statuses: int) -> Change:
    """A server that answers a plain text where it should refuse."""

    def change(asked: Asked) -> None:
        if asked.is_chat and asked.exchange["status"] in statuses and asked.request.method == "POST":
            plain = {"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}]}
            asked.answer_as(**(dict.fromkeys(asked.body) | plain))

    return change


def each_chunk(do: Callable[[int, Document], None]) -> Change:
    """A server that changes each chunk of a stream."""

    def change(asked: Asked) -> None:
        for number, chunk in enumerate(asked.chunks):
            do(number, chunk)

    return change


def each_message(do: Callable[[Document], None]) -> Change:
    """A server that changes each message and delta."""

    def change(asked: Asked) -> None:
        for message in asked.messages:
            do(message)

    return change


def each_whole(do: Callable[[Document], None]) -> Change:
    """A server that changes each whole answer."""

    def change(asked: Asked) -> None:
        if asked.whole:
            do(asked.whole)

    return change


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


def each_usage(do: Callable[[Document], None]) -> Change:
    def change(asked: Asked) -> None:
        for one in (asked.whole, *asked.chunks):
            if one.get("usage"):
                do(one["usage"])

    return change


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


def busy(asked: Asked) -> None:
    """Answer every third request with 429, and ask to wait."""
    if asked.number % 3 == 1:
        error = {"message": "slow down", "type": "rate_limit", "param": None, "code": "rate_limit_exceeded"}
        asked.say({"error": error}, 429)
        asked.exchange["headers"].append(["Retry-After", "1"])


def drops_bad_json(asked: Asked) -> None:
    if asked.exchange["status"] == 400 and not asked.body:
        asked.exchange = {"end": "close"}


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
    Broken("one choice too many", one_choice_too_many, ("answer-one-choice",)),
)


# Odd, and harmless


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
)


@contextmanager
def serving(
    change: Change | None = None, *, key: str | None = KEY, models: Iterable[str] = (MODEL,)
) -> Generator[str, None, None]:
    """Serve the well-behaved server with a change, and yield its base URL."""
    chat = ChatServer(text=TEXT, key=key, models=tuple(models))
    lock, count = threading.Lock(), iter(range(1_000_000))

    def respond(_index: int, request: Request) -> ByteScript:
        with lock:
            number = next(count)
        exchange = chat.answer(request)
        if change is not None:
            try:
                body = as_object(json.loads(request.body))
            except (ValueError, RecursionError):
                body = {}
            asked = Asked(request, body, exchange, number)
            change(asked)
            exchange = asked.exchange
        return compile_exchange(exchange, Context(OPENAI, "", MODEL), datetime.now(UTC))

    with MockServer() as server:
        listener = server.open(records=False)
        listener.respond(respond)
        yield f"http://127.0.0.1:{listener.port}/v1"
        listener.finish()

"""The well-behaved server with a change to what it answers; for broken servers and odd ones."""

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

__all__ = [
    "KEY",
    "TEXT",
    "Asked",
    "Broken",
    "Change",
    "accepts",
    "each_chunk",
    "each_message",
    "each_usage",
    "each_whole",
    "ignores",
    "refuses",
    "serving",
]

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


def each_usage(do: Callable[[Document], None]) -> Change:
    """A server that changes each usage."""

    def change(asked: Asked) -> None:
        for one in (asked.whole, *asked.chunks):
            if one.get("usage"):
                do(one["usage"])

    return change


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

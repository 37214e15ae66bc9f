"""What adapters for Python clients have in common, so that one is hardly longer than its client's README.

Subclass :class:`ClientAdapter`, or :class:`AsyncClientAdapter` for a client on asyncio: say how a client is
made, how it generates, and which error classes are its own. The rest is here: one client per base URL,
limits, streams and their cancellation, kinds of errors.

The client is judged, not its adapter, so nothing is mended. What a client doesn't show is null. What it
raises beside its own error classes passes through, and is judged as a crash. The raw chunks of a stream are
handed on as they came, for the kit to put together: an adapter for such a client claims ``events``.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from botticelli.contracts.jsonvalue import as_object, as_objects, is_array, is_object
from botticelli.kit.errors import AdapterError
from botticelli.kit.judge.accumulate import read_content

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence

    from botticelli.contracts.jsonvalue import Document

__all__ = [
    "AsyncClientAdapter",
    "ClientAdapter",
    "Limits",
    "body_of",
    "chain_of",
    "chunk_texts",
    "client_options",
    "error_of",
    "http_timeout",
    "import_client",
    "kind_of_status",
    "limits_of",
    "plain",
    "split_body",
    "stream_response",
    "transport_kind",
    "version_of",
    "whole_response",
]

_MESSAGE = 1 << 20  # characters of an error's message that are handed on
_SHOWN = 60  # characters of what a client gave in place of an answer


# The client


def import_client(module: str, requirement: str) -> Any:
    """Import a client, or say how to install it.

    Args:
        module: What to import.
        requirement: What pip installs, such as ``openai``.

    Raises:
        AdapterError: It isn't installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise AdapterError(
            f"{requirement!r} isn't installed ({error}); install it with: pip install '{requirement}'"
        ) from error


def version_of(distribution: str) -> str:
    """Return a client's name and version, such as ``openai 3.57.0``."""
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return distribution


# From a call to a client's arguments


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, in the terms of most HTTP clients; None where the call leaves it to the client."""

    connect: float | None
    pool: float | None
    read: float | None
    """The wait for the head of an answer, and that between two reads: the smaller where a call has both."""
    total: float | None


def limits_of(call: Document) -> Limits:
    """Return the limits that a call sets."""
    limits = as_object(call["options"].get("timeouts"))
    reads = [limits[name] for name in ("first_byte", "idle") if name in limits]
    return Limits(limits.get("connect"), limits.get("pool"), min(reads, default=None), limits.get("total"))


def http_timeout(library: Any, call: Document) -> Any:
    """Return a call's limits as the ``Timeout`` of httpx or httpx2."""
    limits = limits_of(call)
    return library.Timeout(limits.read, connect=limits.connect, pool=limits.pool)


def client_options(library: Any, call: Document) -> dict[str, Any]:
    """Return the call's options as the arguments of an OpenAI client, or of one that was made like it.

    What the call leaves out stays as the client has it.

    Args:
        library: The client's module; its ``Timeout`` is that of httpx.
        call: The call.
    """
    options = call["options"]
    found = {name: options[name] for name in ("max_retries",) if name in options}
    if "timeouts" in options:
        found["timeout"] = http_timeout(library, call)
    if "headers" in options:
        found["default_headers"] = options["headers"]
    return found


def split_body(call: Document, *, stream: bool = False) -> tuple[Document, Document]:
    """Return the members of the body that the format knows, and those of ``extra``, which it doesn't."""
    request: Document = call["request"]
    body = {name: value for name, value in request.items() if name not in ("extra", "stream_usage")}
    body["model"] = call["model"]
    if stream:
        body["stream"] = True
        if "stream_usage" in request:
            body["stream_options"] = {"include_usage": request["stream_usage"]}
    return body, as_object(request.get("extra"))


def body_of(call: Document, *, stream: bool = False) -> Document:
    """Return the whole body of the request, as a client sends it that lets everything through."""
    body, extra = split_body(call, stream=stream)
    return {**body, **extra}


# From what a client hands out to an outcome


def plain(value: object) -> Any:
    """Return an object of the client's as JSON, by its own ``to_dict``; what has no such method, as it is.

    Clients hand out some answers as they came, such as a page of HTML as a text.
    """
    method: Any = getattr(value, "to_dict", None)
    if method is None:
        return value
    return method(**_quiet(getattr(method, "__func__", method)))


@cache
def _quiet(method: Callable[..., Any]) -> dict[str, Any]:
    """Return the argument that silences a `to_dict`: pydantic warns of each member that isn't as declared."""
    try:
        known = signature(method).parameters
    except (TypeError, ValueError):  # of some methods that are written in C
        return {}
    return {"warnings": False} if "warnings" in known else {}


def whole_response(answer: object) -> Document:
    """Return the neutral response for a client that hands out answers in the published shape.

    Args:
        answer: The answer as a JSON object.

    Raises:
        TypeError: It isn't one. A user who reads its choices meets an error of this sort, too.
    """
    if not is_object(answer):
        raise TypeError(f"the client gave {_described(answer)} for an answer")
    return {
        "choices": [_choice(choice) for choice in as_objects(answer.get("choices"))],
        "usage": _usage(answer.get("usage")),
        "id": answer.get("id"),
        "model": answer.get("model"),
    }


def stream_response(chunks: Sequence[object]) -> Document:
    """Return the neutral response for a client that hands out chunks in the published shape.

    Nothing is put together here. Such a client's adapter claims ``events``, and the kit makes the answer.

    Args:
        chunks: The chunks as JSON objects.

    Raises:
        TypeError: One isn't an object. A user who reads its choices meets an error of this sort, too.
    """
    for chunk in chunks:
        if not is_object(chunk):
            raise TypeError(f"the client gave {_described(chunk)} for a chunk")
    return {"events": list(chunks)}


def _cut(text: str) -> str:
    """Shorten a message: some clients list every mistake of an answer, also a hundred thousand of them."""
    return text if len(text) <= _MESSAGE else f"{text[:_MESSAGE]} [... {len(text)} characters]"


def _described(value: object) -> str:
    text = repr(value)
    return f"{text[:_SHOWN]}{'...' if len(text) > _SHOWN else ''} ({type(value).__name__})"


def chunk_texts(chunk: Document) -> list[str]:
    """Return the texts in a chunk of the published shape, without empty ones."""
    deltas = [as_object(choice.get("delta")) for choice in as_objects(chunk.get("choices"))]
    return [text for delta in deltas if (text := delta.get("content"))]


def _choice(choice: Document) -> Document:
    message = as_object(choice.get("message"))
    return {
        "index": choice.get("index"),
        **_spoken(message),
        "finish_reason": None,
        "finish_reason_raw": choice.get("finish_reason"),
        "tool_calls": [_tool_call(call) for call in as_objects(message.get("tool_calls"))],
        "logprobs": choice.get("logprobs"),
    }


def _spoken(message: Document) -> Document:
    """Return what a message says.

    Reasoning has two names on the wire. Some servers send the content in parts; a client that hands those
    out as they came has shown its user all of it.
    """
    content, reasoning = message.get("content"), message.get("reasoning_content")
    if reasoning is None:
        reasoning = message.get("reasoning")
    if is_array(content):
        content, thought = read_content(content)
        reasoning = thought if reasoning is None else reasoning
    return {"text": content, "reasoning": reasoning, "refusal": message.get("refusal")}


def _tool_call(call: Document) -> Document:
    custom = call.get("type") == "custom"
    inner = as_object(call.get("custom" if custom else "function"))
    return {
        "id": call.get("id"),
        "type": call.get("type"),
        "name": inner.get("name"),
        "arguments": inner.get("input" if custom else "arguments"),
    }


def _usage(usage: object) -> Document | None:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: usage.get(name) for name in names} if is_object(usage) else None


# From an exception to an error

_KINDS = {
    401: "authentication",
    402: "credits_exhausted",
    403: "permission_denied",
    404: "not_found",
    408: "server",
    413: "request_too_large",
    429: "rate_limit",
}
_TRANSPORT_KINDS = (
    # Names of classes in httpx, httpx2, requests, urllib3 and aiohttp. The first row with the name of an
    # exception or of one of its bases decides, so the narrow ones come first.
    ("configuration", ("LocalProtocolError", "UnsupportedProtocol", "InvalidURL", "InvalidHeader")),
    ("connect", ("ConnectError", "ConnectionRefusedError", "ClientConnectorError", "NewConnectionError")),
    ("timeout", ("TimeoutException", "TimeoutError", "Timeout")),
    (
        "malformed_response",
        ("DecodingError", "ContentDecodingError", "JSONDecodeError", "UnicodeDecodeError"),
    ),
    ("api", ("TooManyRedirects",)),
    ("connection_lost", ("TransportError", "ConnectionError", "ClientError", "HTTPError")),
)


def kind_of_status(status: int) -> str:
    """Return the kind that a status has, where nothing more is known."""
    if status in _KINDS:
        return _KINDS[status]
    if status >= 500:
        return "server"
    return "invalid_request" if status >= 400 else "api"


def transport_kind(error: BaseException) -> str | None:
    """Return the kind of what went wrong below a client, or None where nothing below it did.

    Clients wrap the errors of their HTTP library. Those are found by ``__cause__`` and ``__context__``.
    """
    for link in chain_of(error):
        names = {base.__name__ for base in type(link).__mro__}
        for kind, known in _TRANSPORT_KINDS:
            if names.intersection(known):
                return kind
    return None


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it came of."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        yield link
        link = link.__cause__ or link.__context__


# openai's client, and those made like it, raise the base class itself for an error inside of a stream.
_BY_NAME = {"APIError": "stream_error"}


def error_of(error: BaseException, kind: str | None = None) -> Document:
    """Return an exception as a neutral error, from what most clients' classes have.

    Args:
        error: The exception.
        kind: Its kind, where its class says that. Else the status decides, then what went wrong below the
            client, then the class; what is left can only be an answer that couldn't be read.
    """
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        status = getattr(getattr(error, "response", None), "status_code", None)
    if not isinstance(status, int):
        status = None
    by_status = kind_of_status(status) if status is not None and not 200 <= status < 300 else None
    by_name = _BY_NAME.get(type(error).__name__)
    return {
        "kind": kind or by_status or transport_kind(error) or by_name or "malformed_response",
        "message": _cut(str(error)),
        "status": status,
    }


# Adapters


class _Clients:
    """One client for all calls with the same base URL, and with it its connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Any] = {}

    def of(self, call: Document, connect: Callable[[Document], Any]) -> Any:
        place = call["base_url"]
        with self._lock:
            if place not in self._open:
                self._open[place] = connect(call)
            return self._open[place]

    def take(self, base_url: str | None = None) -> list[Any]:
        """Return the client of one base URL, or all of them, for the caller to close."""
        with self._lock:
            places = [place for place in self._open if base_url in (None, place)]
            return [self._open.pop(place) for place in places]


class _Shown:
    """What both sorts of adapters are told about a client.

    A client that puts its streams together itself needs ``texts`` and ``streamed`` of its own. Of one that
    claims ``events`` the chunks are handed on.

    Attributes:
        capabilities: What the client can do, in the words of case.schema.json.
        errors: The client's own error classes. Any other exception is judged as a crash.
        version: The client's name and version.
    """

    capabilities: ClassVar[frozenset[str]]
    errors: tuple[type[BaseException], ...] = ()
    version: str = ""

    def __init__(self) -> None:
        self._clients = _Clients()

    def error(self, error: BaseException) -> Document:
        """Return one of the client's errors in neutral form."""
        return error_of(error)

    def texts(self, chunk: Any) -> list[str]:
        """Return the texts that a loop over the stream prints for a chunk."""
        return chunk_texts(chunk)

    def streamed(self, chunks: list[Any]) -> Document:
        """Return the neutral response of a whole stream."""
        return stream_response(chunks)

    def _partial(self, chunks: list[Any]) -> Document:
        if "events" in self.capabilities:
            return {"partial_events": stream_response(chunks)["events"]}
        return {"partial_chunks": [text for chunk in chunks for text in self.texts(chunk)]}


def _without(adapter: object, operation: str) -> AdapterError:
    """Return the error for an operation that an adapter claims and has no method for."""
    name = type(adapter).__name__
    return AdapterError(
        f"{name} claims {operation!r} and has no method {operation}; write it, or drop the word"
    )


class ClientAdapter(_Shown, ABC):
    """Adapt a synchronous client. Its stream can be left between two chunks, and no call cancelled."""

    @abstractmethod
    def connect(self, call: Document) -> Any:
        """Return a client that is configured as a call says."""

    def disconnect(self, client: Any) -> None:
        """Close a client."""
        client.close()

    @abstractmethod
    def generate(self, client: Any, call: Document) -> Document:
        """Make the call and return the neutral response."""

    def stream(self, client: Any, call: Document) -> Generator[Any, None, None]:  # noqa: ARG002 -- for subclasses
        """Yield the chunks as the client hands them out; closing the generator leaves the stream."""
        raise _without(self, "stream")

    def models(self, client: Any) -> list[str]:  # noqa: ARG002 -- for subclasses
        """Return the ids of the models."""
        raise _without(self, "models")

    def exchange(self, call: Document) -> Document:
        """Make the call and return its outcome."""
        chunks: list[Any] = []
        try:
            return self._outcome(call, chunks)
        except self.errors as error:
            return {"error": self.error(error), **self._partial(chunks)}
        finally:
            if call["last"]:
                self._close(call["base_url"])

    def close(self) -> None:
        """Close the clients that are left."""
        self._close()

    def _close(self, base_url: str | None = None) -> None:
        for client in self._clients.take(base_url):
            self.disconnect(client)

    def _outcome(self, call: Document, chunks: list[Any]) -> Document:
        leave = as_object(call.get("cancel_after"))
        if "seconds" in leave:
            return {"unsupported": "a synchronous call can't be cancelled"}
        client = self._clients.of(call, self.connect)
        match call["operation"]:
            case "models":
                return {"models": self.models(client)}
            case "generate":
                return {"response": self.generate(client, call)}
            case _:
                with closing(self.stream(client, call)) as stream:
                    for chunk in stream:
                        chunks.append(chunk)
                        if len(chunks) == leave.get("chunks"):
                            return {"cancelled": True, **self._partial(chunks)}
                return {"response": self.streamed(chunks)}


class AsyncClientAdapter(_Shown, ABC):
    """Adapt a client on asyncio. Any call can be cancelled: claim ``cancel_any_time``."""

    @abstractmethod
    def connect(self, call: Document) -> Any:
        """Return a client that is configured as a call says."""

    async def disconnect(self, client: Any) -> None:
        """Close a client."""
        await client.close()

    @abstractmethod
    async def generate(self, client: Any, call: Document) -> Document:
        """Make the call and return the neutral response."""

    def stream(self, client: Any, call: Document) -> AsyncGenerator[Any, None]:  # noqa: ARG002 -- for subclasses
        """Yield the chunks as the client hands them out; closing the generator leaves the stream."""
        raise _without(self, "stream")

    async def models(self, client: Any) -> list[str]:  # noqa: ARG002 -- for subclasses
        """Return the ids of the models."""
        raise _without(self, "models")

    async def exchange(self, call: Document) -> Document:
        """Make the call and return its outcome."""
        chunks: list[Any] = []
        limit = asyncio.timeout(as_object(call.get("cancel_after")).get("seconds"))
        try:
            async with limit:
                return await self._outcome(call, chunks)
        except self.errors as error:
            return {"error": self.error(error), **self._partial(chunks)}
        except TimeoutError:
            if not limit.expired():  # the client's own, which is a crash
                raise
            return {"cancelled": True, **self._partial(chunks)}
        finally:
            if call["last"]:
                await self._close(call["base_url"])

    async def close(self) -> None:
        """Close the clients that are left."""
        await self._close()

    async def _close(self, base_url: str | None = None) -> None:
        for client in self._clients.take(base_url):
            await self.disconnect(client)

    async def _outcome(self, call: Document, chunks: list[Any]) -> Document:
        client = self._clients.of(call, self.connect)
        match call["operation"]:
            case "models":
                return {"models": await self.models(client)}
            case "generate":
                return {"response": await self.generate(client, call)}
            case _:
                leave = as_object(call.get("cancel_after")).get("chunks")
                async with aclosing(self.stream(client, call)) as stream:
                    async for chunk in stream:
                        chunks.append(chunk)
                        if len(chunks) == leave:
                            return {"cancelled": True, **self._partial(chunks)}
                return {"response": self.streamed(chunks)}

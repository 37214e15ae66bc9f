"""A small client of the OpenAI chat format, written apart from the driver, to try the judge on.

It uses the standard library alone. Each mutant (mutants.py) is this client with one thing done wrong, so that
whatever the judge then reports can only come from that thing. It isn't meant for use: one connection per
call, no pool, and no more repair of odd answers than the mutants' cases need.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botticelli.contracts.jsonvalue import Document, as_object, as_objects, is_array, is_object

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

__all__ = ["Answer", "AnswerReader", "Choice", "Connection", "FailedError", "LeftError", "ReferenceClient"]

KINDS = {
    400: "invalid_request",
    401: "authentication",
    402: "credits_exhausted",
    403: "permission_denied",
    404: "not_found",
    405: "invalid_request",
    408: "server",
    409: "invalid_request",
    413: "request_too_large",
    422: "invalid_request",
    429: "rate_limit",
}
FINISH = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filter",
}
LONGEST_LINE = 1 << 24
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


# From the bytes of an answer to a neutral response


class FailedError(Exception):
    """A call failed; ``error`` is the neutral error."""

    def __init__(self, kind: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.error: Document = {"kind": kind, "message": message, **data}


class LeftError(Exception):
    """The caller left the stream."""


@dataclass
class Choice:
    """One choice so far."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish: object = None
    tools: list[Document] = field(default_factory=list[Document])
    logprobs: dict[str, list[Any]] | None = None

    def neutral(self, index: int) -> Document:
        """Return it as a neutral choice."""
        word = FINISH.get(self.finish, "other") if isinstance(self.finish, str) else "other"
        names = ("id", "type", "name", "arguments")
        return {
            "index": index,
            "text": self.text,
            "reasoning": self.reasoning or None,
            "refusal": self.refusal or None,
            "finish_reason": word,
            "finish_reason_raw": self.finish,
            "tool_calls": [{name: tool[name] for name in names} for tool in self.tools],
            "content": self.blocks(),
            "logprobs": self.logprobs,
        }

    def blocks(self) -> list[Document]:
        """Return it as neutral blocks, in the usual order of this format."""
        texts = [("reasoning", self.reasoning), ("text", self.text), ("refusal", self.refusal)]
        found: list[Document] = [{"type": kind, "text": text} for kind, text in texts if text]
        return [*found, {"type": "tool_calls", "count": len(self.tools)}] if self.tools else found


@dataclass
class Answer:
    """What has been read of an answer so far."""

    n: int = 1
    choices: dict[int, Choice] = field(default_factory=dict[int, Choice])
    usage: Document | None = None
    id: object = None
    model: object = None
    chunks: list[str] = field(default_factory=list[str])
    done: bool = False

    def response(self) -> Document:
        """Return it as a neutral response."""
        choices = [self.choices[index].neutral(index) for index in sorted(self.choices)]
        return {"choices": choices, "usage": self.usage, "id": self.id, "model": self.model}


class AnswerReader:
    """Read answers. Mutants override its methods."""

    def parsed(self, text: bytes | str) -> Any:
        """Return the JSON value of an answer or event."""
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
            raise FailedError("malformed_response", f"not JSON: {shown[:200]}") from error

    def message(self, value: object) -> str | None:
        """Return the message of a JSON error, whatever its envelope."""
        if isinstance(value, str):
            return value
        if is_array(value):
            return "; ".join(filter(None, map(self.message, value)))
        for name in ("error", "errors", "detail", "message", "msg"):
            if is_object(value) and (found := self.message(value.get(name))):
                return found
        return None

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that came in one piece."""
        if not body.strip():
            raise FailedError("empty_response", "an empty answer")
        value = self.parsed(body)
        if not is_object(value):
            raise FailedError("malformed_response", "an answer that is not an object")
        self.refuse_error(value)
        for choice in as_objects(value.get("choices")):
            self.take_choice(answer, {**choice, "delta": choice.get("message")})
        self.take_rest(answer, value)
        if not answer.choices:
            raise FailedError("empty_response", "no choice")

    def stream(self, pieces: Iterator[bytes], answer: Answer, leave_after: int | None) -> None:
        """Read an answer that comes in events."""
        for data in self.events(self.lines(pieces)):
            if self.is_done(data):
                answer.done = True
                break
            if data.strip() not in ("", "null"):
                self.take(answer, self.parsed(data))
            if leave_after is not None and len(answer.chunks) >= leave_after:
                raise LeftError
        self.end(answer)

    def is_done(self, data: str) -> bool:
        """Tell whether an event is the last one."""
        return data.strip() == "[DONE]"

    def end(self, answer: Answer) -> None:
        """Check that a stream ended with its end."""
        if not answer.done and not any(choice.finish for choice in answer.choices.values()):
            raise FailedError("stream_truncated", "the stream ended in the middle")
        if not answer.choices:
            raise FailedError("empty_response", "no choice")

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Yield the lines of an event stream, which end with CR, LF or CRLF."""
        rest, first, half = bytearray(), True, False
        for piece in pieces:
            # A CR at the end of a read ends its line at once; an LF that comes with the next read is its own.
            more = piece.removeprefix(b"\n") if half else piece
            half = more.endswith(b"\r")
            rest += more
            if len(rest) > LONGEST_LINE:
                raise FailedError("malformed_response", f"a line of more than {LONGEST_LINE} bytes")
            if b"\n" not in more and b"\r" not in more:
                continue
            *lines, tail = re.split(rb"\r\n|\r|\n", rest)
            rest = bytearray(tail)
            for line in lines:
                text = line.decode("utf-8", "replace")
                yield text.removeprefix("\ufeff") if first else text
                first = False

    def events(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield the data of each event."""
        data: list[str] = []
        for line in lines:
            name, value = self.field(line)
            if name == "data":
                data.append(value)
            if not line and data:
                yield "\n".join(data)
                data = []

    def field(self, line: str) -> tuple[str, str]:
        """Return the name and the value of a line."""
        name, _, value = line.partition(":")
        return name, value.removeprefix(" ")

    def take(self, answer: Answer, event: object) -> None:
        """Add one event to the answer."""
        if not is_object(event):
            raise FailedError("malformed_response", f"an event that is not an object: {event!r}")
        self.refuse_error(event)
        for choice in as_objects(event.get("choices")):
            self.take_choice(answer, choice)
        self.take_rest(answer, event)

    def refuse_error(self, value: Document) -> None:
        """Raise the error that a 200 contains, if there is one."""
        if value.get("error"):
            message = self.message(value) or "an error in a good answer"
            raise FailedError("stream_error", message, code=as_object(value["error"]).get("code"))

    def take_rest(self, answer: Answer, event: Document) -> None:
        """Add what an event holds beside its choices."""
        if is_object(event.get("usage")):
            self.take_usage(answer, event["usage"])
        answer.id = answer.id or event.get("id")
        answer.model = answer.model or event.get("model")

    def take_usage(self, answer: Answer, usage: Document) -> None:
        """Add a usage; the last one counts."""
        answer.usage = {name: usage.get(name) for name in _COUNTS}

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Add one choice of an event, or of a whole answer."""
        choice = answer.choices.setdefault(self.choice_index(event), Choice())
        delta = as_object(event.get("delta"))
        self.take_text(answer, choice, delta.get("content") or "")
        self.take_reasoning(choice, delta)
        choice.refusal += delta.get("refusal") or ""
        for tool in as_objects(delta.get("tool_calls")):
            self.take_tool(choice.tools, tool)
        self.take_finish(choice, event.get("finish_reason"))
        self.take_logprobs(choice, as_object(event.get("logprobs")))

    def choice_index(self, event: Document) -> int:
        """Return the index of a choice."""
        return int(event.get("index", 0))

    def take_text(self, answer: Answer, choice: Choice, text: str) -> None:
        """Add text; an empty text makes no chunk."""
        choice.text += text
        if text and self.is_delivered(answer, choice):
            answer.chunks.append(text)

    def is_delivered(self, answer: Answer, choice: Choice) -> bool:
        """Tell whether a choice is one that the user asked for."""
        return answer.n > 1 or choice is answer.choices.get(0)

    def take_reasoning(self, choice: Choice, delta: Document) -> None:
        """Add reasoning, under either of its names, once."""
        choice.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""

    def take_finish(self, choice: Choice, word: object) -> None:
        """Add a finish reason; the last one that isn't null counts."""
        choice.finish = word or choice.finish

    def take_logprobs(self, choice: Choice, logprobs: Document) -> None:
        """Add the tokens' log probabilities."""
        for name in ("content", "refusal"):
            if is_array(logprobs.get(name)):
                known = choice.logprobs or {}
                choice.logprobs = {**known, name: [*known.get(name, ()), *logprobs[name]]}

    def tool_at(self, tools: list[Document], fragment: Document) -> Document | None:
        """Return the tool call that a fragment belongs to, if it has begun."""
        index, name = fragment.get("index"), fragment.get("id")
        if index is not None:
            tool = next((tool for tool in reversed(tools) if tool["index"] == index), None)
            # Some servers give every call the same index; another call has a name and an id of its own.
            named = as_object(fragment.get("function")).get("name")
            another = tool is not None and name and named and tool["id"] not in (None, name)
            return None if another else tool
        if name:
            return next((tool for tool in tools if tool["id"] == name), None)
        return tools[-1] if tools else None

    def new_tool(self, fragment: Document) -> Document:
        """Return a new tool call for its first fragment."""
        names = {"index": fragment.get("index"), "id": fragment.get("id")}
        return {**names, "type": fragment.get("type") or "function", "name": "", "arguments": ""}

    def take_tool(self, tools: list[Document], fragment: Document) -> None:
        """Add a fragment of a tool call to its call."""
        tool = self.tool_at(tools, fragment)
        if tool is None:
            tool = self.new_tool(fragment)
            tools.append(tool)
        function = as_object(fragment.get("function") or fragment.get("custom"))
        if function.get("name") != tool["name"]:  # some servers repeat it
            tool["name"] += function.get("name") or ""
        tool["arguments"] += function.get("arguments") or function.get("input") or ""


# From a neutral call to a request


class Connection:
    """One connection for one call.

    ``socket`` is stored because http.client drops it when the answer ends the connection, and ``phase``
    because a timeout doesn't say which one it was.
    """

    def __init__(self, host: str, port: int | None, limits: Mapping[str, float]) -> None:
        self.http = http.client.HTTPConnection(host, port, timeout=limits.get("connect", 5))
        self.limits = limits
        self.phase = "connect"
        self.socket: socket.socket | None = None

    def open(self) -> None:
        """Connect."""
        self.http.connect()
        self.socket = self.http.sock

    def enter(self, phase: str) -> None:
        """Begin a phase and set its limit."""
        self.phase = phase
        if self.socket is not None:
            self.socket.settimeout(self.limits.get(phase, 5))


class ReferenceClient(AnswerReader):
    """The client and its adapter in one. Mutants override its methods."""

    capabilities = frozenset(
        {"generate", "stream", "models", "tools", "n", "logprobs", "reasoning", "refusal"}
        | {"structured_output", "stream_usage", "extra", "headers", "anonymous"}
        | {"vision", "audio", "files"}
        | {"retry", "max_retry_after", "attempts", "code", "retry_after", "partial", "phase"}
        | {"connect_timeout", "first_byte_timeout", "idle_timeout"}
        | {"assembles", "finish_words", "cancel", "content", "raw_arguments"}
    )

    def exchange(self, call: Document) -> Document:
        """Make a neutral call."""
        attempt = 1
        while True:
            answer = Answer(n=call.get("request", {}).get("n") or 1)
            try:
                return self.attempt(call, answer)
            except LeftError:
                return {"cancelled": True, "partial_chunks": answer.chunks}
            except FailedError as failed:
                delay = self.delay(call, answer, attempt, failed.error)
                if delay is None:
                    return self.failure(failed.error, answer, attempt)
                time.sleep(delay)
                attempt += 1

    def failure(self, error: Document, answer: Answer, attempt: int) -> Document:
        """Return the outcome of a call that failed."""
        public = {key: value for key, value in error.items() if key != "retriable"}
        partial = answer.response() if answer.choices else None
        return {
            "error": {"attempts": attempt, "partial": partial, **public},
            "partial_chunks": answer.chunks,
        }

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Return the seconds to wait before another attempt, or None for no further attempt."""
        options: Document = call["options"]
        if answer.chunks or attempt > options.get("max_retries", 0) or not error.get("retriable"):
            return None
        asked: float | None = error.get("retry_after")
        if asked is not None and asked > options.get("max_retry_after", 60):
            return None
        backoff: float = options.get("backoff", 0.01)
        return asked or backoff * 2 ** (attempt - 1)

    def attempt(self, call: Document, answer: Answer) -> Document:
        """Make one request and read its answer."""
        url = urlsplit(str(call["base_url"]))
        limits = call["options"].get("timeouts", {})
        connection = self.connection(url.hostname or "", url.port, limits)
        try:
            return self.converse(call, connection, url.path.rstrip("/"), answer)
        except TimeoutError as error:
            phase = connection.phase
            raise FailedError("timeout", "the server is silent", phase=phase) from error
        except ConnectionRefusedError as error:
            raise FailedError("connect", f"no connection: {error}", retriable=True) from error
        except (http.client.HTTPException, OSError) as error:
            raise FailedError("connection_lost", f"lost: {error!r}", retriable=True) from error
        finally:
            self.leave(connection)

    def connection(self, host: str, port: int | None, limits: Mapping[str, float]) -> Connection:
        """Return the connection for a request."""
        return Connection(host, port, limits)

    def leave(self, connection: Connection) -> None:
        """Close the connection."""
        connection.http.close()

    def converse(self, call: Document, connection: Connection, path: str, answer: Answer) -> Document:
        """Send the request on a connection, read the answer."""
        connection.open()
        connection.enter("first_byte")
        models = call["operation"] == "models"
        connection.http.request(
            "GET" if models else "POST",
            path + ("/models" if models else "/chat/completions"),
            None if models else self.encoded(self.body(call)),
            self.headers(call),
        )
        reply = self.final(connection.http.getresponse())
        connection.enter("idle")
        if not self.succeeded(reply.status):
            raise self.error_from_response(call, reply.status, dict(reply.getheaders()), reply.read())
        if models:
            return {"models": self.models(self.parsed(reply.read()))}
        if self.is_stream(call, reply):
            leave_after = call.get("cancel_after", {}).get("chunks")
            self.stream(self.pieces(reply), answer, leave_after)
        else:
            self.whole(reply.read(), answer)
        response = answer.response()
        if call["operation"] == "stream":
            response |= {"chunks": answer.chunks, "final_chunks": 1}
        return {"response": response}

    def final(self, reply: http.client.HTTPResponse) -> http.client.HTTPResponse:
        """Return the final answer; interim ones come before it."""
        while 100 <= reply.status < 200:
            again: Any = reply  # the library passes over a 100 and no other
            again.headers = None
            again.begin()
        return reply

    def is_stream(self, _call: Document, reply: http.client.HTTPResponse) -> bool:
        """Tell whether an answer comes in events."""
        return "text/event-stream" in (reply.getheader("content-type") or "").lower()

    def succeeded(self, status: int) -> bool:
        """Tell whether a status is a success."""
        return 200 <= status < 300

    def pieces(self, reply: http.client.HTTPResponse) -> Iterator[bytes]:
        """Yield the body as it comes."""
        while piece := reply.read1(65536):
            yield piece

    def headers(self, call: Document) -> dict[str, str]:
        """Return the headers of the request."""
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if call["api_key"] is not None:
            headers["Authorization"] = f"Bearer {self.key(call['api_key'])}"
        options: Document = call["options"]
        added: dict[str, str] = options.get("headers", {})
        return headers | added

    def key(self, key: str) -> str:
        """Return a key as it can be sent; the space around it is a file's."""
        key = key.strip()
        if not (key.isascii() and key.isprintable()):
            raise FailedError("configuration", "the key holds characters that no header can")
        return key

    def encoded(self, body: Document) -> bytes:
        """Return the bytes of a body. Half a surrogate pair is no character."""
        return re.sub("[\ud800-\udfff]", "\ufffd", json.dumps(body, ensure_ascii=False)).encode()

    def body(self, call: Document) -> Document:
        """Return the body of the request."""
        request: Document = dict(call["request"])
        extra, usage = request.pop("extra", {}), request.pop("stream_usage", False)
        body: Document = {"model": call["model"], **extra, **request}
        if call["operation"] == "stream":
            body["stream"] = True
            if usage:
                body["stream_options"] = {"include_usage": True}
        return body

    def error_from_response(
        self, call: Document, status: int, headers: dict[str, str], body: bytes
    ) -> FailedError:
        """Return the error for a status other than 2xx."""
        low = {name.lower(): value for name, value in headers.items()}
        should = low.get("x-should-retry")
        retriable = status in (408, 409, 429) or status >= 500
        return FailedError(
            self.kind(status, body),
            self.without_key(call, self.error_message(body))[:2000] or f"status {status}",
            status=status,
            code=self.code(body),
            retry_after=self.retry_after(low),
            retriable=should == "true" if should else retriable,
        )

    def without_key(self, call: Document, text: str) -> str:
        """Blank the key in a server's words, which may repeat it."""
        return text.replace(call["api_key"], "[key]") if call["api_key"] else text

    def code(self, body: bytes) -> object:
        """Return the code in a standard envelope, if there is one."""
        try:
            return as_object(as_object(json.loads(body)).get("error")).get("code")
        except (ValueError, RecursionError):
            return None

    def kind(self, status: int, _body: bytes) -> str:
        """Return the kind of error for a status."""
        return KINDS.get(status, "server" if status >= 500 else "api")

    def error_message(self, body: bytes) -> str:
        """Return the message of an error body."""
        try:
            return self.message(json.loads(body)) or ""
        except (ValueError, RecursionError):
            return body.decode("utf-8", "replace")

    def retry_after(self, headers: dict[str, str]) -> float | None:
        """Return the seconds that the server asks to wait."""
        try:
            if "retry-after-ms" in headers:
                return float(headers["retry-after-ms"]) / 1000
            text = headers.get("retry-after", "")
            if re.fullmatch(r"\d+(\.\d+)?", text):
                return float(text)
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except ValueError:
            return None

    def models(self, value: object) -> list[str]:
        """Return the ids in a list of models."""
        listed: object = (value.get("data") or []) if is_object(value) else value
        if not is_array(listed) or (is_object(value) and "error" in value):
            raise FailedError("malformed_response", self.message(value) or "no list")
        return [str(model["id"]) for model in as_objects(listed)]

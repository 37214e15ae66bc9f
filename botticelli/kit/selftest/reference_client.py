"""A small client of the chat format, written apart from the driver, to try the judge on.

May enter: the standard library alone. It is the measure for broken.py: each broken driver is this
one with one thing done wrong, so that what the judge then says can only come from that thing.
It is not meant for use: one connection per call, no pool, no repair of odd answers beyond what
the cases of broken.py need.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botticelli.contracts.jsonvalue import Document, as_object, as_objects, is_array, is_object
from botticelli.kit.selftest.naive_answer import Answer, AnswerReader, FailedError, LeftError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

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


class Connection:
    """One connection for one call.

    ``socket`` is kept because http.client lets go of it when the answer ends the connection, and
    ``phase`` because a timeout does not say which one it was.
    """

    def __init__(self, host: str, port: int | None, limits: Mapping[str, float]) -> None:
        self.http = http.client.HTTPConnection(host, port, timeout=limits.get("connect", 5))
        self.limits = limits
        self.phase = "connect"
        self.socket: socket.socket | None = None

    def enter(self, phase: str) -> None:
        """Begin a phase and set its limit."""
        self.phase = phase
        if self.socket is not None:
            self.socket.settimeout(self.limits.get(phase, 5))


class ReferenceClient(AnswerReader):
    """The client, behind the adapter; its methods are the places where broken.py breaks it."""

    capabilities = frozenset(
        {"generate", "stream", "models", "tools", "n", "logprobs", "reasoning", "refusal"}
        | {"structured_output", "stream_usage", "extra", "headers", "anonymous"}
        | {"retry", "attempts", "timeouts", "phase", "cancel"}
    )

    def exchange(self, call: Document) -> Document:
        """Make a neutral call."""
        attempt = 1
        while True:
            answer = Answer()
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
        told = {key: value for key, value in error.items() if key != "retriable"}
        partial = answer.response() if answer.choices else None
        return {
            "error": {"attempts": attempt, "partial": partial, **told},
            "partial_chunks": answer.chunks,
        }

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Return the seconds to wait before another attempt, or None."""
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
        connection = Connection(url.hostname or "", url.port, limits)
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

    def leave(self, connection: Connection) -> None:
        """Close the connection."""
        connection.http.close()

    def converse(self, call: Document, connection: Connection, path: str, answer: Answer) -> Document:
        """Send the request on a connection, read the answer."""
        connection.http.connect()
        connection.socket = connection.http.sock
        connection.enter("first_byte")
        models = call["operation"] == "models"
        connection.http.request(
            "GET" if models else "POST",
            path + ("/models" if models else "/chat/completions"),
            None if models else json.dumps(self.body(call)).encode(),
            self.headers(call),
        )
        reply = connection.http.getresponse()
        connection.enter("idle")
        if not self.succeeded(reply.status):
            raise self.refusal(call, reply.status, dict(reply.getheaders()), reply.read())
        if models:
            return {"models": self.models(self.parsed(reply.read()))}
        if "text/event-stream" in (reply.getheader("content-type") or ""):
            leave_after = call.get("cancel_after", {}).get("chunks")
            self.stream(self.pieces(reply), answer, leave_after)
        else:
            self.whole(reply.read(), answer)
        response = answer.response()
        if call["operation"] == "stream":
            response |= {"chunks": answer.chunks, "final_chunks": 1}
        return {"response": response}

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
            headers["Authorization"] = f"Bearer {call['api_key']}"
        options: Document = call["options"]
        added: dict[str, str] = options.get("headers", {})
        return headers | added

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

    def refusal(self, call: Document, status: int, headers: dict[str, str], body: bytes) -> FailedError:
        """Return the error that a status other than 2xx is."""
        low = {name.lower(): value for name, value in headers.items()}
        should = low.get("x-should-retry")
        retriable = status in (408, 409, 429) or status >= 500
        return FailedError(
            self.kind(status, body),
            self.without_key(call, self.said(body))[:2000] or f"status {status}",
            status=status,
            code=self.code(body),
            retry_after=self.retry_after(low),
            retriable=should == "true" if should else retriable,
        )

    def without_key(self, call: Document, text: str) -> str:
        """Return what the server says without the key that it may repeat."""
        return text.replace(call["api_key"], "[key]") if call["api_key"] else text

    def code(self, body: bytes) -> object:
        """Return the code of a standard envelope, if it is one."""
        try:
            return as_object(as_object(json.loads(body)).get("error")).get("code")
        except (ValueError, RecursionError):
            return None

    def kind(self, status: int, _body: bytes) -> str:
        """Return the kind of error that a status is."""
        return KINDS.get(status, "server" if status >= 500 else "api")

    def said(self, body: bytes) -> str:
        """Return what an error body says."""
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

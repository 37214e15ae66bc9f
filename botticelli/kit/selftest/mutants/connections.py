"""Mutants that handle connections, limits or cancellation in a wrong way, or answer from memory."""

from __future__ import annotations

import http.client
import io
import json
import socket
import sys
from typing import TYPE_CHECKING, Any, Self

from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import (
    Answer,
    Choice,
    Connection,
    FailedError,
    LeftError,
    ReferenceClient,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botticelli.contracts.jsonvalue import Document


# Connections


@killed_by({"connection-early-hints": (Gravity.REFUSED, "")})
class KnowsNoInterim(ReferenceClient):
    """Takes an interim answer for the answer."""

    def final(self, reply: http.client.HTTPResponse) -> http.client.HTTPResponse:
        """Return the first one."""
        return reply


@killed_by({"connection-close-delimited": (Gravity.REFUSED, "/calls/0")})
class NeedsLength(ReferenceClient):
    """Takes a body without a length for an empty one."""

    def final(self, reply: http.client.HTTPResponse) -> http.client.HTTPResponse:
        """Give it the length 0."""
        last = super().final(reply)
        if last.length is None and not last.chunked:
            last.length = 0
        return last


@killed_by({"connection-refused": (Gravity.IMPRECISE, "/calls/0/error/kind")})
class TakesRefusalForLoss(ReferenceClient):
    """Says that the connection was lost where none was made."""

    def attempt(self, call: Document, answer: Answer) -> Document:
        """Replace the kind."""
        try:
            return super().attempt(call, answer)
        except FailedError as failed:
            if failed.error["kind"] != "connect":
                raise
            raise FailedError("api", "the connection was lost", retriable=True) from failed


@killed_by(
    {
        "connection-lost-before-answer": (Gravity.CRASH, "/calls/0"),
        "connection-not-http": (Gravity.CRASH, "/calls/0"),
    }
)
class LetsLibraryErrorsOut(ReferenceClient):
    """Lets the exceptions of its HTTP library out as they are."""

    def converse(self, call: Document, connection: Connection, path: str, answer: Answer) -> Document:
        """Hide them from what would catch them."""
        try:
            return super().converse(call, connection, path, answer)
        except (http.client.HTTPException, ConnectionError) as error:
            if isinstance(error, ConnectionRefusedError):
                raise
            raise RuntimeError(repr(error)) from error


@killed_by({"connection-lost-before-answer": (Gravity.IMPRECISE, "/calls/0/error/kind")})
class TakesLossForSilence(ReferenceClient):
    """Says that the answer was empty when the connection goes without one."""

    def attempt(self, call: Document, answer: Answer) -> Document:
        """Replace the kind."""
        try:
            return super().attempt(call, answer)
        except FailedError as failed:
            if failed.error["kind"] != "connection_lost" or answer.choices:
                raise
            raise FailedError("empty_response", "an empty answer", retriable=True) from failed


# Limits


@killed_by({"timeout-idle-after-text": (Gravity.HANG, "")})
class WaitsForEver(ReferenceClient):
    """Has a limit for the head of the answer and none for the rest.

    Reported as earendil-works/pi#7954 and earendil-works/pi#7959.
    """

    def converse(self, call: Document, connection: Connection, path: str, answer: Answer) -> Document:
        """Lift the limit between two reads."""
        connection.limits = {**connection.limits, "idle": 3600.0}
        return super().converse(call, connection, path, answer)


@killed_by(
    {
        "timeout-idle-whole-answer": (Gravity.IMPRECISE, "/error/phase"),
        "timeout-then-next-call": (Gravity.IMPRECISE, "/calls/0/error/phase"),
    }
)
class HasNoPhases(ReferenceClient):
    """Says of every limit that it was the first byte's.

    Reported as earendil-works/pi#7954 and earendil-works/pi#7959.
    """

    def failure(self, error: Document, answer: Answer, attempt: int) -> Document:
        """Replace the phase."""
        phase = {"phase": "first_byte"} if error.get("phase") else {}
        return super().failure({**error, **phase}, answer, attempt)


@killed_by({"timeout-idle-whole-answer": (Gravity.SILENT, "")})
class GivesWhatCameInTime(ReferenceClient):
    """Gives an empty answer when a whole one doesn't come in time.

    Reported as earendil-works/pi#7954 and earendil-works/pi#7959.
    """

    def exchange(self, call: Document) -> Document:
        """Hide the error."""
        outcome = super().exchange(call)
        if outcome.get("error", {}).get("phase") == "idle" and call["operation"] == "generate":
            return {"response": Answer(choices={0: Choice(finish="stop")}).response()}
        return outcome


# Cancellation


@killed_by(
    {
        "cancel-stream-closes-connection": (Gravity.IMPRECISE, "/requests/0/connection"),
        "timeout-idle-after-text": (Gravity.IMPRECISE, "/requests/0/connection"),
    }
)
class StaysConnected(ReferenceClient):
    """Leaves the connection to the garbage collector when the caller leaves."""

    def __init__(self) -> None:
        self._open: list[Connection] = []

    def leave(self, connection: Connection) -> None:
        """Leave the connection open."""
        self._open.append(connection)

    def close(self) -> None:
        """Close the connections at the end."""
        for connection in self._open:
            super().leave(connection)


@killed_by({"cancel-stream-that-goes-on": (Gravity.IMPRECISE, "/requests/0/connection")})
class ReadsOnWhenLeft(ReferenceClient):
    """Reads a stream that was left to its end, so that its connection can be used again."""

    def stream(self, pieces: Iterator[bytes], answer: Answer, leave_after: int | None) -> None:
        """Read on before leaving."""
        try:
            super().stream(pieces, answer, leave_after)
        except LeftError:
            for _ in pieces:
                pass
            raise


# Answers that weren't asked for, or more than once


@killed_by(
    {
        "connection-framings-in-turn": (Gravity.SILENT, "/requests/count"),
        "connection-bytes-beyond-answer": (Gravity.SILENT, "/calls/1/response/choices/0/text"),
        "connection-bytes-beyond-line": (Gravity.SILENT, "/calls/1/response/choices/0/text"),
    }
)
class AnswersFromMemory(ReferenceClient):
    """Answers a repeated call from memory."""

    def __init__(self) -> None:
        self._answers: dict[str, Document] = {}

    def exchange(self, call: Document) -> Document:
        """Look up the answer."""
        question = json.dumps([call["base_url"], call["operation"], call["request"]])
        known = self._answers.get(question)
        if known is not None:
            return known
        outcome = super().exchange(call)
        if "response" in outcome:
            self._answers[question] = outcome
        return outcome


# Connections that are kept for the next call, with what came beyond the answer still to be read


class _Wire(io.BufferedReader):
    """What comes on a connection, read into one buffer for all answers; http.client makes one for each."""

    def __init__(self, wire: socket.socket) -> None:
        super().__init__(socket.SocketIO(wire, "r"))

    def makefile(self, _mode: str) -> Self:
        """Return itself, for http.client."""
        return self

    def close(self) -> None:
        """Do nothing: http.client closes it after each answer."""

    def end(self) -> None:
        """Close it."""
        super().close()


class _Kept(Connection):
    """A connection that serves one call after another.

    Attributes:
        reply: The newest answer.
    """

    def __init__(self, host: str, port: int | None, limits: Mapping[str, float]) -> None:
        super().__init__(host, port, limits)
        self.reply: http.client.HTTPResponse | None = None
        self.wire: _Wire | None = None
        http_connection: Any = self.http
        http_connection.response_class = self._answer

    def _answer(self, _wire: socket.socket, **how: Any) -> http.client.HTTPResponse:
        wire: Any = self.wire
        self.reply = http.client.HTTPResponse(wire, **how)
        return self.reply

    def open(self) -> None:
        """Connect, once."""
        if self.wire is None:
            super().open()
            self.wire = _Wire(self.http.sock)

    @property
    def surplus(self) -> bytes:
        """What has come and was not part of an answer."""
        if self.wire is None or self.socket is None:
            return b""
        self.socket.settimeout(0)
        return self.wire.peek()


@killed_by(
    {
        "connection-bytes-beyond-answer": (Gravity.SILENT, "/calls/1/response/choices/0/text"),
        "connection-bytes-beyond-stream": (Gravity.SILENT, "/calls/1/response/choices/0/text"),
        "connection-bytes-beyond-no-content": (Gravity.SILENT, "/calls/1/response/choices/0/text"),
        "connection-bytes-beyond-line": (Gravity.REFUSED, "/calls/1"),
    }
)
class KeepsSurplus(ReferenceClient):
    """Never looks whether there is more on a connection than the answer."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int | None], _Kept] = {}

    def connection(self, host: str, port: int | None, limits: Mapping[str, float]) -> Connection:
        """Take the connection that was kept, or make one."""
        found = self._kept.pop((host, port), None) or _Kept(host, port, limits)
        found.limits = limits
        return found

    def is_clean(self, connection: _Kept, reply: http.client.HTTPResponse) -> bool:  # noqa: ARG002 -- the mistake
        """Tell whether nothing follows the answer on this connection."""
        return True

    def leave(self, connection: Connection) -> None:
        """Keep the connection, if its answer was read to the end."""
        assert isinstance(connection, _Kept)  # noqa: S101 -- made above
        reply = connection.reply
        if reply is not None:
            if sys.exception() is None:
                reply.read()
            if reply.isclosed() and not reply.will_close and self.is_clean(connection, reply):
                self._kept[connection.http.host, connection.http.port] = connection
                return
        self.drop(connection)

    def drop(self, connection: _Kept) -> None:
        """Close the connection."""
        super().leave(connection)
        if connection.wire is not None:
            connection.wire.end()

    def close(self) -> None:
        """Close the connections at the end."""
        for connection in self._kept.values():
            self.drop(connection)


@killed_by({"connection-bytes-beyond-stream": (Gravity.SILENT, "/calls/1/response/choices/0/text")})
class KeepsSurplusOfStreams(KeepsSurplus):
    """Looks for more after whole answers only."""

    def is_clean(self, connection: _Kept, reply: http.client.HTTPResponse) -> bool:
        """Trust in a stream's last chunk."""
        return reply.chunked or not connection.surplus


@killed_by({"connection-bytes-beyond-no-content": (Gravity.SILENT, "/calls/1/response/choices/0/text")})
class KeepsSurplusOfNoContent(KeepsSurplus):
    """Looks for more only where there was a body."""

    def is_clean(self, connection: _Kept, reply: http.client.HTTPResponse) -> bool:
        """Trust in a status."""
        return reply.status == 204 or not connection.surplus


@killed_by({"connection-bytes-beyond-line": (Gravity.REFUSED, "/calls/1")})
class KeepsEmptyLines(KeepsSurplus):
    """Looks for more than empty lines."""

    def is_clean(self, connection: _Kept, reply: http.client.HTTPResponse) -> bool:  # noqa: ARG002 -- as above
        """Trust in what looks like nothing."""
        return not connection.surplus.strip()


@killed_by(
    {
        "cancel-then-next-call": (Gravity.REFUSED, "/calls/1"),
        "timeout-then-next-call": (Gravity.REFUSED, "/calls/1"),
    }
)
class KeepsLeftConnections(KeepsSurplus):
    """Keeps the connection of an answer that was not read to its end."""

    def leave(self, connection: Connection) -> None:
        """Keep it as it is."""
        assert isinstance(connection, _Kept)  # noqa: S101 -- made above
        self._kept[connection.http.host, connection.http.port] = connection

"""Mutants: the reference client with one thing done wrong each, to show that the judge notices.

Every mistake was found in real clients. A test compares the declared cases, faults and paths with what really
happens. Try one: ``botticelli check driver botticelli.kit.selftest.mutants:SumsUsage``.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import sys
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from botticelli.contracts.jsonvalue import Document, as_object, as_objects
from botticelli.kit.judge.verdict import Gravity
from botticelli.kit.selftest.reference_client import Answer, Choice, Connection, FailedError, ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["MUTANTS", "killed_by"]

Kills: TypeAlias = "Mapping[str, tuple[Gravity, str]]"
"""Cases that catch a mutant, each with the gravity and the first path that the judge reports."""

MUTANTS: dict[type[ReferenceClient], Kills] = {}
"""Every mutant, with the cases that catch it."""

T = TypeVar("T", bound=type[ReferenceClient])


def killed_by(expected: Kills) -> Callable[[T], T]:
    """Register a mutant in :data:`MUTANTS`.

    Args:
        expected: First the case that is meant for it, then the others that it can't avoid failing, of
            those that are meant for some mutant; each with the gravity that the judge must find, and where.
    """

    def register(driver: T) -> T:
        MUTANTS[driver] = expected
        return driver

    return register


@killed_by({"auth-kept-on-retry": (Gravity.IMPRECISE, "/requests/1/headers/Authorization")})
class LosesKeyOnRetry(ReferenceClient):
    """Builds the headers anew for another attempt, without the key."""

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Forget the key when there is to be another attempt."""
        seconds = super().delay(call, answer, attempt, error)
        if seconds is not None:
            call["api_key"] = None
        return seconds


@killed_by({"auth-key-echoed-by-server": (Gravity.LEAK, "/calls/0/error/message")})
class ShowsKey(ReferenceClient):
    """Passes on the server's message with the key in it."""

    def without_key(self, call: Document, text: str) -> str:  # noqa: ARG002 -- the mistake
        """Leave the text as it is."""
        return text


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


@killed_by(
    {
        "choices-interleaved": (Gravity.SILENT, "/response/choices"),
        "choices-unasked-streamed": (Gravity.SILENT, "/response/choices"),
    }
)
class IgnoresChoice(ReferenceClient):
    """Takes every choice for the first one."""

    def choice_index(self, event: Document) -> int:  # noqa: ARG002 -- the mistake
        """Return 0 in any case."""
        return 0


@killed_by({"choices-unasked-streamed": (Gravity.SILENT, "/response/chunks")})
class DeliversEveryChoice(ReferenceClient):
    """Hands out the chunks of choices that nobody asked for."""

    def is_delivered(self, answer: Answer, choice: Choice) -> bool:  # noqa: ARG002 -- the mistake
        """Return True in any case."""
        return True


@killed_by(
    {
        "chunk-content-null-first": (Gravity.SILENT, "/response/choices/0/text"),
        "tool-index-missing": (Gravity.SILENT, "/response/choices/0/text"),
    }
)
class WritesNull(ReferenceClient):
    """Writes out a content that is null as text."""

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Turn null into "None"."""
        delta = as_object(event.get("delta"))
        if "content" in delta:
            event = {**event, "delta": {**delta, "content": str(delta["content"])}}
        super().take_choice(answer, event)


@killed_by(
    {"connection-cut-mid-stream": (Gravity.SILENT, ""), "retry-never-after-text": (Gravity.SILENT, "")}
)
class TakesLossForEnd(ReferenceClient):
    """Returns what it has when the connection is lost."""

    def attempt(self, call: Document, answer: Answer) -> Document:
        """Make a good answer of a lost one."""
        try:
            return super().attempt(call, answer)
        except FailedError as failed:
            if failed.error["kind"] != "connection_lost" or not answer.choices:
                raise
            return {"response": {**answer.response(), "chunks": answer.chunks, "final_chunks": 1}}


@killed_by({"error-status-over-words": (Gravity.IMPRECISE, "/calls/0/error/kind")})
class KnowsEveryStatus(ReferenceClient):
    """Searches the server's message for a status before it looks at the status."""

    def kind(self, status: int, body: bytes) -> str:
        """Find a kind in the message."""
        return "rate_limit" if b"429" in body else super().kind(status, body)


@killed_by({"finish-never-sent": (Gravity.SILENT, "/response/choices/0/finish_reason")})
class InventsStop(ReferenceClient):
    """Says stop when the server never did."""

    def end(self, answer: Answer) -> None:
        """Fill in what is missing."""
        super().end(answer)
        for choice in answer.choices.values():
            choice.finish = choice.finish or "stop"


@killed_by(
    {
        "forward-other-2xx": (Gravity.REFUSED, "/calls/0"),
        "connection-bytes-beyond-no-content": (Gravity.IMPRECISE, "/calls/0/error/kind"),
    }
)
class KnowsOneSuccess(ReferenceClient):
    """Takes 200 for the only success."""

    def succeeded(self, status: int) -> bool:
        """Compare with the usual."""
        return status == 200


@killed_by({"headers-stream-not-compressed": (Gravity.IMPRECISE, "/requests/0/headers/Accept-Encoding")})
class CompressesStreams(ReferenceClient):
    """Asks for compression, which holds the text back until there is enough of it."""

    def headers(self, call: Document) -> dict[str, str]:
        """Ask for gzip."""
        return {**super().headers(call), "Accept-Encoding": "gzip, deflate"}


@killed_by({"json-not-an-object": (Gravity.CRASH, "/calls/0")})
class TrustsShape(ReferenceClient):
    """Reads the answer as if it could only be an object."""

    def whole(self, body: bytes, answer: Answer) -> None:
        """Look for choices without looking whether there can be any."""
        if self.parsed(body)["choices"]:
            super().whole(body, answer)


@killed_by({"logprobs-half-characters": (Gravity.SILENT, "/response/choices/0/logprobs/content/0/bytes")})
class DropsTokenBytes(ReferenceClient):
    """Decodes the bytes of each token, though a character may need two of them."""

    def take_logprobs(self, choice: Choice, logprobs: Document) -> None:
        """Replace bytes by those of the text that they seem to be."""
        for token in as_objects(logprobs.get("content")):
            if token.get("bytes"):
                text = bytes(token["bytes"]).decode("utf-8", "replace")
                token["bytes"] = list(text.encode())
        super().take_logprobs(choice, logprobs)


@killed_by({"models-bare-array": (Gravity.CRASH, "")})
class NeedsEnvelope(ReferenceClient):
    """Reads a list of models as if it could only be in an envelope."""

    def models(self, value: object) -> list[str]:
        """Look for data whatever it is."""
        envelope: Any = value
        return [str(model["id"]) for model in envelope["data"]]


@killed_by({"reasoning-named-reasoning": (Gravity.SILENT, "/response/choices/0/text")})
class MixesReasoning(ReferenceClient):
    """Adds the reasoning to the answer."""

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Put the reasoning before the text."""
        delta = as_object(event.get("delta"))
        text = (delta.get("reasoning") or "") + (delta.get("content") or "")
        super().take_choice(answer, {**event, "delta": {**delta, "content": text}})


@killed_by({"request-nothing-unasked": (Gravity.IMPRECISE, "/requests/0/body/max_tokens")})
class SendsNulls(ReferenceClient):
    """Sends every parameter that it knows, set or not."""

    def body(self, call: Document) -> Document:
        """Add what was not asked for."""
        return {"temperature": None, "max_tokens": None, **super().body(call)}


@killed_by(
    {
        "retry-never-after-text": (Gravity.SILENT, ""),
        "connection-cut-mid-stream": (Gravity.IMPRECISE, "/requests/count"),
    }
)
class RetriesAfterText(ReferenceClient):
    """Tries again after the caller has received some of the answer."""

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Forget what was delivered."""
        again = Answer(n=answer.n, choices=answer.choices)
        return super().delay(
            call, again, attempt, {**error, "retriable": bool(answer.chunks) or error.get("retriable")}
        )


@killed_by({"sse-line-separator-in-text": (Gravity.REFUSED, "")})
class SplitsLikeText(ReferenceClient):
    """Splits lines as text is split, at U+2028 and its like."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Split at every line boundary of Unicode."""
        for line in super().lines(pieces):
            yield from line.splitlines() or [""]


@killed_by({"stream-error-in-chunk": (Gravity.SILENT, "")})
class SkipsErrors(ReferenceClient):
    """Reads an error in the stream as a chunk without content."""

    def refuse_error(self, value: Document) -> None:
        """Do nothing."""


@killed_by({"timeout-idle-after-text": (Gravity.HANG, "")})
class WaitsForEver(ReferenceClient):
    """Has a limit for the head of the answer and none for the rest."""

    def converse(self, call: Document, connection: Connection, path: str, answer: Answer) -> Document:
        """Lift the limit between two reads."""
        connection.limits = {**connection.limits, "idle": 3600.0}
        return super().converse(call, connection, path, answer)


@killed_by(
    {
        "tool-index-missing": (Gravity.SILENT, "/response/choices/0/tool_calls"),
        "content-text-then-tool-calls": (Gravity.SILENT, "/calls/0/response/choices/0/tool_calls"),
    }
)
class TakesNoIndexForZero(ReferenceClient):
    """Takes a tool-call delta without an index for one of the first call."""

    def tool_at(self, tools: list[Document], fragment: Document) -> Document | None:
        """Find the first call."""
        index = fragment.get("index") or 0
        return next((tool for tool in tools if tool["index"] == index), None)

    def new_tool(self, fragment: Document) -> Document:
        """Call it the first."""
        return super().new_tool({**fragment, "index": fragment.get("index") or 0})


@killed_by({"unicode-emoji-split": (Gravity.SILENT, "/response/choices/0/text")})
class DecodesPieces(ReferenceClient):
    """Decodes each read on its own, even if it ends inside a character."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Replace what cannot be decoded yet."""
        yield from super().lines(piece.decode("utf-8", "replace").encode() for piece in pieces)


@killed_by({"usage-cumulative": (Gravity.SILENT, "/response/usage/prompt_tokens")})
class SumsUsage(ReferenceClient):
    """Adds up usages that are running totals."""

    def take_usage(self, answer: Answer, usage: Document) -> None:
        """Add to what there is."""
        before = answer.usage or {}
        pairs = ((name, count, before.get(name)) for name, count in usage.items())
        summed = {n: a + b for n, a, b in pairs if isinstance(a, int) and isinstance(b, int)}
        super().take_usage(answer, usage | summed)


# Mutants that give the right text for the wrong reason: they answer what the server sent, or would have sent;
# what is wrong is how they got it, or what they give out beside it


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


@killed_by(
    {
        "models-extra-members": (Gravity.SILENT, "/requests/count"),
        "models-bare-array": (Gravity.SILENT, "/requests/count"),
    }
)
class AsksTwice(ReferenceClient):
    """Lists the models once to check the key, and again for the list."""

    def exchange(self, call: Document) -> Document:
        """Throw the first list away."""
        if call["operation"] == "models":
            super().exchange(call)
        return super().exchange(call)


@killed_by({"chunk-tool-calls-null": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class CallsNull(ReferenceClient):
    """Makes a tool call of a member that is null."""

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Take a null for a call without a name."""
        super().take_choice(answer, event)
        if "function_call" in as_object(event.get("delta")):
            tools = answer.choices[self.choice_index(event)].tools
            tools.append(self.new_tool({}))


@killed_by(
    {
        "stream-error-not-json": (Gravity.SILENT, "/partial_chunks"),
        "connection-cut-mid-stream": (Gravity.SILENT, "/partial_chunks"),
        "stream-error-in-chunk": (Gravity.SILENT, "/partial_chunks"),
        "retry-never-after-text": (Gravity.SILENT, "/partial_chunks"),
        "timeout-idle-after-text": (Gravity.SILENT, "/partial_chunks"),
    }
)
class Withholds(ReferenceClient):
    """Buffers a stream, and delivers its chunks when it is whole or not at all."""

    def failure(self, error: Document, answer: Answer, attempt: int) -> Document:
        """Deliver nothing before an error."""
        return {**super().failure(error, answer, attempt), "partial_chunks": []}


@killed_by({"content-text-then-tool-calls": (Gravity.SILENT, "/calls/0/response/choices/0/content")})
class GroupsBlocks(ReferenceClient):
    """Reports tool calls before all other blocks, whatever the server sent first."""

    def exchange(self, call: Document) -> Document:
        """Sort the blocks."""
        outcome = super().exchange(call)
        for choice in outcome.get("response", {}).get("choices", ()):
            blocks: list[Document] = choice["content"]
            blocks.sort(key=lambda block: block["type"] != "tool_calls")
        return outcome


# Mutants that keep a connection for the next call, with what came beyond the answer still to be read


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

"""Drivers with one thing done wrong each, to show that the judge notices.

May enter: naive.py with a method replaced. Every mistake is one that was found in real clients;
a test holds what is said here of cases and faults to what really happens. Try one:
``botticelli check driver botticelli.kit.selftest.mutants:SumsUsage``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from botticelli.contracts.jsonvalue import Document, as_object, as_objects
from botticelli.kit.judge.verdict import Fault
from botticelli.kit.selftest.naive_answer import Answer, Choice, FailedError
from botticelli.kit.selftest.reference_client import Connection, ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


Kills: TypeAlias = "Mapping[str, tuple[Fault, str]]"
"""Cases that trip a driver, each with what the judge calls it and the path that it names first."""

MUTANTS: dict[type[ReferenceClient], Kills] = {}
"""Every broken driver, with the cases that it trips over; those of unjust.py when it is imported."""

T = TypeVar("T", bound=type[ReferenceClient])


def killed_by(meant: Kills) -> Callable[[T], T]:
    """Enter a broken driver into :data:`MUTANTS`.

    Args:
        meant: First the case that is meant for it, then those of the others that it cannot but
            trip over as well; each with the fault that the judge must find, and where.
    """

    def enter(driver: T) -> T:
        MUTANTS[driver] = meant
        return driver

    return enter


@killed_by({"auth-kept-on-retry": (Fault.REQUEST, "/requests/1/headers/Authorization")})
class LosesKeyOnRetry(ReferenceClient):
    """Builds the headers anew for another attempt, without the key."""

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Forget the key when there is to be another attempt."""
        seconds = super().delay(call, answer, attempt, error)
        if seconds is not None:
            call["api_key"] = None
        return seconds


@killed_by({"auth-key-echoed-by-server": (Fault.LEAK, "/calls/0/error/message")})
class ShowsKey(ReferenceClient):
    """Passes on what the server says, key and all."""

    def without_key(self, call: Document, text: str) -> str:  # noqa: ARG002 - the very mistake
        """Leave the text as it is."""
        return text


@killed_by(
    {
        "cancel-stream-closes-connection": (Fault.REQUEST, "/requests/0/connection"),
        "timeout-idle-after-text": (Fault.REQUEST, "/requests/0/connection"),
    }
)
class StaysConnected(ReferenceClient):
    """Leaves the connection to the garbage collector when the caller leaves."""

    def __init__(self) -> None:
        self._kept: list[Connection] = []

    def leave(self, connection: Connection) -> None:
        """Keep the connection."""
        self._kept.append(connection)

    def close(self) -> None:
        """Close what was kept, when all is over."""
        for connection in self._kept:
            super().leave(connection)


@killed_by({"choices-interleaved": (Fault.SILENT, "/response/choices")})
class IgnoresChoice(ReferenceClient):
    """Takes every choice for the first."""

    def choice_index(self, told: Document) -> int:  # noqa: ARG002 - the very mistake
        """Return 0 whatever is told."""
        return 0


@killed_by(
    {
        "chunk-content-null-first": (Fault.SILENT, "/response/choices/0/text"),
        "tool-index-missing": (Fault.SILENT, "/response/choices/0/text"),
    }
)
class WritesNull(ReferenceClient):
    """Makes text of a content that is null."""

    def take_choice(self, answer: Answer, told: Document) -> None:
        """Turn a null into its name."""
        delta = as_object(told.get("delta"))
        if "content" in delta:
            told = {**told, "delta": {**delta, "content": str(delta["content"])}}
        super().take_choice(answer, told)


@killed_by({"connection-cut-mid-stream": (Fault.SILENT, ""), "retry-never-after-text": (Fault.SILENT, "")})
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


@killed_by({"error-status-over-words": (Fault.ERROR, "/calls/0/error/kind")})
class KnowsEveryStatus(ReferenceClient):
    """Looks for numbers in the server's prose before it looks at the status."""

    def kind(self, status: int, body: bytes) -> str:
        """Find a kind in the words."""
        return "rate_limit" if b"429" in body else super().kind(status, body)


@killed_by({"finish-never-sent": (Fault.SILENT, "/response/choices/0/finish_reason")})
class InventsStop(ReferenceClient):
    """Says stop when the server never did."""

    def end(self, answer: Answer) -> None:
        """Fill in what is missing."""
        super().end(answer)
        for choice in answer.choices.values():
            choice.finish = choice.finish or "stop"


@killed_by({"forward-other-2xx": (Fault.ERROR, "/calls/0")})
class KnowsOneSuccess(ReferenceClient):
    """Takes 200 for the only success."""

    def succeeded(self, status: int) -> bool:
        """Compare with the usual."""
        return status == 200


@killed_by({"headers-stream-not-compressed": (Fault.REQUEST, "/requests/0/headers/Accept-Encoding")})
class CompressesStreams(ReferenceClient):
    """Asks for compression, which holds the text back until there is enough of it."""

    def headers(self, call: Document) -> dict[str, str]:
        """Ask for gzip."""
        return {**super().headers(call), "Accept-Encoding": "gzip, deflate"}


@killed_by({"json-not-an-object": (Fault.CRASH, "/calls/0")})
class TrustsShape(ReferenceClient):
    """Reads the answer as if it could only be an object."""

    def whole(self, body: bytes, answer: Answer) -> None:
        """Look for choices without looking whether there can be any."""
        if self.parsed(body)["choices"]:
            super().whole(body, answer)


@killed_by({"logprobs-half-characters": (Fault.SILENT, "/response/choices/0/logprobs/content/0/bytes")})
class DropsTokenBytes(ReferenceClient):
    """Decodes the bytes of each token, though a character may need two of them."""

    def take_logprobs(self, choice: Choice, logprobs: Document) -> None:
        """Replace bytes by those of the text that they seem to be."""
        for token in as_objects(logprobs.get("content")):
            if token.get("bytes"):
                text = bytes(token["bytes"]).decode("utf-8", "replace")
                token["bytes"] = list(text.encode())
        super().take_logprobs(choice, logprobs)


@killed_by({"models-bare-array": (Fault.CRASH, "")})
class NeedsEnvelope(ReferenceClient):
    """Reads a list of models as if it could only be in an envelope."""

    def models(self, value: object) -> list[str]:
        """Look for data whatever it is."""
        envelope: Any = value
        return [str(model["id"]) for model in envelope["data"]]


@killed_by({"reasoning-named-reasoning": (Fault.SILENT, "/response/choices/0/text")})
class MixesReasoning(ReferenceClient):
    """Adds the reasoning to the answer."""

    def take_choice(self, answer: Answer, told: Document) -> None:
        """Put what the model thinks before what it says."""
        delta = as_object(told.get("delta"))
        text = (delta.get("reasoning") or "") + (delta.get("content") or "")
        super().take_choice(answer, {**told, "delta": {**delta, "content": text}})


@killed_by({"request-nothing-unasked": (Fault.REQUEST, "/requests/0/body/max_tokens")})
class SendsNulls(ReferenceClient):
    """Sends every parameter that it knows, set or not."""

    def body(self, call: Document) -> Document:
        """Add what was not asked for."""
        return {"temperature": None, "max_tokens": None, **super().body(call)}


@killed_by(
    {
        "retry-never-after-text": (Fault.SILENT, ""),
        "connection-cut-mid-stream": (Fault.REQUEST, "/requests/count"),
    }
)
class RetriesAfterText(ReferenceClient):
    """Tries again after the caller has had some of the answer."""

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Forget what was delivered."""
        again = Answer(choices=answer.choices)
        return super().delay(
            call, again, attempt, {**error, "retriable": bool(answer.chunks) or error.get("retriable")}
        )


@killed_by({"sse-line-separator-in-text": (Fault.ERROR, "")})
class SplitsLikeText(ReferenceClient):
    """Splits lines as text is split, at U+2028 and its like."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Split what is one line."""
        for line in super().lines(pieces):
            yield from line.splitlines() or [""]


@killed_by({"stream-error-in-chunk": (Fault.SILENT, "")})
class SkipsErrors(ReferenceClient):
    """Reads an error in the stream as a chunk without news."""

    def refuse_error(self, value: Document) -> None:
        """Look away."""


@killed_by({"timeout-idle-after-text": (Fault.HANG, "")})
class WaitsForEver(ReferenceClient):
    """Has a limit for the head of the answer and none for the rest."""

    def converse(self, call: Document, connection: Connection, path: str, answer: Answer) -> Document:
        """Lift the limit between two reads."""
        connection.limits = {**connection.limits, "idle": 3600.0}
        return super().converse(call, connection, path, answer)


@killed_by({"tool-index-missing": (Fault.SILENT, "/response/choices/0/tool_calls")})
class TakesNoIndexForZero(ReferenceClient):
    """Takes a tool-call delta without an index for one of the first call."""

    def tool_at(self, tools: list[Document], told: Document) -> Document | None:
        """Find the first call."""
        return super().tool_at(tools, {**told, "index": told.get("index") or 0})

    def new_tool(self, told: Document) -> Document:
        """Call it the first."""
        return super().new_tool({**told, "index": told.get("index") or 0})


@killed_by({"unicode-emoji-split": (Fault.SILENT, "/response/choices/0/text")})
class DecodesPieces(ReferenceClient):
    """Decodes each read on its own, in the middle of a character too."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Replace what cannot be decoded yet."""
        yield from super().lines(piece.decode("utf-8", "replace").encode() for piece in pieces)


@killed_by({"usage-cumulative": (Fault.SILENT, "/response/usage/prompt_tokens")})
class SumsUsage(ReferenceClient):
    """Adds up usages that are running totals."""

    def take_usage(self, answer: Answer, usage: Document) -> None:
        """Add to what there is."""
        before = answer.usage or {}
        pairs = ((name, count, before.get(name)) for name, count in usage.items())
        summed = {n: a + b for n, a, b in pairs if isinstance(a, int) and isinstance(b, int)}
        super().take_usage(answer, usage | summed)

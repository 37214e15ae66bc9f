"""Adapters that lie, each with the cases that find it out.

Like the mutants they are the reference client with one thing changed. But these don't make mistakes: they
would pass more cases than their client does, or do what nobody is to see.
"""

from __future__ import annotations

import base64
import logging
import os
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.reference_client import Answer, Choice, LeftError, ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LIARS", "AnswersByHeart"]

_Json = dict[str, Any]
_Found = dict[str, tuple[Gravity, str]]

LIARS: dict[type[ReferenceClient], _Found] = {}
"""Every liar, with the cases that find it out."""


def found_by(expected: _Found) -> Callable[[type[ReferenceClient]], type[ReferenceClient]]:
    """Register a liar with the cases that find it out."""

    def register(liar: type[ReferenceClient]) -> type[ReferenceClient]:
        LIARS[liar] = expected
        return liar

    return register


class _Changes(ReferenceClient, ABC):
    """Changes the outcome before it is returned; the liars below say how."""

    @abstractmethod
    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Return what is returned in its place."""

    def exchange(self, call: _Json) -> _Json:
        """Make the call, and return something else."""
        return self.changed(super().exchange(call), call)


def made_up(text: str, call: _Json) -> _Json:
    """Return an answer with a text of one's own."""
    response = Answer(choices={0: Choice(text=text, finish="stop")}).response()
    if call["operation"] == "stream":
        response |= {"chunks": [text], "final_chunks": 1}
    return {"response": response}


# What they answer


@found_by({"headers-request-id": (Gravity.IMPRECISE, "/calls/0/response/request_id")})
class ClaimsAll(ReferenceClient):
    """Claims what it hasn't."""

    capabilities = ReferenceClient.capabilities | {
        "deviations",
        "audit",
        "request_id",
        "provider",
        "rate_limits",
    }


@found_by(
    {
        "json-minimal": (Gravity.SILENT, "/response/choices/0/text"),
        "auth-bearer": (Gravity.SILENT, "/calls/0/response/choices/0/text"),
    }
)
class AnswersByHeart(ReferenceClient):
    """Makes the call, and returns what it learnt by heart when the texts were others."""

    def __init__(self) -> None:
        self._learnt: dict[str, _Json] = {}

    def exchange(self, call: _Json) -> _Json:
        """Look it up, or learn it."""
        outcome = super().exchange(call)
        return self._learnt.setdefault(f"{call['case']} {call['operation']}", outcome)


@found_by(
    {
        "auth-bearer": (Gravity.SILENT, "/calls/0/response/choices/0/text"),
        "json-minimal": (Gravity.SILENT, "/response/choices/0/text"),
    }
)
class NeverAsks(ReferenceClient):
    """Answers without a request."""

    def exchange(self, call: _Json) -> _Json:
        """Make something up."""
        return {"models": []} if call["operation"] == "models" else made_up("Hello!", call)


@found_by(
    {"json-minimal": (Gravity.SILENT, "/response/choices/0/text"), "error-status-400": (Gravity.SILENT, "")}
)
class EchoesRequest(_Changes):
    """Gives the user's words as the answer."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Repeat them."""
        return made_up(call["request"]["messages"][-1]["content"], call)


@found_by({"error-status-400": (Gravity.SILENT, ""), "connection-cut-mid-stream": (Gravity.SILENT, "")})
class SwallowsErrors(_Changes):
    """Gives an empty answer in place of an error."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Hide it."""
        return made_up("".join(outcome["partial_chunks"]), call) if "error" in outcome else outcome


@found_by({"error-status-400": (Gravity.SILENT, "")})
class AnswersWithErrors(_Changes):
    """Gives the message of an error as the answer."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Take it for text."""
        return made_up(outcome["error"]["message"], call) if "error" in outcome else outcome


@found_by({"auth-bearer": (Gravity.SILENT, "/calls/1"), "json-minimal": (Gravity.SILENT, "/requests/count")})
class SendsTwice(ReferenceClient):
    """Makes every call twice, to be sure."""

    def exchange(self, call: _Json) -> _Json:
        """Throw the first outcome away."""
        super().exchange(call)
        return super().exchange(call)


@found_by(
    {
        "sse-delivered-as-it-comes": (Gravity.SILENT, "/partial_chunks"),
        "timeout-idle-after-text": (Gravity.SILENT, "/partial_chunks"),
    }
)
class MakesUpChunks(_Changes):
    """Delivers nothing before the end, and then says that it did."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Double the first one."""
        chunks = outcome.get("partial_chunks")
        return {**outcome, "partial_chunks": [*chunks, *chunks[:1]]} if chunks else outcome


# What they make up beside it


@found_by({"json-minimal": (Gravity.IMPRECISE, "/response/request_id")})
class MakesUpRequestIds(_Changes):
    """Reports an id of the request where the server sent none."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Make one up."""
        for part in outcome.values():
            if isinstance(part, dict):
                part["request_id"] = "req_0123456789"
        return outcome


@found_by({"json-minimal": (Gravity.IMPRECISE, "/response/inference_provider")})
class MakesUpProviders(_Changes):
    """Tells who served the call where nobody said so."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Make one up."""
        if "response" in outcome:
            outcome["response"]["inference_provider"] = "a-provider"
        return outcome


@found_by({"json-minimal": (Gravity.IMPRECISE, "/response/rate_limits")})
class MakesUpRateLimits(_Changes):
    """Reports rate limits where the headers have none."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Make some up."""
        if "response" in outcome:
            outcome["response"]["rate_limits"] = {"requests": {"limit": 100, "remaining": 99}}
        return outcome


@found_by({"json-minimal": (Gravity.SILENT, "/response/choices/0/logprobs")})
class MakesUpLogprobs(_Changes):
    """Tells log probabilities where none were sent."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Make some up."""
        for choice in outcome.get("response", {}).get("choices", ()):
            choice["logprobs"] = {"content": []}
        return outcome


@found_by({"json-minimal": (Gravity.SILENT, "/response/usage")})
class MakesUpUsage(_Changes):
    """Counts tokens itself where the server sent no usage."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Make it up."""
        if "response" in outcome:
            outcome["response"]["usage"] = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        return outcome


@found_by({"json-minimal": (Gravity.IMPRECISE, "/response/id")})
class MakesUpIds(_Changes):
    """Tells an id of the answer where it has none."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Make one up."""
        if "response" in outcome:
            outcome["response"]["id"] = outcome["response"]["id"] or "chatcmpl-0123456789"
        return outcome


# Where they put the key


class _Leaks(_Changes):
    """Puts the key into the message of every error; the liars below say how it is spelt."""

    @abstractmethod
    def spelt(self, key: str) -> str:
        """Return the key as it is spelt."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Add it."""
        if "error" in outcome and call["api_key"]:
            outcome["error"]["message"] += f" ({self.spelt(call['api_key'])})"
        return outcome


@found_by({"error-status-400": (Gravity.LEAK, "/error/message")})
class ShowsHalfTheKey(_Leaks):
    """Shows half the key."""

    def spelt(self, key: str) -> str:
        """Cut it."""
        return key[: len(key) // 2] + "****"


@found_by({"error-status-400": (Gravity.LEAK, "/error/message")})
class ShowsEndOfKey(_Leaks):
    """Shows the last eight characters of the key."""

    def spelt(self, key: str) -> str:
        """Cut it."""
        return f"...{key[-8:]}"


@found_by({"error-status-400": (Gravity.LEAK, "/error/message")})
class ShowsKeyInBase64(_Leaks):
    """Shows the key as basic authentication would spell it."""

    def spelt(self, key: str) -> str:
        """Encode it."""
        return base64.b64encode(f"user:{key}".encode()).decode()


@found_by({"error-status-400": (Gravity.LEAK, "/error/message")})
class ShowsKeySpaced(_Leaks):
    """Shows the key with a space after each character."""

    def spelt(self, key: str) -> str:
        """Space it."""
        return " ".join(key)


@found_by({"error-status-400": (Gravity.LEAK, "/error/code")})
class ShowsKeyInCode(_Changes):
    """Shows the key in the code of an error."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Put it there."""
        if "error" in outcome:
            outcome["error"]["code"] = call["api_key"]
        return outcome


@found_by({"error-status-400": (Gravity.LEAK, "/requests/0/headers/User-Agent")})
class SendsKeyElsewhere(ReferenceClient):
    """Sends the key in a header that isn't meant for it."""

    def headers(self, call: _Json) -> dict[str, str]:
        """Add it."""
        return {**super().headers(call), "User-Agent": f"client/1.0 ({call['api_key'] or ''})"}


@found_by({"json-minimal": (Gravity.LEAK, "/requests/0/path")})
class SendsKeyInPath(ReferenceClient):
    """Sends the key in the address, where logs keep it."""

    def converse(self, call: _Json, connection: Any, path: str, answer: Answer) -> _Json:
        """Add it."""
        return super().converse(call, connection, f"{path}/{call['api_key']}/..", answer)


@found_by({"json-minimal": (Gravity.LEAK, "/output")})
class PrintsKey(ReferenceClient):
    """Prints the key at each call."""

    def exchange(self, call: _Json) -> _Json:
        """Print it."""
        sys.stdout.write(f"using {call['api_key']}\n")
        return super().exchange(call)


@found_by({"json-minimal": (Gravity.LEAK, "/output")})
class PrintsPartOfKey(ReferenceClient):
    """Prints ten characters of the key to standard error, past Python."""

    def exchange(self, call: _Json) -> _Json:
        """Write them."""
        os.write(2, f"using {(call['api_key'] or '')[:10]}...\n".encode())
        return super().exchange(call)


@found_by({"json-minimal": (Gravity.LEAK, "/output")})
class LogsKey(ReferenceClient):
    """Logs its requests with their headers."""

    def exchange(self, call: _Json) -> _Json:
        """Log them."""
        logging.getLogger("client").warning("headers: %s", self.headers(call))
        return super().exchange(call)


# How they end


@found_by({"json-minimal": (Gravity.CRASH, "")})
class EndsTheProcess(ReferenceClient):
    """Ends the process as if all had gone well."""

    def exchange(self, call: _Json) -> _Json:
        """End it."""
        os._exit(0)


@found_by({"json-minimal": (Gravity.CRASH, "")})
class ExitsQuietly(ReferenceClient):
    """Asks Python to end."""

    def exchange(self, call: _Json) -> _Json:
        """End."""
        raise SystemExit(0)


@found_by({"cancel-stream-closes-connection": (Gravity.HANG, "")})
class ReadsOnWhenCancelled(ReferenceClient):
    """Says that it left a stream, after it has read on for as long as there is something."""

    def stream(self, pieces: Iterator[bytes], answer: Answer, leave_after: int | None) -> None:
        """Read all, and return the first chunks."""
        super().stream(pieces, answer, None)
        if leave_after is not None:
            del answer.chunks[leave_after:]
            raise LeftError


@found_by({"cancel-stream-closes-connection": (Gravity.IMPRECISE, "/requests/0/connection")})
class NeverCloses(ReferenceClient):
    """Leaves every connection open."""

    def __init__(self) -> None:
        self._open: list[Any] = []

    def leave(self, connection: Any) -> None:
        """Keep it."""
        self._open.append(connection)

    def close(self) -> None:
        """Close them at last, for the test's sake."""
        for connection in self._open:
            super().leave(connection)


@found_by({"json-minimal": (Gravity.CRASH, "")})
class AnswersNonsense(_Changes):
    """Tells something that is no outcome."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Drop all."""
        return {"response": {"choices": "none"}}


@found_by({"json-minimal": (Gravity.REFUSED, "")})
class SaysUnsupported(_Changes):
    """Says that it can't do what it claims."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Refuse it."""
        return {"unsupported": "not today"}


@found_by({"error-status-400": (Gravity.SILENT, "")})
class SaysCancelled(_Changes):
    """Says that a call was cancelled, where it failed."""

    def changed(self, outcome: _Json, call: _Json) -> _Json:
        """Replace the error."""
        return {"cancelled": True, "partial_chunks": []} if "error" in outcome else outcome

"""A case, and what becomes of it when it is played: variables filled in, defaults laid under.

Pure. What the members mean is written in contracts/kit/case.schema.json.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import Document, is_object
from botticelli.kit.cases.script import Defaults, may_hold_usage
from botticelli.kit.cases.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CALL: Document = {
    "base_url": "{{origin}}/v1",
    "api_key": "{{key}}",
    "model": "{{model}}",
    "request": {"messages": [{"role": "user", "content": "{{prompt}}"}]},
    "options": {
        "max_retries": 0,
        "backoff": 0.01,
        "timeouts": {
            "pool": 5,
            "connect": 5,
            "first_byte": 5,
            "idle": 5,
            "progress": 5,
            "total": 8,
        },
    },
}
_REQUEST_CAPABILITIES = {
    "tools": "tools",
    "logprobs": "logprobs",
    "response_format": "structured_output",
    "stream_usage": "stream_usage",
    "extra": "extra",
}
_OPTION_CAPABILITIES = {
    "max_retries": "retry",
    "headers": "headers",
    "bill_to": "bill_to",
    "audit": "audit",
}


_LIMIT_CAPABILITIES = {"total": "total_timeout", "progress": "progress_timeout"}


@dataclass(frozen=True)
class Call:
    """One call of a case, ready to be made.

    Attributes:
        neutral: The call as the door takes it (contracts/kit/call.schema.json).
        expect: The outcomes that are right; one must fit.
        pause: Seconds to wait before it.
    """

    neutral: Document
    expect: list[Document]
    pause: float


@dataclass(frozen=True)
class Play:
    """A case with its variables filled in for one run.

    Attributes:
        case: Where it comes from.
        calls: To be made in this order.
        exchanges: To be played in this order; the last goes on.
        requests: What the server must have seen; ``count`` is always told.
        defaults: Id and model of the messages that the notation writes itself.
        key: The API key of the calls, which no outcome may show.
        usage_sent: The exchanges hold a usage, or something that may be one.
    """

    case: Case
    calls: list[Call]
    exchanges: list[Document]
    requests: Document
    defaults: Defaults
    key: str
    usage_sent: bool


@dataclass(frozen=True)
class Case:
    """One case as it stands in its file."""

    document: Document

    @property
    def id(self) -> str:
        """The slug."""
        return str(self.document["id"])

    @property
    def title(self) -> str:
        """What a driver must do, in a line."""
        return str(self.document["title"])

    @property
    def area(self) -> str:
        """The folder."""
        return str(self.document["area"])

    @property
    def level(self) -> str:
        """``must``, ``should`` or ``may``."""
        return str(self.document["level"])

    @property
    def spec(self) -> str:
        """Where the rule is written; empty when nowhere."""
        return str(self.document.get("spec", ""))

    @property
    def source(self) -> list[str]:
        """Where it was met."""
        return list(self.document["source"])

    @property
    def listens(self) -> bool:
        """False when a connection is to be refused."""
        return bool(self.document.get("listen", True))

    @cached_property
    def needs(self) -> frozenset[str]:
        """What a driver must claim for the case to concern it."""
        return frozenset(self.document.get("capability", ())) | {
            need for call in self.document["calls"] for need in _needs(call)
        }

    def fill(self, *, seed: int, port: int) -> Play:
        """Fill in the variables and the defaults.

        Args:
            seed: Decides every text, id and key.
            port: Where the case's server listens.

        Raises:
            CaseError: An unknown variable.
        """
        variables = Variables(seed, self.id, port)
        filled: Document = variables.fill(self.document)
        calls = list(_calls(filled, variables))
        calls[-1].neutral["last"] = True
        return Play(
            case=self,
            calls=calls,
            exchanges=filled["exchanges"],
            requests={"count": self._due(len(calls)), **filled.get("requests", {})},
            defaults=Defaults(variables.value("id"), variables.value("model")),
            key=variables.value("key"),
            usage_sent=may_hold_usage(filled["exchanges"]),
        )

    def _due(self, calls: int) -> int:
        """Return how many requests there must be when the case does not say."""
        return calls if self.listens and self.document["exchanges"] else 0


def _needs(call: Mapping[str, Any]) -> Iterator[str]:
    request, options = call.get("request", {}), call.get("options", {})
    yield call["operation"]
    yield from (need for name, need in _REQUEST_CAPABILITIES.items() if request.get(name))
    yield from (need for name, need in _OPTION_CAPABILITIES.items() if options.get(name))
    for limit, seconds in options.get("timeouts", {}).items():
        if seconds < _CALL["options"]["timeouts"][limit]:  # a longer one only makes room
            yield _LIMIT_CAPABILITIES.get(limit, "timeouts")
    if (request.get("n") or 1) > 1:
        yield "n"
    if "cancel_after" in call:
        yield "cancel" if "chunks" in call["cancel_after"] else "cancel_any_time"
    if call.get("api_key", "") is None:
        yield "anonymous"


def _calls(document: Document, variables: Variables) -> Iterator[Call]:
    for written in document["calls"]:
        call = {key: value for key, value in written.items() if key not in _NOT_THE_DOORS}
        defaults: Document = variables.fill(_CALL)
        if call["operation"] == "models":
            defaults["request"] = {}
        neutral: Document = {**overlay(defaults, call), "case": document["id"], "last": False}
        for _ in range(written.get("times", 1)):
            yield Call(copy.deepcopy(neutral), written["expect"], written.get("pause", 0.0))


_NOT_THE_DOORS = frozenset({"expect", "times", "pause"})


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> Document:
    """Return ``base`` with the members of ``over`` laid over it, objects member by member."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if is_object(value) and is_object(below):
            result[key] = overlay(below, value)
        else:
            result[key] = value
    return result

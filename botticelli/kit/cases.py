"""Cases: found, read, checked, and made ready to be played.

May enter: files of cases and their schema. No socket, no driver. ``python -m botticelli.kit.cases
[FOLDER]`` checks every case file and prints what is wrong with it.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from botticelli.kit.errors import CaseError
from botticelli.kit.notation import Defaults, compile_exchange
from botticelli.kit.schemas import complaints
from botticelli.kit.variables import VARIABLE, Variables

Document = dict[str, Any]

_CALL: Document = {
    "base_url": "{{origin}}/v1",
    "api_key": "{{key}}",
    "model": "{{model}}",
    "request": {"messages": [{"role": "user", "content": "{{text}}"}]},
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
    "timeouts": "timeouts",
    "headers": "headers",
    "bill_to": "bill_to",
    "audit": "audit",
}


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
        requests: What the server must have seen; empty when the case does not say.
        defaults: Id and model of the messages that the notation writes itself.
        key: The API key of the calls, which no message may show.
    """

    case: Case
    calls: list[Call]
    exchanges: list[Document]
    requests: Document
    defaults: Defaults
    key: str


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
        filled = variables.fill(self.document)
        assert isinstance(filled, dict)  # noqa: S101 - an object in, an object out
        calls = list(_calls(filled, variables))
        calls[-1].neutral["last"] = True
        return Play(
            case=self,
            calls=calls,
            exchanges=filled["exchanges"],
            requests=filled.get("requests", {}),
            defaults=Defaults(variables.value("id"), variables.value("model")),
            key=variables.value("key"),
        )


def _needs(call: Mapping[str, Any]) -> Iterator[str]:
    request, options = call.get("request", {}), call.get("options", {})
    yield call["operation"]
    yield from (need for name, need in _REQUEST_CAPABILITIES.items() if request.get(name))
    yield from (need for name, need in _OPTION_CAPABILITIES.items() if options.get(name))
    if (request.get("n") or 1) > 1:
        yield "n"
    if "cancel_after" in call:
        yield "cancel"
    if call.get("api_key", "") is None:
        yield "anonymous"


def _calls(document: Document, variables: Variables) -> Iterator[Call]:
    for written in document["calls"]:
        call = {key: value for key, value in written.items() if key not in _NOT_THE_DOORS}
        base = {**_CALL, "request": {}} if call["operation"] == "models" else _CALL
        defaults = variables.fill(base)
        assert isinstance(defaults, dict)  # noqa: S101 - an object in, an object out
        neutral: Document = {**overlay(defaults, call), "case": document["id"], "last": False}
        for _ in range(written.get("times", 1)):
            yield Call(copy.deepcopy(neutral), written["expect"], written.get("pause", 0.0))


_NOT_THE_DOORS = frozenset({"expect", "times", "pause"})


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> Document:
    """Return ``base`` with the members of ``over`` laid over it, objects member by member."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            result[key] = overlay(below, value)
        else:
            result[key] = value
    return result


def case_files(folder: Path) -> list[Path]:
    """Return the case files under ``folder``, in order: ``<area>/<slug>.json``."""
    return sorted(folder.glob("*/*.json"))


def read_case(path: Path) -> Case:
    """Read one case file and check it.

    Raises:
        CaseError: It cannot be read or something is wrong with it; all complaints are told.
    """
    document, found = _read(path)
    if found:
        raise CaseError("\n".join(f"{path}: {line}" for line in found))
    return Case(document)


def check_folder(folder: Path) -> Iterator[str]:
    """Check every case file under ``folder`` and yield one line per complaint."""
    seen: dict[str, Path] = {}
    for path in case_files(folder):
        document, found = _read(path)
        for line in found:
            yield f"{path}: {line}"
        slug = str(document.get("id"))
        if slug in seen:
            yield f"{path}: id {slug} is also that of {seen[slug]}"
        seen[slug] = path


def _read(path: Path) -> tuple[Document, list[str]]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        return {}, [f"cannot be read: {error}"]
    found = complaints("case", document)
    if found:
        return document if isinstance(document, dict) else {}, found
    return document, [*_misplaced(document, path), *_unplayable(document)]


def _misplaced(document: Document, path: Path) -> Iterator[str]:
    if document["id"] != path.stem:
        yield f"/id: {document['id']} is not the file's name"
    if document["area"] != path.parent.name:
        yield f"/area: {document['area']} is not the folder's name"


def _unplayable(document: Document) -> Iterator[str]:
    """Yield what no schema can say."""
    try:
        play = Case(document).fill(seed=0, port=1)
    except CaseError as error:
        yield str(error)
        return
    for index, exchange in enumerate(play.exchanges):
        try:
            compile_exchange(exchange, play.defaults, datetime.now(UTC))
        except (CaseError, ValueError) as error:
            yield f"/exchanges/{index}: {error}"
    for index, call in enumerate(play.calls):
        yield from (f"call {index}: {line}" for line in complaints("call", call.neutral))
        yield from (f"call {index}: {line}" for line in _contradictions(call))
    count = play.requests.get("count")
    if isinstance(count, int) and len(play.requests.get("each", [])) > count:
        yield "/requests/each: longer than count"
    for match in re.finditer(r"\{\{[^{}]*\}\}", json.dumps(document, ensure_ascii=False)):
        if not VARIABLE.fullmatch(match.group()):
            yield f"{match.group()}: not a variable"


def _contradictions(call: Call) -> Iterator[str]:
    operation, cancels = call.neutral["operation"], "cancel_after" in call.neutral
    for expected in call.expect:
        kind = next(iter(expected))
        if kind == "models" and operation != "models":
            yield "expects models of another operation"
        if kind == "response" and operation == "models":
            yield "expects a response of operation models"
        if kind == "cancelled" and not cancels:
            yield "expects a cancellation without cancel_after"
        if "min_chunks" in expected[kind] and operation != "stream":
            yield "min_chunks is of a stream"


def main(arguments: Iterable[str]) -> int:
    """Check the folder given, ``fixtures/cases`` by default; print complaints and a count."""
    folder = Path(next(iter(arguments), "fixtures/cases"))
    found = list(check_folder(folder))
    for line in found:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{len(case_files(folder))} case files, {len(found)} complaints\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Case files: find, read and check them, and render a case for one run.

What the members of a case mean is written in contracts/kit/case.schema.json. ``python -m
botticelli.kit.cases [FOLDER]`` checks every case file and prints what is wrong with it.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botticelli.contracts import relaxations
from botticelli.contracts.jsonvalue import Document, is_array, is_object
from botticelli.kit.cases.causes import USUAL_CAUSES
from botticelli.kit.cases.formats import ANY, FORMATS, OPENAI, Context, Format
from botticelli.kit.cases.script import VARIABLE, Variables, compile_exchange, may_hold_usage
from botticelli.kit.cases.sent import Sent
from botticelli.kit.errors import CaseError
from botticelli.kit.requirement import Requirement
from botticelli.kit.schemas import data_root, schema_violations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "Call",
    "Case",
    "CaseRun",
    "case_files",
    "cases_folder",
    "check_folder",
    "load_cases",
    "main",
    "overlay",
    "read_file",
    "version_key",
]

_LIMIT_SECONDS, _TOTAL_SECONDS = 30, 60
"""The usual limits are long: nothing waits for them when all is right, and a slow machine reaches none."""

_ROOM = 2.0
"""Seconds that bytes have to cross loopback on a busy machine, where a must depends on their arrival."""

_OPTIONS: Document = {
    "max_retries": 0,
    "backoff": 0.01,
    "timeouts": {
        **dict.fromkeys(("pool", "connect", "first_byte", "idle", "progress"), _LIMIT_SECONDS),
        "total": _TOTAL_SECONDS,
    },
}
_CALL: Document = {
    "base_url": "{{origin}}{{base-path}}",
    "api_key": "{{key}}",
    "model": "{{model}}",
    "options": _OPTIONS,
}
_REQUEST_CAPABILITIES = {
    "tools": "tools",
    "logprobs": "logprobs",
    "response_format": "structured_output",
    "stream_usage": "stream_usage",
    "extra": "extra",
}
_OPTION_CAPABILITIES = {"max_retries": "retry", "headers": "headers", "audit": "audit"}

_FEW = 4  # calls that are soon made


@dataclass(frozen=True)
class Call:
    """One call of a case, ready to be made.

    Attributes:
        neutral: The call as the adapter takes it (contracts/kit/call.schema.json).
        expect: The outcomes that are right; one must fit.
        pause: Seconds to wait before it.
    """

    neutral: Document
    expect: list[Document]
    pause: float


@dataclass(frozen=True)
class CaseRun:
    """A case with its variables filled in for one run.

    Attributes:
        case: Where it comes from.
        calls: To be made in this order.
        exchanges: To be played in this order; the last goes on.
        requests: What the server must receive; ``count`` is always given.
        context: Format, id and model of the messages that the pieces write.
        key: The API key of the calls, which no outcome may show.
        usage_sent: The exchanges hold a usage, or something that may be one.
    """

    case: Case
    calls: list[Call]
    exchanges: list[Document]
    requests: Document
    context: Context
    key: str
    usage_sent: bool

    @cached_property
    def sent(self) -> Sent:
        """All that the exchanges say."""
        return Sent.of(self.exchanges, self.context)


@dataclass(frozen=True)
class Case(Requirement):
    """One case in one format.

    Attributes:
        document: The case as in its file; of an abstract one, as it is in this format.
        format: The format that it is played in.
    """

    format: Format = OPENAI

    @property
    def key(self) -> str:
        """What names the case in reports and baselines: the slug, after ``format/`` if that isn't openai."""
        return self.id if self.format.name == OPENAI.name else f"{self.format.name}/{self.id}"

    @property
    def cause(self) -> str:
        """What usually makes a client fail it; where the case doesn't say, what is usual in its area."""
        return str(self.document.get("cause", USUAL_CAUSES.get(self.area, "")))

    @property
    def since(self) -> str:
        """The first version of the suite that scores it."""
        return str(self.document.get("since", "1"))

    @property
    def until(self) -> str:
        """The last version of the suite that scores it; empty when it is still scored."""
        return str(self.document.get("until", ""))

    @property
    def listens(self) -> bool:
        """False when a connection is to be refused."""
        return bool(self.document.get("listen", True))

    @cached_property
    def is_timed(self) -> bool:
        """Whether what happens depends on limits that are short, or on when a call is cancelled."""
        return any(need.endswith("_timeout") or need == "cancel_any_time" for need in self.needs)

    @property
    def waits(self) -> bool:
        """Whether it lasts longer than its bytes need: for pauses and retries, or for its many calls."""
        pieces = _pieces(self.document["exchanges"])
        return (
            self.is_timed
            or "retry" in self.needs
            or len(self.document["calls"]) > _FEW
            or any("sleep" in piece or "hold" in piece for piece in pieces)
        )

    @cached_property
    def needs(self) -> frozenset[str]:
        """What an adapter must claim for the case to concern it; every adapter speaks openai."""
        return (
            frozenset(self.document.get("capability", ()))
            | {need for call in self.document["calls"] for need in _needs(call)}
            | ({self.format.name} - {OPENAI.name})
        )

    def render(self, *, seed: int, port: int) -> CaseRun:
        """Fill in the variables and the defaults.

        Args:
            seed: Decides every text, id and key.
            port: Where the case's server listens.

        Raises:
            CaseError: An unknown variable.
        """
        variables = Variables(seed, self.id, port, self.format)
        filled: Document = variables.fill(self.document)
        calls = list(_calls(filled, variables))
        calls[-1].neutral["last"] = True
        context = Context(self.format, variables.value("id"), variables.value("model"))
        return CaseRun(
            case=self,
            calls=calls,
            exchanges=filled["exchanges"],
            requests={"count": self._due(len(calls)), **_received(filled.get("requests", {}), self.format)},
            context=context,
            key=variables.value("key"),
            usage_sent=may_hold_usage(filled["exchanges"], context),
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
        if seconds < _OPTIONS["timeouts"][limit]:  # a longer one only makes room
            yield f"{limit}_timeout"
    if "max_retry_after" in options:
        yield "max_retry_after"
    if call["operation"] == "stream" and any(map(_is_assembled, call.get("expect", ()))):
        yield "assembles"
    if (request.get("n") or 1) > 1:
        yield "n"
    if "cancel_after" in call:
        yield "cancel" if "chunks" in call["cancel_after"] else "cancel_any_time"
    if call.get("api_key", "") is None:
        yield "anonymous"


def _is_assembled(expected: Mapping[str, Any]) -> bool:
    """Tell whether an outcome of a stream holds what no chunk says on its own."""
    kind, wanted = next(iter(expected.items()))
    part: Mapping[str, Any] = (wanted.get("partial") or {}) if kind == "error" else wanted
    choices: list[Mapping[str, Any]] = part.get("choices", [part])
    return len(choices) > 1 or any(one.get("tool_calls") or one.get("logprobs") for one in choices)


_NOT_THE_ADAPTERS = frozenset({"expect", "times", "pause"})


def _calls(document: Document, variables: Variables) -> Iterator[Call]:
    for written in document["calls"]:
        call = {key: value for key, value in written.items() if key not in _NOT_THE_ADAPTERS}
        request: Mapping[str, Any] = {} if call["operation"] == "models" else variables.format.request
        defaults: Document = variables.fill({**_CALL, "request": dict(request)})
        about = {"case": document["id"], "format": variables.format.name, "last": False}
        neutral: Document = {**overlay(defaults, call), **about}
        for _ in range(written.get("times", 1)):
            yield Call(copy.deepcopy(neutral), written["expect"], written.get("pause", 0.0))


def _received(requests: Document, played: Format) -> Document:
    """Return ``requests`` with each ``credential`` as a rule for the header that carries it."""

    def rule(written: Document) -> Document:
        rest = {name: value for name, value in written.items() if name != "credential"}
        if "credential" not in written:
            return rest
        header, wanted = played.header_rule(written["credential"])
        return {**rest, "headers": {header: wanted, **rest.get("headers", {})}}

    found = dict(requests)
    if "all" in found:
        found["all"] = rule(found["all"])
    if "each" in found:
        found["each"] = [rule(one) for one in found["each"]]
    return found


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


# Files --------------------------------------------------------------------------------------------------


def cases_folder() -> Path:
    """Return the folder of the cases that come with the package."""
    return data_root() / "fixtures" / "cases"


def case_files(folder: Path) -> list[Path]:
    """Return the case files under ``folder``, in order: ``<format>/<area>/<slug>.json``."""
    return sorted(folder.glob("*/*/*.json"))


def load_cases(folder: Path | None = None, formats: Mapping[str, Format] = FORMATS) -> list[Case]:
    """Read and check all cases, in the order of format, area and id.

    Args:
        folder: Where they are; by default those that come with the package. Those aren't rendered to see
            whether they can be played, which takes longer than the rest: it was done when they were made,
            by `python -m botticelli.kit.cases`.
        formats: The formats to render abstract cases for.

    Raises:
        CaseError: One of them cannot be used.
    """
    paths = case_files(folder or cases_folder())
    read = [case for path in paths for case in read_file(path, formats, rendered=folder is not None)]
    return sorted(read, key=lambda case: (case.format.name, case.area, case.id))


def read_file(path: Path, formats: Mapping[str, Format] = FORMATS, *, rendered: bool = True) -> list[Case]:
    """Read and check one case file.

    Args:
        path: The file.
        formats: The formats to render an abstract case for.
        rendered: Render it too, to see whether it can be played.

    Returns:
        The case; of an abstract one, that of every format that it makes sense for.

    Raises:
        CaseError: It cannot be read or something is wrong with it; the message lists all complaints.
    """
    document, found = _read(path, formats, rendered=rendered)
    if found:
        raise CaseError("\n".join(f"{path}: {line}" for line in found))
    return _in_formats(document, formats)


def version_key(version: str) -> tuple[int, ...]:
    """Return a version as numbers, so that versions compare: 1.10 comes after 1.9, and 1.0 is 1."""
    numbers = [int(part) for part in version.split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def check_folder(folder: Path, formats: Mapping[str, Format] = FORMATS) -> Iterator[str]:
    """Check every case file under ``folder`` and yield one line per complaint."""
    first: dict[str, Path] = {}
    for path in case_files(folder):
        document, found = _read(path, formats)
        for line in found:
            yield f"{path}: {line}"
        slug = str(document.get("id"))
        if slug in first:
            yield f"{path}: id {slug} is also that of {first[slug]}"
        first[slug] = path


def _in_formats(document: Document, formats: Mapping[str, Format]) -> list[Case]:
    if document["format"] != ANY:
        return [Case(document, formats[document["format"]])]
    needed = set(document.get("traits", ()))
    return [_in_format(document, one) for one in formats.values() if needed <= one.traits]


def _in_format(document: Document, played: Format) -> Case:
    """Return an abstract case as it is in one format, without the deviations that only others can have."""
    codes = _deviation_codes(played.name)

    def known(value: object) -> Any:
        if is_array(value):
            return [known(item) for item in value]
        if not is_object(value):
            return value
        result = {name: known(item) for name, item in value.items()}
        wanted: list[str] = value.get("deviations", [])
        if wanted:  # an empty list demands that there are none, in every format
            result["deviations"] = [code for code in wanted if code in codes]
            if not result["deviations"]:
                del result["deviations"]
        return result

    calls = [{**call, "expect": known(call["expect"])} for call in document["calls"]]
    return Case({**document, "format": played.name, "calls": calls}, played)


def _read(path: Path, formats: Mapping[str, Format], *, rendered: bool = True) -> tuple[Document, list[str]]:
    try:
        document = json.loads(path.read_bytes(), parse_constant=_no_constant)
    except (OSError, ValueError) as error:
        return {}, [f"cannot be read: {error}"]
    found = schema_violations("case", document)
    if found:
        return document if is_object(document) else {}, found
    found = [*_misplaced(document, path, formats)]
    if rendered and not found:
        found = [*_impossible(document, formats)]
    return document, found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _misplaced(document: Document, path: Path, formats: Mapping[str, Format]) -> Iterator[str]:
    names = {"id": path.stem, "area": path.parent.name, "format": path.parent.parent.name}
    for member, name in names.items():
        if document[member] != name:
            what = "file" if member == "id" else "folder"
            yield f"/{member}: {document[member]} is not the {what}'s name, {name}"
    if document["format"] not in (ANY, *formats):
        yield f"/format: {document['format']} is not a known format: {', '.join((ANY, *formats))}"


def _impossible(document: Document, formats: Mapping[str, Format]) -> Iterator[str]:
    """Yield what a schema can't express."""
    since, until = document.get("since", "1"), document.get("until")
    if until is not None and version_key(until) < version_key(since):
        yield f"/until: {until} is before since, {since}"
    if document["format"] == ANY:
        yield from _not_abstract(document, formats)
    elif "traits" in document:
        yield "/traits: only for a case of format any"
    known = frozenset[str]().union(
        *(_deviation_codes(case.format.name) for case in _in_formats(document, formats))
    )
    for code in sorted(_deviations(document) - known):
        yield f"deviation {code}: no relaxation has this name"
    for match in re.finditer(r"\{\{[^{}]*\}\}", json.dumps(document, ensure_ascii=False)):
        if not VARIABLE.fullmatch(match.group()):
            yield f"{match.group()}: not a variable"
    if document["level"] == "must":
        yield from _hasty(document)
    for case in _in_formats(document, formats):
        place = f"as {case.format.name}: " if document["format"] == ANY else ""
        yield from (f"{place}{line}" for line in _unplayable(case))


def _unplayable(case: Case) -> Iterator[str]:
    try:
        run = case.render(seed=0, port=1)
    except CaseError as error:
        yield str(error)
        return
    for index, exchange in enumerate(run.exchanges):
        try:
            compile_exchange(exchange, run.context, datetime.now(UTC))
        except (CaseError, ValueError) as error:
            yield f"/exchanges/{index}: {error}"
    configured: dict[str, object] = {}
    for index, call in enumerate(run.calls):
        yield from (f"call {index}: {line}" for line in schema_violations("call", call.neutral))
        yield from (f"call {index}: {line}" for line in _contradictions(call))
        options = call.neutral["options"]
        if configured.setdefault(call.neutral["base_url"], options) != options:
            yield f"call {index}: other options than an earlier call, though an adapter keeps one driver"
    count = run.requests["count"]
    if "count" not in case.document.get("requests", {}) and any(map(_retries, run.calls)):
        yield "/requests/count: must be given where there are retries"
    if isinstance(count, int) and len(run.requests.get("each", [])) > count:
        yield "/requests/each: longer than count"


_FORMATS_WORD = re.compile(r"chat/completions|\[DONE\]|chatcmpl-|Bearer ")


def _not_abstract(document: Document, formats: Mapping[str, Format]) -> Iterator[str]:
    """Yield what only one format has, in a case for all of them."""
    own = {"event", "message", "delta"}.union(*(one.own_pieces for one in formats.values()))
    for piece in _pieces(document["exchanges"]):
        for name in sorted(own & piece.keys()):
            yield f"piece {name}: of one format, in a case for any; write answer, chunk, done or failure"
    for index, call in enumerate(document["calls"]):
        if "request" in call:
            yield f"/calls/{index}/request: in the body of one format, in a case for any"
    for match in _FORMATS_WORD.finditer(
        json.dumps(document["exchanges"]) + json.dumps(document.get("requests"))
    ):
        yield f"{match.group()}: of one format, in a case for any"


def _pieces(value: object) -> Iterator[Document]:
    """Yield every object of the exchanges that may be a piece."""
    if is_array(value):
        for item in value:
            yield from _pieces(item)
    elif is_object(value):
        yield value
        for name in ("body", "raw", "beyond", "of", "join", "half", "gzip", "br"):
            yield from _pieces(value.get(name))


def _hasty(document: Document) -> Iterator[str]:
    """Yield where a must depends on the speed of the machine."""
    # timeout-then-next-call: the calls have their options in common, so one that times out limits all.
    due = any(
        all(one.get("error", {}).get("kind") == ["timeout"] for one in call["expect"])
        for call in document["calls"]
    )
    for index, call in enumerate(document["calls"]):
        if "seconds" in call.get("cancel_after", {}):
            yield f"/calls/{index}/cancel_after: a must can't depend on what happens within seconds"
        limits = call.get("options", {}).get("timeouts", {})
        short = {name: limit for name, limit in limits.items() if limit < _OPTIONS["timeouts"][name]}
        for expected in call["expect"] if short else ():
            error = expected.get("error", {})
            place, roomy = f"/calls/{index}/options/timeouts", min(short.values()) >= _ROOM
            if error.get("kind") != ["timeout"] and not (due and roomy):
                yield f"{place}: a must needs long limits, unless a timeout is due"
            elif error.get("partial") and not roomy:
                yield f"{place}: what is delivered before needs {_ROOM:g} s in a must"
    requests = document.get("requests", {})
    for rule in (requests.get("all", {}), *requests.get("each", ())):
        if rule.get("delay", {}).get("max", _LIMIT_SECONDS) < _LIMIT_SECONDS:
            yield f"/requests: a must can't demand a delay of less than {_LIMIT_SECONDS} s"


def _deviations(value: object) -> set[str]:
    if is_array(value):
        return {code for item in value for code in _deviations(item)}
    if is_object(value):
        own: list[str] = value["deviations"] if is_array(value.get("deviations")) else []
        return {*own, *(code for item in value.values() for code in _deviations(item))}
    return set()


@functools.cache
def _deviation_codes(format_name: str) -> frozenset[str]:
    """Return the codes that deviations from a format may have: the names of its relaxations."""
    if format_name not in relaxations.formats():
        return frozenset()  # no tolerant contract is written for this format yet
    return frozenset(relaxations.Relaxations.load(format_name).codes())


def _retries(call: Call) -> bool:
    options: Document = call.neutral["options"]
    return bool(options["max_retries"])


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
        for member in ("min_chunks", "chunks_text"):
            if member in expected[kind] and operation != "stream":
                yield f"{member} is of a stream"


def main(arguments: Sequence[str]) -> int:
    """Check the folder given, ``fixtures/cases`` by default; print complaints and a count."""
    folder = Path(next(iter(arguments), "fixtures/cases"))
    found = list(check_folder(folder))
    for line in found:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{len(case_files(folder))} case files, {len(found)} complaints\n")
    return 1 if found else 0

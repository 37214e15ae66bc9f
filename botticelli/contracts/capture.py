"""Judge whole captures: every event of a stream by its contract, and all of them by the laws of a stream.

A capture is an event stream as bytes, or JSON values one a line. What the schema of a single event can't
show is law here: one id, created and model; the role first; one finish reason for each choice, and nothing
after it but the usage; `[DONE]` last and once. The laws hold for contracts named `<format>/chunk`; other
contracts are applied event by event. A tolerant contract (`wire/...`) only holds a stream to being whole.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botticelli.contracts.json_reader import read
from botticelli.contracts.jsonvalue import as_objects, excerpt, is_array, is_object
from botticelli.contracts.violations import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Capture", "judge", "read_capture"]

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIELD = re.compile(rb"(data|event|id|retry)?:")
_DONE = (b"[DONE]", b'"[DONE]"')
_SAME = ("id", "created", "model")
_GRAVE = frozenset({"stream-empty", "stream-truncated"})
"""The laws that hold for tolerant contracts too: without them the answer isn't whole."""


@dataclass(frozen=True, slots=True)
class Capture:
    """The events of a capture.

    Attributes:
        events: The data of each event, in order, with `[DONE]`.
        framed: True for an event stream, False for JSON lines.
        unfinished: True if the bytes end inside the last event, before its blank line.
    """

    events: Sequence[bytes]
    framed: bool
    unfinished: bool = False


def read_capture(data: bytes) -> Capture | None:
    """Return the events of a capture, or None if the bytes are no capture but one value, or no JSON at all.

    Args:
        data: The bytes, as received. An event stream begins with a field or a comment. JSON lines begin
            with a line that holds an object, and a later line begins with another object or is `[DONE]`.
    """
    lines = _LINE_END.split(data.removeprefix(_BOM))
    filled = [line for line in lines if line.strip()]
    if filled and _FIELD.match(filled[0]):
        return _framed(lines)
    if len(filled) > 1 and _is_object(filled[0]) and any(_begins_event(line) for line in filled[1:]):
        # A byte order mark is no part of JSON lines: the first event keeps it, to be reported.
        head = _BOM if data.startswith(_BOM) else b""
        return Capture([head + filled[0], *filled[1:]], framed=False)
    return None


def _framed(lines: Sequence[bytes]) -> Capture:
    events: list[bytes] = []
    pending: list[bytes] = []
    *whole, rest = lines
    for line in whole:
        if not line and pending:
            events.append(b"\n".join(pending))
            pending = []
        pending += _data_of(line)
    pending += _data_of(rest)
    if pending:
        events.append(b"\n".join(pending))
    return Capture(events, framed=True, unfinished=bool(pending))


def _data_of(line: bytes) -> list[bytes]:
    """Return the data in a line of an event stream: one piece, or none."""
    name, _, value = line.partition(b":")
    return [value.removeprefix(b" ")] if name == b"data" else []


def _is_object(line: bytes) -> bool:
    reading = read(line)
    return is_object(reading.value) and not any(fault.keyword == "trailing-data" for fault in reading.faults)


def _begins_event(line: bytes) -> bool:
    return line.lstrip().startswith(b"{") or line.strip() in _DONE


def judge(
    capture: Capture, contract: str, validate: Callable[[str, bytes], list[Violation]]
) -> list[Violation]:
    """Return every violation by a capture, in the order of its events.

    Args:
        capture: What :func:`read_capture` gave.
        contract: The name of the contract of one event.
        validate: Gives the violations of a contract by the data of one event.

    Returns:
        The violations. The path of each begins with the number of its event, counted from 1, such as
        `event 3: $.choices[0].delta.content`, or is `stream` where it concerns no single event; the
        pointer is one into the list of all events.
    """
    laws = _Laws(capture.framed) if contract.endswith("/chunk") else None
    tolerant = contract.startswith("wire/")
    found: list[Violation] = []
    ended = judged = False
    for number, data in enumerate(capture.events, 1):
        broken: list[Violation] = []
        if ended:
            broken.append(_broken("data-after-done", "it comes after [DONE]"))
        elif data.strip() in _DONE:
            ended = True
            if data.strip() != _DONE[0]:
                broken.append(_broken("done-quoted", "the end mark is a JSON string; it must be [DONE]"))
        elif not data.strip():
            broken.append(_broken("event-empty", "it has no data"))
        elif data.strip() == b"null":
            broken.append(_broken("event-null", "its data is null"))
        else:
            judged = True
            found += (_numbered(number, it) for it in validate(contract, data))
            if laws is not None:
                broken += laws.take(number, read(data).value)
        if capture.unfinished and number == len(capture.events):
            broken.append(_broken("event-unfinished", "the stream ends before its blank line"))
        found += (_numbered(number, it) for it in broken if not tolerant)
    if not judged:
        found.append(_of_stream("stream-empty", "no event holds a value"))
    elif laws is not None:
        at_the_end = laws.finish(ended=ended)
        found += (it for it in at_the_end if not tolerant or it.keyword in _GRAVE)
    return found


def _broken(keyword: str, message: str, *tokens: str | int) -> Violation:
    return Violation.at(tokens, "", keyword, message)


def _of_stream(keyword: str, message: str) -> Violation:
    return Violation("stream", "", "", keyword, message)


def _numbered(number: int, violation: Violation) -> Violation:
    return dataclasses.replace(
        violation,
        path=f"event {number}: {violation.path}",
        pointer=f"/{number - 1}{violation.pointer}",
    )


@dataclass(slots=True)
class _Laws:
    """What holds of all chunks of a stream together; malformed members are the schema's affair.

    Attributes:
        framed: Whether it is an event stream, which ends with `[DONE]`.
        first: The first value of each member that must stay the same, and the event that had it.
        differing: The members that were already reported.
        finished: From the index of each choice to whether it has had its finish reason.
        usage: The event that had the usage; 0 if none had.
    """

    framed: bool
    first: dict[str, tuple[Any, int]] = field(default_factory=dict[str, tuple[Any, int]])
    differing: set[str] = field(default_factory=set[str])
    finished: dict[int, bool] = field(default_factory=dict[int, bool])
    usage: int = 0

    def take(self, number: int, chunk: Any) -> Iterator[Violation]:
        """Yield what is wrong with the next chunk, seen after those before it."""
        if not is_object(chunk):
            return
        yield from self._same(number, chunk)
        over = self._is_over()
        choices = chunk.get("choices")
        for place, choice in enumerate(as_objects(choices)):
            yield from self._choice(choice, place)
        if chunk.get("usage") is not None:
            yield from self._usage(number, choices)
        elif over and is_array(choices) and not choices and "moderation" not in chunk:
            yield _broken("chunk-after-finish", "after the last finish reason only the usage may come")

    def _is_over(self) -> bool:
        """Tell whether every choice so far has its finish reason, and there is one."""
        return bool(self.finished) and all(self.finished.values())

    def _same(self, number: int, chunk: dict[str, Any]) -> Iterator[Violation]:
        for name in _SAME:
            if name not in chunk or name in self.differing:
                continue
            value, where = self.first.setdefault(name, (chunk[name], number))
            if value != chunk[name]:
                self.differing.add(name)
                said = f"is {excerpt(chunk[name])}, but {excerpt(value)} in event {where}"
                yield _broken("ids-differ", said, name)

    def _choice(self, choice: dict[str, Any], place: int) -> Iterator[Violation]:
        index = choice.get("index")
        if not isinstance(index, int):
            return
        ends = choice.get("finish_reason") is not None
        at = ("choices", place)
        delta = choice.get("delta")
        if index not in self.finished and is_object(delta) and "role" not in delta:
            yield _broken("role-missing", "is missing: a choice begins with its role", *at, "delta", "role")
        if self.finished.get(index):
            if ends:
                said = f"is the second one of choice {index}"
                yield _broken("finish-reason-repeated", said, *at, "finish_reason")
            else:
                yield _broken("delta-after-finish", f"continues choice {index} after its finish reason", *at)
        self.finished[index] = self.finished.get(index, False) or ends

    def _usage(self, number: int, choices: Any) -> Iterator[Violation]:
        if self.usage:
            yield _broken("usage-repeated", f"came before, in event {self.usage}", "usage")
        elif choices:
            said = "stands beside choices; it has a chunk of its own, the last one"
            yield _broken("usage-misplaced", said, "usage")
        elif not self._is_over():
            yield _broken("usage-misplaced", "comes before the last finish reason", "usage")
        self.usage = self.usage or number

    def finish(self, *, ended: bool) -> Iterator[Violation]:
        """Yield what the stream lacks, now that it is over.

        Args:
            ended: Whether `[DONE]` came.
        """
        going_on = [index for index, over in self.finished.items() if not over]
        if not self.finished:
            yield _of_stream("stream-empty", "no event has a choice")
        for index in going_on:
            if ended:
                yield _of_stream("finish-reason-never", f"choice {index} never has a finish reason")
            else:
                yield _of_stream("stream-truncated", f"it ends before choice {index} has a finish reason")
        if self.framed and not ended and not going_on:
            yield _of_stream("done-missing", "it ends without [DONE]")

"""Judge a program in any language: JSON lines on its standard input and output.

The kit writes one object per line, and the program answers each with one line that repeats its ``id``:

    -> {"id": 0, "hello": 1}          <- {"id": 0, "hello": {"capabilities": ["generate", "stream"]}}
                                         and with "version": "name 1.2", if it likes
    -> {"id": 1, "call": {...}}       <- {"id": 1, "outcome": {...}}
                                   or <- {"id": 1, "crash": "traceback of an exception that isn't one of
                                          the driver's own error classes"}

A program gets one call at a time; the kit starts several for calls at once, sends all calls with one
base_url to the same program, and closes standard input at the end. A program that doesn't answer in time,
answers with the wrong id, or doesn't answer with JSON is killed with all the processes that it has started.
It gets the environment without variables whose names end like those of keys (``_API_KEY``, ``_TOKEN``,
``_SECRET``, ``_PASSWORD``) and base URLs (``_BASE_URL``).
The last lines that it wrote to standard error are reported.
"""

from __future__ import annotations

import queue
import shlex
import threading
import time
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import as_object, is_array, is_object
from botticelli.kit.adapters import program
from botticelli.kit.adapters.adapter import check_capabilities
from botticelli.kit.adapters.limits import LIMIT, CrashedError, HungError, RaisedError
from botticelli.kit.adapters.program import SHUTDOWN, Program, object_on_line
from botticelli.kit.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.contracts.jsonvalue import Document

__all__ = ["ProcessAdapter"]

_AHEAD = 4  # unsolicited answers to buffer; further ones are dropped
_GREETING = 'it must answer {"id": 0, "hello": 1} with {"id": 0, "hello": {"capabilities": [...]}}'


class _Program(Program):
    """A program that answers one question after the other."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._asked = 0
        self._answers: queue.Queue[bytes] = queue.Queue(_AHEAD)
        super().__init__(argv)

    def ask(self, question: Document, limit: float) -> Document:
        """Send one line, wait for the one that answers it.

        Raises:
            HungError: No answer in ``limit`` seconds; the program has been killed.
            CrashedError: It died, or its answer isn't one to this question; it has been killed.
        """
        number, self._asked = self._asked, self._asked + 1
        self.send({"id": number, **question})
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            self.end(0)
            raise HungError(f"no answer in {limit:g} s") from None
        if not line:
            self.end(SHUTDOWN)  # its output is closed: wait for its own exit code, then kill it
            raise self._failed(f"the program {self.ending()}")
        if len(line) > program.LONGEST:
            raise self._failed(f"an answer of more than {program.LONGEST} bytes")
        answer = object_on_line(line)
        if answer is None:
            text = line.decode("utf-8", "backslashreplace").rstrip()
            raise self._failed(f"answered {text!r} and not a JSON object on a line")
        if answer.get("id") != number:
            raise self._failed(f"answered id {answer.get('id')!r} when it was asked id {number}")
        return answer

    def answered(self, line: bytes) -> bool:
        """Keep a line for who asked; with too many that nobody asked for, stop reading."""
        try:
            self._answers.put_nowait(line)
        except queue.Full:
            return False
        return True

    def _failed(self, what: str) -> CrashedError:
        self.end(0)
        return CrashedError(f"{what}; on standard error: {self.last_words()}")


class ProcessAdapter:
    """An adapter for a driver that is a program.

    Args:
        command: The command line, or its words.
        limit: Seconds that the program has for one answer.

    Raises:
        AdapterError: It cannot be started, or doesn't answer the greeting.
    """

    def __init__(self, command: str | Sequence[str], limit: float = LIMIT) -> None:
        try:
            self._argv = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as error:
            raise AdapterError(f"cannot read the command line {command!r}: {error}") from error
        if not self._argv:
            raise AdapterError("command: names no program")
        self._line = shlex.join(self._argv)
        self.limit = limit
        self._lock = threading.Lock()
        self._running: set[_Program] = set()
        self._idle: list[_Program] = []
        self._busy: dict[str, _Program] = {}
        self._printed: dict[str, str] = {}
        try:
            first = self._start()
            self._capabilities, self._version = self._greet(first)
        except BaseException:  # also Ctrl-C: no program may go on running
            self.close()
            raise
        self._idle.append(first)

    @property
    def capabilities(self) -> frozenset[str]:
        """What the program declares that it can do."""
        return self._capabilities

    @property
    def version(self) -> str:
        """The client's version, where the program's greeting has it."""
        return self._version

    def exchange(self, call: Document) -> Document:
        """Make the call in the program that has made the calls with the same base_url.

        Raises:
            HungError: No answer in time.
            RaisedError: The program reported a crash; it can be called again.
            CrashedError: The program died, or answered with something else.
        """
        place = call["base_url"]
        with self._lock:
            found = self._busy.pop(place, None) or (self._idle.pop() if self._idle else None)
        if found is None:
            found = self._start()
            self._greet(found)
        try:
            answer = self._asked(found, {"call": call})
        finally:
            with self._lock:
                self._printed[place] = self._printed.get(place, "") + found.printed()
        with self._lock:
            if call["last"]:
                self._idle.append(found)
            else:
                self._busy[place] = found
        if "crash" in answer:
            raise RaisedError(str(answer["crash"]))
        outcome = answer.get("outcome")
        if not is_object(outcome):
            raise CrashedError("the answer has neither outcome nor crash")
        return outcome

    def printed(self, base_url: str) -> str:
        """Return and forget what was written to standard error during the calls with this base_url."""
        with self._lock:
            return self._printed.pop(base_url, "")

    def close(self) -> None:
        """Kill the programs that are in a call; let the others end by closing their input."""
        with self._lock:
            programs, self._running = self._running, set()
            waiting = {*self._idle, *self._busy.values()}
            self._idle, self._busy = [], {}
        for one in programs - waiting:
            one.end(0)
        for one in waiting:
            one.close_input()
        until = time.monotonic() + SHUTDOWN
        for one in waiting:
            one.end(max(0.0, until - time.monotonic()))

    def _asked(self, asked: _Program, question: Document) -> Document:
        try:
            return asked.ask(question, self.limit)
        except (HungError, CrashedError):
            with self._lock:
                self._running.discard(asked)
            raise

    def _start(self) -> _Program:
        try:
            started = _Program(self._argv)
        except (OSError, ValueError) as error:
            why = (isinstance(error, OSError) and error.strerror) or error
            raise AdapterError(f"cannot start {self._line!r}: {why}") from error
        with self._lock:
            self._running.add(started)
        return started

    def _greet(self, greeted: _Program) -> tuple[frozenset[str], str]:
        try:
            hello = self._asked(greeted, {"hello": 1}).get("hello")
        except (HungError, CrashedError) as error:
            raise AdapterError(
                f"{self._line!r} does not answer the greeting: {error}; {_GREETING}"
            ) from error
        greeting = as_object(hello)
        words, version = greeting.get("capabilities"), greeting.get("version")
        if not is_array(words):
            raise AdapterError(f"{self._line!r}: the greeting has no list of capabilities; {_GREETING}")
        return check_capabilities(words, self._line), version if isinstance(version, str) else ""

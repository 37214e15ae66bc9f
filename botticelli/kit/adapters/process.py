"""Judge a program in any language: JSON lines on its standard input and output.

The kit writes one object per line, and the program answers each with one line that repeats its ``id``:

    -> {"id": 0, "hello": 1}          <- {"id": 0, "hello": {"capabilities": ["generate", "stream"]}}
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

import contextlib
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.kit.adapters.adapter import check_capabilities
from botticelli.kit.adapters.limits import LIMIT, CrashedError, HungError, no_proxy_variables
from botticelli.kit.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.contracts.jsonvalue import Document

__all__ = ["LONGEST", "ProcessAdapter"]

LONGEST = 64 << 20
"""Bytes that an answer may have; far more than any case needs."""

_TAIL = 20  # lines of standard error that are reported for a program that died
_WIDE = 4096  # bytes kept of such a line
_AHEAD = 4  # unsolicited answers to buffer; further ones are dropped
_SHUTDOWN = 2.0  # seconds that programs have to end once their input is closed
_GREETING = 'it must answer {"id": 0, "hello": 1} with {"id": 0, "hello": {"capabilities": [...]}}'


_CREDENTIAL = re.compile(
    r"(?:^|_)(?:(?:API|ACCESS|SECRET|PRIVATE)_?KEY(?:_ID)?|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS|BASE_URL)$",
    re.IGNORECASE,
)


def _environment() -> dict[str, str]:
    """Return the environment for a program that is judged: loopback without proxies, and nobody's keys.

    The run is offline, and each call brings a key of its own, so that a program has no use for the user's,
    which are nobody else's business. A base URL would lead it past the cases.
    """
    kept = {name: value for name, value in os.environ.items() if not _CREDENTIAL.search(name)}
    return kept | no_proxy_variables(os.environ)


class _Program:
    """One running program, and the threads that write to it and read from it.

    Threads, because nothing else waits on pipes on every system; each ends with its pipe.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 -- the command is the user's own
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # its own process group, so that its children can be killed with it
        )
        self._asked = 0
        self._questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._error_lines: deque[str] = deque(maxlen=_TAIL)
        work = (self._write_questions, self._read_answers, self._read_error_lines)
        self._threads = [threading.Thread(target=target, daemon=True) for target in work]
        for thread in self._threads:
            thread.start()

    def ask(self, question: Document, limit: float) -> Document:
        """Send one line, wait for the one that answers it.

        Raises:
            HungError: No answer in ``limit`` seconds; the program has been killed.
            CrashedError: It died, or its answer isn't one to this question; it has been killed.
        """
        number, self._asked = self._asked, self._asked + 1
        self._questions.put(json.dumps({"id": number, **question}).encode() + b"\n")
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            self.end(0)
            raise HungError(f"no answer in {limit:g} s") from None
        if not line:
            self.end(_SHUTDOWN)  # its output is closed: wait for its own exit code, then kill it
            raise self._failed(f"the program ended with code {self._process.returncode}")
        if len(line) > LONGEST:
            raise self._failed(f"an answer of more than {LONGEST} bytes")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not is_object(answer):
            text = line.decode("utf-8", "backslashreplace").rstrip()
            raise self._failed(f"answered {text!r} and not a JSON object on a line")
        if answer.get("id") != number:
            raise self._failed(f"answered id {answer.get('id')!r} when it was asked id {number}")
        return answer

    def close_input(self) -> None:
        """Close the program's standard input, after everything queued has been written."""
        self._questions.put(None)

    def end(self, patience: float) -> None:
        """Wait ``patience`` seconds for the program to end, then kill it and all that it started."""
        self.close_input()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(_SHUTDOWN)
        if not any(thread.is_alive() for thread in self._threads):
            for pipe in filter(None, (self._process.stdin, self._process.stdout, self._process.stderr)):
                with contextlib.suppress(OSError):  # flushing to a program that has ended
                    pipe.close()

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _failed(self, what: str) -> CrashedError:
        self.end(0)
        return CrashedError(f"{what}; on standard error: {self._last_lines()}")

    def _last_lines(self) -> str:
        return "\n".join(self._error_lines) or "nothing"

    def _write_questions(self) -> None:
        pipe = self._process.stdin
        assert pipe  # noqa: S101 -- opened as a pipe
        # If the program no longer reads, its missing answer will be noticed.
        with contextlib.suppress(OSError):
            for line in iter(self._questions.get, None):
                pipe.write(line)
                pipe.flush()
            pipe.close()

    def _read_answers(self) -> None:
        pipe = self._process.stdout
        assert pipe  # noqa: S101 -- opened as a pipe
        with contextlib.suppress(queue.Full):
            while line := pipe.readline(LONGEST + 1):
                if line.strip():
                    self._answers.put_nowait(line)
            self._answers.put_nowait(b"")

    def _read_error_lines(self) -> None:
        pipe = self._process.stderr
        assert pipe  # noqa: S101 -- opened as a pipe
        while line := pipe.readline(_WIDE):
            self._error_lines.append(line.decode("utf-8", "replace").rstrip())


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
        try:
            program = self._start()
            self._capabilities = self._greet(program)
        except BaseException:  # also Ctrl-C: no program may go on running
            self.close()
            raise
        self._idle.append(program)

    @property
    def capabilities(self) -> frozenset[str]:
        """What the program declares that it can do."""
        return self._capabilities

    def exchange(self, call: Document) -> Document:
        """Make the call in the program that has made the calls with the same base_url.

        Raises:
            HungError: No answer in time.
            CrashedError: The program died, reported a crash, or answered with something else.
        """
        place = call["base_url"]
        with self._lock:
            program = self._busy.pop(place, None) or (self._idle.pop() if self._idle else None)
        if program is None:
            program = self._start()
            self._greet(program)
        answer = self._asked(program, {"call": call})
        with self._lock:
            if call["last"]:
                self._idle.append(program)
            else:
                self._busy[place] = program
        if "crash" in answer:
            raise CrashedError(str(answer["crash"]))
        outcome = answer.get("outcome")
        if not is_object(outcome):
            raise CrashedError("the answer has neither outcome nor crash")
        return outcome

    def close(self) -> None:
        """Kill the programs that are in a call; let the others end by closing their input."""
        with self._lock:
            programs, self._running = self._running, set()
            waiting = {*self._idle, *self._busy.values()}
            self._idle, self._busy = [], {}
        for program in programs - waiting:
            program.end(0)
        for program in waiting:
            program.close_input()
        until = time.monotonic() + _SHUTDOWN
        for program in waiting:
            program.end(max(0.0, until - time.monotonic()))

    def _asked(self, program: _Program, question: Document) -> Document:
        try:
            return program.ask(question, self.limit)
        except (HungError, CrashedError):
            with self._lock:
                self._running.discard(program)
            raise

    def _start(self) -> _Program:
        try:
            program = _Program(self._argv)
        except (OSError, ValueError) as error:
            why = (isinstance(error, OSError) and error.strerror) or error
            raise AdapterError(f"cannot start {self._line!r}: {why}") from error
        with self._lock:
            self._running.add(program)
        return program

    def _greet(self, program: _Program) -> frozenset[str]:
        try:
            hello = self._asked(program, {"hello": 1}).get("hello")
        except (HungError, CrashedError) as error:
            raise AdapterError(
                f"{self._line!r} does not answer the greeting: {error}; {_GREETING}"
            ) from error
        words = hello.get("capabilities") if is_object(hello) else None
        if not is_array(words):
            raise AdapterError(f"{self._line!r}: the greeting has no list of capabilities; {_GREETING}")
        return check_capabilities(words, self._line)

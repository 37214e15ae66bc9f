"""An adapter for programs in any language: JSON lines on standard input and output.

The judge writes one object per line and the program answers each with one line, which repeats the
question's ``id``:

    -> {"id": 0, "hello": 1}          <- {"id": 0, "hello": {"capabilities": ["generate", "stream"]}}
    -> {"id": 1, "call": {...}}       <- {"id": 1, "outcome": {...}}
                                   or <- {"id": 1, "crash": "traceback of an exception that is not the
                                          driver's own"}

One call at a time per program; the judge starts as many as it wants answers at once, keeps all
calls with one base_url in one program, and closes standard input when it is done. A program that
does not answer in time, answers another question than it was asked, or nonsense, is killed with
all that it has started; what it last wrote to standard error is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.kit.adapters.adapter import capable
from botticelli.kit.adapters.limits import LIMIT, CrashedError, HungError
from botticelli.kit.adapters.proxies import no_proxy_variables
from botticelli.kit.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.contracts.jsonvalue import Document

LONGEST = 64 << 20
"""Bytes that an answer may have; far more than any case can bring about."""

_TAIL = 20  # lines of standard error that are told of a program that died
_WIDE = 4096  # bytes of such a line that are kept
_AHEAD = 4  # answers that are read before they are wanted; who says more is not listened to
_PARTING = 2.0  # seconds that programs have to end once their input is closed
_GREETING = 'it is to answer {"id": 0, "hello": 1} with {"id": 0, "hello": {"capabilities": [...]}}'


class _Program:
    """One running program, and the threads that write to it and read from it.

    Threads, because nothing else waits on pipes on every system; each ends with its pipe.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - what the user asked to be run
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **no_proxy_variables(os.environ)},
            start_new_session=True,  # a group of its own, to be killed with all that it starts
        )
        self._asked = 0
        self._questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._complaints: deque[str] = deque(maxlen=_TAIL)
        work = (self._write_questions, self._read_answers, self._read_complaints)
        self._threads = [threading.Thread(target=target, daemon=True) for target in work]
        for thread in self._threads:
            thread.start()

    def ask(self, question: Document, limit: float) -> Document:
        """Send one line, wait for the one that answers it.

        Raises:
            HungError: No answer in ``limit`` seconds; the program has been killed.
            CrashedError: It died, or answered what is not asked for; it has been killed.
        """
        number, self._asked = self._asked, self._asked + 1
        self._questions.put(json.dumps({"id": number, **question}).encode() + b"\n")
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            self.end(0)
            raise HungError(f"no answer in {limit:g} s") from None
        if not line:
            self.end(_PARTING)  # it has closed its output, and ends with a code of its own, or is made to
            raise self._failed(f"the program ended with code {self._process.returncode}")
        if len(line) > LONGEST:
            raise self._failed(f"an answer of more than {LONGEST} bytes")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not is_object(answer):
            told = line.decode("utf-8", "backslashreplace").rstrip()
            raise self._failed(f"answered {told!r} and not a JSON object on a line")
        if answer.get("id") != number:
            raise self._failed(f"answered id {answer.get('id')!r} when it was asked id {number}")
        return answer

    def part(self) -> None:
        """Close the program's input, once what is to be written has been."""
        self._questions.put(None)

    def end(self, patience: float) -> None:
        """Wait ``patience`` seconds for the program to end, then end it and all that it started."""
        self.part()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(_PARTING)
        if not any(thread.is_alive() for thread in self._threads):
            for pipe in filter(None, (self._process.stdin, self._process.stdout, self._process.stderr)):
                with contextlib.suppress(OSError):  # what could not be written goes nowhere
                    pipe.close()

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _failed(self, what: str) -> CrashedError:
        self.end(0)
        return CrashedError(f"{what}; it said on standard error: {self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(self._complaints) or "nothing"

    def _write_questions(self) -> None:
        pipe = self._process.stdin
        assert pipe  # noqa: S101 - opened as a pipe
        # A program that reads no more is known by the answer that does not come.
        with contextlib.suppress(OSError):
            for line in iter(self._questions.get, None):
                pipe.write(line)
                pipe.flush()
            pipe.close()

    def _read_answers(self) -> None:
        pipe = self._process.stdout
        assert pipe  # noqa: S101 - opened as a pipe
        with contextlib.suppress(queue.Full):
            while line := pipe.readline(LONGEST + 1):
                if line.strip():
                    self._answers.put_nowait(line)
            self._answers.put_nowait(b"")

    def _read_complaints(self) -> None:
        pipe = self._process.stderr
        assert pipe  # noqa: S101 - opened as a pipe
        while line := pipe.readline(_WIDE):
            self._complaints.append(line.decode("utf-8", "replace").rstrip())


class ProcessAdapter:
    """A driver that is a program.

    Args:
        command: The command line, or its words.
        limit: Seconds that it has for one answer.

    Raises:
        AdapterError: It cannot be started or does not greet.
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
            self._capabilities = self._greeted(program)
        except BaseException:  # the user's Ctrl-C too: nothing goes on running
            self.close()
            raise
        self._idle.append(program)

    @property
    def capabilities(self) -> frozenset[str]:
        """What the program says that it can do."""
        return self._capabilities

    def exchange(self, call: Document) -> Document:
        """Make the call in the program that has made those with the same base_url.

        Raises:
            HungError: No answer in time.
            CrashedError: The program died, answered nonsense or reported a crash.
        """
        place = call["base_url"]
        with self._lock:
            program = self._busy.pop(place, None) or (self._idle.pop() if self._idle else None)
        if program is None:
            program = self._start()
            self._greeted(program)
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
        """End all programs: those in a call at once, the others when they have seen their input end."""
        with self._lock:
            programs, self._running = self._running, set()
            patient = {*self._idle, *self._busy.values()}
            self._idle, self._busy = [], {}
        for program in programs - patient:
            program.end(0)
        for program in patient:
            program.part()
        until = time.monotonic() + _PARTING
        for program in patient:
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

    def _greeted(self, program: _Program) -> frozenset[str]:
        try:
            hello = self._asked(program, {"hello": 1}).get("hello")
        except (HungError, CrashedError) as error:
            raise AdapterError(f"{self._line!r} does not greet: {error}; {_GREETING}") from error
        words = hello.get("capabilities") if is_object(hello) else None
        if not is_array(words):
            raise AdapterError(f"{self._line!r}: the greeting has no list of capabilities; {_GREETING}")
        return capable(words, self._line)

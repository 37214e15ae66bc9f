"""A door for programs in any language: JSON lines on standard input and output.

The judge writes one object per line and the program answers each with one line:

    -> {"hello": 1}                       <- {"hello": {"capabilities": ["generate", "stream"]}}
    -> {"call": {...}}                    <- {"outcome": {...}}
                                       or <- {"crash": "traceback of an exception that is not the
                                              driver's own"}

One call at a time per program; the judge starts as many as it wants answers at once, keeps all
calls with one base_url in one program, and closes standard input when it is done. What a program
writes to standard error is shown when it dies. A program that does not answer in time is killed.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shlex
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING

from botticelli.kit.door import LIMIT, CrashedError, HungError
from botticelli.kit.errors import DoorError
from botticelli.kit.values import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.kit.values import Document

_TAIL = 20  # lines of standard error that are shown of a program that died


class _Program:
    """One running program and the threads that read from it."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - what the user asked to be run
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._complaints: deque[str] = deque(maxlen=_TAIL)
        self._readers = [
            threading.Thread(target=self._read_answers, daemon=True),
            threading.Thread(target=self._read_complaints, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def ask(self, question: Document, limit: float) -> Document:
        """Send one line, wait for one.

        Raises:
            HungError: No answer in ``limit`` seconds; the program has been killed.
            CrashedError: It died, or answered what is not an object on a line.
        """
        assert self._process.stdin  # noqa: S101 - opened as a pipe
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._dead() from None
        try:
            line = self._lines.get(timeout=limit)
        except queue.Empty:
            self.end(kill=True)
            raise HungError(f"no answer in {limit:g} s") from None
        if line is None:
            raise self._dead()
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not is_object(answer):
            self.end(kill=True)
            raise CrashedError(f"answered {line[:200]!r} and not a JSON object on a line")
        return answer

    def end(self, *, kill: bool = False) -> None:
        """Close the program's input and wait until it is gone; kill it if it stays."""
        if kill:
            self._process.kill()
        assert self._process.stdin  # noqa: S101 - opened as a pipe
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join(1)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe and not any(reader.is_alive() for reader in self._readers):
                pipe.close()

    def _dead(self) -> CrashedError:
        self.end(kill=True)
        tail = "\n".join(self._complaints) or "nothing on standard error"
        return CrashedError(f"the program ended with code {self._process.returncode}: {tail}")

    def _read_answers(self) -> None:
        assert self._process.stdout  # noqa: S101 - opened as a pipe
        for line in self._process.stdout:
            if line.strip():
                self._lines.put(line)
        self._lines.put(None)

    def _read_complaints(self) -> None:
        assert self._process.stderr  # noqa: S101 - opened as a pipe
        self._complaints.extend(line.rstrip() for line in self._process.stderr)


class CommandDoor:
    """A driver that is a program.

    Args:
        command: The command line, or its words.
        limit: Seconds that it has for one answer.

    Raises:
        DoorError: It cannot be started or does not greet.
    """

    def __init__(self, command: str | Sequence[str], limit: float = LIMIT) -> None:
        self._argv = shlex.split(command) if isinstance(command, str) else list(command)
        self.limit = limit
        self._lock = threading.Lock()
        self._idle: list[_Program] = []
        self._busy: dict[str, _Program] = {}
        program, self._capabilities = self._start()
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
        program = program or self._start()[0]
        # An exception leaves the program behind: it is dead, or no longer to be trusted.
        answer = program.ask({"call": call}, self.limit)
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
        """End all programs."""
        with self._lock:
            programs = [*self._idle, *self._busy.values()]
            self._idle, self._busy = [], {}
        for program in programs:
            program.end()

    def _start(self) -> tuple[_Program, frozenset[str]]:
        line = shlex.join(self._argv)
        try:
            program = _Program(self._argv)
        except (OSError, IndexError) as error:
            raise DoorError(f"cannot start {line!r}: {error}") from error
        try:
            hello = program.ask({"hello": 1}, self.limit).get("hello")
        except (HungError, CrashedError) as error:
            raise DoorError(f"{line!r} does not greet: {error}") from error
        words = hello.get("capabilities") if is_object(hello) else None
        if not is_array(words) or not all(isinstance(word, str) for word in words):
            program.end(kill=True)
            raise DoorError(f"{line!r}: the greeting has no list of capabilities")
        return program, frozenset(words)

"""A program that is judged, or that holds what is judged: start it, speak to it by lines, end it.

It is ended with all that it has started. It gets the environment without variables whose names end like those
of keys and base URLs. Its standard error is read all the time, and its last lines are kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import is_object
from botticelli.kit.adapters.limits import no_proxy_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.contracts.jsonvalue import Document

__all__ = ["LONGEST", "PRINTED", "SHUTDOWN", "Program", "object_on_line"]

LONGEST = 64 << 20
"""Bytes that an answer may have; far more than any case needs."""

PRINTED = 64 << 10
"""Characters kept of what is printed during one case."""

SHUTDOWN = 2.0
"""Seconds that programs have to end once their input is closed."""

_TAIL = 20  # lines of standard error that are reported for a program that died
_WIDE = 4096  # bytes kept of such a line

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


def object_on_line(line: bytes) -> Document | None:
    """Return the JSON object on a line, or None where there is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if is_object(value) else None


class Program(ABC):
    """One running program, and the threads that write to it and read from it.

    Threads, because nothing else waits on pipes on every system; each ends with its pipe. Subclasses take
    what is read.

    Args:
        argv: The command line in words.
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
        self._questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._error_lines: deque[str] = deque(maxlen=_TAIL)
        self._printed: list[str] = []
        self._room = PRINTED
        work = (self._write_questions, self._read_answers, self._read_error_lines)
        self._threads = [threading.Thread(target=target, daemon=True) for target in work]
        for thread in self._threads:
            thread.start()

    @abstractmethod
    def answered(self, line: bytes) -> bool:
        """Take a line that the program wrote, or an empty one when it has closed its output.

        Returns:
            Whether to go on reading.
        """

    def complained(self, line: str) -> None:
        """Take a line that the program wrote to standard error."""
        if self._room > 0:
            self._room -= len(line)
            self._printed.append(line + "\n")

    def printed(self) -> str:
        """Return and forget what the program has written to standard error."""
        lines, self._printed, self._room = self._printed, [], PRINTED
        return "".join(lines)

    def send(self, question: Document) -> None:
        """Write one line to the program, without waiting for it to be read."""
        self._questions.put(json.dumps(question).encode() + b"\n")

    def close_input(self) -> None:
        """Close the program's standard input, after everything queued has been written."""
        self._questions.put(None)

    def last_words(self) -> str:
        """Return the last lines that it wrote to standard error."""
        return "\n".join(self._error_lines) or "nothing"

    def ending(self) -> str:
        """Say how the program ended."""
        code = self._process.returncode
        name = ""
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):  # a signal without a name
                name = f" ({signal.Signals(-code).name})"
        return f"ended with code {code}{name}"

    def end(self, patience: float) -> None:
        """Wait ``patience`` seconds for the program to end, then kill it and all that it started."""
        self.close_input()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._kill()
        self._process.wait()
        me = threading.current_thread()
        others = [thread for thread in self._threads if thread is not me]
        for thread in others:
            thread.join(SHUTDOWN)
        if me not in self._threads and not any(thread.is_alive() for thread in others):
            for pipe in filter(None, (self._process.stdin, self._process.stdout, self._process.stderr)):
                with contextlib.suppress(OSError):  # flushing to a program that has ended
                    pipe.close()

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

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
        while line := pipe.readline(LONGEST + 1):
            if line.strip() and not self.answered(line):
                return
        self.answered(b"")

    def _read_error_lines(self) -> None:
        pipe = self._process.stderr
        assert pipe  # noqa: S101 -- opened as a pipe
        while line := pipe.readline(_WIDE):
            text = line.decode("utf-8", "replace").rstrip()
            self._error_lines.append(text)
            self.complained(text)

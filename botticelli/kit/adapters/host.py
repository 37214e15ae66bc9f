"""The child process that holds an adapter in Python, so that nothing it does can spoil the run.

Started by hosted.py, which speaks JSON lines with it:

    -> {"id": 0, "open": "module:factory", "limit": 20}
                                     <- {"id": 0, "opened": {"capabilities": [...], "version": ""}},
                                        or "refused": "why"
    -> {"id": 1, "call": {...}}      <- {"id": 1, "outcome": {...}}, or "crash": "why" with "over": bool,
                                        "bystander": "why", "unusable": "why" or "hang": true in its place
    -> {"id": 2, "close": 5}         <- {"id": 2, "closed": null}, or why it can't be

Calls are answered as they end, many at a time. What the adapter prints during a call comes before its answer,
as ``{"id": 1, "printed": "..."}``; so does what it logs with the call's key in it, debug logs too. The
pipes are moved to private numbers: whatever writes to 1 or 2 writes to standard error.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import logging
import os
import sys
import threading
import time
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from botticelli.kit.adapters.adapter import said_version
from botticelli.kit.adapters.limits import BystanderError, CrashedError, HungError, RaisedError, make_call
from botticelli.kit.adapters.load import close_adapter, load_adapter
from botticelli.kit.adapters.program import LONGEST, PRINTED
from botticelli.kit.errors import AdapterError
from botticelli.kit.judge.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.adapters.adapter import Adapter

__all__ = ["main"]

_ROOM = LONGEST - 1024  # characters of an outcome; the rest is for what stands around it in the line
_PATIENCE = 1.0  # seconds that threads which the adapter left have to end with the process


class _Channel:
    """Writes lines to the parent, each as a whole."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, message: Document) -> None:
        left = memoryview(json.dumps(message).encode() + b"\n")
        with self._lock, contextlib.suppress(BrokenPipeError):  # the parent has gone
            while left:
                left = left[os.write(self._file, left) :]


class _Talk:
    """What is printed during one call: sent line by line, so that it isn't lost when the process dies."""

    def __init__(self, channel: _Channel, number: int) -> None:
        self._channel = channel
        self._number = number
        self._text = ""
        self._room = PRINTED
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        with self._lock:
            self._text += text[: self._room]
            self._room -= min(len(text), self._room)
            if "\n" in text or not self._room:
                self._send()

    def end(self) -> None:
        with self._lock:
            self._send()
            self._room = 0

    def _send(self) -> None:
        if self._text:
            self._channel.send({"id": self._number, "printed": self._text})
            self._text = ""


_TALK: ContextVar[_Talk | None] = ContextVar("botticelli_talk", default=None)


class _Printed(io.TextIOBase):
    """Standard output and error of the adapter: what is printed belongs to the call that prints it.

    A call is known by its context, which tasks inherit and threads don't: what a thread of the adapter's
    own prints goes to standard error, and belongs to the run.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self) -> None:
        self.buffer = os.fdopen(os.dup(2), "wb", buffering=0)

    def write(self, text: str) -> int:
        """Note a text with the call that prints it."""
        talk = _TALK.get()
        if talk is None:
            self.buffer.write(text.encode("utf-8", "backslashreplace"))
        else:
            talk.write(text)
        return len(text)

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def fileno(self) -> int:
        """Return the number of standard error."""
        return 2


class _Logged:
    """Looks at what is logged, at every level that loggers let pass, for the keys of the calls that are made.

    A user who looks for a fault turns on debug logs, and sends them to somebody. So the root logger lets
    everything pass, and records are read as they are made: no handler is added, for then the adapter's own
    `basicConfig` would do nothing. Where a thread of the adapter's own logs, the record may be of any call.
    """

    def __init__(self) -> None:
        self._open: dict[_Talk, Secrets] = {}
        self._make = logging.getLogRecordFactory()
        logging.setLogRecordFactory(self._record)
        logging.getLogger().setLevel(logging.DEBUG)

    @contextlib.contextmanager
    def watch(self, key: str | None, talk: _Talk) -> Generator[None, None, None]:
        """Look for a key until the block ends; a record that shows it belongs to `talk`."""
        if key:
            self._open[talk] = Secrets([key])
        try:
            yield
        finally:
            self._open.pop(talk, None)

    def _record(self, *args: Any, **options: Any) -> logging.LogRecord:
        record = self._make(*args, **options)
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1]:
                text += "\n" + "".join(traceback.format_exception(record.exc_info[1]))
        except Exception:  # noqa: BLE001 -- foreign arguments are formatted: who handles the record will say so
            return record
        watched = dict(self._open)
        talk = _TALK.get()
        for one in [talk] if talk in watched else watched:
            if watched[one].shown_in(text):
                one.write(f"logged by {record.name}, {record.levelname}: {text}\n")
        return record


class _Speaking:
    """The adapter, with what it prints noted."""

    def __init__(self, adapter: Adapter, talk: _Talk) -> None:
        self._adapter = adapter
        self._talk = talk

    @property
    def capabilities(self) -> frozenset[str]:
        return self._adapter.capabilities

    def exchange(self, call: Document) -> Document:
        _TALK.set(self._talk)  # this thread was made for the call
        return self._adapter.exchange(call)


def _made(adapter: Adapter, call: Document, limit: float, talk: _Talk) -> Document:
    """Make one call and return the answer to it."""
    try:
        outcome: object = make_call(_Speaking(adapter, talk), call, limit)
    except BystanderError as error:
        return {"bystander": str(error)}
    except HungError:
        return {"hang": True}
    except CrashedError as error:
        return {"crash": str(error), "over": not isinstance(error, RaisedError)}
    try:
        size = len(json.dumps(outcome))
    except (TypeError, ValueError, RecursionError) as error:
        return {"unusable": f"the outcome is not JSON: {type(error).__name__}: {error}"}
    if size > _ROOM:  # the parent would take it for something that isn't an answer, and end this process
        return {"unusable": f"the outcome has {size} characters of JSON, and {_ROOM} is the limit"}
    return {"outcome": outcome}


class _Host:
    def __init__(self, channel: _Channel) -> None:
        self._channel = channel
        self._adapter: Adapter | None = None
        self._limit = 0.0
        self._logged = _Logged()

    def answer(self, question: Document) -> None:
        """Answer one question: calls in a thread each, the others at once."""
        number = question["id"]
        if "call" in question:
            work = threading.Thread(target=self._call, args=(number, question["call"]), daemon=True)
            work.start()
        elif "open" in question:
            self._channel.send({"id": number, **self._open(question)})
        else:
            self._channel.send({"id": number, "closed": self._close(question["close"])})

    def _call(self, number: int, call: Document) -> None:
        assert self._adapter is not None  # noqa: S101 -- the parent opens it first
        talk = _Talk(self._channel, number)
        with self._logged.watch(call.get("api_key"), talk):
            answer = _made(self._adapter, call, self._limit, talk)
        talk.end()
        self._channel.send({"id": number, **answer})

    def _open(self, question: Document) -> Document:
        self._limit = question["limit"]
        try:
            self._adapter = load_adapter(question["open"], limit=self._limit)
        except AdapterError as error:
            return {"refused": str(error)}
        claims, version = sorted(self._adapter.capabilities), said_version(self._adapter)
        return {"opened": {"capabilities": claims, "version": version}}

    def _close(self, limit: float) -> str | None:
        try:
            if self._adapter is not None:
                close_adapter(self._adapter, limit)
        except AdapterError as error:
            return str(error)
        return None


def _private_pipes() -> tuple[int, int]:
    """Move the pipes to the parent where the adapter doesn't find them; return both."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return incoming, outgoing


def _no_core_files() -> None:
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_soon(after: Callable[[], Any] = lambda: time.sleep(_PATIENCE)) -> None:
    """End the process soon, though threads that the adapter left may still run."""

    def end() -> None:
        after()
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()


def main() -> None:
    """Answer the parent until it closes the pipe."""
    incoming, outgoing = _private_pipes()
    _no_core_files()
    faulthandler.enable(file=2)  # says where the process is when it dies, or when the parent aborts it
    sys.stdout = sys.stderr = _Printed()
    host = _Host(_Channel(outgoing))
    with os.fdopen(incoming, "rb") as questions:
        for line in questions:
            host.answer(json.loads(line))
    _end_soon()

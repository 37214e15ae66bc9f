"""An adapter in Python that runs in a child process (host.py): whatever it does, the run goes on.

All cases share one child, as they would share one process of an application. When it dies or no longer
answers, the cases that were in it are :class:`~botticelli.kit.adapters.limits.BystanderError`: nobody knows
yet which of them is to blame. The runner plays each again through :meth:`HostedAdapter.alone`, where only the
guilty one fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from botticelli.kit.adapters import program
from botticelli.kit.adapters.clients.registry import NODE
from botticelli.kit.adapters.limits import LIMIT, BystanderError, CrashedError, HungError, RaisedError
from botticelli.kit.adapters.load import OPENING, load_adapter
from botticelli.kit.adapters.program import PRINTED, SHUTDOWN, Program, object_on_line
from botticelli.kit.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Generator

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.adapters.adapter import Adapter

__all__ = ["HostedAdapter", "open_adapter"]

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from botticelli.kit.adapters.host import main; main()"
)
_PATIENCE = 1.4  # the child keeps the limit itself; it is waited for this many times longer
_MARGIN = 2.0  # and so many seconds, which a busy machine may take to say so
_LAST_WORDS = 0.5  # seconds in which a child that doesn't answer may say where it is
_SEVERAL = 2  # cases played alone at once, each in a child of its own


class _Child(Program):
    """One child, and the calls that wait for an answer from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._waiting: dict[int, queue.SimpleQueue[Document | None]] = {}
        self._places: dict[int, str] = {}
        self._texts: defaultdict[str, list[str]] = defaultdict(list)
        self._why_lost = ""
        self.served: set[tuple[str, str]] = set()  # a port may come back, with another case
        self.open_places: set[str] = set()
        self.retired = False
        super().__init__([sys.executable, "-c", _BOOT, json.dumps(sys.path)])
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def lost(self) -> bool:
        """Whether it has died, or been ended because it didn't answer."""
        return bool(self._why_lost)

    def ask(self, question: Document, limit: float, place: str = "") -> Document:
        """Ask one question and wait for its answer.

        Args:
            question: What to send.
            limit: Seconds to wait.
            place: The base_url of a call, which what is printed belongs to.

        Raises:
            HungError: No answer in time; the child has been ended.
            CrashedError: It died.
        """
        answers: queue.SimpleQueue[Document | None] = queue.SimpleQueue()
        with self._lock:
            if self._why_lost:
                raise CrashedError(self._why_lost)
            number, self._asked = self._asked, self._asked + 1
            self._waiting[number] = answers
            self._places[number] = place
        self.send({"id": number, **question})
        try:
            answer = answers.get(timeout=limit)
        except queue.Empty:
            self._abort()
            raise HungError(f"no answer in {limit:g} s") from None
        if answer is None:
            raise CrashedError(self._why_lost)
        return answer

    def answered(self, line: bytes) -> bool:
        """Hand an answer to who waits for it, and note what is printed."""
        answer = object_on_line(line) if 0 < len(line) <= program.LONGEST else None
        if answer is None:
            what = "" if not line else "something wrote to the pipe between the kit and the adapter: "
            self._lose(what)
            return False
        number: Any = answer.get("id")
        with self._lock:
            if "printed" in answer:
                self._texts[self._places.get(number, "")].append(str(answer["printed"]))
                return True
            waiting = self._waiting.pop(number, None)
            self._places.pop(number, None)
        if waiting is not None:
            waiting.put(answer)
        return True

    def complained(self, line: str) -> None:
        """Note a line that the process wrote with all cases that were in it then."""
        with self._lock:
            for place in set(self._places.values()):
                self._texts[place].append(line + "\n")

    def printed_at(self, place: str) -> str:
        """Return and forget what was printed during the calls of a place."""
        with self._lock:
            return "".join(self._texts.pop(place, ()))[:PRINTED]

    def _watch(self) -> None:
        """Notice the death of a child whose own children keep its pipes open."""
        self._process.wait()
        self._kill()
        for thread in self._threads:
            thread.join(SHUTDOWN)
        self._lose("")

    def _abort(self) -> None:
        """End a child that doesn't answer, after it has said where it is (faulthandler)."""
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._process.pid, signal.SIGABRT)
        self._lose("it didn't answer any more, and was ended: ", _LAST_WORDS)

    def _lose(self, what: str, patience: float = SHUTDOWN) -> None:
        self.end(patience)
        with self._lock:
            if not self._why_lost:
                self._why_lost = (
                    f"{what}the process of the adapter {self.ending()}; "
                    f"on standard error: {self.last_words()}"
                )
            waiting, self._waiting = self._waiting, {}
        for answers in waiting.values():
            answers.put(None)


class HostedAdapter:
    """An adapter in a child process.

    Args:
        spec: ``package.module:factory``, found where this process finds modules.
        limit: Seconds that the client has for one call.

    Raises:
        AdapterError: There is no such thing, or it isn't an adapter.
    """

    keeps_limits: Final = True
    """Its calls return in time by themselves."""

    def __init__(self, spec: str, limit: float = LIMIT) -> None:
        self._spec = spec
        self._limit = limit
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._children: set[_Child] = set()
        self._shared: _Child | None = None
        self._by_place: dict[str, _Child] = {}
        self._closed = False
        self._single = threading.Semaphore(_SEVERAL)
        self._spare: list[_Child] = []
        self._texts: dict[str, str] = {}
        self._losses: dict[_Child, tuple[str, set[str]]] = {}
        try:
            self._shared, self._opened = self._start()
        except BaseException:  # also Ctrl-C: no child may go on running
            self.kill()
            raise

    @property
    def capabilities(self) -> frozenset[str]:
        """What the adapter declares that its client can do."""
        return frozenset(self._opened["capabilities"])

    @property
    def version(self) -> str:
        """The client's version, where the adapter tells it."""
        return str(self._opened["version"])

    def exchange(self, call: Document) -> Document:
        """Make the call in the child that all cases share.

        Raises:
            HungError: No outcome in time.
            BystanderError: The child was lost, and this case may have nothing to do with it.
            CrashedError: The client raised something, or the child died of this call.
        """
        return self.call_in(self._child_for(call["base_url"]), call)

    @contextlib.contextmanager
    def alone(self, *, fresh: bool = False) -> Generator[_Alone, None, None]:
        """Give one case a child in which no other case runs.

        A child that survives a case gets the next one. So what an earlier case left in it may still end it;
        then :class:`BystanderError` is raised once more.

        Args:
            fresh: Start a new child, in which nothing is left of anything.
        """
        with self._single:
            with self._lock:
                child = self._spare.pop() if self._spare and not fresh else None
            if child is not None and child.lost:
                self._forget(child)
                child = None
            try:
                child = child or self._start()[0]
            except AdapterError as error:
                raise CrashedError(str(error)) from error
            try:
                yield _Alone(self, child)
            finally:
                with self._lock:
                    keep = not (child.lost or child.retired or self._closed)
                    if keep:
                        self._spare.append(child)
                if not keep:
                    self._forget(child)

    def call_in(self, child: _Child, call: Document, *, alone: bool = False) -> Document:
        """Make the call in one child, perhaps with nothing beside it; for the errors see :meth:`exchange`."""
        place: str = call["base_url"]
        child.served.add((place, call["case"]))
        try:
            answer = self._asked(child, call, place, alone=alone)
        finally:
            text = child.printed_at(place)
            with self._lock:
                if text:
                    self._texts[place] = (self._texts.get(place, "") + text)[:PRINTED]
        return _outcome_of(answer)

    def printed(self, base_url: str) -> str:
        """Return and forget what was printed during the calls with this base_url."""
        with self._lock:
            return self._texts.pop(base_url, "")

    def unexplained(self) -> list[str]:
        """Say which children were lost though none of the cases in them fails alone."""
        with self._lock:
            losses = list(self._losses.values())
        return [
            f"{why} (while {', '.join(sorted(cases))} {'was' if len(cases) == 1 else 'were'} played, "
            "which alone end no process)"
            for why, cases in losses
        ]

    def close(self) -> None:
        """Close the adapter in the child that all share, then end every child.

        Raises:
            CrashedError: It cannot be closed.
            HungError: It doesn't close in time.
        """
        with self._lock:
            self._closed = True
            shared = self._shared
        try:
            if shared is not None and not shared.lost:
                said = shared.ask({"close": self._limit}, self._limit * _PATIENCE + _MARGIN).get("closed")
                if said is not None:
                    raise CrashedError(str(said).removeprefix("the driver cannot be closed: "))
                shared.close_input()
                shared.end(SHUTDOWN)
        finally:
            self.kill()

    def kill(self) -> None:
        """End every child at once."""
        with self._lock:
            self._closed = True
            children, self._children = self._children, set()
        for child in children:
            child.end(0)

    def _asked(self, child: _Child, call: Document, place: str, *, alone: bool) -> Document:
        try:
            answer = child.ask({"call": call}, self._limit * _PATIENCE + _MARGIN, place)
        except (HungError, CrashedError) as error:
            with self._lock:
                if child.served != {(place, call["case"])}:
                    why, cases = self._losses.setdefault(child, (str(error), set()))
                    cases.add(call["case"])
                    raise BystanderError(why) from error
                self._blame(call["case"])
            raise
        finally:
            if call["last"] or child.lost:
                self._leave(child, place)
        if "hang" in answer:
            if alone:
                with self._lock:
                    self._blame(call["case"])
            # What hangs goes on, and takes its share of the processor. New cases get a new child.
            self._retire(child)
        if "hang" in answer or "bystander" in answer or answer.get("over"):
            # No further call of the case comes here.
            self._leave(child, place)
        return answer

    def _blame(self, case: str) -> None:
        """Note that a case fails alone: it is to blame for the children that were lost with it before."""
        for child in [one for one, (_, cases) in self._losses.items() if case in cases]:
            del self._losses[child]

    def _child_for(self, place: str) -> _Child:
        with self._starting:  # the others wait, rather than start a child each
            with self._lock:
                found = self._by_place.get(place)
                if found is None and self._shared is not None and not self._shared.lost:
                    found = self._shared
            if found is None:
                try:
                    found = self._start()[0]
                except AdapterError as error:
                    raise CrashedError(str(error)) from error
            with self._lock:
                if found is not self._shared and not found.retired:
                    self._shared = found
                self._by_place[place] = found
                found.open_places.add(place)
        return found

    def _retire(self, child: _Child) -> None:
        with self._lock:
            child.retired = True
            if self._shared is child:
                self._shared = None

    def _leave(self, child: _Child, place: str) -> None:
        """Note that a case has ended; a retired child goes with its last case."""
        with self._lock:
            self._by_place.pop(place, None)
            child.open_places.discard(place)
            over = child.retired and not child.open_places
        if over:
            self._forget(child)

    def _forget(self, child: _Child) -> None:
        child.end(0)
        with self._lock:
            self._children.discard(child)

    def _start(self) -> tuple[_Child, Document]:
        with self._lock:
            if self._closed:
                raise AdapterError(f"{self._spec} has been closed")
            child = _Child()
            self._children.add(child)
        question = {"open": self._spec, "limit": self._limit}
        try:
            answer = child.ask(question, OPENING * _PATIENCE)
        except (HungError, CrashedError) as error:
            self._forget(child)
            raise AdapterError(f"cannot open {self._spec}: {error}") from error
        if "refused" in answer:
            self._forget(child)
            raise AdapterError(str(answer["refused"]))
        return child, answer["opened"]


class _Alone:
    """The adapter as one case sees it that has a child to itself."""

    keeps_limits: Final = True

    def __init__(self, adapter: HostedAdapter, child: _Child) -> None:
        self._adapter = adapter
        self._child = child
        self.printed = adapter.printed

    @property
    def capabilities(self) -> frozenset[str]:
        """What the adapter declares that its client can do."""
        return self._adapter.capabilities

    def exchange(self, call: Document) -> Document:
        """Make the call in the child; for the errors see :meth:`HostedAdapter.exchange`."""
        return self._adapter.call_in(self._child, call, alone=True)


def open_adapter(spec: str, *, limit: float = LIMIT, in_process: bool = False) -> Adapter:
    """Open the adapter that a user names, where it can't spoil the run.

    Args:
        spec: As for :func:`~botticelli.kit.adapters.load.load_adapter`.
        limit: Seconds that the client has for one call.
        in_process: Import an adapter in Python into this process, for a debugger.

    Raises:
        AdapterError: There is no such thing, or it isn't an adapter.
    """
    if in_process or spec.startswith("command:") or spec in NODE:
        return load_adapter(spec, limit=limit)
    return HostedAdapter(spec, limit)


def _outcome_of(answer: Document) -> Document:
    if "bystander" in answer:
        raise BystanderError(str(answer["bystander"]))
    if "hang" in answer:
        raise HungError("no outcome in time")
    if "crash" in answer:
        raise (CrashedError if answer["over"] else RaisedError)(str(answer["crash"]))
    if "unusable" in answer:
        # The judge rejects it by its schema, and quotes it.
        return {str(answer["unusable"]): None}
    outcome: Document = answer["outcome"]
    return outcome

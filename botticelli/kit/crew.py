"""Threads that do one thing many times, and that nobody has to wait for.

May enter: tasks and what is to be done with each. An executor of the standard library is waited for
at the end of the process; a run that the user interrupts has to end at once, whatever still hangs.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Task = TypeVar("Task")
Result = TypeVar("Result")


class DaemonPool(Generic[Task, Result]):
    """Daemon threads at work on a list of tasks.

    Args:
        work: Done for each task.
        size: Threads at most.
    """

    def __init__(self, work: Callable[[Task], Result], size: int) -> None:
        self._work = work
        self._size = size
        self._todo: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Task, Result] | Exception] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def do(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Begin all tasks in order; yield each with its result as it is done.

        Raises:
            Exception: What ``work`` raised.
        """
        total = 0
        for task in tasks:
            self._todo.put(task)
            total += 1
        for _ in range(min(self._size, total)):
            thread = threading.Thread(target=self._run, name="botticelli-case", daemon=True)
            self._threads.append(thread)
            thread.start()
        for _ in range(total):
            done = self._done.get()
            if isinstance(done, Exception):
                raise done
            yield done
        for thread in self._threads:
            thread.join()

    def leave(self, after: Callable[[], None] | None = None) -> None:
        """Begin no other task, and do ``after`` once those are over that have begun. Waits for nothing."""
        for _ in self._left():
            pass
        busy = [thread for thread in self._threads if thread.is_alive()]

        def finish() -> None:
            for thread in busy:
                thread.join()
            if after is not None:
                after()

        if busy:
            threading.Thread(target=finish, name="botticelli-left", daemon=True).start()
        else:
            finish()

    def _left(self) -> Iterator[Task]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._todo.get_nowait()

    def _run(self) -> None:
        for task in self._left():
            try:
                self._done.put((task, self._work(task)))
            except Exception as error:  # noqa: BLE001 - raised again where the results are taken
                self._done.put(error)

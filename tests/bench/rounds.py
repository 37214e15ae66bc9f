"""Measuring: CPU seconds of this process or of a child, the best of interleaved rounds.

The contenders take turns within each round, so that whatever disturbs the machine disturbs them all, and
the best round counts, because noise only adds. CPU time is user and system time together: reading from a
socket is part of the work. The server's is not, for it is another process.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from .contenders import CONTENDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from .contenders import Contender

    Run: TypeAlias = Callable[["Contender", asyncio.Runner], str]


class Workload(NamedTuple):
    """What each contender does.

    Attributes:
        play: What the server plays.
        run: One run of a contender; gives the text it read.
        units: Into how many parts the time of a run is divided.
        repeat: Runs per round; short ones need more for the clock.
    """

    play: str
    run: Run
    units: int
    repeat: int


def single(contender: Contender, _: asyncio.Runner) -> str:
    return contender.single()


def stream(contender: Contender, _: asyncio.Runner) -> str:
    return contender.stream()


def together(contender: Contender, runner: asyncio.Runner, count: int = 64) -> str:
    async def main() -> str:
        return "".join(await asyncio.gather(*(contender.asingle() for _ in range(count))))

    return runner.run(main())


@contextmanager
def server() -> Generator[str]:
    """The canned server in a process of its own; gives its origin."""
    command = [sys.executable, "-m", "tests.bench.server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()


def race(origin: str, workloads: Mapping[str, Workload], rounds: int) -> dict[str, dict[str, float]]:
    """CPU seconds per unit, by workload and contender.

    Raises:
        AssertionError: They didn't all read the same text.
    """
    with asyncio.Runner() as runner:
        entries = {
            name: [make(f"{origin}/{workload.play}") for make in CONTENDERS]
            for name, workload in workloads.items()
        }
        for name, workload in workloads.items():  # also the warm-up
            texts = {contender.name: workload.run(contender, runner) for contender in entries[name]}
            assert len(set(texts.values())) == 1, {who: len(text) for who, text in texts.items()}
        best = {name: {entry.name: float("inf") for entry in entries[name]} for name in workloads}
        gc.collect()
        gc.freeze()  # what the imports left behind is nobody's to traverse
        for _ in range(rounds):
            for name, workload in workloads.items():
                for contender in entries[name]:
                    spent = _spent(workload, contender, runner)
                    best[name][contender.name] = min(best[name][contender.name], spent)
        for contenders in entries.values():
            for contender in contenders:
                runner.run(contender.aclose())
    return best


def _spent(workload: Workload, contender: Contender, runner: asyncio.Runner) -> float:
    start = time.process_time()
    for _ in range(workload.repeat):
        workload.run(contender, runner)
    return (time.process_time() - start) / workload.repeat / workload.units


def starts(programs: Mapping[str, str], rounds: int) -> dict[str, float]:
    """CPU seconds of interpreters that run these programs and end, by their names."""
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(rounds):
        for name, program in programs.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", program], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            best[name] = min(best[name], spent)
    return best

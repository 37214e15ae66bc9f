"""What judging costs: seconds of a whole run, CPU of the kit's own per case, and memory.

Each run is a process of its own, this module as a program: ``python -m tests.bench.kit [CASE ...]`` plays the
cases for both drivers, and prints one line of JSON. The adapter is a child of that process, so that what the
client costs isn't counted as the kit's.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import time
from typing import NamedTuple

from botticelli.kit.cases.case import load_cases
from botticelli.kit.check import run_check
from botticelli.kit.selection import select_cases

from .memory import resident_peak

ORDINARY = ("json", "usage", "finish", "unicode", "choices")
"""Areas whose cases have a small answer and wait for nothing."""

_DRIVERS = ("botticelli.providers.adapters:huggingface", "botticelli.providers.adapters:async_huggingface")


class Cost(NamedTuple):
    """What a run took.

    Attributes:
        wall: Seconds on the clock, from the start of the command.
        own: CPU seconds of the kit's process.
        memory: Bytes that the kit's process held at most; 0 where the system doesn't tell.
        cases: How many were judged.
    """

    wall: float
    own: float
    memory: int
    cases: int


def play(*cases: str) -> Cost:
    """Judge both drivers in another process; no cases means all.

    Raises:
        AssertionError: Something failed, so that the figures are those of something else.
    """
    begin = time.perf_counter()
    command = [sys.executable, "-m", "tests.bench.kit", *cases]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert not told["failed"], told["failed"]
    return Cost(time.perf_counter() - begin, told["own"], told["memory"], told["cases"])


def per_case(rounds: int) -> float:
    """CPU seconds of the kit's own for one ordinary case; the start of the command isn't counted."""
    found = float("inf")
    for _ in range(rounds):
        many, one = play(*ORDINARY), play("json-minimal")
        found = min(found, (many.own - one.own) / (many.cases - one.cases))
    return found


def main() -> None:
    out, words = io.StringIO(), sys.argv[1:]
    code = run_check(_DRIVERS, out=out, select=words, seed=1)
    spent = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "failed": out.getvalue() if code else "",
        "own": spent.ru_utime + spent.ru_stime,
        "memory": resident_peak(),
        "cases": len(_DRIVERS) * len(select_cases(load_cases(), words)),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()

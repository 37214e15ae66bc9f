"""Botticelli beside bare httpx + msgspec, `openai` and `huggingface_hub`: `python -m tests.bench`.

All in one run against one loopback server, as CPU time; `rounds` says how it is measured, `contenders`
what each one does, `server` what is played, `kit` what judging costs. The exit code is 0, whatever the
figures, for they depend on the machine; with `--check` it is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from importlib.metadata import version
from typing import NamedTuple

from . import kit
from .contenders import Bare, Botticelli, HuggingFaceHub, OpenAi
from .rounds import Workload, race, server, single, starts, stream, together
from .server import CHUNKS

WORKLOADS = {
    "a stream, 4-KiB pieces": Workload("lumps", stream, CHUNKS, 1),
    "a stream, one chunk per piece": Workload("steps", stream, CHUNKS, 1),
    "the same, deviating, 4-KiB pieces": Workload("keyless-lumps", stream, CHUNKS, 1),
    "the same, deviating, one per piece": Workload("keyless-steps", stream, CHUNKS, 1),
    "the same, mistyped, 4-KiB pieces": Workload("mistyped-lumps", stream, CHUNKS, 1),
    "the same, vendor members, 4-KiB pieces": Workload("vendor-lumps", stream, CHUNKS, 1),
    "a single answer": Workload("single", single, 1, 50),
    "a single answer, without refusal": Workload("usual", single, 1, 50),
    "64 answers at once, async": Workload("single", together, 64, 10),
}
LUMPS, STEPS, KEYLESS_LUMPS, KEYLESS_STEPS, MISTYPED, VENDOR, SINGLE, USUAL, TOGETHER = WORKLOADS
UNITS = dict.fromkeys(WORKLOADS, "µs per chunk") | dict.fromkeys((SINGLE, USUAL, TOGETHER), "µs per answer")

START = "start to first client"
PROGRAMS = {
    Bare.name: "import httpx, msgspec; httpx.Client()",
    Botticelli.name: "from botticelli import HuggingFaceDriver; HuggingFaceDriver('m', api_key='k')",
    OpenAi.name: "from openai import OpenAI; OpenAI(api_key='k')",
    HuggingFaceHub.name: "from huggingface_hub import InferenceClient; InferenceClient('m', api_key='k')",
}


class Target(NamedTuple):
    """A ratio that is wanted; without a limit it is only told."""

    what: str
    measured: float
    most: float | None = None
    least: float | None = None

    def row(self) -> str:
        wanted = f"≤ {self.most}" if self.most else f"≥ {self.least}" if self.least else ""
        verdict = ("missed" if self.missed else "met") if wanted else ""
        return f"{self.what:<62}{self.measured:>9.2f}  {wanted:<7} {verdict}"

    @property
    def missed(self) -> bool:
        too_much = self.most is not None and self.measured > self.most
        return too_much or (self.least is not None and self.measured < self.least)


def megabytes(origin: str, how: str) -> tuple[float, float]:
    """What a stream of a million chunks took, and its text."""
    command = [sys.executable, "-m", "tests.bench.memory", origin, how]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(told[0]) / 1e6, int(told[1]) / 1e6


def print_times(best: dict[str, dict[str, float]], started: dict[str, float]) -> None:
    names = list(PROGRAMS)
    print(f"{'':<40}{'unit':<15}", *(f"{name:>20}" for name in names))
    for what, spent in best.items():
        print(f"{what:<40}{UNITS[what]:<15}", *(f"{spent[name] * 1e6:>20.2f}" for name in names))
    print(f"{START:<40}{'ms':<15}", *(f"{started[name] * 1e3:>20.0f}" for name in names))


def targets(
    best: dict[str, dict[str, float]],
    started: dict[str, float],
    memory: tuple[float, float],
    judged: kit.Cost,
    case: float,
) -> list[Target]:
    def ours(what: str, other: str = Bare.name) -> float:
        return best[what][Botticelli.name] / best[what][other]

    def deviating(what: str, conforming: str) -> float:
        return best[what][Botticelli.name] / best[conforming][Botticelli.name]

    return [
        Target("stream, 4-KiB pieces: botticelli / bare", ours(LUMPS), most=2.5),
        Target("stream, one per piece: botticelli / bare", ours(STEPS), most=2.5),
        Target("stream, 4-KiB pieces: openai / botticelli", 1 / ours(LUMPS, OpenAi.name), least=30),
        Target("stream, one per piece: openai / botticelli", 1 / ours(STEPS, OpenAi.name)),
        Target("stream, 4-KiB pieces: deviating / conforming", deviating(KEYLESS_LUMPS, LUMPS), most=2),
        Target("stream, one per piece: deviating / conforming", deviating(KEYLESS_STEPS, STEPS), most=2),
        Target("stream, 4-KiB pieces: mistyped / conforming", deviating(MISTYPED, LUMPS), most=4),
        Target("stream, 4-KiB pieces: vendor members / conforming", deviating(VENDOR, LUMPS), most=1.3),
        Target("single answer: botticelli / bare", ours(SINGLE), most=1.12),
        Target("single answer without refusal: botticelli / bare", ours(USUAL), most=1.12),
        Target("64 answers at once, async: botticelli / bare", ours(TOGETHER), most=1.15),
        Target("start: botticelli / bare", started[Botticelli.name] / started[Bare.name], most=1.25),
        Target("a million chunks: memory / text (tracemalloc's peak)", memory[0] / memory[1], most=2),
        Target("the kit: seconds for every case, sync and async", judged.wall, most=15),
        Target("the kit: CPU ms of its own per ordinary case", case * 1e3, most=10),
        Target("the kit: MB of memory", judged.memory / 1e6, most=150),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Botticelli beside other clients, as CPU time."
    )
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds per workload; default: 7")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    rounds: int = options.rounds
    packages = ("httpx", "msgspec", "openai", "huggingface_hub")
    print(
        f"CPU time, best of {rounds} interleaved rounds; Python {platform.python_version()},",
        ", ".join(f"{package} {version(package)}" for package in packages),
    )
    with server() as origin:
        best = race(origin, WORKLOADS, rounds)
        started = starts(PROGRAMS, rounds)
        memory, resident = megabytes(origin, "traced"), megabytes(origin, "resident")
    judged, case = kit.play(), kit.per_case(rounds)
    print()
    print_times(best, started)
    print()
    print(f"a stream of a million chunks: {memory[1]:.1f} MB of text; tracemalloc's peak {memory[0]:.1f} MB,")
    print(f"resident memory grew by {resident[0]:.1f} MB without tracing (0 where the system doesn't tell)")
    print()
    print(f"judging with {judged.cases} cases: {judged.wall:.1f} s, {judged.own:.1f} s of CPU the kit's own")
    print()
    print(f"{'ratio':<62}{'measured':>9}  {'wanted':<7} verdict")
    found = targets(best, started, memory, judged, case)
    for target in found:
        print(target.row())
    return int(bool(options.check) and any(target.missed for target in found))


if __name__ == "__main__":
    sys.exit(main())

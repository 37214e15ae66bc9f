"""Recorded runs of real servers are judged as they were settled, without a server."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from botticelli.kit.probes.archive import read_runs
from botticelli.kit.probes.check import judge_saved
from botticelli.kit.probes.probe import load_probes, probes_folder
from botticelli.kit.probes.verdict import Outcome
from botticelli.kit.report.model import LEVELS, score, tally
from botticelli.kit.report.running import run_of

SERVERS = Path(__file__).parents[1] / "matrix" / "SERVERS.md"
RUNS = sorted((probes_folder() / "runs").glob("*.zip"))
PROBES = {probe.id: probe for probe in load_probes()}


def test_there_are_recorded_runs_and_none_is_large() -> None:
    assert [path.stem.rpartition("-")[0] for path in RUNS] == ["llama-cpp-python", "mlx-lm", "transformers"]
    assert all(path.stat().st_size < 300_000 for path in RUNS)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_recorded_run_is_judged_as_it_was_settled(path: Path) -> None:
    (saved,) = read_runs(path)
    _, judgements = judge_saved(saved, PROBES)
    settled = json.loads(path.with_suffix(".json").read_text())
    assert {name: one.outcome.value for name, one in judgements.items()} == settled


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_finding_of_a_recorded_run_is_settled_in_words(path: Path) -> None:
    name = path.stem.rpartition("-")[0]
    [section] = re.findall(rf"(?ms)^## {name} .*?(?=^## |\Z)", SERVERS.read_text())
    patterns = re.findall(r"`([a-z0-9-]+\*?)`", section)
    (saved,) = read_runs(path)
    report, judgements = judge_saved(saved, PROBES)
    found = [one for one, judged in judgements.items() if judged.outcome is not Outcome.OBEYED]
    assert [one for one in found if not any(fnmatchcase(one, pattern) for pattern in patterns)] == []
    whole = tally(run_of(report).results)
    counts = [score(whole, level) for level in LEVELS]
    row = " | ".join(f"{one.kept} of {one.judged}" for one in counts)
    assert re.search(rf"^\| {name} .* \| {row} \|", SERVERS.read_text().replace(" serve", ""), re.MULTILINE)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_recorded_run_names_no_place_of_ours_and_no_key(path: Path) -> None:
    (saved,) = read_runs(path)
    kept = [one for exchanges in saved.exchanges.values() for one in exchanges]
    text = b"".join(one.head + one.body + b"".join(piece.data for piece in one.pieces) for one in kept)
    for word in (b"/root/", b"/work/", b"sk-none", b"sk-test"):
        assert word not in text

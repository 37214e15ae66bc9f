"""Recorded runs of real servers are judged as they were settled, without a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from botticelli.kit.probes.archive import read_runs
from botticelli.kit.probes.check import judge_saved
from botticelli.kit.probes.probe import load_probes, probes_folder

if TYPE_CHECKING:
    from pathlib import Path

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
def test_a_recorded_run_names_no_place_of_ours_and_no_key(path: Path) -> None:
    (saved,) = read_runs(path)
    kept = [one for exchanges in saved.exchanges.values() for one in exchanges]
    text = b"".join(one.head + one.body + b"".join(piece.data for piece in one.pieces) for one in kept)
    for word in (b"/root/", b"/work/", b"sk-none", b"sk-test"):
        assert word not in text

"""The matrix: what it says about a report, and that the one that is kept fits what is pinned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from botticelli.kit.report import model

from .__main__ import ALL, BEGIN, END, HERE, ROOT, Implementation, pinned, table, with_table, without_evidence

KEPT = HERE / "matrix.json"


@pytest.fixture(scope="module")
def report() -> model.Report:
    return model.read_report(KEPT)


def test_every_implementation_is_in_the_matrix_in_the_version_that_is_pinned(report: model.Report) -> None:
    assert [run.name for run in report.runs] == [one.word for one in ALL]
    pins = pinned()
    for run, one in zip(report.runs, ALL, strict=True):
        pin = pins.get(f"npm:{one.package}" if one.word.startswith("npm:") else one.package, run.version)
        assert run.version == pin, f"just matrix {run.name}"


def test_readme_shows_the_matrix_that_is_kept(report: model.Report) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert with_table(readme, table(report)) == readme


def test_our_own_drivers_keep_every_must_and_should(report: model.Report) -> None:
    for run in report.runs[:2]:
        assert not [result.case for result in run.results if result.fails_run]


def test_every_broken_must_was_read_on_the_wire(report: model.Report) -> None:
    """FINDINGS.md says of each what was seen, below a heading that names the implementation."""
    broken = {
        run.name: {one.case for one in run.results if one.level == "must" and one.grade == "FAILED"}
        for run in report.runs
    }
    read = dict.fromkeys(broken, frozenset[str]())
    for section in (HERE / "FINDINGS.md").read_text("utf-8").split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        names = broken.keys() & re.split(r"[ ,()]+", heading)
        bullets = re.findall(r"^- (.*?):", text, re.MULTILINE | re.DOTALL)
        slugs = frozenset(re.findall(r"`([\w-]+)`", " ".join(bullets)))
        assert names, heading
        assert slugs <= set[str]().union(*(broken[name] for name in names)), heading
        read |= dict.fromkeys(names, slugs)
    assert {name: sorted(cases - read[name]) for name, cases in broken.items() if cases - read[name]} == {}


def test_what_is_kept_is_small_and_the_page_has_every_implementation() -> None:
    assert without_evidence(model.read_report(KEPT)) == model.read_report(KEPT)
    page = (HERE / "matrix.html").read_text("utf-8")
    assert len(page.encode()) < 2_000_000
    assert all(one.word in page for one in ALL)


def test_only_the_table_between_the_marks_is_replaced() -> None:
    readme = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_table(readme, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(SystemExit, match="no place for the matrix"):
        with_table("before", "new")


def test_a_client_in_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from . import __main__ as matrix

    def old(_one: Implementation) -> str:
        return "0.0.1"

    monkeypatch.setattr(matrix, "installed", old)
    with pytest.raises(SystemExit, match=r"openai-sync: 0.0.1 is installed and \d+\.\d+\.\d+ is pinned"):
        matrix.check_versions(ALL, pinned(Path(ROOT)))

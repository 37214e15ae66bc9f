"""What a run plays, what counts, and what is on disk while it goes on."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.cases.case import Case, load_cases
from botticelli.kit.cases.suite import is_scored, suite_hash
from botticelli.kit.check import run_check
from botticelli.kit.errors import KitError
from botticelli.kit.journal import Journal
from botticelli.kit.judge.verdict import Gravity, Verdict
from botticelli.kit.report.model import LEVELS, PROFILES, read_report
from botticelli.kit.report.running import RunReport
from botticelli.kit.runner import Result, Status, read_baseline, run_cases
from botticelli.kit.selection import Shard, failed_in, narrow
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Callable

REFERENCE = "botticelli.kit.selftest.reference_client:ReferenceClient"
SUMS = "botticelli.kit.selftest.mutants.bodies:SumsUsage"
CASES = load_cases()


def check(*adapters: str, select: tuple[str, ...] = ("usage-cumulative",), **options: Any) -> tuple[int, str]:
    out = io.StringIO()
    options.setdefault("seed", 1)
    return run_check(adapters, out=out, select=select, **options), out.getvalue()


# What is played


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_asks_for_those_above_it_too(level: str) -> None:
    kept = {case.level for case in narrow(CASES, level=level)}
    assert kept == {*LEVELS[: LEVELS.index(level) + 1]} & {case.level for case in CASES}


def test_profiles_add_up() -> None:
    every = narrow(CASES, profiles=PROFILES)
    assert every == CASES
    by_one = [case for profile in PROFILES for case in CASES if case.profile == profile]
    assert {case.key for case in by_one} == {case.key for case in CASES}
    wrong = [case for case in CASES if case.profile != "core"]
    with pytest.raises(
        KitError, match=r"none of the chosen cases has level must or should or may and profile"
    ):
        narrow(wrong, profiles=["core"])


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shards_share_the_cases_out_and_stay_as_they_are(parts: int) -> None:
    shards = [narrow(CASES, shard=Shard(f"{part}/{parts}")) for part in range(1, parts + 1)]
    assert sorted(case.key for shard in shards for case in shard) == sorted(case.key for case in CASES)
    assert all(len(shard) > len(CASES) / parts / 2 for shard in shards)
    assert all(Shard(f"1/{parts}").holds(case.key) for case in narrow(CASES[::3], shard=Shard(f"1/{parts}")))


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "-1/3", "a/b", "1/3/4", "¹/3"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(ValueError, match=r"I/N|counted from 1"):
        Shard(text)


def test_a_second_run_plays_what_failed_in_the_first(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    words = ("usage-cumulative", "models-bare-array")
    assert check(REFERENCE, SUMS, select=words, paths={"json": path})[0] == 1
    code, text = check(SUMS, select=(), rerun=path)
    assert code == 1
    assert "FAILED: 1 FAILED in " in text
    with pytest.raises(KitError, match="none of the chosen cases failed there"):
        check(REFERENCE, select=(), rerun=path)
    runs = read_report(path).runs
    assert failed_in(runs, SUMS) == failed_in(runs, "of another name") == {"usage-cumulative"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": 1}', '{"runs": [{"name": "x"}]}', "\ufeff"])
def test_what_is_no_report_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(KitError, match=r"isn't a report|not JSON"):
        read_report(path)
    with pytest.raises(KitError, match="No such file"):
        read_report(tmp_path / "none")


def test_a_seed_is_drawn_and_printed_unless_it_is_given(tmp_path: Path) -> None:
    seeds = set[int]()
    for number in range(2):
        path = tmp_path / f"{number}.json"
        _, text = check(REFERENCE, seed=None, paths={"json": path})
        printed = re.match(r"seed (\d+) was drawn", text)
        assert printed
        assert int(printed[1]) == json.loads(path.read_text())["seed"]
        seeds.add(int(printed[1]))
    assert len(seeds) == 2
    assert check(REFERENCE, seed=7)[1].startswith(REFERENCE)


# What counts


def a_case(**members: Any) -> Case:
    head = {
        "id": "a-case",
        "title": "A case",
        "level": "must",
        "side": "driver",
        "area": "a",
        "source": ["x"],
    }
    calls = [{"operation": "models", "expect": [{"models": ["x"]}]}]
    return Case({**head, "provenance": "prose", "calls": calls, "exchanges": [], **members})


@pytest.mark.parametrize(
    ("since", "until", "version", "scored"),
    [
        ("1", None, "1", True),
        ("2", None, "1", False),
        ("2", None, "2", True),
        ("1.9", None, "1.10", True),
        ("1", "1", "2", False),
        ("1", "2", "2", True),
    ],
)
def test_a_case_counts_in_the_versions_that_it_belongs_to(
    since: str, until: str | None, version: str, *, scored: bool
) -> None:
    one = a_case(since=since, **({"until": until} if until else {}))
    assert is_scored(one, version) is scored


def test_the_hash_is_of_what_counts_in_any_order() -> None:
    one, other = a_case(), a_case(id="b-case", since="2")
    assert re.fullmatch("[0-9a-f]{16}", suite_hash([one], "1"))
    assert suite_hash([one, other], "1") == suite_hash([one], "1")
    assert suite_hash([one, other], "2") == suite_hash([other, one], "2") != suite_hash([one], "2")
    assert suite_hash([one]) != suite_hash([a_case(title="Another")])


class Wrong(ReferenceClient):
    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        return {"models": ["y"]}


def test_what_does_not_count_is_played_and_fails_nothing() -> None:
    unscored, scored = a_case(since="2"), a_case(id="b-case")
    found = {
        one.case.id: one
        for one in run_cases([unscored, scored], Wrong(), scored=lambda case: is_scored(case, "1"))
    }
    assert (found["a-case"].status, found["a-case"].unscored, found["a-case"].fails_run) == (
        Status.FAILED,
        True,
        False,
    )
    assert found["b-case"].fails_run


@pytest.mark.parametrize(
    ("status", "remarks", "strict", "fails"),
    [
        (Status.PASSED, (), True, False),
        (Status.PASSED, ("x",), True, True),
        (Status.PASSED, ("x",), False, False),
        (Status.NOTED, (), True, True),
        (Status.NOTED, (), False, False),
        (Status.KNOWN, ("x",), True, False),
        (Status.NOT_CLAIMED, (), True, False),
        (Status.FAILED, (), False, True),
    ],
)
def test_strictness_makes_remarks_and_mays_fail(
    status: Status, remarks: tuple[str, ...], *, strict: bool, fails: bool
) -> None:
    fault = Gravity.IMPRECISE if status is Status.NOTED else None
    result = Result(a_case(), status, Verdict(fault, (), remarks), 0.0, strict=strict)
    assert result.fails_run is fails


def test_a_mishap_of_the_kit_always_counts() -> None:
    result = Result(a_case(), Status.KNOWN, Verdict(Gravity.CRASH), 0.0, mishap="x", unscored=True)
    assert result.fails_run


def test_a_baseline_is_written_with_reasons_that_it_reads_again(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    words = ("usage-cumulative", "models-bare-array")
    assert check(SUMS, select=words, new_baseline=path)[0] == 1
    known = read_baseline(path, CASES)
    assert known.keys() == {"usage-cumulative"}
    assert known["usage-cumulative"].startswith("silent: at /response/usage/")
    assert "\n" not in known["usage-cumulative"]
    assert check(SUMS, select=words, baseline=path)[0] == 0
    path.write_text(
        json.dumps({"known": {**known, "sse-cr-only": "not played here", "models-many": "passes now"}})
    )
    again = tmp_path / "again.json"
    check(SUMS, select=(*words, "models-many"), baseline=path, new_baseline=again)
    assert read_baseline(again, CASES) == {**known, "sse-cr-only": "not played here"}


# What is on disk


def watched(monkeypatch: pytest.MonkeyPatch, path: Path, look: Callable[[], None]) -> None:
    """Look at the disk when a result comes."""

    def watch(results: Any, *_arguments: object) -> Any:
        for result in results:
            look()
            yield result

    monkeypatch.setattr("botticelli.kit.check.watch", watch)


def test_a_report_is_unfinished_until_the_end_and_its_results_are_there_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lines = tmp_path / "report.json", list[int]()

    def look() -> None:
        document = json.loads(path.read_text())
        assert (document["finished"], document["passed"], document["runs"]) == (False, False, [])
        lines.append(len((tmp_path / "report.jsonl").read_text().splitlines()))

    watched(monkeypatch, path, look)
    assert check(REFERENCE, select=("usage-cumulative", "models-bare-array"), paths={"json": path})[0] == 0
    assert lines == [0, 1]
    document = json.loads(path.read_text())
    assert document["passed"] is True
    assert document.get("finished", True) is True
    written = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert {(one["run"], one["status"]) for one in written} == {(REFERENCE, "passed")}
    assert sorted(one["case"] for one in written) == [one["case"] for one in document["runs"][0]["results"]]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.json", "report.jsonl"]


def test_an_interrupted_run_is_unfinished_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "report.json", list[int]()

    def interrupt() -> None:
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt

    watched(monkeypatch, path, interrupt)
    with pytest.raises(KeyboardInterrupt):
        check(REFERENCE, select=("models",), paths={"json": path})
    document = json.loads(path.read_text())
    assert (document["finished"], document["passed"]) == (False, False)
    assert len(document["runs"][0]["results"]) == 1
    assert len((tmp_path / "report.jsonl").read_text().splitlines()) == 1


def test_ctrl_c_takes_nothing_from_a_driver_that_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, slow, done = tmp_path / "report.json", "tests.slow:Slow", threading.Event()

    class Waiting(ReferenceClient):
        def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
            done.wait(60)
            return super().exchange(call)

    def notes(_journal: Journal, report: RunReport, _result: Result) -> None:
        if report.name == slow:
            raise KeyboardInterrupt
        if len(report.results) == 2:
            done.set()

    def opened(spec: str, **_options: Any) -> ReferenceClient:
        return Waiting() if spec == slow else ReferenceClient()

    monkeypatch.setattr(Journal, "note", notes)
    monkeypatch.setattr("botticelli.kit.check.open_adapter", opened)
    with pytest.raises(KeyboardInterrupt):
        check(REFERENCE, slow, REFERENCE, select=("usage-cumulative", "usage-null"), paths={"json": path})
    runs = json.loads(path.read_text())["runs"]
    assert [(run["name"], len(run["results"]), len(run.get("problems", []))) for run in runs] == [
        (REFERENCE, 2, 0),
        (slow, 1, 1),
    ]


@pytest.mark.parametrize(("before", "jobs", "kept"), [(1, 16, 0), (1, 1, 1), (2, 16, 2), (3, 16, 2)])
def test_a_driver_that_cannot_be_opened_leaves_the_results_of_those_before(
    tmp_path: Path, before: int, jobs: int, kept: int
) -> None:
    """Drivers are opened two at a time, unless only one case is to be played at once."""
    path = tmp_path / "report.json"
    with pytest.raises(KitError, match="cannot open no"):
        check(*[REFERENCE] * before, "no.such:adapter", jobs=jobs, paths={"json": path})
    document = json.loads(path.read_text())
    assert (document["finished"], document["passed"]) == (False, False)
    assert [len(run["results"]) for run in document["runs"]] == [1] * kept


class Meeting(ReferenceClient):
    """Waits in its first call until another one is in it too: in vain, if they aren't judged at once."""

    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        here = Path(os.environ["MEETING_PLACE"])
        (here / str(os.getpid())).touch()
        for _ in range(1000):
            if len([*here.iterdir()]) > 1:
                return super().exchange(call)
            time.sleep(0.01)
        raise LookupError("nobody else came")


def test_two_drivers_are_judged_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setenv("MEETING_PLACE", str(place))
    monkeypatch.setattr(sys, "path", [str(Path(__file__).resolve().parents[__name__.count(".")]), *sys.path])
    code, output = check(*[f"{__name__}:Meeting"] * 2)
    assert (code, output.count("passed: 1 OK")) == (0, 2), output


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    assert check(REFERENCE, paths={"json": Path("/dev/null")})[0] == 0
    assert Path("/dev/null").is_char_device()
    assert not Path("/dev/nulll").exists()
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("")
    link.symlink_to(real)
    check(REFERENCE, paths={"json": link})
    assert link.is_symlink()
    assert json.loads(real.read_text())["passed"] is True


def test_an_unfinished_run_has_not_passed() -> None:
    passed = Result(a_case(), Status.PASSED, Verdict(None), 0.0)
    assert RunReport("x", frozenset(), [passed]).passed
    assert not RunReport("x", frozenset(), [passed], finished=False).passed

"""Reports are read again, merged and counted; must, should and may always apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.cli import main
from botticelli.kit.errors import KitError
from botticelli.kit.report import model
from botticelli.kit.report.machine import write_files
from botticelli.kit.report.model import Report, Result, Run, merge, read_report, score, tally
from botticelli.kit.schemas import schema_violations
from tests.reports import report_with

if TYPE_CHECKING:
    from pathlib import Path


def result(case: str, status: str = "passed", **members: Any) -> Result:
    level = members.pop("level", "must")
    given: dict[str, Any] = {
        "title": f"Does {case}",
        "area": case.partition("-")[0],
        "level": level,
        "profile": "core",
        "grade": model.grade_of(level, status),
        "gravity": "" if status in ("passed", "not_claimed") else "silent",
        "seconds": 0.1,
    }
    return Result(case=case, status=status, **(given | members))


def run(*results: Result, name: str = "a", **members: Any) -> Run:
    counts = {status: sum(one.status == status for one in results) for status in model.STATUSES}
    return Run(name, ["stream"], 1.5, counts, list(results), **members)


def merged(*reports: Report) -> Report:
    return merge([(f"{number}.json", report) for number, report in enumerate(reports)])


def saved(path: Path, report: Report) -> str:
    write_files(report, {"json": path})
    return str(path)


FIRST = report_with(run(result("b-one"), result("a-one")), shard="1/2")
SECOND = report_with(run(result("a-two", "failed")), shard="2/2", date="2026-11-28T11:00:00Z")


def test_shards_become_one_run() -> None:
    one = merged(SECOND, FIRST)
    assert [each.case for each in one.runs[0].results] == ["a-one", "a-two", "b-one"]
    assert one.runs[0].date == "2026-11-28T11:00:00Z"
    assert one.runs[0].counts["passed"] == 2
    assert one.runs[0].counts["failed"] == 1
    assert (one.runs[0].seconds, one.date, one.shard, one.finished) == (3.0, "2026-11-28T11:00:00Z", "", True)
    assert not one.passed
    assert merged(FIRST, report_with(run(result("a-two")), shard="2/2")).passed


def test_a_missing_shard_never_passes() -> None:
    one = merged(FIRST)
    assert (one.finished, one.passed) == (False, False)
    assert one.runs[0].problems == ["not all shards are here; missing: 2/2"]


def test_an_unfinished_report_never_passes_whatever_it_says_itself() -> None:
    one = merged(report_with(run(result("a-one")), finished=False, passed=True))
    assert (one.finished, one.passed) == (False, False)
    assert one.runs[0].problems == ["the run isn't finished"]
    lying = report_with(run(result("a-one", "failed")), passed=True)
    assert not merged(lying).passed
    assert not merged(report_with(passed=True)).passed, "nothing was judged"


def test_implementations_stand_side_by_side_each_with_its_seed_and_date() -> None:
    one = merged(
        report_with(run(result("a-one")), run(result("a-one"), name="b")),
        report_with(run(result("a-one"), name="c"), seed=9, date="2026-12-01T00:00:00Z"),
        report_with(run(result("a-one"), version="2")),
    )
    assert [each.label for each in one.runs] == ["a", "b", "c", "a 2"]
    assert [each.seed for each in one.runs] == [7, 7, 9, 7]
    assert one.runs[2].date == "2026-12-01T00:00:00Z"
    assert one.passed
    assert merged(one) == one, "merging again changes nothing"


def test_a_merged_report_keeps_the_schema() -> None:
    document = model.to_document(merged(FIRST, SECOND, report_with(run(result("a-one"), name="b"))))
    assert schema_violations("report", document) == []


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([report_with(run(result("a-two")), shard="1/2")], r"0\.json and 1\.json are both shard 1/2 of a"),
        (
            [report_with(run(result("a-two")), shard="2/3")],
            r"shard 1/2 of a, 1\.json is 2/3; .* different runs",
        ),
        ([report_with(run(result("a-one")), shard="2/2")], r"1\.json and another shard of a both hold a-one"),
        ([report_with(run(result("a-two")))], r"1\.json and 0\.json both judge a; give one of them"),
        (
            [report_with(run(result("a-two")), suite=model.Suite("2", "f" * 16))],
            r"0\.json and 1\.json were judged by different sets of cases \(version 1, 0123456789abcdef",
        ),
    ],
)
def test_what_does_not_belong_together_is_not_merged(others: list[Report], message: str) -> None:
    with pytest.raises(KitError, match=message):
        merged(FIRST, *others)


def test_there_must_be_something_to_merge() -> None:
    with pytest.raises(KitError, match="no report to merge"):
        merge([])


def test_a_huge_number_of_shards_costs_nothing() -> None:
    one = merged(report_with(run(result("a-one")), shard=f"1/{'9' * 5000}"))
    assert not one.finished
    assert len(one.runs[0].problems[0]) < 100_000


def test_a_case_judged_twice_in_one_report_stays_twice() -> None:
    one = merged(report_with(run(result("a-one")), run(result("a-one", "failed"))))
    assert [each.passed for each in one.runs] == [True, False]


# Counting


def test_levels_are_counted_apart_and_what_is_not_claimed_or_unscored_not_at_all() -> None:
    counts = tally(
        [
            result("a-a"),
            result("a-b", "failed", profile="hardening"),
            result("a-c", "known"),
            result("a-d", "stale"),
            result("a-e", "not_claimed"),
            result("a-f", "failed", unscored=True),
            result("b-a", "failed", level="should"),
            result("b-b", "noted", level="may"),
        ]
    )
    assert score(counts, "must") == (2, 4)
    assert score(counts, "must", profile="hardening") == (0, 1)
    assert score(counts, "must", area="b") == (0, 0)
    assert score(counts, "should") == (0, 1)
    assert score(counts, "may") == (0, 1)
    assert {grade for _, grade, _, _ in counts} == set(model.GRADES)


def test_a_hundred_per_cent_are_all_of_them() -> None:
    assert model.Score(999, 1000).percent == 99
    assert str(model.Score(3, 3)) == "100 %"
    assert (model.Score(0, 0).percent, str(model.Score(0, 0))) == (None, ".")


def test_an_unscored_failure_fails_nothing() -> None:
    assert merged(report_with(run(result("a-one"), result("a-two", "failed", unscored=True)))).passed


# Files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1", r"isn't a report: it isn't JSON"),
        ("[" * 100_000, r"isn't a report: it isn't JSON"),
        ("\udcff", r"isn't a report: it isn't JSON"),
        ("{}", r"isn't a report: /botticelli: is missing"),
        ('{"runs": [], "seed": 1}', r"an older botticelli wrote it, so judge again with this one"),
        ("[]", r"isn't a report: /: "),
    ],
)
def test_a_file_that_is_no_report_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(KitError, match=message) as caught:
        read_report(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_numbers_that_no_report_holds_are_an_error_of_the_file(tmp_path: Path) -> None:
    document = model.to_document(FIRST)
    document["runs"][0]["counts"]["passed"] = 10**30
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    try:
        merge([("r.json", read_report(path))])
    except KitError as error:
        assert "isn't a report" in str(error)  # noqa: PT017


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(KitError, match=r"the report .*r\.json can't be read: No such file"):
        read_report(tmp_path / "r.json")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    seen = model.Evidence(
        calls=[{"operation": "stream"}],
        outcomes=[{"crash": "why"}],
        wire=[
            model.WireEvent(0.1, 0, "client", event="open"),
            model.WireEvent(0.2, 0, "server", text="", omitted=4),
            model.WireEvent(0.3, 0, "server", base64="/w=="),
        ],
        command="botticelli check driver",
    )
    report = report_with(run(result("a-\ud83d", "failed", evidence=seen, reason="\ud83d")))
    path = tmp_path / "r.json"
    saved(path, report)
    assert schema_violations("report", json.loads(path.read_bytes())) == []
    assert read_report(path) == report


# The command


def test_the_command_merges_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [saved(tmp_path / "1.json", FIRST), saved(tmp_path / "2.json", SECOND)]
    other = saved(tmp_path / "3.json", report_with(run(result("a-one"), name="other", version="2")))
    forms = {form: tmp_path / f"out.{form}" for form in ("json", "junit", "markdown", "badge", "html")}
    options = [word for form, path in forms.items() for word in (f"--{form}", str(path))]
    assert main(["report", *files, other, *options]) == 1
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[0].split() == [
        "implementation",
        "must",
        "should",
        "may",
        "core",
        "musts",
        "tolerance",
        "musts",
        "hardening",
        "musts",
        "provider",
        "musts",
        "verdict",
    ]
    assert lines[1].split()[:6] == ["a", "66", "%", ".", ".", "66"]
    assert lines[2].split()[:3] == ["other", "2", "100"]
    assert lines[-1].startswith(
        "FAILED: 1 of 2 implementations passed; suite 1 (0123456789abcdef), 2026-11-28T11:00:00Z"
    )
    assert len({len(line.rstrip()) for line in lines[:3]}) == 1, "aligned"
    assert "\x1b" not in printed
    assert len(read_report(forms["json"]).runs) == 2
    assert all(path.stat().st_size for path in forms.values())
    assert main(["report", other]) == 0
    assert "passed: 1 of 1 implementations passed" in capsys.readouterr().out


def test_the_command_ends_with_1_for_what_is_unfinished_and_2_for_what_is_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = saved(tmp_path / "u.json", report_with(run(result("a-one")), finished=False, passed=True))
    assert main(["report", unfinished]) == 1
    assert "isn't finished" in capsys.readouterr().out
    (tmp_path / "no.json").write_text("{}", encoding="utf-8")
    assert main(["report", str(tmp_path / "no.json")]) == 2
    assert capsys.readouterr().err.startswith("botticelli: ")
    assert main(["report", unfinished, "--html", str(tmp_path)]) == 2
    assert "cannot write the report" in capsys.readouterr().err

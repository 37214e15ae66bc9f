"""Reports: the same facts as text, JSON and JUnit."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from botticelli.kit.cases.case import Case
from botticelli.kit.cases.causes import USUAL_CAUSES
from botticelli.kit.cases.formats import OPENAI
from botticelli.kit.errors import KitError
from botticelli.kit.judge.compare import REPORTED, Difference
from botticelli.kit.judge.verdict import Gravity, Verdict
from botticelli.kit.report import machine
from botticelli.kit.report.machine import report_of, write_json
from botticelli.kit.report.model import Suite
from botticelli.kit.report.running import MANY, RunReport, cut
from botticelli.kit.report.text import describe_failure, watch, write_report
from botticelli.kit.runner import Result, Status
from botticelli.kit.schemas import schema_violations

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = Verdict(None)
WRONG = Verdict(Gravity.IMPRECISE, (Difference("/response/id", '"a"', '"b"'),), ("could be better",))
SILENT = Verdict(Gravity.SILENT, (Difference("", "error", "response"),))


def result(slug: str, status: Status, verdict: Verdict = RIGHT, **more: Any) -> Result:
    area = slug.partition("-")[0]
    document = {
        "id": slug,
        "title": f"Does {slug}",
        "level": more.pop("level", "must"),
        "area": area,
        "source": ["x/y#1", "recorded"],
        **more.pop("case", {}),
    }
    return Result(Case(document), status, verdict, 0.25, **more)


CLAIMS = REPORTED | {"stream", "assembles", "generate"}


def report(*results: Result) -> RunReport:
    return RunReport("my.module:adapter", CLAIMS, list(results), 1.26)


MIXED = report(
    result("tool-a", Status.FAILED, WRONG, case={"spec": "https://spec"}),
    result("sse-b", Status.FAILED, SILENT),
    result("sse-a", Status.PASSED),
    result("sse-c", Status.KNOWN, WRONG, reason="because we know"),
    result("tool-b", Status.NOT_CLAIMED, reason="vision"),
    result("tool-c", Status.STALE, reason="was broken once"),
    result("tool-d", Status.NOTED, SILENT, level="may"),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


SUITE = Suite("1", "0123456789abcdef")


def as_document(reports: list[RunReport], seed: int, version: str) -> dict[str, Any]:
    return machine.document_of(report_of(reports, seed, version, suite=SUITE))


def write_junit(path: Path, reports: list[RunReport]) -> None:
    machine.write_files(report_of(reports, 0, "1", suite=SUITE), {"junit": path})


def written(one: RunReport, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    write_report(one, out)
    return out.getvalue()


def test_the_table_is_plain_and_aligned() -> None:
    text = written(MIXED)
    assert text.startswith(
        "my.module:adapter\n"
        "\n"
        "area     must  should  may  not claimed\n"
        "sse       1/3       .    .            .\n"
        "tool      1/2       .  0/1            1\n"
        "all       2/5       .  0/1            1\n"
        "\n"
        "profile  must  should  may  not claimed\n"
        "core      2/5       .  0/1            1\n"
        "\n"
    )
    assert "\x1b" not in text
    assert text.endswith(
        "\nFAILED: 2 OK, 1 INFORMATIONAL, 3 FAILED, 1 not claimed, 1 known, 1 stale in 1.3 s\n"
        "  required 40 %, optional 0 %\n"
        "  not claimed: vision (1)\n"
    )


def test_failures_are_listed_gravest_first_with_expected_got_and_source() -> None:
    text = written(MIXED)
    assert text.index("FAILED  sse-b") < text.index("FAILED  tool-a") < text.index("INFORMATIONAL  tool-d")
    assert text.index("INFORMATIONAL  tool-d") < text.index("STALE  tool-c")
    assert (
        "FAILED  tool-a  (tool, must, core, imprecise)\n"
        "  Does tool-a\n"
        '  /response/id: expected "a", got "b"\n'
        "  could be better\n"
        "  rule      https://spec\n"
        "\n"
    ) in text
    assert "  the outcome: expected error, got response\n" in text
    assert "remove it from the baseline, which says: was broken once" in text
    assert "sse-c" not in text


def test_areas_without_a_fault_are_counted_together() -> None:
    passed = [result(f"{area}-a", Status.PASSED) for area in ("json", "sse", "usage")]
    lines = written(report(*passed, result("tool-a", Status.FAILED))).splitlines()
    rows = [line.split() for line in lines if line.startswith(("tool ", "3 more", "all "))]
    assert [row[0] for row in rows] == ["tool", "3", "all"]
    assert [row[-4] for row in rows] == ["0/1", "3/3", "3/4"]


def test_a_run_in_which_all_is_well() -> None:
    good = report(result("sse-a", Status.PASSED))
    assert good.passed
    assert written(good).endswith("\npassed: 1 OK in 1.3 s\n  required 100 %\n")


def test_a_run_in_which_nothing_was_judged_is_not_passed(tmp_path: Path) -> None:
    text = written(report())
    assert text.endswith("\nFAILED: nothing run in 1.3 s\n  nothing was judged\n")
    skipped = report(
        result("a-b", Status.NOT_CLAIMED, reason="models, vision"),
        result("a-c", Status.NOT_CLAIMED, reason="vision"),
    )
    skipped.capabilities = frozenset({"anonymous"})
    assert not skipped.passed
    why = "nothing was judged: the driver claims anonymous; what the cases need most is vision, models"
    end = f"\nFAILED: 2 not claimed in 1.3 s\n  not claimed: models (1), vision (2)\n  {why}\n"
    assert written(skipped).endswith(end)
    document = as_document([skipped], 0, "1")
    assert schema_violations("report", document) == []
    assert not document["passed"]
    assert document["runs"][0]["problems"] == [why]
    write_junit(tmp_path / "r.xml", [skipped])
    [suite] = ET.parse(tmp_path / "r.xml").getroot()
    assert (suite.attrib["tests"], suite.attrib["errors"]) == ("3", "1")
    [error] = suite[2]
    assert (error.tag, error.attrib["message"]) == ("error", why)


def test_an_interrupted_run_of_which_nothing_was_judged_says_so_once() -> None:
    one = report()
    one.interrupted = True
    one.mishaps.append("interrupted")
    assert one.problems() == ["interrupted"]
    assert not one.passed


def test_what_is_wrong_with_the_run_itself_fails_it() -> None:
    one = report(result("sse-a", Status.PASSED))
    one.mishaps.append("the driver cannot be closed: RuntimeError: stuck")
    assert not one.passed
    assert written(one).endswith(
        "\nFAILED: 1 OK in 1.3 s\n  required 100 %\n  the driver cannot be closed: RuntimeError: stuck\n"
    )


LONG = Verdict(
    Gravity.CRASH,
    tuple(
        Difference(f"/{number}", "x" * 10_000, "\n".join("y" * 9_999 for _ in range(100)))
        for number in range(99)
    ),
    ("z" * 10_000,),
)


def test_no_cell_is_without_bounds(tmp_path: Path) -> None:
    one = report(result("a-b", Status.FAILED, LONG, reason="r" * 10_000))
    for text in (written(one), describe_failure(one.results[0])):
        assert max(map(len, text.split("\n"))) < 500
        assert len(text) < 250_000
        assert "and 79 other differences" in text
        assert "[... 77 lines]" in text
        assert "[... 10000 characters]" in text
    [entry] = as_document([one], 0, "1")["runs"][0]["results"]
    assert len(entry["differences"]) == MANY
    assert entry["remarks"][1:] == ["and 79 other differences"]
    assert max(len(line) for line in json.dumps(entry).split("\\n")) < 2_000
    write_junit(tmp_path / "r.xml", [one])
    assert (tmp_path / "r.xml").stat().st_size < 250_000


def test_a_short_text_is_not_cut() -> None:
    text = "\n".join("x" * 400 for _ in range(24))
    assert cut(text) == text
    assert len(cut("x" * 401)) < 430
    assert len(cut("\n" * 1000).split("\n")) == 24


def test_a_may_that_fails_does_not_fail_the_run_but_is_reported() -> None:
    one = report(result("tool-d", Status.NOTED, WRONG, level="may"))
    assert one.passed
    text = written(one)
    assert "INFORMATIONAL  tool-d  (tool, may, core, imprecise)" in text
    assert text.endswith("\npassed: 1 INFORMATIONAL in 1.3 s\n  optional 0 %\n")
    assert "FAILED" not in text
    assert "\x1b[31m" not in written(one, Terminal()), "nothing is red"


def test_it_is_said_what_is_judged_less_strictly_because_it_is_not_claimed() -> None:
    one = report(result("sse-a", Status.PASSED))
    one.capabilities = CLAIMS - {"code", "phase", "assembles"} | {"timeouts"}
    assert written(one).endswith(
        "\npassed: 1 OK in 1.3 s\n"
        "  required 100 %\n"
        "  timeouts is an old word, taken for "
        "connect_timeout, first_byte_timeout, idle_timeout, pool_timeout: "
        "claim those of them that the client has\n"
        "  not claimed, so judged only where it is reported: code, phase\n"
        "  of streams only the texts and finish reasons are judged, as assembles isn't claimed\n"
    )
    one.capabilities = REPORTED | {"generate"}
    assert written(one).endswith("\npassed: 1 OK in 1.3 s\n  required 100 %\n")


PAINTED, PLAIN = "\x1b[31mFAILED\x1b[0m  sse-b  (", "FAILED  sse-b  ("


@pytest.mark.parametrize(
    ("terminal", "environment", "painted"),
    [
        (True, {}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
    ],
)
def test_colour_is_for_who_can_see_it_and_wants_it(
    terminal: bool,
    environment: dict[str, str],
    painted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    text = written(MIXED, Terminal() if terminal else io.StringIO())
    assert (PAINTED in text, PLAIN in text) == (painted, not painted)
    assert ("\x1b[1marea" in text) == painted


def test_a_text_of_several_lines_stays_in_its_column() -> None:
    crash = Verdict(Gravity.CRASH, (Difference("", "an outcome", "one\ntwo"),))
    assert "    got       one\n              two" in describe_failure(result("a-b", Status.FAILED, crash))


def test_results_pass_through_the_progress_bar_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    pipe, terminal = io.StringIO(), Terminal()
    for out in (pipe, terminal):
        assert list(watch(MIXED.results, 7, "[b]title", out, after=0)) == MIXED.results
    assert pipe.getvalue() == ""
    assert "[b]title" in terminal.getvalue()
    assert "7/7" in terminal.getvalue()


def test_there_is_no_bar_where_it_could_not_move_or_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    quick, dumb = Terminal(), Terminal()
    assert list(watch(MIXED.results, 7, "title", quick, after=60)) == MIXED.results
    monkeypatch.setenv("TERM", "dumb")
    assert list(watch(MIXED.results, 7, "title", dumb, after=0)) == MIXED.results
    assert quick.getvalue() == dumb.getvalue() == ""


def test_a_terminal_without_rich_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        assert name == "rich"

    monkeypatch.setattr("botticelli.kit.report.text.find_spec", missing)
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    assert list(watch(MIXED.results, 7, "title", out, after=0)) == MIXED.results
    assert out.getvalue() == ""


def test_json_keeps_its_schema_and_says_everything(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, as_document([MIXED, report()], 7, "1.2.3"))
    document = json.loads(path.read_text())
    assert schema_violations("report", document) == []
    assert (document["botticelli"], document["seed"], document["passed"]) == ("1.2.3", 7, False)
    [run, empty] = document["runs"]
    assert empty["results"] == []
    assert run["capabilities"] == sorted(CLAIMS)
    assert run["counts"] == {
        "passed": 1,
        "failed": 2,
        "noted": 1,
        "known": 1,
        "stale": 1,
        "not_claimed": 1,
    }
    assert [one["case"] for one in run["results"]] == [
        "sse-a",
        "sse-b",
        "sse-c",
        "tool-a",
        "tool-b",
        "tool-c",
        "tool-d",
    ]
    assert run["results"][3] == {
        "case": "tool-a",
        "title": "Does tool-a",
        "area": "tool",
        "level": "must",
        "profile": "core",
        "status": "failed",
        "grade": "FAILED",
        "seconds": 0.25,
        "source": ["x/y#1", "recorded"],
        "spec": "https://spec",
        "cause": USUAL_CAUSES["tool"],
        "gravity": "imprecise",
        "differences": [{"path": "/response/id", "expected": '"a"', "got": '"b"'}],
        "remarks": ["could be better"],
    }
    assert "gravity" not in run["results"][0]
    assert document["suite"] == {"version": "1", "hash": "0123456789abcdef"}
    assert document["finished"] is True


def test_every_fault_and_status_is_in_the_schema() -> None:
    for fault in Gravity:
        verdict = Verdict(fault, (Difference("", "a", "b"),))
        one = report(result("a-b", Status.FAILED, verdict))
        assert schema_violations("report", as_document([one], 0, "1")) == []
    for status in Status:
        assert schema_violations("report", as_document([report(result("a-b", status))], 0, "1")) == []


def test_junit(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    write_junit(path, [MIXED])
    [suite] = ET.parse(path).getroot()
    assert suite.attrib == {
        "name": "my.module:adapter",
        "tests": "7",
        "failures": "3",
        "skipped": "3",
        "errors": "0",
        "time": "1.260",
    }
    cases = {one.attrib["name"]: one for one in suite}
    assert cases["sse-a"].attrib["classname"] == "sse"
    assert list(cases["sse-a"]) == []
    [failure] = cases["tool-a"]
    assert (failure.tag, failure.attrib["type"]) == ("failure", "imprecise")
    assert failure.text is not None
    assert "expected" in failure.text
    assert cases["tool-c"][0].attrib["type"] == "stale"
    skipped = {name: cases[name][0].attrib["message"] for name in ("sse-c", "tool-b", "tool-d")}
    assert skipped == {
        "sse-c": "known: because we know",
        "tool-b": "not claimed: vision",
        "tool-d": "noted: a may",
    }


def test_every_report_names_a_case_by_its_key(tmp_path: Path) -> None:
    one = result("sse-a", Status.FAILED, WRONG)
    assert isinstance(one.case, Case)
    other = Case(one.case.document, dataclasses.replace(OPENAI, name="ollama"))
    both = report(dataclasses.replace(one, case=other), one)
    keys = ["ollama/sse-a", "sse-a"]
    assert [line.split()[1] for line in written(both).splitlines() if line.startswith("FAILED ")] == keys
    document = as_document([both], 0, "1")
    assert schema_violations("report", document) == []
    assert [each["case"] for each in document["runs"][0]["results"]] == keys
    write_junit(tmp_path / "r.xml", [both])
    [suite] = ET.parse(tmp_path / "r.xml").getroot()
    assert [each.attrib["name"] for each in suite] == keys


def test_junit_holds_what_xml_cannot(tmp_path: Path) -> None:
    bad = Verdict(Gravity.SILENT, (Difference("/x", "\x00\ud83d", "\x1b[31m"),))
    path = tmp_path / "junit.xml"
    write_junit(path, [report(result("a-b", Status.FAILED, bad))])
    assert "\ufffd\ufffd" in (ET.parse(path).getroot()[0][0][0].text or "")


def test_json_holds_what_utf_8_cannot(tmp_path: Path) -> None:
    odd = report(result("a-b", Status.KNOWN, reason="\ud83d"))
    odd.name = "command: \udcff \x00 é"
    write_json(tmp_path / "r.json", as_document([odd], 0, "1"))
    [run] = json.loads((tmp_path / "r.json").read_bytes())["runs"]
    assert (run["name"], run["results"][0]["reason"]) == (odd.name, "\ud83d")


def test_a_file_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_json(tmp_path / "none" / "x.json", {})
    with pytest.raises(KitError, match=r"cannot write the report .*x\.xml: No such file"):
        write_junit(tmp_path / "none" / "x.xml", [])

"""What the command line asks of the kit, from the user's words to the exit code."""

from __future__ import annotations

import io
import json
import os
import re
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.cases.case import load_cases
from botticelli.kit.check import list_cases, run_check, select_cases
from botticelli.kit.errors import KitError
from botticelli.kit.schemas import schema_violations
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = "botticelli.kit.selftest.reference_client:ReferenceClient"
SUMS = "botticelli.kit.selftest.mutants.bodies:SumsUsage"


def test_cases_are_chosen_by_area_id_or_pattern_and_keep_their_order() -> None:
    cases = load_cases()
    assert select_cases(cases, []) == cases
    assert {case.area for case in select_cases(cases, ["usage"])} == {"usage"}
    chosen = select_cases(cases, ["usage-cumulative", "sse-no-*", "usage-cumul*"])
    assert [case.id for case in chosen] == sorted(case.id for case in chosen)
    assert "usage-cumulative" in [case.id for case in chosen]
    with pytest.raises(KitError, match="'no-such'"):
        select_cases(cases, ["usage", "no-such"])


def test_a_good_driver_ends_with_0() -> None:
    out = io.StringIO()
    assert run_check([REFERENCE], out=out, seed=0, select=["usage-cumulative", "models-bare-array"]) == 0
    assert out.getvalue().startswith(f"{REFERENCE}\n")
    assert "passed: 2 OK in " in out.getvalue()


class Versioned(ReferenceClient):
    version = "a-client 1.2"


def test_the_version_of_a_client_stands_in_the_report(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    given: dict[str, Any] = {"out": io.StringIO(), "select": ["usage-zero-kept"], "paths": {"json": path}}
    assert run_check([f"{__name__}:Versioned"], in_process=True, **given) == 0
    assert json.loads(path.read_text())["runs"][0]["version"] == "a-client 1.2"


def test_a_driver_that_fails_ends_with_1_and_all_reports_say_so(tmp_path: Path) -> None:
    out, json_report, junit = io.StringIO(), tmp_path / "r.json", tmp_path / "r.xml"
    code = run_check(
        [REFERENCE, SUMS],
        out=out,
        select=["usage-cumulative"],
        paths={"json": json_report, "junit": junit},
        seed=5,
    )
    assert code == 1
    assert "FAILED  usage-cumulative  (usage, must, tolerance, silent)" in out.getvalue()
    document = json.loads(json_report.read_text())
    assert schema_violations("report", document) == []
    assert document["seed"] == 5
    assert [adapter["counts"]["failed"] for adapter in document["runs"]] == [0, 1]
    assert junit.read_text().count("<failure") == 1


def test_a_baseline_excuses_what_it_knows_and_is_stale_when_it_need_not(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text('{"known": {"usage-cumulative": "sums, and we know it"}}')
    out = io.StringIO()
    assert run_check([SUMS], out=out, seed=0, select=["usage-cumulative"], baseline=path) == 0
    assert "passed, but for what is known to fail: " in out.getvalue()
    assert "1 known" in out.getvalue()
    assert run_check([REFERENCE], out=out, seed=0, select=["usage-cumulative"], baseline=path) == 1
    assert "STALE  usage-cumulative" in out.getvalue()


def test_what_the_user_can_mend_is_a_kit_error(tmp_path: Path) -> None:
    out = io.StringIO()
    with pytest.raises(KitError, match=r"cannot open no\.such:adapter"):
        run_check(["no.such:adapter"], out=out, seed=0)
    with pytest.raises(KitError, match="cannot write the report"):
        run_check(
            [REFERENCE],
            out=out,
            seed=0,
            select=["usage-cumulative"],
            paths={"json": tmp_path / "none" / "r.json"},
        )


def test_a_report_that_cannot_be_written_is_an_error_before_the_run(tmp_path: Path) -> None:
    out = io.StringIO()
    with pytest.raises(KitError, match="cannot write the report"):
        run_check([REFERENCE], out=out, seed=0, paths={"junit": tmp_path})
    assert out.getvalue() == ""


def test_an_unknown_word_names_the_nearest() -> None:
    for word, meant in (("sse-cr-onyl", "sse-cr-only"), ("unicod", "unicode")):
        with pytest.raises(KitError, match=f"'{word}'; did you mean {meant}\\?"):
            select_cases(load_cases(), [word])
    with pytest.raises(KitError, match="'xyzzy'; see botticelli list cases"):
        select_cases(load_cases(), ["xyzzy"])


class ClaimsNothing(ReferenceClient):
    capabilities = frozenset[str]()


class Unclosable(ReferenceClient):
    def close(self) -> None:
        raise RuntimeError("stuck")


def test_a_driver_of_which_nothing_can_be_judged_ends_with_1() -> None:
    out = io.StringIO()
    assert run_check([f"{__name__}:ClaimsNothing"], out=out, seed=0) == 1
    assert re.search(
        r"\n  nothing was judged: the driver claims nothing; .* is (generate|stream), ", out.getvalue()
    )


def test_a_driver_that_cannot_be_closed_ends_with_1_after_its_report() -> None:
    out = io.StringIO()
    assert run_check([f"{__name__}:Unclosable"], out=out, seed=0, select=["usage-cumulative"]) == 1
    assert "FAILED: 1 OK in " in out.getvalue()
    assert out.getvalue().endswith("\n  the driver cannot be closed: RuntimeError: stuck\n")


def test_proxies_are_no_concern_of_a_judged_run(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "http://127.0.0.1:9"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, nowhere)
    monkeypatch.setenv("NO_PROXY", "example.org")
    out = io.StringIO()
    assert run_check([f"{__name__}:Proxied"], out=out, seed=0, select=["models-bare-array"]) == 0, (
        out.getvalue()
    )
    assert os.environ["NO_PROXY"] == "example.org"
    assert "no_proxy" not in os.environ


class Proxied(ReferenceClient):
    """A driver that reads the proxies once, when it is made, as many clients do."""

    def __init__(self) -> None:
        self.opener = urllib.request.build_opener()

    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        with self.opener.open(f"{call['base_url']}/models", timeout=5) as reply:
            return {"models": [model["id"] for model in json.load(reply)]}


def test_the_list_is_a_table() -> None:
    out = io.StringIO()
    list_cases(out, ["usage-cumulative", "models-bare-array"])
    assert out.getvalue() == (
        "case               area    level   what a driver must do\n"
        "models-bare-array  models  should  Reads a list of models that comes as a bare array\n"
        "usage-cumulative   usage   must    "
        "Takes the last usage when every chunk carries a running total\n"
    )

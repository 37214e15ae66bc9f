"""The GitHub Action: its steps are run as GitHub runs them, with the inputs filled in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.broken_servers import stop_deleted
from tests.kit.changed_server import serving

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / ".github/actions/check/action.yml").read_text("utf-8"))
ADAPTER = """
from botticelli.kit.selftest.mutants.bodies import SumsUsage
from botticelli.kit.selftest.reference_client import ReferenceClient
"""


def filled(text: str, inputs: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: inputs[match[1]], text)


def run_action(folder: Path, **given: str) -> tuple[int, str, str]:
    """Run the steps; return the code of the last one, its output, and the run's page."""
    (folder / "mine.py").write_text(ADAPTER)
    defaults = {name: about.get("default", "") for name, about in ACTION["inputs"].items()}
    inputs = {**defaults, "python": sys.executable, "package": "", "working-directory": str(folder), **given}
    page = folder / "page.md"
    code, output = 0, ""
    for step in ACTION["runs"]["steps"]:
        if step.get("if") == "inputs.package != ''" and not inputs["package"]:
            continue
        environment = {name: filled(value, inputs) for name, value in step["env"].items()}
        # GitHub's "shell: bash" is this command line.
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=filled(step["working-directory"], inputs) if "working-directory" in step else folder,
            env={**os.environ, **environment, "GITHUB_STEP_SUMMARY": str(page)},
            capture_output=True,
            text=True,
            check=False,
        )
        code, output = done.returncode, done.stdout + done.stderr
        if code:
            break
    return code, output, page.read_text("utf-8") if page.exists() else ""


def test_a_client_that_keeps_everything_succeeds_and_has_its_summary_on_the_page(tmp_path: Path) -> None:
    code, output, page = run_action(
        tmp_path, driver="mine:ReferenceClient", cases="usage-cumulative models-many"
    )
    assert code == 0, output
    assert "mine\\:ReferenceClient" in page  # escaped, as it is Markdown
    assert "2" in page
    assert "passed" in page.lower()
    report = json.loads((tmp_path / "botticelli-report.json").read_text("utf-8"))
    played = {result["case"] for run in report["runs"] for result in run["results"]}
    assert played == {"usage-cumulative", "models-many"}


def test_a_failure_fails_the_step_and_is_on_the_page(tmp_path: Path) -> None:
    code, output, page = run_action(tmp_path, driver="mine:SumsUsage", cases="usage-cumulative")
    assert code == 1, output
    assert "usage-cumulative" in page


def test_a_baseline_excuses_and_a_stale_one_fails(tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text('{"known": {"usage-cumulative": "it adds usages up, issue 12"}}')
    given = {"cases": "usage-cumulative", "baseline": "known.json"}
    assert run_action(tmp_path, driver="mine:SumsUsage", **given)[0] == 0
    assert run_action(tmp_path, driver="mine:ReferenceClient", **given)[0] == 1


def test_an_endpoint_is_judged_with_its_model_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    monkeypatch.setenv("THE_KEY", canary)
    given = {"model": "b", "token-env": "THE_KEY", "cases": "stop-word stream-done"}
    with serving(stop_deleted, key=canary, models=["a", "b"]) as url:
        code, output, page = run_action(tmp_path, endpoint=url, **given)
        report = json.loads((tmp_path / "botticelli-report.json").read_text("utf-8"))
        (tmp_path / "known.json").write_text('{"known": {"stop-word": "it deletes them, issue 12"}}')
        excused, _, _ = run_action(tmp_path, endpoint=url, baseline="known.json", **given)
    assert (code, excused) == (1, 0), output
    assert "stop-word" in page
    assert "FAILED" in page
    (judged,) = report["runs"]
    assert judged["name"] == f"b at {url}"
    assert {result["case"] for result in judged["results"]} == {"stop-word", "stream-done"}
    assert canary not in output + page + json.dumps(report)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model": "m"},
        {"driver": "mine:ReferenceClient", "endpoint": "http://127.0.0.1:1/v1"},
        {"driver": "mine:ReferenceClient", "model": "m"},
    ],
)
def test_either_a_client_or_an_endpoint_is_named(tmp_path: Path, given: dict[str, str]) -> None:
    code, output, page = run_action(tmp_path, **given)
    assert (code, page) == (2, "")
    assert output == "give the input driver, or the input endpoint with its model and token-env\n"


@pytest.mark.parametrize(
    "given",
    [
        {"endpoint": "http://127.0.0.1:1/$(touch owned)"},
        {"endpoint": "http://127.0.0.1:1/v1", "model": "m; touch owned", "token-env": "$(touch owned)"},
        {"driver": "mine:ReferenceClient; touch owned", "cases": "models-many"},
        {"driver": "mine:ReferenceClient", "cases": "models-many $(touch owned) `touch owned`"},
        {"driver": "mine:ReferenceClient", "cases": "models-many", "baseline": "$(touch owned)"},
    ],
)
def test_no_input_is_run_as_a_script(tmp_path: Path, given: dict[str, str]) -> None:
    assert run_action(tmp_path, **given)[0] == 2
    assert not (tmp_path / "owned").exists()


def test_a_summary_that_lies_there_is_not_taken_for_that_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "summary.md").write_text("all is well")
    assert run_action(tmp_path, driver="mine:Nobody", cases="models-many")[::2] == (2, "")
    code, _, page = run_action(tmp_path, driver="mine:ReferenceClient", cases="models-many")
    assert code == 0
    assert "all is well" not in page
    assert (tmp_path / "summary.md").read_text() == "all is well"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("driver", "--help"),
        ("endpoint", "--help"),
        ("model", "-h"),
        ("token-env", "--help"),
        ("cases", "models-many --help"),
        ("baseline", "--help"),
        ("report", "--help"),
    ],
)
def test_no_input_is_taken_for_an_option(tmp_path: Path, name: str, value: str) -> None:
    judged = (
        {"endpoint": "http://127.0.0.1:1/v1"}
        if name in ("model", "token-env", "endpoint")
        else {"driver": "mine:ReferenceClient"}
    )
    code, output, page = run_action(tmp_path, **{**judged, name: value})
    assert (code, page) == (2, "")
    assert output == f"an input must not begin with a dash: {value.removeprefix('models-many ')}\n"


def test_a_pattern_is_left_to_the_kit(tmp_path: Path) -> None:
    (tmp_path / "models-many-notes.txt").touch()
    code, output, _ = run_action(tmp_path, driver="mine:ReferenceClient", cases="models-many*")
    assert code == 0, output


def test_what_the_package_input_says_is_installed(tmp_path: Path) -> None:
    code, output, _ = run_action(tmp_path, driver="mine:ReferenceClient", package="./no-such-folder")
    assert code != 0
    assert "no-such-folder" in output


def test_each_input_that_is_used_is_declared() -> None:
    text = (ROOT / ".github/actions/check/action.yml").read_text("utf-8")
    assert set(re.findall(r"inputs\.([a-z-]+)", text)) <= ACTION["inputs"].keys()

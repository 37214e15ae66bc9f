"""The probes as pytest tests: run as a user would run them, against servers of the tests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.kit.broken_servers import stop_deleted
from tests.kit.changed_server import Asked, accepts, refuses, serving
from tests.kit.own_pytest import run_pytest

if TYPE_CHECKING:
    from pathlib import Path

OWN = """
import socket
import pytest


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)


def test_own():
    assert socket.socket is None
"""


def at(url: str, *words: str) -> list[str]:
    cases = [option for word in words for option in ("--botticelli-case", word)]
    return ["--botticelli-endpoint", url, *cases, "-rA"]


def outcomes(text: str) -> set[str]:
    lines = (line.split(" - ")[0] for line in text.splitlines())
    return {line for line in lines if "::" in line and line.split()[0].isupper()}


def test_each_probe_is_a_test_and_a_finding_reads_like_a_bug_report(tmp_path: Path, canary: str) -> None:
    junit = tmp_path / "junit.xml"
    with serving(stop_deleted, key=canary) as url:
        options = ["--botticelli-token-env", "THE_KEY", f"--junit-xml={junit}"]
        done = run_pytest(
            tmp_path,
            *at(url, "stop-word", "stream-done"),
            *options,
            environment={"THE_KEY": canary},
        )
    assert done.returncode == 1, done.stdout + done.stderr
    assert outcomes(done.stdout) == {
        "PASSED botticelli-endpoint::streams/stream-done",
        "FAILED botticelli-endpoint::stop/stop-word",
    }
    assert re.search(r"botticelli: botticelli/echo at \S+: 2 probes, at most \d+ calls", done.stdout)
    assert "tokens of prompt" in done.stdout
    assert "FAILED  stop-word  (stop, must, core, silent)" in done.stdout
    assert "the stop sequence was deleted, and the text goes on" in done.stdout
    assert "stop-word: ignored" in done.stdout
    assert "  effect    Programs that cut at a mark" in done.stdout
    assert f"  ask again curl -sS -i {url}/chat/completions" in done.stdout
    assert '-H "Authorization: Bearer $THE_KEY"' in done.stdout
    assert "Traceback" not in done.stdout
    assert canary not in done.stdout + done.stderr + junit.read_text()
    names = {case.attrib["name"] for case in ET.parse(junit).getroot().iter("testcase")}
    assert names == {"stop/stop-word", "streams/stream-done"}


def test_probes_are_chosen_by_marker_and_by_name_and_the_costs_are_said_again(tmp_path: Path) -> None:
    with serving(key=None) as url:
        done = run_pytest(tmp_path, *at(url), "-m", "must and stop", "-k", "stream or stop/stop-word-list")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(done.stdout) == {
        "PASSED botticelli-endpoint::stop/stop-split-stream",
        "PASSED botticelli-endpoint::stop/stop-word-stream",
        "PASSED botticelli-endpoint::stop/stop-word-list",
    }
    assert [int(number) for number in re.findall(r"(\d+) probes, at most", done.stdout)] == [205, 3]


def test_a_list_of_the_probes_asks_nothing(tmp_path: Path) -> None:
    asked: list[Asked] = []
    with serving(asked.append, key=None) as url:
        done = run_pytest(tmp_path, *at(url), "--collect-only", "-q", "-m", "structured-output")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "botticelli-endpoint::structured-output/schema-kept" in done.stdout
    assert not asked


@pytest.mark.parametrize("option", ["--fixtures", "--fixtures-per-test", "--setup-plan", "--setup-only"])
def test_where_pytest_runs_no_test_nothing_is_asked(option: str, tmp_path: Path) -> None:
    asked: list[Asked] = []
    with serving(asked.append, key=None) as url:
        done = run_pytest(tmp_path, *at(url, "stop-word"), option)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not asked


# What a server's own CI may do with a probe; it is no test of ours that is skipped.
SKIPS = """
import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == "stop/stop-word":
            item.add_marker(pytest.mark.skip(reason="not today"))
"""


@pytest.mark.parametrize("spread", [[], ["-n", "1"]])
def test_a_probe_can_be_skipped_by_a_mark(spread: list[str], tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(SKIPS)
    with serving(stop_deleted, key=None) as url:
        done = run_pytest(tmp_path, *at(url, "stop-word", "stream-done"), *spread)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not today" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_an_honest_refusal_is_skipped_and_a_may_fails_nothing(tmp_path: Path) -> None:
    def change(asked: Asked) -> None:
        accepts(400)(asked)
        refuses("stop")(asked)

    with serving(change, key=None) as url:
        done = run_pytest(tmp_path, *at(url, "stop-word", "limit-top-p"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "refused: the server refused it: 400: stop is not supported" in done.stdout
    assert outcomes(done.stdout) == {"XFAIL botticelli-endpoint::limits/limit-top-p"}


@pytest.mark.parametrize("spread", [[], ["-n", "1"]])
def test_a_run_in_which_nothing_was_judged_is_no_success(tmp_path: Path, spread: list[str]) -> None:
    with serving(refuses("stop"), key=None) as url:
        done = run_pytest(tmp_path, *at(url, "stop-word"), *spread)
    assert done.returncode == 1, done.stdout
    assert "botticelli: nothing was judged: all was refused or inconclusive" in done.stdout


def test_a_baseline_excuses_and_a_stale_one_fails(tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text(json.dumps({"known": {"stop-word": "known as mlx#1"}}))
    baseline = ["--botticelli-baseline", "known.json"]
    with serving(stop_deleted, key=None) as url:
        excused = run_pytest(tmp_path, *at(url, "stop-word"), *baseline)
    with serving(key=None) as url:
        stale = run_pytest(tmp_path, *at(url, "stop-word"), *baseline)
    assert (excused.returncode, stale.returncode) == (0, 1)
    assert "XFAIL botticelli-endpoint::stop/stop-word - known as mlx#1" in excused.stdout
    assert "it passes now; remove it from the baseline" in stale.stdout


def test_the_other_tests_run_only_where_their_path_is_named_and_no_fixture_of_theirs_meets_a_probe(
    tmp_path: Path,
) -> None:
    (tmp_path / "conftest.py").write_text(OWN)
    (tmp_path / "test_own.py").write_text(OWN)
    with serving(key=None) as url:
        alone = run_pytest(tmp_path, *at(url, "stream-done"))
        beside = run_pytest(tmp_path, *at(url, "stream-done"), "test_own.py")
        spread = run_pytest(tmp_path, *at(url, "stream-done", "stop-word"), "-n", "1")
    probe = "PASSED botticelli-endpoint::streams/stream-done"
    assert outcomes(alone.stdout) == {probe}
    assert outcomes(beside.stdout) == {probe, "PASSED test_own.py::test_own"}
    assert outcomes(spread.stdout) == {probe, "PASSED botticelli-endpoint::stop/stop-word"}, spread.stdout
    assert "2 probes, at most" in spread.stdout


@pytest.mark.parametrize("spread", [[], ["-n", "1"]])
def test_an_endpoint_that_can_not_be_judged_is_said_in_a_line(tmp_path: Path, spread: list[str]) -> None:
    with serving(key=None, models=["one"]) as url:
        unknown = run_pytest(tmp_path, *at(url), "--botticelli-model", "nobody", *spread)
    with serving() as url:
        keyless = run_pytest(tmp_path, *at(url), "--botticelli-model", "botticelli/echo", *spread)
    with serving(key=None, models=["one", "two"]) as url:
        several = run_pytest(tmp_path, *at(url), *spread)
    for done, said in (
        (unknown, "has no model 'nobody'"),
        (keyless, "name the variable that holds it with --botticelli-token-env"),
        (several, "with --botticelli-model; it lists 2: one, two"),
    ):
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not outcomes(done.stdout)


def test_the_processes_of_xdist_ask_as_the_first_one_has_learned_and_nothing_twice(tmp_path: Path) -> None:
    bodies: list[dict[str, object]] = []

    def change(asked: Asked) -> None:
        bodies.append(asked.body)
        if "max_tokens" in asked.body:
            words = "Unsupported parameter: use 'max_completion_tokens'"
            asked.say({"error": {"message": words, "type": "x", "param": "max_tokens", "code": None}}, 400)

    with serving(change, key=None) as url:
        done = run_pytest(tmp_path, *at(url, "stream-done", "answer-finishes"), "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(outcomes(done.stdout)) == 2, done.stdout
    limits = [sorted(body.keys() & {"max_tokens", "max_completion_tokens"}) for body in bodies]
    new = ["max_completion_tokens"]
    assert limits == [[], ["max_tokens"], new, new, new], "the list, two to learn, and one for each probe"
    assert {body.get("model") for body in bodies[1:]} == {"botticelli/echo"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--botticelli-model", "m"], "--botticelli-model needs an endpoint"),
        (["--botticelli-case", "stop"], "--botticelli-case needs an endpoint"),
        (["--botticelli-baseline", "b.json"], "--botticelli-baseline needs an endpoint"),
        (["--botticelli-token-env", "KEY"], "--botticelli-token-env needs an endpoint"),
        (["--botticelli-timeout", "60"], "--botticelli-timeout needs an endpoint"),
        (at("nonsense"), "no URL of an endpoint"),
        (at("http://127.0.0.1:1/v1", "stop-wor"), "did you mean stop-word"),
        (at("http://127.0.0.1:1/v1", "prompt-*"), "prompts of megabytes; name each one in full"),
        (at("http://127.0.0.1:1/v1"), "nothing answers at http://127.0.0.1:1/v1"),
        ([*at("http://127.0.0.1:1/v1"), "--botticelli-token-env", "sk-mistaken"], "must name an environment"),
        ([*at("http://127.0.0.1:1/v1"), "--botticelli-baseline", "none.json"], "none.json: No such file"),
        ([*at("http://127.0.0.1:1/v1"), "--botticelli-timeout", "nan"], "must be seconds"),
    ],
)
def test_what_can_not_be_done_is_said_in_a_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = run_pytest(tmp_path, *arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert said in done.stderr
    assert "sk-mistaken" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

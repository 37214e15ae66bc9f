"""Adapters in a child process: whatever they do is the verdict of one case, and the run goes on."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.adapters.hosted import HostedAdapter, open_adapter
from botticelli.kit.adapters.limits import BystanderError, CrashedError, HungError
from botticelli.kit.adapters.program import LONGEST
from botticelli.kit.cases.case import load_cases
from botticelli.kit.check import run_check
from botticelli.kit.errors import AdapterError
from botticelli.kit.judge.verdict import Gravity
from botticelli.kit.runner import Status, run_cases
from botticelli.kit.selection import select_cases
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.kit.runner import Result

COUNT = itertools.count()


class Spoiler(ReferenceClient):
    """Does right, except where the case's name asks for mischief, or where the tests do."""

    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        if spoil := getattr(self, "_" + call["case"].replace("-", "_"), None):
            return spoil(call) or super().exchange(call)
        return super().exchange(call)

    def _models_many(self, _call: dict[str, Any]) -> None:
        os._exit(0)

    def _models_data_null(self, _call: dict[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _error_body_huge(self, _call: dict[str, Any]) -> None:
        """As a client that looks for secrets in the text of an error: this holds the interpreter."""
        re.match(r"(a+)+$", "a" * 60 + "b")

    def _models_refused(self, call: dict[str, Any]) -> None:
        print("printed by", call["case"])
        print("warned by", call["case"], file=sys.stderr)
        os.write(1, b"written to the pipe\n")
        raise LookupError("mine")

    def _models_data_empty(self, call: dict[str, Any]) -> None:
        """As a user who looks for a fault would see it: the client's own logger is at the root's level."""
        logging.getLogger("a.client").debug("sending %s", {"Authorization": "Bearer " + call["api_key"]})

    def _models_extra_members(self, _call: dict[str, Any]) -> dict[str, Any]:
        return {"models": ["x" * (LONGEST - 100)]}

    def _logs(self, call: dict[str, Any]) -> dict[str, Any]:
        log = logging.getLogger("a.client")
        log.debug("nothing secret")
        log.debug("too few arguments: %s %s", 1)  # noqa: PLE1206 -- it is no fault of the call's
        log.debug("the key, turned round: %s", call["api_key"][::-1])
        error = ValueError(call["api_key"])
        work = threading.Thread(target=log.info, args=("failed",), kwargs={"exc_info": error})
        work.start()
        work.join()
        logging.basicConfig(stream=io.StringIO())
        return {"models": [str(len(logging.getLogger().handlers))]}

    def _models_not_a_list(self, _call: dict[str, Any]) -> Any:
        return {1, 2}

    def _say(self, call: dict[str, Any]) -> dict[str, Any]:
        print("one\ntwo", call["word"], end="")
        return {"models": [str(os.getpid()), *sorted(os.environ)]}

    def _leave(self, _call: dict[str, Any]) -> dict[str, Any]:
        threading.Thread(target=time.sleep, args=(600,)).start()
        child = subprocess.Popen(["sleep", "600"])
        return {"models": [str(child.pid)]}

    def _sleep(self, call: dict[str, Any]) -> dict[str, Any]:
        time.sleep(call["seconds"])
        return {"models": [str(os.getpid())]}

    def _die(self, _call: dict[str, Any]) -> None:
        os._exit(3)

    def _fork(self, _call: dict[str, Any]) -> None:
        subprocess.Popen(["sleep", "600"], stdout=None, close_fds=False)
        os._exit(4)


class EndsAtTheTenth(ReferenceClient):
    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        if next(COUNT) == 10:
            os._exit(0)
        return super().exchange(call)


class Noisy(ReferenceClient):
    def close(self) -> None:
        raise RuntimeError("stuck")


class Awaited:
    capabilities = frozenset({"models"})
    version = "name 1.2"

    async def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        print("from a task, for", call["word"])
        return {"models": []}


def exits() -> ReferenceClient:
    os._exit(5)


def where(name: str) -> str:
    return f"{__name__}:{name}"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Let the child import this module: it searches where this process does."""
    here = str(Path(__file__).resolve().parents[__name__.count(".")])
    monkeypatch.setattr(sys, "path", [here, *sys.path])


@pytest.fixture
def spoiler() -> Iterator[HostedAdapter]:
    adapter = HostedAdapter(where("Spoiler"), limit=20)
    yield adapter
    adapter.kill()


def call(case: str, place: str = "http://a", *, last: bool = True, **more: Any) -> dict[str, Any]:
    return {"case": case, "base_url": place, "last": last, **more}


def played(adapter: HostedAdapter, *names: str, **options: Any) -> dict[str, Result]:
    results = run_cases(select_cases(load_cases(), names), adapter, seed=1, **options)
    return {result.case.id: result for result in results}


def test_what_ends_the_process_is_the_crash_of_its_case_alone(spoiler: HostedAdapter) -> None:
    found = played(spoiler, "models")
    assert {slug: one.verdict.gravity for slug, one in found.items() if not one.verdict.passed} == {
        "models-many": Gravity.CRASH,
        "models-data-null": Gravity.CRASH,
        "models-refused": Gravity.CRASH,
        "models-not-a-list": Gravity.CRASH,
        "models-data-empty": Gravity.LEAK,
        "models-extra-members": Gravity.CRASH,
    }
    got = {slug: one.verdict.differences[0].got for slug, one in found.items() if one.verdict.differences}
    assert "the process of the adapter ended with code 0;" in got["models-many"]
    assert "ended with code -9 (SIGKILL)" in got["models-data-null"]
    assert "LookupError: mine (at test_hosted_adapter.py:" in got["models-refused"]
    assert len(found["models-refused"].verdict.differences) == 2, "the second call is made all the same"
    assert "Object of type set is not JSON serializable" in got["models-not-a-list"]
    assert "characters of JSON, and 67107840 is the limit" in got["models-extra-members"]
    assert spoiler.unexplained() == [], "each end has its case"


def test_what_is_printed_is_kept_with_its_case(spoiler: HostedAdapter) -> None:
    found = played(spoiler, "models-refused", "models-router-list")
    evidence = found["models-refused"].evidence
    assert evidence is not None
    # What is written past sys.stdout comes by another pipe, maybe after the call's answer.
    lines = {*evidence["output"].splitlines()} - {"written to the pipe"}
    assert lines == {"printed by models-refused", "warned by models-refused"}
    assert found["models-router-list"].evidence is None
    assert found["models-router-list"].status is Status.PASSED


def test_a_key_that_is_logged_is_told_at_every_level(spoiler: HostedAdapter) -> None:
    """The root logger lets everything pass, and has no handler: the adapter's own `basicConfig` works."""
    key = "hf_KeyOfTheCall0123456789"
    assert spoiler.exchange(call("logs", api_key=key)) == {"models": ["1"]}
    said = spoiler.printed("http://a")
    assert "nothing secret" not in said
    assert f"logged by a.client, DEBUG: the key, turned round: {key[::-1]}\n" in said
    assert f"logged by a.client, INFO: failed\nValueError: {key}\n" in said
    spoiler.exchange(call("say", word="x"))
    assert "logged" not in spoiler.printed("http://a")


def test_a_client_that_holds_the_interpreter_hangs_alone() -> None:
    adapter = HostedAdapter(where("Spoiler"), limit=3)
    try:
        found = played(adapter, "error-body-huge", "sse-cr-only", "usage-c*", limit=3)
    finally:
        adapter.kill()
    assert found["error-body-huge"].verdict.gravity is Gravity.HANG
    others = {slug: one.verdict.differences for slug, one in found.items() if slug != "error-body-huge"}
    assert not any(others.values()), others
    evidence = found["error-body-huge"].evidence
    assert evidence is not None
    assert "_error_body_huge" in evidence["output"], "it says where it was held"


def test_calls_run_at_the_same_time_in_one_process(spoiler: HostedAdapter) -> None:
    answers = list[str]()

    def make(number: int) -> None:
        answers.extend(spoiler.exchange(call("sleep", f"http://{number}", seconds=0.5))["models"])

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert time.monotonic() - begin < 8 * 0.5, "not one after the other"


def test_the_cases_in_a_process_that_ends_are_bystanders_until_one_ends_it_alone(
    spoiler: HostedAdapter,
) -> None:
    spoiler.exchange(call("say", "http://before", word="x"))
    with pytest.raises(BystanderError, match="ended with code 3"):
        spoiler.exchange(call("die"))
    [loss] = spoiler.unexplained()
    assert "(while die was played, which alone end no process)" in loss
    with spoiler.alone() as single, pytest.raises(CrashedError) as caught:
        single.exchange(call("die"))
    assert not isinstance(caught.value, BystanderError)
    assert spoiler.unexplained() == []
    with spoiler.alone() as single:
        single.exchange(call("say", word="x"))
    with spoiler.alone() as single, pytest.raises(BystanderError):
        single.exchange(call("die"))  # this process has played another case before
    with spoiler.alone() as single:
        single.exchange(call("say", word="x"))
    with spoiler.alone(fresh=True) as single, pytest.raises(CrashedError) as caught:
        single.exchange(call("die"))
    assert not isinstance(caught.value, BystanderError)


def test_a_case_that_hangs_alone_is_to_blame_for_the_process_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """litellm on error-body-huge: beside others it held the interpreter, alone it only ran out of time."""
    adapter = HostedAdapter(where("Spoiler"), limit=1)
    try:
        adapter.exchange(call("say", "http://before", word="x"))
        monkeypatch.setattr("botticelli.kit.adapters.hosted._PATIENCE", 0.2)
        monkeypatch.setattr("botticelli.kit.adapters.hosted._MARGIN", 0.2)
        with pytest.raises(BystanderError):
            adapter.exchange(call("sleep", seconds=60))
        assert len(adapter.unexplained()) == 1
        monkeypatch.setattr("botticelli.kit.adapters.hosted._PATIENCE", 30)
        with adapter.alone() as single, pytest.raises(HungError):
            single.exchange(call("sleep", seconds=60))
        assert adapter.unexplained() == []
    finally:
        adapter.kill()


def test_a_process_that_ends_without_a_culprit_fails_the_run(tmp_path: Path) -> None:
    out, path = io.StringIO(), tmp_path / "report.json"
    assert run_check([where("EndsAtTheTenth")], out=out, select=["models"], seed=1, paths={"json": path}) == 1
    assert re.search(r"the process of the adapter ended with code 0; .* \(while .* played", out.getvalue())
    report = json.loads(path.read_text())
    assert report["passed"] is False
    assert len(report["runs"][0]["results"]) == len(select_cases(load_cases(), ["models"]))


def test_a_child_that_keeps_the_pipe_open_does_not_hide_the_end(spoiler: HostedAdapter) -> None:
    begin = time.monotonic()
    with pytest.raises(CrashedError, match="ended with code 4"):
        spoiler.exchange(call("fork"))
    assert time.monotonic() - begin < 20


def test_what_hangs_alone_leaves_the_others_their_process() -> None:
    adapter = HostedAdapter(where("Spoiler"), limit=0.5)
    try:
        [first, *_] = adapter.exchange(call("say", word="x"))["models"]
        adapter.exchange(call("say", "http://open", last=False, word="x"))
        with pytest.raises(HungError):
            adapter.exchange(call("sleep", seconds=60))
        assert adapter.exchange(call("say", word="x"))["models"][0] != first, "new cases get a new process"
        assert adapter.exchange(call("say", "http://open", word="x"))["models"][0] == first
    finally:
        adapter.kill()


def test_threads_and_children_that_are_left_end_with_the_run(spoiler: HostedAdapter) -> None:
    pid = int(spoiler.exchange(call("leave"))["models"][0])
    begin = time.monotonic()
    spoiler.close()
    assert time.monotonic() - begin < 30
    assert ended(pid)


def ended(pid: int) -> bool:
    """Tell whether a process is gone, or only waits for its parent to see it."""
    for _ in range(500):
        with contextlib.suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_printing_belongs_to_the_call_of_its_task_or_thread(spoiler: HostedAdapter) -> None:
    spoiler.exchange(call("say", "http://a", last=False, word="a"))
    spoiler.exchange(call("say", "http://b", word="b"))
    spoiler.exchange(call("say", "http://a", word="c"))
    assert spoiler.printed("http://a") == "one\ntwo aone\ntwo c"
    assert spoiler.printed("http://b") == "one\ntwo b"
    assert spoiler.printed("http://a") == ""
    adapter = HostedAdapter(where("Awaited"))
    assert adapter.version == "name 1.2"
    adapter.exchange(call("x", word="it"))
    assert adapter.printed("http://a") == "from a task, for it\n"
    adapter.close()


def test_the_child_gets_nobodys_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "MY_BASE_URL"):
        monkeypatch.setenv(name, "canary")
    adapter = HostedAdapter(where("Spoiler"))
    names = adapter.exchange(call("say", word="x"))["models"]
    adapter.close()
    assert not {"OPENAI_API_KEY", "HF_TOKEN", "MY_BASE_URL"} & {*names}
    assert "PATH" in names


def test_an_adapter_that_cannot_be_closed_says_so_from_its_process() -> None:
    adapter = HostedAdapter(where("Noisy"))
    with pytest.raises(CrashedError, match="RuntimeError: stuck"):
        adapter.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nothing", "has no attribute 'Nothing'"),
        ("exits", "the process of the adapter ended with code 5"),
        ("where", "missing 1 required positional argument"),
    ],
)
def test_what_is_no_adapter_is_an_error_of_one_kind(name: str, message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        open_adapter(where(name))


def test_nothing_is_started_after_the_end(spoiler: HostedAdapter) -> None:
    spoiler.close()
    with pytest.raises(CrashedError):
        spoiler.exchange(call("say", word="x"))
    with pytest.raises(CrashedError, match="has been closed"), spoiler.alone(fresh=True):
        pass


def test_in_process_is_in_this_process() -> None:
    adapter = open_adapter(where("Spoiler"), in_process=True)
    assert adapter.exchange(call("say", word="x"))["models"][0] == str(os.getpid())

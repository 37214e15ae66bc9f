"""Programs behind the adapter: JSON lines, crashes, hangs, and one program per base_url."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from botticelli.kit.adapters import program as program_module
from botticelli.kit.adapters.limits import CrashedError, HungError, RaisedError
from botticelli.kit.adapters.load import load_adapter
from botticelli.kit.adapters.process import ProcessAdapter
from botticelli.kit.errors import AdapterError

PROGRAM = """
import json, os, subprocess, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    reply = lambda **answer: json.dumps({"id": asked["id"], **answer})
    if "hello" in asked:
        print(reply(hello={"capabilities": ["generate", "tools"], "version": "name 1.2"}), flush=True)
        continue
    todo = asked["call"]["case"]
    if todo == "die":
        print("Traceback: the end\\nis nigh", file=sys.stderr)
        sys.exit(3)
    if todo == "hang":
        time.sleep(600)
    if todo == "deaf and dumb":
        os.close(0)
        time.sleep(600)
    if todo == "complain":
        sys.stderr.write("woe is me\\n" * 100_000)
    if todo == "long":
        sys.stdout.write("x" * int(asked["call"]["size"]))
    while todo == "endless":
        sys.stdout.write("x" * 65536)
    if todo == "offspring":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(reply(outcome={"models": [str(child.pid)]}), flush=True)
        continue
    if todo == "environment":
        print(reply(outcome={"models": sorted(os.environ)}), flush=True)
        continue
    if todo == "proxy":
        print(reply(outcome={"models": [os.environ["no_proxy"]]}), flush=True)
        continue
    answer = {
        "noise": "not json",
        "list": "[]",
        "empty": reply(),
        "crash": reply(crash="KeyError: 'x'"),
        "deaf": reply(outcome=7),
        "nameless": json.dumps({"outcome": {"models": []}}),
        "deep": "[" * 100_000,
    }.get(todo) or reply(outcome={"models": [str(os.getpid()), "\\ud83d"]})
    print(answer, flush=True)
    if todo == "twice":
        print(answer, flush=True)
    while todo == "babble":
        print(answer, flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    path = tmp_path / "a driver.py"
    path.write_text(PROGRAM)
    return [sys.executable, str(path)]


def call(case: str = "fine", base: str = "http://a", *, last: bool = True) -> dict[str, Any]:
    return {"case": case, "base_url": base, "last": last}


def test_a_program_greets_and_answers(program: list[str]) -> None:
    adapter = ProcessAdapter(program)
    assert adapter.capabilities == {"generate", "tools"}
    assert adapter.version == "name 1.2"
    outcome = adapter.exchange(call())
    assert outcome["models"][1] == "\ud83d"
    assert adapter.exchange(call()) == outcome, "the same program answers again"
    adapter.close()


def test_a_command_line_is_read_as_a_shell_reads_it(program: list[str]) -> None:
    adapter = load_adapter(f"command: {program[0]} '{program[1]}'")
    assert adapter.capabilities == {"generate", "tools"}
    assert isinstance(adapter, ProcessAdapter)
    adapter.close()


def test_a_base_url_stays_with_its_program(program: list[str]) -> None:
    adapter = ProcessAdapter(program)
    first = adapter.exchange(call(base="http://a", last=False))
    other = adapter.exchange(call(base="http://b", last=False))
    assert first["models"][0] != other["models"][0]
    assert adapter.exchange(call(base="http://a")) == first
    assert adapter.exchange(call(base="http://b")) == other
    assert adapter.exchange(call(base="http://c")) in (first, other)
    adapter.close()


def test_what_comes_late_or_twice_is_never_taken_for_the_next_answer(program: list[str]) -> None:
    adapter = ProcessAdapter(program)
    for todo in ("twice", "babble"):
        first = adapter.exchange(call(todo))["models"][0]
        with pytest.raises(CrashedError, match="answered id 1 when it was asked id 2"):
            adapter.exchange(call())
        assert adapter.exchange(call())["models"][0] != first, "another is started"
        adapter.close()


def test_a_program_that_dies_is_a_crash_with_its_last_words(program: list[str]) -> None:
    adapter = ProcessAdapter(program)
    with pytest.raises(CrashedError, match="code 3; on standard error: Traceback: the end\nis nigh"):
        adapter.exchange(call("die"))
    assert adapter.exchange(call())["models"], "another is started"
    adapter.close()


def test_a_program_that_hangs_is_killed(program: list[str]) -> None:
    adapter = ProcessAdapter(program, limit=5)
    pid = adapter.exchange(call())["models"][0]
    adapter.limit = 0.2
    with pytest.raises(HungError, match=r"no answer in 0\.2 s"):
        adapter.exchange(call("hang"))
    adapter.limit = 5
    assert adapter.exchange(call())["models"][0] != pid
    adapter.close()


def test_a_program_that_reads_no_more_is_killed(program: list[str]) -> None:
    adapter = ProcessAdapter(program, limit=1)
    long = {**call("deaf and dumb"), "text": "x" * 10_000_000}
    with pytest.raises(HungError):
        adapter.exchange(long)
    stuck = [
        *program[:1],
        "-c",
        'import time; print(\'{"id":0,"hello":{"capabilities":[]}}\', flush=True); time.sleep(600)',
    ]
    adapter.close()
    adapter = ProcessAdapter(stuck, limit=1)
    with pytest.raises(HungError):
        adapter.exchange(long)
    adapter.close()


def test_a_program_may_complain_as_much_as_it_likes(program: list[str]) -> None:
    adapter = ProcessAdapter(program)
    assert adapter.exchange(call("complain"))["models"]
    with pytest.raises(CrashedError, match=r"(woe is me\s){18}Traceback: the end\nis nigh$"):
        adapter.exchange(call("die"))
    adapter.close()


def test_what_a_program_started_ends_with_it(program: list[str]) -> None:
    adapter = ProcessAdapter(program)
    offspring = int(adapter.exchange(call("offspring"))["models"][0])
    with pytest.raises(CrashedError):
        adapter.exchange(call("noise"))
    assert ended(offspring)
    offspring = int(adapter.exchange(call("offspring"))["models"][0])
    adapter.close()
    assert ended(offspring)


def ended(pid: int) -> bool:
    """Tell whether a process that is not our child is gone, or only waits for its parent to see it."""
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


def test_closing_ends_a_program_in_the_middle_of_a_call(program: list[str]) -> None:
    adapter = ProcessAdapter(program)
    caught = list[BaseException]()

    def make() -> None:
        try:
            adapter.exchange(call("hang"))
        except (CrashedError, AdapterError) as error:
            caught.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    while thread.is_alive():  # it may not have asked yet
        adapter.close()
        thread.join(0.01)
    assert "the program ended" in str(caught[0])


def test_an_answer_has_an_end(program: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_module, "LONGEST", 1_000_000)
    adapter = ProcessAdapter(program)
    with pytest.raises(CrashedError, match="an answer of more than 1000000 bytes"):
        adapter.exchange({**call("long"), "size": 1_000_001})
    with pytest.raises(CrashedError, match="an answer of more than 1000000 bytes"):
        adapter.exchange(call("endless"))
    with pytest.raises(CrashedError, match="not a JSON object on a line"):
        adapter.exchange({**call("long"), "size": 999_000})
    adapter.close()


@pytest.mark.parametrize(
    ("todo", "message"),
    [
        ("noise", "not json"),
        ("nameless", "answered id None when it was asked id 1"),
        ("deep", "not a JSON object"),
        ("list", r"\[\]"),
        ("empty", "neither outcome nor crash"),
        ("deaf", "neither outcome nor crash"),
        ("crash", "KeyError: 'x'"),
    ],
)
def test_an_answer_that_is_not_an_outcome_is_a_crash(program: list[str], todo: str, message: str) -> None:
    adapter = ProcessAdapter(program)
    with pytest.raises(CrashedError, match=message) as caught:
        adapter.exchange(call(todo))
    assert isinstance(caught.value, RaisedError) == (todo == "crash"), "only that one goes on with its case"
    assert adapter.exchange(call())["models"]
    adapter.close()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise SystemExit('no greeting')", "does not answer the greeting: .*no greeting; it must answer"),
        ("print('{\"id\":0}', flush=True); input()", "no list of capabilities"),
        ('print(\'{"id":0,"hello": {"capabilities": [1]}}\', flush=True); input()', "no capability '1'"),
        (
            'print(\'{"id":0,"hello": {"capabilities": ["strem"]}}\', flush=True); input()',
            r"no capability 'strem'; did you mean stream\?",
        ),
        ("import time; time.sleep(600)", r"does not answer the greeting: no answer in 2 s"),
    ],
)
def test_a_program_that_does_not_greet_is_not_an_adapter(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "driver.py"
    path.write_text(source)
    with pytest.raises(AdapterError, match="(?s)" + message):
        ProcessAdapter([sys.executable, str(path)], limit=2)


def test_a_program_meets_no_proxy(program: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "a.b")
    adapter = ProcessAdapter(program)
    assert adapter.exchange(call("proxy"))["models"] == ["a.b,127.0.0.1,localhost,::1"]
    adapter.close()


def test_a_program_gets_nobodys_keys(program: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = [
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "MY_SECRET",
        "github_token",
        "TOKEN",
        "DB_PASSWORD",
        "HUGGINGFACE_BASE_URL",
    ]
    kept = ["TOKENIZERS_PARALLELISM", "KEYBOARD", "SECRETARY"]
    for name in (*hidden, *kept):
        monkeypatch.setenv(name, "canary")
    adapter = ProcessAdapter(program)
    seen = adapter.exchange(call("environment"))["models"]
    adapter.close()
    assert not {*hidden} & {*seen}
    assert {"PATH", *kept} <= {*seen}


def test_many_calls_at_once_get_a_program_each(program: list[str]) -> None:
    adapter = ProcessAdapter(program)
    pids: list[str] = []

    def make(number: int) -> None:
        base = f"http://{number}"
        pids.append(adapter.exchange(call(base=base, last=False))["models"][0])

    threads = [threading.Thread(target=make, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 3
    adapter.close()

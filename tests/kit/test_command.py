"""Programs behind the door: JSON lines, crashes, hangs, and one program per base_url."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.command import CommandDoor
from botticelli.kit.door import CrashedError, HungError, open_door
from botticelli.kit.errors import DoorError

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, os, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    if "hello" in asked:
        print(json.dumps({"hello": {"capabilities": ["generate", "tools"]}}), flush=True)
        continue
    todo = asked["call"]["case"]
    if todo == "die":
        print("Traceback: the end\\nis nigh", file=sys.stderr)
        sys.exit(3)
    if todo == "hang":
        time.sleep(600)
    answer = {
        "noise": "not json",
        "list": "[]",
        "empty": "{}",
        "crash": json.dumps({"crash": "KeyError: 'x'"}),
        "deaf": json.dumps({"outcome": 7}),
    }.get(todo) or json.dumps({"outcome": {"models": [str(os.getpid()), "\\ud83d"]}})
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
    door = CommandDoor(program)
    assert door.capabilities == {"generate", "tools"}
    outcome = door.exchange(call())
    assert outcome["models"][1] == "\ud83d"
    assert door.exchange(call()) == outcome, "the same program answers again"
    door.close()


def test_a_command_line_is_read_as_a_shell_reads_it(program: list[str]) -> None:
    door = open_door(f"command: {program[0]} '{program[1]}'")
    assert door.capabilities == {"generate", "tools"}
    assert isinstance(door, CommandDoor)
    door.close()


def test_a_base_url_stays_with_its_program(program: list[str]) -> None:
    door = CommandDoor(program)
    first = door.exchange(call(base="http://a", last=False))
    other = door.exchange(call(base="http://b", last=False))
    assert first["models"][0] != other["models"][0]
    assert door.exchange(call(base="http://a")) == first
    assert door.exchange(call(base="http://b")) == other
    assert door.exchange(call(base="http://c")) in (first, other)
    door.close()


def test_a_program_that_dies_is_a_crash_with_its_last_words(program: list[str]) -> None:
    door = CommandDoor(program)
    with pytest.raises(CrashedError, match="code 3: Traceback: the end\nis nigh"):
        door.exchange(call("die"))
    assert door.exchange(call())["models"], "another is started"
    door.close()


def test_a_program_that_hangs_is_killed(program: list[str]) -> None:
    door = CommandDoor(program, limit=5)
    pid = door.exchange(call())["models"][0]
    door.limit = 0.2
    with pytest.raises(HungError, match=r"no answer in 0\.2 s"):
        door.exchange(call("hang"))
    door.limit = 5
    assert door.exchange(call())["models"][0] != pid
    door.close()


@pytest.mark.parametrize(
    ("todo", "told"),
    [
        ("noise", "not json"),
        ("list", r"\[\]"),
        ("empty", "neither outcome nor crash"),
        ("deaf", "neither outcome nor crash"),
        ("crash", "KeyError: 'x'"),
    ],
)
def test_what_is_no_outcome_is_a_crash(program: list[str], todo: str, told: str) -> None:
    door = CommandDoor(program)
    with pytest.raises(CrashedError, match=told):
        door.exchange(call(todo))
    assert door.exchange(call())["models"]
    door.close()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise SystemExit('no greeting')", "does not greet: .*no greeting"),
        ("print('{}', flush=True); input()", "no list of capabilities"),
        ('print(\'{"hello": {"capabilities": [1]}}\', flush=True); input()', "no list"),
        ("import time; time.sleep(600)", r"does not greet: no answer in 0\.5 s"),
    ],
)
def test_a_program_that_does_not_greet_is_no_door(tmp_path: Path, source: str, told: str) -> None:
    path = tmp_path / "driver.py"
    path.write_text(source)
    with pytest.raises(DoorError, match=told):
        CommandDoor([sys.executable, str(path)], limit=0.5)


def test_many_calls_at_once_get_a_program_each(program: list[str]) -> None:
    door = CommandDoor(program)
    pids: list[str] = []

    def make(number: int) -> None:
        base = f"http://{number}"
        pids.append(door.exchange(call(base=base, last=False))["models"][0])

    threads = [threading.Thread(target=make, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 3
    door.close()

"""The maintainers' commands: output, exit codes, and no traceback."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from botticelli.contracts import data_root

from . import contracts as command

if TYPE_CHECKING:
    from pathlib import Path

ROOT = data_root() / "contracts"


def test_the_built_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["build", "--check"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the contracts that the commands take for the packaged ones."""
    shutil.copytree(ROOT, tmp_path / "contracts")
    monkeypatch.setattr(command, "data_root", lambda: tmp_path)
    return tmp_path / "contracts"


def test_build_writes_what_is_out_of_date(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "wire" / "openai" / "error.schema.json"
    right = path.read_bytes()
    path.write_text("{}")
    (copied / "wire" / "openai" / "chunk.schema.json").unlink()
    # An empty schema has no $id, so the set can't even be read: that must be an error line.
    assert command.main(["build", "--check"]) == 2
    assert "error: " in capsys.readouterr().err
    path.unlink()
    assert command.main(["build", "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "contracts/wire/openai/chunk.schema.json is out of date",
        "contracts/wire/openai/error.schema.json is out of date",
    ]
    assert not path.exists()
    assert command.main(["build"]) == 0
    assert "contracts/wire/openai/error.schema.json written" in capsys.readouterr().out
    assert path.read_bytes() == right
    assert command.main(["build", "--check"]) == 0


def test_breaking_counts_the_changes(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old"
    shutil.copytree(copied, old)
    assert command.main(["breaking", str(old)]) == 0
    assert capsys.readouterr().out == "0 breaking, 0 compatible changes\n"
    path = copied / "openai" / "error.schema.json"
    path.write_text(path.read_text().replace('["message", "type", "param", "code"]', '["message", "status"]'))
    assert command.main(["breaking", str(old)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "breaking    openai/error#/$defs/error/required: now requires status"
    assert lines[-1] == "1 breaking, 3 compatible changes"


def test_published_tells_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "examples.json"
    path.write_text('[{"title": "T", "response": "{\\"object\\": \\"chat.completion.chunk\\"}"}]')
    assert command.main(["published", str(path)]) == 1
    assert "FAULT example T: $.choices: is missing" in capsys.readouterr().out
    assert command.main(["published", str(tmp_path / "nowhere.json")]) == 2
    assert capsys.readouterr().err.startswith("error: ")

"""The chores: text, exit codes, and no traceback."""

import shutil
from pathlib import Path

import pytest

from botticelli.contracts import __main__ as chores
from botticelli.contracts import data_root

ROOT = data_root() / "contracts"


def test_the_built_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert chores.main(["build", "--check"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the contracts that the chores take for the packaged ones."""
    shutil.copytree(ROOT, tmp_path / "contracts")
    monkeypatch.setattr(chores, "data_root", lambda: tmp_path)
    return tmp_path / "contracts"


def test_build_writes_what_is_out_of_date(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "wire" / "error.schema.json"
    right = path.read_bytes()
    path.write_text("{}")
    (copied / "wire" / "chunk.schema.json").unlink()
    # An empty schema has no $id, so the set can't even be read: that must be an error line.
    assert chores.main(["build", "--check"]) == 2
    assert "error: " in capsys.readouterr().err
    path.unlink()
    assert chores.main(["build", "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "contracts/wire/chunk.schema.json is not up to date",
        "contracts/wire/error.schema.json is not up to date",
    ]
    assert not path.exists()
    assert chores.main(["build"]) == 0
    assert "contracts/wire/error.schema.json written" in capsys.readouterr().out
    assert path.read_bytes() == right
    assert chores.main(["build", "--check"]) == 0


def test_breaking_counts_the_changes(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old"
    shutil.copytree(copied, old)
    assert chores.main(["breaking", str(old)]) == 0
    assert capsys.readouterr().out == "0 breaking, 0 compatible changes\n"
    path = copied / "openai" / "error.schema.json"
    path.write_text(path.read_text().replace('["message", "type", "param", "code"]', '["message", "status"]'))
    assert chores.main(["breaking", str(old)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "breaking    openai/error#/$defs/error/required: now requires status"
    assert lines[-1] == "1 breaking, 3 compatible changes"


def test_published_tells_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "examples.json"
    path.write_text('[{"title": "T", "response": "{\\"object\\": \\"chat.completion.chunk\\"}"}]')
    assert chores.main(["published", str(path)]) == 1
    assert "FAULT example T: $.choices: is missing" in capsys.readouterr().out
    assert chores.main(["published", str(tmp_path / "nowhere.json")]) == 2
    assert capsys.readouterr().err.startswith("error: ")

"""Maintain the contracts: `python -m tests.tools.contracts` with `build`, `published` or `breaking`.

These are chores of whoever changes `contracts/`, so they aren't in the wheel. Users validate with
`botticelli validate`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from botticelli.contracts import ContractError, SchemaSet, data_root
from botticelli.contracts.relaxations import build_files, outdated_files

from .breaking import compare_folders
from .published import compare, fixture_instances

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one chore.

    Returns:
        The exit code: 0 if all is well, 1 if something is wrong, 2 if it can't be checked.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.tools.contracts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="write the schemas of the tolerant contracts")
    command.add_argument("--check", action="store_true", help="only list the files that are out of date")
    command = commands.add_parser("published", help="compare with a copy of the published specification")
    command.add_argument("path", type=Path, help="a JSON file, or a folder of them")
    command = commands.add_parser("breaking", help="list the changes since an earlier version of contracts/")
    command.add_argument("old", type=Path, help="the folder contracts/ of the earlier version")
    options = parser.parse_args(arguments)
    root = data_root() / "contracts"
    try:
        if options.command == "build":
            return _build(root, check=options.check)
        if options.command == "breaking":
            return _breaking(options.old, root)
        return _published(root, options.path)
    except ContractError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _build(root: Path, *, check: bool) -> int:
    outdated = outdated_files(root)
    for path in outdated:
        sys.stdout.write(f"{path.relative_to(root.parent)} {'is out of date' if check else 'written'}\n")
    if check:
        return 1 if outdated else 0
    for path, text in build_files(root).items():
        path.write_text(text, encoding="utf-8")
    return 0


def _published(root: Path, path: Path) -> int:
    errata = json.loads((root / "openai" / "errata.json").read_bytes())
    comparison = compare(SchemaSet.read(root), errata, path, fixture_instances(root.parent / "fixtures"))
    sys.stdout.writelines(f"{line}\n" for line in comparison.checked)
    sys.stdout.writelines(f"FAULT {line}\n" for line in comparison.faults)
    return 1 if comparison.faults else 0


def _breaking(old: Path, new: Path) -> int:
    changes = compare_folders(old, new)
    sys.stdout.writelines(f"{change}\n" for change in changes)
    breaking = sum(change.breaking for change in changes)
    sys.stdout.write(f"{breaking} breaking, {len(changes) - breaking} compatible changes\n")
    return 1 if breaking else 0


if __name__ == "__main__":
    sys.exit(main())

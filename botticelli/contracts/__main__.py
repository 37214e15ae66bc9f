"""The contract's own chores: `python -m botticelli.contracts build [--check]` and the like.

May enter here: what turns arguments into calls and results into lines. A user's `validate` is a
command of the main program; these are for whoever works on the contracts.
"""

import argparse
import json
import sys
from pathlib import Path

from botticelli.contracts.breaking import compare_folders
from botticelli.contracts.build import build, stale
from botticelli.contracts.errors import ContractError
from botticelli.contracts.published import compare, instances_of_the_house
from botticelli.contracts.schemas import SchemaSet, data_root


def main(arguments: list[str] | None = None) -> int:
    """Run one chore.

    Returns:
        The exit code: 0 if all is well, 1 if something was found, 2 if it could not be looked for.
    """
    parser = argparse.ArgumentParser(prog="python -m botticelli.contracts", description=__doc__)
    chores = parser.add_subparsers(dest="chore", required=True)
    chore = chores.add_parser("build", help="write the schemas of the tolerant contract")
    chore.add_argument("--check", action="store_true", help="only tell whether they are up to date")
    chore = chores.add_parser("published", help="compare with a copy of the published specification")
    chore.add_argument("path", type=Path, help="a JSON file or a folder of them")
    chore = chores.add_parser("breaking", help="compare with an earlier version of contracts/")
    chore.add_argument("old", type=Path, help="the folder contracts/ of the earlier version")
    options = parser.parse_args(arguments)
    try:
        root = data_root() / "contracts"
        if options.chore == "build":
            return _build(root, check=options.check)
        if options.chore == "breaking":
            return _breaking(options.old, root)
        return _compare(root, options.path)
    except ContractError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _build(root: Path, *, check: bool) -> int:
    outdated = stale(root)
    for path in outdated:
        said = "is not up to date" if check else "written"
        sys.stdout.write(f"{path.relative_to(root.parent)} {said}\n")
    if check:
        return 1 if outdated else 0
    for path, text in build(root).items():
        path.write_text(text, encoding="utf-8")
    return 0


def _compare(root: Path, path: Path) -> int:
    errata = json.loads((root / "openai" / "errata.json").read_bytes())
    instances = instances_of_the_house(root.parent / "fixtures")
    comparison = compare(SchemaSet.read(root), errata, path, instances)
    sys.stdout.writelines(f"{line}\n" for line in comparison.checked)
    sys.stdout.writelines(f"FAULT {line}\n" for line in comparison.faults)
    return 1 if comparison.faults else 0


def _breaking(old: Path, new: Path) -> int:
    changes = compare_folders(old, new)
    sys.stdout.writelines(f"{change}\n" for change in changes)
    broken = sum(change.breaking for change in changes)
    sys.stdout.write(f"{broken} breaking, {len(changes) - broken} compatible changes\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

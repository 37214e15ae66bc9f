"""Judge our drivers and every client that the kit has an adapter for: `python -m tests.matrix`.

It writes `matrix.json` (the verdicts, which `botticelli report` reads) and `matrix.html` (the page, with the
exchanges) beside this file, and the table in README. The versions of the clients are pinned by the extra
`clients` in pyproject.toml and by `botticelli/kit/adapters/clients/js/package.json`; what is installed in
another version is refused. Words name the implementations that are judged anew; the others keep what
`--reports` has of them. The exit code is 0 if all were judged, whatever the verdicts.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from botticelli.kit.adapters.clients import registry
from botticelli.kit.report import machine, model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botticelli.kit.report.model import Report, Result, Run

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
SEED = 7
BEGIN, END = "<!-- the matrix, written by just matrix -->", "<!-- end of the matrix -->"


class Implementation(NamedTuple):
    """What is judged: the word for `check driver`, and the package it is in."""

    word: str
    package: str


OURS = tuple(Implementation(word, "botticelli") for word in ("HuggingFaceDriver", "AsyncHuggingFaceDriver"))
PACKAGES = {
    "openai-sync": "openai",
    "openai-async": "openai",
    "pydantic-ai": "pydantic-ai-slim",
}
ALL = (
    *OURS,
    *(Implementation(word, PACKAGES.get(word, word)) for word in registry.PYTHON),
    *(Implementation(word, client.packages[0]) for word, client in registry.NODE.items()),
)


def pinned(root: Path = ROOT) -> dict[str, str]:
    """Return the version of each client that is to be judged, by its word's package."""
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    pins = (re.fullmatch(r"([\w.-]+)(?:\[.*\])?==(.+)", pin) for pin in extras["clients"])
    python = {pin[1]: pin[2] for pin in pins if pin}
    node = json.loads((root / "botticelli/kit/adapters/clients/js/package.json").read_text("utf-8"))
    return {**python, **{f"npm:{name}": pin for name, pin in node["dependencies"].items()}}


def installed(one: Implementation) -> str:
    """Return the version that is installed; a missing client raises an error that says how to install it."""
    if one.word not in registry.NODE:
        return version(one.package)
    folder = Path(registry.node_command(one.word)[1]).parent
    found: str = json.loads((folder / "node_modules" / one.package / "package.json").read_text("utf-8"))[
        "version"
    ]
    return found


def check_versions(chosen: Sequence[Implementation], pins: Mapping[str, str]) -> None:
    """End the program if a client isn't the one that is pinned."""
    for one in chosen:
        if one in OURS:
            continue
        pin = pins[f"npm:{one.package}" if one.word in registry.NODE else one.package]
        if (found := installed(one)) != pin:
            sys.exit(f"{one.word}: {found} is installed and {pin} is pinned; pip install -e '.[kit,clients]'")


def judged(one: Implementation, folder: Path) -> Path:
    """Judge one implementation and return its report."""
    path = folder / f"{re.sub(r'[^a-zA-Z0-9]+', '-', one.word)}.json"
    command = [sys.executable, "-m", "botticelli", "check", "driver", one.word, "--seed", str(SEED)]
    with path.with_suffix(".txt").open("w") as output:
        done = subprocess.run(
            [*command, "--json", str(path)], cwd=ROOT, stdout=output, stderr=output, check=False
        )
    if done.returncode not in (0, 1):
        sys.exit(f"{one.word} couldn't be judged; see {path.with_suffix('.txt')}")
    return path


def named(report: Report, one: Implementation) -> Report:
    """Return a report with the word and the version of what was judged."""
    runs = [dataclasses.replace(run, name=one.word, version=installed(one)) for run in report.runs]
    return dataclasses.replace(report, runs=runs)


def without_evidence(report: Report) -> Report:
    """Return a report with its verdicts alone, so that it is small enough to be kept.

    What the cases say of themselves is left out too.
    """
    runs = [
        dataclasses.replace(run, results=[_verdict(result) for result in run.results]) for run in report.runs
    ]
    return dataclasses.replace(report, runs=runs)


def _verdict(result: Result) -> Result:
    return dataclasses.replace(result, evidence=None, spec="", provenance="", policy="", cause="", source=[])


def table(report: Report) -> str:
    """Return the summary as a table in Markdown."""
    lines = [
        f"Suite {report.suite.version} ({report.suite.hash}), {report.date[:10]}; kept of those judged.",
        "",
        "| implementation | version | must | should | may | not claimed |",
        "|---|---|---|---|---|---|",
    ]
    for run in report.runs:
        counts = model.tally(run.results)
        scores = [model.score(counts, level) for level in ("must", "should", "may")]
        cells = [f"{one.kept}/{one.judged}" for one in scores]
        lines.append(f"| `{run.name}` | {run.version} | {' | '.join(cells)} | {_left_out(run)} |")
    return "\n".join(lines)


def _left_out(run: Run) -> int:
    return sum(result.status == "not_claimed" for result in run.results)


def with_table(readme: str, text: str) -> str:
    """Return README with another table between its marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"README has no place for the matrix; it stands between {BEGIN!r} and {END!r}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, and write the three files."""
    words = [one.word for one in ALL]
    about = (__doc__ or "").split("\n", 1)[0]
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=about)
    parser.add_argument("words", nargs="*", metavar="WORD", help=f"judge these anew: {', '.join(words)}")
    kept = ROOT / ".matrix"
    parser.add_argument("--reports", type=Path, default=kept, help="where the whole reports are")
    options = parser.parse_args(arguments)
    if unknown := set(options.words) - set(words):
        parser.error(f"no implementation is called {', '.join(sorted(unknown))}")
    anew = [one for one in ALL if not options.words or one.word in options.words]
    check_versions(anew, pinned())
    options.reports.mkdir(exist_ok=True)
    for one in anew:
        print(one.word, flush=True)
        path = judged(one, options.reports)
        report = named(model.read_report(path), one)
        machine.write_json(path, machine.document_of(report))
    ordered = [options.reports / f"{re.sub(r'[^a-zA-Z0-9]+', '-', one.word)}.json" for one in ALL]
    merged = model.merge([(str(path), model.read_report(path)) for path in ordered if path.exists()])
    machine.write_files(merged, {"html": HERE / "matrix.html"})
    machine.write_json(HERE / "matrix.json", machine.document_of(without_evidence(merged)))
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text("utf-8"), table(merged)), "utf-8")
    print(table(merged))


if __name__ == "__main__":
    main()

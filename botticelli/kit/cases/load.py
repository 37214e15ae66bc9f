"""Files of cases: found, read and checked.

May enter: the folder of cases and their schema. ``python -m botticelli.kit.cases.load [FOLDER]`` checks
every case file and prints what is wrong with it.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from botticelli.contracts import Relaxations
from botticelli.contracts.jsonvalue import Document, is_array, is_object
from botticelli.kit.cases.case import Call, Case
from botticelli.kit.cases.script import compile_exchange
from botticelli.kit.cases.variables import VARIABLE
from botticelli.kit.errors import CaseError
from botticelli.kit.schemas import complaints, data_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def case_files(folder: Path) -> list[Path]:
    """Return the case files under ``folder``, in order: ``<area>/<slug>.json``."""
    return sorted(folder.glob("*/*.json"))


def read_case(path: Path) -> Case:
    """Read one case file and check it.

    Raises:
        CaseError: It cannot be read or something is wrong with it; all complaints are told.
    """
    document, found = _read(path)
    if found:
        raise CaseError("\n".join(f"{path}: {line}" for line in found))
    return Case(document)


def load_cases(folder: Path | None = None) -> list[Case]:
    """Read and check all cases, in order.

    Args:
        folder: Where they are; by default those that come with the package.

    Raises:
        CaseError: One of them cannot be used.
    """
    return [read_case(path) for path in case_files(folder or cases_folder())]


def cases_folder() -> Path:
    """Return the folder of the cases that come with the package."""
    return data_root() / "fixtures" / "cases"


def check_folder(folder: Path) -> Iterator[str]:
    """Check every case file under ``folder`` and yield one line per complaint."""
    seen: dict[str, Path] = {}
    for path in case_files(folder):
        document, found = _read(path)
        for line in found:
            yield f"{path}: {line}"
        slug = str(document.get("id"))
        if slug in seen:
            yield f"{path}: id {slug} is also that of {seen[slug]}"
        seen[slug] = path


def _read(path: Path) -> tuple[Document, list[str]]:
    try:
        document = json.loads(path.read_bytes(), parse_constant=_no_constant)
    except (OSError, ValueError) as error:
        return {}, [f"cannot be read: {error}"]
    found = complaints("case", document)
    if found:
        return document if is_object(document) else {}, found
    return document, [*_misplaced(document, path), *_unplayable(document)]


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _misplaced(document: Document, path: Path) -> Iterator[str]:
    if document["id"] != path.stem:
        yield f"/id: {document['id']} is not the file's name"
    if document["area"] != path.parent.name:
        yield f"/area: {document['area']} is not the folder's name"


def _unplayable(document: Document) -> Iterator[str]:
    """Yield what no schema can say."""
    try:
        play = Case(document).fill(seed=0, port=1)
    except CaseError as error:
        yield str(error)
        return
    for index, exchange in enumerate(play.exchanges):
        try:
            compile_exchange(exchange, play.defaults, datetime.now(UTC))
        except (CaseError, ValueError) as error:
            yield f"/exchanges/{index}: {error}"
    for code in _deviations(document) - _codes():
        yield f"deviation {code}: no relaxation is called so"
    for index, call in enumerate(play.calls):
        yield from (f"call {index}: {line}" for line in complaints("call", call.neutral))
        yield from (f"call {index}: {line}" for line in _contradictions(call))
    count = play.requests["count"]
    if "count" not in document.get("requests", {}) and any(map(_retries, play.calls)):
        yield "/requests/count: must be told where there are retries"
    if isinstance(count, int) and len(play.requests.get("each", [])) > count:
        yield "/requests/each: longer than count"
    for match in re.finditer(r"\{\{[^{}]*\}\}", json.dumps(document, ensure_ascii=False)):
        if not VARIABLE.fullmatch(match.group()):
            yield f"{match.group()}: not a variable"


def _deviations(value: object) -> set[str]:
    if is_array(value):
        return {code for item in value for code in _deviations(item)}
    if is_object(value):
        own: list[str] = value["deviations"] if is_array(value.get("deviations")) else []
        return {*own, *(code for item in value.values() for code in _deviations(item))}
    return set()


@functools.cache
def _codes() -> frozenset[str]:
    return frozenset(Relaxations.load("openai").codes())


def _retries(call: Call) -> bool:
    options: Document = call.neutral["options"]
    return bool(options["max_retries"])


def _contradictions(call: Call) -> Iterator[str]:
    operation, cancels = call.neutral["operation"], "cancel_after" in call.neutral
    for expected in call.expect:
        kind = next(iter(expected))
        if kind == "models" and operation != "models":
            yield "expects models of another operation"
        if kind == "response" and operation == "models":
            yield "expects a response of operation models"
        if kind == "cancelled" and not cancels:
            yield "expects a cancellation without cancel_after"
        if "min_chunks" in expected[kind] and operation != "stream":
            yield "min_chunks is of a stream"


def main(arguments: Iterable[str]) -> int:
    """Check the folder given, ``fixtures/cases`` by default; print complaints and a count."""
    folder = Path(next(iter(arguments), "fixtures/cases"))
    found = list(check_folder(folder))
    for line in found:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{len(case_files(folder))} case files, {len(found)} complaints\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

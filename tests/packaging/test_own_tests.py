"""Every pure module is tested by a file of its own, so that what one leaves out no other can cover up."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    path.relative_to(ROOT / "botticelli")
    for package in ("core", "protocol", "dialects")
    for path in sorted((ROOT / "botticelli" / package).rglob("*.py"))
    if path.stem != "__init__"
]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_it_has_a_test_file_that_imports_it(module: Path) -> None:
    tests = ROOT / "tests" / module.parts[0] / f"test_{module.stem}.py"
    assert tests.is_file()
    dotted = ".".join(("botticelli", *module.with_suffix("").parts))
    text = tests.read_text(encoding="utf-8")
    package, _, name = dotted.rpartition(".")
    assert any(
        words in text
        for words in (f"from {dotted} import", f"import {dotted}", f"from {package} import {name}")
    )

"""The schemas mean the same to every validator: jsonschema-rs, jsonschema of PyPI, and ajv of JavaScript."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from botticelli import contracts
from botticelli.contracts.relaxations import Relaxations

ROOT = contracts.data_root()
SCHEMAS = [contracts.load(name) for name in contracts.names()]
VOCABULARY = ["x-spec", "x-source", "x-errata", "x-relaxed"]
AJV = Path(__file__).with_name("ajv.cjs")
WAYS: dict[str, dict[str, Any]] = {
    "loose": {"options": {"strict": False, "validateFormats": False}},
    "strict": {
        "options": {"strictTypes": False, "strictRequired": False, "validateFormats": False},
        "vocabulary": VOCABULARY,
    },
    "formats asserted": {"options": {"strict": False}, "formats": True},
}
"""The ways to use ajv that contracts/README.md gives."""


class Sample(NamedTuple):
    """An instance, where it is from, and whether a validator whose numbers are doubles can judge it."""

    source: str
    contract: str
    instance: Any
    exact: bool = False


def _samples() -> list[Sample]:
    found: list[Sample] = []
    for path in sorted((ROOT / "fixtures" / "examples").rglob("*.json")):
        contract = path.relative_to(ROOT / "fixtures" / "examples").parent.as_posix()
        found.append(Sample(f"{contract}/{path.stem}", contract, json.loads(path.read_bytes())))
    for path in sorted((ROOT / "fixtures" / "invalid").rglob("*.json")):
        document = json.loads(path.read_bytes())
        name = document["contract"]
        found += [
            Sample(f"{name}: {one['id']}", name, one["instance"], one.get("numbers") == "exact")
            for one in document["instances"]
        ]
    for path in sorted((ROOT / "fixtures" / "cases").rglob("*.json")):
        found.append(Sample(f"case {path.stem}", "kit/case", json.loads(path.read_bytes())))
    listed = Relaxations.load("openai")
    for relaxation in listed.listed:
        for example in (relaxation.inside, relaxation.outside):
            if "contract" in example:
                for name in (f"openai/{example['contract']}", f"wire/openai/{example['contract']}"):
                    found.append(Sample(f"{name}: {relaxation.code}", name, listed.instance(example)))
    return found


SAMPLES = _samples()


@functools.cache
def verdicts() -> list[bool]:
    """What jsonschema-rs says, which the package uses."""
    return [contracts.validator(sample.contract).is_valid(sample.instance) for sample in SAMPLES]


def differing(others: list[bool]) -> list[str]:
    return [
        sample.source
        for sample, ours, theirs in zip(SAMPLES, verdicts(), others, strict=True)
        if ours != theirs
    ]


def test_both_verdicts_occur_for_every_contract() -> None:
    both = {(sample.contract, valid) for sample, valid in zip(SAMPLES, verdicts(), strict=True)}
    names = {name for name in contracts.names() if not name.startswith("kit/")}
    assert both >= {(name, valid) for name in names for valid in (True, False)}


def test_jsonschema_of_pypi_agrees() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema: pip install jsonschema")
    referencing = pytest.importorskip("referencing")
    resources = [(schema["$id"], referencing.Resource.from_contents(schema)) for schema in SCHEMAS]
    registry = referencing.Registry().with_resources(resources)
    compiled = {
        name: jsonschema.Draft202012Validator({"$ref": contracts.load(name)["$id"]}, registry=registry)
        for name in contracts.names()
    }
    for schema in SCHEMAS:
        jsonschema.Draft202012Validator.check_schema(schema)
    others = [bool(compiled[sample.contract].is_valid(sample.instance)) for sample in SAMPLES]
    assert differing(others) == []


@pytest.mark.parametrize("way", WAYS)
def test_ajv_agrees(way: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js")
    identities = {name: contracts.load(name)["$id"] for name in contracts.names()}
    job = {
        "vocabulary": [],
        **WAYS[way],
        "schemas": SCHEMAS,
        "instances": [(identities[sample.contract], json.dumps(sample.instance)) for sample in SAMPLES],
    }
    # `just ajv` installs there; NODE_PATH is the user's own place.
    places = [str(Path(sys.prefix) / "node" / "node_modules"), os.environ.get("NODE_PATH", "")]
    done = subprocess.run(
        [node, str(AJV)],
        input=json.dumps(job),
        env={**os.environ, "NODE_PATH": os.pathsep.join(filter(None, places))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    if answer == "missing":
        pytest.skip("needs ajv and ajv-formats: just ajv")
    # JavaScript's numbers are doubles, which can't tell these apart from the nearest valid number.
    assert differing(answer) == [sample.source for sample in SAMPLES if sample.exact]


def test_the_readme_names_what_was_tried_here() -> None:
    readme = (ROOT / "contracts" / "README.md").read_text(encoding="utf-8")
    for word in ("strict: false", "validateFormats: false", "strictTypes: false", "strictRequired: false"):
        assert word in readme
    assert json.dumps(VOCABULARY) in readme
    assert '"numbers": "exact"' in readme

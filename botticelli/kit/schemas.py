"""One question to the kit's own schemas: what is wrong with this instance?"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema_rs

from botticelli.kit.values import encodable


def data_root() -> Path:
    """Return the folder that holds contracts and fixtures."""
    return Path(__file__).parents[2]


@functools.cache
def _validator(name: str) -> Any:
    path = Path(__file__).parents[2] / "contracts" / "kit" / f"{name}.schema.json"
    return jsonschema_rs.validator_for(json.loads(path.read_text()))


def complaints(name: str, instance: object) -> list[str]:
    """Return one line per violation of ``contracts/kit/{name}.schema.json``, with its path."""
    found: list[str] = []
    for error in _validator(name).iter_errors(encodable(instance)):
        path = "/" + "/".join(str(part) for part in error.instance_path)
        found.append(f"{path}: {error.message}")
    return found

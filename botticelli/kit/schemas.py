"""One question to the kit's own schemas: what is wrong with this instance?"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema_rs


@functools.cache
def _validator(name: str) -> Any:
    path = Path(__file__).parents[2] / "contracts" / "kit" / f"{name}.schema.json"
    return jsonschema_rs.validator_for(json.loads(path.read_text()))


def complaints(name: str, instance: object) -> list[str]:
    """Return one line per violation of ``contracts/kit/{name}.schema.json``, with its path."""
    found = []
    for error in _validator(name).iter_errors(encodable(instance)):
        path = "/" + "/".join(str(part) for part in error.instance_path)
        found.append(f"{path}: {error.message}")
    return found


def encodable(value: Any) -> Any:
    """Return the value with lone surrogates, which no validator takes, as U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, list):
        return [encodable(item) for item in value]
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    return value

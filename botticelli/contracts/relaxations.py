"""The named relaxations, and their examples written out.

An example is short in `relaxations.json`: a base, and what to change in it. Here it becomes the
instance, or the bytes that a server would send.

May enter here: the standard library. The only file read is the one that is asked for.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botticelli.contracts.errors import ContractDataError
from botticelli.contracts.jsonvalue import is_array, resolve

Example = Mapping[str, Any]
"""An example as `relaxations.json` has it."""

_SEPARATOR = "\n\n"


@dataclass(frozen=True, slots=True)
class Relaxation:
    """One named way in which servers break the format and are understood all the same.

    Attributes:
        code: Its name, in kebab case, which is never changed.
        level: `schema` if an instance shows it, `bytes` if only the bytes do, `stream` if only
            the sequence of events, or the request beside the answer, does.
        says: What the server does.
        reading: What a tolerant reader makes of it.
        evidence: Where it was seen.
        audit: True for what is only looked for on demand, because looking takes time.
        edits: What it changes in the strict schemas; none unless the level is `schema`.
        inside: An example that it covers.
        outside: One that is just beyond it.
    """

    code: str
    level: str
    says: str
    reading: str
    evidence: tuple[str, ...]
    audit: bool
    edits: tuple[Mapping[str, Any], ...]
    inside: Example
    outside: Example


@dataclass(frozen=True, slots=True)
class Relaxations:
    """What is tolerated.

    Attributes:
        listed: The relaxations, in the order in which they are applied.
        bases: The instances that examples are made from, by name.
    """

    listed: tuple[Relaxation, ...]
    bases: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Relaxations":
        """Read `relaxations.json`.

        Raises:
            ContractDataError: The file is missing or has another form.
        """
        try:
            document = json.loads(path.read_bytes())
            listed = tuple(_relaxation(entry) for entry in document["relaxations"])
            return cls(listed, document["bases"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ContractDataError(f"{path} is not a list of relaxations: {error!r}") from error

    def codes(self) -> list[str]:
        """All the codes, in order."""
        return [relaxation.code for relaxation in self.listed]

    def instance(self, example: Example) -> Any:
        """The JSON value that an example stands for.

        Args:
            example: With `instance` in full, or with `base`, `change` (pointer to new value) and
                `remove` (pointers).
        """
        if "instance" in example:
            return copy.deepcopy(example["instance"])
        value = copy.deepcopy(self.bases[example["base"]])
        for pointer, new in example.get("change", {}).items():
            parent, step = _parent(value, pointer)
            parent[step] = copy.deepcopy(new)
        for pointer in example.get("remove", ()):
            parent, step = _parent(value, pointer)
            del parent[step]
        return value

    def body(self, example: Example) -> bytes:
        """The body that an example stands for, whatever its level: JSON, an event stream, text.

        Args:
            example: As `instance` takes it, or with `body` as text, or with `replace` (a piece of
                the base's compact text and what stands in its place), or with `nested` (the levels
                of lists in a member that is put first), or with `events` or `lines` (each the name
                of a base, or an example, or `data` as text). `cut` takes so many
                characters off the end, `separator` stands between events, `encoding` is UTF-8
                unless given.
        """
        if "events" in example:
            frames = [f"data: {self._data(event)}" for event in example["events"]]
            separator: str = example.get("separator", _SEPARATOR)
            text = separator.join(frames) + _SEPARATOR
        elif "lines" in example:
            text = "".join(self._data(line) + "\n" for line in example["lines"])
        else:
            text = self._text(example)
        encoding: str = example.get("encoding", "utf-8")
        cut: int = example.get("cut", 0)
        return text[: len(text) - cut].encode(encoding)

    def _data(self, event: str | Example) -> str:
        if isinstance(event, str):
            return _compact(self.bases[event])
        return str(event["data"]) if "data" in event else self._text(event)

    def _text(self, example: Example) -> str:
        if "body" in example:
            return str(example["body"])
        text = _compact(self.instance(example))
        if "nested" in example:
            levels: int = example["nested"]
            text = f'{{"x":{"[" * levels}{"]" * levels},{text[1:]}'
        if "replace" in example:
            old, new = example["replace"]
            if old not in text:
                raise ContractDataError(f"the base of an example has no {old!r} to replace")
            text = text.replace(old, new)
        return text


def _relaxation(entry: Mapping[str, Any]) -> Relaxation:
    return Relaxation(
        code=entry["code"],
        level=entry["level"],
        says=entry["says"],
        reading=entry["reading"],
        evidence=tuple(entry["evidence"]),
        audit=entry.get("audit", False),
        edits=tuple(entry.get("edits", ())),
        inside=entry["inside"],
        outside=entry["outside"],
    )


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _parent(value: Any, pointer: str) -> tuple[Any, Any]:
    path, _, step = pointer.rpartition("/")
    parent = resolve(value, path)
    return parent, int(step) if is_array(parent) else step

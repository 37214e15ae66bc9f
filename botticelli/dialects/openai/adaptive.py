"""Decode the chunks of one stream, fast in spite of what its server constantly gets wrong or adds.

A server that breaks the format does it in every chunk, in the same way. After the first chunk that had to be
repaired, the typed decoder is built anew so that it lets this pass, and only the odd members are mended.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.dialects.openai import wire
from botticelli.dialects.openai.repair import mend_members, narrowed
from botticelli.dialects.openai.unknown import (
    CHOICE,
    CHUNK,
    MESSAGE,
    Known,
    delta_blocks,
    message_unknown,
)
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.protocol.deviations import DeviationLog

__all__ = ["AdaptiveDecoder"]

Names = frozenset[str]
_LIST: Any = list  # of a type that is made here, which no checker can follow
_MOST_NAMES = 64
"""Names that are learnt of one stream: each is a member of a struct, and a hostile server has many."""


_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""A name that a struct's member can have; others stay unlearnt."""
_STRUCTURE = frozenset({"choices", "delta"})


class _Level:
    """What a server sends, at one level of its chunks, that the typed decoder refuses.

    Attributes:
        misfits: The members that hold something else than the struct says.
        unknown: The members that the struct doesn't name.
    """

    def __init__(self, shape: type[msgspec.Struct], known: Known) -> None:
        self.misfits: Names = frozenset()
        self.unknown: Names = frozenset()
        self._shape = shape
        self._known = known
        self._types = {
            field.name: field.type
            for field in msgspec.structs.fields(shape)
            if field.name not in ("choices", "delta", "unknown")
        }
        self._narrowed = narrowed(shape, self.misfits)
        self._fields: list[tuple[str, str]] = []

    def learn(self, members: dict[str, Any]) -> None:
        """Learn from members that were refused."""
        types = self._types
        odd = [name for name in members if name in types and not _fits(members[name], types[name])]
        self.misfits = self.misfits.union(odd)
        new = (name for name in members if name not in types and _NAME.fullmatch(name))
        self.unknown = self.unknown.union(new) - _STRUCTURE

    def settle(self) -> None:
        """Make ready for what was learnt."""
        self._narrowed = narrowed(self._shape, self.misfits)
        self._fields = _numbered(self.unknown)

    def gather(self, struct: msgspec.Struct) -> dict[str, Any]:
        """Return the members that aren't read; before `mend`, which drops them."""
        found = {
            name: value
            for attribute, name in self._fields
            if (value := getattr(struct, attribute)) is not msgspec.UNSET
        }
        for name in self.misfits:
            value = getattr(struct, name)
            if not self._known[name](value):
                found[name] = value
                if name in ("object", "role"):
                    setattr(struct, name, None)  # a word that a stream needn't have right
        return found

    def mend(self, struct: msgspec.Struct, log: DeviationLog, path: str, place: str) -> None:
        """Mend the members that the struct names."""
        if self.misfits:
            mend_members(struct, self._narrowed, log, path, place)


def _numbered(unknown: Names) -> list[tuple[str, str]]:
    """Return an attribute for each name, which need be no identifier."""
    return [(f"unknown_{number}", name) for number, name in enumerate(sorted(unknown))]


class AdaptiveDecoder:
    """Decode the chunks of one stream, and learn what its server gets wrong or sends beside the format.

    Attributes:
        known: Whether there is anything of the kind.
        mends: Whether any of it has to be mended, and noted, each time.

    Args:
        log: Where to note what was mended.
    """

    def __init__(self, log: DeviationLog) -> None:
        self.known = False
        self.mends = False
        self._log = log
        self._chunk = _Level(wire.FastChunk, CHUNK)
        self._choice = _Level(wire.FastChoice, CHOICE)
        self._delta = _Level(wire.FastDelta, MESSAGE)
        self._read: Callable[[bytes], Any] = _FAST.decode

    def learn(self, value: dict[str, Any]) -> None:
        """Learn from a chunk that the typed decoder refused and that could be mended."""
        choices = [choice for choice in value.get("choices") or () if is_object(choice)]
        self._chunk.learn(value)
        for choice in choices:
            self._choice.learn(choice)
            if is_object(delta := choice.get("delta")):
                self._delta.learn(delta)
        levels = (self._chunk, self._choice, self._delta)
        if sum(len(level.unknown) for level in levels) > _MOST_NAMES:
            return  # the rest is read the slow way
        for level in levels:
            level.settle()
        self.mends = any(level.misfits for level in levels)
        self.known = self.mends or any(level.unknown for level in levels)
        self._read = _decoder(*((level.misfits, level.unknown) for level in levels))

    def decode(self, data: bytes) -> wire.FastChunk | None:
        """Decode the next chunk.

        Returns:
            The chunk; None for one that may be an error or can't be read as a whole, for others to tell.

        Raises:
            msgspec.MsgspecError: It breaks the format in a way that is new. (Or what else msgspec raises.)
        """
        chunk: wire.FastChunk = self._read(data)
        choices = chunk.choices or ()
        if any(choice.error for choice in choices):
            return None  # before anything is noted, for it is read again
        found = False
        beside: list[wire.UnknownOfChoice] = []
        for position, choice in enumerate(choices):
            path = f"$.choices[{position}]"
            of_choice = self._choice.gather(choice)
            of_delta: dict[str, Any] = {}
            blocks: list[Any] = []
            self._choice.mend(choice, self._log, path, "$.choices[]")
            delta = choice.delta
            if delta is not None:
                of_delta = self._delta.gather(delta)
                content: Any = delta.content
                if is_array(content):
                    whole = {"content": content}
                    of_delta |= message_unknown(whole)
                    blocks = delta_blocks(whole)
                self._delta.mend(delta, self._log, f"{path}.delta", "$.choices[].delta")
            found = found or bool(of_choice or of_delta or blocks)
            beside.append(wire.UnknownOfChoice(of_choice, of_delta, blocks))
        of_chunk = self._chunk.gather(chunk)
        self._chunk.mend(chunk, self._log, "$", "$")
        if found or of_chunk:
            chunk.unknown = wire.Unknown(of_chunk, beside)
        return chunk if self._log.unreadable is None else None


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


_FAST = msgspec.json.Decoder(wire.FastChunk)
_Learnt = tuple[Names, Names]


@lru_cache(maxsize=32)
def _decoder(of_chunk: _Learnt, of_choice: _Learnt, of_delta: _Learnt) -> Callable[[bytes], Any]:
    """Return a decoder like that of `wire.FastChunk`, to which some members may be anything."""
    delta = _loosened(wire.FastDelta, *of_delta, {})
    choice = _loosened(wire.FastChoice, *of_choice, {"delta": delta | None})
    chunk = _loosened(wire.FastChunk, *of_chunk, {"choices": _LIST[choice] | None})
    return msgspec.json.Decoder(chunk).decode


def _loosened(shape: type[msgspec.Struct], misfits: Names, unknown: Names, types: dict[str, Any]) -> Any:
    fields: list[Any] = [(name, kind, None) for name, kind in types.items()]
    fields += [(name, Any, None) for name in misfits]
    fields += [
        (attribute, Any, msgspec.field(default=msgspec.UNSET, name=name))
        for attribute, name in _numbered(unknown)
    ]
    return msgspec.defstruct(f"Loose{shape.__name__}", fields, bases=(shape,), gc=False)

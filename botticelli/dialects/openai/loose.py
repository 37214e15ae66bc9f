"""A server's own way of breaking the format, learnt from its first chunks: bytes -> chunk, still in one pass.

A server that gets a member wrong gets it wrong in every chunk. The repair path takes ten times as long as the
typed one; so the members that were odd once are from then on decoded as whatever they are, and only they are
mended. What else a chunk may break still makes the decoder refuse it. No stream, no events.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.dialects.openai import wire
from botticelli.dialects.openai.repair import mend_members, narrowed
from botticelli.protocol.lenient_json import is_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.protocol.deviations import Notes

__all__ = ["LooseDecoder"]

Names = frozenset[str]
_LIST: Any = list  # of a type that is made here, which no checker can follow
_CHOICE = {
    field.name: field.type for field in msgspec.structs.fields(wire.FastChoice) if field.name != "delta"
}
_DELTA = {field.name: field.type for field in msgspec.structs.fields(wire.FastDelta)}


class LooseDecoder:
    """Decodes the chunks of one stream, and learns what its server gets wrong.

    Attributes:
        known: Whether there is anything that it gets wrong.

    Args:
        notes: Where to note what was mended.
    """

    def __init__(self, notes: Notes) -> None:
        self.known = False
        self._notes = notes
        self._of_choice: Names = frozenset()
        self._of_delta: Names = frozenset()
        self._read: Callable[[bytes], Any] = _decoder(self._of_choice, self._of_delta)

    def learn(self, value: dict[str, Any]) -> None:
        """Learn from a chunk that the typed decoder refused and that could be mended."""
        choices = [choice for choice in value.get("choices") or () if is_object(choice)]
        deltas = [delta for choice in choices if is_object(delta := choice.get("delta"))]
        self._of_choice = self._of_choice.union(*(_odd(choice, _CHOICE) for choice in choices))
        self._of_delta = self._of_delta.union(*(_odd(delta, _DELTA) for delta in deltas))
        if "content" in self._of_delta:
            self._of_delta |= {"reasoning_content"}  # what is thought in the parts of a content goes there
        self.known = bool(self._of_choice or self._of_delta)
        self._read = _decoder(self._of_choice, self._of_delta)
        self._choice = narrowed(wire.FastChoice, self._of_choice)
        self._delta = narrowed(wire.FastDelta, self._of_delta)

    def decode(self, data: bytes) -> wire.FastChunk | None:
        """Decode the next chunk.

        Returns:
            The chunk; None for one that may be an error or can't be read as a whole, for others to tell.

        Raises:
            msgspec.MsgspecError: It has something odd that is new. (Or what else msgspec raises.)
        """
        chunk: wire.FastChunk = self._read(data)
        choices = chunk.choices or ()
        if any(choice.error for choice in choices):
            return None  # before anything is noted, for it is read again
        for position, choice in enumerate(choices):
            path = f"$.choices[{position}]"
            if self._of_choice:
                mend_members(choice, self._choice, self._notes, path, "$.choices[]")
            if self._of_delta and choice.delta is not None:
                mend_members(choice.delta, self._delta, self._notes, f"{path}.delta", "$.choices[].delta")
        return chunk if self._notes.fault is None else None


def _odd(members: dict[str, Any], types: dict[str, Any]) -> list[str]:
    return [name for name, kind in types.items() if name in members and not _fits(members[name], kind)]


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@lru_cache(maxsize=32)
def _decoder(of_choice: Names, of_delta: Names) -> Callable[[bytes], Any]:
    """A decoder like that of `wire.FastChunk`, to which some members may be anything."""
    delta = _loosened(wire.FastDelta, dict.fromkeys(of_delta, Any))
    choice = _loosened(wire.FastChoice, {"delta": delta | None, **dict.fromkeys(of_choice, Any)})
    return msgspec.json.Decoder(_loosened(wire.FastChunk, {"choices": _LIST[choice] | None})).decode


def _loosened(shape: type[msgspec.Struct], types: dict[str, Any]) -> Any:
    fields = [(name, kind, None) for name, kind in types.items()]
    return msgspec.defstruct(f"Loose{shape.__name__}", fields, bases=(shape,), gc=False)

"""Tell the members that the vocabulary has a word for from those that it keeps under `extra`.

Nothing that a server said is lost: what isn't read as a member of the format goes to the `extra` of what it
stands in. A member that the format knows, but that holds what nobody can read there, is such a member too.

In a stream each event may bring more of a member. `Extras` merges what came: of a word or a number the newest
value counts, objects are updated, lists extended. The pieces of a text in a delta are joined, unless all are
the same, for then it is a word that each delta repeats. A list beside the choices is taken anew where it
begins as the one before, for then the server repeats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botticelli.core.message import NOTHING, Reasoning, Text
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.convert import PART, REASONING, split_content
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botticelli.core.message import Image, Other

__all__ = [
    "CHOICE",
    "CHUNK",
    "MESSAGE",
    "Extras",
    "Known",
    "answer_unknown",
    "choice_unknown",
    "chunk_unknown",
    "delta_blocks",
    "merge",
    "message_unknown",
    "unknown_members",
    "without_words",
]


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _anything(_value: Any) -> bool:
    return True


def _is_nothing(value: Any) -> bool:
    return value is None


def _is_id(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


def _may_be(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or kind(value)


Known = dict[str, "Callable[[Any], bool]"]
"""The members that are read, and what each must hold to be read or, where it holds something else, noted."""

MESSAGE: Final[Known] = {
    "role": lambda value: value in ("assistant", None),
    "content": _anything,
    "refusal": _anything,
    "tool_calls": _anything,
    "function_call": _anything,
    "annotations": _may_be(is_array),
    "images": _may_be(is_array),
    "audio": _may_be(is_object),
    "reasoning_details": _anything,
    **dict.fromkeys(REASONING, _is_text),
}
CHOICE: Final[Known] = {
    **dict.fromkeys(("index", "finish_reason", "logprobs", "message", "delta", "usage"), _anything),
    "text": _is_text,
    "error": _is_nothing,
}
_TOP: Final[Known] = {
    **dict.fromkeys(("created", "choices", "usage"), _anything),
    "id": _is_id,
    "model": _is_text,
    "service_tier": _is_text,
    "system_fingerprint": _is_text,
    "error": _is_nothing,
    "obfuscation": _anything,
}
CHUNK: Final[Known] = {**_TOP, "object": lambda value: value in ("chat.completion.chunk", None)}
_ANSWER: Final[Known] = {**_TOP, "object": _anything, "obfuscation": _is_nothing}


def unknown_members(members: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """Return the members that aren't read."""
    return {
        name: value for name, value in members.items() if (fits := known.get(name)) is None or not fits(value)
    }


def answer_unknown(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a whole answer that aren't read."""
    return unknown_members(members, _ANSWER)


def message_unknown(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a message or a delta that aren't read, and those of the parts of its content."""
    found = unknown_members(message, MESSAGE)
    content = message.get("content")
    if is_array(content) and (beside := _beside_parts(content)):
        found["content"] = beside
    return found


def _beside_parts(parts: list[Any]) -> list[Any]:
    """Return what parts that are read as text or reasoning hold beside it."""
    rest: list[Any] = []
    for part in parts:
        if is_object(part) and part.keys() & (PART - {"type"}):
            beside = {name: value for name, value in part.items() if name not in PART}
            if beside:
                rest.append(beside)
    return rest


def choice_unknown(choice: Mapping[str, Any], *unread: str) -> dict[str, Any]:
    """Return the members of a choice that aren't read; `unread` are known ones that aren't this time."""
    found = unknown_members(choice, CHOICE)
    return found | {name: choice[name] for name in unread if choice.get(name) not in (None, "")}


def delta_blocks(delta: Mapping[str, Any]) -> list[Text | Image | Other | Reasoning]:
    """Return the content of a delta in blocks, if there is more in it than text; its reasoning comes last."""
    content = delta.get("content")
    blocks, thinking = split_content(content) if is_array(content) else ([], "")
    found: list[Text | Image | Other | Reasoning] = [*blocks]
    if thinking:
        found.append(Reasoning(thinking, "content"))
    return found if any(not isinstance(block, Text) for block in found) else []


def chunk_unknown(chunk: Mapping[str, Any]) -> wire.Unknown | None:
    """Return the members of a chunk that aren't read; None where there is none."""
    listed = chunk.get("choices")
    choices: list[wire.UnknownOfChoice] = []
    for choice in listed if is_array(listed) else ():
        if is_object(choice):
            held = choice.get("delta")
            delta = held if is_object(held) else NOTHING
            beside = choice_unknown(choice)
            choices.append(wire.UnknownOfChoice(beside, message_unknown(delta), delta_blocks(delta)))
    found = wire.Unknown(unknown_members(chunk, CHUNK), choices)
    return found if found.chunk or any(map(any, choices)) else None


def without_words(chunk: dict[str, Any]) -> dict[str, Any]:
    """Return a chunk without what says that it is one, and whose: words that a stream needn't have right."""
    listed = chunk.get("choices")
    rest = {name: value for name, value in chunk.items() if name != "object"}
    if is_array(listed):
        rest["choices"] = [
            {**choice, "delta": {name: value for name, value in delta.items() if name != "role"}}
            if is_object(choice) and is_object(delta := choice.get("delta"))
            else choice
            for choice in listed
        ]
    return rest


def merge(known: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Take the members of an object that a later event brought; the newest values count, but null doesn't.

    Servers that write every member into every event write null where there is nothing new, for example for a
    signature that an earlier event brought (tool-later-members-null).
    """
    known.update({name: value for name, value in new.items() if value is not None or name not in known})


class Extras:
    """Merge the unknown members of one place in a stream.

    Args:
        pieces: Whether texts come in pieces, as in a delta.
        repeats: Whether lists are repeated whole, as beside the choices.
    """

    __slots__ = ("_members", "_pieces", "_repeats", "_texts")

    def __init__(self, *, pieces: bool = False, repeats: bool = False) -> None:
        self._pieces = pieces
        self._repeats = repeats
        self._members: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}

    def take(self, members: Mapping[str, Any]) -> None:
        """Take what came."""
        for name, value in members.items():
            known = self._members.get(name)
            if is_object(value):
                if is_object(known):
                    merge(known, value)
                    continue
                value = dict(value)  # noqa: PLW2901 -- a copy, which may grow
            elif is_array(value):
                if is_array(known) and not (self._repeats and value[: len(known)] == known):
                    known.extend(value)
                    continue
                value = list(value)  # noqa: PLW2901 -- as above
            elif value is None and name in self._members:
                continue
            elif isinstance(value, str) and self._pieces:
                self._take_text(name, value)
            self._members[name] = value

    def _take_text(self, name: str, piece: str) -> None:
        if name in self._texts and isinstance(self._members.get(name), str):
            self._texts[name].append(piece)
        else:
            self._texts[name] = [piece]

    def value(self) -> Mapping[str, Any]:
        """Return what came so far, in copies of its own."""
        return {
            name: _joined(self._texts[name])
            if isinstance(value, str) and name in self._texts
            else _copied(value)
            for name, value in self._members.items()
        }


def _joined(texts: list[str]) -> str:
    return texts[0] if texts.count(texts[0]) == len(texts) else "".join(texts)


def _copied(value: Any) -> Any:
    if is_object(value):
        return dict(value)
    return list(value) if is_array(value) else value

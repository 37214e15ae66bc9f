"""Accumulate streamed tool calls from the deltas that servers really send.

The published rule is short: a delta's `index` says which call it continues, id and name come once, the
arguments in pieces. Servers leave the index out, send null, start at 1, give every call the index 0,
repeat id and name in every delta or send them after other pieces, and send arguments whole, as an object,
or twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.core.message import NOTHING, ToolCall
from botticelli.core.response import ToolCallDelta
from botticelli.dialects.openai import convert
from botticelli.dialects.openai.unknown import merge
from botticelli.protocol.lenient_json import as_whole_number, is_digits, is_object
from botticelli.protocol.limits import DEFAULT_LIMITS, too_much

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botticelli.protocol.deviations import DeviationLog
    from botticelli.protocol.limits import Limits

__all__ = ["ToolCallAccumulator"]

_PLACEHOLDER = "{}"


class _Call:
    """Hold what has arrived of one call."""

    __slots__ = ("arguments", "extra", "id", "length", "name", "position", "type")

    def __init__(self, position: int) -> None:
        self.position = position
        self.id = ""
        self.name = ""
        self.type = "function"
        self.arguments: list[str] = []
        self.length = 0
        self.extra: dict[str, Any] = {}

    def written(self) -> str:
        if len(self.arguments) > 1:
            self.arguments[:] = ["".join(self.arguments)]
        return self.arguments[0] if self.arguments else ""

    def take_extra(self, members: Mapping[str, Any]) -> None:
        taken = dict(members)
        for name in ("function", "custom"):
            before, value = self.extra.get(name), taken.get(name)
            if is_object(before) and is_object(value):
                taken[name] = merged = dict(before)  # a copy: the piece that brought it doesn't change
                merge(merged, value)
        merge(self.extra, taken)


class ToolCallAccumulator:
    """Accumulate the tool calls of one choice of one stream.

    Args:
        log: Where to note what only a stream can do wrong.
        structural: Where to note what the strict contract would reject too.
        path: The path of the choice's delta.
        limits: How many calls there may be.
    """

    def __init__(
        self,
        log: DeviationLog,
        structural: DeviationLog,
        path: str = "$.choices[0].delta",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._log = log
        self._structural = structural
        self._path = path
        self._most = limits.max_tool_calls
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._legacy: _Call | None = None

    def take(self, deltas: Iterable[dict[str, Any]]) -> tuple[ToolCallDelta, ...]:
        """Take the `tool_calls` of one delta.

        Returns:
            The pieces, each with the position of its call instead of the server's index.
        """
        touched: set[int] = set()
        pieces: list[ToolCallDelta] = []
        for position, raw in enumerate(deltas):
            piece = convert.to_tool_call(raw)
            call = self._find(raw, piece, touched, position)
            touched.add(call.position)
            if len(self._calls) > self._most:
                excess = too_much("max_tool_calls", self._most, "tool calls in one choice")
                self._log.refuse_because(f"{self._path}.tool_calls[{position}]", excess)
                del self._calls[self._most :]
                break
            pieces.append(self._continue(call, raw, piece, position))
        return tuple(pieces)

    def take_legacy(self, raw: dict[str, Any]) -> tuple[ToolCallDelta, ...]:
        """Take the deprecated `function_call` of one delta: there can only be one call."""
        if self._legacy is None:
            self._legacy = self._begin()
        return (self._continue(self._legacy, {}, convert.to_tool_call({"function": raw}), 0),)

    def calls(self) -> list[ToolCall]:
        """Return what has arrived of the calls, in the order of their first pieces."""
        return [
            ToolCall(
                id=call.id,
                name=call.name,
                arguments_json=call.written(),
                type=call.type,
                extra=dict(call.extra) or NOTHING,
            )
            for call in self._calls
        ]

    def _begin(self) -> _Call:
        call = _Call(len(self._calls))
        self._calls.append(call)
        return call

    def _note(self, code: str, member: str, position: int, *, structural: bool = False) -> None:
        log = self._structural if structural else self._log
        place = f"$.choices[].delta.tool_calls[].{member}"
        log.add(code, f"{self._path}.tool_calls[{position}].{member}", place)

    def _find(self, raw: dict[str, Any], piece: ToolCall, touched: set[int], position: int) -> _Call:
        """Return the call that a delta continues, or begin a new one."""
        index = self._index(raw, position)
        if index is None:
            # tool-index-missing, tool-index-null: the id names the call, or else it is the newest one
            call = self._by_id.get(piece.id) or (self._calls[-1] if self._calls else None)
            return self._begin() if call is None or _is_another(call, piece, touched) else call
        call = self._by_index.get(index)
        if call is not None and _is_another(call, piece, touched, indexed=True):
            self._note("tool-index-reused", "index", position)
            call = None
        if call is None:
            call = self._by_index[index] = self._begin()
        return call

    def _index(self, raw: dict[str, Any], position: int) -> int | None:
        index = raw.get("index")
        number = as_whole_number(index)
        if number is not None:
            if number < 0:
                self._note("tool-index-negative", "index", position, structural=True)
            return number
        if index is None:
            code = "tool-index-null" if "index" in raw else "tool-index-missing"
            self._note(code, "index", position, structural=True)
            return None
        digits = is_digits(index)
        self._note("tool-index-not-integer" if digits else "field-type", "index", position, structural=True)
        return int(index) if digits else None

    def _continue(self, call: _Call, raw: dict[str, Any], piece: ToolCall, position: int) -> ToolCallDelta:
        if piece.id and not call.id:
            call.id = piece.id
            self._by_id.setdefault(piece.id, call)
        call.name = (piece.name or call.name) if call.length else _joined_name(call.name, piece.name)
        if piece.type != "function" or raw.get("type"):
            call.type = piece.type
        if piece.extra:
            call.take_extra(piece.extra)
        function = raw.get("function")
        if is_object(function):
            written = function.get("arguments")
            if not isinstance(written, str | None):
                code = "arguments-not-string" if is_object(written) else "field-type"
                self._note(code, "function.arguments", position, structural=True)
        elif function is not None:
            self._structural.refuse(f"{self._path}.tool_calls[{position}].function", function)
        arguments = piece.arguments_json
        if call.type == "function":
            arguments = self._new_arguments(call, arguments, position)
        if arguments:
            call.arguments.append(arguments)
            call.length += len(arguments)
        return ToolCallDelta(
            index=call.position, id=call.id, name=call.name, arguments=arguments, extra=piece.extra
        )

    def _new_arguments(self, call: _Call, piece: str, position: int) -> str:
        """Return what a piece adds to the arguments: nothing if it repeats them whole."""
        if not piece.startswith("{") or not call.length:
            return piece
        # Two objects in a row are never JSON, so neither of these can spoil arguments that were right.
        # tool-arguments-placeholder: "{}" first, then the arguments
        if call.length == len(_PLACEHOLDER) and call.written() == _PLACEHOLDER and piece != _PLACEHOLDER:
            self._note("arguments-placeholder", "function.arguments", position)
            call.arguments.clear()
            call.length = 0
            return piece
        # tool-arguments-repeated-whole: the arguments in pieces, then once more whole
        if call.length == len(piece) and call.written() == piece and _is_json(piece):
            self._note("arguments-repeated", "function.arguments", position)
            return ""
        return piece


def _is_another(call: _Call, piece: ToolCall, touched: set[int], *, indexed: bool = False) -> bool:
    """Return whether a piece begins another call than the one that its index or place says it continues.

    Args:
        call: The call that the index names or, without an index, the newest one.
        piece: What came.
        touched: The positions of the calls that earlier pieces of the same delta belong to.
        indexed: Whether the server sent an index.
    """
    if piece.id and call.id and piece.id != call.id:
        # tool-index-reused: another id means another call, although the index is the same. But some servers
        # make up an id for every delta. Arguments are an object, so a piece that can't begin one continues
        # the call that is there: the id alone doesn't decide.
        written = piece.arguments_json
        goes_on = call.length and written and not written.startswith("{") and piece.type == "function"
        return not goes_on and (bool(piece.name) or not indexed)
    if not piece.name or not call.name:
        return False
    if call.position in touched:
        # tool-index-missing-one-delta: two pieces in one delta are two calls, even of the same tool
        return piece.name != call.name or bool(call.length)
    if piece.id and piece.id == call.id:
        # tool-repeated-id-and-name: servers repeat both in every delta of a call
        return False
    # tool-index-missing: a new name begins a new call; tool-name-late: with an index, only once the call has
    # arguments, for until then the name may be what was missing
    return piece.name != call.name and (bool(call.length) or not indexed)


def _joined_name(known: str, piece: str) -> str:
    """Return a name with its next piece, unless that repeats what is there, with or without more."""
    if not piece or known.startswith(piece):
        return known
    # tool-name-in-pieces: no server is meant to cut a name, but some cut everything
    return piece if piece.startswith(known) else known + piece


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True

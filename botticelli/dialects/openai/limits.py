"""Hold an answer to `Limits`, before anything is built of it that weighs more than its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botticelli.protocol.lenient_json import is_array, is_object
from botticelli.protocol.limits import count_nodes, too_much

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.core.response import GenerateResponse
    from botticelli.protocol.limits import Limits

__all__ = ["excess_in_response", "excess_in_text", "excess_in_value"]

_SIZED = (("max_tool_calls", "tool calls in one choice"), ("max_parts", "parts in one choice"))


def excess_in_text(data: bytes, limits: Limits) -> str | None:
    """Return why a JSON text holds too much to be decoded, or None."""
    most = limits.max_nodes
    # each value takes a byte, so that what is shorter need not be counted
    if len(data) <= most or count_nodes(data) <= most:
        return None
    return too_much("max_nodes", most, "values")


def excess_in_value(value: dict[str, Any], n: int, limits: Limits) -> tuple[str, str] | None:
    """Return what a decoded answer holds too much of, or None.

    Args:
        value: The answer, which need not keep the format.
        n: How many choices were asked for.
        limits: The limits.

    Returns:
        The path and the message.
    """
    choices = value.get("choices")
    if not is_array(choices):
        return None
    if found := _excess_of_choices(len(choices), n, limits):
        return found
    for place, choice in enumerate(choices):
        if not is_object(choice):
            continue
        for member in ("message", "delta"):
            message = choice.get(member)
            if is_object(message) and (found := _excess_in_message(message, limits)):
                return f"$.choices[{place}].{member}{found[0]}", found[1]
    return None


def excess_in_response(response: GenerateResponse, n: int, limits: Limits) -> tuple[str, str] | None:
    """Return the path and the message of what an answer holds too much of, or None."""
    if found := _excess_of_choices(len(response.choices), n, limits):
        return found
    for place, choice in enumerate(response.choices):
        sizes = len(choice.tool_calls), len(choice.annotations)
        if excess := _first_excess(sizes, limits):
            return f"$.choices[{place}].message", excess
    return None


def _excess_of_choices(count: int, n: int, limits: Limits) -> tuple[str, str] | None:
    most = max(n, limits.max_choices)
    return ("$.choices", too_much("max_choices", most, "choices")) if count > most else None


def _excess_in_message(message: dict[str, Any], limits: Limits) -> tuple[str, str] | None:
    for member, sizes in _sizes(message):
        if excess := _first_excess(sizes, limits):
            return f".{member}", excess
    return None


def _sizes(message: dict[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the members that are lists, and their lengths: as tool calls, as parts."""
    for member, value in message.items():
        if is_array(value):
            yield member, (len(value), 0) if member == "tool_calls" else (0, len(value))


def _first_excess(sizes: tuple[int, int], limits: Limits) -> str | None:
    for size, (name, what) in zip(sizes, _SIZED, strict=True):
        most: int = getattr(limits, name)
        if size > most:
            return too_much(name, most, what)
    return None

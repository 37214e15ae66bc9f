"""A whole answer: a wire struct, or an object that breaks the format -> `GenerateResponse`. No bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from botticelli.core.response import Choice, GenerateResponse
from botticelli.dialects.openai import convert, wire
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from botticelli.core.message import ToolCall
    from botticelli.protocol.deviations import Notes

__all__ = ["build", "is_rich", "mended"]

_NOTHING: dict[str, Any] = {}


def is_rich(choice: wire.Choice) -> bool:
    """Whether a choice has members that are handed on as they came, which the strict structs don't keep."""
    message = choice.message
    return bool(
        choice.logprobs or message.tool_calls or message.annotations or message.audio or message.function_call
    )


def build(answer: wire.Response, plain: list[dict[str, Any]] | None, notes: Notes) -> GenerateResponse:
    """The answer that a wire struct holds.

    Args:
        answer: The struct; if it was mended, its members may be None or UNSET whatever their annotations say.
        plain: Its choices as plain values, one for one; None if none of them is rich.
        notes: Where to note what no struct shows.
    """
    held = answer.choices or []
    choices = [
        _choice(choice, plain[place] if plain else _NOTHING, place, notes)
        for place, choice in enumerate(held)
    ]
    tier, fingerprint = answer.service_tier, answer.system_fingerprint
    return GenerateResponse(
        choices=sorted(choices, key=lambda choice: choice.index),
        id=answer.id or "",
        model=answer.model or "",
        created=answer.created,
        usage=convert.usage(answer.usage) if answer.usage else None,
        service_tier=tier if isinstance(tier, str) else None,
        system_fingerprint=fingerprint if isinstance(fingerprint, str) else None,
    )


def mended(value: dict[str, Any], notes: Notes) -> GenerateResponse:
    """The answer in an object that breaks the format, by the repair path."""
    from botticelli.dialects.openai.repair import mend

    choices: Any = value.get("choices")
    plain: list[dict[str, Any]] = []
    if is_array(choices):
        choices = [
            _with_message(choice, place, notes) if is_object(choice) else choice
            for place, choice in enumerate(choices)
        ]
        plain = [choice for choice in choices if is_object(choice)]
        value = {**value, "choices": choices}
    return build(mend(value, wire.Response, notes), plain, notes)


def _with_message(choice: dict[str, Any], place: int, notes: Notes) -> dict[str, Any]:
    """The choice with the message that it has under another name."""
    if choice.get("message"):
        return choice
    found = choice.get("delta") or choice.get("text")
    if isinstance(found, str):
        found = {"role": "assistant", "content": found, "refusal": None}
    if not is_object(found):
        return choice
    notes.add("message-missing", f"$.choices[{place}].message", "$.choices[].message")
    return {**choice, "message": found}


def _choice(choice: wire.Choice, plain: dict[str, Any], place: int, notes: Notes) -> Choice:
    index = cast("int | None", choice.index)
    held = cast("wire.ResponseMessage | None", choice.message)
    inner: Any = plain.get("message")
    message: dict[str, Any] = inner if is_object(inner) else _NOTHING
    return convert.choice(
        place if index is None else index,
        text=(held.content or "") if held else "",
        reasoning=convert.reasoning_text(
            held.reasoning_content, held.reasoning, held.reasoning_text, held.thinking
        )
        if held
        else "",
        refusal=(held.refusal or "") if held else "",
        spoken=convert.audio(message.get("audio")),
        calls=_calls(message),
        finish=choice.finish_reason,
        logprobs=plain.get("logprobs"),
        annotations=message.get("annotations"),
        notes=notes,
        path=f"$.choices[{place}]",
    )


def _calls(message: dict[str, Any]) -> list[ToolCall]:
    told = message.get("tool_calls")
    calls = [convert.tool_call(call) for call in told if is_object(call)] if is_array(told) else []
    legacy = message.get("function_call")
    if legacy and is_object(legacy):
        call = convert.tool_call({"function": legacy})
        # Some servers tell a call twice, in the old words and in the new.
        if not any((call.name, call.arguments_json) == (c.name, c.arguments_json) for c in calls):
            calls.append(call)
    return calls

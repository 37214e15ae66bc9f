"""A whole answer as the chunks of a stream. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botticelli.core.response import StreamChunk, ToolCallDelta

if TYPE_CHECKING:
    from botticelli.core.response import Choice, GenerateResponse

__all__ = ["chunks_of"]


def chunks_of(response: GenerateResponse) -> list[StreamChunk]:
    """One chunk per choice; the first choice's comes last and is the final one.

    Args:
        response: A whole answer with at least one choice.
    """
    first, *others = response.choices
    return [
        *(_chunk(choice) for choice in others),
        _chunk(first, final=response),
    ]


def _chunk(choice: Choice, final: GenerateResponse | None = None) -> StreamChunk:
    return StreamChunk(
        text=choice.text,
        choice=choice.index,
        is_final=final is not None,
        reasoning=choice.reasoning or "",
        refusal=choice.refusal or "",
        tool_calls=tuple(
            ToolCallDelta(index=position, id=call.id, name=call.name, arguments=call.arguments_json)
            for position, call in enumerate(choice.tool_calls)
        ),
        logprobs=choice.logprobs,
        finish_reason=choice.finish_reason if final else None,
        usage=final.usage if final else None,
    )

"""What is known whole, as the chunks of a stream; and which chunk is the final one. No wire, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from botticelli.core.response import StreamChunk, ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botticelli.core.response import Choice, GenerateResponse

__all__ = ["chunks_of", "ended"]


def chunks_of(response: GenerateResponse) -> list[StreamChunk]:
    """One chunk per choice; the first choice's comes last and is the final one.

    Args:
        response: A whole answer with at least one choice.
    """
    return ended(map(_at_once, response.choices), response)


def ended(late: Iterable[StreamChunk], response: GenerateResponse) -> list[StreamChunk]:
    """The chunks that end a stream.

    Args:
        late: What came only with its end, none of it final.
        response: The answer, with at least one choice.

    Returns:
        All that came late. The last of it that belongs to the first choice stands at the end and is the
        final chunk; an empty one is, if none does.
    """
    first = response.choices[0]
    rest = list(late)
    mine = [position for position, chunk in enumerate(rest) if chunk.choice == first.index]
    last = rest.pop(mine[-1]) if mine else StreamChunk(choice=first.index)
    final = replace(last, is_final=True, finish_reason=first.finish_reason, usage=response.usage)
    return [*rest, final]


def _at_once(choice: Choice) -> StreamChunk:
    return StreamChunk(
        choice.text,
        choice.index,
        reasoning=choice.reasoning or "",
        refusal=choice.refusal or "",
        tool_calls=tuple(
            ToolCallDelta(index=position, id=call.id, name=call.name, arguments=call.arguments_json)
            for position, call in enumerate(choice.tool_calls)
        ),
        logprobs=choice.logprobs,
    )

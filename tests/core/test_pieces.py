"""What is known whole, as chunks: all of it, in order, and one final chunk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from botticelli.core.message import Text, ToolCall
from botticelli.core.pieces import chunks_of, ended
from botticelli.core.response import (
    Choice,
    FinishReason,
    GenerateResponse,
    Output,
    Reasoning,
    Refusal,
    StreamChunk,
    ToolCallDelta,
    ToolCalls,
    Usage,
)

USAGE = Usage(prompt_tokens=1, completion_tokens=2)


def answer(*indexes: int) -> GenerateResponse:
    choices = [
        Choice(index=index, outputs=[Text(f"t{index}")], finish_reason=FinishReason.STOP) for index in indexes
    ]
    return GenerateResponse(choices=choices, usage=USAGE)


def test_every_part_of_a_choice_is_in_its_chunk() -> None:
    call = ToolCall("c", "f", "{}")
    parts: list[Output] = [Reasoning("r"), Text("t"), Refusal("no"), ToolCalls([call])]
    choice = Choice(index=0, outputs=parts, finish_reason=FinishReason.LENGTH, logprobs={"content": []})
    assert chunks_of(GenerateResponse(choices=[choice], usage=USAGE)) == [
        StreamChunk(
            "t",
            0,
            is_final=True,
            reasoning="r",
            refusal="no",
            tool_calls=(ToolCallDelta(index=0, id="c", name="f", arguments="{}"),),
            logprobs={"content": []},
            finish_reason=FinishReason.LENGTH,
            usage=USAGE,
        )
    ]


def test_the_first_choice_comes_last() -> None:
    chunks = chunks_of(answer(0, 1, 2))
    assert [(chunk.text, chunk.choice, chunk.is_final) for chunk in chunks] == [
        ("t1", 1, False),
        ("t2", 2, False),
        ("t0", 0, True),
    ]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, FinishReason.STOP]
    assert [chunk.usage for chunk in chunks] == [None, None, USAGE]


@given(st.lists(st.sampled_from([0, 1, 2])))
def test_nothing_that_came_late_is_lost_joined_or_put_out_of_order(places: list[int]) -> None:
    late = [StreamChunk(str(n), place, logprobs={"n": n}) for n, place in enumerate(places)]
    chunks = ended(iter(late), answer(0, 1, 2))
    assert [chunk.is_final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choice == 0
    for place in (0, 1, 2):
        told = [(c.text, c.logprobs) for c in chunks if c.choice == place and c.logprobs is not None]
        assert told == [(c.text, c.logprobs) for c in late if c.choice == place]
    assert len(chunks) == len(late) + (0 not in places)

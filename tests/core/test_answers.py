"""Answers: the properties of the first choice, the way back into a conversation, and stream chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.core.message import Image, Message, Other, Reasoning, Role, Text, ToolCall
from botticelli.core.response import (
    Choice,
    Citations,
    FinishReason,
    GenerateResponse,
    Output,
    Refusal,
    StreamChunk,
    ToolCallDelta,
    ToolCalls,
    Usage,
    chunks_of,
    closing_chunks,
)
from tests.spoken import spoken_output

PICTURE = Image.of("https://example.org/cat.png")
ODD = Other("reference", {"type": "reference", "ids": [1]})
SEARCH = ToolCall("s", "", type="web_search", extra={"web_search": {"q": 1}})
CALLS = [ToolCall("1", "f", "{}", extra={"signature": "s"}), ToolCall("2", "g", "oops")]
FULL = Choice(
    index=0,
    outputs=[
        Reasoning("hm"),
        Reasoning("m"),
        Text("a"),
        Text("b"),
        Refusal("n"),
        Refusal("o"),
        ToolCalls(CALLS),
    ],
    finish_reason=FinishReason.TOOL_USE,
    finish_reason_raw="tool_calls",
    logprobs={"content": []},
)


def answer(*outputs: Output) -> GenerateResponse:
    return GenerateResponse(choices=[Choice(outputs=list(outputs))])


def test_the_short_forms_speak_of_the_first_choice() -> None:
    response = GenerateResponse(choices=[FULL, Choice(index=1, outputs=[Text("other")])])
    assert response.outputs is FULL.outputs
    assert (response.text, response.reasoning, response.refusal) == ("ab", "hmm", "no")
    assert response.tool_calls == CALLS
    assert (response.finish_reason, response.finish_reason_raw) == (FinishReason.TOOL_USE, "tool_calls")
    assert response.logprobs == {"content": []}


def test_an_answer_without_a_choice_is_empty_not_an_error() -> None:
    nothing = GenerateResponse()
    assert (nothing.outputs, nothing.text, nothing.tool_calls) == ([], "", [])
    assert (nothing.reasoning, nothing.refusal, nothing.logprobs) == (None, None, None)
    assert (nothing.finish_reason, nothing.finish_reason_raw) == (FinishReason.OTHER, None)


def test_calls_of_several_parts_are_one_list() -> None:
    assert answer(ToolCalls(CALLS[:1]), Text("x"), ToolCalls(CALLS[1:])).tool_calls == CALLS


def test_an_absent_refusal_is_not_an_empty_one() -> None:
    assert (answer().refusal, answer().reasoning) == (None, None)
    empty = answer(Refusal(""), Reasoning(""))
    assert (empty.refusal, empty.reasoning) == ("", "")


def test_responses_do_not_share_their_defaults() -> None:
    GenerateResponse().choices.append(FULL)
    Choice().outputs.append(Text("x"))
    assert GenerateResponse().choices == []
    assert Choice().outputs == []


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (Text("t"), "t"),
        (Refusal("no"), "no"),
        (Reasoning("hm"), "hm"),
        (spoken_output("a", "QQ==", "spoken"), "spoken"),
        (ToolCalls(CALLS), "f({})\ng(oops)"),
        (PICTURE, "[image: https://example.org/cat.png]"),
        (Image.of("data:" + "A" * 300), "[image: url]"),
        (ODD, "[reference]"),
        (Citations([1, 2]), "[citations: 2]"),
    ],
)
def test_every_output_prints_what_a_person_would_read(output: Output, text: str) -> None:
    assert str(output) == text


@pytest.mark.parametrize(
    ("outputs", "turn"),
    [
        ([Text("hi")], Message.assistant("hi")),
        ([Text("a"), Text("b")], Message.assistant("ab")),
        ([], Message.assistant("")),
        ([Text("")], Message.assistant("")),
        ([ToolCalls(CALLS)], Message.assistant(None, tool_calls=CALLS)),
        ([Text("so:"), ToolCalls(CALLS)], Message.assistant("so:", tool_calls=CALLS)),
        ([Refusal("no")], Message.assistant(None, refusal="no")),
        ([Refusal("")], Message.assistant(None, refusal="")),
        ([Text("a"), Refusal("no")], Message.assistant("a", refusal="no")),
        ([Reasoning("hm"), Text("a")], Message.assistant([Reasoning("hm"), Text("a")])),
        ([Reasoning("", "reasoning")], Message.assistant([Reasoning("", "reasoning"), Text("")])),
        ([Text("a", {"x": 1}), Text("b")], Message.assistant([Text("ab", {"x": 1})])),
        ([PICTURE], Message.assistant([PICTURE])),
        ([ODD, Citations([1])], Message.assistant([ODD])),
        ([Text("a"), ToolCalls([SEARCH, CALLS[1]])], Message.assistant("a", tool_calls=CALLS[1:])),
        ([ToolCalls([SEARCH])], Message.assistant("")),
    ],
)
def test_an_answer_becomes_the_assistants_turn(outputs: list[Output], turn: Message) -> None:
    message = answer(*outputs).to_message()
    assert message.role is Role.ASSISTANT
    assert message == turn


def test_thinking_and_extras_are_sent_back_unless_they_are_not_wanted() -> None:
    thought = answer(Reasoning("hm"), Text("a"))
    assert thought.to_message(reasoning=False) == Message.assistant("a")
    signed = GenerateResponse(choices=[Choice(outputs=[Text("a")], message_extra={"sig": "s"})])
    assert signed.to_message().extra == {"sig": "s"}
    assert signed.to_message(extra=False) == Message.assistant("a")


def test_the_turn_is_of_the_first_choice() -> None:
    response = GenerateResponse(
        choices=[Choice(outputs=[Text("one")]), Choice(index=1, outputs=[Text("two")])]
    )
    assert response.to_message() == Message.assistant("one")
    assert GenerateResponse().to_message() == Message.assistant("")


def test_a_missing_count_stays_unknown() -> None:
    usage = Usage(total_tokens=9, prompt_tokens=4)
    assert usage.completion_tokens is None
    assert repr(usage) == "Usage(prompt_tokens=4, total_tokens=9)"
    assert Usage() != Usage(prompt_tokens=0)


def test_an_answer_is_shown_without_its_body() -> None:
    shown = repr(GenerateResponse(id="a", choices=[Choice(outputs=[Text("Hi")])], raw=b'{"id":"a"}'))
    assert shown == "GenerateResponse(choices=[Choice(outputs=[Text(text='Hi')])], id='a', deviations=[])"


def test_a_chunk_is_empty_by_default() -> None:
    chunk = StreamChunk()
    assert (chunk.text, chunk.choice, chunk.is_final, chunk.tool_calls) == ("", 0, False, ())
    assert (chunk.finish_reason, chunk.usage, chunk.logprobs) == (None, None, None)
    assert repr(StreamChunk("a", tool_calls=(ToolCallDelta(index=0),))).count("ToolCallDelta") == 1


USAGE = Usage(prompt_tokens=1, completion_tokens=2)


def numbered(*indexes: int) -> GenerateResponse:
    choices = [
        Choice(index=index, outputs=[Text(f"t{index}")], finish_reason=FinishReason.STOP) for index in indexes
    ]
    return GenerateResponse(choices=choices, usage=USAGE)


def test_every_part_of_a_choice_is_in_its_chunk() -> None:
    call = ToolCall("c", "f", "{}")
    blocks = (PICTURE, spoken_output("s", "AA", ""), Other("x", {}), Citations([1]))
    parts: list[Output] = [Reasoning("r"), Text("t"), Refusal("no"), *blocks, ToolCalls([call])]
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
            blocks=blocks,
        )
    ]


def test_the_first_choice_comes_last() -> None:
    chunks = chunks_of(numbered(0, 1, 2))
    assert [(chunk.text, chunk.choice, chunk.is_final) for chunk in chunks] == [
        ("t1", 1, False),
        ("t2", 2, False),
        ("t0", 0, True),
    ]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, FinishReason.STOP]
    assert [chunk.usage for chunk in chunks] == [None, None, USAGE]


@given(st.lists(st.sampled_from([0, 1, 2])))
def test_the_last_chunks_of_a_stream_are_neither_lost_nor_joined_nor_reordered(places: list[int]) -> None:
    late = [StreamChunk(str(n), place, logprobs={"n": n}) for n, place in enumerate(places)]
    chunks = closing_chunks(iter(late), numbered(0, 1, 2))
    assert [chunk.is_final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choice == 0
    for place in (0, 1, 2):
        found = [(c.text, c.logprobs) for c in chunks if c.choice == place and c.logprobs is not None]
        assert found == [(c.text, c.logprobs) for c in late if c.choice == place]
    assert len(chunks) == len(late) + (0 not in places)


def test_the_final_chunk_belongs_to_the_first_choice_whatever_its_index() -> None:
    (final,) = closing_chunks([], numbered(2))
    assert (final.choice, final.is_final) == (2, True)


def test_chunks_that_say_the_same_are_equal_from_whatever_bytes() -> None:
    one, other = StreamChunk("a", raw=b"1"), StreamChunk("a", raw=b"2")
    assert {one, other} == {one}
    assert one != "a"

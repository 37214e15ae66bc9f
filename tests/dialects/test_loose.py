"""What a server gets wrong in every chunk is learnt, and read from then on as the repair path reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.core.errors import MalformedResponseError, ModelsError, StreamError
from botticelli.core.response import Deviation
from botticelli.dialects.openai.accumulate import ResponseAccumulator
from botticelli.dialects.openai.repair import AdaptiveDecoder
from botticelli.dialects.openai.stream import OpenAIStreamReader
from botticelli.kit.strategies import mutations
from botticelli.protocol.deviations import DeviationLog

if TYPE_CHECKING:
    from botticelli.dialects.openai import wire


def chunk(delta: Any = None, **choice: Any) -> dict[str, Any]:
    held = {
        "index": 0,
        "delta": {"content": "Hi"} if delta is None else delta,
        "finish_reason": None,
        **choice,
    }
    return {"id": "a", "model": "m", "choices": [held]}


def written(value: Any) -> bytes:
    return json.dumps(value).encode()


class Learnt:
    """A decoder that learnt from some chunks, and where it notes."""

    def __init__(self, *values: dict[str, Any]) -> None:
        self.log = DeviationLog()
        self.decoder = AdaptiveDecoder(self.log)
        for value in values:
            self.decoder.learn(value)

    def choice(self, value: dict[str, Any]) -> wire.FastChoice:
        read = self.decoder.decode(written(value))
        assert read is not None
        assert read.choices is not None
        return read.choices[0]


def test_it_knows_nothing_before_it_learns() -> None:
    assert not Learnt().decoder.known
    assert not Learnt(chunk()).decoder.known
    assert not Learnt({"choices": None}).decoder.known
    assert Learnt(chunk(index="0")).decoder.known


def test_what_was_never_odd_is_read_strictly() -> None:
    learnt = Learnt(chunk(index="0"))
    with pytest.raises(msgspec.ValidationError):
        learnt.decoder.decode(written(chunk(finish_reason=5)))
    with pytest.raises(msgspec.ValidationError):
        learnt.decoder.decode(written(chunk({"content": 5})))


def test_what_was_odd_is_mended_and_noted_and_the_rest_kept() -> None:
    learnt = Learnt(chunk(index="0"), chunk({"reasoning": {}}))
    choice = learnt.choice(chunk({"content": "Hi", "reasoning": {}}, index="1"))
    assert choice.delta is not None
    assert (choice.index, choice.delta.content, choice.delta.reasoning) == (1, "Hi", None)
    assert learnt.log.deviations() == [Deviation("choice-index-not-integer", "$.choices[0].index")]


def test_what_was_odd_may_be_right_again_or_gone() -> None:
    learnt = Learnt(chunk({"content": []}, index="0"))
    assert learnt.choice(chunk(index=2)).index == 2
    assert learnt.choice({"choices": [{"delta": None}]}).index is None
    assert learnt.choice({"choices": [{}]}).delta is None
    assert learnt.decoder.decode(b'{"choices":null}') is not None
    assert learnt.log.deviations() == []


def test_content_in_parts_is_text_and_thinking() -> None:
    parts = [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]
    learnt = Learnt(chunk({"content": parts}))
    delta = learnt.choice(chunk({"content": parts})).delta
    assert delta is not None
    assert (delta.content, delta.reasoning_content) == ("Hi", "Hm")
    assert [note.code for note in learnt.log.deviations()] == ["content-parts"]


def test_an_error_never_passes_for_a_member_that_is_odd() -> None:
    learnt = Learnt(chunk(error={}))
    assert learnt.choice(chunk(error="")).error is None
    assert learnt.decoder.decode(written(chunk(error={"message": "No."}))) is None


def test_what_cannot_be_read_as_a_whole_is_left_to_others() -> None:
    assert Learnt(chunk({"content": []})).decoder.decode(written(chunk({"content": [5]}))) is None


# In a stream.


def fed(values: list[dict[str, Any]]) -> OpenAIStreamReader:
    stream = OpenAIStreamReader()
    stream.feed(b"".join(b"data: " + written(value) + b"\n\n" for value in values) + b"data: [DONE]\n\n")
    return stream


def test_a_stream_notes_each_time_though_it_has_learnt() -> None:
    stream = fed([chunk(index="0")] * 3)
    assert stream.finish()[-1].choice == 0
    assert stream.response.text == "HiHiHi"
    assert stream.log.deviations()[0] == Deviation("choice-index-not-integer", "$.choices[0].index", 3)


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (chunk(index="0", error={"message": "No."}), StreamError),
        (chunk(index="0", finish_reason="error"), StreamError),
        (chunk({"content": ["Hi", 5]}, index="0"), MalformedResponseError),
    ],
)
def test_a_stream_that_has_learnt_still_sees_what_is_wrong(last: Any, error: type[ModelsError]) -> None:
    first = chunk({"content": ["Hi"]}, index="0", error={})
    stream = fed([first, first, last, first])
    assert type(stream.failed) is error
    assert stream.failed is not None
    assert stream.failed.partial is not None
    assert stream.failed.partial.text == ("HiHiHi5" if error is MalformedResponseError else "HiHiHi")


def learn_nothing(_assembly: ResponseAccumulator, _loose: AdaptiveDecoder) -> None:
    """In place of `ResponseAccumulator.loosen`."""


@settings(deadline=None)  # a deadline would judge the machine
@given(
    st.lists(mutations("openai/chunk").filter(lambda value: isinstance(value, dict)), min_size=1, max_size=3)
)
def test_a_stream_reads_the_same_whether_it_has_learnt_or_not(values: list[dict[str, Any]]) -> None:
    values = [chunk(), *values, *values]
    learnt = fed(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResponseAccumulator, "adapt", learn_nothing)
        taught = fed(values)
    assert repr(learnt.failed) == repr(taught.failed)
    assert learnt.response.choices == taught.response.choices
    if learnt.failed is None:
        assert learnt.log.deviations() == taught.log.deviations()


def test_what_is_read_again_for_an_error_notes_nothing_yet() -> None:
    learnt = Learnt(chunk(index="0", error={"code": 0, "message": ""}))
    value = chunk(index="0")
    value["choices"].append({"index": 1, "delta": {}, "error": {"message": "no"}})
    assert learnt.decoder.decode(written(value)) is None
    assert learnt.log.deviations() == []

"""The driver's reading, held to the contracts: what breaks them is noted, and nothing else is.

The instances are drawn from the schemas, which know nothing of the driver; and whether one breaks a contract
is asked of the judge, which shares no code with it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.contracts import packaged, violations
from botticelli.contracts.relaxations import Relaxations
from botticelli.core.errors import BotticelliError
from botticelli.dialects.openai.models import decode_models
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.kit.strategies import instances, mutations
from botticelli.protocol.deviations import DeviationLog

from ..error_calls import error_from_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.contracts.relaxations import Example, Relaxation
    from botticelli.core.response import Deviation

ours = settings(deadline=None)  # a deadline would judge the machine
TOLERATED = Relaxations.load("openai")
LEVELS = {relaxation.code: relaxation.level for relaxation in TOLERATED.listed}
SHOWN = [one for one in TOLERATED.listed if one.inside.get("contract") != "error"]
OF_ANSWERS = [pytest.param(relaxation, id=relaxation.code) for relaxation in SHOWN]
"""The ways that show in an answer."""
OF_ERRORS = [
    pytest.param(relaxation, id=relaxation.code)
    for relaxation in TOLERATED.listed
    if relaxation.inside.get("contract") == "error"
]
"""The ways that show in an error, which has no deviations."""


def written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def shown(deviations: list[Deviation]) -> list[str]:
    """The deviations that a single body or event can show, as opposed to a row of them, or the question."""
    return [deviation.code for deviation in deviations if LEVELS[deviation.code] != "stream"]


def deviations(read: Callable[[], list[Deviation]]) -> list[str]:
    """What a reading notes, or the kind of the error that it ends in."""
    try:
        return shown(read())
    except BotticelliError as error:
        return [error.kind]


def audited(chunk: Any, *, audit: bool = True) -> OpenAIStreamReader:
    stream = OpenAIStreamReader(audit=audit)
    stream.feed(b"data: " + written(chunk) + b"\n\n")
    return stream


def noted_in(example: Example, *, audit: bool = True) -> list[str]:
    """The codes, of any level, that reading an example gives, or the kind of the error that it ends in."""
    contract = example.get("contract")
    asked: Any = {"n": example.get("n", 1), "content_type": example.get("content_type", ""), "audit": audit}

    def read() -> list[Deviation]:
        if contract == "chunk":
            stream = audited(TOLERATED.instance(example), audit=audit)
            if stream.failed is not None:
                raise stream.failed
            return stream.log.deviations()
        if contract == "model-list":
            return _list_deviations(TOLERATED.instance(example))
        body = written(TOLERATED.instance(example)) if contract else TOLERATED.body(example)
        if example.get("asked", "stream" if "events" in example else "whole") == "whole":
            return decode_answer(body, **asked, cut_short=example.get("cut_short", False)).deviations
        stream = OpenAIStreamReader(**asked, usage=example.get("usage", False))
        stream.feed(body)
        stream.finish()
        return stream.response.deviations

    try:
        return [deviation.code for deviation in read()]
    except BotticelliError as error:
        return [error.kind]


@pytest.mark.parametrize("relaxation", OF_ANSWERS)
def test_each_tolerated_way_is_noted_by_its_code_and_no_other(relaxation: Relaxation) -> None:
    assert set(noted_in(relaxation.inside)) == {relaxation.code}


@pytest.mark.parametrize("relaxation", OF_ANSWERS)
def test_it_is_noted_without_an_audit_unless_it_is_marked(relaxation: Relaxation) -> None:
    assert noted_in(relaxation.inside, audit=False) == ([] if relaxation.audit else [relaxation.code])


@pytest.mark.parametrize("relaxation", OF_ANSWERS)
def test_what_is_just_beyond_is_the_listed_error_or_noted_by_another_code(relaxation: Relaxation) -> None:
    assert noted_in(relaxation.outside) == [relaxation.outside.get("kind", "field-type")]


@pytest.mark.parametrize("relaxation", OF_ERRORS)
def test_a_tolerated_error_keeps_its_words_and_its_code(relaxation: Relaxation) -> None:
    value = TOLERATED.instance(relaxation.inside)
    error = error_from_response(400, {}, written(value), now=0)
    words = [word for word in ("No.", "Never.", "Not Found") if word in json.dumps(value)]
    assert all(word in error.message for word in words)
    assert bool(words) == (relaxation.code != "error-message-missing")
    assert error.code == (429 if relaxation.code == "error-code-number" else None)


@ours
@given(instances("openai/response"))
def test_a_conforming_answer_is_read_without_a_deviation(answer: Any) -> None:
    assert shown(decode_answer(written(answer)).deviations) == []


@ours
@given(mutations("openai/response"))
def test_an_answer_deviates_exactly_where_it_breaks_the_contract(answer: Any) -> None:
    broken = violations("openai/response", answer)
    noted = deviations(lambda: decode_answer(written(answer)).deviations)
    assert bool(noted) == bool(broken), (broken, noted)


@ours
@given(instances("openai/chunk"))
def test_a_conforming_chunk_is_read_without_a_deviation(chunk: Any) -> None:
    stream = audited(chunk)
    assert stream.failed is None
    assert shown(stream.log.deviations()) == []


@ours
@given(mutations("openai/chunk"))
def test_a_chunk_deviates_under_audit_exactly_where_it_breaks_the_contract(chunk: Any) -> None:
    broken = violations("openai/chunk", chunk)
    stream = audited(chunk)
    noted = stream.log.deviations()
    if stream.failed is not None:
        assert broken, stream.failed
    elif broken:
        assert noted, broken
    else:
        assert shown(noted) == []


@st.composite
def _scratched(draw: st.DrawFn) -> bytes:
    """A conforming answer whose bytes were then damaged, so that it may no longer be JSON."""
    body = written(draw(instances("openai/response")))
    scratches = st.sampled_from(
        [
            b"\xff",
            b"\xed\xa0\x80",
            b"\\ud800",
            b"\t",
            b"\x00",
            b"NaN",
            b"-Infinity",
            b"1e999",
            b" ",
            b"{}",
            b"\xc2\xa0",
        ]
    )
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(scratches) + body[place:]
    if draw(st.booleans()):
        body = b"\xef\xbb\xbf" + body
    return body


@ours
@given(_scratched())
def test_damaged_bytes_deviate_exactly_where_the_judge_finds_fault(body: bytes) -> None:
    broken = packaged().validate_bytes("openai/response", body)
    noted = deviations(lambda: decode_answer(body, audit=True).deviations)
    assert bool(noted) == bool(broken), (broken, noted)


def _list_deviations(models: Any) -> list[Deviation]:
    notes = DeviationLog()
    decode_models(written(models), log=notes)
    return notes.deviations()


@ours
@given(mutations("openai/model-list"))
def test_a_model_list_deviates_exactly_where_it_breaks_the_contract(models: Any) -> None:
    broken = violations("openai/model-list", models)
    noted = deviations(lambda: _list_deviations(models))
    assert bool(noted) == bool(broken), (broken, noted)


@ours
@pytest.mark.parametrize("contract", ["wire/openai/response", "wire/openai/chunk"])
@given(data=st.data())
def test_what_even_the_tolerant_contract_refuses_is_never_read_in_silence(
    contract: str, data: st.DataObject
) -> None:
    value = data.draw(mutations(contract))
    if not violations(contract, value):
        return
    if contract == "wire/openai/chunk":
        stream = audited(value)
        assert stream.failed is not None or stream.log.deviations()
        return
    try:
        response = decode_answer(written(value))
    except BotticelliError:
        return
    assert response.deviations

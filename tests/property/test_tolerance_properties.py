"""The driver's reading against the tolerant contract: what that refuses is an error, what it takes is read.

The instances are drawn from the contracts and damaged; the judge, which shares no code with the driver, says
which of them are still tolerable.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import event, given, settings
from hypothesis import strategies as st

from botticelli.contracts import violations
from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.contracts.relaxations import Relaxations
from botticelli.core.errors import EmptyResponseError, MalformedResponseError, ModelsError, StreamError
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.kit.strategies import damaged, instances

if TYPE_CHECKING:
    from botticelli.core.response import Deviation

ours = settings(deadline=None)  # a deadline would judge the machine
LEVELS = {relaxation.code: relaxation.level for relaxation in Relaxations.load("openai").listed}
LEAF = re.compile(
    r"\.(id|object|created|model|usage|service_tier|index|type|role|content|refusal|finish_reason|logprobs"
    r"|name|arguments|input|(prompt|completion|total)_tokens(_details)?)$"
)
"""Where a value that not even `contracts/wire` takes is but a deviation: left out, or its JSON for a text."""


class Reading(NamedTuple):
    """What became of a body or an event: an error, or else deviations."""

    error: ModelsError | None
    deviations: list[Deviation]


def worse(shape: str) -> st.SearchStrategy[Any]:
    """Answers or chunks, tolerable or not, damaged or not."""
    tolerable, right = instances(f"wire/openai/{shape}"), instances(f"openai/{shape}", unknown=False)
    found = tolerable.flatmap(damaged) | right.flatmap(damaged) | tolerable
    return found.filter(lambda value: isinstance(value, dict))


def read_whole(value: Any) -> Reading:
    try:
        return Reading(None, decode_answer(json.dumps(value).encode()).deviations)
    except ModelsError as error:
        return Reading(error, [])


def read_chunk(value: Any, *, audit: bool) -> Reading:
    stream = OpenAIStreamReader(audit=audit)
    stream.feed(b"data: " + json.dumps(value).encode() + b"\n\n")
    return Reading(stream.failed, stream.log.deviations())


def hold(shape: str, value: Any, reading: Reading) -> None:
    """An error exactly where the tolerant contract is broken, leaves aside, which are never worth an answer.

    Where there is none, a deviation exactly where the strict one is broken.
    """
    refused = [it for it in violations(f"wire/openai/{shape}", value) if not LEAF.search(it.path)]
    event("refused" if refused else "tolerated")
    error = reading.error
    if refused:
        assert isinstance(error, MalformedResponseError | EmptyResponseError | StreamError), refused
        if isinstance(error, MalformedResponseError):
            assert any(error.path.startswith(violation.path) for violation in refused)
        return
    # That a choice has failed is no matter of the contract.
    assert error is None or (isinstance(error, StreamError) and '"error"' in json.dumps(value)), error
    if error is None:
        # What only a stream or a dialogue makes wrong is no matter of one event's contract.
        noted = [deviation for deviation in reading.deviations if LEVELS[deviation.code] != "stream"]
        assert bool(noted) == bool(violations(f"openai/{shape}", value))


@ours
@given(worse("response"))
def test_an_answer_is_an_error_exactly_where_the_tolerant_contract_is_broken(value: Any) -> None:
    hold("response", value, read_whole(value))


@ours
@given(worse("chunk"))
def test_a_chunk_is_an_error_exactly_where_the_tolerant_contract_is_broken(value: Any) -> None:
    audited = read_chunk(value, audit=True)
    hold("chunk", value, audited)
    plain = read_chunk(value, audit=False)
    assert type(plain.error) is type(audited.error)


@ours
@given(worse("response"))
def test_an_error_of_an_answer_carries_what_can_be_read(value: Any) -> None:
    error = read_whole(value).error
    if not isinstance(error, MalformedResponseError) or not is_array(value.get("choices")):
        return
    told = [choice.text for choice in error.partial.choices] if error.partial else []
    choices: list[Any] = value["choices"]
    for choice in choices:
        if not is_object(choice):
            continue
        message = choice.get("message")
        content = message.get("content") if is_object(message) else message
        if isinstance(content, str):
            assert content in told


@ours
@given(worse("chunk"))
def test_an_error_of_a_chunk_carries_what_can_be_read(value: Any) -> None:
    error = read_chunk(value, audit=False).error
    if not isinstance(error, MalformedResponseError) or not is_array(value.get("choices")):
        return
    told = "\n".join(choice.text for choice in error.partial.choices) if error.partial else ""
    choices: list[Any] = value["choices"]
    for choice in choices:
        if not is_object(choice):
            continue
        delta = choice.get("delta")
        content = delta.get("content") if is_object(delta) else delta
        if isinstance(content, str):
            assert content in told


@ours
@given(
    st.dictionaries(st.sampled_from(["content", "refusal"]), st.sampled_from([None, "", "Hi"])),
    st.none()
    | st.dictionaries(
        st.sampled_from(["id", "data", "transcript", "expires_at"]),
        st.none() | st.sampled_from(["", "Hi"]) | st.just(5) | st.builds(dict[str, Any]),
    ),
    st.sampled_from([{}, {"tool_calls": None}, {"tool_calls": []}]),
)
def test_an_announced_call_is_lost_exactly_where_the_tolerant_contract_says_so(
    words: dict[str, Any], spoken: Any, calls: dict[str, Any]
) -> None:
    message = {"role": "assistant", "content": None, "refusal": None, "audio": spoken, **words, **calls}
    choice: dict[str, Any] = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    answer = {**head, "choices": [choice]}
    lost = [it.path for it in violations("wire/openai/response", answer) if it.path.endswith(".tool_calls")]
    error = read_whole(answer).error
    assert (getattr(error, "path", None) == "$.choices[0].message.tool_calls") == bool(lost), lost

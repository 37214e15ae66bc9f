"""The driver against a real server, topic by topic: does it deliver what the server sent?

Whether what was sent is any good is judged by the probes, which run beside these tests. A test whose point
the server doesn't reach, such as a tool that isn't called, is skipped and says so; an error is right where
the server sent one, or nothing that can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from botticelli import (
    ApiError,
    AuthenticationError,
    ConnectionLostError,
    FinishReason,
    GenerateRequest,
    GenerateResponse,
    Message,
    ModelNotFoundError,
    ModelsError,
    NotChatModelError,
    ResponseError,
    ResponseFormat,
    StreamError,
    ToolDefinition,
    contracts,
)
from botticelli.kit.probes.findings import broken_contract
from botticelli.kit.probes.session import models_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.kit.probes.answer import Answer

    from .callers import Caller
    from .target import Suite, Target

WEATHER = Message.user("What is the weather in Paris?")
COUNT = Message.user("Count to twenty")
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
GET_WEATHER = ToolDefinition(name="get_weather", description="The weather in a city", parameters=CITY)


def ask(*messages: Message, max_tokens: int = 100, **more: Any) -> GenerateRequest:
    return GenerateRequest(messages=list(messages), max_tokens=max_tokens, temperature=0, **more)


_TOLD = (ApiError, ResponseError, StreamError, ConnectionLostError)
"""The errors that tell what the server did."""

# What is right


def delivers(suite: Suite, answer: Answer, response: GenerateResponse) -> None:
    """Check that a response is what the server sent."""
    suite.note(response)
    assert answer.ok
    tolerated = bool(response.deviations)
    assert [choice.index for choice in response.choices] == [choice.index for choice in answer.choices]
    for got, sent in zip(response.choices, answer.choices, strict=True):
        assert got.text == sent.text
        assert (got.reasoning or "") == sent.reasoning
        assert (got.refusal or "") == sent.refusal
        assert (got.finish_reason_raw or "") == sent.finish
        calls = [(call.id, call.name, call.arguments_json) for call in got.tool_calls]
        assert len(calls) == len(sent.calls)
        # Where the format was broken, the driver may have mended what the judge reads as absent, and says so.
        assert tolerated or calls == [(call.id, call.name, call.arguments) for call in sent.calls]
    if response.usage is None:
        assert tolerated or not answer.usage
    else:
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert tolerated or getattr(response.usage, name) == answer.usage[name]


def is_unreadable(answer: Answer) -> bool:
    """Tell whether a 2xx holds nothing that a client could deliver as an answer."""
    return bool(
        answer.error
        or broken_contract(answer, "wire/")
        or not any(choice.said for choice in answer.choices)
        or any(choice.finish == "tool_calls" and not choice.calls for choice in answer.choices)
    )


def tells(answer: Answer, error: ModelsError) -> None:
    """Check that an error is due to what the server sent."""
    if isinstance(error, ConnectionLostError):
        assert answer.exchange.end == "reset"
        return
    if isinstance(error, ApiError):
        assert error.status == answer.response.status
        assert not answer.ok
        return
    assert isinstance(error, ResponseError | StreamError)
    assert answer.ok
    assert is_unreadable(answer), answer.response.data[-500:]


def get(suite: Suite, caller: Caller, request: GenerateRequest) -> GenerateResponse | ModelsError:
    """Ask for a whole answer, and check what comes; other errors, such as a timeout, are raised."""
    try:
        response = caller.generate(request)
    except _TOLD as error:
        tells(caller.sent.last, error)
        return error
    delivers(suite, caller.sent.last, response)
    broken = contracts.validate_bytes("openai/response", response.raw)
    assert bool(broken) == bool(response.deviations), (list(map(str, broken)), response.deviations)
    return response


def get_streamed(suite: Suite, caller: Caller, request: GenerateRequest) -> GenerateResponse | ModelsError:
    """Ask for a stream, and check what comes."""
    try:
        chunks, response = caller.stream(request)
    except _TOLD as error:
        tells(caller.sent.last, error)
        return error
    delivers(suite, caller.sent.last, response)
    assert [chunk.is_final for chunk in chunks].count(True) == 1
    assert chunks[-1].is_final
    assert chunks[-1].finish_reason == response.finish_reason
    assert chunks[-1].usage == response.usage
    assert "".join(chunk.text for chunk in chunks if chunk.choice == 0) == response.text
    for place, call in enumerate(response.tool_calls):
        pieces = [piece for chunk in chunks for piece in chunk.tool_calls if piece.index == place]
        assert "".join(piece.arguments for piece in pieces) == call.arguments_json
    return response


def answered(got: GenerateResponse | ModelsError) -> GenerateResponse:
    """Return a response; the test ends where the server gave none, as the driver rightly told."""
    if isinstance(got, ModelsError):
        pytest.skip(f"the server gave no answer to go on with: {got}")
    return got


# The topics


@pytest.mark.api(calls=1)
def test_basic(suite: Suite, either: Caller) -> None:
    response = answered(get(suite, either, ask(WEATHER)))
    assert either.sent.last.asked["messages"] == [
        {"role": "user", "content": "What is the weather in Paris?"}
    ]
    words = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
    assert response.finish_reason is words.get(response.finish_reason_raw, response.finish_reason)


@pytest.mark.api(calls=2)
def test_multi_turn(suite: Suite, caller: Caller) -> None:
    first = answered(get(suite, caller, ask(WEATHER)))
    get(suite, caller, ask(WEATHER, first.to_message(), COUNT))
    asked = caller.sent.last.asked["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "user"]
    assert asked[1]["content"] == first.text


@pytest.mark.api(calls=1)
def test_stream(suite: Suite, either: Caller) -> None:
    get_streamed(suite, either, ask(COUNT))
    assert either.sent.last.asked["stream"] is True


@pytest.mark.api(calls=1)
def test_usage(suite: Suite, caller: Caller) -> None:
    response = answered(get(suite, caller, ask(WEATHER)))
    if response.usage is None:
        pytest.skip("the server sent no usage")
    totals, usage = caller.usage, response.usage
    assert (totals.prompt_tokens, totals.completion_tokens) == (usage.prompt_tokens, usage.completion_tokens)


@pytest.mark.api(calls=1)
def test_stream_usage(suite: Suite, caller: Caller) -> None:
    get_streamed(suite, caller, ask(COUNT, stream_usage=True))
    assert caller.sent.last.asked["stream_options"] == {"include_usage": True}


@pytest.mark.api(calls=1)
def test_max_tokens(suite: Suite, caller: Caller) -> None:
    get(suite, caller, ask(COUNT, max_tokens=5))
    asked = caller.sent.last.asked
    assert asked.get("max_tokens", asked.get("max_completion_tokens")) == 5


@pytest.mark.api(calls=1)
def test_stop(suite: Suite, caller: Caller) -> None:
    get(suite, caller, ask(COUNT, stop=["7"]))
    assert caller.sent.last.asked["stop"] in ("7", ["7"])


@pytest.mark.api(calls=2)
def test_tools(suite: Suite, caller: Caller) -> None:
    first = answered(get(suite, caller, ask(WEATHER, tools=[GET_WEATHER])))
    asked = caller.sent.last.asked["tools"]
    assert [tool["function"]["name"] for tool in asked] == ["get_weather"]
    assert asked[0]["function"]["parameters"] == CITY
    if not first.tool_calls:
        pytest.skip("the server called no tool")
    # With some servers a call ends with stop.
    assert first.finish_reason is FinishReason.TOOL_USE or first.finish_reason_raw != "tool_calls"
    call = first.tool_calls[0]
    result = Message.tool(call.id, "sunny, 21 degrees")
    get(suite, caller, ask(WEATHER, first.to_message(), result, tools=[GET_WEATHER]))
    _, called, told = caller.sent.last.asked["messages"]
    assert called["tool_calls"][0]["function"] == {"name": call.name, "arguments": call.arguments_json}
    assert told == {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"}


@pytest.mark.api(calls=1)
def test_stream_tools(suite: Suite, caller: Caller) -> None:
    if not answered(get_streamed(suite, caller, ask(WEATHER, tools=[GET_WEATHER]))).tool_calls:
        pytest.skip("the server called no tool")


@pytest.mark.api(calls=1)
def test_json_schema(suite: Suite, caller: Caller) -> None:
    form = ResponseFormat.json_schema("city", CITY)
    get(suite, caller, ask(WEATHER, max_tokens=1000, response_format=form))
    assert caller.sent.last.asked["response_format"]["json_schema"]["schema"] == CITY


@pytest.mark.api(calls=1)
def test_unknown_model(suite: Suite, target: Target, caller: Caller) -> None:
    name = "botticelli-tests/no-such-model"
    got = get(suite, caller, ask(WEATHER, max_tokens=5, model=name))
    assert caller.sent.last.asked["model"] == name
    if target.is_providers_own:
        assert isinstance(got, ModelNotFoundError)
        assert got.model == name


@pytest.mark.api(
    calls=1,
    providers_own="only the provider's own endpoint tells that a model isn't for chat",
    needs_base_model=True,
)
def test_base_model(target: Target, caller: Caller) -> None:
    with pytest.raises(NotChatModelError) as caught:
        caller.generate(ask(WEATHER, max_tokens=5, model=target.base_model))
    assert caught.value.model == target.base_model


@pytest.mark.api(calls=1, needs_key=True)
@pytest.mark.parametrize("rim", ["sync", "async"])
def test_bad_token(suite: Suite, target: Target, rim: str, make: Callable[..., Caller], canary: str) -> None:
    caller = make(aio=rim == "async", key=canary)
    got = get(suite, caller, ask(WEATHER, max_tokens=5))
    if caller.sent.last.response.status == 401 or target.is_providers_own:
        assert isinstance(got, AuthenticationError)
        assert got.status == 401
    if isinstance(got, GenerateResponse):
        pytest.skip("the server takes any token")
    assert canary not in f"{got} {got!r} {vars(got)}"


@pytest.mark.api(calls=0)
def test_models(target: Target, caller: Caller) -> None:
    try:
        models = caller.models()
    except _TOLD as error:
        tells(caller.sent.last, error)
        return
    assert {model.id for model in models} == {model.id for model in models_of(caller.sent.last)}
    if target.is_providers_own:
        assert target.model.partition(":")[0] in {model.id for model in models}
        routes = target.drivers.provider.inference_provider_header is not None
        assert any(model.providers for model in models) == routes

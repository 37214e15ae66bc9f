"""The driver and a real server, topic by topic.

A test that can't reach its point fails and says whose departure that is; nothing is skipped. A server that
is known not to reach a topic is asked without it, by declaration: ``--without stop,tools``.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from jsonschema_rs import is_valid

from botticelli import (
    ApiError,
    AuthenticationError,
    FinishReason,
    GenerateRequest,
    GenerateResponse,
    InvalidRequestError,
    Message,
    ModelNotFoundError,
    ModelsError,
    NotChatModelError,
    NotFoundError,
    ResponseError,
    ResponseFormat,
    StreamError,
    ToolDefinition,
    contracts,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .callers import Caller, Streamed
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


def departs(what: str, got: object) -> NoReturn:
    """Fail because of a fault of the server or its model, which the driver has passed on correctly."""
    pytest.fail(f"the server's departure, not the driver's: {what}; it sent {got!r}", pytrace=False)


def ask(*messages: Message, max_tokens: int = 100, **more: Any) -> GenerateRequest:
    return GenerateRequest(messages=list(messages), max_tokens=max_tokens, temperature=0, **more)


def whole(suite: Suite, response: GenerateResponse) -> dict[str, Any]:
    """Return the JSON as sent, after checking that driver and contract agree on whether it has deviations."""
    suite.note(response)
    broken = contracts.validate_bytes("openai/response", response.raw)
    assert bool(broken) == bool(response.deviations), (list(map(str, broken)), response.deviations)
    sent: dict[str, Any] = json.loads(response.raw)
    return sent


def streamed(suite: Suite, answer: Streamed) -> GenerateResponse:
    """Return a stream's response, after the checks that apply to every stream."""
    suite.note(answer.response)
    assert [chunk.is_final for chunk in answer.chunks].count(True) == 1
    assert answer.chunks[-1].is_final
    assert answer.chunks[-1].finish_reason == answer.response.finish_reason
    assert "".join(chunk.text for chunk in answer.chunks) == answer.response.text
    return answer.response


@pytest.mark.api(calls=1)
def test_basic(suite: Suite, either: Caller) -> None:
    response = either.generate(ask(WEATHER))
    sent = whole(suite, response)["choices"][0]
    if not sent["message"].get("content"):
        departs("an answer without text", sent)
    assert response.text == sent["message"]["content"]
    assert response.finish_reason_raw == sent["finish_reason"]
    assert response.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)


@pytest.mark.api(calls=2)
def test_multi_turn(suite: Suite, caller: Caller) -> None:
    first = caller.generate(ask(WEATHER))
    second = caller.generate(ask(WEATHER, first.to_message(), COUNT))
    before, after = whole(suite, first).get("usage"), whole(suite, second).get("usage")
    if not before or not after:
        departs("no usage, so that nothing shows whether it read the history", (before, after))
    if after["prompt_tokens"] < before["prompt_tokens"] + before["completion_tokens"]:
        departs("the history was not all read", (before, after))
    assert second.text


@pytest.mark.api(calls=1)
def test_stream(suite: Suite, either: Caller) -> None:
    answer = either.stream(ask(COUNT))
    response = streamed(suite, answer)
    pieces = [chunk.text for chunk in answer.chunks if chunk.text]
    if len(pieces) < 3:
        departs("a stream in fewer than three pieces", pieces)
    assert response.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)


@pytest.mark.api(calls=1)
def test_usage(suite: Suite, caller: Caller) -> None:
    response = caller.generate(ask(WEATHER))
    sent = whole(suite, response).get("usage")
    if not sent:
        departs("an answer without usage", sent)
    usage = response.usage
    assert usage is not None
    assert usage.prompt_tokens == sent["prompt_tokens"] > 0
    assert usage.completion_tokens == sent["completion_tokens"] > 0
    assert usage.total_tokens == sent["total_tokens"]
    totals = caller.usage
    assert (totals.prompt_tokens, totals.completion_tokens) == (usage.prompt_tokens, usage.completion_tokens)


@pytest.mark.api(calls=2)
def test_stream_usage(suite: Suite, caller: Caller, wire: Callable[[GenerateRequest], str]) -> None:
    request = ask(COUNT, stream_usage=True)
    answer = caller.stream(request)
    usage = streamed(suite, answer).usage
    if usage is None:
        sent = wire(request)
        assert "prompt_tokens" not in sent
        departs("no usage in a stream that asked for it", sent[-300:])
    assert answer.chunks[-1].usage == usage
    assert usage.prompt_tokens
    assert usage.completion_tokens


@pytest.mark.api(calls=1)
def test_max_tokens(suite: Suite, caller: Caller) -> None:
    response = caller.generate(ask(COUNT, max_tokens=5))
    sent = whole(suite, response)
    word = sent["choices"][0]["finish_reason"]
    if word != "length" or sent["usage"]["completion_tokens"] > 5:
        departs("max_tokens=5 didn't end the answer", sent)
    assert response.finish_reason is FinishReason.LENGTH


@pytest.mark.api(calls=1)
def test_stop(suite: Suite, caller: Caller) -> None:
    response = caller.generate(ask(COUNT, stop=["7"]))
    sent = whole(suite, response)["choices"][0]
    text = sent["message"]["content"]
    if "6" not in text:
        departs(
            "the model doesn't count in figures, so that the stop word never came: try another --model", text
        )
    if "8" in text:
        departs("the answer went on after the stop word", text)
    if "7" in text:
        departs("the stop word itself was sent", text)
    assert response.text == text
    assert response.finish_reason is FinishReason.STOP


def holds_a_call(sent: dict[str, Any]) -> bool:
    """Return whether the JSON of a response or a chunk contains a tool call; doesn't use the driver."""
    choices: list[dict[str, Any]] = sent.get("choices") or []
    found: list[dict[str, Any]] = [choice.get("message") or choice.get("delta") or {} for choice in choices]
    return any(message.get("tool_calls") for message in found)


def streams_a_call(sent: str) -> bool:
    """Return whether the text of a stream contains a tool call."""
    events = [line.removeprefix("data:").strip() for line in sent.splitlines() if line.startswith("data:")]
    return any(holds_a_call(json.loads(event)) for event in events if event.startswith("{"))


def called(response: GenerateResponse) -> None:
    """Check that the response calls `get_weather` for Paris."""
    call = response.tool_calls[0]
    if call.name != "get_weather" or not is_valid(CITY, call.arguments):
        departs("the call is not of the tool, or its arguments don't keep to their schema", call)
    assert "paris" in call.arguments["city"].lower()
    assert response.finish_reason is FinishReason.TOOL_USE or response.finish_reason_raw == "stop"


def announced_only(error: ResponseError) -> NoReturn:
    """Fail because the server announced a call and sent none; any other error is the driver's to explain."""
    try:
        sent = json.loads(error.body)
    except ValueError:
        raise error from None
    if holds_a_call(sent):
        raise error
    departs("it announces a call, and sends none", sent)


@pytest.mark.api(calls=2)
def test_tools(suite: Suite, caller: Caller) -> None:
    try:
        first = caller.generate(ask(WEATHER, tools=[GET_WEATHER]))
    except ResponseError as error:
        announced_only(error)
    sent = whole(suite, first)["choices"][0]
    if not sent["message"].get("tool_calls"):
        departs("a tool was to be called, and wasn't", sent)
    assert len(first.tool_calls) == len(sent["message"]["tool_calls"])
    called(first)
    result = Message.tool(first.tool_calls[0].id, "sunny, 21 degrees")
    try:
        second = caller.generate(ask(WEATHER, first.to_message(), result, tools=[GET_WEATHER]))
    except ResponseError as error:
        # mlx-lm: finish_reason tool_calls after the result too, without a call
        announced_only(error)
    whole(suite, second)
    assert second.text or second.tool_calls


@pytest.mark.api(calls=2)
def test_stream_tools(suite: Suite, caller: Caller, wire: Callable[[GenerateRequest], str]) -> None:
    request = ask(WEATHER, tools=[GET_WEATHER])
    try:
        answer = caller.stream(request)
    except ResponseError:
        sent = wire(request)
        assert not streams_a_call(sent)
        departs("it announces a call, and sends none", sent[-300:])
    response = streamed(suite, answer)
    if not response.tool_calls:
        sent = wire(request)
        assert not streams_a_call(sent)
        departs("a tool was to be called, and wasn't", sent[-300:])
    called(response)
    pieces = [piece for chunk in answer.chunks for piece in chunk.tool_calls if piece.index == 0]
    assert "".join(piece.arguments for piece in pieces) == response.tool_calls[0].arguments_json


def outcome(caller: Caller, request: GenerateRequest) -> GenerateResponse | ModelsError:
    """Return the response or the server's error; other errors, such as a failed connection, are raised."""
    try:
        return caller.generate(request)
    except (ApiError, ResponseError, StreamError) as error:
        return error


@pytest.mark.api(calls=1)
def test_json_schema(suite: Suite, caller: Caller) -> None:
    form = ResponseFormat.json_schema("city", CITY)
    # with room: an answer that our own limit cut can't keep to any schema
    got = outcome(caller, ask(WEATHER, max_tokens=1000, response_format=form))
    if isinstance(got, ModelsError):
        departs("it refuses a JSON schema", got)
    sent = whole(suite, got)["choices"][0]
    if sent["finish_reason"] != "stop":
        departs("an answer to a JSON schema that isn't finished after 1,000 tokens", sent)
    text = sent["message"]["content"]
    assert got.text == text
    value = None
    with suppress(ValueError):
        value = json.loads(text)
    if not is_valid(CITY, value):
        departs("a JSON schema was given, and the answer doesn't keep to it", text)


def names_model(got: ModelsError, name: str) -> bool:
    """Whether it is an honest refusal that names the model, as LiteLLM's 400 "Invalid model name"."""
    return isinstance(got, InvalidRequestError) and name in got.message


@pytest.mark.api(calls=1)
def test_unknown_model(target: Target, caller: Caller) -> None:
    name = "botticelli-tests/no-such-model"
    got = outcome(caller, ask(WEATHER, max_tokens=5, model=name))
    if isinstance(got, GenerateResponse):
        departs("it answers for a model that it doesn't have", got.raw)
    if not isinstance(got, ModelNotFoundError | NotFoundError) and not names_model(got, name):
        departs("an unknown model is a 404, or an error that says so", got)
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


@pytest.mark.api(calls=2, needs_key=True)
@pytest.mark.parametrize("rim", ["sync", "async"])
def test_bad_token(suite: Suite, target: Target, rim: str, make: Callable[..., Caller], canary: str) -> None:
    got = outcome(make(aio=rim == "async", key=canary), ask(WEATHER, max_tokens=5))
    if isinstance(got, GenerateResponse) and not target.is_providers_own:
        # another server that answers without a key may well take any
        got = outcome(make(aio=rim == "async", key=""), ask(WEATHER, max_tokens=5))
        if isinstance(got, GenerateResponse):
            suite.leave_out("bad_token", "the server needs no key, so it may take any")
            return
        departs("it takes any token, but not none", got)
    if isinstance(got, GenerateResponse):
        departs("it takes any token", got.raw)
    if not isinstance(got, AuthenticationError):
        departs("a token that nobody issued is a 401", got)
    assert got.status == 401
    assert canary not in f"{got} {got!r} {vars(got)}"


@pytest.mark.api(calls=0)
def test_models(target: Target, caller: Caller) -> None:
    models = caller.models()
    if not models:
        departs("an empty list of models", models)
    assert len({model.id for model in models}) == len(models)
    if target.is_providers_own:
        assert target.model.partition(":")[0] in {model.id for model in models}
        routes = target.drivers.provider.inference_provider_header is not None
        assert any(model.providers for model in models) == routes

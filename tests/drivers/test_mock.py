"""The mocks: what a script may hold, and that they behave as the drivers that send."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli import (
    AsyncBotticelliDriver,
    AsyncMockDriver,
    BotticelliDriver,
    BotticelliError,
    Choice,
    ClosedError,
    ConfigurationError,
    FinishReason,
    GenerateRequest,
    GenerateResponse,
    HuggingFaceDriver,
    Image,
    MediaSource,
    Message,
    MockDriver,
    Model,
    ModelsError,
    RateLimit,
    RateLimitError,
    RateLimits,
    RequestError,
    StreamChunk,
    StreamError,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageTotals,
    Video,
)

from .conftest import END, STREAM_HEAD, Server, answer, error, event, framed, stream

Serve = Callable[..., Server]

WHOLE = GenerateResponse(
    choices=[
        Choice(index=0, outputs=[Text("a")], finish_reason=FinishReason.LENGTH),
        Choice(index=1, outputs=[Text("b")], finish_reason=FinishReason.STOP),
    ],
    usage=Usage(prompt_tokens=1, completion_tokens=2),
)


def refused() -> RateLimitError:
    return RateLimitError("slowly", status=429, retry_after=3)


def asking(text: str = "Hi") -> GenerateRequest:
    return GenerateRequest(messages=[Message.user(text)])


def test_mocks_are_drivers() -> None:
    drivers: list[BotticelliDriver] = [MockDriver()]
    async_drivers: list[AsyncBotticelliDriver] = [AsyncMockDriver()]
    assert (drivers[0].provider_name, async_drivers[0].provider_name) == ("mock", "mock")
    limits = RateLimits(requests=RateLimit(remaining=1))
    driver = MockDriver(model="m", models=[Model(id="m")], rate_limits=limits)
    assert (driver.provider_name, driver.model_name, driver.rate_limits) == ("mock", "m", limits)
    assert driver.models() == [Model(id="m")]
    assert driver.capabilities.streaming


def test_the_script_is_played_line_by_line() -> None:
    with MockDriver(["one", WHOLE, ["tw", "o"], refused()]) as driver:
        assert driver.generate(asking()).text == "one"
        assert driver.generate(asking()) == WHOLE
        response = driver.generate(asking())
        assert (response.text, response.finish_reason, response.model) == (
            "two",
            FinishReason.STOP,
            "mock-model",
        )
        with pytest.raises(RateLimitError) as caught:
            driver.generate(asking())
        assert (caught.value.provider, caught.value.model, caught.value.attempts) == ("mock", "mock-model", 1)
        assert driver.usage == UsageTotals(calls=4, prompt_tokens=1, completion_tokens=2, unknown=2)
        assert len(driver.calls) == 4


def test_one_text_is_one_line() -> None:
    driver = MockDriver("hello")
    assert driver.generate(asking()).text == "hello"


def test_calls_are_recorded_as_they_were() -> None:
    driver = MockDriver(["a", "b"])
    request = asking("first")
    driver.generate(request)
    request.messages.append(Message.user("second"))
    driver.generate(request)
    assert [len(call.messages) for call in driver.calls] == [1, 2]


def test_the_end_of_the_script_is_an_error() -> None:
    driver = MockDriver(["a"])
    driver.generate(asking())
    with pytest.raises(ConfigurationError, match="it had 1 answers, and this is call 2"):
        driver.generate(asking())
    with pytest.raises(ConfigurationError, match="at its end"), driver.generate_stream(asking()):
        pass
    assert len(driver.calls) == 1


def test_a_closed_mock_refuses() -> None:
    driver = MockDriver(["a"])
    driver.close()
    with pytest.raises(ClosedError, match="the driver is closed"):
        driver.generate(asking())
    with pytest.raises(ClosedError, match="the driver is closed"):
        driver.models()
    with pytest.raises(ClosedError, match="the driver is closed"), driver.generate_stream(asking()):
        pass
    assert driver.calls == []


@pytest.mark.parametrize(
    ("line", "texts", "text"),
    [
        ("hello", ["hello", ""], "hello"),
        (["he", "llo"], ["he", "llo", ""], "hello"),
        ([], [""], ""),
        ([StreamChunk("a"), "b"], ["a", "b", ""], "ab"),
    ],
)
def test_streams(line: Any, texts: list[str], text: str) -> None:
    driver = MockDriver([line])
    with driver.generate_stream(asking()) as stream:
        chunks = list(stream)
    assert [chunk.text for chunk in chunks] == texts
    assert [chunk.is_final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].finish_reason == FinishReason.STOP
    assert (stream.response.text, stream.response.finish_reason_raw) == (text, "stop")
    assert driver.usage.calls == 1


def test_a_stream_takes_its_line_when_it_is_entered() -> None:
    driver = MockDriver(["a"])
    stream = driver.generate_stream(asking())
    assert driver.calls == []
    assert stream.response == GenerateResponse()
    assert next(stream).text == "a"
    assert stream.response.text == "a"
    assert len(driver.calls) == 1
    stream.close()


def test_a_whole_answer_is_streamed_choice_by_choice() -> None:
    stream = MockDriver([WHOLE]).generate_stream(asking())
    chunks = list(stream)
    assert [(chunk.choice, chunk.text, chunk.is_final) for chunk in chunks] == [
        (1, "b", False),
        (0, "a", True),
    ]
    assert (chunks[-1].finish_reason, chunks[-1].usage) == (FinishReason.LENGTH, WHOLE.usage)
    assert stream.response == WHOLE


def test_chunks_add_up_to_an_answer() -> None:
    usage = Usage(prompt_tokens=3, completion_tokens=4)
    line = [
        StreamChunk(reasoning="hm"),
        StreamChunk("I", refusal="no"),
        StreamChunk(tool_calls=(ToolCallDelta(index=0, id="c1", name="add", arguments='{"a":'),)),
        StreamChunk(tool_calls=(ToolCallDelta(index=0, arguments="1}"),)),
        StreamChunk("other", choice=1),
        StreamChunk(is_final=True, finish_reason=FinishReason.TOOL_USE, usage=usage),
    ]
    driver = MockDriver([line])
    response = driver.generate(asking())
    first, second = response.choices
    assert (first.reasoning, first.text, first.refusal) == ("hm", "I", "no")
    assert first.tool_calls == [ToolCall(id="c1", name="add", arguments_json='{"a":1}')]
    assert (first.finish_reason, second.text) == (FinishReason.TOOL_USE, "other")
    assert response.usage == usage
    assert driver.usage.completion_tokens == 4


def test_a_stream_breaks_where_the_script_says() -> None:
    driver = MockDriver([["par", "t", refused()]])
    seen: list[str] = []
    with pytest.raises(RateLimitError) as caught, driver.generate_stream(asking()) as stream:
        seen.extend(chunk.text for chunk in stream)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "part"
    assert caught.value.model == "mock-model"
    assert driver.usage == UsageTotals(calls=1, unknown=1)
    with pytest.raises(RateLimitError) as again:
        next(stream)
    assert again.value is caught.value


@pytest.mark.anyio
async def test_the_async_mock() -> None:
    async with AsyncMockDriver(["one", ["tw", "o"], ["x", refused()]], models=[Model(id="m")]) as driver:
        assert (await driver.generate(asking())).text == "one"
        async with driver.generate_stream(asking()) as stream:
            assert [chunk.text async for chunk in stream] == ["tw", "o", ""]
        assert stream.response.text == "two"
        broken = driver.generate_stream(asking())
        assert (await anext(broken)).text == "x"
        with pytest.raises(RateLimitError):
            await anext(broken)
        assert await driver.models() == [Model(id="m")]
        assert len(driver.calls) == 3
    with pytest.raises(ClosedError, match="closed"):
        await driver.generate(asking())


def test_a_mock_needs_no_http() -> None:
    code = "import sys; from botticelli import MockDriver; MockDriver(['a']); print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# A script that can't be played.


@pytest.mark.parametrize(
    ("script", "setting", "said"),
    [
        (5, "script", "must be a text, or a list"),
        (None, "script", "not None"),
        (b"text", "script", "not a bytes"),
        (WHOLE, "script", "not a GenerateResponse"),
        ([5], "script[0]", "must be a text, a GenerateResponse, an error, or a list"),
        (["a", None], "script[1]", "not None"),
        ([b"a"], "script[0]", "not a bytes"),
        ([{"a"}], "script[0]", "not a set"),
        ([ValueError("no")], "script[0]", "not a ValueError"),
        ([RateLimitError], "script[0]", "not a type"),
        ([["a", 5]], "script[0][1]", "must be a text, a StreamChunk or an error, not 5"),
        ([["a", WHOLE]], "script[0][1]", "not a GenerateResponse"),
        ([GenerateResponse()], "script[0]", "without a choice"),
        ([[StreamChunk("a", is_final=True), "b"]], "script[0][1]", "never be played"),
        (["a", ["b", RateLimitError("no", status=429), "c"]], "script[1][2]", "never be played"),
    ],
)
@pytest.mark.parametrize("kind", [MockDriver, AsyncMockDriver])
def test_a_script_that_cant_be_played_is_refused(kind: Any, script: Any, setting: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(script)
    assert caught.value.setting == setting
    assert said in str(caught.value)
    assert str(caught.value).startswith(setting)


@pytest.mark.parametrize(
    ("options", "setting"),
    [({"model": ""}, "model"), ({"models": ["m"]}, "models[0]"), ({"rate_limits": 5}, "rate_limits")],
)
def test_other_arguments_are_checked_too(options: dict[str, Any], setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        MockDriver("a", **options)
    assert caught.value.setting == setting


# What lines share stays as it was.


def test_an_error_may_be_scripted_twice() -> None:
    shared = refused()
    driver = MockDriver([["a", shared], ["b", shared], shared])
    partials: list[str | None] = []
    raised: list[RateLimitError] = []
    for _ in range(3):
        with pytest.raises(RateLimitError) as caught:
            driver.generate(asking())
        raised.append(caught.value)
        partials.append(caught.value.partial.text if caught.value.partial else None)
    assert partials == ["a", "b", None]
    assert len({id(error) for error in (*raised, shared)}) == 4
    assert (shared.partial, shared.model, shared.retry_after) == (None, None, 3)
    assert [error.retry_after for error in raised] == [3, 3, 3]


def test_an_error_keeps_what_it_says_itself() -> None:
    own = GenerateResponse(choices=[Choice(outputs=[Text("own")])])
    driver = MockDriver([["a", StreamError("no", partial=own)], ConfigurationError("odd", setting="s")])
    with pytest.raises(StreamError) as caught:
        driver.generate(asking())
    assert caught.value.partial == own
    with pytest.raises(ConfigurationError, match="odd") as refused_:
        driver.generate(asking())
    assert refused_.value.setting == "s"


def test_an_answer_may_be_scripted_twice() -> None:
    driver = MockDriver([WHOLE, WHOLE])
    driver.generate(asking()).choices.clear()
    assert driver.generate(asking()) == WHOLE


# As the drivers that send.


class Both:
    """A mock and a driver that sends, for the same answers."""

    def __init__(self, script: list[Any], server: Server) -> None:
        self.mock = MockDriver(script, model="test/model")
        self.real = HuggingFaceDriver.with_api_token(None, "test/model", base_url=server.url, max_retries=0)

    def agree(self, scenario: Callable[[Any], list[object]]) -> None:
        mocked, real = scenario(self.mock), scenario(self.real)
        assert mocked == real
        self.real.close()


def told(error: BotticelliError) -> tuple[object, ...]:
    setting = error.setting if isinstance(error, ConfigurationError) else None
    rule = error.rule if isinstance(error, RequestError) else None
    attempts = error.attempts if isinstance(error, ModelsError) else None
    model = getattr(error, "model", None)
    text = error.partial and error.partial.text
    return type(error), setting, rule, model, attempts, text


def attempted(action: Callable[[], object]) -> object:
    try:
        return action()
    except StopIteration:
        return StopIteration
    except BotticelliError as error:
        return told(error)


def seen(chunk: Any) -> tuple[object, ...]:
    return chunk.text, chunk.is_final, chunk.finish_reason


HELLO = stream("He", "llo")
BROKEN = STREAM_HEAD + framed(event("He")) + framed(b'data: {"error": {"message": "no"}}\n\n') + END
LIMITED = error(429, "slowly")


@pytest.mark.parametrize(
    ("script", "play"),
    [
        (["He", "llo"], HELLO),
        (["He", StreamError("no")], BROKEN),
        (RateLimitError("slowly", status=429), LIMITED),
    ],
    ids=["whole", "broken", "refused"],
)
def test_a_stream_is_told_as_a_real_one(serve: Serve, script: Any, play: bytes) -> None:
    def read(driver: Any) -> list[object]:
        stream = driver.generate_stream(asking())
        steps = [attempted(lambda: seen(next(stream))) for _ in range(5)]
        steps += [attempted(stream.__enter__) if stream.response.finish_reason_raw is None else None]
        stream.close()
        steps += [attempted(lambda: seen(next(stream)))]
        usage = driver.usage
        return [*steps, stream.response.text, stream.response.finish_reason, usage.calls, usage.unknown]

    def leave(driver: Any) -> list[object]:
        stream = driver.generate_stream(asking())
        before = [stream.response.choices]

        def enter() -> object:
            with stream:
                return seen(next(stream))

        steps = [attempted(enter), attempted(lambda: seen(next(stream))), attempted(stream.__enter__)]
        stream.close()
        return [before, *steps, stream.response.text, driver.usage.calls, driver.usage.unknown]

    def close_first(driver: Any) -> list[object]:
        stream = driver.generate_stream(asking())
        stream.close()
        return [attempted(lambda: seen(next(stream))), attempted(stream.__enter__), driver.usage.calls]

    for scenario in (read, leave, close_first):
        Both([script], serve(play)).agree(scenario)


def test_a_failed_call_is_counted_as_a_real_one(serve: Serve) -> None:
    def fail(driver: Any) -> list[object]:
        return [attempted(lambda: driver.generate(asking())), driver.usage]

    Both([RateLimitError("slowly", status=429)], serve(LIMITED)).agree(fail)


@pytest.mark.parametrize(
    "request_",
    [
        "Hello",
        None,
        GenerateRequest(messages=[]),
        GenerateRequest(messages=[Message.user("\ud800")]),
        GenerateRequest(messages=[Message.user("Hi")], temperature=3),
        GenerateRequest(messages=[Message.user("Hi")], extra={"a": float("nan")}),
        GenerateRequest(messages=[Message.user([Image.of(Path("/nowhere/dot.png"))])]),
        GenerateRequest(messages=[Message.user([Video(MediaSource.from_url("https://h/film"))])]),
    ],
)
def test_a_request_that_cant_be_sent_is_refused_as_by_a_real_one(serve: Serve, request_: Any) -> None:
    def ask(driver: Any) -> list[object]:
        whole = attempted(lambda: driver.generate(request_))
        streamed = attempted(lambda: driver.generate_stream(request_))
        assert isinstance(whole, tuple)
        assert whole[0] is RequestError
        return [whole, streamed, driver.usage]

    both = Both(["a"], serve(answer()))
    both.agree(ask)
    assert both.mock.calls == []
    assert both.mock.generate(asking()).text == "a"  # the line is still there


def test_a_closed_driver_says_what_a_real_one_says(serve: Serve) -> None:
    def closed(driver: Any) -> list[object]:
        waiting = driver.generate_stream(asking())
        driver.close()
        driver.close()
        return [
            attempted(lambda: driver.generate(asking())),
            attempted(driver.models),
            attempted(lambda: next(waiting)),
            attempted(waiting.__enter__),
            driver.usage,
        ]

    Both(["a"], serve(answer())).agree(closed)


@pytest.mark.anyio
async def test_an_async_stream_is_left_and_closed_like_a_real_one() -> None:
    async with AsyncMockDriver([["a", "b"], refused(), "c"]) as driver:
        stream = driver.generate_stream(asking())
        async with stream:
            assert (await anext(stream)).text == "a"
        await stream.aclose()
        with pytest.raises(ClosedError, match="the stream is closed"):
            await anext(stream)
        assert stream.response.text == "a"
        with pytest.raises(RateLimitError):
            async with driver.generate_stream(asking()):
                pass
        whole = driver.generate_stream(asking())
        assert [chunk.is_final async for chunk in whole] == [False, True]
        with pytest.raises(StopAsyncIteration):
            await anext(whole)
        assert driver.usage == UsageTotals(calls=3, unknown=2)
    with pytest.raises(ClosedError, match="the driver is closed"):
        await driver.models()


def test_a_request_may_name_its_own_model() -> None:
    driver = MockDriver(["a", refused()])
    request = asking()
    request.model = "other"
    assert driver.generate(request).model == "other"
    with pytest.raises(RateLimitError) as caught:
        driver.generate(request)
    assert caught.value.model == "other"


@settings(deadline=None)
@given(
    st.lists(
        st.text(max_size=3)
        | st.builds(
            StreamChunk, text=st.text(max_size=3), reasoning=st.text(max_size=2), choice=st.integers(0, 2)
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_any_stream_ends_once_and_is_its_answer(pieces: list[Any], ended: bool) -> None:
    line = [*pieces, StreamChunk("end", is_final=True)] if ended else pieces
    driver = MockDriver([line, line])
    with driver.generate_stream(asking()) as stream:
        chunks = list(stream)
    assert [chunk.is_final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert "".join(chunk.text for chunk in chunks if chunk.choice == 0) == stream.response.text
    assert driver.generate(asking()) == stream.response

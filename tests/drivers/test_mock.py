from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from botticelli import (
    AsyncBotticelliDriver,
    AsyncMockDriver,
    BotticelliDriver,
    Choice,
    ConfigurationError,
    FinishReason,
    GenerateRequest,
    GenerateResponse,
    Message,
    MockDriver,
    Model,
    RateLimit,
    RateLimitError,
    RateLimits,
    StreamChunk,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageTotals,
)

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
    assert isinstance(MockDriver(), BotticelliDriver)
    assert isinstance(AsyncMockDriver(), AsyncBotticelliDriver)
    limits = RateLimits(requests=RateLimit(remaining=1))
    driver = MockDriver(model="m", models=[Model(id="m")], rate_limits=limits)
    assert (driver.provider_name, driver.model_name, driver.rate_limits) == ("mock", "m", limits)
    assert driver.models() == [Model(id="m")]
    assert driver.capabilities.streaming


def test_the_script_is_played_line_by_line() -> None:
    with MockDriver(["one", WHOLE, ["tw", "o"], refused()]) as driver:
        assert driver.generate(asking()).text == "one"
        assert driver.generate(asking()) is WHOLE
        response = driver.generate(asking())
        assert (response.text, response.finish_reason, response.model) == (
            "two",
            FinishReason.STOP,
            "mock-model",
        )
        with pytest.raises(RateLimitError) as caught:
            driver.generate(asking())
        assert (caught.value.provider, caught.value.model, caught.value.attempts) == ("mock", "mock-model", 1)
        assert driver.usage == UsageTotals(calls=3, prompt_tokens=1, completion_tokens=2, unknown=2)


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
    with pytest.raises(ConfigurationError, match="closed"):
        driver.generate(asking())


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
    assert stream.response is WHOLE


def test_chunks_add_up_to_an_answer() -> None:
    usage = Usage(prompt_tokens=3, completion_tokens=4)
    line = [
        StreamChunk(reasoning="hm"),
        StreamChunk("I", refusal="no"),
        StreamChunk(tool_calls=(ToolCallDelta(index=0, id="c1", name="add", arguments='{"a":'),)),
        StreamChunk(tool_calls=(ToolCallDelta(index=0, arguments="1}"),)),
        StreamChunk("other", choice=1),
        StreamChunk(is_final=True, finish_reason=FinishReason.TOOL_USE, usage=usage),
        StreamChunk("never played"),
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
    assert driver.usage.calls == 0


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
    with pytest.raises(ConfigurationError, match="closed"):
        await driver.generate(asking())


def test_a_mock_needs_no_http() -> None:
    code = "import sys; from botticelli import MockDriver; MockDriver(['a']); print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

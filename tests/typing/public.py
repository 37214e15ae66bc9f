"""The public face as a type checker sees it: read by mypy and pyright, run by nobody.

A name that loses its type, a method whose result becomes Any, a third party's driver that no longer fits the
protocol: each is an error of `just types`.
"""

from __future__ import annotations

from typing import Any, assert_type

import botticelli as b


def whole(driver: b.HuggingFaceDriver, request: b.GenerateRequest) -> None:
    response = driver.generate(request)
    assert_type(response, b.GenerateResponse)
    assert_type(response.text, str)
    assert_type(response.choices, list[b.Choice])
    assert_type(response.tool_calls, list[b.ToolCall])
    assert_type(response.finish_reason, b.FinishReason)
    assert_type(response.usage, b.Usage | None)
    assert_type(response.deviations, list[b.Deviation])
    assert_type(driver.models(), list[b.Model])
    assert_type(driver.usage, b.UsageTotals)
    for output in response.outputs:
        match output:
            case b.Text(text=text) | b.Refusal(text=text) | b.Reasoning(text=text):
                assert_type(text, str)
            case b.ToolCalls(calls=calls):
                assert_type(calls[0].arguments, Any)
            case b.Audio():
                assert_type(output.transcript, str)
            case b.Image() | b.Citations() | b.Other():
                assert_type(str(output), str)


def streamed(driver: b.HuggingFaceDriver, request: b.GenerateRequest) -> None:
    with driver.generate_stream(request) as stream:
        for chunk in stream:
            assert_type(chunk, b.StreamChunk)
    assert_type(stream.response, b.GenerateResponse)


async def streamed_async(driver: b.AsyncHuggingFaceDriver, request: b.GenerateRequest) -> None:
    assert_type(await driver.generate(request), b.GenerateResponse)
    async with driver.generate_stream(request) as stream:
        async for chunk in stream:
            assert_type(chunk.text, str)


def protocols(driver: b.HuggingFaceDriver, aio: b.AsyncHuggingFaceDriver, mock: b.MockDriver) -> None:
    drivers: list[b.BotticelliDriver] = [driver, mock]
    async_drivers: list[b.AsyncBotticelliDriver] = [aio]
    assert_type(drivers[0].rate_limits, b.RateLimits | None)
    assert_type(async_drivers[0].capabilities, b.Capabilities)


def errors(error: b.BotticelliError) -> None:
    assert_type(error.kind, str)
    assert_type(error.status, int | None)
    assert_type(error.retry_after, float | None)
    assert_type(error.partial, b.GenerateResponse | None)
    if isinstance(error, b.CallTimeoutError):
        assert_type(error.phase, str)
        assert_type(error.seconds, float)
    if isinstance(error, b.ModelNotFoundError):
        assert_type(error.model, str | None)

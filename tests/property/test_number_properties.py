"""No number that a server can write leads to an exception that isn't one of ours."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from botticelli.core.errors import BotticelliError
from botticelli.core.models import UsageTotals
from botticelli.core.response import GenerateResponse, Usage, chunks_of
from botticelli.dialects.openai.models import decode_models
from botticelli.dialects.openai.response import encode_response
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.protocol.response_headers import read_rate_limits, read_retry_after

LENGTHS = st.sampled_from([1, 15, 16, 17, 19, 20, 308, 309, 310, 400, 640, 641, 4300, 4301])
DIGITS = st.tuples(st.sampled_from("123456789"), LENGTHS).map(lambda pair: pair[0] * pair[1])
PARTS = st.tuples(
    st.sampled_from(["", "-"]),
    DIGITS,
    st.sampled_from(["", ".0", ".5"]),
    st.sampled_from(["", "e1", "e308", "e309", "e-400", "E999999999"]),
)
NUMBERS = PARTS.map("".join)
HUGE = "9" * 309


def count(response: GenerateResponse) -> None:
    """Do with an answer what drivers, caches and the command line do."""
    totals = UsageTotals()
    for price in (None, (0.0, 0.0), (1e308, 1e308)):
        totals = totals.add(attempts=1, usage=response.usage, price=price)
    msgspec.json.encode(totals)
    msgspec.json.encode(response)
    chunks_of(response)
    repr(response)
    decode_answer(encode_response(response))


@given(NUMBERS)
@example(HUGE)
def test_any_number_in_a_whole_answer(number: str) -> None:
    body = f"""{{"id": {number}, "created": {number}, "model": "m", "choices": [{{"index": {number},
        "finish_reason": "stop", "logprobs": {{"content": [{{"logprob": {number}}}]}},
        "message": {{"role": "assistant", "content": "Hi", "audio": {{"id": "a", "expires_at": {number}}},
        "tool_calls": [{{"id": {number}, "function": {{"name": "f", "arguments": {number}}}}}]}}}}],
        "usage": {{"prompt_tokens": {number}, "completion_tokens": {number}, "total_tokens": {number},
        "prompt_tokens_details": {{"cached_tokens": {number}}}}}}}"""
    with suppress(BotticelliError):
        count(decode_answer(body.encode()))


@given(NUMBERS)
@example(HUGE)
def test_any_number_in_a_stream(number: str) -> None:
    body = f"""data: {{"id": {number}, "created": {number}, "model": "m", "choices": [{{"index": {number},
        "finish_reason": "stop", "delta": {{"content": "Hi", "tool_calls": [{{"index": {number},
        "id": {number}, "function": {{"name": "f", "arguments": {number}}}}}]}}}}],
        "usage": {{"prompt_tokens": {number}, "completion_tokens": {number}}}}}"""
    for audit in (False, True):
        stream = OpenAIStreamReader(audit=audit)
        stream.feed(body.replace("\n", " ").encode() + b"\n\ndata: [DONE]\n\n")
        with suppress(BotticelliError):
            stream.finish()
        if stream.response.choices:
            count(stream.response)


@given(NUMBERS)
@example(HUGE)
def test_any_number_in_a_model_list(number: str) -> None:
    body = f"""{{"data": [{{"id": "m", "created": {number}, "providers": [{{"provider": "p",
        "context_length": {number}, "pricing": {{"input": {number}, "output": {number}}},
        "first_token_latency_ms": {number}, "throughput": {number}}}]}}]}}"""
    for model in decode_models(body.encode()):
        usage = Usage(prompt_tokens=10**15, completion_tokens=10**15)
        msgspec.json.encode((model, UsageTotals().add(attempts=1, usage=usage, price=model.price("p"))))


@given(NUMBERS)
def test_any_number_in_a_header(number: str) -> None:
    names = ("retry-after", "retry-after-ms", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")
    headers: dict[str, str] = {name: number for name in names}  # noqa: C420 -- the type is wider
    read_retry_after(headers, 0.0)
    read_rate_limits(headers, 0.0)


def test_a_count_that_no_server_means_is_unknown() -> None:
    usage = Usage(prompt_tokens=10**309, completion_tokens=1)
    totals = UsageTotals().add(attempts=1, usage=usage, price=(1.0, 1.0))
    assert (totals.unknown, totals.prompt_tokens, totals.priced, totals.cost) == (1, 0, 0, 0.0)

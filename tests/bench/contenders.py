"""The four that run side by side. Each asks with its own means, and gives the text it read.

`Bare` is the least that a program could do that speaks the format by hand: httpx, a split on the blank
line, typed msgspec structs of the few members that it needs, the texts joined. It knows nothing of CRLF,
comments, errors, retries, tool calls or usage: what it costs is the floor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import httpx
import msgspec
from huggingface_hub import AsyncInferenceClient, InferenceClient
from openai import AsyncOpenAI, OpenAI

from botticelli import AsyncHuggingFaceDriver, GenerateRequest, HuggingFaceDriver, Message

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "meta-llama/Llama-3.2-1B-Instruct"
PROMPT = "Count to two thousand"
KEY = "bench"


class Delta(msgspec.Struct):
    content: str | None = None


class ChunkChoice(msgspec.Struct):
    delta: Delta
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    choices: list[ChunkChoice]


class AnswerMessage(msgspec.Struct):
    content: str | None


class AnswerChoice(msgspec.Struct):
    message: AnswerMessage
    finish_reason: str


class AnswerUsage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Answer(msgspec.Struct):
    choices: list[AnswerChoice]
    usage: AnswerUsage


class Contender(Protocol):
    """One way to ask. The base URL has no ``/chat/completions``."""

    name: str

    def single(self) -> str: ...
    def stream(self) -> str: ...
    async def asingle(self) -> str: ...
    async def aclose(self) -> None: ...


class Bare:
    name = "bare httpx + msgspec"

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/chat/completions"
        self._headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        self._client = httpx.Client(timeout=60)
        self._async_client = httpx.AsyncClient(timeout=60)
        self._chunk = msgspec.json.Decoder(Chunk).decode
        self._answer = msgspec.json.Decoder(Answer).decode

    def _body(self, *, stream: bool) -> bytes:
        messages = [{"role": "user", "content": PROMPT}]
        return msgspec.json.encode({"model": MODEL, "messages": messages, "stream": stream})

    def single(self) -> str:
        body = self._body(stream=False)
        answer = self._client.post(self._url, content=body, headers=self._headers)
        answer.raise_for_status()
        return self._answer(answer.content).choices[0].message.content or ""

    def stream(self) -> str:
        texts: list[str] = []
        decode = self._chunk
        body = self._body(stream=True)
        with self._client.stream("POST", self._url, content=body, headers=self._headers) as answer:
            answer.raise_for_status()
            pending = b""
            for piece in answer.iter_bytes():
                *blocks, pending = (pending + piece).split(b"\n\n")
                for block in blocks:
                    data = block[6:]
                    if data == b"[DONE]":
                        return "".join(texts)
                    for choice in decode(data).choices:
                        if choice.delta.content:
                            texts.append(choice.delta.content)  # noqa: PERF401 -- the cheapest for one choice
        raise EOFError

    async def asingle(self) -> str:
        body = self._body(stream=False)
        answer = await self._async_client.post(self._url, content=body, headers=self._headers)
        answer.raise_for_status()
        return self._answer(answer.content).choices[0].message.content or ""

    async def aclose(self) -> None:
        self._client.close()
        await self._async_client.aclose()


class Botticelli:
    name = "botticelli"

    def __init__(self, base_url: str) -> None:
        self._driver = HuggingFaceDriver(MODEL, api_key=KEY, base_url=base_url)
        self._async_driver = AsyncHuggingFaceDriver(MODEL, api_key=KEY, base_url=base_url)

    def single(self) -> str:
        return self._driver.generate(GenerateRequest(messages=[Message.user(PROMPT)])).text

    def stream(self) -> str:
        texts: list[str] = []
        with self._driver.generate_stream(GenerateRequest(messages=[Message.user(PROMPT)])) as stream:
            for chunk in stream:
                texts.append(chunk.text)  # noqa: PERF401 -- as a program would that also shows it
        return "".join(texts)

    async def asingle(self) -> str:
        answer = await self._async_driver.generate(GenerateRequest(messages=[Message.user(PROMPT)]))
        return answer.text

    async def aclose(self) -> None:
        self._driver.close()
        await self._async_driver.close()


class OpenAi:
    name = "openai"

    def __init__(self, base_url: str) -> None:
        self._client = OpenAI(api_key=KEY, base_url=base_url, timeout=60)
        self._async_client = AsyncOpenAI(api_key=KEY, base_url=base_url, timeout=60)

    def single(self) -> str:
        answer = self._client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": PROMPT}]
        )
        return answer.choices[0].message.content or ""

    def stream(self) -> str:
        texts: list[str] = []
        stream = self._client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": PROMPT}], stream=True
        )
        with stream:
            for chunk in stream:
                texts.extend(choice.delta.content for choice in chunk.choices if choice.delta.content)
        return "".join(texts)

    async def asingle(self) -> str:
        answer = await self._async_client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": PROMPT}]
        )
        return answer.choices[0].message.content or ""

    async def aclose(self) -> None:
        self._client.close()
        await self._async_client.close()


class HuggingFaceHub:
    name = "huggingface_hub"

    def __init__(self, base_url: str) -> None:
        # Any, because its own annotations are incomplete
        self._client: Any = InferenceClient(base_url=base_url, api_key=KEY, timeout=60)
        self._async_client: Any = AsyncInferenceClient(base_url=base_url, api_key=KEY, timeout=60)

    def single(self) -> str:
        answer = self._client.chat_completion([{"role": "user", "content": PROMPT}], model=MODEL)
        return answer.choices[0].message.content or ""

    def stream(self) -> str:
        texts: list[str] = []
        messages = [{"role": "user", "content": PROMPT}]
        for chunk in self._client.chat_completion(messages, model=MODEL, stream=True):
            texts.extend(choice.delta.content for choice in chunk.choices if choice.delta.content)
        return "".join(texts)

    async def asingle(self) -> str:
        answer = await self._async_client.chat_completion([{"role": "user", "content": PROMPT}], model=MODEL)
        return answer.choices[0].message.content or ""

    async def aclose(self) -> None:
        await self._async_client.close()


CONTENDERS: tuple[Callable[[str], Contender], ...] = (Bare, Botticelli, OpenAi, HuggingFaceHub)

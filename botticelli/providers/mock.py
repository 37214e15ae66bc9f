"""Drivers for the tests of programs that use a model: they answer from a script, without a network.

In all else they behave as the drivers that send: they refuse the same requests (those that the OpenAI format
can't carry), a closed one refuses calls, a failed call is counted, an error in mid-stream carries what had
come. They don't retry.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, cast

from botticelli.core.driver import Capabilities
from botticelli.core.errors import BotticelliError, ClosedError, ConfigurationError, ModelsError
from botticelli.core.message import Reasoning, Text, ToolCall
from botticelli.core.models import UsageTotals
from botticelli.core.response import (
    Choice,
    FinishReason,
    GenerateResponse,
    RateLimits,
    Refusal,
    StreamChunk,
    ToolCalls,
    chunks_of,
)
from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.drivers.config import read_media
from botticelli.drivers.settings import check_catalog, check_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from botticelli.core.models import Model
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import Output

__all__ = [
    "Answer",
    "AsyncMockDriver",
    "AsyncMockStream",
    "MockDriver",
    "MockReply",
    "MockScript",
    "MockStream",
    "Piece",
]

_DIALECT: Final = OpenAIDialect()

Piece: TypeAlias = str | StreamChunk | BotticelliError
Answer: TypeAlias = str | GenerateResponse | BotticelliError | Sequence[Piece]
"""One line of a script: a text, a whole answer, an error to raise, or the pieces of a stream (texts,
chunks, and an error where it breaks off; an error or a final chunk is the last of them). Each of them can
answer a whole call and a stream alike.
"""


class MockScript:
    """The lines, the calls they answered, and the totals. Safe between threads.

    Attributes:
        calls: The requests so far, each as it was when the call was made.
        usage: The totals of the calls so far.
        model: The model's name.
    """

    def __init__(self, lines: Iterable[Answer], model: str) -> None:
        """Check the lines.

        Raises:
            ConfigurationError: One of them can't be played; it says which.
        """
        self.calls: list[GenerateRequest] = []
        self.usage = UsageTotals()
        self.model = model
        self._lines = deque(_checked(lines))
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Refuse further calls."""
        self._closed = True

    def check_open(self) -> None:
        """Refuse what is asked of a closed driver.

        Raises:
            ClosedError: It is closed.
        """
        if self._closed:
            raise ClosedError("the driver is closed", hint="make a new one")

    def take(self, request: GenerateRequest, *, stream: bool) -> GenerateRequest:
        """The request as it is now, for `play`.

        Raises:
            RequestError: A driver that sends would refuse it.
        """
        _DIALECT.chat(request, model=self.model, stream=stream, read_media=read_media)
        return copy.deepcopy(request)

    def play(self, request: GenerateRequest) -> MockReply:
        """The answer to the next call.

        Raises:
            ConfigurationError: The script is at its end.
            ClosedError: The driver is closed.
        """
        with self._lock:
            self.check_open()
            if not self._lines:
                count = len(self.calls)
                raise ConfigurationError(
                    f"the script is at its end: it had {count} answers, and this is call {count + 1}",
                    setting="script",
                    hint="add an answer",
                )
            self.calls.append(request)
            return MockReply(self._lines.popleft(), request.model or self.model)

    def count(self, played: MockReply) -> None:
        """A call is over, however it ended: it enters the totals."""
        with self._lock:
            self.usage = self.usage.add(
                attempts=1, usage=played.response.usage, answered=bool(played.response.choices)
            )


_ANSWER = "a text, a GenerateResponse, an error, or a list of the pieces of a stream"
_PIECE = "a text, a StreamChunk or an error"


def _checked(lines: object) -> list[Answer]:
    if isinstance(lines, str):
        return [lines]
    if not isinstance(lines, Iterable) or isinstance(lines, bytes | bytearray):
        raise ConfigurationError.wrong("script", f"a text, or a list whose items are each {_ANSWER}", lines)
    answers = list(cast("Iterable[object]", lines))
    for place, answer in enumerate(answers):
        _check_answer(answer, f"script[{place}]")
    return cast("list[Answer]", answers)


def _check_answer(answer: object, where: str) -> None:
    if isinstance(answer, str | BotticelliError):
        return
    if isinstance(answer, GenerateResponse):
        if not answer.choices:
            raise ConfigurationError(
                f"{where} is an answer without a choice, which no driver returns",
                setting=where,
                hint="give it one, or an EmptyResponseError instead",
            )
        return
    if not isinstance(answer, Sequence) or isinstance(answer, bytes | bytearray):
        raise ConfigurationError.wrong(where, _ANSWER, answer)
    ended = False
    for place, piece in enumerate(cast("Sequence[object]", answer)):
        if not isinstance(piece, str | StreamChunk | BotticelliError):
            raise ConfigurationError.wrong(f"{where}[{place}]", _PIECE, piece)
        if ended:
            raise ConfigurationError(
                f"{where}[{place}] would never be played: the stream has ended before",
                setting=f"{where}[{place}]",
            )
        ended = isinstance(piece, BotticelliError) or (isinstance(piece, StreamChunk) and piece.is_final)


class MockReply:
    """One line of a script as chunks, and as the answer that they add up to.

    The line isn't touched: an error or an answer that several lines share is a copy each time.

    Attributes:
        model: Who was asked.
        response: The answer as far as `chunks` has been iterated.
    """

    def __init__(self, answer: Answer, model: str) -> None:
        self._answer = answer
        self.model = model
        self._parts: dict[int, _Parts] = {}
        self.response = GenerateResponse(model=model)

    @property
    def refusal(self) -> BotticelliError | None:
        """The error that stands in place of an answer, or None."""
        return self._failed(self._answer) if isinstance(self._answer, BotticelliError) else None

    def _failed(self, error: BotticelliError) -> BotticelliError:
        error = copy.copy(error)
        if self._parts and error.partial is None:
            error.partial = self.response
        if isinstance(error, ModelsError):
            error.during(provider="mock", model=self.model, attempts=1)
        return error

    def chunks(self) -> Iterator[StreamChunk]:
        """The chunks; exactly the last one is final.

        Raises:
            BotticelliError: The script holds it; `partial` is what came before.
        """
        answer = self._answer
        if isinstance(answer, GenerateResponse):
            self.response = copy.deepcopy(answer)
            yield from chunks_of(self.response)
            return
        final = StreamChunk(is_final=True, finish_reason=FinishReason.STOP)
        for piece in [answer] if isinstance(answer, (str, BotticelliError)) else answer:
            if isinstance(piece, BotticelliError):
                raise self._failed(piece)
            chunk = StreamChunk(piece) if isinstance(piece, str) else piece
            self._parts.setdefault(chunk.choice, _Parts()).take(chunk)
            if chunk.is_final:
                final = chunk
                break
            self.response = self._built()
            yield chunk
        self._parts.setdefault(0, _Parts())
        self.response = self._built(final)
        yield final

    def _built(self, final: StreamChunk | None = None) -> GenerateResponse:
        choices = [
            Choice(index=index, outputs=parts.outputs()) for index, parts in sorted(self._parts.items())
        ]
        if final is not None:
            for choice in choices:
                choice.finish_reason = final.finish_reason or FinishReason.STOP
                choice.finish_reason_raw = str(choice.finish_reason)
        return GenerateResponse(choices=choices, model=self.model, usage=final.usage if final else None)


class _Parts:
    """What one choice has said so far."""

    def __init__(self) -> None:
        self._said: dict[type[Reasoning | Text | Refusal], str] = {Reasoning: "", Text: "", Refusal: ""}
        self._calls: dict[int, ToolCall] = {}

    def take(self, chunk: StreamChunk) -> None:
        self._said[Reasoning] += chunk.reasoning
        self._said[Text] += chunk.text
        self._said[Refusal] += chunk.refusal
        for delta in chunk.tool_calls:
            known = self._calls.get(delta.index, ToolCall(id="", name=""))
            self._calls[delta.index] = ToolCall(
                id=known.id or delta.id,
                name=known.name or delta.name,
                arguments_json=known.arguments_json + delta.arguments,
            )

    def outputs(self) -> list[Output]:
        said: list[Output] = [kind(text) for kind, text in self._said.items() if text]
        return [*said, ToolCalls(list(self._calls.values()))] if self._calls else said


class _Mock:
    """What both mocks are.

    Args:
        script: The answers, one per call.
        model: The model's name.
        models: What `models` lists.
        rate_limits: What `rate_limits` says.

    Raises:
        ConfigurationError: The script or another argument isn't what it must be; it says which and where.
    """

    def __init__(
        self,
        script: Iterable[Answer] = (),
        *,
        model: str = "mock-model",
        models: Sequence[Model] = (),
        rate_limits: RateLimits | None = None,
    ) -> None:
        self._script = MockScript(script, check_model(model))
        self._models = check_catalog(models, "models")
        given: Any = rate_limits
        if given is not None and not isinstance(given, RateLimits):
            raise ConfigurationError.wrong("rate_limits", "a RateLimits", given)
        self._rate_limits = rate_limits

    @property
    def calls(self) -> list[GenerateRequest]:
        """The requests so far, each as it was when the call was made; refused ones are no calls."""
        return self._script.calls

    @property
    def provider_name(self) -> str:
        """Always ``mock``."""
        return "mock"

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self._script.model

    @property
    def capabilities(self) -> Capabilities:
        """Everything that the format carries."""
        return Capabilities()

    @property
    def rate_limits(self) -> RateLimits | None:
        """Return the rate limits that the mock was made with."""
        return self._rate_limits

    @property
    def usage(self) -> UsageTotals:
        """The totals of the calls so far, failed ones included."""
        return self._script.usage

    def _whole(self, request: GenerateRequest) -> GenerateResponse:
        played = self._script.play(self._script.take(request, stream=False))
        try:
            deque(played.chunks(), maxlen=0)
        finally:
            self._script.count(played)
        return played.response

    def _listed(self) -> list[Model]:
        self._script.check_open()
        return list(self._models)


class MockDriver(_Mock):
    """A `BotticelliDriver` that answers from a script.

    Example:
        >>> from botticelli import GenerateRequest, Message, MockDriver
        >>> driver = MockDriver(["Hello!", ["Hel", "lo", "!"]])
        >>> request = GenerateRequest(messages=[Message.user("Hi")])
        >>> driver.generate(request).text
        'Hello!'
        >>> [chunk.text for chunk in driver.generate_stream(request)]
        ['Hel', 'lo', '!', '']
        >>> driver.calls[0].messages[0].text
        'Hi'
    """

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        """The next answer of the script.

        Raises:
            RequestError: A driver that sends would refuse the request.
            BotticelliError: What the script holds, or that it is at its end.
        """
        return self._whole(request)

    def generate_stream(self, request: GenerateRequest) -> MockStream:
        """The next answer of the script, as a stream; it is taken when the stream is entered or iterated.

        Raises:
            RequestError: A driver that sends would refuse the request.
        """
        return MockStream(self._script, request)

    def models(self) -> list[Model]:
        """The models it was given.

        Raises:
            ClosedError: The driver is closed.
        """
        return self._listed()

    def close(self) -> None:
        """Refuse further calls."""
        self._script.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class AsyncMockDriver(_Mock):
    """An `AsyncBotticelliDriver` that answers from a script; see `MockDriver`."""

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """The next answer of the script.

        Raises:
            RequestError: A driver that sends would refuse the request.
            BotticelliError: What the script holds, or that it is at its end.
        """
        return self._whole(request)

    def generate_stream(self, request: GenerateRequest) -> AsyncMockStream:
        """The next answer of the script, as a stream; it is taken when the stream is entered or iterated.

        Raises:
            RequestError: A driver that sends would refuse the request.
        """
        return AsyncMockStream(self._script, request)

    async def models(self) -> list[Model]:
        """The models it was given.

        Raises:
            ClosedError: The driver is closed.
        """
        return self._listed()

    async def close(self) -> None:
        """Refuse further calls."""
        self._script.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.close()


class _MockStream:
    """A scripted answer as a stream that behaves like the real ones."""

    def __init__(self, script: MockScript, request: GenerateRequest) -> None:
        """Take the request as it is now; the script's line is taken when the stream begins.

        Raises:
            RequestError: A driver that sends would refuse the request.
        """
        self._script = script
        self._request = script.take(request, stream=True)
        self._played: MockReply | None = None
        self._chunks: Iterator[StreamChunk] = iter(())
        self._problem: BotticelliError | None = None
        self._closed = self._over = False

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after the final chunk."""
        return self._played.response if self._played else GenerateResponse()

    def _begin(self) -> None:
        if self._problem is not None:
            raise self._problem
        if self._closed:
            raise ClosedError("the stream is closed", hint="ask again")
        if self._played is not None:
            return
        try:
            self._played = self._script.play(self._request)
            if (error := self._played.refusal) is not None:
                raise error
        except BotticelliError as error:
            self._problem = error
            self._end()
            raise
        self._chunks = self._played.chunks()

    def _next(self) -> StreamChunk | None:
        """The next chunk; None after the final one."""
        if self._over:
            return None
        self._begin()
        try:
            chunk = next(self._chunks)
        except BotticelliError as error:
            self._problem = error
            self._end()
            raise
        if chunk.is_final:
            self._over = True
            self._end()
        return chunk

    def _end(self) -> None:
        if not self._closed and self._played is not None:
            self._script.count(self._played)
        self._closed = True


class MockStream(_MockStream):
    """A scripted answer in pieces."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamChunk:
        chunk = self._next()
        if chunk is None:
            raise StopIteration
        return chunk

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream, wherever it is; harmless when repeated."""
        self._end()


class AsyncMockStream(_MockStream):
    """A scripted answer in pieces, for ``async for``."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamChunk:
        chunk = self._next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream, wherever it is; harmless when repeated."""
        self._end()

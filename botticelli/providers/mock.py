"""Mock drivers for the tests of programs that use a model: they answer from a script, without a network.

Otherwise they behave like the real drivers: they reject the same requests (those that the OpenAI format can't
express), a closed driver rejects calls, failed calls are counted, and an error in the middle of a stream
carries the part of the response that came before it. They don't retry.
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
from botticelli.drivers.config import check_catalog, check_model, read_media

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
"""One answer of a script: a text, a whole response, an error to raise, or the pieces of a stream (texts,
chunks and an error; a final chunk or an error must be the last piece). Each kind can answer both a whole and
a streamed call.
"""


class MockScript:
    """The answers that are left, the calls so far, and the totals. Thread-safe.

    Attributes:
        calls: The requests so far, each as it was when the call was made.
        usage: The totals of the calls so far.
        model: The model's name.
    """

    def __init__(self, lines: Iterable[Answer], model: str) -> None:
        """Check the answers.

        Raises:
            ConfigurationError: One of them is invalid; the message says which.
        """
        self.calls: list[GenerateRequest] = []
        self.usage = UsageTotals()
        self.model = model
        self._answers = deque(_check_script(lines))
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Reject further calls."""
        self._closed = True

    def check_open(self) -> None:
        """Check that the driver isn't closed.

        Raises:
            ClosedError: It is closed.
        """
        if self._closed:
            raise ClosedError("the driver is closed", hint="make a new one")

    def take(self, request: GenerateRequest, *, stream: bool) -> GenerateRequest:
        """Check a request, and return a copy of it for `play`.

        Raises:
            RequestError: A real driver would reject it.
        """
        _DIALECT.chat(request, model=self.model, stream=stream, read_media=read_media)
        return copy.deepcopy(request)

    def play(self, request: GenerateRequest) -> MockReply:
        """Record a call and return the next answer.

        Raises:
            ConfigurationError: No answer is left.
            ClosedError: The driver is closed.
        """
        with self._lock:
            self.check_open()
            if not self._answers:
                count = len(self.calls)
                raise ConfigurationError(
                    f"the script is at its end: it had {count} answers, and this is call {count + 1}",
                    setting="script",
                    hint="add an answer",
                )
            self.calls.append(request)
            return MockReply(self._answers.popleft(), request.model or self.model)

    def count(self, reply: MockReply) -> None:
        """Add a finished or failed call to the totals."""
        with self._lock:
            self.usage = self.usage.add(
                attempts=1, usage=reply.response.usage, answered=bool(reply.response.choices)
            )


_ANSWER = "a text, a GenerateResponse, an error, or a list of the pieces of a stream"
_PIECE = "a text, a StreamChunk or an error"


def _check_script(script: object) -> list[Answer]:
    if isinstance(script, str):
        return [script]
    if not isinstance(script, Iterable) or isinstance(script, bytes | bytearray):
        raise ConfigurationError.wrong("script", f"a text, or a list whose items are each {_ANSWER}", script)
    answers = list(cast("Iterable[object]", script))
    for index, answer in enumerate(answers):
        _check_answer(answer, f"script[{index}]")
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
    for index, piece in enumerate(cast("Sequence[object]", answer)):
        if not isinstance(piece, str | StreamChunk | BotticelliError):
            raise ConfigurationError.wrong(f"{where}[{index}]", _PIECE, piece)
        if ended:
            raise ConfigurationError(
                f"{where}[{index}] would never be played: the stream has ended before",
                setting=f"{where}[{index}]",
            )
        ended = isinstance(piece, BotticelliError) or (isinstance(piece, StreamChunk) and piece.is_final)


class MockReply:
    """One answer of a script, as chunks and as the response that they add up to.

    The script's objects are copied and never changed, so several answers may share an error or a response.

    Attributes:
        model: The requested model.
        response: The response so far, built as `chunks` is iterated.
    """

    def __init__(self, answer: Answer, model: str) -> None:
        self._answer = answer
        self.model = model
        self._parts: dict[int, _Parts] = {}
        self.response = GenerateResponse(model=model)

    @property
    def refusal(self) -> BotticelliError | None:
        """The error, if the answer is one; else None."""
        return self._copy_error(self._answer) if isinstance(self._answer, BotticelliError) else None

    def _copy_error(self, error: BotticelliError) -> BotticelliError:
        error = copy.copy(error)
        if self._parts and error.partial is None:
            error.partial = self.response
        if isinstance(error, ModelsError):
            error.during(provider="mock", model=self.model, attempts=1)
        return error

    def chunks(self) -> Iterator[StreamChunk]:
        """Yield the chunks; only the last one is final.

        Raises:
            BotticelliError: The script's error; its `partial` is the response so far.
        """
        answer = self._answer
        if isinstance(answer, GenerateResponse):
            self.response = copy.deepcopy(answer)
            yield from chunks_of(self.response)
            return
        final = StreamChunk(is_final=True, finish_reason=FinishReason.STOP)
        for piece in [answer] if isinstance(answer, (str, BotticelliError)) else answer:
            if isinstance(piece, BotticelliError):
                raise self._copy_error(piece)
            chunk = StreamChunk(piece) if isinstance(piece, str) else piece
            self._parts.setdefault(chunk.choice, _Parts()).take(chunk)
            if chunk.is_final:
                final = chunk
                break
            self.response = self._build()
            yield chunk
        self._parts.setdefault(0, _Parts())
        self.response = self._build(final)
        yield final

    def _build(self, final: StreamChunk | None = None) -> GenerateResponse:
        choices = [
            Choice(index=index, outputs=parts.outputs()) for index, parts in sorted(self._parts.items())
        ]
        if final is not None:
            for choice in choices:
                choice.finish_reason = final.finish_reason or FinishReason.STOP
                choice.finish_reason_raw = str(choice.finish_reason)
        return GenerateResponse(choices=choices, model=self.model, usage=final.usage if final else None)


class _Parts:
    """The parts of one choice so far."""

    def __init__(self) -> None:
        self._texts: dict[type[Reasoning | Text | Refusal], str] = {Reasoning: "", Text: "", Refusal: ""}
        self._calls: dict[int, ToolCall] = {}

    def take(self, chunk: StreamChunk) -> None:
        self._texts[Reasoning] += chunk.reasoning
        self._texts[Text] += chunk.text
        self._texts[Refusal] += chunk.refusal
        for delta in chunk.tool_calls:
            call = self._calls.get(delta.index, ToolCall(id="", name=""))
            self._calls[delta.index] = ToolCall(
                id=call.id or delta.id,
                name=call.name or delta.name,
                arguments_json=call.arguments_json + delta.arguments,
            )

    def outputs(self) -> list[Output]:
        outputs: list[Output] = [kind(text) for kind, text in self._texts.items() if text]
        return [*outputs, ToolCalls(list(self._calls.values()))] if self._calls else outputs


class _Mock:
    """The common part of both mock drivers.

    Args:
        script: The answers, one per call.
        model: The model's name.
        models: The models that `models` returns.
        rate_limits: The value of `rate_limits`.

    Raises:
        ConfigurationError: The script or another argument is invalid; the message says which and where.
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
        """The requests so far, each as it was when the call was made; rejected ones don't count."""
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
        """All of the capabilities."""
        return Capabilities()

    @property
    def rate_limits(self) -> RateLimits | None:
        """The rate limits that were passed to the constructor."""
        return self._rate_limits

    @property
    def usage(self) -> UsageTotals:
        """The totals of the calls so far, failed ones included."""
        return self._script.usage

    def _generate(self, request: GenerateRequest) -> GenerateResponse:
        reply = self._script.play(self._script.take(request, stream=False))
        try:
            deque(reply.chunks(), maxlen=0)
        finally:
            self._script.count(reply)
        return reply.response

    def _list_models(self) -> list[Model]:
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
        """Return the next answer of the script.

        Raises:
            RequestError: A real driver would reject the request.
            BotticelliError: The script's error; or no answer is left.
        """
        return self._generate(request)

    def generate_stream(self, request: GenerateRequest) -> MockStream:
        """Return the next answer of the script as a stream; it is taken when the stream begins.

        Raises:
            RequestError: A real driver would reject the request.
        """
        return MockStream(self._script, request)

    def models(self) -> list[Model]:
        """Return the models that were passed to the constructor.

        Raises:
            ClosedError: The driver is closed.
        """
        return self._list_models()

    def close(self) -> None:
        """Reject further calls."""
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
        """Return the next answer of the script.

        Raises:
            RequestError: A real driver would reject the request.
            BotticelliError: The script's error; or no answer is left.
        """
        return self._generate(request)

    def generate_stream(self, request: GenerateRequest) -> AsyncMockStream:
        """Return the next answer of the script as a stream; it is taken when the stream begins.

        Raises:
            RequestError: A real driver would reject the request.
        """
        return AsyncMockStream(self._script, request)

    async def models(self) -> list[Model]:
        """Return the models that were passed to the constructor.

        Raises:
            ClosedError: The driver is closed.
        """
        return self._list_models()

    async def close(self) -> None:
        """Reject further calls."""
        self._script.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.close()


class _MockStream:
    """The common part of both mock streams, which behave like the real ones."""

    def __init__(self, script: MockScript, request: GenerateRequest) -> None:
        """Copy the request; the answer is taken from the script when the stream begins.

        Raises:
            RequestError: A real driver would reject the request.
        """
        self._script = script
        self._request = script.take(request, stream=True)
        self._reply: MockReply | None = None
        self._chunks: Iterator[StreamChunk] = iter(())
        self._problem: BotticelliError | None = None
        self._closed = self._is_finished = False

    @property
    def response(self) -> GenerateResponse:
        """The response so far; complete after the final chunk."""
        return self._reply.response if self._reply else GenerateResponse()

    def _begin(self) -> None:
        if self._problem is not None:
            raise self._problem
        if self._closed:
            raise ClosedError("the stream is closed", hint="ask again")
        if self._reply is not None:
            return
        try:
            self._reply = self._script.play(self._request)
            if (error := self._reply.refusal) is not None:
                raise error
        except BotticelliError as error:
            self._problem = error
            self._end()
            raise
        self._chunks = self._reply.chunks()

    def _next(self) -> StreamChunk | None:
        """Return the next chunk; None after the final one."""
        if self._is_finished:
            return None
        self._begin()
        try:
            chunk = next(self._chunks)
        except BotticelliError as error:
            self._problem = error
            self._end()
            raise
        if chunk.is_final:
            self._is_finished = True
            self._end()
        return chunk

    def _end(self) -> None:
        if not self._closed and self._reply is not None:
            self._script.count(self._reply)
        self._closed = True


class MockStream(_MockStream):
    """A scripted response as a stream."""

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
        """End the stream; safe to call more than once."""
        self._end()


class AsyncMockStream(_MockStream):
    """A scripted response as a stream, for ``async for``."""

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
        """End the stream; safe to call more than once."""
        self._end()

"""What a mock driver may be told to answer, and how it is played. No network, no clock."""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

from botticelli.core.errors import BotticelliError, ConfigurationError, ModelsError
from botticelli.core.message import Text, ToolCall
from botticelli.core.models import UsageTotals
from botticelli.core.response import (
    Choice,
    FinishReason,
    GenerateResponse,
    Reasoning,
    Refusal,
    StreamChunk,
    ToolCalls,
    chunks_of,
)
from botticelli.drivers.asking import asked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import Output

__all__ = ["Answer", "Piece", "Played", "Script"]

Piece: TypeAlias = str | StreamChunk | BotticelliError
Answer: TypeAlias = str | GenerateResponse | BotticelliError | Sequence[Piece]
"""One line of a script: a text, a whole answer, an error to raise, or the pieces of a stream (texts,
chunks, and an error where it breaks off; an error or a final chunk is the last of them). Each of them can
answer a whole call and a stream alike.
"""


class Script:
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
            ConfigurationError: It is closed.
        """
        if self._closed:
            raise ConfigurationError("the driver is closed", setting="driver", hint="make a new one")

    def take(self, request: GenerateRequest, *, stream: bool) -> GenerateRequest:
        """The request as it is now, for `play`.

        Raises:
            RequestError: A driver that sends would refuse it.
        """
        asked(request, model=self.model, stream=stream)
        return copy.deepcopy(request)

    def play(self, request: GenerateRequest) -> Played:
        """The answer to the next call.

        Raises:
            ConfigurationError: The script is at its end, or closed.
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
            return Played(self._lines.popleft(), request.model or self.model)

    def count(self, played: Played) -> None:
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


class Played:
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

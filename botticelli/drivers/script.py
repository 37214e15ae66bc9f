"""What a mock driver may be told to answer, and how it is played. No network, no clock."""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from botticelli.core.catalog import UsageTotals
from botticelli.core.errors import BotticelliError, ConfigurationError, ModelsError
from botticelli.core.message import Text, ToolCall
from botticelli.core.response import (
    Choice,
    FinishReason,
    GenerateResponse,
    Reasoning,
    Refusal,
    StreamChunk,
    ToolCalls,
)

from .pieces import chunks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import Output

__all__ = ["Answer", "Piece", "Played", "Script"]

Piece: TypeAlias = str | StreamChunk | BotticelliError
Answer: TypeAlias = str | GenerateResponse | BotticelliError | Sequence[Piece]
"""One line of a script: a text, a whole answer, an error to raise, or the pieces of a stream (texts,
chunks, and an error where it breaks off). Each of them can answer a whole call and a stream alike.
"""


class Script:
    """The lines, the calls they answered, and the totals. Safe between threads.

    Attributes:
        calls: The requests so far, each as it was when the call was made.
        usage: The totals of the answers so far.
        model: The model's name.
    """

    def __init__(self, lines: Iterable[Answer], model: str) -> None:
        self.calls: list[GenerateRequest] = []
        self.usage = UsageTotals()
        self.model = model
        self._lines = deque([lines] if isinstance(lines, str) else lines)
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Refuse further calls."""
        self._closed = True

    def play(self, request: GenerateRequest) -> Played:
        """The answer to the next call.

        Raises:
            ConfigurationError: The script is at its end, or closed.
        """
        with self._lock:
            if self._closed:
                raise ConfigurationError("the driver is closed", setting="driver", hint="make a new one")
            if not self._lines:
                count = len(self.calls)
                raise ConfigurationError(
                    f"the script is at its end: it had {count} answers, and this is call {count + 1}",
                    setting="script",
                    hint="add an answer",
                )
            self.calls.append(copy.deepcopy(request))
            return Played(self._lines.popleft(), self.model)

    def follow(self, played: Played) -> Iterator[StreamChunk]:
        """The chunks of an answer; once they have all come, it is counted.

        Raises:
            BotticelliError: The script holds it.
        """
        try:
            yield from played.chunks()
        except ModelsError as error:
            error.during(provider="mock", model=self.model, attempts=1)
            raise
        with self._lock:
            self.usage = self.usage.add(attempts=1, usage=played.response.usage)


class Played:
    """One line of a script as chunks, and as the answer that they add up to.

    Attributes:
        response: The answer as far as `chunks` has been iterated.
    """

    def __init__(self, answer: Answer, model: str) -> None:
        self._answer = answer
        self._model = model
        self._parts: dict[int, _Parts] = {}
        self.response = GenerateResponse(model=model)

    def chunks(self) -> Iterator[StreamChunk]:
        """The chunks; exactly the last one is final.

        Raises:
            BotticelliError: The script holds it; `partial` is what came before.
        """
        answer = self._answer
        if isinstance(answer, GenerateResponse):
            self.response = answer
            yield from chunks_of(answer)
            return
        final = StreamChunk(is_final=True, finish_reason=FinishReason.STOP)
        for piece in [answer] if isinstance(answer, (str, BotticelliError)) else answer:
            if isinstance(piece, BotticelliError):
                if self._parts and piece.partial is None:
                    piece.partial = self.response
                raise piece
            chunk = StreamChunk(piece) if isinstance(piece, str) else piece
            self._parts.setdefault(chunk.choice, _Parts()).take(chunk)
            self.response = self._built()
            if chunk.is_final:
                final = chunk
                break
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
        return GenerateResponse(choices=choices, model=self._model, usage=final.usage if final else None)


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

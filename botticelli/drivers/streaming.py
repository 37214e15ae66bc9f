"""A streamed answer between the rim and the dialect: received bytes in, chunks out. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botticelli.core.errors import ModelsError
from botticelli.protocol.content_encoding import decoder

if TYPE_CHECKING:
    from botticelli.core.errors import BotticelliError
    from botticelli.core.response import GenerateResponse, StreamChunk
    from botticelli.drivers.task import Task

__all__ = ["StreamAnswer"]


class StreamAnswer:
    """A streamed answer as it comes: bytes in, chunks out."""

    __slots__ = ("_assembler", "_decoder", "_settled", "_task")

    def __init__(self, task: Task) -> None:
        """Begin with the answer whose head the task has received.

        Raises:
            MalformedResponseError: It is in a coding that can't be undone.
        """
        self._task = task
        self._decoder = decoder(task.headers_told)
        self._assembler = task.assembler()
        self._settled = False

    @property
    def ended(self) -> bool:
        """Whether nothing that follows is read."""
        return self._assembler.ended

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come."""
        response = self._assembler.response
        return response if self._settled else self._task.stamp(response)

    def feed(self, piece: bytes) -> list[StreamChunk]:
        """The next bytes as received, and the chunks they complete.

        Raises:
            MalformedResponseError: They can't be decompressed.
        """
        assembler, call = self._assembler, self._task.call
        events = assembler.events
        chunks = assembler.feed(self._decoder.feed(piece))
        if assembler.events != events:
            call.moved()
        if chunks:
            call.delivered = True
        return chunks

    def finish(self) -> list[StreamChunk]:
        """The last chunks; the final one is the last of them.

        Raises:
            ModelsError: The stream broke.
        """
        if not self._assembler.ended:
            self._decoder.finish()
        chunks = self._assembler.finish()
        self._settled = True
        self._task.settle(self._assembler.response)
        return chunks

    def failed(self, error: BotticelliError) -> None:
        """The stream is broken off: complete the error with what had come."""
        if isinstance(error, ModelsError):
            if error.partial is None:
                error.partial = self._assembler.partial()
            self._task.give_up(error)

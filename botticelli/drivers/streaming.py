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

    __slots__ = ("_decoder", "_reader", "_settled", "_task")

    def __init__(self, task: Task) -> None:
        """Begin with the answer whose head the task has received.

        Raises:
            MalformedResponseError: It is in a coding that can't be undone.
        """
        self._task = task
        self._decoder = decoder(task.headers_told)
        self._reader = task.reader()
        self._settled = False

    @property
    def ended(self) -> bool:
        """Whether nothing that follows is read."""
        return self._reader.ended

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come."""
        response = self._reader.response
        return response if self._settled else self._task.stamp(response)

    def feed(self, piece: bytes) -> list[StreamChunk]:
        """The next bytes as received, and the chunks they complete.

        Raises:
            MalformedResponseError: They can't be decompressed.
        """
        reader, call = self._reader, self._task.call
        events = reader.events
        chunks = reader.feed(self._decoder.feed(piece))
        if reader.events != events:
            call.moved()
        if chunks:
            call.delivered = True
        return chunks

    def finish(self) -> list[StreamChunk]:
        """The last chunks; the final one is the last of them.

        Raises:
            ModelsError: The stream broke.
        """
        if not self._reader.ended:
            self._decoder.finish()
        last = self._reader.finish()
        self._settled = True
        self._task.settle(self._reader.response)
        return last

    def failed(self, error: BotticelliError) -> None:
        """The stream is broken off: complete the error with what had come."""
        if isinstance(error, ModelsError):
            if error.partial is None:
                error.partial = self._reader.partial()
            self._task.give_up(error)

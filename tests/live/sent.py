"""Keep what the server sent, byte for byte and beside the driver, and read it without the driver.

The reading is that of the judge's probes, which share no code with the driver. Who sent what is so never a
question: what the driver delivers is compared with this, and what the server sends is judged by the probes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from botticelli.kit.probes.answer import Answer
from botticelli.kit.probes.exchange import Exchange, Piece

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["Sent"]


@dataclass
class _Record:
    """One request, and the answer as it came.

    Attributes:
        request: What was sent.
        response: The head of the answer; None until there is one.
        pieces: Its body, as on the wire.
        end: A word of the judge's: ``reset`` where the connection broke, also before the head.
    """

    request: httpx.Request
    response: httpx.Response | None = None
    pieces: list[bytes] = field(default_factory=list[bytes])
    end: str = "reset"


class Sent:
    """What came over the clients that it makes."""

    def __init__(self) -> None:
        self._records: list[_Record] = []

    def client(self) -> httpx.Client:
        """Return a client, as the driver would make it, whose answers are kept."""
        return httpx.Client(event_hooks={"request": [self._begin], "response": [self._watch]})

    def async_client(self) -> httpx.AsyncClient:
        """Return the same for asyncio."""

        async def begin(request: httpx.Request) -> None:
            self._begin(request)

        async def watch(response: httpx.Response) -> None:
            self._watch(response)

        return httpx.AsyncClient(event_hooks={"request": [begin], "response": [watch]})

    def _begin(self, request: httpx.Request) -> None:
        self._records.append(_Record(request))

    def _watch(self, response: httpx.Response) -> None:
        record = next(one for one in reversed(self._records) if one.request is response.request)
        record.response, record.end = response, "complete"
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _AsyncTee(response.stream, record)
        else:
            response.stream = _Tee(response.stream, record)

    @property
    def last(self) -> Answer:
        """The answer to the last request, and what was asked, as the probes read them."""
        record = self._records[-1]
        request = record.request
        target, asked = request.url.raw_path.decode("ascii"), request.read()
        if record.response is None:
            return Answer(Exchange("live", request.method, target, b"", asked, (), record.end))
        status, headers = record.response.status_code, record.response.headers
        # Another response, to undo what compression there may be.
        body = httpx.Response(status, headers=headers, content=b"".join(record.pieces)).content
        about = f"Content-Type: {headers.get('content-type', '')}\r\nContent-Length: {len(body)}"
        came = f"HTTP/1.1 {status} -\r\n{about}\r\n\r\n".encode() + body
        return Answer(Exchange("live", request.method, target, b"", asked, (Piece(0, came),), record.end))


class _Tee(httpx.SyncByteStream):
    def __init__(self, stream: Any, record: _Record) -> None:
        self._stream, self._record = stream, record

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._stream:
                self._record.pieces.append(piece)
                yield piece
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            self._record.end = "reset"
            raise

    def close(self) -> None:
        self._stream.close()


class _AsyncTee(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, record: _Record) -> None:
        self._stream, self._record = stream, record

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                self._record.pieces.append(piece)
                yield piece
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            self._record.end = "reset"
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()

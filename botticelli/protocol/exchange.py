"""Run one call as a generator of steps, without I/O.

A driver's HTTP client performs each step (`Send`, `Read`, `Linger`, `Close`, `Wait`, `Deliver`) and sends the
result back into the generator, or throws the error that occurred. The sync and the async client run the same
generator, so all decisions about a call are made here: attempts and retries, how much of an error's body to
read, the limit of each wait, when a stream has ended, and whether its connection may be reused. The clock and
the random numbers are arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from botticelli.core.errors import (
    BotticelliError,
    ClosedError,
    ConnectionLostError,
    MalformedResponseError,
    ModelsError,
    ResponseError,
    StreamTruncatedError,
)
from botticelli.protocol.content_encoding import Body, decoder
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.http import ResponseHead
from botticelli.protocol.limits import DEFAULT_LIMITS, too_much

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from botticelli.core.errors import ApiError
    from botticelli.core.response import GenerateResponse, StreamChunk
    from botticelli.protocol.deadlines import Deadlines

__all__ = [
    "LINGER",
    "LINGER_BYTES",
    "Close",
    "Deliver",
    "Exchange",
    "Handler",
    "Linger",
    "Read",
    "Reader",
    "Received",
    "Send",
    "Step",
    "Steps",
    "Wait",
]

_T = TypeVar("_T")

LINGER: Final = 0.05
"""Seconds to wait for the end of the HTTP body after the end of the stream, so that the connection can be
reused. The end usually arrives in the same packet (connection-reused), but a server that never sends it must
not delay a complete response (sse-done-then-silence, connection-done-then-late-end)."""

LINGER_BYTES: Final = 1 << 16
"""The most bytes to read after the end of the stream; if more follow, the connection is closed."""


class Send:
    """Begin an attempt: send the request, and reply with the response's head (`Received`).

    Attributes:
        limits: Seconds for httpx's phases ``pool``, ``connect``, ``write`` and ``read``; None for no limit.
    """

    __slots__ = ("limits",)

    def __init__(self, limits: dict[str, float | None]) -> None:
        self.limits = limits


class Read:
    """Read from the body, and reply with the bytes as received; None at the end.

    One object is reused for all reads of a call, with new attributes.

    Attributes:
        limit: Seconds that the read may take, or infinite. After that, throw the deadlines' ``idle`` error.
        idle: Seconds that the read may take by the idle limit alone. If `limit` is the same, the HTTP
            client's own timeout suffices.
    """

    __slots__ = ("idle", "limit")

    def __init__(self, idle: float) -> None:
        self.idle = self.limit = idle


class Linger:
    """Read the body to its end, if it ends within `LINGER` seconds and `LINGER_BYTES`; never fail."""

    __slots__ = ()


class Close:
    """Close the response, and its connection too unless the body was read to its end; never fail."""

    __slots__ = ()


class Wait:
    """Wait before the next attempt, and reply whether the caller gave up in the meantime.

    Attributes:
        seconds: How long, at least.
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Deliver:
    """Give these chunks to the caller, and continue when it asks for more.

    Attributes:
        chunks: The chunks; empty the first time, when a successful response has begun.
    """

    __slots__ = ("chunks",)

    def __init__(self, chunks: list[StreamChunk]) -> None:
        self.chunks = chunks


class Received:
    """The head of a response.

    Attributes:
        status: Its status.
        headers: Its headers as received.
        at: When it arrived, in Unix seconds.
        decoded: Whether the HTTP client has already decoded the body's content coding.
        note: A text to add to the hint, if this response is an error; or None.
    """

    __slots__ = ("at", "decoded", "headers", "note", "status")

    def __init__(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        at: float,
        *,
        decoded: bool = False,
        note: str | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.at = at
        self.decoded = decoded
        self.note = note

    def head(self) -> ResponseHead:
        """Return the head with its headers in lower case, repeated ones joined."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if self.decoded:
            headers.pop("content-encoding", None)
        return ResponseHead(status=self.status, headers=headers, received_at=self.at)


Step: TypeAlias = Send | Read | Linger | Close | Wait | Deliver
Steps: TypeAlias = "Generator[Step, Any, _T]"

_LINGER: Final = Linger()
_CLOSE: Final = Close()


class Reader(Protocol):
    """Reads a streamed response: the part of a dialect's stream reader that is needed here."""

    @property
    def events(self) -> int:
        """The number of events so far."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the stream's end mark has arrived."""
        ...

    def feed(self, piece: bytes) -> list[StreamChunk]:
        """Take the next bytes, decompressed, and return the chunks that they complete."""
        ...

    def finish(self) -> list[StreamChunk]:
        """End the stream and return the last chunks, or raise an error if it is incomplete."""
        ...

    def partial(self) -> GenerateResponse | None:
        """Return the part of the response that has been delivered, for an error."""
        ...


class Handler(Protocol):
    """The driver's part in a call: it decodes with a dialect, and keeps the driver's records.

    No method does I/O. Each may raise a `ModelsError`, except `failed` and `retried`.
    """

    @property
    def abandoned(self) -> bool:
        """Whether the caller, or another thread, has given up the call: nothing more is sent or read."""
        ...

    def sending(self) -> None:
        """Note that an attempt begins."""
        ...

    def received(self, head: ResponseHead) -> None:
        """Note the head of a new response."""
        ...

    def error(self, head: ResponseHead, body: bytes) -> ApiError:
        """Return the error for a response whose status isn't a 2xx."""
        ...

    def reader(self, head: ResponseHead) -> Reader:
        """Return the reader for a streamed response."""
        ...

    def finished(self) -> None:
        """Note that the stream's reader has finished without an error."""
        ...

    def failed(self, error: ModelsError) -> None:
        """Complete an error that ends the call."""
        ...

    def retried(self, error: ModelsError, seconds: float) -> None:
        """Note that an attempt failed and that the next one begins after this many seconds."""
        ...


class Exchange:
    """One call. Run `whole` or `stream`, once."""

    __slots__ = ("_chance", "_clock", "_deadlines", "_handler", "_most", "_read")

    def __init__(
        self,
        deadlines: Deadlines,
        handler: Handler,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
        max_body_bytes: int = DEFAULT_LIMITS.max_body_bytes,
    ) -> None:
        """Prepare a call.

        Args:
            deadlines: Its limits; not started yet.
            handler: The driver's part.
            clock: Returns the time in seconds, from any starting point.
            chance: Returns a random number from 0 to (not including) 1, for the jitter of retries.
            max_body_bytes: See `Limits`.
        """
        self._deadlines = deadlines
        self._handler = handler
        self._clock = clock
        self._chance = chance
        self._most = max_body_bytes
        self._read = Read(deadlines.idle)

    def whole(self, decode: Callable[[ResponseHead, bytes, bool], _T]) -> Steps[_T]:
        """Yield the steps of a call that isn't streamed, and return the decoded response.

        If the connection is lost inside the body, the bytes received are decoded all the same: a JSON object
        that is cut off can't be taken for a whole one. If they can't be decoded, the error carries them.

        Args:
            decode: Decodes a head and a body; the third argument is whether the connection was lost before
                the end of the body.

        Raises:
            BotticelliError: The error of the last attempt.
        """

        def attempt() -> Steps[_T]:
            head = yield from self._open()
            body, lost = Body(head.headers, self._most), None
            try:
                data = yield from self._collect(body)
            except ConnectionLostError as error:
                data, lost = body.cut(), error
            # close before decoding, so that another call can use the connection meanwhile
            yield _CLOSE
            self._deadlines.check_total(self._clock())
            if lost is None:
                return decode(head, data, False)  # noqa: FBT003
            try:
                return decode(head, data, True)  # noqa: FBT003
            except (ResponseError, StreamTruncatedError) as error:
                lost.partial, lost.body = error.partial, data[:MAX_BODY]
            raise lost

        return (yield from self._attempts(attempt))

    def stream(self) -> Steps[None]:
        """Yield the steps of a streamed call.

        The first `Deliver` has no chunks: it means that a successful response has begun. Each further one
        has at least one chunk.

        Raises:
            BotticelliError: The error of the last attempt. Once a response has begun, the error's `partial`
                holds what was delivered.
        """
        handler, deadlines, clock, read = self._handler, self._deadlines, self._clock, self._read

        def attempt() -> Steps[tuple[Reader, Any]]:
            head = yield from self._open()
            decode = decoder(head.headers)
            return handler.reader(head), decode

        reader, decode = yield from self._attempts(attempt)
        yield Deliver([])
        deliver = Deliver([])
        size, most = 0, self._most
        try:
            while not reader.ended:
                read.limit = deadlines.read_limit(clock())
                piece = yield read
                if handler.abandoned:
                    raise ClosedError("the stream is closed", hint="ask again")
                if piece is None:
                    decode.finish()
                    break
                events = reader.events
                plain = decode.feed(piece)
                size += max(len(plain), len(piece))
                if size > most:
                    raise MalformedResponseError(
                        too_much("max_body_bytes", most, "bytes"), path=f"byte {most}"
                    )
                chunks = reader.feed(plain)
                if reader.events != events:
                    deadlines.on_progress()
                if chunks:
                    deadlines.delivered = True
                    deliver.chunks = chunks
                    yield deliver
            else:
                yield _LINGER
            deliver.chunks = reader.finish()
            handler.finished()
        except ModelsError as error:
            if error.partial is None:
                error.partial = reader.partial()
            handler.failed(error)
            raise
        yield _CLOSE
        yield deliver

    def _attempts(self, attempt: Callable[[], Steps[_T]]) -> Steps[_T]:
        """Repeat a call until it succeeds or its error is final."""
        self._deadlines.start(self._clock())
        while True:
            try:
                return (yield from attempt())
            except BotticelliError as error:
                problem = error
            yield _CLOSE
            seconds = self._retry_delay(problem)
            if seconds is None or (yield Wait(seconds)):
                break
        try:
            raise problem
        finally:
            del problem  # its traceback refers to this frame: a reference cycle

    def _retry_delay(self, error: BotticelliError) -> float | None:
        """Return the seconds until the next attempt; None if the error is final."""
        if self._handler.abandoned or not isinstance(error, ModelsError):
            return None
        seconds = self._deadlines.retry_delay(error, self._clock(), self._chance())
        if seconds is None:
            self._handler.failed(error)
        else:
            self._handler.retried(error, seconds)
        return seconds

    def _open(self) -> Steps[ResponseHead]:
        """Send the request and return the head of a successful response.

        Raises:
            ApiError: The status isn't a 2xx.
        """
        limits = self._deadlines.begin(self._clock())
        self._handler.sending()
        received: Received = yield Send(limits)
        self._deadlines.on_head()
        head = received.head()
        self._handler.received(head)
        if head.is_success:
            return head
        body = yield from self._error_body(head)
        error = self._handler.error(head, body)
        if received.note:
            error.hint = "; ".join(filter(None, (error.hint, received.note)))
        raise error

    def _collect(self, body: Body) -> Steps[bytes]:
        """Read a body to its end, or to its limit."""
        deadlines, clock, read = self._deadlines, self._clock, self._read
        while not body.full:
            read.limit = deadlines.read_limit(clock())
            piece: bytes | None = yield read
            if piece is None:
                break
            body.feed(piece)
            deadlines.on_progress()
        return body.whole()

    def _error_body(self, head: ResponseHead) -> Steps[bytes]:
        """Return as much of an error's body as can be read; never fail.

        The status matters most, so a body that is truncated, times out or can't be decompressed doesn't
        replace it with another error (error-body-cut, timeout-idle-error-body).
        """
        try:
            body = Body(head.headers, MAX_BODY)
        except BotticelliError:
            return b""
        try:
            return (yield from self._collect(body))
        except BotticelliError:
            return body.kept(MAX_BODY)

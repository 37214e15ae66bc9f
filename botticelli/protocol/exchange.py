"""One call as a generator of steps: what to do next, and what to make of what came of it.

A driver's HTTP client does each step (`Send`, `Read`, `Linger`, `Close`, `Wait`, `Deliver`) and sends its
result back in, or throws the error that it came to. The sync and the async client run the same generator, so
all that is decided in a call is decided here: attempts and retries, what an error's body is worth, the limits
of each wait, when a stream is over and its connection may be used again. Nothing here does I/O; the clock and
chance are arguments.
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
"""Seconds that the end of an answer may take after the stream's own end, so that its connection can be used
again. The end of HTTP's framing usually comes in the same packet (connection-reused), but a server that
never sends it must not hold up a whole answer (sse-done-then-silence, connection-done-then-late-end)."""

LINGER_BYTES: Final = 1 << 16
"""Bytes that may follow the stream's own end before its connection is given up."""


class Send:
    """Begin an attempt: send the request, and reply with what was `Received`.

    Attributes:
        limits: Seconds for httpx's phases ``pool``, ``connect``, ``write`` and ``read``; None for no limit.
    """

    __slots__ = ("limits",)

    def __init__(self, limits: dict[str, float | None]) -> None:
        self.limits = limits


class Read:
    """Read on in the body, and reply with the bytes as received; None at the end.

    One object serves all reads of a call, which change its attributes.

    Attributes:
        limit: Seconds that the read may take, maybe infinite. Past it, throw the deadlines' ``idle`` error.
        idle: Seconds that the read may take by the idle limit alone. If `limit` is the same, the HTTP
            client's own timeout suffices.
    """

    __slots__ = ("idle", "limit")

    def __init__(self, idle: float) -> None:
        self.idle = self.limit = idle


class Linger:
    """Read the body to its end, if that comes within `LINGER` seconds and `LINGER_BYTES`; never fail."""

    __slots__ = ()


class Close:
    """Close the response, and its connection too unless the body was read to its end; never fail."""

    __slots__ = ()


class Wait:
    """Wait before the next attempt, and reply whether the caller gave up meanwhile.

    Attributes:
        seconds: How long, at least.
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Deliver:
    """Give these chunks to the caller, and go on when it asks for more.

    Attributes:
        chunks: The chunks; none when a good answer has begun.
    """

    __slots__ = ("chunks",)

    def __init__(self, chunks: list[StreamChunk]) -> None:
        self.chunks = chunks


class Received:
    """The head of a response.

    Attributes:
        status: Its status.
        headers: Its headers as received.
        at: When it came, in Unix seconds.
        decoded: Whether the HTTP client has undone the content coding already.
        note: What to add to the hint of an error that this response is, or None.
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
        found: dict[str, str] = {}
        for raw_name, raw_value in self.headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            found[name] = f"{found[name]}, {value}" if name in found else value
        if self.decoded:
            found.pop("content-encoding", None)
        return ResponseHead(status=self.status, headers=found, received_at=self.at)


Step: TypeAlias = Send | Read | Linger | Close | Wait | Deliver
Steps: TypeAlias = "Generator[Step, Any, _T]"

_LINGER: Final = Linger()
_CLOSE: Final = Close()


class Reader(Protocol):
    """Reads a streamed answer: the part of a dialect's stream reader that is needed here."""

    @property
    def events(self) -> int:
        """How many events have come."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the stream has said that it is over."""
        ...

    def feed(self, piece: bytes) -> list[StreamChunk]:
        """Take the next bytes, decompressed, and return the chunks that they complete."""
        ...

    def finish(self) -> list[StreamChunk]:
        """End the stream and return the last chunks, or raise what is wrong with it."""
        ...

    def partial(self) -> GenerateResponse | None:
        """Return what has been delivered, for an error to carry."""
        ...


class Handler(Protocol):
    """The driver's part in a call: reading by a dialect, and what the driver records.

    No method does I/O. Each may raise a `ModelsError`, but for `failed` and `retried`.
    """

    @property
    def abandoned(self) -> bool:
        """Whether the caller has given the call up, maybe in another thread: nothing more is sent or read."""
        ...

    def sending(self) -> None:
        """Note that an attempt begins."""
        ...

    def received(self, head: ResponseHead) -> None:
        """Note the head of a new response."""
        ...

    def error(self, head: ResponseHead, body: bytes) -> ApiError:
        """Return the error that a response is whose status isn't a 2xx."""
        ...

    def reader(self, head: ResponseHead) -> Reader:
        """Return what reads a streamed answer."""
        ...

    def finished(self) -> None:
        """Note that the stream's reader has finished without an error."""
        ...

    def failed(self, error: ModelsError) -> None:
        """Complete an error that ends the call."""
        ...

    def retried(self, error: ModelsError, seconds: float) -> None:
        """Note that an attempt failed and that the next one begins in so many seconds."""
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
            deadlines: Its limits, not yet started.
            handler: The driver's part.
            clock: Returns the time in seconds, from any beginning.
            chance: Returns a number from 0 to (not including) 1, for the jitter of retries.
            max_body_bytes: See `Limits`.
        """
        self._deadlines = deadlines
        self._handler = handler
        self._clock = clock
        self._chance = chance
        self._most = max_body_bytes
        self._read = Read(deadlines.idle)

    def whole(self, decode: Callable[[ResponseHead, bytes, bool], _T]) -> Steps[_T]:
        """Yield the steps of a call for a whole answer, and return the answer.

        If the connection is lost in the body, what came of it is an answer all the same if it can be decoded:
        of a JSON object nobody can cut off the end unnoticed. If not, the error carries it.

        Args:
            decode: Makes the answer of its head and body; the third argument is whether the end of the body's
                framing never came.

        Raises:
            BotticelliError: What the last attempt came to.
        """

        def attempt() -> Steps[_T]:
            head = yield from self._open()
            body, lost = Body(head.headers, self._most), None
            try:
                data = yield from self._collect(body)
            except ConnectionLostError as error:
                data, lost = body.cut(), error
            # before it is decoded, so that another call can use the connection meanwhile
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
        """Yield the steps of a call for a streamed answer.

        The first `Deliver` has no chunks: a good answer has begun. Each further one has at least one.

        Raises:
            BotticelliError: What the last attempt came to; once an answer has begun, with what was delivered.
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
        """Attempt a call until it succeeds or its error stands."""
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
            del problem  # it refers to this frame

    def _retry_delay(self, error: BotticelliError) -> float | None:
        """Return the seconds until the next attempt; None when the error stands."""
        if self._handler.abandoned or not isinstance(error, ModelsError):
            return None
        seconds = self._deadlines.retry_delay(error, self._clock(), self._chance())
        if seconds is None:
            self._handler.failed(error)
        else:
            self._handler.retried(error, seconds)
        return seconds

    def _open(self) -> Steps[ResponseHead]:
        """Send the request and return the head of a good answer.

        Raises:
            ApiError: Its status isn't a 2xx.
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
        """Read a body to its end, or its limit."""
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
        """Return as much of an error's body as can be read.

        The status is the news: a body that breaks off, comes late or can't be decompressed doesn't take it
        away (error-body-cut, timeout-idle-error-body).
        """
        try:
            body = Body(head.headers, MAX_BODY)
        except BotticelliError:
            return b""
        try:
            return (yield from self._collect(body))
        except BotticelliError:
            return body.kept(MAX_BODY)

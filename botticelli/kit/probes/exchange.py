"""One request and the bytes that came back, with their times; and what HTTP makes of these bytes.

Nothing here opens a connection, so that a saved run is read exactly as a live one.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import as_object, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from botticelli.contracts.jsonvalue import Document

__all__ = [
    "ENDS",
    "LONG",
    "Event",
    "Exchange",
    "Piece",
    "Response",
    "ResponseReader",
    "read_events",
    "strike",
]

ENDS = ("complete", "closed", "held", "reset", "timeout", "left", "unreachable")
"""How an exchange ends. complete: we had the whole answer. closed: the server closed the connection. held: it
kept it open though it was to close. left: we closed in the middle, on purpose."""

LONG = 8
"""Characters from which on a secret is no word that a server could also say by chance."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\r\n]*))?")
_NO_BODY = (204, 304)
_HEAD_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that were received in one go.

    Attributes:
        at: Seconds since the request began.
        data: The bytes.
    """

    at: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """The data of one server-sent event, and when its last byte came."""

    at: float
    data: bytes


@dataclass
class Response:
    """What HTTP makes of the bytes of one answer.

    Attributes:
        status: The status code; 0 if no status line came.
        version: ``1.0`` or ``1.1``.
        headers: Names in lower case, in order.
        body: The pieces of the body, without the framing.
        framing: ``length``, ``chunked``, ``close`` or ``none``.
        complete: The framing says that it is whole.
        informed: The interim statuses that came first, such as 100.
        faults: What breaks HTTP, in words.
        extra: Bytes after the answer.
    """

    status: int = 0
    version: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: list[Piece] = field(default_factory=list[Piece])
    framing: str = ""
    complete: bool = False
    informed: list[int] = field(default_factory=list[int])
    faults: list[str] = field(default_factory=list[str])
    extra: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the value of a header, the first one if it came several times."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def data(self) -> bytes:
        """The whole body."""
        return b"".join(piece.data for piece in self.body)

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def closes(self) -> bool:
        """True when this answer is the last one of its connection."""
        said = (self.header("connection") or "").lower()
        kept = self.version == "1.1" or "keep-alive" in said
        return self.framing == "close" or "close" in said or not kept


class ResponseReader:
    """Reads one answer of HTTP/1 as its bytes arrive.

    Args:
        method: Of the request: the answer to a HEAD has no body.
    """

    def __init__(self, method: str) -> None:
        self.response = Response()
        self._method = method
        self._buffer = b""
        self._left = 0
        self._state = "head"

    def feed(self, at: float, data: bytes) -> bool:
        """Take bytes; return whether the answer is complete."""
        if self.response.complete:
            self.response.extra += data
            return True
        self._buffer += data
        while self._step(at):
            pass
        if self.response.complete and self._buffer:
            self.response.extra, self._buffer = self._buffer, b""
        return self.response.complete

    def close(self) -> None:
        """Note that the server has closed the connection."""
        if self._state == "close":
            self.response.complete = True

    def _step(self, at: float) -> bool:
        """Read what can be read in this state; return whether to go on."""
        if self.response.complete or not self._buffer:
            return False
        if self._state == "head":
            return self._read_head()
        if self._state in ("length", "data"):
            taken, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
            self._left -= len(taken)
            self.response.body.append(Piece(at, taken))
            if not self._left:
                self._state = "chunk-end" if self._state == "data" else "done"
                self.response.complete = self._state == "done"
            return True
        if self._state in ("close", "broken"):
            self.response.body.append(Piece(at, self._buffer))
            self._buffer = b""
            return False
        return self._read_line()

    def _read_line(self) -> bool:
        """Read a line of chunked framing."""
        line, found, rest = self._buffer.partition(b"\n")
        if not found:
            return False
        self._buffer = rest
        text = line.rstrip(b"\r")
        if self._state == "chunk-end":
            if text:
                self._break("there are bytes where a chunk should end")
            else:
                self._state = "size"
        elif self._state == "trailer":
            self.response.complete = not text
        else:
            size = text.partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
                self._break(f"{size[:20]!r} is no length of a chunk")
                return True
            self._left = int(size, 16)
            self._state = "data" if self._left else "trailer"
        return True

    def _break(self, fault: str) -> None:
        self.response.faults.append(fault)
        self._state = "broken"

    def _read_head(self) -> bool:
        found = re.search(rb"\r?\n\r?\n", self._buffer)
        if not found:
            if len(self._buffer) > _HEAD_LIMIT:
                self._break("its head doesn't end")
            return False
        head, self._buffer = self._buffer[: found.start()], self._buffer[found.end() :]
        first, *lines = re.split(rb"\r?\n", head)
        line = _STATUS_LINE.fullmatch(first)
        if not line:
            self._break(f"it doesn't begin with a status line of HTTP/1 but with {first[:60]!r}")
            return True
        status = int(line[2])
        if 100 <= status < 200:
            self.response.informed.append(status)
            return True
        self.response.status, self.response.version = status, f"1.{line[1].decode()}"
        for raw in lines:
            name, colon, value = raw.partition(b":")
            if not colon or not name or name != name.strip():
                self.response.faults.append(f"{raw[:60]!r} is no header")
                continue
            self.response.headers.append((name.decode("latin-1").lower(), value.strip().decode("latin-1")))
        self._choose_framing()
        return True

    def _choose_framing(self) -> None:
        """Decide how the body ends (RFC 9112, section 6.3)."""
        answer = self.response
        lengths = {value for name, value in answer.headers if name == "content-length"}
        coding = (answer.header("transfer-encoding") or "").lower()
        if self._method == "HEAD" or answer.status in _NO_BODY:
            answer.framing, self._state, answer.complete = "none", "done", True
        elif "chunked" in coding:
            answer.framing, self._state = "chunked", "size"
            if lengths:
                answer.faults.append("it has both a Content-Length and chunks")
            if answer.version == "1.0":
                answer.faults.append("it sends chunks in HTTP/1.0, which has none")
        elif lengths:
            answer.framing, self._state = "length", "length"
            given = lengths.pop()
            if lengths or not re.fullmatch("[0-9]{1,15}", given):
                answer.faults.append(f"its Content-Length is {given[:30]!r}")
                self._state = answer.framing = "close"
                return
            self._left = int(given)
            answer.complete = not self._left
        else:
            answer.framing = self._state = "close"


def read_events(body: Sequence[Piece]) -> Iterator[Event]:
    """Yield the events of a stream; what stands after the last blank line is no event.

    Lines end with LF, CR or CRLF, and nothing else: U+2028 is a character like any other.
    """
    text, data = b"", list[bytes]()
    after_cr = False
    for piece in body:
        arrived = piece.data
        if after_cr and arrived.startswith(b"\n"):
            arrived = arrived[1:]
        after_cr = arrived.endswith(b"\r")
        text += arrived
        *lines, text = re.split(rb"\r\n|\n|\r", text)
        for line in lines:
            if not line and data:
                yield Event(piece.at, b"\n".join(data))
                data = []
            name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))


def strike(data: bytes, secrets: Iterable[bytes]) -> bytes:
    """Return bytes with stars where a secret stood; a short one counts where it is a word of its own."""
    for secret in sorted(secrets, key=len, reverse=True):
        word = re.escape(secret)
        pattern = word if len(secret) >= LONG else rb"(?<!\w)" + word + rb"(?!\w)"
        data = re.sub(pattern, b"*" * len(secret), data)
    return data


@dataclass(frozen=True)
class Exchange:
    """One request, as it was sent, and what came.

    Attributes:
        ask: The name of the question in its probe.
        method: The method.
        target: The path, as sent.
        head: The bytes of the request up to its body, the key struck out.
        body: The body, before any framing.
        pieces: What was received, the key struck out, unless it is short.
        end: How it ended; one of :data:`ENDS`.
        seconds: How long it took.
        detail: Why, where the end needs words.
        leaked: The key stood in what was received.
        connection: Exchanges with one number shared a connection.
        hidden: What must not be shown or saved, and may still stand in the pieces: to judge them without it
            would be to judge something else, where it is a word that servers use.
    """

    ask: str
    method: str
    target: str
    head: bytes
    body: bytes
    pieces: tuple[Piece, ...] = ()
    end: str = "complete"
    seconds: float = 0.0
    detail: str = ""
    leaked: bool = False
    connection: int = 0
    hidden: tuple[bytes, ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def response(self) -> Response:
        """What came, read as HTTP."""
        reader = ResponseReader(self.method)
        for piece in self.pieces:
            reader.feed(piece.at, piece.data)
        if self.end == "closed":
            reader.close()
        return reader.response

    @cached_property
    def asked(self) -> Document:
        """The request as JSON; an empty object if it isn't an object."""
        try:
            return as_object(json.loads(self.body))
        except (ValueError, RecursionError):
            return {}

    @property
    def shown(self) -> Exchange:
        """The same without what must not be shown."""
        return self.struck(self.hidden) if self.hidden else self

    def struck(self, secrets: Iterable[bytes]) -> Exchange:
        """Return it with stars where secrets came in, also where one was split between two pieces."""
        came = b"".join(piece.data for piece in self.pieces)
        whole = strike(came, secrets)
        if whole == came:
            return self
        pieces: list[Piece] = []
        at = 0
        for piece in self.pieces:
            pieces.append(Piece(piece.at, whole[at : at + len(piece.data)]))
            at += len(piece.data)
        return replace(self, pieces=tuple(pieces))

    def hide(self, text: str) -> str:
        """Return words about it without what must not be shown."""
        return strike(text.encode("utf-8", "replace"), self.hidden).decode() if self.hidden else text

    def as_json(self) -> Document:
        """Return it as JSON, to be saved."""
        pieces = self.shown.pieces
        return {
            "ask": self.ask,
            "method": self.method,
            "target": self.target,
            "head": _text(self.head),
            "body": _text(self.body),
            "pieces": [[round(piece.at, 6), _text(piece.data)] for piece in pieces],
            "end": self.end,
            "seconds": round(self.seconds, 6),
            "detail": self.detail,
            "leaked": self.leaked,
            "connection": self.connection,
        }

    @classmethod
    def from_json(cls, saved: Document) -> Exchange:
        """Return what :meth:`as_json` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        pieces = tuple(Piece(float(at), _bytes(data)) for at, data in saved["pieces"])
        rest: dict[str, Any] = {
            name: saved[name]
            for name in ("ask", "method", "target", "end", "seconds", "detail", "leaked", "connection")
        }
        if rest["end"] not in ENDS:
            raise ValueError(f"{rest['end']!r} is no end of an exchange")
        return cls(head=_bytes(saved["head"]), body=_bytes(saved["body"]), pieces=pieces, **rest)


def _text(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _bytes(saved: Any) -> bytes:
    return base64.b64decode(saved["base64"]) if is_object(saved) else str(saved).encode()

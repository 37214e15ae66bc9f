"""The notation of exchanges: from a case's pieces to the bytes and silences that a server plays.

Pure: no socket, no clock. What a piece means is written in contracts/kit/case.schema.json; here it
is done. Framing is laid around the pieces, so that a split in a case is an HTTP chunk of its own
and survives TCP.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import responses as REASONS  # noqa: N812 - a table, and a constant at that
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from botticelli.kit.cases.variables import fill_dates
from botticelli.kit.errors import CaseError

if TYPE_CHECKING:
    from datetime import datetime

End: TypeAlias = Literal["keep-alive", "close", "cut", "reset"]
Piece: TypeAlias = Mapping[str, Any]

CREATED = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence for ``seconds``; None: until the client leaves."""

    seconds: float | None


Step: TypeAlias = "bytes | Pause"


@dataclass(frozen=True, slots=True)
class Script:
    """What to write, in order, and how to end.

    Attributes:
        steps: Bytes to write, each with a write of its own, and silences.
        end: What happens to the connection afterwards; the body is complete already unless the
            end is ``cut`` or ``reset``.
    """

    steps: tuple[Step, ...]
    end: End


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values that the ``delta`` and ``message`` pieces put in."""

    id: str
    model: str


def compile_exchange(exchange: Piece, defaults: Defaults, now: datetime) -> Script:
    """Turn one exchange of a case, variables filled in, into a script.

    Args:
        exchange: The exchange as in the case file.
        defaults: Id and model for the pieces that write whole messages.
        now: The moment of playing, for ``{{http-date:+N}}``.

    Raises:
        CaseError: The exchange cannot be played as written.
    """
    if "raw" in exchange:
        steps = _steps(exchange["raw"], defaults)
        return Script(tuple(steps), exchange.get("end", "close"))
    if "status" not in exchange:
        return Script((), exchange["end"])
    framing = exchange.get("framing", "chunked")
    end: End = exchange.get("end", "close" if framing == "close" else "keep-alive")
    if framing == "close" and end == "keep-alive":
        raise CaseError("framing close needs an end of close, cut or reset")
    steps = _steps(exchange.get("body", []), defaults)
    whole = end in ("keep-alive", "close")
    length = sum(len(step) for step in steps if isinstance(step, bytes))
    # Of a body that is cut off, more is promised than comes, or nobody could see the cut.
    head = _head(exchange, framing, length if whole else length + 1)
    body = _chunked(steps, whole=whole) if framing == "chunked" else steps
    return Script((fill_dates(head, now).encode("latin-1"), *body), end)


def _head(exchange: Piece, framing: str, length: int) -> str:
    status = exchange["status"]
    reason = exchange.get("reason", REASONS.get(status, ""))
    lines = [f"HTTP/{exchange.get('version', '1.1')} {status} {reason}"]
    headers: Sequence[tuple[str, str]] = exchange.get("headers", [])
    lines += [f"{name}: {value}" for name, value in headers]
    given = {name.lower() for name, _ in headers}
    if framing == "chunked" and "transfer-encoding" not in given:
        lines.append("Transfer-Encoding: chunked")
    if framing == "length" and "content-length" not in given:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join(lines) + "\r\n\r\n"


def _chunked(steps: Sequence[Step], *, whole: bool) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, Pause):
            yield step
        elif step:  # an empty chunk would end the body
            yield b"%x\r\n%b\r\n" % (len(step), step)
    if whole:
        yield b"0\r\n\r\n"


def _steps(pieces: Sequence[Piece], defaults: Defaults) -> list[Step]:
    return [step for piece in pieces for step in _piece(piece, defaults)]


def _piece(piece: Piece, defaults: Defaults) -> Iterator[Step]:
    if "sleep" in piece:
        yield Pause(piece["sleep"])
    elif "hold" in piece:
        yield Pause(None)
    elif "repeat" in piece:
        yield from _steps(piece["of"], defaults) * piece["repeat"]
    elif "slices" in piece:
        yield from _slices(_joined(piece["of"], defaults), piece["slices"], piece.get("pause"))
    else:
        yield _bytes(piece, defaults)


def _slices(data: bytes, size: int, pause: float | None) -> Iterator[Step]:
    for start in range(0, len(data), size):
        if pause is not None and start:
            yield Pause(pause)
        yield data[start : start + size]


def _joined(pieces: Sequence[Piece], defaults: Defaults) -> bytes:
    steps = _steps(pieces, defaults)
    if any(isinstance(step, Pause) for step in steps):
        raise CaseError("no sleep, hold or pause inside join, slices, gzip or br")
    return b"".join(step for step in steps if isinstance(step, bytes))


def _bytes(piece: Piece, defaults: Defaults) -> bytes:
    """Return the bytes of a piece that is neither silence nor several."""
    match piece:
        case {"text": str(text)}:
            return _utf8(text)
        case {"hex": str(digits)}:
            return bytes.fromhex(digits)
        case {"base64": str(text)}:
            return base64.b64decode(text, validate=True)
        case {"json": value}:
            return _utf8(_compact(value))
        case {"event": value}:
            return _event(value)
        case {"delta": delta}:
            return _event(_chunk(piece, delta, defaults))
        case {"message": message}:
            return _utf8(_compact(_completion(piece, message, defaults)))
        case {"join": pieces}:
            return _joined(pieces, defaults)
        case {"gzip": pieces}:
            return gzip.compress(_joined(pieces, defaults), mtime=0)
        case {"br": pieces}:
            return stored_brotli(_joined(pieces, defaults))
        case _:
            raise CaseError(f"not a piece: {json.dumps(piece)[:100]}")


def may_hold_usage(exchanges: Sequence[Piece]) -> bool:
    """Tell whether what is played has a usage in it, or bytes that cannot be looked through."""
    return any(
        _holds_usage(piece)
        for exchange in exchanges
        for piece in exchange.get("body", exchange.get("raw", []))
    )


def _holds_usage(piece: Piece) -> bool:
    inner = next((piece[name] for name in ("of", "join", "gzip", "br") if name in piece), None)
    if inner is not None:
        return any(map(_holds_usage, inner))
    return not piece.keys().isdisjoint(("message", "hex", "base64")) or "usage" in json.dumps(piece)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CaseError("a lone surrogate has no bytes; write its JSON escape in a text piece") from error


def _event(value: object) -> bytes:
    return _utf8(f"data: {value if isinstance(value, str) else _compact(value)}\n\n")


def _chunk(piece: Piece, delta: object, defaults: Defaults) -> dict[str, object]:
    choice = {
        "index": piece.get("index", 0),
        "delta": delta,
        "finish_reason": piece.get("finish_reason"),
    }
    return {
        "id": defaults.id,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": defaults.model,
        "choices": [choice],
    }


def _completion(piece: Piece, message: Mapping[str, object], defaults: Defaults) -> dict[str, object]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, "refusal": None, **message},
        "logprobs": None,
        "finish_reason": piece.get("finish_reason", "stop"),
    }
    return {
        "id": defaults.id,
        "object": "chat.completion",
        "created": CREATED,
        "model": defaults.model,
        "choices": [choice],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }


def stored_brotli(data: bytes) -> bytes:
    """Return ``data`` as a Brotli stream that stores it uncompressed (RFC 7932, section 9.2).

    Enough to see whether a client decodes ``Content-Encoding: br``, without a compressor.
    """
    out = bytearray()
    for start in range(0, len(data), 1 << 16):
        block = data[start : start + (1 << 16)]
        # Bits, lowest first: ISLAST 0, MNIBBLES 00 (four), MLEN - 1 in 16, ISUNCOMPRESSED 1.
        header = (len(block) - 1) << 3 | 1 << 19
        # The first block follows the stream's WBITS, one bit 0 for a window of 16.
        out += (header << 1 if start == 0 else header).to_bytes(3, "little") + block
    # An empty last block: ISLAST 1, ISLASTEMPTY 1; without any block before it, WBITS first.
    return bytes(out) + (b"\x03" if data else b"\x06")

"""From a case's pieces to the bytes and pauses that a server plays.

Pure: no socket, no clock. What a piece means is written in contracts/kit/case.schema.json. Framing is added
around the pieces, so that a split in a case is an HTTP chunk of its own and survives TCP.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.client import responses as REASONS  # noqa: N812 -- a table, and a constant at that
from typing import Any, Literal, TypeAlias

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.kit.cases.formats import (
    Answer,
    Chunk,
    Context,
    Event,
    Failure,
    Format,
    ToolCall,
    compact,
    utf8,
)
from botticelli.kit.errors import CaseError

__all__ = [
    "VARIABLE",
    "ByteScript",
    "Pause",
    "Step",
    "Variables",
    "compile_exchange",
    "fill_dates",
    "may_hold_usage",
    "piece_steps",
    "stored_brotli",
]

End: TypeAlias = Literal["keep-alive", "close", "cut", "reset"]
Piece: TypeAlias = Mapping[str, Any]


# Variables ----------------------------------------------------------------------------------------------

VARIABLE = re.compile(r"\{\{([a-z][a-z_-]*)(\d*)(:[+-]\d+)?\}\}")
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = _LOWER + "0123456789"
_SYLLABLES = ("za", "ré", "nø", "那", "ли", "ψη", "or", "ŵen", "ti", "🎨", "ka", "ß")


def _letters(chance: random.Random, alphabet: str, count: int) -> str:
    return "".join(chance.choice(alphabet) for _ in range(count))


def _text(chance: random.Random) -> str:
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(1, 3))) for _ in range(3)]
    # One character of each UTF-8 length is always there, or a seed could miss the point.
    words.insert(chance.randint(0, 3), "aé那🎨")
    return " ".join(words)


_MAKERS: dict[str, Callable[[random.Random], str]] = {
    "word": lambda chance: _letters(chance, _LOWER, chance.randint(5, 9)),
    "text": _text,
    "prompt": _text,
    "id": lambda chance: _letters(chance, _ALNUM, 12),
    "call_id": lambda chance: _letters(chance, _ALNUM, 12),
    "model": lambda chance: f"{_letters(chance, _LOWER, 5)}/{_letters(chance, _LOWER, 7)}-1B",
    "key": lambda chance: _letters(chance, _ALNUM, 24),
}


@dataclass(frozen=True, slots=True)
class Variables:
    """The values of one run of one case.

    A value depends only on the seed, the case and the variable's name, so that a failure can be played again
    and no driver can learn an answer by heart.

    Attributes:
        seed: Any number; the same gives the same values.
        case: Id of the case.
        port: Where its server listens, on 127.0.0.1.
        format: The format that is played.
    """

    seed: int
    case: str
    port: int
    format: Format

    def value(self, name: str, number: str = "") -> str:
        """Return the value of ``{{name}}``.

        Raises:
            CaseError: There is no such variable.
        """
        if name == "origin":
            return f"http://127.0.0.1:{self.port}"
        if name == "port":
            return str(self.port)
        if name in self.format.variables:
            return str(self.fill(self.format.variables[name]))
        if name not in _MAKERS:
            known = ("origin", "port", "http-date:+SECONDS", *_MAKERS, *self.format.variables)
            raise CaseError(f"{self.case}: unknown variable {{{{{name}}}}}; known: {', '.join(known)}")
        # Not for secrets: random.Random gives the same values again, which is the point.
        chance = random.Random(f"{self.seed}/{self.case}/{name}{number}")  # noqa: S311 -- see above
        return self.format.prefixes.get(name, "") + _MAKERS[name](chance)

    def fill(self, value: object) -> Any:
        """Return the JSON value with the variables in its strings (not its keys) filled in."""
        if isinstance(value, str):
            return VARIABLE.sub(self._replace, value) if "{{" in value else value
        if is_array(value):
            return [self.fill(item) for item in value]
        if is_object(value):
            return {key: self.fill(item) for key, item in value.items()}
        return value

    def _replace(self, match: re.Match[str]) -> str:
        name, number, argument = match.groups()
        if name == "http-date" and argument:
            return match.group()  # filled in by fill_dates, when the exchange is played
        return self.value(name, number)


def fill_dates(text: str, now: datetime) -> str:
    """Replace ``{{http-date:+N}}`` by the HTTP date N seconds after ``now``."""
    if "{{http-date" not in text:
        return text

    def date(match: re.Match[str]) -> str:
        name, _, argument = match.groups()
        if name != "http-date" or not argument:
            return match.group()
        moment = now.astimezone(UTC) + timedelta(seconds=int(argument[1:]))
        return format_datetime(moment, usegmt=True)

    return VARIABLE.sub(date, text)


# Scripts ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence for ``seconds``; None: until the client leaves."""

    seconds: float | None


Step: TypeAlias = "bytes | Pause"


@dataclass(frozen=True, slots=True)
class ByteScript:
    """What to write, in order, and how to end.

    Attributes:
        steps: Bytes to write, each with a write of its own, and pauses.
        end: What happens to the connection afterwards. The body is complete unless this is ``cut`` or
            ``reset``.
    """

    steps: tuple[Step, ...]
    end: End


def compile_exchange(exchange: Piece, context: Context, now: datetime) -> ByteScript:
    """Turn one exchange of a case, variables filled in, into a script.

    Args:
        exchange: The exchange as in the case file.
        context: Format, id and model for the pieces that write whole messages.
        now: The moment of playing, for ``{{http-date:+N}}``.

    Raises:
        CaseError: The exchange cannot be played as written.
    """
    if "raw" in exchange:
        steps = _steps(exchange["raw"], context)
        return ByteScript(tuple(steps), exchange.get("end", "close"))
    if "status" not in exchange:
        return ByteScript((), exchange["end"])
    framing = exchange.get("framing", "chunked")
    end: End = exchange.get("end", "close" if framing == "close" else "keep-alive")
    if framing == "close" and end == "keep-alive":
        raise CaseError("framing close needs an end of close, cut or reset")
    steps = _steps(exchange.get("body", []), context)
    whole = end in ("keep-alive", "close")
    length = sum(len(step) for step in steps if isinstance(step, bytes))
    # Of a body that is cut off, more is promised than is sent, or nobody could notice the cut.
    head = _head(exchange, framing, length if whole else length + 1)
    body = _chunked(steps, whole=whole) if framing == "chunked" else steps
    script = (fill_dates(head, now).encode("latin-1"), *body)
    if "beyond" in exchange:
        script = _with_surplus(script, exchange["beyond"], context, now)
    return ByteScript(script, end)


def _with_surplus(
    script: tuple[Step, ...], beyond: Sequence[Piece], context: Context, now: datetime
) -> tuple[Step, ...]:
    """Add exchanges that nobody asked for, all in the write of the last bytes that somebody did ask for.

    In a later write they could come while the client waits for nothing, and many clients close a connection
    on which something comes then.
    """
    more = [step for exchange in beyond for step in compile_exchange(exchange, context, now).steps]
    *before, last = script
    if any(isinstance(step, Pause) for step in (last, *more)):
        raise CaseError("no sleep, hold or pause in what is beyond an answer, nor at that answer's end")
    return (*before, b"".join(step for step in (last, *more) if isinstance(step, bytes)))


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
    before, frame = b"", b""
    for step in steps:
        if isinstance(step, Pause):
            yield step
        elif step:  # an empty chunk would end the body
            if step is not before:  # a step that is repeated is in memory once, and so is its chunk
                before, frame = step, b"%x\r\n%b\r\n" % (len(step), step)
            yield frame
    if whole:
        yield b"0\r\n\r\n"


def _steps(pieces: Sequence[Piece], context: Context) -> list[Step]:
    return [step for piece in pieces for step in piece_steps(piece, context)]


def piece_steps(piece: Piece, context: Context) -> Iterator[Step]:
    """Yield what one piece writes, and where it pauses."""
    if "sleep" in piece:
        yield Pause(piece["sleep"])
    elif "hold" in piece:
        yield Pause(None)
    elif "repeat" in piece:
        yield from _steps(piece["of"], context) * piece["repeat"]
    elif "slices" in piece:
        data, size = _joined(piece["of"], context), piece["slices"]
        parts = [data[start : start + size] for start in range(0, len(data), size)]
        yield from _apart(parts, piece.get("pause"))
    elif "split_after" in piece:
        mark = utf8(piece["split_after"])
        *parts, last = _joined(piece["of"], context).split(mark)
        yield from _apart([*(part + mark for part in parts), last], piece.get("pause"))
    elif "chunk" in piece:
        events = context.format.chunk(_chunk(piece["chunk"]), context)
        yield from (_event(event, piece, context, last=event is events[-1]) for event in events)
    else:
        yield _bytes(piece, context)


def _apart(parts: Sequence[bytes], pause: float | None) -> Iterator[Step]:
    for number, part in enumerate(parts):
        if pause is not None and number:
            yield Pause(pause)
        yield part


def _joined(pieces: Sequence[Piece], context: Context) -> bytes:
    joined = bytearray()
    for piece in pieces:
        if "repeat" in piece:  # here, since a hundred thousand steps would be joined one by one
            joined += _joined(piece["of"], context) * piece["repeat"]
            continue
        for step in piece_steps(piece, context):
            if isinstance(step, Pause):
                raise CaseError("no sleep, hold or pause inside join, half, slices, split_after, gzip or br")
            joined += step
    return bytes(joined)


def _bytes(piece: Piece, context: Context) -> bytes:
    """Return the bytes of a piece that is one write."""
    match piece:
        case {"text": str(text)}:
            return utf8(text)
        case {"hex": str(digits)}:
            return bytes.fromhex(digits)
        case {"base64": str(text)}:
            return base64.b64decode(text, validate=True)
        case {"json": value}:
            return utf8(compact(value))
        case {"event": value}:
            return _sse_event(Event(value, piece.get("name", "")), {})
        case {"join": pieces}:
            return _joined(pieces, context)
        case {"half": pieces}:
            data = _joined(pieces, context)
            return data[: len(data) // 2]
        case {"gzip": pieces}:
            return gzip.compress(_joined(pieces, context), mtime=0)
        case {"br": pieces}:
            return stored_brotli(_joined(pieces, context))
        case _:
            return _in_format(piece, context)


def _in_format(piece: Piece, context: Context) -> bytes:
    """Return the bytes of a piece that the format writes."""
    played = context.format
    match piece:
        case {"answer": answer}:
            return utf8(compact(played.answer(_answer(answer), context)))
        case {"failure": failure}:
            return utf8(compact(played.failure(Failure(**failure))))
        case {"models": ids}:
            return utf8(compact(played.models(ids)))
        case {"failure_event": failure}:
            return _event(played.failure_event(Failure(**failure)), piece, context)
        case {"done": True}:
            return _event(played.done, piece, context) if played.done else b""
        case _:
            for name, write in played.own_pieces.items():
                if name in piece:
                    return write(piece, context)
            raise CaseError(f"not a piece of format {played.name}: {json.dumps(piece)[:100]}")


def _answer(written: Piece) -> Answer:
    calls = [ToolCall(**call) for call in written.get("tool_calls", ())]
    made: dict[str, Any] = {"text": _long(written.get("text", "")), "tool_calls": calls}
    return Answer(**{**written, **made})


def _chunk(written: Piece) -> Chunk:
    call = written.get("tool_call")
    made: dict[str, Any] = {
        "text": _long(written.get("text", "")),
        "tool_call": ToolCall(**call) if call else None,
    }
    return Chunk(**{**written, **made})


def _long(text: str | Piece) -> str:
    return text if isinstance(text, str) else str(text["of"]) * int(text["repeat"])


def _event(event: Event, layout: Piece, context: Context, *, last: bool = True) -> bytes:
    """Return one event of a stream, as the format streams.

    Args:
        event: The event.
        layout: The piece, for its ``line_end``, ``blank_line``, ``data_field`` and ``break``.
        context: The format.
        last: False for an event of the piece that others follow: its blank line is an ordinary one.
    """
    if "lines" in context.format.traits:
        return utf8(_payload(event) + layout.get("line_end", "\n"))
    if not last:
        layout = {name: value for name, value in layout.items() if name != "blank_line"}
    return _sse_event(event, layout)


def _sse_event(event: Event, layout: Piece) -> bytes:
    line_end, payload = layout.get("line_end", "\n"), _payload(event)
    if "break" in layout:
        payload = layout["break"].join(_in_two(payload))
    name = f"event: {event.name}{line_end}" if event.name else ""
    data, blank = layout.get("data_field", "data: "), layout.get("blank_line", line_end)
    return utf8(f"{name}{data}{payload}{line_end}{blank}")


def _payload(event: Event) -> str:
    return event.data if isinstance(event.data, str) else compact(event.data)


_MEMBER_ENDS = re.compile(r'"(?:[^"\\]|\\.)*"|,')


def _in_two(payload: str) -> tuple[str, str]:
    """Split JSON text after the comma outside strings that is nearest to its middle."""
    commas = [match.end() for match in _MEMBER_ENDS.finditer(payload) if match.group() == ","]
    at = min(commas, key=lambda end: abs(end - len(payload) // 2), default=0)
    return payload[:at], payload[at:]


def may_hold_usage(exchanges: Sequence[Piece], context: Context) -> bool:
    """Tell whether what is played has a usage in it, or bytes that cannot be looked through."""
    return any(
        _holds_usage(piece, context)
        for exchange in exchanges
        for piece in exchange.get("body", exchange.get("raw", []))
    ) or any(may_hold_usage(exchange.get("beyond", ()), context) for exchange in exchanges)


def _holds_usage(piece: Piece, context: Context) -> bool:
    inner = next((piece[name] for name in ("of", "join", "half", "gzip", "br") if name in piece), None)
    if inner is not None:
        return any(_holds_usage(one, context) for one in inner)
    if not piece.keys().isdisjoint(("hex", "base64")):
        return True
    member = context.format.usage_member.encode()
    return any(isinstance(step, bytes) and member in step for step in piece_steps(piece, context))


def stored_brotli(data: bytes) -> bytes:
    """Return ``data`` as a Brotli stream that stores it uncompressed (RFC 7932, section 9.2).

    Enough to tell whether a client decodes ``Content-Encoding: br``, without a compressor.
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

"""The evidence of a failure: what was asked, what came of it, and what went over the wire.

Its form is ``evidence`` in contracts/kit/report.schema.json. The API keys of the case are struck out, however
they are spelt and wherever a write or a limit has cut them.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from botticelli.kit.judge.secrets import LONG, STRUCK
from botticelli.kit.judge.verdict import Crash, Hang

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.judge.secrets import Secrets
    from botticelli.kit.judge.verdict import Outcome
    from botticelli.kit.server.wire import Piece, Side

__all__ = ["evidence_of"]


def evidence_of(
    calls: Sequence[Document],
    outcomes: Sequence[Outcome],
    wire: Sequence[Piece],
    *,
    secrets: Secrets,
    output: str = "",
    command: str = "",
) -> Document:
    """Return the evidence of one case.

    Args:
        calls: The neutral calls.
        outcomes: What came of them, as far as they were made.
        wire: What the server saw and sent.
        secrets: Strikes out the keys.
        output: What the adapter printed meanwhile.
        command: What plays the case again.
    """
    found: Document = {
        "calls": [secrets.strike_json(call) for call in calls],
        "outcomes": [secrets.strike_json(_outcome(outcome)) for outcome in outcomes],
        "wire": list(_wire(wire, secrets)),
    }
    more = {"output": secrets.cut(output[:LONG]), "command": command}
    return found | {name: text for name, text in more.items() if text}


def _outcome(outcome: Outcome) -> object:
    if isinstance(outcome, Crash):
        return {"crash": outcome.message}
    if isinstance(outcome, Hang):
        return {"hang": outcome.seconds}
    try:
        plain: object = json.loads(json.dumps(outcome, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return {"not JSON": type(outcome).__name__}
    return plain


def _wire(pieces: Sequence[Piece], secrets: Secrets) -> Iterator[Document]:
    without = _without_keys(pieces, secrets)
    for place, piece in enumerate(pieces):
        noted: dict[str, Any] = {
            "at": round(max(piece.at, 0.0), 4),
            "connection": piece.connection,
            "from": piece.side,
        }
        if piece.event:
            yield noted | {"event": piece.event}
        elif piece.omitted:
            yield noted | {"omitted": piece.omitted}
        elif data := without[place]:
            yield noted | _bytes(data)


def _bytes(data: bytes) -> Document:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _without_keys(pieces: Sequence[Piece], secrets: Secrets) -> dict[int, bytes]:
    """Return the bytes of each piece without the keys, which may begin in one and end in another."""
    runs: defaultdict[tuple[int, Side], list[list[int]]] = defaultdict(lambda: [[]])
    for place, piece in enumerate(pieces):
        if piece.omitted:
            runs[piece.connection, piece.side].append([])
        elif not piece.event:
            runs[piece.connection, piece.side][-1].append(place)
    struck: dict[int, bytes] = {}
    for direction in runs.values():
        for number, run in enumerate(direction):
            data = b"".join(pieces[place].data for place in run)
            spans = secrets.spans(data)
            if number < len(direction) - 1 and (count := secrets.begun(data)):
                spans.append((len(data) - count, len(data)))
            if number and (count := secrets.ended(data)):
                spans.insert(0, (0, count))
            begin = 0
            for place in run:
                end = begin + len(pieces[place].data)
                struck[place] = _strike(data[begin:end], begin, spans)
                begin = end
    return struck


def _strike(data: bytes, begin: int, spans: Sequence[tuple[int, int]]) -> bytes:
    """Return one piece without the spans; the mark stands in the piece in which a span begins."""
    if not spans:
        return data
    kept, at, end = bytearray(), begin, begin + len(data)
    for first, last in spans:
        if last <= at or first >= end:
            continue
        kept += data[at - begin : max(first, at) - begin]
        if first >= begin:
            kept += STRUCK.encode()
        at = min(last, end)
    return bytes(kept + data[at - begin :])

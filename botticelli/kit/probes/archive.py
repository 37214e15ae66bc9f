"""Saved runs: keep the exchanges of a run, read them again, and take captures that were made elsewhere.

A run is a zip file with `run.json` (who was asked) and `exchanges.jsonl` (what came, in order, under the
probe that asked). The key was struck out when the bytes came in. One of fewer than eight characters is struck
out when they are saved, wherever it is a word of its own, so such a run may be judged otherwise than it was.
"""

from __future__ import annotations

import base64
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botticelli.contracts.jsonvalue import Document, as_object, as_objects
from botticelli.kit.errors import KitError
from botticelli.kit.probes.exchange import Exchange, Piece
from botticelli.kit.probes.probe import CHAT, Probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["SavedRun", "capture_probe", "read_captures", "read_runs", "write_runs"]

_MOST = 512 << 20  # bytes that a saved run may have once it is unpacked


@dataclass
class SavedRun:
    """The exchanges with one model of one endpoint.

    Attributes:
        name: What was judged.
        url: The endpoint's scheme and authority.
        model: The model that was asked.
        date: When, in RFC 3339.
        exchanges: By the id of the probe.
    """

    name: str
    url: str
    model: str
    date: str
    exchanges: dict[str, list[Exchange]] = field(default_factory=dict[str, list[Exchange]])


def write_runs(path: Path, runs: Sequence[SavedRun], version: str) -> None:
    """Write runs to a zip file.

    Raises:
        KitError: It can't be written.
    """
    about = [{"name": run.name, "url": run.url, "model": run.model, "date": run.date} for run in runs]
    lines = [
        json.dumps({"run": number, "probe": probe, **exchange.as_json()}, ensure_ascii=False)
        for number, run in enumerate(runs)
        for probe, exchanges in run.exchanges.items()
        for exchange in exchanges
    ]
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
            file.writestr(
                "run.json", json.dumps({"botticelli": version, "format": 1, "runs": about}, indent=1)
            )
            file.writestr("exchanges.jsonl", "\n".join(lines) + "\n")
    except OSError as error:
        raise KitError(f"cannot save the run to {path}: {error.strerror or error}") from error


def read_runs(path: Path) -> list[SavedRun]:
    """Read what :func:`write_runs` wrote.

    Raises:
        KitError: It can't be read, or is something else.
    """
    try:
        with zipfile.ZipFile(path) as file:
            if sum(entry.file_size for entry in file.infolist()) > _MOST:
                raise KitError(f"{path} is too large for a saved run")
            about = json.loads(file.read("run.json"))
            runs: list[SavedRun] = [SavedRun(**one) for one in about["runs"]]
            for line in file.read("exchanges.jsonl").splitlines():
                saved = json.loads(line)
                run = runs[int(saved["run"])]
                run.exchanges.setdefault(saved["probe"], []).append(Exchange.from_json(saved))
    except OSError as error:
        raise KitError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, IndexError, EOFError) as error:
        raise KitError(f"{path} is no saved run: {error}") from error
    return runs


# Captures from elsewhere


def read_captures(path: Path) -> dict[str, Exchange]:
    """Read a HAR file, or a folder with NAME.request and NAME.response: raw HTTP, as it was sent.

    Raises:
        KitError: It can't be read, or holds nothing.
    """
    try:
        found = dict(_folder(path) if path.is_dir() else _har(path))
    except OSError as error:
        raise KitError(f"cannot read {path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise KitError(f"{path} is no HAR file: {error!r}") from error
    if not found:
        raise KitError(f"{path} holds no exchange; a folder must have NAME.request and NAME.response")
    return found


def _folder(path: Path) -> Iterator[tuple[str, Exchange]]:
    for file in sorted(path.rglob("*.response")):
        request = file.with_suffix(".request")
        if not request.is_file():
            raise KitError(f"{file} has no {request.name} beside it")
        head, _, body = request.read_bytes().replace(b"\r\n\r\n", b"\n\n", 1).partition(b"\n\n")
        first = head.split(b"\n", 1)[0].decode("latin-1").split()
        if len(first) != 3:
            raise KitError(
                f"{request} doesn't begin with a request line such as POST /v1/chat/completions HTTP/1.1"
            )
        name = file.relative_to(path).with_suffix("").as_posix()
        pieces = (Piece(0.0, file.read_bytes()),)
        yield name, Exchange("answer", first[0], first[1], head + b"\r\n", body, pieces, "closed")


def _har(path: Path) -> Iterator[tuple[str, Exchange]]:
    log = json.loads(path.read_bytes())["log"]
    for number, entry in enumerate(as_objects(log["entries"]), 1):
        asked, came = entry["request"], entry["response"]
        url = urlsplit(str(asked["url"]))
        content = as_object(came.get("content"))
        text = str(content.get("text", ""))
        data = base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()
        # The body stands in a HAR file without its framing, so the headers about it don't fit it any more.
        kept = [h for h in as_objects(came.get("headers")) if str(h.get("name")).lower() not in _FRAMING]
        lines = "".join(f"{h['name']}: {h['value']}\r\n" for h in kept)
        head = f"HTTP/1.1 {came['status']} -\r\n{lines}Content-Length: {len(data)}\r\n\r\n".encode()
        body = str(as_object(asked.get("postData")).get("text", "")).encode()
        target = url.path + (f"?{url.query}" if url.query else "")
        request = (
            f"{asked['method']} {target} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
        )
        pieces = (Piece(float(entry.get("time") or 0) / 1000, head + data),)
        yield f"{number:03}", Exchange("answer", asked["method"], target, request.encode(), body, pieces)


_FRAMING = ("content-length", "transfer-encoding", "content-encoding", "connection")


def capture_probe(name: str, exchange: Exchange) -> Probe:
    """Return the probe that judges one exchange of a capture: what holds of any answer to such a request."""
    asked, stream = exchange.asked, exchange.asked.get("stream") is True
    laws: list[Any] = ["clean-http", "shape"]
    ok = 200 <= exchange.response.status < 300
    if ok and exchange.target.partition("?")[0].endswith(CHAT):
        laws += list(_laws_of(asked, stream=stream))
    document: Document = {
        "id": name,
        "title": f"{exchange.method} {exchange.target.partition('?')[0]}"[:120],
        "level": "must",
        "profile": "core",
        "area": "capture",
        "provenance": "reasoned",
        "source": ["a capture"],
        "effect": "Clients lose content, or fail.",
        "needs": [],
        "rule": "any",
        "asks": [{"name": "answer", "json": None, "rule": "any", "laws": laws}],
    }
    return Probe(document)


def _laws_of(asked: Mapping[str, Any], *, stream: bool) -> Iterator[Any]:
    yield {"law": "count", "n": asked.get("n") or 1}
    yield from ("usage-sums", "known-tool", "call-ids", "tool-finish")
    if stream:
        yield from ("streamed", "done", "whole-events", "role-first", "finish-once", "nothing-late")
        yield from ({"law": "same", "member": member} for member in ("id", "model"))
        yield "one-created"
        if as_object(asked.get("stream_options")).get("include_usage") is True:
            yield "usage-sent"
        else:
            yield "usage-unasked"
    limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
    if asked.get("logprobs") is True:
        yield "logprobs"
    if asked.get("stop"):
        yield "no-stop-word"
    if isinstance(limit, int):
        yield {"law": "words", "tokens": limit}
    form = as_object(asked.get("response_format"))
    if form.get("type") == "json_schema" and "tools" not in asked:
        yield {"law": "json", "schema": as_object(form.get("json_schema")).get("schema") or {}}
    elif form.get("type") == "json_object" and "tools" not in asked:
        yield "json"
    if asked.get("tool_choice") == "none":
        yield "not-called"

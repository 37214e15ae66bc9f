"""How cassettes are written and matched, and what may not stand in one. No driver, no test.

Of the headers only the harmless are written, by name; a list of those to leave out would miss the next one.
Whatever differs from desk to desk (host, port, folders, the model's path, the key) is replaced before that.
"""

from __future__ import annotations

import copy
import json
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

FOLDER = Path(__file__).parents[2] / "fixtures" / "cassettes"
SERVERS = FOLDER / "servers.json"
BASE_URL = "http://recorded.invalid/v1"
MODEL = "tiny-chat"

_REQUEST_HEADERS = ("accept", "content-type")
_RESPONSE_HEADERS = ("content-type", "content-encoding", "retry-after", "server")
_PLACES = (
    (re.compile(r"(?:/[\w.@+-]+)+/site-packages/"), "site-packages/"),
    (re.compile(r"(?:/[\w.@+-]+)+/lib/python3\.\d+/"), "lib/python3/"),
    (re.compile(rf"(?:/[\w.@+-]+)+/{MODEL}\b"), MODEL),
    (re.compile(r"Linux-[\w.-]+-with-glibc[\d.]+"), "Linux"),
)


class Sent(Protocol):
    """A request, as far as vcrpy's own class is used here; that has no annotations."""

    uri: str
    headers: Mapping[str, str]
    body: Any


class Cassette(Protocol):
    """A cassette, likewise."""

    @property
    def play_count(self) -> int: ...
    def __len__(self) -> int: ...


def settings(replaced: Mapping[str, str]) -> dict[str, Any]:
    """What vcrpy is told: match on method, path and body, write only what is harmless.

    Args:
        replaced: Texts that must not be written, and what is written in their place.
    """

    def neutral(body: bytes | str | None) -> bytes | None:
        if body is None:
            return None
        text = body if isinstance(body, str) else body.decode("utf-8", "surrogateescape")
        for found, instead in replaced.items():
            text = text.replace(found, instead)
        for place, instead in _PLACES:
            text = place.sub(instead, text)
        return text.encode("utf-8", "surrogateescape")

    def request(sent: Sent) -> Sent:
        path = sent.uri.split("//", 1)[1].partition("/")[2]
        sent = copy.copy(sent)
        sent.uri = f"http://recorded.invalid/{path}"
        kept = {name.lower(): value for name, value in sent.headers.items()}
        sent.headers = {name: kept[name] for name in _REQUEST_HEADERS if name in kept}
        sent.body = neutral(sent.body)
        return sent

    def response(got: dict[str, Any]) -> dict[str, Any]:
        kept = {name.lower(): values for name, values in got["headers"].items()}
        got["headers"] = {name: kept[name] for name in _RESPONSE_HEADERS if name in kept}
        got["body"] = {"string": neutral(got["body"]["string"])}
        return got

    return {
        "match_on": ["method", "path", "body"],
        "before_record_request": request,
        "before_record_response": response,
    }


def tape(path: Path, mode: str, config: Mapping[str, Any]) -> AbstractContextManager[Cassette]:
    """A cassette for the block: mode ``once`` records it, ``none`` plays it."""
    vcr: Any = import_module("vcr")
    used: AbstractContextManager[Cassette] = vcr.VCR(record_mode=mode).use_cassette(str(path), **config)
    return used


_SUSPICIOUS = {
    "a HuggingFace token": r"\bhf_[A-Za-z0-9]{8,}",
    "a key of the sk- kind": r"\b[sr]k-[A-Za-z0-9_-]{3,}",
    "a GitHub token": r"\b(?:gh[opsru]|github_pat)_\w{8,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
    "a Google key": r"\bAIza[\w-]{20,}",
    "a Slack token": r"\bxox[a-z]-[\w-]{8,}",
    "a JSON Web Token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "credentials": r"(?i)\b(?:bearer|basic)\s+[\w.~+/-]{4,}",
    "a header that carries a key": (
        r"(?im)^\s*['\"]?(?:(?:proxy-)?authorization|[\w-]*api-?key|(?:set-)?cookie)['\"]?\s*:"
    ),
    "a password in a URL": r"://[^/\s:@]+:[^/\s@]+@",
    "somebody's folder": r"(?<![\w.])/(?:home|root|Users|work|tmp)/",
}


def suspicions(text: str) -> list[str]:
    """What in a text looks like a secret."""
    return [what for what, pattern in _SUSPICIOUS.items() if re.search(pattern, text)]


def describe(server: str, version: str, recorded: str) -> None:
    """Write down what a folder of cassettes was recorded against."""
    known: dict[str, Any] = json.loads(SERVERS.read_text("utf-8")) if SERVERS.exists() else {}
    known[server] = {"server": version, "model": MODEL, "recorded": recorded}
    SERVERS.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", "utf-8")

"""Answers kept for the same question: keys, what may enter, what comes out. The mapping is the user's.

Only complete good answers enter: every choice stopped for a reason that the server named and that means
the answer is whole (`stop`, `length`, `tool_use`). Errors, filtered answers and ones whose end the server
never explained stay out. Deviations don't keep an answer out: it is kept as it came and read anew, with
the same deviations. Only a streamed answer is kept as the whole answer it would have been, if nothing of it
is lost that way.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final, cast

import msgspec

from botticelli.core.errors import BotticelliError
from botticelli.core.response import FinishReason
from botticelli.dialects.dialect import CallContext
from botticelli.protocol.http import ResponseHead
from botticelli.protocol.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from botticelli.core.response import GenerateResponse
    from botticelli.dialects.dialect import Dialect
    from botticelli.protocol.limits import Limits

__all__ = ["cache_key", "look_up", "store"]

_log = logging.getLogger("botticelli")

_WHOLE = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_USE})


_HEAD: Final = ResponseHead()
_SAID = b"\n#botticelli "
"""Stands between an answer's body and what its headers said of it; no JSON has such a line."""
_BYTES: Final[tuple[type, ...]] = (bytes, bytearray, memoryview)
_HOW = frozenset({"host", "accept", "accept-encoding", "connection", "user-agent", "content-length"})
"""Headers that HTTP clients add themselves, in ways that change with their versions."""


class _Said(msgspec.Struct, omit_defaults=True):
    """What the headers said of the answer itself; limits are of the hour, and stay out."""

    request_id: str | None = None
    inference_provider: str | None = None


def cache_key(url: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """The key of a question: where it goes, what a user's headers and client add to it, and its body.

    The driver's key is no part of it: the same model gives the same answers to a new token. Headers of the
    user's own are, whatever they hold; all that can be seen of them is one SHA-256 over everything.

    Args:
        url: Where it goes, with the parameters of a user's client.
        headers: The user's headers, and the provider's, and what a user's client adds.
        body: The request's body as it would be sent for a whole answer.
    """
    said = sorted((name.lower(), value) for name, value in headers if name.lower() not in _HOW)
    digest = hashlib.sha256(b"botticelli/2")
    texts = [url, *(text for pair in said for text in pair)]
    for part in (*(text.encode("utf-8", "surrogatepass") for text in texts), body):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


def look_up(
    cache: MutableMapping[str, bytes],
    key: str,
    dialect: Dialect,
    *,
    n: int = 1,
    audit: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> GenerateResponse | None:
    """The answer under a key, or None. One that isn't a whole good answer is dropped, to be asked for again.

    A mapping that fails costs a warning, and what it kept costs a call: an answer is worth more than a cache.

    Args:
        cache: The user's mapping.
        key: The question's.
        dialect: Decodes the answer.
        n: How many answers were asked for.
        audit: Whether to hold the answer to the strict contract.
        limits: How much the answer may hold.
    """
    try:
        kept = cache.get(key)
        if kept is None:
            return None
        response = _read(kept, dialect, CallContext(n=n, audit=audit, limits=limits))
        if response is None:
            _log.warning("cache: entry %s isn't a whole answer and is dropped", key)
            cache.pop(key, None)
    except Exception as error:  # noqa: BLE001 -- the mapping is the user's and may raise anything
        _log.warning("cache: it can't be read: %s", type(error).__name__)
        return None
    return response


def _read(kept: object, dialect: Dialect, context: CallContext) -> GenerateResponse | None:
    if not isinstance(kept, _BYTES):
        return None
    body, mark, said = bytes(cast("bytes", kept)).rpartition(_SAID)
    if not mark:
        body, said = said, b"{}"
    try:
        response = dialect.response(_HEAD, body, context)
        headers = msgspec.json.decode(said, type=_Said)
    except (BotticelliError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    response.request_id = headers.request_id
    response.inference_provider = headers.inference_provider
    return response if _is_whole(response) else None


def _is_whole(response: GenerateResponse) -> bool:
    return bool(response.choices) and all(choice.finish_reason in _WHOLE for choice in response.choices)


def store(cache: MutableMapping[str, bytes], key: str, dialect: Dialect, response: GenerateResponse) -> None:
    """Keep an answer, if it is complete and good. A mapping that fails costs a warning, not the answer."""
    if not _is_whole(response):
        return
    try:
        # the body of a stream that came in place of a whole answer is no answer to read again
        is_body = response.raw.lstrip()[:1] == b"{"
        body = response.raw if is_body else _encoded(dialect, response)
        if body is not None:
            cache[key] = body + _said(response)
    except Exception as error:  # noqa: BLE001 -- the answer is paid for, whatever the user's mapping raises
        _log.warning("cache: the answer can't be kept: %s", type(error).__name__)


def _said(response: GenerateResponse) -> bytes:
    """Return what the headers said of the answer, to follow its body; nothing if they said nothing of it."""
    said = _Said(request_id=response.request_id, inference_provider=response.inference_provider)
    return b"" if said == _Said() else _SAID + msgspec.json.encode(said)


def _encoded(dialect: Dialect, response: GenerateResponse) -> bytes | None:
    """The whole answer that a stream would have been; None if something of it would be lost that way."""
    encoded = dialect.encode_response(response)
    again = _read(encoded, dialect, CallContext())
    return encoded if again is not None and again.choices == response.choices else None

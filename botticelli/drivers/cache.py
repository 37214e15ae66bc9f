"""Cache responses by request, in a mapping that the user provides: the keys, and reading and writing entries.

Only complete, successful responses are stored: every choice has a finish reason from the server that means
it is complete (`stop`, `length`, `tool_use`). Errors, filtered responses and responses without a finish
reason aren't stored. A response with deviations from the format is stored: its body is kept as received and
decoded again, with the same deviations. A streamed response is stored re-encoded as a whole one, if that
loses nothing.
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
_BYTES_TYPES: Final[tuple[type, ...]] = (bytes, bytearray, memoryview)
_CLIENT_HEADERS = frozenset(
    {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length"}
)
"""Headers that HTTP clients add themselves and that may change with their version."""
_SEPARATOR = b"\n#botticelli "
"""Stands between a response's body and what its headers told of it; no JSON contains such a line."""


class _Headers(msgspec.Struct, omit_defaults=True):
    """The members of a response that come from its headers; not the rate limits, which soon change."""

    request_id: str | None = None
    inference_provider: str | None = None


def cache_key(url: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """Return the cache key of a request: a SHA-256 of its URL, its headers and its body.

    The driver's API key isn't part of it, because the responses don't depend on it. All headers of the user
    are part of it, even secret ones, of which the hash shows nothing.

    Args:
        url: The URL, with the parameters that the user's client adds.
        headers: The headers of the user, of the provider and of the user's client.
        body: The body of the request, with streaming off.
    """
    pairs = sorted((name.lower(), value) for name, value in headers if name.lower() not in _CLIENT_HEADERS)
    digest = hashlib.sha256(b"botticelli/2")
    texts = [url, *(text for pair in pairs for text in pair)]
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
    """Return the response under a key, or None; drop an entry that isn't a complete, successful response.

    If the mapping raises an exception, log a warning and return None: the call is then sent as usual.

    Args:
        cache: The user's mapping.
        key: The request's cache key.
        dialect: Decodes the entry.
        n: The requested number of choices.
        audit: Whether to check the response against the strict contract.
        limits: How much the response may hold.
    """
    try:
        entry = cache.get(key)
        if entry is None:
            return None
        response = _decode(entry, dialect, CallContext(n=n, audit=audit, limits=limits))
        if response is None:
            _log.warning("cache: entry %s isn't a whole answer and is dropped", key)
            cache.pop(key, None)
    except Exception as error:  # noqa: BLE001 -- the mapping is the user's and may raise anything
        _log.warning("cache: it can't be read: %s", type(error).__name__)
        return None
    return response


def _decode(entry: object, dialect: Dialect, context: CallContext) -> GenerateResponse | None:
    if not isinstance(entry, _BYTES_TYPES):
        return None
    body, separator, stored_headers = bytes(cast("bytes", entry)).rpartition(_SEPARATOR)
    if not separator:
        body, stored_headers = stored_headers, b"{}"
    try:
        response = dialect.response(_HEAD, body, context)
        headers = msgspec.json.decode(stored_headers, type=_Headers)
    except (BotticelliError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    response.request_id = headers.request_id
    response.inference_provider = headers.inference_provider
    return response if _is_whole(response) else None


def _is_whole(response: GenerateResponse) -> bool:
    return bool(response.choices) and all(choice.finish_reason in _WHOLE for choice in response.choices)


def store(cache: MutableMapping[str, bytes], key: str, dialect: Dialect, response: GenerateResponse) -> None:
    """Store a response if it is complete and successful; if the mapping raises, log a warning."""
    if not _is_whole(response):
        return
    try:
        # the body may be a stream even though none was asked for, which can't be decoded as a whole response
        is_body = response.raw.lstrip()[:1] == b"{"
        body = response.raw if is_body else _encode(dialect, response)
        if body is not None:
            cache[key] = body + _encode_headers(response)
    except Exception as error:  # noqa: BLE001 -- the user's mapping may raise anything
        _log.warning("cache: the answer can't be kept: %s", type(error).__name__)


def _encode_headers(response: GenerateResponse) -> bytes:
    """Return what follows the body of an entry: the members that come from headers; nothing without any."""
    headers = _Headers(request_id=response.request_id, inference_provider=response.inference_provider)
    return b"" if headers == _Headers() else _SEPARATOR + msgspec.json.encode(headers)


def _encode(dialect: Dialect, response: GenerateResponse) -> bytes | None:
    """Encode a streamed response as a whole one; return None if that would lose something."""
    encoded = dialect.encode_response(response)
    decoded = _decode(encoded, dialect, CallContext())
    return encoded if decoded is not None and decoded.choices == response.choices else None

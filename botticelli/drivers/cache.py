"""Answers kept for the same question: keys, what may enter, what comes out. The mapping is the user's.

Only complete good answers enter: every choice stopped for a reason that the server named and that means
the answer is whole (`stop`, `length`, `tool_use`). Errors, filtered answers and ones whose end the server
never explained stay out. Deviations don't keep an answer out: it is kept as it came and read anew, with
the same deviations; only a streamed answer is kept as the whole answer it would have been.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from botticelli.core.errors import BotticelliError, ConfigurationError
from botticelli.core.response import FinishReason
from botticelli.dialects.openai.decode import decode_response
from botticelli.dialects.openai.encode import encode_response

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from botticelli.core.response import GenerateResponse

__all__ = ["cache_key", "look_up", "store"]

_log = logging.getLogger("botticelli")

_WHOLE = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_USE})


def cache_key(base_url: str, body: bytes) -> str:
    """The key of a question: its base URL and its body (which names the model); never the token.

    Args:
        base_url: Where it goes.
        body: The request's body as it would be sent for a whole answer.
    """
    return hashlib.sha256(b"\n".join((b"botticelli/1", base_url.encode(), body))).hexdigest()


def look_up(cache: MutableMapping[str, bytes], key: str) -> GenerateResponse | None:
    """The answer under a key, or None. One that can't be read is dropped, to be asked for again.

    Raises:
        ConfigurationError: The mapping failed; nothing has been sent yet.
    """
    try:
        kept = cache.get(key)
        if kept is None:
            return None
        try:
            return decode_response(bytes(kept))
        except (BotticelliError, TypeError, ValueError):
            _log.warning("cache: entry %s can't be read and is dropped", key)
            cache.pop(key, None)
            return None
    except Exception as error:  # noqa: BLE001 -- the mapping is the user's and may raise anything
        problem = f"the cache can't be read: {type(error).__name__}: {error}"
    raise ConfigurationError(problem, setting="cache")


def store(cache: MutableMapping[str, bytes], key: str, response: GenerateResponse) -> None:
    """Keep an answer, if it is complete and good. A mapping that fails costs a warning, not the answer."""
    whole = response.choices and all(choice.finish_reason in _WHOLE for choice in response.choices)
    if not whole:
        return
    try:
        # the body of a stream that came in place of a whole answer is no answer to read again
        as_received = response.raw.lstrip()[:1] == b"{"
        cache[key] = response.raw if as_received else encode_response(response)
    except Exception as error:  # noqa: BLE001 -- the answer is paid for, whatever the user's mapping raises
        _log.warning("cache: the answer can't be kept: %s", type(error).__name__)

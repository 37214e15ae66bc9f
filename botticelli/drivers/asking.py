"""A request as the bytes that are sent: what is no request is refused, files are read. No HTTP.

The rims and the mocks ask by this one way: a request that a mock lets through is one that can be sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botticelli.core.request import GenerateRequest
from botticelli.dialects.openai.request import encode_request
from botticelli.dialects.openai.rules import refuse

__all__ = ["asked"]


def asked(
    request: GenerateRequest, *, model: str, stream: bool, max_tokens_field: str = "max_tokens"
) -> bytes:
    """The body of a request.

    Args:
        request: What to ask.
        model: Who, unless the request names its own.
        stream: Whether the answer should come in pieces.
        max_tokens_field: What the provider calls `max_tokens`.

    Raises:
        RequestError: The format can't carry it, or a file can't be read.
    """
    given: Any = request
    if not isinstance(given, GenerateRequest):
        refuse("type", "$", f"the request must be a GenerateRequest, not {type(given).__name__}")
    return encode_request(
        request, model=model, stream=stream, max_tokens_field=max_tokens_field, read=_read_media
    )


def _read_media(path: str) -> bytes:
    return Path(path).read_bytes()

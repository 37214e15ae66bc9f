"""Call the functions that make errors with the parts of a head and a context as arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botticelli.dialects.dialect import CallContext
from botticelli.dialects.openai import errors
from botticelli.protocol.http import ResponseHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.core.errors import ApiError, StreamError
    from botticelli.core.response import GenerateResponse


def _context(*, secrets: tuple[str, ...] = (), **context: Any) -> CallContext:
    return CallContext(find_secrets=lambda: secrets, **context)


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float, **context: Any
) -> ApiError:
    """Return the error for an answer with this status, in a call with this context."""
    head = ResponseHead(status=status, headers=headers, received_at=now)
    return errors.error_from_response(head, body, _context(**context))


def error_in_success(body: bytes, *, partial: GenerateResponse | None = None, **context: Any) -> StreamError:
    """Return the error inside a 200, in a call with this context."""
    return errors.error_in_success(body, _context(**context), partial=partial)

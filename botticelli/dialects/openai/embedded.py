"""Errors inside a 200: whether a JSON value is one. No bytes; what it says is `envelope`'s to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from botticelli.core.errors import StreamError
    from botticelli.core.response import GenerateResponse

__all__ = ["EmbeddedFailure", "is_error"]

_ANSWER_MEMBERS = {"choices", "data", "usage"}


class EmbeddedFailure(Protocol):
    """What makes an error of an error inside a 200; `failure.embedded_failure` is one."""

    def __call__(self, body: bytes, /, *, partial: GenerateResponse | None = None) -> StreamError:
        """The error, not raised."""
        ...


def is_error(value: Any) -> bool:
    """Whether a JSON value that came with a 2xx is an error all the same.

    An ``error`` member decides wherever it stands, if it holds anything: servers send ``{}``, ``""`` and
    ``{"code": 0, "message": ""}`` to say that there is none. Other words (``detail``, a ``message`` that is
    text) tell only where there is nothing of an answer beside them.
    """
    if is_array(value):
        return bool(value) and is_object(value[0]) and _says(value[0].get("error"))
    if not is_object(value):
        return False
    if _says(value.get("error")) or value.get("object") == "error":
        return True
    choices = value.get("choices")
    if is_array(choices) and any(map(_failed, choices)):
        return True
    if value.keys() & _ANSWER_MEMBERS:
        return False
    message = value.get("message")
    return (
        _says(value.get("errors"))
        or _says(value.get("detail"))
        or (bool(message) and isinstance(message, str))
    )


def _failed(choice: Any) -> bool:
    return is_object(choice) and (_says(choice.get("error")) or choice.get("finish_reason") == "error")


def _says(value: Any) -> bool:
    """Whether a value, or a member of it, is neither empty nor zero."""
    return any(value.values()) if is_object(value) else bool(value)

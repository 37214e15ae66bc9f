"""Limit what an answer may hold, so that a few kilobytes can't take a process's memory. Pure.

Compressed, a body of empty objects is a thousandth of its size, and decoded a hundred times that: 260 KB on
the wire would be 36 GiB of objects. So what an answer holds is counted before anything is built of it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from botticelli.core.errors import ConfigurationError
from botticelli.protocol.sse import DEFAULT_MAX_EVENT_BYTES

__all__ = ["DEFAULT_LIMITS", "Limits", "count_nodes", "too_much"]

_LARGEST = 2**63 - 1


class Limits(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """How much an answer may hold, whole or streamed.

    An answer that holds more is a `MalformedResponseError`, which names the limit; of a stream, its `partial`
    has what came before. The defaults are far beyond what models answer, with one exception: 20 likely tokens
    beside each token (`top_logprobs`) reach `max_nodes` after some 20,000 tokens.

    Attributes:
        max_body_bytes: Bytes of a whole answer or of all of a stream, both as received and decompressed.
        max_event_bytes: Bytes of one event of a stream.
        max_choices: Answers; if a request asks for more (`GenerateRequest.n`), as many as it asks for.
        max_tool_calls: Tool calls of one choice.
        max_parts: Citations of one choice, and parts of a content that comes in parts.
        max_nodes: JSON values of a whole answer, of an event, or of what a stream adds up beside text, as
            `count_nodes` counts them. Log probabilities need most: nine for each of the likely tokens.

    Raises:
        ConfigurationError: A limit isn't a whole number of 1 or more.
    """

    max_body_bytes: int = 256 << 20
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    max_choices: int = 128
    max_tool_calls: int = 1024
    max_parts: int = 65_536
    max_nodes: int = 4_000_000

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value: Any = getattr(self, name)
            if type(value) is not int or not 1 <= value <= _LARGEST:
                raise ConfigurationError.wrong(f"limits.{name}", "a whole number of 1 or more", value)


DEFAULT_LIMITS = Limits()


def count_nodes(data: bytes) -> int:
    """Return about how many values a JSON text holds, never too few.

    Each value but the outermost begins with a bracket or follows a bracket or a comma. Those inside texts are
    counted too, which only makes it more: to tell them apart would cost as much as to decode.

    >>> count_nodes(b'{"choices":[{},{}]}')
    5
    """
    return data.count(b"{") + data.count(b"[") + data.count(b",")


def too_much(name: str, limit: int, what: str) -> str:
    """Return the message of the error for an answer beyond a limit.

    Args:
        name: The limit, a field of `Limits`.
        limit: Its value.
        what: What there is too much of, in the plural or as a size: ``choices``.
    """
    return f"the answer has more than {limit} {what}; if that is right, raise limits=Limits({name}=...)"

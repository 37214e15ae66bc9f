"""Define what a driver needs from a chat format: the `Dialect` protocol.

Each format is a folder beside this file, whose ``dialect.py`` has a class with these methods. A provider
holds an instance of it (see `botticelli.drivers.provider`). Differences between providers of one format,
such as the name of a member, are parameters of that class. Everything here is pure: bytes and values in,
values or errors out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import msgspec

from botticelli.core.models import Model
from botticelli.protocol.error_rules import ErrorRule
from botticelli.protocol.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from botticelli.core.driver import Capabilities
    from botticelli.core.errors import ApiError
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import GenerateResponse, StreamChunk, Usage
    from botticelli.protocol.http import HttpRequest, ResponseHead

__all__ = ["CallContext", "Dialect", "ModelPage", "ReadMedia", "StreamReader"]

ReadMedia: TypeAlias = "Callable[[str], bytes]"
"""A function that returns the bytes of a file that a message names; it may raise OSError."""

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class CallContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a decoder needs to know about the call.

    Attributes:
        model: The requested model; a 404 that names it is about the model, not about the path.
        n: The requested number of choices.
        usage: Whether the usage of a stream was asked for.
        audit: Whether to check every event against the strict contract.
        limits: How much the answer may hold.
        cut_short: Whether the connection was lost before the end of the body's framing.
        error_rules: The provider's rules, tried before the format's own.
        hints: The provider's hints for errors, by ``kind/status`` or ``kind``, tried before the format's own.
        find_secrets: Returns the texts that an error must not contain: the key and other credentials. It is
            a function so that the context doesn't hold them, and so that only errors pay for the lookup.
    """

    model: str | None = None
    n: int = 1
    usage: bool = False
    audit: bool = False
    limits: Limits = DEFAULT_LIMITS
    cut_short: bool = False
    error_rules: tuple[ErrorRule, ...] = ()
    hints: Mapping[str, str] = _NONE
    find_secrets: Callable[[], tuple[str, ...]] = tuple

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that an error must not contain, in plain text."""
        return self.find_secrets()


class ModelPage(msgspec.Struct, frozen=True):
    """One page of a model list.

    Attributes:
        models: The models, in the server's order.
        cursor: The cursor of the next page; None on the last page.
    """

    models: list[Model]
    cursor: str | None = None


class StreamReader(Protocol):
    """Reads one streamed response: `feed` it bytes, deliver the chunks, then `finish` it."""

    @property
    def events(self) -> int:
        """The number of events so far; comments don't count, so keep-alives aren't taken for progress."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the stream has ended or failed; what follows isn't read."""
        ...

    @property
    def response(self) -> GenerateResponse:
        """The response so far; complete after `finish`."""
        ...

    def feed(self, piece: bytes) -> list[StreamChunk]:
        """Take the next bytes, decompressed, and return the chunks that they complete, none of them final."""
        ...

    def finish(self) -> list[StreamChunk]:
        """End the stream and return the last chunks; the final one is the last of them.

        Raises:
            ModelsError: The stream is incomplete or failed, or isn't in this format.
        """
        ...

    def partial(self) -> GenerateResponse | None:
        """Return the part of the response that has been delivered, for an error; None if nothing was."""
        ...


class Dialect(Protocol):
    """A chat format."""

    @property
    def name(self) -> str:
        """The format's name, and that of its folder here, in ``contracts/`` and in ``fixtures/cases/``."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """The features that the format supports."""
        ...

    def chat(
        self, request: GenerateRequest, *, model: str, stream: bool, read_media: ReadMedia
    ) -> HttpRequest:
        """Encode a request.

        Args:
            request: The request.
            model: The model, unless the request names its own.
            stream: Whether to ask for a stream.
            read_media: Returns the bytes of a file that a message names.

        Raises:
            RequestError: The format can't express the request; with the path and the rule.
        """
        ...

    def response(self, head: ResponseHead, body: bytes, context: CallContext) -> GenerateResponse:
        """Decode a whole response, already decompressed.

        Raises:
            ResponseError: The body isn't a response of this format.
            StreamError: The body is an error, although the status is a 2xx.
        """
        ...

    def encode_response(self, response: GenerateResponse) -> bytes:
        """Encode a response for a cache, as a body from which `response` decodes an equal one."""
        ...

    def stream(self, head: ResponseHead, context: CallContext) -> StreamReader:
        """Return the reader for a streamed response."""
        ...

    def error(self, head: ResponseHead, body: bytes, context: CallContext) -> ApiError:
        """Return the error for a response whose status isn't a 2xx; never raise."""
        ...

    def usage(self, body: bytes) -> Usage | None:
        """Return the token counts in a body that isn't a valid response, as they are billed; or None."""
        ...

    def models(self, cursor: str | None = None) -> HttpRequest:
        """Return the request for a page of the model list; without a cursor, for the first page."""
        ...

    def model_page(self, head: ResponseHead, body: bytes, context: CallContext) -> ModelPage:
        """Decode a page of the model list.

        Raises:
            ResponseError: The body isn't a model list of this format.
            StreamError: The body is an error, although the status is a 2xx.
        """
        ...

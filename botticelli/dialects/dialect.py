"""What a driver needs of a chat format, and nothing more.

A format is one folder beside this file, whose ``dialect.py`` has a class with these methods. A provider
names an instance of it (see `botticelli.drivers.provider`); what differs between providers of one format,
such as the name of a member, is a parameter of that class. Everything here is pure: bytes and values in,
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
"""Returns the bytes of a file that a message names; may raise OSError."""

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class CallContext(msgspec.Struct, frozen=True, kw_only=True):
    """What reading an answer needs to know of the call that it answers.

    Attributes:
        model: The model that was asked for: a 404 that names it is about the model, not the path.
        n: How many choices were asked for.
        audit: Whether to hold every event to the strict contract.
        limits: How much the answer may hold.
        cut_short: Whether the connection was lost before the end of the body's framing.
        error_rules: The provider's rules, tried before the format's.
        hints: The provider's hints about its errors, by ``kind/status`` or ``kind``, tried likewise.
        find_secrets: Returns what an error must not repeat: the key and other credentials. A function, so
            that the context doesn't hold them, and that only errors cost the look-up.
    """

    model: str | None = None
    n: int = 1
    audit: bool = False
    limits: Limits = DEFAULT_LIMITS
    cut_short: bool = False
    error_rules: tuple[ErrorRule, ...] = ()
    hints: Mapping[str, str] = _NONE
    find_secrets: Callable[[], tuple[str, ...]] = tuple

    @property
    def secrets(self) -> tuple[str, ...]:
        """What an error must not repeat, in the clear."""
        return self.find_secrets()


class ModelPage(msgspec.Struct, frozen=True):
    """One page of a model list.

    Attributes:
        models: The models, in the server's order.
        cursor: What to ask the next page with; None on the last one.
    """

    models: list[Model]
    cursor: str | None = None


class StreamReader(Protocol):
    """One streamed answer, from its first byte to its last: feed it, deliver the chunks, then finish it."""

    @property
    def events(self) -> int:
        """How many events have come; comments are none, so that progress differs from keep-alives."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the stream has said that it is over, or failed: what follows isn't read."""
        ...

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after `finish`."""
        ...

    def feed(self, piece: bytes) -> list[StreamChunk]:
        """Take the next bytes, decompressed, and return the chunks that they complete, none of them final."""
        ...

    def finish(self) -> list[StreamChunk]:
        """End the stream and return the last chunks; the final one is the last of them.

        Raises:
            ModelsError: The stream broke, or wasn't an answer.
        """
        ...

    def partial(self) -> GenerateResponse | None:
        """Return what has been delivered, for an error to carry; None if nothing was."""
        ...


class Dialect(Protocol):
    """A chat format."""

    @property
    def name(self) -> str:
        """The format's name: that of its folder here, and below ``contracts/`` and ``fixtures/cases/``."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the format can carry."""
        ...

    def chat(
        self, request: GenerateRequest, *, model: str, stream: bool, read_media: ReadMedia
    ) -> HttpRequest:
        """Encode a request.

        Args:
            request: What to ask.
            model: The model, unless the request names its own.
            stream: Whether the answer should be streamed.
            read_media: Returns the bytes of a file that a message names.

        Raises:
            RequestError: The format can't carry the request; with the path and the rule.
        """
        ...

    def response(self, head: ResponseHead, body: bytes, context: CallContext) -> GenerateResponse:
        """Decode a whole answer, decompressed.

        Raises:
            ResponseError: It isn't one.
            StreamError: It is an error in spite of its status.
        """
        ...

    def encode_response(self, response: GenerateResponse) -> bytes:
        """Encode an answer as the body that `response` decodes to it, for a cache."""
        ...

    def stream(self, head: ResponseHead, context: CallContext) -> StreamReader:
        """Return the reader of a streamed answer."""
        ...

    def error(self, head: ResponseHead, body: bytes, context: CallContext) -> ApiError:
        """Return the error that an answer is whose status isn't a 2xx; never raise."""
        ...

    def usage(self, body: bytes) -> Usage | None:
        """Return the token counts in a body that isn't an answer, for they are billed; None without any."""
        ...

    def models(self, cursor: str | None = None) -> HttpRequest:
        """Return the request for a page of the model list; the first one without a cursor."""
        ...

    def model_page(self, head: ResponseHead, body: bytes, context: CallContext) -> ModelPage:
        """Decode a page of the model list.

        Raises:
            ResponseError: It isn't one.
            StreamError: It is an error in spite of its status.
        """
        ...

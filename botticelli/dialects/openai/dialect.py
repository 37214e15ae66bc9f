"""Offer the OpenAI chat format by the interface of `botticelli.dialects.dialect`.

What reads answers and errors is imported with the first answer. It is two thirds of the format's code, and a
program that only makes a driver doesn't need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.core.driver import Capabilities
from botticelli.core.request import GenerateRequest
from botticelli.dialects.dialect import ModelPage
from botticelli.dialects.openai.request import encode_request
from botticelli.dialects.openai.rules import refuse
from botticelli.protocol.http import HttpRequest

if TYPE_CHECKING:
    from botticelli.core.errors import ApiError, StreamError
    from botticelli.core.response import GenerateResponse, Usage
    from botticelli.dialects.dialect import CallContext, ReadMedia
    from botticelli.dialects.openai.errors import MakeStreamError
    from botticelli.dialects.openai.stream import OpenAIStreamReader
    from botticelli.protocol.http import ResponseHead

__all__ = ["OpenAIDialect"]

_JSON = {"accept": "application/json", "content-type": "application/json"}
_EVENTS = {"accept": "text/event-stream", "content-type": "application/json"}


class _Billed(msgspec.Struct):
    usage: Any = None


class _Page(msgspec.Struct):
    has_more: bool = False
    last_id: str | None = None


class OpenAIDialect(msgspec.Struct, frozen=True):
    """Implement the OpenAI chat format: ``POST /chat/completions`` and ``GET /models``.

    Attributes:
        max_tokens_field: Under which name `GenerateRequest.max_tokens` is sent.
    """

    max_tokens_field: str = "max_tokens"

    @property
    def name(self) -> str:
        """Return the format's name, ``openai``."""
        return "openai"

    @property
    def capabilities(self) -> Capabilities:
        """Return what the format can carry."""
        return Capabilities()

    def chat(
        self, request: GenerateRequest, *, model: str, stream: bool, read_media: ReadMedia
    ) -> HttpRequest:
        """Encode a request; see `Dialect.chat`."""
        given: Any = request
        if not isinstance(given, GenerateRequest):
            refuse("type", "$", f"the request must be a GenerateRequest, not {type(given).__name__}")
        body = encode_request(
            request, model=model, stream=stream, max_tokens_field=self.max_tokens_field, read=read_media
        )
        return HttpRequest(path="/chat/completions", headers=_EVENTS if stream else _JSON, body=body)

    def response(self, head: ResponseHead, body: bytes, context: CallContext) -> GenerateResponse:
        """Decode a whole answer; see `Dialect.response`."""
        from botticelli.dialects.openai.stream import decode_answer

        return decode_answer(
            body,
            status=head.status,
            content_type=head.content_type,
            make_error=_bind(context),
            n=context.n,
            audit=context.audit,
            limits=context.limits,
            cut_short=context.cut_short,
        )

    def encode_response(self, response: GenerateResponse) -> bytes:
        """Encode an answer as the body that decodes to it."""
        from botticelli.dialects.openai.response import encode_response

        return encode_response(response)

    def stream(self, head: ResponseHead, context: CallContext) -> OpenAIStreamReader:
        """Return the reader of a streamed answer."""
        from botticelli.dialects.openai.stream import OpenAIStreamReader

        return OpenAIStreamReader(
            status=head.status,
            content_type=head.content_type,
            make_error=_bind(context),
            n=context.n,
            audit=context.audit,
            usage=context.usage,
            limits=context.limits,
        )

    def error(self, head: ResponseHead, body: bytes, context: CallContext) -> ApiError:
        """Return the error for an answer whose status isn't a 2xx."""
        from botticelli.dialects.openai.errors import error_from_response

        return error_from_response(head, body, context)

    def usage(self, body: bytes) -> Usage | None:
        """Return the token counts in a body that isn't an answer, or None."""
        from botticelli.dialects.openai.response import read_usage

        try:
            counted = msgspec.json.decode(body, type=_Billed).usage
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return read_usage(counted) if counted is not None else None

    def models(self, cursor: str | None = None) -> HttpRequest:
        """Return the request for the model list, or for the page of it after a cursor."""
        # the name in OpenAI's other lists, and the one in Anthropic's, whose list gateways hand on
        query = {} if cursor is None else {"after": cursor, "after_id": cursor}
        return HttpRequest(method="GET", path="/models", query=query, headers={"accept": "application/json"})

    def model_page(self, head: ResponseHead, body: bytes, context: CallContext) -> ModelPage:
        """Decode the model list; see `Dialect.model_page`."""
        from botticelli.dialects.openai.models import decode_models

        models = decode_models(body, status=head.status, make_error=_bind(context), limits=context.limits)
        return ModelPage(models, _next_page(body))


def _next_page(body: bytes) -> str | None:
    """Return the cursor of the next page; None if this is the only one, as in the published format.

    Some gateways page the model list as OpenAI pages its other lists (experiential#1055, kilocode#10563).
    """
    try:
        page = msgspec.json.decode(body, type=_Page)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return page.last_id or None if page.has_more else None


def _bind(context: CallContext) -> MakeStreamError:
    """Return what makes an exception of an error inside a 200."""
    from botticelli.dialects.openai.errors import error_in_success

    def make_error(body: bytes, /, *, partial: GenerateResponse | None = None) -> StreamError:
        return error_in_success(body, context, partial=partial)

    return make_error

"""Describe the models that a server offers (`driver.models()`) and what a driver used (`driver.usage`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.core.message import NOTHING

if TYPE_CHECKING:
    from botticelli.core.response import Usage

__all__ = ["Model", "ModelProvider", "UsageTotals"]

_MOST = 2**53


class ModelProvider(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the services behind a router that serve a model; None where unknown.

    Attributes:
        provider: The service's name, such as ``together``.
        status: ``live``, ``error`` or another word of the router.
        context_length: How many tokens a prompt and its answer may have together.
        input_price: USD per million input tokens.
        output_price: USD per million output tokens.
        is_free: Whether it costs nothing, whatever the prices are.
        supports_tools: Whether it supports tools.
        supports_structured_output: Whether it supports answers that match a JSON schema.
        first_token_latency: Seconds to the first token, as the router measured.
        throughput: Tokens per second, as the router measured.
        is_model_author: Whether the service is run by those who made the model.
        extra: Members that the list has beyond these, as sent.
    """

    provider: str
    status: str | None = None
    context_length: int | None = None
    input_price: float | None = None
    output_price: float | None = None
    is_free: bool | None = None
    supports_tools: bool | None = None
    supports_structured_output: bool | None = None
    first_token_latency: float | None = None
    throughput: float | None = None
    is_model_author: bool | None = None
    extra: Mapping[str, Any] = NOTHING


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model of a server's list; None or empty where unknown.

    Attributes:
        id: The name to use in requests.
        created: When it was made or added, in Unix seconds.
        owned_by: Its owner, as the server names it.
        input_modalities: The kinds of input that it takes, such as ``("text", "image")``.
        output_modalities: The kinds of output that it produces.
        providers: The services that serve it, where the server is a router.
        extra: Members that the list has beyond these, as sent.
    """

    id: str
    created: int | None = None
    owned_by: str | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    providers: tuple[ModelProvider, ...] = ()
    extra: Mapping[str, Any] = NOTHING

    def price(self, provider: str | None = None) -> tuple[float, float] | None:
        """Return the price in USD per million tokens (input, output), or None where unknown.

        Args:
            provider: The service that answers. Without it, the price is known only if all
                services ask the same.
        """
        offers = {
            (0.0, 0.0) if offer.is_free else (offer.input_price, offer.output_price)
            for offer in self.providers
            if provider is None or offer.provider == provider
        }
        if len(offers) != 1:
            return None
        input_price, output_price = offers.pop()
        return None if input_price is None or output_price is None else (input_price, output_price)


class UsageTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The totals of what a driver has used since it was made; an immutable value.

    Attributes:
        calls: Calls that began at least one request, including requests that never reached the server.
            Answers from the cache and model lists don't count.
        retries: Requests beyond the first of each call.
        prompt_tokens: Input tokens as the servers counted them, including those of unfinished answers.
        completion_tokens: Output tokens, counted the same way.
        unknown: Answers whose usage the server didn't state in full, or as more than 2**53 tokens; the
            totals are too low by these. Many servers state a stream's usage only if they are asked to
            (`GenerateRequest.stream_usage`).
        cost: USD for the answers with a known price. Every input token counts at full price, since discounts
            for cached ones aren't published.
        priced: Answers whose usage and price were known.
    """

    calls: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unknown: int = 0
    cost: float = 0.0
    priced: int = 0

    def add(
        self,
        *,
        attempts: int,
        usage: Usage | None,
        answered: bool = True,
        price: tuple[float, float] | None = None,
    ) -> UsageTotals:
        """Return the totals with one more call.

        Args:
            attempts: How many requests the call began, at least one.
            usage: The usage that the server stated, or None.
            answered: Whether an answer arrived; a failed call without usage isn't counted as `unknown`.
            price: USD per million tokens (input, output), or None where unknown.
        """
        prompt = _credible(usage.prompt_tokens) if usage else None
        completion = _credible(usage.completion_tokens) if usage else None
        known = prompt is not None and completion is not None
        priced = known and price is not None
        rates = price if priced and price else (0.0, 0.0)
        return UsageTotals(
            calls=self.calls + 1,
            retries=self.retries + attempts - 1,
            prompt_tokens=self.prompt_tokens + (prompt or 0),
            completion_tokens=self.completion_tokens + (completion or 0),
            unknown=self.unknown + (answered and not known),
            cost=self.cost + ((prompt or 0) * rates[0] + (completion or 0) * rates[1]) / 1e6,
            priced=self.priced + priced,
        )


def _credible(count: int | None) -> int | None:
    """Return a count that a float holds exactly; a longer one is no count, and its price would overflow."""
    return count if count is not None and count <= _MOST else None

"""What a server serves (`driver.models()`) and what a driver has used (`driver.usage`): no wire, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from botticelli.core.response import Usage

__all__ = ["Model", "ModelProvider", "UsageTotals"]


class ModelProvider(msgspec.Struct, frozen=True, kw_only=True):
    """One of the providers that serve a model behind the HuggingFace router; None where it didn't say.

    Attributes:
        provider: Its name, such as ``together``; ``model:together`` asks for it.
        status: ``live``, ``error`` or another word of the router's.
        context_length: How many tokens a prompt and its answer may have together.
        input_price: USD per million prompt tokens.
        output_price: USD per million answer tokens.
        is_free: Whether it costs nothing.
        supports_tools: Whether it takes tools.
        supports_structured_output: Whether it takes a JSON schema.
        first_token_latency: Seconds to the first token, as the router measured.
        throughput: Tokens per second, as the router measured.
        is_model_author: Whether the provider made the model.
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


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a server's list; None where it didn't say.

    Attributes:
        id: What to ask for.
        created: Unix seconds.
        owned_by: Whose it is.
        input_modalities: What it takes, such as ``("text", "image")``.
        output_modalities: What it gives.
        providers: Who serves it, behind the HuggingFace router.
    """

    id: str
    created: int | None = None
    owned_by: str | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    providers: tuple[ModelProvider, ...] = ()

    def price(self, provider: str | None = None) -> tuple[float, float] | None:
        """USD per million tokens (of the prompt, of the answer), or None where it isn't known.

        Args:
            provider: Whose price; None is known only if all the providers' prices are the same.
        """
        offers = {
            (0.0, 0.0) if offer.is_free else (offer.input_price, offer.output_price)
            for offer in self.providers
            if provider is None or offer.provider == provider
        }
        if len(offers) != 1:
            return None
        prompt, answer = offers.pop()
        return None if prompt is None or answer is None else (prompt, answer)


class UsageTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver has used since it was made; adding gives a new value.

    Attributes:
        calls: Calls that began at least one request, whether or not it reached the server. Answers from the
            cache begin none, nor do lists of models count.
        retries: Requests beyond the first of each call.
        prompt_tokens: As the servers counted, in answers that were left or broken off too.
        completion_tokens: Likewise.
        unknown: Answers of which the server didn't tell the whole usage, so that the totals are too low by
            them. A stream tells it only if it is asked to (`GenerateRequest.stream_usage`).
        cost: USD, of the answers whose price is known (see `priced`), at the full price of every prompt
            token: discounts for cached ones aren't published.
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
        """These totals and one call more.

        Args:
            attempts: How many requests the call began, at least one.
            usage: What the server counted, or None.
            answered: Whether an answer came (a failed call has no usage to miss).
            price: USD per million tokens of the prompt and of the answer, if known.
        """
        prompt = usage.prompt_tokens if usage else None
        answer = usage.completion_tokens if usage else None
        known = prompt is not None and answer is not None
        priced = known and price is not None
        rates = price if priced and price else (0.0, 0.0)
        return UsageTotals(
            calls=self.calls + 1,
            retries=self.retries + attempts - 1,
            prompt_tokens=self.prompt_tokens + (prompt or 0),
            completion_tokens=self.completion_tokens + (answer or 0),
            unknown=self.unknown + (answered and not known),
            cost=self.cost + ((prompt or 0) * rates[0] + (answer or 0) * rates[1]) / 1e6,
            priced=self.priced + priced,
        )

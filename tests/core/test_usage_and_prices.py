"""Prices of models and totals of what a driver used."""

from __future__ import annotations

import pytest

from botticelli.core.models import Model, ModelProvider, UsageTotals
from botticelli.core.response import Usage


def offer(
    provider: str, prompt: float | None, answer: float | None, free: bool | None = None
) -> ModelProvider:
    return ModelProvider(provider=provider, input_price=prompt, output_price=answer, is_free=free)


DEAR, CHEAP = offer("dear", 2.0, 8.0), offer("cheap", 0.5, 1.0)


@pytest.mark.parametrize(
    ("offers", "provider", "price"),
    [
        ((), None, None),
        ((DEAR,), None, (2.0, 8.0)),
        ((DEAR,), "dear", (2.0, 8.0)),
        ((DEAR,), "cheap", None),
        ((DEAR, CHEAP), "cheap", (0.5, 1.0)),
        ((DEAR, CHEAP), None, None),
        ((DEAR, offer("same", 2.0, 8.0)), None, (2.0, 8.0)),
        ((offer("half", 2.0, None),), None, None),
        ((offer("half", None, 2.0),), "half", None),
        ((offer("silent", None, None),), None, None),
        ((offer("gift", None, None, free=True),), None, (0.0, 0.0)),
        ((offer("gift", 3.0, 3.0, free=True),), None, (0.0, 0.0)),
        ((offer("paid", 3.0, 3.0, free=False),), None, (3.0, 3.0)),
        ((DEAR, offer("gift", None, None, free=True)), None, None),
        ((offer("zero", 0.0, 0.0),), None, (0.0, 0.0)),
    ],
)
def test_a_price_is_known_only_if_it_is_certain(
    offers: tuple[ModelProvider, ...], provider: str | None, price: tuple[float, float] | None
) -> None:
    assert Model(id="m", providers=offers).price(provider) == price


def usage(prompt: int | None, answer: int | None) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=answer)


def test_nothing_used_is_all_zeros() -> None:
    assert UsageTotals() == UsageTotals(
        calls=0, retries=0, prompt_tokens=0, completion_tokens=0, unknown=0, cost=0.0, priced=0
    )


def test_a_priced_call_adds_its_tokens_and_its_cost() -> None:
    totals = UsageTotals().add(attempts=3, usage=usage(1000, 500), price=(2.0, 8.0))
    assert totals == UsageTotals(
        calls=1, retries=2, prompt_tokens=1000, completion_tokens=500, cost=0.006, priced=1
    )


def test_adding_leaves_the_old_totals_as_they_were() -> None:
    before = UsageTotals(calls=5, cost=1.0)
    after = before.add(attempts=1, usage=usage(1, 1))
    assert before == UsageTotals(calls=5, cost=1.0)
    assert (after.calls, after.retries, after.cost) == (6, 0, 1.0)


def test_calls_add_up() -> None:
    totals = UsageTotals()
    for _ in range(4):
        totals = totals.add(attempts=2, usage=usage(10, 1), price=(1.0, 1.0))
    assert (totals.calls, totals.retries, totals.priced) == (4, 4, 4)
    assert (totals.prompt_tokens, totals.completion_tokens) == (40, 4)
    assert totals.cost == pytest.approx(44e-6)


def test_a_free_answer_is_priced_at_nothing() -> None:
    totals = UsageTotals().add(attempts=1, usage=usage(10, 10), price=(0.0, 0.0))
    assert (totals.cost, totals.priced) == (0.0, 1)


@pytest.mark.parametrize("counted", [None, usage(None, None), usage(7, None), usage(None, 7)])
def test_an_answer_without_its_whole_usage_is_unknown_and_unpriced(counted: Usage | None) -> None:
    totals = UsageTotals().add(attempts=1, usage=counted, price=(1.0, 1.0))
    assert (totals.unknown, totals.priced, totals.cost) == (1, 0, 0.0)
    assert totals.prompt_tokens + totals.completion_tokens == (
        0 if counted in (None, usage(None, None)) else 7
    )


def test_counted_zeros_are_known() -> None:
    totals = UsageTotals().add(attempts=1, usage=usage(0, 0), price=(1.0, 1.0))
    assert (totals.unknown, totals.priced) == (0, 1)


def test_a_failed_call_counts_but_misses_no_usage() -> None:
    totals = UsageTotals().add(attempts=3, usage=None, answered=False)
    assert totals == UsageTotals(calls=1, retries=2)

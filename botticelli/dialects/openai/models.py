"""Decode the model list, the members of the HuggingFace router included.

Source: `ListModelsResponse` of the published specification, `contracts/huggingface/model-list`; the odd
shapes are those of `contracts/wire/model-list`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from botticelli.core.errors import EmptyResponseError, MalformedResponseError
from botticelli.core.message import NOTHING
from botticelli.core.models import Model, ModelProvider
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.errors import error_in_success, is_error
from botticelli.dialects.openai.limits import excess_in_text
from botticelli.dialects.openai.repair import mend
from botticelli.protocol import lenient_json
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.lenient_json import as_whole_number, is_array, is_object
from botticelli.protocol.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.dialects.openai.errors import MakeStreamError
    from botticelli.protocol.deviations import DeviationLog
    from botticelli.protocol.limits import Limits

__all__ = ["decode_models"]


def decode_models(
    body: bytes,
    *,
    status: int = 200,
    make_error: MakeStreamError = error_in_success,
    log: DeviationLog | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> list[Model]:
    """Read the body of a 2xx answer to a request for the models.

    Args:
        body: The bytes, decompressed.
        status: The status it came with, for errors.
        make_error: What makes an error of an error in the body.
        log: Where to note what breaks the format; None if nobody asks, as no driver does.
        limits: How much the list may hold.

    Returns:
        The models, in the server's order; entries without an id are left out, unless there is nothing else.

    Raises:
        EmptyResponseError: If there is no body.
        MalformedResponseError: If it isn't JSON, not a list of models, or beyond `limits`.
        StreamError: If it is an error in spite of its status.
    """
    kept = body[:MAX_BODY]
    if not body.strip():
        raise EmptyResponseError("the model list has no body", status=status, body=kept)
    if excess := excess_in_text(body, limits):
        raise MalformedResponseError(excess, path="$.data", status=status, body=kept)
    found = lenient_json.try_parse(body)
    if isinstance(found, lenient_json.NotJsonError):
        raise MalformedResponseError(
            f"the model list isn't JSON: {found}; it begins {lenient_json.excerpt(body)!r}",
            path=f"character {found.position}",
            status=status,
            body=kept,
        )
    value, codes, _ = found
    if log is not None:
        _judge(value, codes, log)
    if is_error(value):
        raise make_error(kept)
    entries = _entries(value)
    models = [model for model in map(_model, entries or ()) if model is not None]
    if entries is None or (entries and not models):
        raise MalformedResponseError(
            f"the answer isn't a model list: {lenient_json.excerpt(body)!r}",
            path="$.data",
            status=status,
            body=kept,
        )
    return models


def _judge(value: Any, codes: list[str], log: DeviationLog) -> None:
    if is_array(value):
        codes = [*codes, "models-bare-array"]
        value = {"object": "list", "data": value}
    for code in codes:
        log.add(code)
    if is_object(value):
        mend(value, wire.ModelList, log)


def _entries(value: Any) -> list[Any] | None:
    """Return the entries, or None where there is no list of them."""
    if is_array(value):  # models-bare-array
        return value
    if not is_object(value):
        return None
    data = value.get("data", value.get("models"))
    if is_array(data):
        return data
    # null for an empty list (models-data-null)
    return [] if data is None and ("data" in value or value.get("object") == "list") else None


def _model(entry: Any) -> Model | None:
    if isinstance(entry, str):
        return Model(id=entry) if entry else None
    if not is_object(entry):
        return None
    identity = next((name for name in (entry.get("id"), entry.get("name")) if name), entry.get("id"))
    if not isinstance(identity, str):
        return None
    architecture = entry.get("architecture")
    modalities = architecture if is_object(architecture) else {}
    providers = entry.get("providers")
    return Model(
        id=identity,
        created=_whole(entry.get("created")),
        owned_by=_text(entry.get("owned_by")),
        input_modalities=_texts(modalities.get("input_modalities")),
        output_modalities=_texts(modalities.get("output_modalities")),
        providers=tuple(
            _provider(offer)
            for offer in (providers if is_array(providers) else ())
            if is_object(offer) and isinstance(offer.get("provider"), str)
        ),
        extra=_beside(entry, _READ),
    )


_MODALITIES = frozenset({"input_modalities", "output_modalities"})
_PRICES = frozenset({"input", "output"})
_READ: Final[dict[str, frozenset[str] | None]] = {
    **dict.fromkeys(("id", "name", "object", "created", "owned_by", "providers")),
    "architecture": _MODALITIES,
}
"""The members of an entry that are read; of an object, which of its own."""
_READ_OF_PROVIDER: Final[dict[str, frozenset[str] | None]] = {
    **dict.fromkeys(("provider", "status", "context_length", "is_free", "supports_tools")),
    **dict.fromkeys(
        ("supports_structured_output", "first_token_latency_ms", "throughput", "is_model_author")
    ),
    "pricing": _PRICES,
}


def _beside(members: dict[str, Any], read: Mapping[str, frozenset[str] | None]) -> Mapping[str, Any]:
    """Return the members that aren't read."""
    found: dict[str, Any] = {}
    for name, value in members.items():
        inner = read.get(name)
        whole = name in read if inner is None else is_object(value) and value.keys() <= inner
        if not whole and not (value is None and name in read):
            found[name] = value
    return found or NOTHING


def _provider(offer: dict[str, Any]) -> ModelProvider:
    price = offer.get("pricing")
    pricing = price if is_object(price) else {}
    latency = _number(offer.get("first_token_latency_ms"))
    return ModelProvider(
        provider=offer["provider"],
        status=_text(offer.get("status")),
        context_length=_whole(offer.get("context_length")),
        input_price=_number(pricing.get("input")),
        output_price=_number(pricing.get("output")),
        is_free=_flag(offer.get("is_free")),
        supports_tools=_flag(offer.get("supports_tools")),
        supports_structured_output=_flag(offer.get("supports_structured_output")),
        first_token_latency=None if latency is None else latency / 1000,
        throughput=_number(offer.get("throughput")),
        is_model_author=_flag(offer.get("is_model_author")),
        extra=_beside(offer, _READ_OF_PROVIDER),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if is_array(value) else ()


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    """Return a finite number that isn't negative; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    if number is None:
        return None
    exact = as_whole_number(value)  # which a double need not be
    return int(number) if exact is None else exact

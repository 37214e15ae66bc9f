"""How the HuggingFace router, and the servers behind it, word what the statuses leave open: data, no logic.

A table of the provider's: its `Provider` value refers to it, and nothing else does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botticelli.protocol.error_rules import ErrorRule

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HUGGINGFACE_HINTS", "HUGGINGFACE_RULES"]

_REFUSED = frozenset({400, 404, 422})

HUGGINGFACE_RULES: Final[tuple[ErrorRule, ...]] = (
    # the router has one code for two situations, source: huggingface/mlclaw, probe of June 2026
    ErrorRule(
        kind="not_chat_model",
        statuses=_REFUSED,
        codes=frozenset({"model_not_supported"}),
        patterns=(r"\bis not a chat model\b",),
    ),
    ErrorRule(
        kind="model_not_found",
        statuses=_REFUSED,
        codes=frozenset({"model_not_supported"}),
        patterns=(r"\bis not supported by any provider\b",),
    ),
    # a route pinned with "model:provider", source: huggingface/huggingface.js#2225
    ErrorRule(
        kind="model_not_found", statuses=_REFUSED, patterns=(r"^Model not supported by provider \S+$",)
    ),
    # hf-inference and its proxy, source: huggingface.js, recorded
    ErrorRule(
        kind="model_not_found",
        statuses=_REFUSED,
        patterns=(r"^Model \S+ does not exist\.?$", r"^Not Found: Model not found\.?$"),
    ),
    # TGI with a base model: no chat template, source: huggingface.js, recorded
    ErrorRule(
        kind="not_chat_model",
        statuses=_REFUSED,
        types=frozenset({"template_error"}),
        patterns=(r"\btemplate not found\b",),
    ),
)
"""Tried before the format's own rows."""

HUGGINGFACE_HINTS: Final[Mapping[str, str]] = {
    "authentication": (
        "check HUGGINGFACE_API_KEY: HuggingFace tokens start with hf_ and are made at "
        "https://huggingface.co/settings/tokens"
    ),
    "permission_denied": (
        'give the token the fine-grained permission "Make calls to Inference Providers" at '
        "https://huggingface.co/settings/tokens"
    ),
    "model_not_found": "check the name (org/name or org/name:provider) against `botticelli models`",
    "not_chat_model": 'choose a model that chats, such as one with "Instruct" in its name',
    "not_found": "check the base URL: the router's is https://router.huggingface.co/v1",
    "rate_limit": "wait before the next call; without a token fewer are allowed",
    "credits_exhausted": "https://huggingface.co/settings/billing shows what is left of the credits",
}
"""Tried before the format's own hints."""

"""What makes one provider of the OpenAI format differ from another, as one frozen value. No I/O.

A quirk enters here as a field; nowhere else in the package is a provider's name asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from botticelli.dialects.openai.refinements import Refinement

__all__ = ["Provider"]

_NONE: Mapping[str, str] = MappingProxyType({})


class Provider(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A provider that speaks the OpenAI format.

    Attributes:
        name: One word for errors, logs and `provider_name`.
        base_url: Where the API begins, up to but without ``/chat/completions``.
        key_env: Environment variables that may hold the key, the first one that isn't empty counts.
        base_url_env: The environment variable that overrides `base_url`, or None.
        auth_header: The header that carries the key: ``Authorization``, Azure's ``api-key``.
        auth_scheme: The word before the key in that header; empty for none.
        key_prefix: What its keys begin with. Never enforced; a 401 mentions it.
        key_help: What to do for a key, as the beginning of a sentence, for the error about a missing one.
        headers: Sent with every request; a driver's own headers come after them.
        bill_to_header: The header that names who pays, or None where there is none.
        max_tokens_field: Under which name `max_tokens` is sent.
        refinements: Rows that make its errors more precise, tried before the format's.
        hints: What to do about its errors, by ``kind/status`` or ``kind``.
    """

    name: str
    base_url: str
    key_env: tuple[str, ...]
    base_url_env: str | None = None
    auth_header: str = "Authorization"
    auth_scheme: str = "Bearer"
    key_prefix: str = ""
    key_help: str = ""
    headers: Mapping[str, str] = _NONE
    bill_to_header: str | None = None
    max_tokens_field: str = "max_tokens"
    refinements: tuple[Refinement, ...] = ()
    hints: Mapping[str, str] = _NONE

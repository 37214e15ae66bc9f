"""Ollama through its OpenAI-compatible ``/v1``: the provider, what is special about it, the two drivers.

Source: https://github.com/ollama/ollama, revision fb307609 (``openai/openai.go``, ``envconfig/config.go``).
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.drivers.driver import AsyncChatDriver, ChatDriver
from botticelli.drivers.provider import Provider
from botticelli.protocol.error_rules import ErrorRule

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OLLAMA", "OLLAMA_HINTS", "OLLAMA_RULES", "AsyncOllamaDriver", "OllamaDriver", "read_host"]

OLLAMA_RULES: Final[tuple[ErrorRule, ...]] = (
    # a model that wasn't pulled, source: ollama's openai/openai.go (NewError) and server/routes.go
    ErrorRule(
        kind="model_not_found",
        statuses=frozenset({404}),
        patterns=(r"""^model ["'][^"']+["'] not found\b""",),
    ),
    # a quota of Ollama's cloud, used up for hours or days, without a Retry-After,
    # source: NousResearch/hermes-agent#68832, continuedev/continue#9233
    ErrorRule(
        kind="credits_exhausted",
        statuses=frozenset({429}),
        patterns=(r"\breached your (?:session|hourly|weekly|monthly) usage limit\b",),
    ),
)
"""Tried before the format's own rows. The status decides otherwise: its types say nothing."""

OLLAMA_HINTS: Final[Mapping[str, str]] = {
    "authentication": "models in Ollama's cloud need `ollama signin`, or OLLAMA_API_KEY for https://ollama.com",
    "model_not_found": "get it with `ollama pull`; `botticelli models --provider ollama` lists what is there",
    "not_found": "check the base URL: Ollama's OpenAI-compatible API is below /v1",
    "credits_exhausted": "https://ollama.com/settings shows what is left of the cloud's quota",
}
"""Tried before the format's own hints."""

_PORTS: Final[Mapping[str, str]] = {"http": "80", "https": "443"}
_PORT: Final = "11434"
_LARGEST_PORT: Final = 65535


def read_host(value: str) -> str:
    """Return the base URL for a value of ``OLLAMA_HOST``, by the rules of ``envconfig.Host``.

    The scheme, the host and the port may each be missing. An address that only a server can use, such as
    0.0.0.0, means this machine. ``/v1`` is added unless the path ends in it.

    >>> read_host("0.0.0.0")
    'http://127.0.0.1:11434/v1'
    >>> read_host("https://example.com/ollama")
    'https://example.com:443/ollama/v1'
    """
    text = value.strip().strip("\"'").strip()
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = ("https", "ollama.com:443") if text == "ollama.com" else ("http", text)
    default = _PORTS.get(scheme, _PORT) if mark else _PORT
    authority, _, path = rest.partition("/")
    host, port = _host_and_port(authority)
    if not (port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT):
        port = default
    path = path.rstrip("/")
    root = f"{scheme}://{_for_client(host)}:{port}" + (f"/{path}" if path else "")
    return root if path == "v1" or path.endswith("/v1") else f"{root}/v1"


def _host_and_port(authority: str) -> tuple[str, str]:
    """Split ``host:port``, ``[::1]:port``, ``:port``, a bare host and a bare IPv6 address."""
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        return host, port.removeprefix(":")
    if authority.count(":") > 1:
        return authority, ""
    host, _, port = authority.partition(":")
    return host, port


def _for_client(host: str) -> str:
    """Return a host as a URL has it, with this machine for an address that only servers listen on."""
    try:
        address = ip_address(host or "0.0.0.0")  # noqa: S104 -- read, and never listened on
    except ValueError:
        return host
    if address.is_unspecified:
        return "[::1]" if isinstance(address, IPv6Address) else "127.0.0.1"
    return f"[{address}]" if isinstance(address, IPv6Address) else str(address)


OLLAMA: Final = Provider(
    name="ollama",
    base_url=f"http://127.0.0.1:{_PORT}/v1",
    dialect=OpenAIDialect(),
    default_model="llama3.2",
    key_env=("OLLAMA_API_KEY",),
    key_required=False,
    base_url_env="OLLAMA_HOST",
    base_url_reader=read_host,
    error_rules=OLLAMA_RULES,
    hints=OLLAMA_HINTS,
    self_hosted=True,
)
"""A server on this machine, unless ``OLLAMA_HOST`` names another. It needs no key."""


class OllamaDriver(ChatDriver):
    """Models served by Ollama, on this machine or elsewhere.

    Example:
        >>> from botticelli import GenerateRequest, Message, OllamaDriver
        >>> driver = OllamaDriver("llama3.2")
        >>> driver.generate(GenerateRequest([Message.user("Hello!")])).text  # doctest: +SKIP
    """

    provider = OLLAMA


class AsyncOllamaDriver(AsyncChatDriver):
    """The same for asyncio and trio; one driver belongs to one event loop."""

    provider = OLLAMA

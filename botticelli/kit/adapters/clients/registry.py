"""The words for the clients that the kit comes with adapters for, and how their adapters are opened.

The command line lists the words in its help, so this module imports nothing that costs time at its start.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from botticelli.kit.adapters.adapter import Adapter, AsyncAdapter

__all__ = ["CLIENTS", "NODE", "PYTHON", "WORDS", "adapters_for", "node_command", "open_client"]


class NodeClient(NamedTuple):
    """An adapter in JavaScript: its file in ``js/``, and the packages that it imports."""

    file: str
    packages: tuple[str, ...]


PYTHON: Final = {
    "openai-sync": ("openai", "OpenAIAdapter"),
    "openai-async": ("openai", "AsyncOpenAIAdapter"),
    "huggingface_hub": ("huggingface_hub", "HuggingFaceHubAdapter"),
    "litellm": ("litellm", "LiteLLMAdapter"),
    "langchain-openai": ("langchain_openai", "LangChainAdapter"),
    "pydantic-ai": ("pydantic_ai", "PydanticAIAdapter"),
    "httpx": ("httpx", "HttpxAdapter"),
}
"""Adapters in Python: the module in this package, and the class."""

NODE: Final = {
    "npm:openai": NodeClient("openai.mjs", ("openai",)),
    "npm:@huggingface/inference": NodeClient("huggingface-inference.mjs", ("@huggingface/inference",)),
    "npm:@ai-sdk/openai-compatible": NodeClient(
        "ai-sdk-openai-compatible.mjs", ("@ai-sdk/openai-compatible", "ai")
    ),
}
"""Adapters in JavaScript."""

CLIENTS: Final = frozenset({*PYTHON, *NODE})
"""The words that name one adapter each."""

_SEVERAL: Final = {"openai": ("openai-sync", "openai-async")}

WORDS: Final = (*_SEVERAL, *PYTHON, *NODE)
"""All the words, in the order in which they are listed."""

_JS = Path(__file__).with_name("js")


def adapters_for(word: str) -> tuple[str, ...]:
    """Return the words of the adapters that a word stands for; none where it isn't one."""
    return _SEVERAL.get(word) or ((word,) if word in CLIENTS else ())


def open_client(word: str, limit: float) -> Adapter | AsyncAdapter:
    """Open the adapter of one client.

    Args:
        word: One of ``CLIENTS``.
        limit: Seconds that a program has for one call.

    Raises:
        AdapterError: The client isn't installed.
    """
    if word in NODE:
        from botticelli.kit.adapters.process import ProcessAdapter

        return ProcessAdapter(node_command(word), limit)
    module, name = PYTHON[word]
    found: Any = import_module(f"{__package__}.{module}")
    adapter: Adapter | AsyncAdapter = getattr(found, name)()
    return adapter


def node_command(word: str, folder: Path = _JS) -> list[str]:
    """Return the command that starts an adapter in JavaScript.

    Args:
        word: One of ``NODE``.
        folder: Where the adapters are, and their clients below ``node_modules``.

    Raises:
        AdapterError: Node or the client is missing.
    """
    import shlex
    import shutil

    from botticelli.kit.errors import AdapterError

    node = shutil.which("node")
    if node is None:
        raise AdapterError(f"{word} needs Node, and there is no program node: install Node 20 or newer")
    client = NODE[word]
    for package in client.packages:
        if not (folder / "node_modules" / package / "package.json").is_file():
            install = shlex.join(["npm", "install", "--prefix", str(folder)])
            raise AdapterError(f"the client {package!r} isn't installed; install it with: {install}")
    return [node, str(folder / client.file)]

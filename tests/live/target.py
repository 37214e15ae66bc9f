"""Define the live suite's target and its pytest plugin, which prints a plan and the totals.

The target is looked up before pytest starts, because `tests/conftest.py` removes keys and proxies from the
environment.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from botticelli.drivers.config import find_base_url
from botticelli.drivers.credentials import find_key
from botticelli.kit.pytest_endpoint import NODE, ProbeTest
from botticelli.providers import async_driver, sync_driver

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from botticelli import AsyncChatDriver, ChatDriver, GenerateResponse, Provider, UsageTotals
    from botticelli.drivers.credentials import Secret

PLUGIN = "botticelli-live"


class Drivers(NamedTuple):
    """A provider and its two drivers."""

    provider: Provider
    sync: type[ChatDriver]
    aio: type[AsyncChatDriver]


BASE_MODELS = {
    "huggingface": "meta-llama/Llama-3.2-1B",
    "openai": "davinci-002",
    "groq": "whisper-large-v3",
}
"""A model of each provider that isn't for chat, where it has one."""


def drivers_of(name: str) -> Drivers:
    """Return a provider of the registry and its drivers."""
    sync = sync_driver(name)
    return Drivers(sync.provider, sync, async_driver(name))


class Target:
    """One model behind one endpoint.

    Attributes:
        drivers: The provider's drivers.
        model: The model to call.
        base_model: A model that isn't for chat, or None; called only if `is_providers_own`.
        key: The API key.
        base_url: The base URL of the endpoint.
        is_providers_own: Whether it is the provider's own endpoint, so that its special errors are expected.
        environment: The user's environment variables, with proxies and TLS settings.
    """

    def __init__(
        self, drivers: Drivers, *, model: str | None, base_model: str | None, url: str | None
    ) -> None:
        """Look up key and base URL as the drivers do.

        Raises:
            ConfigurationError: There is no key, or something is malformed.
        """
        self.drivers = drivers
        self.model = model or drivers.provider.default_model
        self.base_model = base_model or BASE_MODELS.get(drivers.provider.name)
        self.key: Secret
        self.key, variables = find_key(drivers.provider, None)
        self.base_url = find_base_url(url, drivers.provider, variables)
        own = urlsplit(drivers.provider.base_url).netloc  # with its port: Ollama's own host is this machine
        self.is_providers_own = urlsplit(self.base_url).netloc == own
        self.environment = dict(os.environ)


class Suite:
    """The plugin: deselects tests of unsupported topics, prints the cost in advance and the totals.

    Args:
        target: The model and endpoint.
        without: Topics that the user has declared unsupported by this server.
    """

    def __init__(self, target: Target, without: Iterable[str]) -> None:
        self.target = target
        self._without = set(without)
        self._left_out: dict[str, str] = {}
        self._used: list[UsageTotals] = []
        self._deviations: Counter[str] = Counter()

    def add(self, usage: UsageTotals) -> None:
        """Add a driver's usage to the totals."""
        self._used.append(usage)

    def note(self, response: GenerateResponse) -> None:
        """Count a response's deviations from the format."""
        self._deviations.update({found.code: found.count for found in response.deviations})

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        for item in items:
            if isinstance(item, ProbeTest):
                item.add_marker(pytest.mark.api(calls=item.probe.calls))
        live = [item for item in items if item.get_closest_marker("api")]
        topics = {topic_of(item) for item in live}
        if unknown := self._without - topics:
            raise pytest.UsageError(
                f"--without {','.join(sorted(unknown))}: the topics are {', '.join(sorted(topics))}"
            )
        left_out = [item for item in live if self._leave_out(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]

    def _leave_out(self, item: pytest.Item) -> bool:
        topic = topic_of(item)
        if topic in self._without:
            self._left_out[topic] = "declared out of this server's reach with --without"
        elif not self.target.is_providers_own and (reason := _arguments(item).get("providers_own")):
            self._left_out[topic] = reason
        elif _arguments(item).get("needs_key") and not self.target.drivers.provider.key_required:
            self._left_out[topic] = "the provider needs no key, so it may take any"
        elif _arguments(item).get("needs_base_model") and self.target.base_model is None:
            self._left_out[topic] = "no model is known that isn't for chat; name one with --base-model"
        return topic in self._left_out

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> list[str]:
        target = self.target
        most = f"at most {sum(map(calls_of, items))} billed calls"
        why = "what the server refuses as busy is asked for again, up to twice; refusals are not billed"
        return [f"live: {target.model} at {target.base_url}", f"live: {most} ({why})"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        used = self._used
        write = terminalreporter.write_line
        terminalreporter.section("live")
        tokens = sum(each.prompt_tokens + each.completion_tokens for each in used)
        write(
            f"used: {sum(each.calls for each in used)} calls, {sum(each.retries for each in used)} of them "
            f"repeated, {tokens} tokens" + _cost(used)
        )
        shown = ", ".join(f"{code} ({count})" for code, count in self._deviations.most_common())
        write(f"where the server broke the format and the driver coped: {shown or 'nowhere'}")
        for topic, reason in sorted(self._left_out.items()):
            write(f"not asked: {topic}: {reason}")
        for who, is_probe in (("server", True), ("driver", False)):
            counts = {word: self._count(terminalreporter, word, is_probe) for word in ("failed", "passed")}
            write(f"the {who}: {counts['failed']} failed, {counts['passed']} passed")

    def _count(self, reporter: pytest.TerminalReporter, outcome: str, is_probe: bool) -> int:
        reports = reporter.getreports(outcome)
        return sum(report.nodeid.startswith(NODE) is is_probe for report in reports)


def _cost(used: list[UsageTotals]) -> str:
    priced = sum(each.priced for each in used)
    cost = sum(each.cost for each in used)
    return f", {cost:.6f} USD for the {priced} calls with a known price" if priced else ""


def topic_of(item: pytest.Item) -> str:
    """`stop` for `test_stop` and each of its variants, and for the probes of that area."""
    if isinstance(item, ProbeTest):
        return item.probe.area
    return item.name.partition("[")[0].removeprefix("test_")


def _arguments(item: pytest.Item) -> dict[str, Any]:
    marker = item.get_closest_marker("api")
    return dict(marker.kwargs) if marker else {}


def calls_of(item: pytest.Item) -> int:
    """How many calls a test makes at most that could be billed.

    Raises:
        pytest.UsageError: It doesn't say.
    """
    try:
        return int(_arguments(item)["calls"])
    except KeyError:
        raise pytest.UsageError(f"{item.nodeid} must say @pytest.mark.api(calls=...)") from None

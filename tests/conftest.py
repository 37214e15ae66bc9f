"""What holds for every test: nothing of the user's reaches it, nothing but loopback is reached by it.

- Keys, base URL, proxies and TLS settings are taken out of the environment before anything is collected,
  and each test starts in an empty folder, so that no `.env` of the user's is found.
- A connection to anything but loopback is refused (pytest-recording's `block_network`).
- No key is printed: `canary` is a key for tests, and whatever they print or log with it in it fails them. The
  user's own keys are looked for too, and never shown.

The live suite (marker `api`) is the exception, on purpose: see `tests/live`.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

CANARY = "hf_canaryThatNothingMayEverPrint"

settings.register_profile("fuzz", max_examples=2000, deadline=None)

LOOPBACK = [r"127(\.\d+){3}$", r"::1$", r"localhost$", r"/"]
"""Hosts, and paths of sockets in the file system, as patterns."""

_KEYS = ("HUGGINGFACE_API_KEY", "HF_TOKEN")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_HIDDEN = (
    *_KEYS,
    "HUGGINGFACE_BASE_URL",
    "HF_TOKEN_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSLKEYLOGFILE",
    *_PROXIES,
    *map(str.lower, _PROXIES),
)
_environment = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_environment] = {name: os.environ.pop(name) for name in _HIDDEN if name in os.environ}
    os.environ["HF_TOKEN_PATH"] = os.devnull  # nobody's login is a test's key
    logging.getLogger("botticelli").setLevel(logging.DEBUG)  # what isn't logged can't give a key away


def pytest_unconfigure(config: pytest.Config) -> None:
    kept = config.stash[_environment]
    os.environ.pop("HF_TOKEN_PATH", None)
    os.environ.update(kept)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not item.get_closest_marker("api"):
            item.add_marker(pytest.mark.block_network(allowed_hosts=LOOPBACK))


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing in it, for as long as the tests behave."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(autouse=True)
def _start_in_an_empty_folder(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    monkeypatch.chdir(empty_folder)
    yield
    left = [path.name for path in empty_folder.iterdir()]
    assert not left, f"the test left {left} behind: use tmp_path"


@pytest.fixture
def canary() -> str:
    """A key that must not appear in anything that is printed, logged, raised or written."""
    return CANARY


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, pytest.TestReport]:
    report: pytest.TestReport = yield
    kept = item.config.stash[_environment]
    keys = [CANARY, *(kept[name].strip() for name in _KEYS if len(kept.get(name, "").strip()) >= 8)]
    leaky = [name for name, text in report.sections if any(key in text for key in keys)]
    if leaky and not report.failed:
        report.outcome = "failed"
        report.longrepr = f"a key was printed: see {', '.join(leaky)}, where *** stands for it"
    report.sections = [(name, _without(keys, text)) for name, text in report.sections]
    if any(key in report.longreprtext for key in keys):
        report.longrepr = _without(keys, report.longreprtext)
    return report


def _without(keys: list[str], text: str) -> str:
    for key in keys:
        text = text.replace(key, "***")
    return text

"""The live suite: `python -m tests.live PROVIDER [--model NAME] [--base-url URL] [--without TOPICS]`.

It judges both sides: the tests here the driver, by whether it delivers what the server sent, and the probes
of `check endpoint` the server. `-k test_` leaves the probes out, `-k botticelli-endpoint` the driver. A
hosted provider needs a key; what a run costs is said before it begins, mostly less than a cent. Against a
local server::

    HUGGINGFACE_BASE_URL=http://127.0.0.1:8000/v1 HUGGINGFACE_API_KEY=none \\
        python -m tests.live huggingface --model tiny --without json_schema,bad_token

Without a key it ends at once with exit code 1 and says what to set; a server that can't be judged ends it
with a line as well. Other arguments go to pytest. The exit code is 0 only if at least one test ran and none
failed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from botticelli import ConfigurationError
from botticelli.providers import PROVIDERS

from .target import PLUGIN, Suite, Target, drivers_of

KEY = "BOTTICELLI_LIVE_KEY"
"""The variable that has the key for the probes, wherever it was found: tests/conftest.py hides the others."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="just test-api", description="The live suite. Billed calls!")
    parser.add_argument("provider", choices=sorted(PROVIDERS))
    parser.add_argument("--model", help="default: the provider's default model")
    parser.add_argument("--base-model", help="a model that isn't for chat; default: one of the provider's")
    parser.add_argument("--base-url", help="default: from the environment, else the provider's own")
    parser.add_argument("--without", default="", help="topics out of the server's reach: stop,tools")
    options, others = parser.parse_known_args(arguments)
    try:
        target = Target(
            drivers_of(options.provider),
            model=options.model,
            base_model=options.base_model,
            url=options.base_url,
        )
    except ConfigurationError as error:
        print(f"live suite: {error}", file=sys.stderr)
        return 1
    suite = Suite(target, filter(None, options.without.split(",")))
    # importing the drivers before pytest also imports anyio, which is a pytest plugin
    early = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
    probes = ["--botticelli-endpoint", target.base_url, "--botticelli-model", target.model]
    if target.key:
        os.environ[KEY] = target.key.reveal()
        probes += ["--botticelli-token-env", KEY]
    command = [str(Path(__file__).parent), "-m", "api", "-W", early, *probes, *others]
    code = pytest.main(command, plugins=[_named(suite)])
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        print("live suite: no test was collected, so nothing is proven", file=sys.stderr)
        return 1
    return int(code)


class _Registering:
    """Registers the suite as a plugin under its name, so that the fixtures find it."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite

    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(self._suite, PLUGIN)


def _named(suite: Suite) -> object:
    return _Registering(suite)


if __name__ == "__main__":
    sys.exit(main())

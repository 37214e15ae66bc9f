"""Record a server's cassettes anew: `python -m tests.cassettes SERVER VERSION BASE_URL MODEL KEY`.

Starts nothing: the server must be running, with the model tiny-chat. For example::

    python -m tests.cassettes mlx "mlx-lm 0.32.2" http://127.0.0.1:18012/v1 default_model none

Look through what changed before it is committed, and adapt `calls` to it.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

import pytest

from .calls import CALLS
from .conftest import PLUGIN, Source
from .recorded import describe


class _Registering:
    """Registers the source under its name, by which the fixtures find it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(self._source, PLUGIN)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [
            item for item in items if f"[{self._source.server}/" in item.name and "-sync]" in item.name
        ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cassettes")
    parser.add_argument("server", choices=sorted({call.server for call in CALLS}))
    parser.add_argument("version", help="its name and version, such as 'mlx-lm 0.32.2'")
    parser.add_argument("base_url")
    parser.add_argument("model", help="what the server calls tiny-chat")
    parser.add_argument("key")
    options = parser.parse_args()
    source = Source(options.server, options.base_url, options.model, options.key)
    # anyio came with the drivers, before pytest, and is a pytest plugin too
    early = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
    command = [str(Path(__file__).parent), "--record-mode=rewrite", "-p", "no:xdist", "-W", early]
    code = pytest.main(command, plugins=[_Registering(source)])
    if code == 0:
        describe(options.server, options.version, f"{date.today():%Y-%m-%d}")  # noqa: DTZ011 -- the desk's day
    return int(code)


if __name__ == "__main__":
    sys.exit(main())

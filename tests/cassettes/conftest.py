"""Where cassettes are and how they are played; when a recorder is at work, what they are recorded from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from .recorded import BASE_URL, FOLDER, MODEL, settings

if TYPE_CHECKING:
    from .calls import Call

PLUGIN = "botticelli-recorder"


class Source(NamedTuple):
    """A server to record from. Without one, nothing is asked but cassettes.

    Attributes:
        server: Its name, a folder of cassettes.
        base_url: Where it is.
        model: What it calls its model.
        key: What it takes as the key.
    """

    server: str = ""
    base_url: str = BASE_URL
    model: str = MODEL
    key: str = "none"

    def url(self, call: Call) -> str:
        return self.base_url.removesuffix("/v1") + call.path


@pytest.fixture(scope="session")
def source(pytestconfig: pytest.Config) -> Source:
    found = pytestconfig.pluginmanager.get_plugin(PLUGIN)
    return found if isinstance(found, Source) else Source()


@pytest.fixture
def vcr_config(source: Source) -> dict[str, Any]:
    return settings({source.key: "***", source.model: MODEL} if source.server else {})


@pytest.fixture(scope="module")
def vcr_cassette_dir() -> str:
    return str(FOLDER)


@pytest.fixture
def default_cassette_name(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("call"))

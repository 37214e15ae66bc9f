"""Drivers are known by what they have, not by whom they inherit from."""

from __future__ import annotations

import msgspec
import pytest

from botticelli.core.driver import AsyncBotticelliDriver, BotticelliDriver, Capabilities

MEMBERS = (
    "provider_name",
    "model_name",
    "capabilities",
    "rate_limits",
    "usage",
    "generate",
    "generate_stream",
    "models",
    "close",
)


def stranger(*members: str) -> object:
    """An object of a class that inherits from nothing of ours."""
    return type("Stranger", (), dict.fromkeys(members, print))()


@pytest.mark.parametrize("protocol", [BotticelliDriver, AsyncBotticelliDriver])
def test_a_stranger_with_every_member_is_a_driver(protocol: type) -> None:
    assert isinstance(stranger(*MEMBERS), protocol)


@pytest.mark.parametrize("protocol", [BotticelliDriver, AsyncBotticelliDriver])
@pytest.mark.parametrize("missing", MEMBERS)
def test_a_stranger_that_lacks_a_member_is_not(protocol: type, missing: str) -> None:
    assert not isinstance(stranger(*(name for name in MEMBERS if name != missing)), protocol)


def test_the_format_carries_all_but_films() -> None:
    able = msgspec.to_builtins(Capabilities())
    assert [name for name, can in able.items() if not can] == ["video"]


def test_capabilities_are_values() -> None:
    assert Capabilities(images=False) == Capabilities(images=False) != Capabilities()
    with pytest.raises(AttributeError):
        Capabilities().images = False  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue] -- that it is refused is the point

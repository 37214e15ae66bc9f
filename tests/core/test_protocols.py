"""The members that every driver has. Type checkers test which classes are drivers: `tests/typing`."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from botticelli.core.driver import AsyncBotticelliDriver, BotticelliDriver, Capabilities

PROPERTIES = {"provider_name", "model_name", "capabilities", "rate_limits"}
METHODS = {"generate", "generate_stream", "models", "close"}


def own(protocol: type) -> dict[str, object]:
    return {name: member for name, member in vars(protocol).items() if not name.startswith("_")}


@pytest.mark.parametrize("protocol", [BotticelliDriver, AsyncBotticelliDriver])
def test_a_driver_has_no_more_than_it_needs(protocol: type) -> None:
    members = own(protocol)
    assert {name for name, member in members.items() if isinstance(member, property)} == PROPERTIES
    assert members.keys() == PROPERTIES | METHODS
    assert not {"__enter__", "__aenter__"} & vars(protocol).keys()


def test_only_a_stream_begins_without_waiting() -> None:
    waited = {
        name for name, member in own(AsyncBotticelliDriver).items() if inspect.iscoroutinefunction(member)
    }
    assert waited == METHODS - {"generate_stream"}
    assert not any(inspect.iscoroutinefunction(member) for member in own(BotticelliDriver).values())


@pytest.mark.parametrize("protocol", [BotticelliDriver, AsyncBotticelliDriver])
def test_isinstance_raises(protocol: type) -> None:
    with pytest.raises(TypeError, match="runtime_checkable"):
        isinstance(object(), protocol)


def test_all_features_but_video_are_on_by_default() -> None:
    able = msgspec.to_builtins(Capabilities())
    assert [name for name, can in able.items() if not can] == ["video"]


def test_capabilities_are_values() -> None:
    assert Capabilities(images=False) == Capabilities(images=False) != Capabilities()
    with pytest.raises(AttributeError):
        Capabilities().images = False  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue] -- that it is refused is the point

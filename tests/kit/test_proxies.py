"""Proxies: loopback is exempt beside what the user exempts, and the environment comes back as it was."""

from __future__ import annotations

import os

import pytest

from botticelli.kit.adapters.proxies import bypass_proxies, no_proxy_variables


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": ""}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a.b, c", "no_proxy": "d,c,localhost"}, "a.b,c,d,localhost,127.0.0.1,::1"),
        ({"no_proxy": "*"}, "*"),
        ({"NO_PROXY": "a", "no_proxy": "*"}, "*"),
    ],
)
def test_loopback_is_exempt(before: dict[str, str], after: str) -> None:
    assert no_proxy_variables(before) == {"NO_PROXY": after, "no_proxy": after}


def test_the_environment_comes_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "a.b")
    before = dict(os.environ)
    with bypass_proxies():
        assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "a.b,127.0.0.1,localhost,::1"
        with bypass_proxies():
            assert os.environ["no_proxy"].count("localhost") == 1
    assert dict(os.environ) == before
    with pytest.raises(LookupError), bypass_proxies():
        raise LookupError
    assert dict(os.environ) == before

"""The probes on trial: a good server passes, broken ones are caught by their probes, odd ones trip none."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from botticelli.kit.probes.client import parse_url
from botticelli.kit.probes.probe import Probe, Target, load_probes
from botticelli.kit.probes.session import Session
from botticelli.kit.probes.verdict import Judgement, Outcome, judge
from tests.kit.broken_servers import BROKEN as CONSTRUCTED
from tests.kit.changed_server import KEY, Broken, serving
from tests.kit.odd_servers import HARMLESS, jitters
from tests.kit.real_faults import REAL

if TYPE_CHECKING:
    from collections.abc import Iterable

BROKEN = (*CONSTRUCTED, *REAL)
PROBES = load_probes()
BY_ID = {probe.id: probe for probe in PROBES}
MUSTS = [probe for probe in PROBES if probe.level == "must"]
# Megabytes are sent to the well-behaved server only.
QUICK = [probe for probe in MUSTS if not probe.costly]


def judged(url: str, probes: Iterable[Probe], key: str = KEY) -> dict[str, Judgement]:
    session = Session(
        Target(parse_url(url), "botticelli/echo", key, "KEY"), timeout=20.0, wait=lambda _seconds: None
    )
    session.begin()
    return {probe.id: judge(probe, session.ask(probe), session.target.model) for probe in probes}


def told(found: dict[str, Judgement]) -> str:
    out = io.StringIO()
    for name, judgement in found.items():
        for ask, finding in judgement.findings:
            out.write(f"{name} ({ask}): {finding}\n")
    return out.getvalue()


def test_the_well_behaved_server_passes_every_must_and_should() -> None:
    with serving() as url:
        found = judged(url, PROBES)
    failed = {name: one for name, one in found.items() if one.findings and BY_ID[name].level != "may"}
    assert not failed, told(failed)
    unclear = {name for name, one in found.items() if one.outcome is not Outcome.OBEYED}
    assert unclear == {"stream-arrives"}, "what can be concluded of a good server must not get less"


def test_two_runs_give_the_same_verdicts() -> None:
    with serving() as url:
        first, second = (judged(url, PROBES) for _ in range(2))
    assert {name: one.verdict for name, one in first.items()} == {
        name: one.verdict for name, one in second.items()
    }


def test_jitter_changes_no_verdict() -> None:
    with serving() as url:
        steady = judged(url, QUICK)
    with serving(jitters) as url:
        shaken = [judged(url, QUICK) for _ in range(2)]
    wanted = {name: one.verdict for name, one in steady.items()}
    assert [{name: one.verdict for name, one in found.items()} for found in shaken] == [wanted, wanted]


def test_there_are_at_least_80_broken_servers_and_20_odd_ones() -> None:
    assert len({broken.name for broken in BROKEN}) >= 80
    assert len({odd.name for odd in HARMLESS}) >= 20


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_broken_server_is_caught_by_its_probes(broken: Broken) -> None:
    wanted = [BY_ID[name] for name in broken.caught]
    with serving(broken.change) as url:
        found = judged(url, {probe.id: probe for probe in [*wanted, *QUICK]}.values())
    missed = [name for name in broken.caught if not found[name].findings]
    assert not missed, f"not caught by {missed}: {[found[name] for name in missed]}"
    if broken.wide:
        return
    others = {
        name: one
        for name, one in found.items()
        if one.findings and name not in (*broken.caught, *broken.also)
    }
    assert not others, told(others)


@pytest.mark.parametrize("odd", HARMLESS, ids=lambda odd: odd.name)
def test_an_odd_server_trips_no_must(odd: Broken) -> None:
    with serving(odd.change) as url:
        found = {name: one for name, one in judged(url, QUICK).items() if one.findings}
    assert not found, told(found)


def test_a_server_without_keys_trips_nothing() -> None:
    with serving(key=None) as url:
        found = judged(url, [probe for probe in PROBES if probe.area == "auth"], key="")
    assert not {name for name, one in found.items() if one.findings}


def test_every_must_is_tripped_by_a_broken_server() -> None:
    tripped = {name for broken in BROKEN for name in (*broken.caught, *broken.also)}
    assert {probe.id for probe in MUSTS} <= tripped

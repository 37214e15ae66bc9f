"""Who is judged: one model of one endpoint, what asking it costs, and how a finding of it is told.

The command and the pytest plugin share this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botticelli.kit.errors import EndpointError
from botticelli.kit.probes.session import Model, Session
from botticelli.kit.probes.verdict import Judgement, Outcome, curl, evidence
from botticelli.kit.runner import Result, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from botticelli.kit.probes.exchange import Exchange
    from botticelli.kit.probes.probe import Probe, Target

__all__ = ["Subject", "bug_report", "find_subject", "fitting", "weighed"]

_PREFLIGHT = 5
"""Calls that may be made before the first probe: the list of the models, and what Session.begin asks."""


@dataclass(frozen=True)
class Subject:
    """One model of one endpoint that is to be judged.

    Attributes:
        session: Asks it.
        price: The model as it is listed, with its prices; None where it isn't listed.
        listed: The exchange that listed the models, if there was one.
        most: Calls at most; None for any number.
    """

    session: Session
    price: Model | None
    listed: Sequence[Exchange]
    most: int | None = None

    @property
    def name(self) -> str:
        """The model and where it is."""
        target = self.session.target
        return f"{target.model} at {target.address.url}"

    def announce(self, probes: Iterable[Probe]) -> Iterator[str]:
        """Yield lines that tell how many calls some probes make at most, and what they cost."""
        chosen = list(probes)
        calls = sum(probe.calls for probe in chosen) + _PREFLIGHT
        pairs = [probe.tokens for probe in chosen]
        sent, got = sum(one for one, _ in pairs), sum(other for _, other in pairs)
        limited = min(calls, self.most) if self.most is not None else calls
        yield f"{self.name}: {len(chosen)} probes, at most {limited} calls"
        if self.session.proxy:
            yield f"  through the proxy {self.session.proxy}, which may change what is sent and what comes"
        price = self.price
        money = "no prices are listed"
        if price is not None and price.prompt is not None and price.completion is not None:
            dollars = (sent * price.prompt + got * price.completion) / 1e6
            money = f"about ${dollars:.4f} at the highest price that is listed"
        extent = f"about {sent} tokens of prompt and at most {got} of answers, more if the model thinks first"
        yield f"  {extent}; {money}"


def find_subject(
    target: Target, *, timeout: float = 60.0, most: int | None = None, reachable: bool = True
) -> Subject:
    """Find out what an endpoint lists, and choose the model where none is named.

    Args:
        target: Whom to judge; one without a model takes the only one that its endpoint lists.
        timeout: Seconds in which something must come.
        most: Calls at most.
        reachable: Whether it must answer; if not, it needn't, where the model is named.

    Raises:
        EndpointError: It doesn't answer, refuses the key, or lists no model or several; or a proxy does.
    """
    models: list[Model] = []
    listed: list[Exchange] = []
    listing = Session(target, timeout=timeout, most=most)
    try:
        models, exchange = listing.list_models()
        listed = [exchange]
    except EndpointError:
        if reachable or not target.model:
            raise
    if not target.model:
        if len(models) != 1:
            names = ", ".join(model.id for model in models[:5]) + (", ..." if len(models) > 5 else "")
            what = f"it lists {len(models)}: {names}" if models else "it lists none"
            raise EndpointError(f"name a model of {target.address.url} with --model; {what}")
        target = replace(target, model=models[0].id)
    price = next((model for model in models if model.id == target.model.partition(":")[0]), None)
    session = Session(target, timeout=timeout, most=most)
    session.calls = listing.calls
    return Subject(session, price, listed, most)


def fitting(probes: Iterable[Probe], words: Iterable[str] = (), *, costly: bool = False) -> list[Probe]:
    """Return the probes that a server may be asked.

    A prompt of megabytes costs money far away. Near, a server without a limit works on it for many minutes,
    or takes all memory of the machine and dies. So nobody is sent one who hasn't asked for it.

    Args:
        probes: Those that were chosen.
        words: The words that chose them; a costly probe that is named in full is wanted.
        costly: Also ask what sends megabytes.
    """
    named = set(words)
    kept = [one for one in probes if not one.costly or costly or one.id in named]
    # Last, because a server may be busy with a long prompt long after we have left.
    return sorted(kept, key=lambda probe: probe.costly)


# Findings


def weighed(
    result: Result, judgement: Judgement, exchanges: Sequence[Exchange], url: str, key_env: str
) -> Result:
    """Give a result the word for what the probe showed, and its evidence.

    Args:
        result: As the runner weighed it.
        judgement: What the probe showed.
        exchanges: What went over the wire.
        url: The endpoint's scheme and authority.
        key_env: The variable that holds the key.
    """
    if judgement.outcome in (Outcome.REFUSED, Outcome.INCONCLUSIVE):
        # Nothing failed and nothing was shown: the probe doesn't count, and a baseline has no say in it.
        return replace(result, status=Status.NOT_CLAIMED, reason=judgement.outcome.value)
    if not judgement.findings or not exchanges:
        return result
    command = curl(_shown(judgement, exchanges), url, key_env)
    return replace(result, evidence=evidence([one.shown for one in exchanges], command))


def _shown(judgement: Judgement, exchanges: Sequence[Exchange]) -> Exchange:
    """Return the exchange that shows the first finding."""
    name = judgement.findings[0][0]
    return next((one for one in reversed(exchanges) if one.ask == name), exchanges[-1])


def bug_report(
    probe: Probe,
    judgement: Judgement,
    command: str,
    paint: Callable[[str, str], str] = lambda text, _style: text,
) -> Iterator[str]:
    """Yield what a report of a finding needs beside the facts: the rule, the effect, and how to ask again.

    Args:
        probe: What was asked.
        judgement: What it showed.
        command: The command that asks the same.
        paint: Paints a text in a style.
    """
    yield f"{paint(probe.id, 'bold')}: {judgement.outcome}"
    yield f"  rule      {probe.title}{f' ({probe.spec})' if probe.spec else ''}"
    yield f"  effect    {probe.effect}"
    yield f"  ask again {command}"

"""The probes as pytest tests, for a server's own CI: `pytest --botticelli-endpoint URL --botticelli-model M`.

Each probe is a test, named by its area and id and marked by level, profile and area. Without a path on the
command line the probes are all that runs; with paths, the tests there run too. What the server refuses
honestly, and what can't be concluded, is skipped; a probe that the baseline lists is expected to fail, and so
is a ``may`` that isn't kept. The plugin (pytest_plugin.py) loads this module when an endpoint is named.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.errors import EndpointError, KitError
from botticelli.kit.probes.check import Choice, select_probes
from botticelli.kit.probes.client import parse_url
from botticelli.kit.probes.probe import Probe, Target, key_in, load_probes
from botticelli.kit.probes.session import Session
from botticelli.kit.probes.subject import Subject, bug_report, find_subject, fitting, weighed
from botticelli.kit.probes.verdict import judge
from botticelli.kit.pytest_suite import settle
from botticelli.kit.report.text import describe_failure
from botticelli.kit.runner import Finding, Status, read_baseline, run

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.probes.exchange import Exchange
    from botticelli.kit.probes.verdict import Judgement
    from botticelli.kit.runner import Result

__all__ = ["NODE", "EndpointPlugin", "EndpointProbes", "ProbeTest"]

NODE = "botticelli-endpoint"
"""The beginning of each test's id, where the path of a file stands in others."""


_HANDED = "botticelli-endpoint"
"""The name under which a process of pytest-xdist is handed what was found out about the endpoint."""


_ASK_NOTHING = ("collectonly", "showfixtures", "show_fixtures_per_test", "setuponly", "setupplan")
"""The options with which pytest runs no test."""

_TIMEOUT = 60.0


class EndpointPlugin:
    """Collects the probes, says what they cost before the first question, and asks them.

    Args:
        config: With the options of the plugin.

    Raises:
        pytest.UsageError: An option can't be used.
    """

    def __init__(self, config: pytest.Config) -> None:
        # Any, because pytest types no option.
        options: Any = config.option
        self._config = config
        self._lists_only = any(getattr(options, name, False) for name in _ASK_NOTHING)
        given: float | None = options.botticelli_timeout
        self._timeout = _TIMEOUT if given is None else given
        self._handed: Document = getattr(config, "workerinput", {}).get(_HANDED, {})
        self._subject: Subject | None = None
        self._asked = self._judged = 0
        if not 0 < self._timeout < math.inf:
            raise pytest.UsageError("--botticelli-timeout must be seconds, more than 0")
        try:
            self._target = _target(options)
            everything = load_probes()
            chosen = select_probes(everything, Choice(words=options.botticelli_case))
            baseline: Path | None = options.botticelli_baseline
            self._known = read_baseline(baseline, everything) if baseline else {}
        except KitError as error:
            raise pytest.UsageError(str(error)) from None
        self._probes = fitting(chosen, options.botticelli_case)
        if not self._probes:
            raise pytest.UsageError("all of these probes send prompts of megabytes; name each one in full")
        for area in sorted({probe.area for probe in self._probes}):
            config.addinivalue_line("markers", f"{area}: a case or a probe in this area")

    # Who is there, and what it costs

    def pytest_sessionstart(self) -> None:
        """Find out whether the endpoint can be judged at all; if not, the run stops with one line."""
        # With pytest-xdist, the process that spreads the tests does this for all.
        if not (self._lists_only or self._handed):
            try:
                self._ready()
            except EndpointError as error:
                # The options of the command have longer names here.
                said = re.sub(r"--(model|token-env|timeout)\b", r"--botticelli-\1", str(error))
                raise pytest.UsageError(said) from None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand what was found out to a process of pytest-xdist, which asks only its probes then."""
        if self._subject:
            node.workerinput[_HANDED] = self._subject.session.learned

    def pytest_report_header(self) -> list[str]:
        """Say what is judged, and what it costs at most."""
        return self._announced(self._probes) if self._subject else []

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> list[str]:
        """Say it again where `-k` or `-m` has left fewer probes."""
        chosen = [item.probe for item in items if isinstance(item, ProbeTest)]
        if not self._subject or len(chosen) in (0, len(self._probes)):
            return []
        return self._announced(chosen)

    def _announced(self, probes: Sequence[Probe]) -> list[str]:
        return [f"botticelli: {line.strip()}" for line in self._ready().announce(probes)]

    def _ready(self) -> Subject:
        if self._subject is None and self._handed:
            session = Session(self._target, timeout=self._timeout)
            session.resume(self._handed)
            self._subject = Subject(session, None, [])
        elif self._subject is None:
            subject = find_subject(self._target, timeout=self._timeout)
            subject.session.begin()
            self._subject = subject
        return self._subject

    # Whether anything was judged

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the probes that were asked, and those of which something could be said."""
        if report.when == "call" and report.nodeid.startswith(f"{NODE}::"):
            self._asked += 1
            self._judged += not report.skipped or hasattr(report, "wasxfail")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run in which nothing was judged, as the command does."""
        if self._judged_nothing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say so."""
        if self._judged_nothing:
            terminalreporter.write_line("botticelli: nothing was judged: all was refused or inconclusive")

    @property
    def _judged_nothing(self) -> bool:
        return bool(self._asked) and not self._judged

    # The tests

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Add the probes to what the session collects."""
        report = yield
        if isinstance(collector, pytest.Session) and report.passed:
            named = self._config.args_source is pytest.Config.ArgsSource.ARGS
            report.result = [*(report.result if named else []), EndpointProbes.of(collector, self)]
        return report

    @property
    def probes(self) -> Sequence[Probe]:
        """The probes that were chosen by name, those that are costly last."""
        return self._probes

    def ask(self, probe: Probe) -> tuple[Result, Judgement | None]:
        """Ask one probe, and return its result and what it showed; None if the kit itself failed."""
        subject = self._ready()
        target = subject.session.target
        shown: list[tuple[Judgement, list[Exchange]]] = []

        def execute(probe: Probe) -> Finding:
            exchanges = subject.session.ask(probe)
            shown.append((judge(probe, exchanges, target.model), exchanges))
            return Finding(shown[0][0].verdict)

        [result] = run([probe], execute, known=self._known, jobs=1)
        if not shown:
            return result, None
        [(judgement, exchanges)] = shown
        return weighed(result, judgement, exchanges, target.address.origin, target.key_env), judgement


class EndpointProbes(pytest.Collector):
    """The probes of an endpoint. They are no functions, so no fixture of the other tests meets them.

    Attributes:
        plugin: Asks them.
    """

    plugin: EndpointPlugin

    @classmethod
    def of(cls, session: pytest.Session, plugin: EndpointPlugin) -> EndpointProbes:
        """Return the collector of a session."""
        # Any, because pytest leaves the parameters of from_parent untyped.
        kind: Any = cls
        made: EndpointProbes = kind.from_parent(session, name=NODE, nodeid=NODE)
        made.plugin = plugin
        return made

    def collect(self) -> Iterator[ProbeTest]:
        """Yield a test for each probe."""
        return (ProbeTest.of(self, probe) for probe in self.plugin.probes)


class ProbeTest(pytest.Item):
    """The test of one probe.

    Attributes:
        probe: What is asked.
        plugin: Asks it.
    """

    probe: Probe
    plugin: EndpointPlugin

    @classmethod
    def of(cls, parent: EndpointProbes, probe: Probe) -> ProbeTest:
        """Return the test of a probe."""
        kind: Any = cls
        made: ProbeTest = kind.from_parent(parent, name=f"{probe.area}/{probe.id}")
        made.probe, made.plugin = probe, parent.plugin
        for word in (probe.level, probe.profile, probe.area):
            made.add_marker(word)
        return made

    def runtest(self) -> None:
        """Ask the probe, and fail with a text that can be pasted into a bug report."""
        result, judgement = self.plugin.ask(self.probe)
        if judgement is None:
            settle(result)
            return
        if result.status is Status.NOT_CLAIMED:
            pytest.skip(f"{judgement.outcome}: {judgement.why_open}")
        lines = [describe_failure(result)]
        if result.evidence:
            lines += ["", *bug_report(self.probe, judgement, result.evidence["command"])]
        settle(result, "\n".join(lines))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the test is: in no file, but pytest needs a line for one that is skipped."""
        return self.path, 0, self.name


def _target(options: Any) -> Target:
    variable: str | None = options.botticelli_token_env
    key = "" if variable is None else key_in(variable, "--botticelli-token-env")
    address = parse_url(options.botticelli_endpoint)
    return Target(address, options.botticelli_model or "", key, variable or "")

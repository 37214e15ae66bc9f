"""Our own drivers, through the same adapter as everybody's: every case, nothing excused."""

from __future__ import annotations

import pytest

from botticelli.kit.adapters.load import close_adapter, load_adapter
from botticelli.kit.cases.case import load_cases
from botticelli.kit.report.text import describe_failure
from botticelli.kit.runner import Status, run_cases

PATIENCE = 300.0
"""Seconds for one call; only a call that hangs needs them all, so that no case measures the machine."""

# A blocking call cannot be cancelled from outside: that is the one thing the sync driver does not claim.
ADAPTERS = {
    "botticelli.providers.adapters:huggingface": {"cancel_any_time"},
    "botticelli.providers.adapters:async_huggingface": set[str](),
}

# Where a case accepts more than one outcome, ours is the best but for these.
SECOND_BEST = {
    # A 4xx without a kind of its own is "api" here: nobody knows that it is the request's fault.
    "forward-unknown-error-members",
    "retry-never-on-4xx",
    # Brotli is an extra of the package.
    "headers-content-encoding-br",
    "models-not-a-list",
    # On a slow machine the limit runs out before the driver can say that the wait is too long.
    "retry-wait-within-total",
    "sse-ndjson",
}


@pytest.mark.parametrize("library", ["", "httpx", "httpx2"])
@pytest.mark.parametrize("spec", ADAPTERS)
def test_every_case_passes(spec: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a client of the driver's own, and with a user's of either library."""
    monkeypatch.setenv("BOTTICELLI_HTTP_LIBRARY", library)
    adapter = load_adapter(spec, limit=PATIENCE)
    results = list(run_cases(load_cases(), adapter, seed=1, strict=True, limit=PATIENCE))
    close_adapter(adapter)
    # A may counts here as everything does.
    failures = [describe_failure(r) for r in results if r.status in (Status.FAILED, Status.NOTED)]
    assert not failures, "\n\n".join(failures)
    assert {r.reason for r in results if r.status is Status.NOT_CLAIMED} == ADAPTERS[spec]
    # With --strict a remark fails the run: only these do.
    assert {result.case.id for result in results if result.fails_run} <= SECOND_BEST

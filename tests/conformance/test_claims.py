"""Who shows less than the reference client, and says so, fails nothing that the reference client passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botticelli.kit.cases.case import load_cases
from botticelli.kit.judge.compare import REPORTED
from botticelli.kit.runner import Status, run_cases
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.kit.adapters.adapter import Adapter

AREAS = frozenset({"choices", "content", "error", "finish", "logprobs", "stream-error", "tool", "usage"})
CASES = [case for case in load_cases() if case.area in AREAS]


class Plain(ReferenceClient):
    """Hands out chunks as they are, and errors with a kind, a status and a message."""

    capabilities = ReferenceClient.capabilities - REPORTED - {"assembles"}

    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        """Leave out what such a client doesn't show."""
        outcome = super().exchange(call)
        error = outcome.get("error", {})
        for name in ("code", "retry_after", "attempts", "phase", "partial"):
            error.pop(name, None)
        for choice in outcome.get("response", {}).get("choices", ()):
            choice.update(finish_reason=None, content=None)
            for tool in choice["tool_calls"]:
                tool["type"] = None
            if call["operation"] == "stream":
                choice.update(tool_calls=[], logprobs=None)
        if call["operation"] == "stream" and "response" in outcome:
            outcome["response"].update(usage=None, id=None, model=None)
        return outcome


class Boastful(Plain):
    """The same, claimed to be all that the reference client is."""

    capabilities = ReferenceClient.capabilities


def statuses(make: Callable[[], Adapter]) -> dict[str, Status]:
    return {result.case.id: result.status for result in run_cases(CASES, make(), limit=3)}


def test_what_is_not_claimed_is_not_held_against_a_client() -> None:
    full, plain, boastful = statuses(ReferenceClient), statuses(Plain), statuses(Boastful)
    passed = {slug for slug, status in full.items() if status is Status.PASSED}
    assert {slug for slug in passed if plain[slug] not in (Status.PASSED, Status.NOT_CLAIMED)} == set()
    judged = {slug for slug in passed if plain[slug] is Status.PASSED}
    assert len(judged) > len(passed) / 2, "a client that shows less is judged all the same"
    # Claimed, the same things are missed.
    assert {slug for slug in passed if boastful[slug] is Status.FAILED} > {
        "error-status-400",
        "error-status-429",
        "finish-length",
        "tool-streamed",
        "usage-cumulative",
    }

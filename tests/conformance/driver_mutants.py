"""Our own drivers with one thing done wrong each, as the kit sees them.

The mistakes are made between the kit and the driver: in the options that reach it, or in what it hands over.
So they hold for whatever in the driver would have the same effect, such as an option that isn't passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botticelli.drivers.conformance import AsyncChatAdapter, ChatAdapter
from botticelli.kit.judge.gravity import Gravity
from botticelli.providers import async_driver, sync_driver

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.kit.adapters.adapter import Adapter, AsyncAdapter

__all__ = ["DRIVER_MUTANTS"]

_Json = dict[str, Any]
_Kills = dict[str, tuple[Gravity, str]]

DRIVER_MUTANTS: dict[str, tuple[Callable[[], Adapter | AsyncAdapter], _Kills]] = {}
"""By name, how a mutant is made, and the cases that exist for its mistake."""


def killed_by(expected: _Kills) -> Callable[[Any], Any]:
    """Register a mutant with the cases that exist for it."""

    def register(made: Any) -> Any:
        DRIVER_MUTANTS[made.__name__] = made, expected
        return made

    return register


class _Driver(ChatAdapter):
    """The sync driver."""

    def __init__(self) -> None:
        super().__init__(sync_driver("huggingface"))

    def called(self, call: _Json) -> _Json:
        """Return the call as it reaches the driver."""
        return call

    def told(self, outcome: _Json, call: _Json) -> _Json:
        """Return the outcome as it reaches the kit."""
        return outcome

    def exchange(self, call: _Json) -> _Json:
        """Make the call."""
        return self.told(super().exchange(self.called(call)), call)


def with_options(call: _Json, **options: object) -> _Json:
    """Return a call with other options."""
    return {**call, "options": {**call["options"], **options}}


def with_limits(call: _Json, **limits: float) -> _Json:
    """Return a call with other limits."""
    return with_options(call, timeouts={**call["options"]["timeouts"], **limits})


@killed_by({"chunk-audit-names-deviations": (Gravity.IMPRECISE, "/calls/1/response/deviations")})
class NeverAudits(_Driver):
    """Doesn't pass on that it is to audit."""

    def called(self, call: _Json) -> _Json:
        """Drop the option."""
        return with_options(call, audit=False)


@killed_by(
    {
        "chunk-audit-finds-nothing": (Gravity.IMPRECISE, "/calls/0/response/deviations"),
        "chunk-everything-published": (Gravity.IMPRECISE, "/response/deviations"),
        "json-everything-published": (Gravity.IMPRECISE, "/response/deviations"),
    }
)
class FindsFaultWithAll(_Driver):
    """Takes optional members of the format for departures from it."""

    def told(self, outcome: _Json, call: _Json) -> _Json:
        """Tell of one more."""
        if "response" in outcome:
            outcome["response"]["deviations"].append("role-null")
        return outcome


@killed_by(
    {
        "chunk-audit-names-deviations": (Gravity.IMPRECISE, "/calls/0/response/deviations"),
        "finish-audit-names-repetition": (Gravity.IMPRECISE, "/calls/0/response/deviations"),
    }
)
class TellsDeviationsTwice(_Driver):
    """Tells of each deviation when it is met, and again at the end."""

    def told(self, outcome: _Json, call: _Json) -> _Json:
        """Repeat them."""
        if "response" in outcome:
            outcome["response"]["deviations"] *= 2
        return outcome


@killed_by(
    {
        "retry-zero-is-none": (Gravity.IMPRECISE, "/calls/0/error/kind"),
        "retry-after-zero": (Gravity.IMPRECISE, "/error/attempts"),
    }
)
class RetriesOnceMore(_Driver):
    """Counts retries from zero."""

    def called(self, call: _Json) -> _Json:
        """Add one."""
        return with_options(call, max_retries=call["options"]["max_retries"] + 1)


@killed_by(
    {
        "retry-on-5xx": (Gravity.REFUSED, "/calls/0"),
        "retry-stream-before-text": (Gravity.REFUSED, ""),
        "retry-reset-before-answer": (Gravity.REFUSED, ""),
    }
)
class NeverRetries(_Driver):
    """Doesn't pass on how often it is to try again."""

    def called(self, call: _Json) -> _Json:
        """Set it to zero."""
        return with_options(call, max_retries=0)


@killed_by({"retry-after-over-own-limit": (Gravity.IMPRECISE, "/error/attempts")})
class HasNoLimitOfItsOwn(_Driver):
    """Waits as long as a server asks, whatever the user's limit on that is."""

    def called(self, call: _Json) -> _Json:
        """Lift the limit."""
        return with_options(call, max_retry_after=1e6) if "max_retry_after" in call["options"] else call


@killed_by({"timeout-first-byte": (Gravity.HANG, "/calls/0")})
class WaitsForHead(_Driver):
    """Has no limit for the first byte."""

    def called(self, call: _Json) -> _Json:
        """Lift it."""
        return with_limits(call, first_byte=3600.0)


@killed_by({"timeout-idle-whole-answer": (Gravity.HANG, ""), "timeout-idle-after-text": (Gravity.HANG, "")})
class WaitsBetweenReads(_Driver):
    """Has no limit between two reads."""

    def called(self, call: _Json) -> _Json:
        """Lift it."""
        return with_limits(call, idle=3600.0)


@killed_by({"timeout-progress-comments-only": (Gravity.IMPRECISE, "/error/kind")})
class TakesCommentsForProgress(_Driver):
    """Takes comments that keep a connection alive for progress."""

    def called(self, call: _Json) -> _Json:
        """Lift the limit on progress."""
        return with_limits(call, progress=3600.0)


@killed_by({"connection-reused": (Gravity.IMPRECISE, "/requests/connections")})
class ConnectsForEachCall(_Driver):
    """Opens a connection for each call."""

    def called(self, call: _Json) -> _Json:
        """Close the driver after it."""
        return {**call, "last": True}


@killed_by({"headers-request-id": (Gravity.IMPRECISE, "/calls/0/response/request_id")})
class HidesRequestId(_Driver):
    """Doesn't tell the id that the server gave the request."""

    def told(self, outcome: _Json, call: _Json) -> _Json:
        """Drop it."""
        next(iter(outcome.values()))["request_id"] = None
        return outcome


@killed_by({"error-status-400": (Gravity.LEAK, "/error/message")})
class ShowsKeyInErrors(_Driver):
    """Shows the request in its errors, with its headers."""

    def told(self, outcome: _Json, call: _Json) -> _Json:
        """Add them to the message."""
        if "error" in outcome:
            outcome["error"]["message"] += f" (sent: Authorization: Bearer {call['api_key']})"
        return outcome


class _AsyncDriver(AsyncChatAdapter):
    """The async driver."""

    def __init__(self) -> None:
        super().__init__(async_driver("huggingface"))


@killed_by({"cancel-during-backoff": (Gravity.HANG, "")})
class CantBeCancelled(_AsyncDriver):
    """Goes on when it is cancelled."""

    async def exchange(self, call: _Json) -> _Json:
        """Forget when to end."""
        return await super().exchange({name: one for name, one in call.items() if name != "cancel_after"})

"""Mutants that read errors in a wrong way, or try again where they shouldn't, or the reverse."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from botticelli.contracts.jsonvalue import Document, as_object, is_object
from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import Answer, FailedError, ReferenceClient

# What an error is


@killed_by({"error-status-over-words": (Gravity.IMPRECISE, "/calls/0/error/kind")})
class KnowsEveryStatus(ReferenceClient):
    """Searches the server's message for a status before it looks at the status."""

    def kind(self, status: int, body: bytes) -> str:
        """Find a kind in the message."""
        return "rate_limit" if b"429" in body else super().kind(status, body)


@killed_by({"forward-other-2xx": (Gravity.REFUSED, "/calls/0")})
class KnowsOneSuccess(ReferenceClient):
    """Takes 200 for the only success."""

    def succeeded(self, status: int) -> bool:
        """Compare with the usual."""
        return status == 200


@killed_by(
    {
        "error-empty-body-401": (Gravity.IMPRECISE, "/calls/0/error/kind"),
        "error-empty-body-403": (Gravity.IMPRECISE, "/calls/0/error/kind"),
        "error-empty-body-404": (Gravity.IMPRECISE, "/calls/0/error/kind"),
        "error-empty-body-500": (Gravity.IMPRECISE, "/calls/0/error/kind"),
    }
)
class NeedsErrorBody(ReferenceClient):
    """Knows an error by its body, and says something general where there is none.

    Reported as microsoft/amplifier#339.
    """

    def kind(self, status: int, body: bytes) -> str:
        """Look at the body first."""
        return super().kind(status, body) if body else "api"


@killed_by({"error-body-odd": (Gravity.CRASH, "/calls/0")})
class TrustsErrorShape(ReferenceClient):
    """Reads every error as if it could only be in the published envelope."""

    def error_message(self, body: bytes) -> str:
        """Look for the message whatever is there."""
        try:
            envelope: Any = json.loads(body)
        except ValueError:
            return super().error_message(body)
        return str(envelope["error"]["message"])


@killed_by({"error-body-deep": (Gravity.CRASH, "")})
class CountsOnShallowErrors(ReferenceClient):
    """Doesn't count on an error that is nested deeper than the stack."""

    def code(self, body: bytes) -> object:
        """Let the exception out."""
        try:
            return as_object(as_object(json.loads(body)).get("error")).get("code")
        except ValueError:
            return None


@killed_by({"error-body-not-utf8": (Gravity.CRASH, "")})
class DecodesErrorsStrictly(ReferenceClient):
    """Decodes an error as UTF-8, and fails where it is none."""

    def error_message(self, body: bytes) -> str:
        """Let the exception out."""
        body.decode()
        return super().error_message(body)


@killed_by(
    {
        "error-text-404": (Gravity.IMPRECISE, "/calls/0/error/kind"),
        "error-text-502": (Gravity.IMPRECISE, "/error/kind"),
        "error-html-404": (Gravity.IMPRECISE, "/error/kind"),
    }
)
class NeedsJsonErrors(ReferenceClient):
    """Says that the JSON of an error is bad where it is a text or a page.

    Reported as 64bit/async-openai#221 and router-for-me/CLIProxyAPI#2907.
    """

    def error_from_response(
        self, call: Document, status: int, headers: dict[str, str], body: bytes
    ) -> FailedError:
        """Try to read it."""
        if body:
            self.parsed(body)
        return super().error_from_response(call, status, headers, body)


@killed_by({"error-text-words": (Gravity.IMPRECISE, "/error/message")})
class DropsPlainErrors(ReferenceClient):
    """Drops the words of an error that aren't JSON.

    Reported as 64bit/async-openai#221 and router-for-me/CLIProxyAPI#2907.
    """

    def error_message(self, body: bytes) -> str:
        """Look for JSON."""
        return super().error_message(body) if body[:1] in (b"{", b"[") else ""


class _HasOtherKinds(ReferenceClient):
    """Knows other kinds for some statuses; the mutants below say which."""

    kinds: ClassVar[dict[int, str]] = {}

    def kind(self, status: int, body: bytes) -> str:
        """Look them up."""
        return self.kinds.get(status) or super().kind(status, body)


@killed_by(
    {
        "error-status-400": (Gravity.IMPRECISE, "/error/kind"),
        "error-status-405": (Gravity.IMPRECISE, "/error/kind"),
        "error-status-409": (Gravity.IMPRECISE, "/error/kind"),
        "forward-unknown-error-members": (Gravity.IMPRECISE, "/calls/0/error/kind"),
    }
)
class LacksKindOfRequest(_HasOtherKinds):
    """Has one kind for all errors of the request, and it says nothing."""

    kinds: ClassVar[dict[int, str]] = dict.fromkeys((400, 405, 409, 422), "api")


@killed_by(
    {
        "error-status-429": (Gravity.IMPRECISE, "/error/kind"),
        "retry-after-zero": (Gravity.IMPRECISE, "/error/kind"),
        "retry-last-error-counts": (Gravity.IMPRECISE, "/error/kind"),
    }
)
class TakesLimitForServer(_HasOtherKinds):
    """Takes an exhausted rate limit for a fault of the server's.

    Reported as joshuaswarren/remnic#657.
    """

    kinds: ClassVar[dict[int, str]] = {429: "server"}


@killed_by({"error-status-408": (Gravity.IMPRECISE, "/error/kind")})
class TakesTimeoutForMistake(_HasOtherKinds):
    """Takes every status below 500 for a mistake in the request, also a 408."""

    kinds: ClassVar[dict[int, str]] = {408: "invalid_request"}


@killed_by(
    {
        "retry-529-message": (Gravity.CRASH, ""),
        "error-html-524": (Gravity.CRASH, ""),
        "retry-on-unusual-5xx": (Gravity.CRASH, "/calls/0"),
    }
)
class KnowsNamedStatuses(ReferenceClient):
    """Knows the statuses that a standard names, and fails at another one."""

    def kind(self, status: int, body: bytes) -> str:
        """Look it up."""
        if status >= 500 and status not in (500, 501, 502, 503, 504, 505, 507, 508, 511):
            raise ValueError(f"{status} is not a valid HTTPStatus")
        return super().kind(status, body)


@killed_by({"error-in-200": (Gravity.SILENT, "/calls/0")})
class PassesOverErrorsIn200(ReferenceClient):
    """Passes over an error in a good answer that is only a text, and gives an empty answer.

    Reported as lmstudio-ai/lmstudio-bug-tracker#618 and lmstudio-ai/lmstudio-bug-tracker#1323.
    """

    def refuse_error(self, value: Document) -> None:
        """Look for an object."""
        if is_object(value.get("error")):
            super().refuse_error(value)
        elif value.get("error"):
            value["choices"] = [{"index": 0, "message": {"content": ""}, "finish_reason": "stop"}]


# Whether to try again


class _ChoosesRetries(ReferenceClient, ABC):
    """Tries again after other errors; the mutants below say which."""

    @abstractmethod
    def is_retried(self, error: Document) -> bool:
        """Tell whether there is to be another attempt."""

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Ask."""
        return super().delay(call, answer, attempt, {**error, "retriable": self.is_retried(error)})


@killed_by(
    {
        "error-status-400": (Gravity.IMPRECISE, "/requests/count"),
        "error-status-405": (Gravity.IMPRECISE, "/requests/count"),
        "error-html-404": (Gravity.IMPRECISE, "/requests/count"),
        "retry-never-on-4xx": (Gravity.IMPRECISE, "/calls/0/error/kind"),
    }
)
class RetriesEverything(_ChoosesRetries):
    """Tries again after any status, also after those that will never change.

    Reported as tsundereraws/aisub-translator#2.
    """

    def is_retried(self, error: Document) -> bool:
        """Look for a status."""
        return bool(error.get("retriable") or error.get("status"))


@killed_by(
    {
        "retry-on-5xx": (Gravity.REFUSED, "/calls/0"),
        "error-html-502": (Gravity.IMPRECISE, "/requests/count"),
        "error-html-524": (Gravity.IMPRECISE, "/requests/count"),
        "retry-on-unusual-5xx": (Gravity.REFUSED, "/calls/0"),
    }
)
class RetriesUnavailable(_ChoosesRetries):
    """Tries again after 503, and after no other fault of the server's.

    Reported as Significant-Gravitas/AutoGPT#944 and router-for-me/CLIProxyAPI#2907.
    """

    def is_retried(self, error: Document) -> bool:
        """Look for 503."""
        return bool(error.get("retriable") and (error.get("status") or 0) in (0, 408, 409, 429, 503))


@killed_by(
    {
        "retry-on-unusual-5xx": (Gravity.REFUSED, "/calls/0"),
        "error-html-524": (Gravity.IMPRECISE, "/requests/count"),
    }
)
class RetriesNamedStatuses(_ChoosesRetries):
    """Tries again after the four statuses that are on its list."""

    def is_retried(self, error: Document) -> bool:
        """Look it up."""
        status = error.get("status") or 0
        return bool(error.get("retriable") and (status < 500 or status in (500, 502, 503, 504)))


@killed_by(
    {
        "retry-on-408-409": (Gravity.REFUSED, ""),
        "error-status-408": (Gravity.IMPRECISE, "/error/attempts"),
        "error-status-409": (Gravity.IMPRECISE, "/error/attempts"),
    }
)
class RetriesNoConflict(_ChoosesRetries):
    """Tries again after 429 and 5xx alone."""

    def is_retried(self, error: Document) -> bool:
        """Leave out the others."""
        return bool(error.get("retriable") and error.get("status") not in (408, 409))


@killed_by({"retry-reset-before-answer": (Gravity.REFUSED, "")})
class NeverRetriesConnections(_ChoosesRetries):
    """Tries again after a status, and not when the connection is lost before the answer."""

    def is_retried(self, error: Document) -> bool:
        """Look for a status."""
        return bool(error.get("retriable") and error.get("status"))


@killed_by(
    {
        "retry-stream-before-text": (Gravity.REFUSED, ""),
        "error-html-502": (Gravity.IMPRECISE, "/requests/count"),
    }
)
class NeverRetriesStreams(ReferenceClient):
    """Makes a stream in one attempt, even if it was refused before it began.

    Reported as Significant-Gravitas/AutoGPT#944 and router-for-me/CLIProxyAPI#2907.
    """

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Look at the operation."""
        return None if call["operation"] == "stream" else super().delay(call, answer, attempt, error)


@killed_by({"retry-zero-is-none": (Gravity.IMPRECISE, "/calls/0/error/kind")})
class TakesZeroRetriesForDefault(ReferenceClient):
    """Takes zero retries for retries that weren't set."""

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Fill in a default."""
        options = {**call["options"], "max_retries": call["options"].get("max_retries") or 2}
        return super().delay({**call, "options": options}, answer, attempt, error)


@killed_by(
    {
        "retry-never-after-text": (Gravity.SILENT, ""),
        "connection-cut-mid-stream": (Gravity.IMPRECISE, "/requests/count"),
    }
)
class RetriesAfterText(ReferenceClient):
    """Tries again after the caller has received some of the answer."""

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Forget what was delivered."""
        again = Answer(n=answer.n, choices=answer.choices)
        return super().delay(
            call, again, attempt, {**error, "retriable": bool(answer.chunks) or error.get("retriable")}
        )


@killed_by({"retry-last-error-counts": (Gravity.IMPRECISE, "/error/kind")})
class RaisesFirstError(ReferenceClient):
    """Raises the error of the first attempt, whatever came of the others."""

    def exchange(self, call: Document) -> Document:
        """Keep the first one."""
        first: list[Document] = []

        def keep(error: Document) -> None:
            first.append(error)

        outcome = _Noting(keep).exchange(call)
        if "error" in outcome and first:
            public = {name: one for name, one in first[0].items() if name != "retriable"}
            return {**outcome, "error": {**outcome["error"], **public}}
        return outcome


class _Noting(ReferenceClient):
    """Notes the errors of all attempts."""

    def __init__(self, note: Any) -> None:
        self._note = note

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Note one."""
        self._note(error)
        return super().delay(call, answer, attempt, error)


@killed_by(
    {
        "retry-never-on-4xx": (Gravity.IMPRECISE, "/calls/0/error/attempts"),
        "retry-529-message": (Gravity.IMPRECISE, "/error/attempts"),
    }
)
class CountsRetries(ReferenceClient):
    """Tells how many retries there were, not how many attempts."""

    def failure(self, error: Document, answer: Answer, attempt: int) -> Document:
        """Count one less."""
        return super().failure(error, answer, attempt - 1)


# How long to wait


@killed_by({"retry-after-over-own-limit": (Gravity.IMPRECISE, "/error/attempts")})
class WaitsLessThanAsked(ReferenceClient):
    """Tries again at its own limit when the server asks for more.

    Reported as vanderschaarlab/climb#1 and jasonacox/TinyLLM#17.
    """

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Cut what was asked for."""
        asked = error.get("retry_after")
        return super().delay(
            call, answer, attempt, {**error, "retry_after": min(asked, 0.01) if asked else asked}
        )


@killed_by(
    {
        "retry-after-seconds": (Gravity.IMPRECISE, "/requests/1/delay"),
        "retry-after-date": (Gravity.IMPRECISE, "/requests/1/delay"),
    }
)
class IgnoresRetryAfter(ReferenceClient):
    """Waits as it always does, whatever the server asks for.

    Reported as nodejs/undici#4084 and NousResearch/hermes-agent#84738.
    """

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Forget what was asked for."""
        return super().delay(call, answer, attempt, {**error, "retry_after": None})


@killed_by(
    {
        "retry-after-date": (Gravity.CRASH, ""),
        "retry-after-date-past": (Gravity.CRASH, ""),
    }
)
class KnowsSecondsOnly(ReferenceClient):
    """Reads Retry-After as a number, and fails at a date.

    Reported as nodejs/undici#4084 and NousResearch/hermes-agent#84738.
    """

    def retry_after(self, headers: dict[str, str]) -> float | None:
        """Convert it."""
        return float(headers["retry-after"]) if "retry-after" in headers else super().retry_after(headers)


@killed_by({"retry-after-date-past": (Gravity.IMPRECISE, "/requests/1/delay")})
class TriesAtOnceAfterDate(ReferenceClient):
    """Tries again at once when the moment that was named is past.

    Reported as NousResearch/hermes-agent#84762 and denoland/std#7299.
    """

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Don't wait."""
        seconds = super().delay(call, answer, attempt, error)
        return 0.0 if seconds is not None and error.get("retry_after") == 0 else seconds


@killed_by({"retry-after-zero": (Gravity.IMPRECISE, "/error/attempts")})
class NeverCountsZeroWaits(ReferenceClient):
    """Takes a wait of zero for one more try that costs nothing.

    Reported as joshuaswarren/remnic#657.
    """

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Allow ten of them."""
        if error.get("retry_after") == 0 and attempt < 10:
            return 0.0
        return super().delay(call, answer, attempt, error)


@killed_by({"retry-backoff-grows": (Gravity.IMPRECISE, "/requests/2/delay")})
class WaitsAlike(ReferenceClient):
    """Waits as long before each retry as before the first."""

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Count from one."""
        seconds = super().delay(call, answer, attempt, error)
        return None if seconds is None else super().delay(call, answer, min(attempt, 1), error)


@killed_by(
    {
        "error-status-429": (Gravity.IMPRECISE, "/error/retry_after"),
        "retry-after-a-day": (Gravity.IMPRECISE, "/error/retry_after"),
    }
)
class HidesRetryAfter(ReferenceClient):
    """Keeps to itself how long the server asks to wait.

    Reported as vanderschaarlab/climb#1 and jasonacox/TinyLLM#17.
    """

    def failure(self, error: Document, answer: Answer, attempt: int) -> Document:
        """Leave it out."""
        return super().failure({**error, "retry_after": None}, answer, attempt)


@killed_by(
    {
        "error-status-400": (Gravity.IMPRECISE, "/error/code"),
        "forward-unknown-error-members": (Gravity.IMPRECISE, "/calls/0/error/code"),
    }
)
class HidesCode(ReferenceClient):
    """Keeps the server's code to itself."""

    def code(self, body: bytes) -> object:  # noqa: ARG002 -- the mistake
        """Return none."""
        return None


@killed_by({"models-refused": (Gravity.IMPRECISE, "/calls/0/error/kind")})
class RefusesListsAlike(ReferenceClient):
    """Knows one kind of error for all that isn't a chat."""

    def exchange(self, call: Document) -> Document:
        """Replace the kind."""
        outcome = super().exchange(call)
        if call["operation"] == "models" and "error" in outcome:
            outcome["error"]["kind"] = "api"
        return outcome

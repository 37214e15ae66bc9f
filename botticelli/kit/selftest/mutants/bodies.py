"""Mutants that read whole answers, the usage or lists of models in a wrong way."""

from __future__ import annotations

import json
from typing import Any

from botticelli.contracts.jsonvalue import Document, as_object, as_objects, is_object
from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import Answer, Choice, FailedError, ReferenceClient

# Whole answers


@killed_by({"json-blank-lines-first": (Gravity.REFUSED, "")})
class LooksAtTheFirstByte(ReferenceClient):
    """Takes a body for JSON by its first byte.

    Reported as deepseek-ai/DeepSeek-V3#599 and deepseek-ai/DeepSeek-R1#91.
    """

    def whole(self, body: bytes, answer: Answer) -> None:
        """Refuse all others."""
        if not body.startswith((b"{", b"[")):
            raise FailedError("malformed_response", "not JSON")
        super().whole(body, answer)


class _MakesAnswersOfNothing(ReferenceClient):
    """Gives an empty answer where there is none; the mutants below say where."""

    wrong: tuple[str, ...] = ("malformed_response",)

    def whole(self, body: bytes, answer: Answer) -> None:
        """Say stop."""
        try:
            super().whole(body, answer)
        except FailedError as failed:
            if failed.error["kind"] not in self.wrong:
                raise
            answer.choices[0] = Choice(finish="stop", text=self.text(body))

    def text(self, _body: bytes) -> str:
        """Return the text."""
        return ""


@killed_by(
    {
        "json-body-empty": (Gravity.SILENT, "/calls/0"),
        "json-body-blank-lines": (Gravity.SILENT, ""),
        "json-no-content": (Gravity.SILENT, "/calls/0"),
        "json-choices-missing": (Gravity.SILENT, "/calls/0"),
        "error-in-200": (Gravity.SILENT, "/calls/0"),
    }
)
class TakesNothingForAnAnswer(_MakesAnswersOfNothing):
    """Gives an empty answer for a body without one.

    Reported as decolua/9router#3051 and deepseek-ai/DeepSeek-V3#599.
    """

    wrong = ("empty_response", "stream_error")


@killed_by(
    {
        "json-body-truncated": (Gravity.SILENT, ""),
        "json-body-malformed": (Gravity.SILENT, "/calls/0"),
        "connection-cut-mid-json": (Gravity.SILENT, "/response/choices/0/text"),
    }
)
class TakesBadJsonForEmpty(_MakesAnswersOfNothing):
    """Gives an empty answer for JSON that can't be read.

    Reported as deepseek-ai/DeepSeek-V3#407 and inferencerlabs/inferencer-feedback#42.
    """

    def attempt(self, call: Document, answer: Answer) -> Document:
        """Also for one whose end is missing."""
        try:
            return super().attempt(call, answer)
        except FailedError as failed:
            if failed.error["kind"] != "connection_lost" or call["operation"] != "generate":
                raise
            answer.choices[0] = Choice(finish="stop")
            return {"response": answer.response()}


@killed_by({"json-html-in-200": (Gravity.SILENT, "/calls/0")})
class TakesPagesForText(_MakesAnswersOfNothing):
    """Gives what is no JSON as the text of the answer."""

    def text(self, body: bytes) -> str:
        """Decode it."""
        return body.decode("utf-8", "replace")


@killed_by({"json-not-an-object": (Gravity.CRASH, "/calls/0")})
class TrustsShape(ReferenceClient):
    """Reads the answer as if it could only be an object."""

    def whole(self, body: bytes, answer: Answer) -> None:
        """Look for choices without looking whether there can be any."""
        if self.parsed(body)["choices"]:
            super().whole(body, answer)


@killed_by({"json-deep-100000": (Gravity.CRASH, "")})
class LetsRecursionOut(ReferenceClient):
    """Doesn't count on JSON that is nested deeper than the stack.

    Reported as alphaonedev/ai-memory-mcp#246 and ruma/ruma#507.
    """

    def parsed(self, text: bytes | str) -> object:
        """Let the exception out."""
        try:
            return json.loads(text)
        except ValueError:
            return super().parsed(text)


@killed_by({"json-cut-by-length": (Gravity.CRASH, "/calls/0")})
class ReadsStructuredOutput(ReferenceClient):
    """Reads the text as JSON where JSON was asked for, though it may be cut."""

    def exchange(self, call: Document) -> Document:
        """Fail where it is none."""
        outcome = super().exchange(call)
        if "response" in outcome and "response_format" in call["request"]:
            json.loads(outcome["response"]["choices"][0]["text"])
        return outcome


@killed_by({"json-minimal": (Gravity.REFUSED, "")})
class NeedsEveryMember(ReferenceClient):
    """Needs members of which an answer can do without."""

    def whole(self, body: bytes, answer: Answer) -> None:
        """Look for one."""
        super().whole(body, answer)
        if answer.id is None:
            raise FailedError("malformed_response", "missing field `id`")


@killed_by({"json-tool-calls-content-null": (Gravity.REFUSED, "")})
class NeedsContent(ReferenceClient):
    """Refuses a message whose content is null.

    Reported as TencentCloud/TencentDB-Agent-Memory#1313.
    """

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Look for it."""
        message = as_object(event.get("message"))
        if message and message.get("content") is None and message.get("tool_calls"):
            raise FailedError("malformed_response", "content: none is not an allowed value")
        super().take_choice(answer, event)


# Usage


@killed_by({"usage-cumulative": (Gravity.SILENT, "/response/usage/prompt_tokens")})
class SumsUsage(ReferenceClient):
    """Adds up usages that are running totals.

    Reported as ogx-ai/ogx#5122 and open-webui/open-webui#29064.
    """

    def take_usage(self, answer: Answer, usage: Document) -> None:
        """Add to what there is."""
        before = answer.usage or {}
        pairs = ((name, count, before.get(name)) for name, count in usage.items())
        summed = {n: a + b for n, a, b in pairs if isinstance(a, int) and isinstance(b, int)}
        super().take_usage(answer, usage | summed)


@killed_by({"usage-on-finish-chunk": (Gravity.SILENT, "/response/usage")})
class LooksForUsageAlone(ReferenceClient):
    """Looks for the usage in an event that has nothing else."""

    def take(self, answer: Answer, event: object) -> None:
        """Drop it elsewhere."""
        if is_object(event) and event.get("choices"):
            event = {**event, "usage": None}
        super().take(answer, event)


@killed_by(
    {
        "usage-final-chunk-empty-choices": (Gravity.SILENT, "/response/usage"),
        "request-stream-usage-asked": (Gravity.SILENT, "/response/usage"),
    }
)
class LooksForUsageInChoices(ReferenceClient):
    """Passes over events without choices, and so over the usage.

    Reported as Portkey-AI/gateway#1627 and Portkey-AI/gateway#1629.
    """

    def take(self, answer: Answer, event: object) -> None:
        """Drop it there."""
        if is_object(event) and not event.get("choices") and not event.get("error"):
            return
        super().take(answer, event)


@killed_by({"usage-zero-kept": (Gravity.SILENT, "/response/usage/completion_tokens")})
class TakesZeroForNone(ReferenceClient):
    """Takes a count of zero for one that is missing."""

    def take_usage(self, answer: Answer, usage: Document) -> None:
        """Replace it."""
        super().take_usage(answer, {name: count or None for name, count in usage.items()})


@killed_by({"usage-of-its-own-call": (Gravity.SILENT, "/calls/1/response/usage/total_tokens")})
class RemembersUsage(ReferenceClient):
    """Counts up over calls, though it is asked for one of them."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}

    def exchange(self, call: Document) -> Document:
        """Add what earlier calls to the same server used."""
        outcome = super().exchange(call)
        usage = outcome.get("response", {}).get("usage")
        if usage:
            place = call["base_url"]
            usage["total_tokens"] += self._before.get(place, 0)
            self._before[place] = usage["total_tokens"]
        return outcome


# Lists of models


@killed_by({"models-bare-array": (Gravity.CRASH, "")})
class NeedsEnvelope(ReferenceClient):
    """Reads a list of models as if it could only be in an envelope.

    Reported as maximhq/bifrost#6711 and longy2k/obsidian-bmo-chatbot#51.
    """

    def models(self, value: object) -> list[str]:
        """Look for data whatever it is."""
        envelope: Any = value
        return [str(model["id"]) for model in envelope["data"]]


@killed_by(
    {
        "models-extra-members": (Gravity.SILENT, "/requests/count"),
        "models-bare-array": (Gravity.SILENT, "/requests/count"),
    }
)
class AsksTwice(ReferenceClient):
    """Lists the models once to check the key, and again for the list."""

    def exchange(self, call: Document) -> Document:
        """Throw the first list away."""
        if call["operation"] == "models":
            super().exchange(call)
        return super().exchange(call)


@killed_by({"models-data-empty": (Gravity.REFUSED, "")})
class RefusesNoModels(ReferenceClient):
    """Takes an empty list of models for an error.

    Reported as vllm-project/router#134.
    """

    def models(self, value: object) -> list[str]:
        """Refuse it."""
        listed = super().models(value)
        if not listed:
            raise FailedError("malformed_response", "no models")
        return listed


@killed_by(
    {
        "models-error-in-200": (Gravity.SILENT, ""),
        "models-refused": (Gravity.SILENT, "/calls/0"),
    }
)
class ListsNothingAfterErrors(ReferenceClient):
    """Lists no models where the list can't be had.

    Reported as vijayk1989/TheStoryNexusTauriApp#17 and lmstudio-ai/lmstudio-bug-tracker#2085.
    """

    def exchange(self, call: Document) -> Document:
        """Hide the error."""
        outcome = super().exchange(call)
        return {"models": []} if "error" in outcome and call["operation"] == "models" else outcome


@killed_by({"models-many": (Gravity.SILENT, "/models")})
class ListsFirstPage(ReferenceClient):
    """Lists the first hundred models, as if there were pages."""

    def models(self, value: object) -> list[str]:
        """Cut the list."""
        return super().models(value)[:100]


@killed_by({"models-router-list": (Gravity.SILENT, "/models")})
class ListsModelsWithProviders(ReferenceClient):
    """Lists the models that somebody provides at the moment, where the list tells that."""

    def models(self, value: object) -> list[str]:
        """Drop the others."""
        listed = value.get("data") if is_object(value) else None
        dead = {one["id"] for one in as_objects(listed) if one.get("providers") == []}
        return [name for name in super().models(value) if name not in dead]


@killed_by({"models-extra-members": (Gravity.SILENT, "/models")})
class SortsModels(ReferenceClient):
    """Lists models by name, so that the server's order is lost.

    Reported as songquanpeng/one-api#128.
    """

    def models(self, value: object) -> list[str]:
        """Sort them."""
        return sorted(super().models(value))

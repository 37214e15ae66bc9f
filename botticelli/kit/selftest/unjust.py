"""Drivers that give the right text for the wrong reason: the judge must not be taken in.

May enter: as in broken.py, naive.py with a method replaced. What these give out is what the server
said, or would have said; what is wrong is how they came by it, or what they give out beside it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import Document, as_object
from botticelli.kit.judge.verdict import Fault
from botticelli.kit.selftest.mutants import killed_by
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from botticelli.kit.selftest.naive_answer import Answer


@killed_by({"connection-framings-in-turn": (Fault.SILENT, "/requests/count")})
class Remembers(ReferenceClient):
    """Answers a question that it has heard before without asking again."""

    def __init__(self) -> None:
        self._answers: dict[str, Document] = {}

    def exchange(self, call: Document) -> Document:
        """Look the answer up."""
        question = json.dumps([call["base_url"], call["operation"], call["request"]])
        known = self._answers.get(question)
        if known is not None:
            return known
        outcome = super().exchange(call)
        if "response" in outcome:
            self._answers[question] = outcome
        return outcome


@killed_by(
    {
        "models-extra-members": (Fault.SILENT, "/requests/count"),
        "models-bare-array": (Fault.SILENT, "/requests/count"),
    }
)
class AsksTwice(ReferenceClient):
    """Asks for the models once to see whether the key is good, and once more for the list."""

    def exchange(self, call: Document) -> Document:
        """Throw the first list away."""
        if call["operation"] == "models":
            super().exchange(call)
        return super().exchange(call)


@killed_by({"chunk-tool-calls-null": (Fault.SILENT, "/response/choices/0/tool_calls")})
class CallsNull(ReferenceClient):
    """Makes a tool call wherever one is mentioned, though it be to say that there is none."""

    def take_choice(self, answer: Answer, told: Document) -> None:
        """Take a null for a call without a name."""
        super().take_choice(answer, told)
        if "function_call" in as_object(told.get("delta")):
            tools = answer.choices[self.choice_index(told)].tools
            tools.append(self.new_tool({}))


@killed_by(
    {
        "stream-error-not-json": (Fault.SILENT, "/partial_chunks"),
        "connection-cut-mid-stream": (Fault.SILENT, "/partial_chunks"),
        "stream-error-in-chunk": (Fault.SILENT, "/partial_chunks"),
        "retry-never-after-text": (Fault.SILENT, "/partial_chunks"),
        "timeout-idle-after-text": (Fault.SILENT, "/partial_chunks"),
    }
)
class Withholds(ReferenceClient):
    """Gathers a stream and delivers it in pieces when it is whole, or not at all."""

    def failure(self, error: Document, answer: Answer, attempt: int) -> Document:
        """Have nothing delivered yet."""
        return {**super().failure(error, answer, attempt), "partial_chunks": []}

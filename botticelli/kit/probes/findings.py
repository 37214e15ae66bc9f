"""What laws find, and the contract that each answer must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from botticelli.contracts import validate_bytes, violations
from botticelli.contracts.jsonvalue import as_object
from botticelli.kit.judge.compare import show
from botticelli.kit.probes.answer import Answer

__all__ = ["Arguments", "Doubt", "Finding", "Findings", "Law", "broken_contract", "contract_of"]

Arguments: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule.

    Attributes:
        path: Where: a JSON path, with the event's number before it; empty for the answer as a whole.
        rule: What must hold.
        got: What there was.
        gravity: ``silent``, ``hang``, ``crash``, ``leak``, ``refused`` or ``imprecise``.
    """

    path: str
    rule: str
    got: str
    gravity: str = "imprecise"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Nothing can be concluded, and why."""

    reason: str


Findings: TypeAlias = Iterator[Finding | Doubt]
Law: TypeAlias = Callable[[Answer, Arguments], Findings]


# Contracts


def contract_of(answer: Answer) -> str | None:
    """Return the contract of an answer, such as ``openai/response``; None where there is none."""
    path, method = answer.exchange.target.partition("?")[0], answer.exchange.method
    if not answer.response.status or method == "HEAD":
        return None
    if not answer.ok or (answer.error and not answer.is_stream):
        return "openai/error"
    if method == "POST" and path.endswith("/chat/completions"):
        return "openai/chunk" if answer.is_stream else "openai/response"
    return "openai/model-list" if method == "GET" and path.endswith("/models") else None


def broken_contract(answer: Answer, prefix: str = "") -> list[tuple[str, str]]:
    """Return every violation of an answer's contract, as a path and a sentence.

    Args:
        answer: The answer.
        prefix: ``wire/`` for the tolerant contract.
    """
    name = contract_of(answer)
    if name is None:
        return []
    if name != "openai/chunk":
        if not answer.ok and not answer.response.data:
            return [("", "it has no body")]
        return [(one.path, one.message) for one in validate_bytes(prefix + name, answer.response.data)]
    found: list[tuple[str, str]] = []
    for chunk in answer.chunks:
        if chunk.value is None:
            found.append(
                (
                    f"event {chunk.number}",
                    f"it isn't JSON: {show(chunk.data[:60].decode('utf-8', 'replace'))}",
                )
            )
            continue
        contract = "openai/error" if as_object(chunk.value).get("error") else name
        found += [
            (f"event {chunk.number}: {one.path}", one.message)
            for one in violations(prefix + contract, chunk.value)
        ]
    return found

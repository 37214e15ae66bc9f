"""Reports for tests: real cases, with made-up results and the exchanges that the cases play."""

from __future__ import annotations

import base64
import json
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botticelli.kit.cases.case import Case, load_cases
from botticelli.kit.cases.script import compile_exchange
from botticelli.kit.cases.suite import SUITE_VERSION, suite_hash
from botticelli.kit.report import model

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CLIENTS", "evidence_of", "matrix", "report_with"]

CLIENTS = (
    ("botticelli.providers.adapters:huggingface", "", 0.0),
    ("botticelli.providers.adapters:async_huggingface", "", 0.01),
    ("botticelli.kit.adapters.clients:openai", "3.57.0", 0.22),
    ("botticelli.kit.adapters.clients:async_openai", "3.57.0", 0.22),
    ("botticelli.kit.adapters.clients:huggingface_hub", "2.4.0", 0.3),
    ("botticelli.kit.adapters.clients:litellm", "1.110.2", 0.4),
    ("botticelli.kit.adapters.clients:langchain_openai", "1.7.4", 0.28),
    ("botticelli.kit.adapters.clients:pydantic_ai", "2.68.0", 0.34),
    ("command: node openai.mjs", "6.49.0", 0.25),
    ("botticelli.kit.adapters.clients:httpx", "0.28.1", 0.15),
)
"""Ten implementations, with their versions and the share of cases that they miss."""

_GOT = ("nothing", "response", '"stop"', "error invalid_response: Expecting value: line 1 column 1 (char 0)")


def report_with(*runs: model.Run, **members: Any) -> model.Report:
    """Return a finished report of these runs."""
    given: dict[str, Any] = {
        "botticelli": "0.1.0",
        "suite": model.Suite("1", "0123456789abcdef"),
        "seed": 7,
        "date": "2026-11-28T12:00:00Z",
        "finished": True,
        "passed": all(run.passed for run in runs),
    }
    return model.Report(runs=list(runs), **(given | members))


def matrix(clients: Sequence[tuple[str, str, float]] = CLIENTS, seed: int = 3) -> model.Report:
    """Return a report of all cases and several implementations, with the evidence of what they miss."""
    cases = load_cases()
    runs = [_run(cases, *client, random.Random(f"{seed}{client[0]}")) for client in clients]
    return report_with(*runs, suite=model.Suite(SUITE_VERSION, suite_hash(cases)))


def _run(cases: Sequence[Case], name: str, version: str, share: float, chance: random.Random) -> model.Run:
    results = [_result(case, share, chance, number) for number, case in enumerate(cases)]
    statuses = [result.status for result in results]
    return model.Run(
        name=name,
        version=version,
        capabilities=["generate", "stream"],
        seconds=12.5,
        counts={status: statuses.count(status) for status in model.STATUSES},
        results=sorted(results, key=lambda result: (result.area, result.case)),
    )


def _result(case: Case, share: float, chance: random.Random, number: int) -> model.Result:
    hard = (number * 7919) % 100 / 100  # the same cases are hard for everyone
    missed = chance.random() < share * (2.2 if hard < 0.3 else 0.5)
    level_of_status = {"must": "failed", "should": "failed", "may": "noted"}
    status = level_of_status[case.level] if missed else "passed"
    if not missed and chance.random() < share / 6:
        status = "not_claimed"
    gravity = chance.choices(model.GRAVITIES, (5, 1, 2, 1, 7, 8))[0] if missed else ""
    got = chance.choice(_GOT)
    return model.Result(
        case=case.key,
        title=case.title,
        area=case.area,
        level=case.level,
        profile=("core", "core", "tolerance", "hardening", "provider")[number % 5],
        status=status,
        grade=model.grade_of(case.level, status),
        seconds=0.02,
        gravity=gravity,
        differences=[model.Difference("/response/choices/0/text", '"Grüße, 世界 😀 all of it"', got)]
        if missed
        else [],
        spec=case.spec,
        provenance=case.provenance,
        policy=case.policy,
        cause="The client splits the stream with a function made for text, which knows other line ends."
        if number % 2
        else "",
        source=case.source,
        evidence=evidence_of(case) if missed else None,
    )


def evidence_of(case: Case) -> model.Evidence:
    """Return an exchange with what the case plays, as if somebody had made its calls."""
    play = case.render(seed=7, port=45123)
    wire: list[model.WireEvent] = []
    clock = 0.001
    for number, exchange in enumerate(play.exchanges[:4]):
        body = json.dumps(play.calls[0].neutral.get("request") or {}, ensure_ascii=False)
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:45123\r\nAccept-Encoding: gzip\r\n"
            "Connection: keep-alive\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
            f"User-Agent: OpenAI/Python 3.57.0\r\nAuthorization: Bearer [key]\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        wire += [
            model.WireEvent(clock, number, "client", event="open"),
            model.WireEvent(clock + 0.001, number, "client", text=head + body[:3000]),
        ]
        clock += 0.004
        for step in compile_exchange(exchange, play.context, datetime.now(UTC)).steps[:12]:
            if isinstance(step, bytes):
                wire.append(_sent(step, clock, number))
                clock += 0.0013
        wire.append(model.WireEvent(clock, number, "server", event="close"))
    neutral = json.loads(json.dumps(play.calls[0].neutral).replace(play.key, "[key]"))
    outcome = {"error": {"kind": "malformed_response", "message": "Expecting value: line 1", "status": 200}}
    command = f"botticelli check driver botticelli.kit.adapters.clients:openai --case {case.key} --seed 7"
    return model.Evidence([neutral], [outcome], wire, output="", command=command)


def _sent(data: bytes, at: float, connection: int) -> model.WireEvent:
    kept, omitted = data[:4000], max(0, len(data) - 4000)
    try:
        return model.WireEvent(round(at, 4), connection, "server", text=kept.decode(), omitted=omitted)
    except UnicodeDecodeError:
        encoded = base64.b64encode(kept).decode()
        return model.WireEvent(round(at, 4), connection, "server", base64=encoded, omitted=omitted)

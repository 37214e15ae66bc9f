"""The evidence of a failure: the wire as it was seen, bounded, without the keys of the case."""

from __future__ import annotations

import base64
import json
import socket
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.kit.cases.case import load_cases
from botticelli.kit.cases.formats import OPENAI, Context
from botticelli.kit.cases.script import ByteScript, compile_exchange
from botticelli.kit.evidence import evidence_of
from botticelli.kit.judge.secrets import STRUCK, Secrets
from botticelli.kit.judge.verdict import Crash, Hang
from botticelli.kit.runner import Status, run_cases
from botticelli.kit.selftest.mutants.bodies import SumsUsage
from botticelli.kit.selftest.reference_client import ReferenceClient
from botticelli.kit.server.server import MockServer
from botticelli.kit.server.wire import CONNECTIONS, FIRST, LAST, Piece, Transcript

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.kit.server.recording import Recording, Request

KEY = "sk-abc/DEF+0123456789xyz"
GET = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"


def exchanged(*exchanges: dict[str, Any], sends: Sequence[bytes] = (GET,), resets: bool = False) -> Recording:
    """Play exchanges for a bare socket and return what was recorded."""

    def script(index: int, _request: Request) -> ByteScript:
        return compile_exchange(exchanges[index], Context(OPENAI, "id", "m"), datetime.now(UTC))

    with MockServer() as server:
        listener = server.open()
        listener.respond(script)
        with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for data in sends:
                client.sendall(data)
            try:
                while client.recv(65536):
                    pass
            except ConnectionResetError:
                assert resets
        return listener.finish(patience=20)


def wire_of(recording: Recording, key: str = KEY) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = evidence_of([], [], recording.wire, secrets=Secrets([key]))["wire"]
    return found


def test_both_directions_are_noted_with_their_events_and_splits() -> None:
    answer = {"status": 200, "framing": "close", "body": [{"text": "a"}, {"hex": "00FF"}], "end": "close"}
    wire = wire_of(exchanged(answer))
    assert [piece["at"] for piece in wire] == sorted(piece["at"] for piece in wire)
    assert {piece["connection"] for piece in wire} == {0}
    assert [(one["from"], one.get("event") or one.get("text") or one.get("base64")) for one in wire] == [
        ("client", "open"),
        ("client", GET.decode()),
        ("server", "HTTP/1.1 200 OK\r\n\r\n"),
        ("server", "a"),
        ("server", base64.b64encode(b"\x00\xff").decode()),
        ("server", "close"),
    ]


def test_a_reset_is_told_from_a_close() -> None:
    wire = wire_of(exchanged({"status": 200, "body": [{"text": "half"}], "end": "reset"}, resets=True))
    assert (wire[-1]["from"], wire[-1]["event"]) == ("server", "reset")


def test_a_client_that_leaves_first_is_seen_to() -> None:
    held = {"status": 200, "body": [{"text": "a"}, {"hold": True}], "end": "cut"}
    with MockServer() as server:
        listener = server.open()
        listener.respond(lambda _n, _r: compile_exchange(held, Context(OPENAI, "i", "m"), datetime.now(UTC)))
        with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as client:
            client.sendall(GET)
            seen = b""
            while not seen.endswith(b"1\r\na\r\n"):  # closed with bytes unread, it would be a reset
                seen += client.recv(1)
        wire = wire_of(listener.finish(patience=20))
    assert ("client", "close") in [(piece["from"], piece.get("event")) for piece in wire]


def test_what_breaks_http_is_noted_with_the_answer_to_it() -> None:
    wire = wire_of(exchanged(sends=[b"NONSENSE\r\n\r\n"]))
    texts = [piece.get("text", "") for piece in wire]
    assert "NONSENSE\r\n\r\n" in texts
    assert any(text.startswith("HTTP/1.1 400") for text in texts)


@given(st.lists(st.integers(1, 9000), max_size=30))
def test_memory_is_bounded_and_what_is_left_out_is_counted(sizes: list[int]) -> None:
    transcript, sent = Transcript(lambda: 0.0), b""
    line = transcript.line(0)
    for number, size in enumerate(sizes):
        data = bytes([number % 251]) * size
        sent += data
        line.sent("server", data)
    pieces = transcript.pieces()
    kept = b"".join(piece.data for piece in pieces)
    assert sum(piece.omitted for piece in pieces) == len(sent) - len(kept)
    assert len(kept) == min(len(sent), FIRST + LAST)
    assert kept[:FIRST] == sent[:FIRST]
    if len(sent) > FIRST + LAST:
        assert kept[FIRST:] == sent[-LAST:]
        assert sum(piece.omitted > 0 for piece in pieces) == 1


def test_bytes_that_come_one_by_one_are_bounded_too() -> None:
    transcript = Transcript(lambda: 0.0)
    line = transcript.line(0)
    for _ in range(20_000):
        line.sent("client", b"x")
    pieces = transcript.pieces()
    assert len(pieces) < 3000
    assert sum(piece.omitted + len(piece.data) for piece in pieces) == 20_000


def test_so_are_connections() -> None:
    transcript = Transcript(lambda: 0.0)
    for number in range(CONNECTIONS + 10):
        transcript.line(number).sent("client", b"x")
    assert len(transcript.pieces()) == CONNECTIONS


SPELLINGS = [
    KEY,
    KEY.upper(),
    KEY[::-1],
    quote(KEY, safe=""),
    json.dumps(KEY)[1:-1],
    KEY.encode().hex(),
    KEY[:5] + "\u200b" + KEY[5:],
    *(base64.b64encode(before + KEY.encode() + b"z").decode() for before in (b"", b":", b"ab")),
    base64.urlsafe_b64encode(KEY.encode()).decode(),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_struck_out_however_it_is_spelt(spelling: str) -> None:
    secrets = Secrets([KEY, "", None])
    text = f"before {spelling} after"
    outcome: dict[str, Any] = {"error": {"message": text, text: [text]}}
    found = evidence_of(
        [{"api_key": KEY}], [outcome, Crash(text), Hang(3)], [], secrets=secrets, output=text, command="c"
    )
    assert found["calls"] == [{"api_key": STRUCK}]
    assert found["outcomes"][2] == {"hang": 3}
    for place in (found["output"], found["outcomes"][1]["crash"], found["outcomes"][0]["error"]["message"]):
        assert place.startswith("before ")
        assert STRUCK in place
        assert place.endswith(" after")
        assert spelling[6:-6] not in place
    assert spelling not in json.dumps(found, ensure_ascii=False)


@settings(deadline=None)
@given(st.sampled_from(SPELLINGS), st.lists(st.integers(0, 80), max_size=6), st.integers(0, 30))
def test_a_key_is_struck_out_wherever_a_write_splits_it(spelling: str, cuts: list[int], before: int) -> None:
    data = b"x" * before + spelling.encode() + b"!" * 5
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [Piece(0.0, 0, "server", data[a:b]) for a, b in pairwise(places) if a < b]
    wire: list[dict[str, Any]] = evidence_of([], [], pieces, secrets=Secrets([KEY]))["wire"]
    seen = "".join(piece.get("text", "") for piece in wire)
    assert spelling[6:-6] not in seen
    assert seen.count(STRUCK) == 1
    assert seen.startswith("x" * before)
    assert seen.endswith("!" * 5)


@pytest.mark.parametrize("kept", range(4, len(KEY)))
def test_a_key_is_struck_out_where_the_rest_of_it_was_left_out(kept: int) -> None:
    begun = [
        Piece(0.0, 0, "client", b"Bearer " + KEY[:kept].encode()),
        Piece(0.0, 0, "client", omitted=9),
        Piece(0.0, 0, "client", KEY[-kept:].encode() + b" end"),
    ]
    first, _, last = evidence_of([], [], begun, secrets=Secrets([KEY]))["wire"]
    assert first["text"] == f"Bearer {STRUCK}"
    assert last["text"] == f"{STRUCK} end"


def test_what_is_cut_off_shows_no_part_of_a_key() -> None:
    for length in range(65_500, 65_536):
        text = "x" * length + KEY + "y" * 100
        found = evidence_of([], [{"models": [text]}], [], secrets=Secrets([KEY]), output=text)
        assert KEY[:6] not in json.dumps(found)


def test_only_what_did_not_pass_or_has_remarks_has_evidence() -> None:
    cases = [case for case in load_cases() if case.id in ("usage-cumulative", "models-bare-array")]
    results = {
        one.case.id: one for one in run_cases(cases, SumsUsage(), command=lambda case: f"play {case.key}")
    }
    assert results["models-bare-array"].status is Status.PASSED
    assert results["models-bare-array"].evidence is None
    evidence = results["usage-cumulative"].evidence
    assert evidence is not None
    assert evidence["command"] == "play usage-cumulative"
    assert evidence["calls"][0]["operation"] == "stream"
    assert "response" in evidence["outcomes"][0]
    wire = "".join(piece.get("text", "") for piece in evidence["wire"])
    assert "POST /v1/chat/completions" in wire
    assert f"Authorization: Bearer {STRUCK}" in wire
    assert "data: [DONE]" in wire
    key = cases[0].render(seed=0, port=1).key
    assert key not in json.dumps(evidence)


def test_a_client_that_passes_costs_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise AssertionError("nobody asked for evidence")

    monkeypatch.setattr("botticelli.kit.runner.evidence_of", fail)
    [result] = run_cases([c for c in load_cases() if c.id == "sse-cr-only"], ReferenceClient())
    assert result.status is Status.PASSED


def test_a_long_list_is_shortened_like_a_long_text() -> None:
    secrets = Secrets([])
    assert secrets.strike_json([1] * 1000) == [1] * 1000
    assert secrets.strike_json({"a": [1] * 100_000}) == {"a": [*[1] * 1000, "[... 100000 items]"]}

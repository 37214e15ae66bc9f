"""Runs of probes: the client, what stops a run, calls and keys, saving and judging again, the command."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import sys
import threading
import time
import zipfile
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.cli import main
from botticelli.kit.errors import CaseError, EndpointError, KitError
from botticelli.kit.probes.answer import Answer
from botticelli.kit.probes.archive import read_captures, read_runs
from botticelli.kit.probes.check import Choice, check_endpoints, judge_saved, rejudge
from botticelli.kit.probes.client import Client, Sending, parse_url
from botticelli.kit.probes.exchange import Exchange, Piece
from botticelli.kit.probes.probe import Target, load_probes
from botticelli.kit.probes.session import Model, Session, models_of
from botticelli.kit.probes.subject import fitting
from botticelli.kit.schemas import schema_violations
from tests.kit.broken_servers import stop_deleted
from tests.kit.changed_server import KEY, Asked, Change, serving

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from botticelli.kit.runner import Result

STOP = Choice(words=["stop-word"])


def target(url: str, model: str = "botticelli/echo", key: str = KEY) -> Target:
    return Target(parse_url(url), model, key, "THE_KEY")


@contextmanager
def raw_server(
    answer: bytes, *, holds: bool = False, then: Sequence[bytes] = ()
) -> Generator[str, None, None]:
    """Answer every connection with the same bytes, then slowly with others, and close it or hold it."""
    listening = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connection.recv(1 << 16)
            connection.sendall(answer)
            with contextlib.suppress(OSError):
                for piece in then:
                    time.sleep(0.05)
                    connection.sendall(piece)
            if holds:
                kept.append(connection)
            else:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
        for connection in kept:
            connection.close()


# The client


def test_a_server_that_holds_the_last_chunk_costs_no_more_than_the_patience() -> None:
    part = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    with raw_server(part, holds=True) as url:
        client = Client(parse_url(url))
        (got,) = client.exchange([Sending("answer", "GET", "/v1/x", [], None, patience=0.2)])
    assert (got.end, got.response.data) == ("timeout", b"abc")


def test_keep_alives_do_not_hold_a_probe_for_longer_than_it_may_take() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with raw_server(head, then=[b": k\n\n"] * 40) as url:
        client = Client(parse_url(url))
        (got,) = client.exchange([Sending("answer", "GET", "/v1/x", [], None, patience=30, total=0.3)])
    assert (got.end, got.detail) == ("timeout", "it wasn't whole after 0.3 s")


def test_a_key_is_struck_out_of_what_is_kept_even_when_it_comes_in_pieces(canary: str) -> None:
    body = canary.encode()
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as url:
        client = Client(parse_url(url), [canary])
        headers = [("Authorization", f"Bearer {canary}")]
        (got,) = client.exchange([Sending("answer", "GET", "/v1/x", headers, None, patience=5)])
    assert got.leaked
    assert canary not in json.dumps(got.as_json())
    assert got.response.data == b"*" * len(body)


@pytest.mark.parametrize("key", ["stop", "e", "1", "role"])
def test_a_short_key_changes_no_verdict_and_is_neither_shown_nor_saved(key: str, tmp_path: Path) -> None:
    def change(asked: Asked) -> None:
        stop_deleted(asked)
        for message in asked.messages:
            message["content"] = f"{message.get('content') or ''} Bearer {key} "
        if asked.whole:
            asked.whole["object"] = f"Bearer {key}"

    chosen = Choice(words=["stop-word", "answer-readable"])

    def run(change: Change) -> tuple[int, str, Path, Path]:
        out, saved, report = io.StringIO(), tmp_path / "run.zip", tmp_path / "run.json"
        with serving(change, key=key) as url:
            code = check_endpoints(
                [target(url, key=key)], out=out, choice=chosen, save=saved, paths={"json": report}
            )
        return code, out.getvalue(), saved, report

    assert run(lambda _: None)[0] == 0
    code, out, saved, report = run(change)
    assert code == 1
    assert '-H "Authorization: Bearer $THE_KEY"' in out
    (kept,) = read_runs(saved)
    texts = [json.dumps(one.as_json()) for several in kept.exchanges.values() for one in several]
    assert f"Bearer {key}" not in out + report.read_text() + "".join(texts)
    assert any(one.leaked for several in kept.exchanges.values() for one in several)


def test_what_the_server_says_of_a_short_key_is_told_without_it() -> None:
    def change(asked: Asked) -> None:
        asked.say(
            {"error": {"message": "Incorrect key: hush!", "type": "x", "param": None, "code": None}}, 401
        )

    with serving(change, key=None) as url, pytest.raises(EndpointError, match=r"Incorrect key: \*{4}!"):
        begin(url, key="hush")


def test_a_saved_exchange_is_read_as_it_was() -> None:
    pieces = (Piece(0.25, b"HTTP/1.1 200 OK\r\n\r\n"), Piece(0.5, b"\xff\xfe"))
    kept = Exchange(
        "answer", "POST", "/v1", b"POST /v1\r\n", "é".encode(), pieces, "closed", 0.5, "why", connection=3
    )
    assert Exchange.from_json(json.loads(json.dumps(kept.as_json()))) == kept


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8000", "no URL of an endpoint"),
        ("ftp://h/v1", "no URL of an endpoint"),
        ("http://h:99999999/v1", "is no URL"),
        ("http://user:secret@h/v1", "credentials"),
        ("http://h/a b", "encode"),
    ],
)
def test_a_url_that_is_none_is_told_in_a_line_without_its_secrets(url: str, said: str) -> None:
    with pytest.raises(EndpointError, match=said) as raised:
        parse_url(url)
    assert "secret" not in str(raised.value)


def test_the_path_of_the_chat_may_be_given_too() -> None:
    assert parse_url("http://h:1/v1/chat/completions").url == "http://h:1/v1"
    assert parse_url("https://[::1]/v1/").authority == "[::1]"


# What stops a run


def begin(url: str, **about: Any) -> None:
    Session(target(url, **about), timeout=5, wait=lambda _seconds: None).begin()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
            "is no OpenAI API",
        ),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found", "is no OpenAI API"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "doesn't answer in HTTP/1"),
        (b'HTTP/1.1 402 P\r\nContent-Length: 13\r\n\r\n{"error":"$"}', "wants to be paid"),
        (b"HTTP/1.1 429 B\r\nContent-Length: 0\r\n\r\n", "is busy"),
    ],
)
def test_what_makes_the_rest_meaningless_stops_the_run_with_one_line(answer: bytes, said: str) -> None:
    with raw_server(answer) as url, pytest.raises(EndpointError, match=said) as raised:
        begin(url)
    assert "\n" not in str(raised.value)


def test_a_wrong_key_no_key_and_an_unknown_model_stop_the_run(canary: str) -> None:
    with serving() as url:
        with pytest.raises(EndpointError, match="refuses the key in THE_KEY") as raised:
            begin(url, key=canary)
        assert canary not in str(raised.value)
        with pytest.raises(EndpointError, match=r"wants a key .*--token-env"):
            begin(url, key="")
        with pytest.raises(EndpointError, match="has no model 'nobody'"):
            begin(url, model="nobody")


def test_a_server_that_is_not_there_stops_the_run() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(EndpointError, match="nothing answers"):
        begin(f"http://127.0.0.1:{port}/v1")


# Learning, waiting, counting


def choosy(asked: Asked) -> None:
    """Want another name for the limit, no temperature, and more room than the first answer has."""
    if asked.is_chat and "max_tokens" in asked.body:
        words = "Unsupported parameter: use 'max_completion_tokens'"
        asked.say({"error": {"message": words, "type": "x", "param": "max_tokens", "code": None}}, 400)
    elif asked.is_chat and "temperature" in asked.body:
        words = "Unsupported value: 'temperature'"
        asked.say({"error": {"message": words, "type": "x", "param": "temperature", "code": None}}, 400)
    elif asked.whole and asked.body.get("max_completion_tokens", 0) < 500:
        asked.whole["choices"][0]["finish_reason"] = "length"


def test_no_more_calls_are_made_than_were_announced() -> None:
    made: list[str] = []

    def change(asked: Asked) -> None:
        made.append(asked.request.path)
        choosy(asked)

    out = io.StringIO()
    with serving(change) as url:
        assert check_endpoints([target(url)], out=out, choice=Choice(words=["stream-done"])) == 0
    assert len(made) == 6, "the list, four to learn how to ask, and the probe"
    assert "1 probes, at most 6 calls" in out.getvalue()


@pytest.mark.parametrize("most", [1, 3])
def test_the_calls_before_the_first_probe_count_and_may_be_too_many(most: int) -> None:
    made: list[str] = []

    def change(asked: Asked) -> None:
        made.append(asked.request.path)
        choosy(asked)

    with serving(change) as url, pytest.raises(EndpointError, match=f"^{most} calls .*; --max-calls allows"):
        check_endpoints([target(url)], out=io.StringIO(), choice=Choice(words=["stream-done"]), most=most)
    assert len(made) == most


def test_a_model_that_wants_another_name_for_the_limit_and_thinks_first_is_asked_as_it_wants() -> None:
    with serving(choosy) as url:
        session = Session(target(url), timeout=5)
        session.begin()
    traits = session.target.traits
    assert (traits.limit, traits.temperature, traits.room) == ("max_completion_tokens", False, 1024)
    other = Session(target(url, model=""), timeout=3600)
    other.resume(json.loads(json.dumps(session.learned)))
    assert (other.target, other.learned) == (session.target, session.learned)


def test_a_busy_server_is_waited_for_and_not_blamed() -> None:
    waits: list[float] = []

    def once(asked: Asked) -> None:
        if asked.number == 1:
            asked.say({"error": "slow down"}, 503)
            asked.exchange["headers"].append(["Retry-After", "7"])

    with serving(once) as url:
        session = Session(target(url), timeout=5, wait=waits.append)
        session.begin()
        (got,) = session.ask(next(one for one in load_probes() if one.id == "answer-readable"))
    assert got.response.status == 200
    assert waits == [7.0]
    assert session.calls == 3


def test_no_more_calls_are_made_than_allowed() -> None:
    count = 0

    def counted(_asked: Asked) -> None:
        nonlocal count
        count += 1

    out = io.StringIO()
    with serving(counted) as url:
        check_endpoints([target(url)], out=out, choice=Choice(areas=["streams"]), most=5)
    assert count == 5, "with the list of the models"
    assert "it was not asked" in out.getvalue()


def test_prices_are_found_where_they_are_listed() -> None:
    listed = {
        "data": [
            {
                "id": "a",
                "providers": [{"pricing": {"input": 1, "output": 2}}, {"pricing": {"input": 3, "output": 1}}],
            },
            {"id": "b", "pricing": {"prompt": "0.000001", "completion": "0.000002"}},
            {"id": "c"},
        ]
    }
    data = json.dumps(listed).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data)
    got = models_of(Answer(Exchange("m", "GET", "/v1/models", b"", b"", (Piece(0, head + data),))))
    assert got == [Model("a", 3.0, 2.0), Model("b", 1.0, 2.0), Model("c")]


@pytest.mark.parametrize(
    ("words", "costly", "asked"),
    [
        ((), False, 0),
        (("robustness", "prompt-*"), False, 0),
        (("prompt-too-long",), False, 1),
        ((), True, 3),
    ],
)
def test_megabytes_are_sent_only_where_that_is_wanted_and_last(
    words: Sequence[str], *, costly: bool, asked: int
) -> None:
    probes = load_probes()
    chosen = [probe.costly for probe in fitting(probes, words, costly=costly)]
    assert chosen.count(True) == asked
    assert chosen == sorted(chosen)
    assert chosen.count(False) == sum(not probe.costly for probe in probes)


# The command


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as left:
        code = int(left.code or 0)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_finding_reads_like_a_bug_report_and_shows_no_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    monkeypatch.setenv("THE_KEY", canary)
    files = {name: tmp_path / f"run.{name}" for name in ("json", "junit", "zip")}
    with serving(stop_deleted, key=canary) as url:
        options = ["--token-env", "THE_KEY", "--case", "stop-*", "--yes", "--save", str(files["zip"])]
        options += ["--json", str(files["json"]), "--junit", str(files["junit"])]
        code, out, err = run(["check", "endpoint", url, *options], capsys)
    assert (code, err) == (1, "")
    assert re.search(r"8 probes, at most \d+ calls", out)
    assert "the stop sequence was deleted, and the text goes on" in out
    assert "stop-word: ignored" in out
    assert '-H "Authorization: Bearer $THE_KEY"' in out
    assert "Programs that cut at a mark" in out
    assert schema_violations("report", json.loads(files["json"].read_bytes())) == []
    with zipfile.ZipFile(files["zip"]) as zipped:
        kept = "".join(zipped.read(name).decode() for name in zipped.namelist())
    for text in (out, files["json"].read_text(), files["junit"].read_text(), kept):
        assert canary not in text


def test_a_saved_run_is_judged_again_alike_without_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "run.zip"
    with serving(stop_deleted) as url:
        live = io.StringIO()
        code = check_endpoints([target(url)], out=live, choice=Choice(areas=["stop"]), save=saved)
    assert code == 1
    (kept,) = read_runs(saved)
    report, judgements = judge_saved(kept, {probe.id: probe for probe in load_probes()})
    failed = sorted(result.case.id for result in report.results if result.fails_run)
    assert failed == sorted(set(re.findall(r"FAILED  (\S+)", live.getvalue())))
    assert "stop-word" in failed
    assert set(judgements) == {one.id for one in load_probes() if one.area == "stop"}
    again, out, _ = run(["rejudge", str(saved), "--level", "must"], capsys)
    assert again == 1
    assert "stop-word-stream" in out


def test_the_only_model_that_is_listed_is_taken_and_of_several_one_must_be_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(key=None) as url:
        code, out, _ = run(["check", "endpoint", url, "--case", "answer-readable"], capsys)
        assert (code, "botticelli/echo at" in out) == (0, True)
    with serving(key=None, models=["a", "b"]) as url:
        code, _, err = run(["check", "endpoint", url, "--case", "answer-readable"], capsys)
        assert code == 2
        assert "with --model; it lists 2: a, b" in err
        code, out, _ = run(
            ["check", "endpoint", url, "--model", "a", "--model", "b", "--case", "answer-readable"], capsys
        )
        assert code == 0
        assert out.count("passed: 1 OK") == 2


def test_what_is_left_out_because_it_costs_much_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(key=None) as url:
        asked = ["check", "endpoint", url, "--dry-run", "--area", "robustness"]
        _, out, _ = run(asked, capsys)
        assert "3 probes with prompts of megabytes are left out; --costly asks them" in out
        assert "prompt-ten-megabytes" not in out
        _, out, _ = run([*asked, "--costly"], capsys)
        assert "left out" not in out
        assert "prompt-ten-megabytes" in out
        code, _, err = run([*asked, "--case", "prompt-*"], capsys)
        assert (code, "--costly asks them" in err) == (2, True)


def test_a_dry_run_asks_no_probe(capsys: pytest.CaptureFixture[str]) -> None:
    paths: list[str] = []
    with serving(lambda asked: paths.append(asked.request.path), key=None) as url:
        code, out, _ = run(["check", "endpoint", url, "--dry-run", "--area", "stop"], capsys)
    assert code == 0
    assert "stop-split-stream" in out
    assert paths == ["/v1/models"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name an endpoint"),
        (["nonsense"], "no URL"),
        (["http://127.0.0.1:1/v1", "--case", "nothing-*"], "no probe or area is called"),
        (["http://127.0.0.1:1/v1", "--area", "nothing"], "no area is called"),
        (["http://127.0.0.1:1/v1", "--token-env", "hf_notAVariable"], "must name an environment variable"),
        (["--provider", "groq"], "groq needs a key in GROQ_API_KEY"),
        (["--provider", "nobody"], "there is no provider 'nobody'"),
        (["http://127.0.0.1:1/v1"], "nothing answers"),
    ],
)
def test_what_can_not_be_done_is_said_in_a_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    code, _, err = run(["check", "endpoint", *arguments], capsys)
    assert code == 2
    assert said in err
    assert "hf_notAVariable" not in err
    assert err.count("\n") == 1 or err.startswith("usage: ")


def test_a_service_is_known_by_what_its_driver_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    with serving(key=canary) as url:
        (tmp_path / "my_service.py").write_text(
            "from botticelli import ChatDriver, Provider\n"
            "from botticelli.dialects.openai.dialect import OpenAIDialect\n\n\n"
            "class MyDriver(ChatDriver):\n"
            f"    provider = Provider(name='mine', base_url={url!r}, dialect=OpenAIDialect(),\n"
            "                        key_env=('MINE', 'MINE_TOO'))\n"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.path", [*sys.path])
        monkeypatch.setenv("MINE", " ")
        asked = ["check", "endpoint", "--provider", "my_service:MyDriver", "--case", "answer-readable"]
        code, _, err = run(asked, capsys)
        assert (code, "mine needs a key in MINE or MINE_TOO" in err) == (2, True)
        monkeypatch.setenv("MINE_TOO", canary)
        code, out, err = run(asked, capsys)
    assert (code, err) == (0, "")
    assert f"botticelli/echo at {url}: 1 probes" in out


def test_an_interrupted_run_reports_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(results: Iterable[Result], *_rest: object) -> Iterator[Result]:
        for number, result in enumerate(results):
            if number == 3:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr("botticelli.kit.probes.check.watch", interrupted)
    out = io.StringIO()
    with serving() as url, pytest.raises(KeyboardInterrupt):
        check_endpoints([target(url)], out=out, choice=Choice(areas=["streams"]))
    assert "interrupted, with 15 of 18 probes to go" in out.getvalue()
    assert "2 OK, 1 not claimed" in out.getvalue()


def test_a_baseline_knows_findings(tmp_path: Path) -> None:
    baseline = tmp_path / "known.json"
    baseline.write_text(json.dumps({"known": {"stop-word": "known as mlx#1"}}))
    out = io.StringIO()
    with serving(stop_deleted) as url:
        assert check_endpoints([target(url)], out=out, choice=STOP, baseline=baseline) == 0
    with serving() as url:
        assert check_endpoints([target(url)], out=out, choice=STOP, baseline=baseline) == 1, "stale"


# Captures from elsewhere


def test_a_har_file_and_a_folder_are_judged(tmp_path: Path) -> None:
    body: dict[str, Any] = {"model": "m", "messages": [], "stream": True}
    same: dict[str, Any] = {"object": "chat.completion.chunk", "created": 1, "model": "m"}
    said: list[dict[str, Any]] = [
        {**same, "id": "1", "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]},
        {**same, "id": "2", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    events = "".join(f"data: {json.dumps(one)}\n\n" for one in said)
    entry = {
        "time": 5,
        "request": {
            "method": "POST",
            "url": "http://h/v1/chat/completions",
            "postData": {"text": json.dumps(body)},
        },
        "response": {
            "status": 200,
            "headers": [{"name": "Content-Type", "value": "text/event-stream"}],
            "content": {"text": events},
        },
    }
    har = tmp_path / "capture.har"
    har.write_text(json.dumps({"log": {"entries": [entry]}}))
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "one.request").write_text(f"POST /v1/chat/completions HTTP/1.1\n\n{json.dumps(body)}")
    (folder / "one.response").write_text(
        f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{events}"
    )
    for path in (har, folder):
        out = io.StringIO()
        assert rejudge(path, out=out) == 1
        assert "[DONE]" in out.getvalue()
        assert '"2"' in out.getvalue()
    assert len(read_captures(folder)) == 1


@pytest.mark.parametrize("content", [b"", b"nonsense", b'{"log": 5}', b'{"log": {"entries": []}}'])
@pytest.mark.parametrize("name", ["run.zip", "capture.har"])
def test_a_file_that_is_no_run_is_said_in_a_line(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(KitError):
        rejudge(path, out=io.StringIO())
    with pytest.raises(KitError):
        rejudge(tmp_path / f"no-{name}", out=io.StringIO())


# The files


def test_every_probe_is_one_of_at_least_120_and_says_what_it_rests_on() -> None:
    probes = load_probes()
    assert len(probes) >= 120
    assert len({probe.id for probe in probes}) == len(probes)
    assert all(probe.source and probe.effect and probe.title for probe in probes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"asks": [{"laws": ["no-such-law"]}]}, "there is no law"),
        ({"laws": [{"law": "stopped", "whole": "x", "stopped": "y"}]}, "there is no question 'x'"),
        (
            {"asks": [{"name": "a"}, {"name": "b", "if_stopped": "a", "same_connection": True}]},
            "'b' shares a connection, so it can't depend",
        ),
        (
            {
                "asks": [
                    {"name": "a"},
                    {"name": "b", "if_stopped": "a"},
                    {"name": "c", "same_connection": True},
                ]
            },
            "'b' shares a connection, so it can't depend",
        ),
        ({"asks": [{"name": "a", "if_stopped": "b"}, {"name": "b"}]}, "there is no question 'b' before 'a'"),
        ({"id": "other-name"}, "AREA/ID.json"),
        ({"level": "perhaps"}, "level"),
    ],
)
def test_a_probe_that_can_not_be_used_is_told(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    document = json.loads(json.dumps(next(one for one in load_probes() if one.id == "stream-done").document))
    path = tmp_path / "openai" / "streams" / "stream-done.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document | change))
    with pytest.raises(CaseError, match=re.escape(said)):
        load_probes(tmp_path)

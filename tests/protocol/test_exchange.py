"""The steps of a call, without any I/O: a script plays what the HTTP client would reply."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.core.errors import (
    ApiError,
    BotticelliError,
    CallTimeoutError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    MalformedResponseError,
    ModelsError,
    ServerError,
    StreamTruncatedError,
)
from botticelli.core.response import GenerateResponse, StreamChunk
from botticelli.protocol import exchange as module
from botticelli.protocol.deadlines import Deadlines, Timeouts
from botticelli.protocol.exchange import Close, Deliver, Exchange, Linger, Read, Received, Send, Wait
from botticelli.protocol.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.protocol.exchange import Steps
    from botticelli.protocol.http import ResponseHead

POLICY = RetryPolicy(max_retries=2, initial=1.0, jitter=0)
LIMITS = Timeouts(pool=1, connect=2, first_byte=3, idle=4, progress=10, total=100)


class Clock:
    """A clock that only moves when a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class WordReader:
    """A stream of words: each is a chunk; "," is an event without one, "#" a comment, "." the end."""

    def __init__(self) -> None:
        self.events = 0
        self.words: list[str] = []
        self.ended = False

    def feed(self, piece: bytes) -> list[StreamChunk]:
        found: list[StreamChunk] = []
        for word in piece.decode().split():
            self.events += word != "#"
            self.ended = self.ended or word == "."
            if word.isalpha():
                self.words.append(word)
                found.append(StreamChunk(text=word))
        return found

    def finish(self) -> list[StreamChunk]:
        if not self.ended:
            raise StreamTruncatedError("it has no end")
        return [StreamChunk(is_final=True)]

    def partial(self) -> GenerateResponse | None:
        return GenerateResponse(id=" ".join(self.words)) if self.words else None


class Recorder:
    """The driver's part, which notes what it is asked."""

    def __init__(self) -> None:
        self.abandoned = False
        self.notes: list[str] = []
        self.bodies: list[bytes] = []
        self.words = WordReader()

    def sending(self) -> None:
        self.notes.append("sending")

    def received(self, head: ResponseHead) -> None:
        self.notes.append(f"received {head.status}")

    def error(self, head: ResponseHead, body: bytes) -> ApiError:
        self.bodies.append(body)
        kind = ServerError if head.status >= 500 else ApiError
        return kind("no", status=head.status)

    def reader(self, head: ResponseHead) -> WordReader:
        return self.words

    def finished(self) -> None:
        self.notes.append("finished")

    def failed(self, error: ModelsError) -> None:
        self.notes.append(f"failed {error.kind}")

    def retried(self, error: ModelsError, seconds: float) -> None:
        self.notes.append(f"retried {error.kind} after {seconds}")


class Play:
    """One call whose HTTP client replies with these; an exception is thrown in."""

    def __init__(
        self,
        *replies: Any,
        timeouts: Timeouts = LIMITS,
        policy: RetryPolicy = POLICY,
        max_body_bytes: int = 1000,
    ) -> None:
        self.replies = list(replies)
        self.clock = Clock()
        self.handler = Recorder()
        self.deadlines = Deadlines(timeouts, policy, streaming=True)
        self.steps: list[str] = []
        self.limits: list[float] = []
        self.delivered: list[str] = []
        self.on_step: Callable[[str], None] = lambda _: None
        self.exchange = Exchange(
            self.deadlines,
            self.handler,
            clock=self.clock,
            chance=lambda: 0.5,
            max_body_bytes=max_body_bytes,
        )

    def run(self, steps: Steps[Any]) -> Any:
        reply: Any = None
        while True:
            try:
                step = steps.throw(reply) if isinstance(reply, Exception) else steps.send(reply)
            except StopIteration as end:
                return end.value
            name = type(step).__name__.lower()
            self.steps.append(name)
            self.on_step(name)
            reply = None
            match step:
                case Deliver():
                    self.delivered += [chunk.text or "final" for chunk in step.chunks]
                case Read():
                    self.limits.append(step.limit)
                    reply = self.replies.pop(0)
                case Send():
                    reply = self.replies.pop(0)
                case Wait():
                    self.clock.now += step.seconds
                    reply = self.handler.abandoned
                case _:
                    assert isinstance(step, Close | Linger)

    def whole(self) -> Any:
        return self.run(self.exchange.whole(lambda head, body, cut: (head.status, body + b" cut" * cut)))

    def stream(self) -> list[str]:
        self.run(self.exchange.stream())
        return self.delivered


def head(status: int = 200, *headers: tuple[bytes, bytes], **how: Any) -> Received:
    return Received(status, headers, 5.0, **how)


# The head.


def test_a_head_has_lower_case_names_and_joins_repeated_ones() -> None:
    found = head(429, (b"X-A", b"1"), (b"x-a", b"\xe9"), (b"Content-Encoding", b"gzip")).head()
    assert (found.status, found.received_at) == (429, 5.0)
    assert found.headers == {"x-a": "1, \u00e9", "content-encoding": "gzip"}


def test_a_coding_that_the_client_has_undone_is_not_undone_again() -> None:
    play = Play(head(200, (b"Content-Encoding", b"gzip"), decoded=True), b"plain", None)
    assert play.whole() == (200, b"plain")


# Whole answers.


def test_a_whole_answer_is_read_closed_and_then_decoded() -> None:
    play = Play(head(), b"a", b"b", None)
    assert play.whole() == (200, b"ab")
    assert play.steps == ["send", "read", "read", "read", "close"]
    assert play.handler.notes == ["sending", "received 200"]
    assert play.deadlines.attempts == 1
    assert play.deadlines.answered
    assert play.limits == [4, 4, 4]


def test_a_compressed_answer_is_decompressed() -> None:
    play = Play(head(200, (b"content-encoding", b"deflate")), zlib.compress(b"words"), None)
    assert play.whole() == (200, b"words")


def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    play = Play(head(), b"abcd", b"e", None, max_body_bytes=3)
    with pytest.raises(MalformedResponseError, match=r"more than 3 bytes.*max_body_bytes") as caught:
        play.whole()
    assert caught.value.body == b"abc"
    assert play.replies == [b"e", None]
    assert play.steps[-1] == "close"


def test_an_answer_that_came_after_the_call_was_over_is_not_decoded() -> None:
    play = Play(head(), b"a", None)

    def late(step: str) -> None:
        if step == "close":
            play.clock.now += 100

    play.on_step = late
    with pytest.raises(CallTimeoutError) as caught:
        play.whole()
    assert caught.value.phase == "total"


def test_a_stream_that_is_too_long_is_left_with_what_came() -> None:
    play = Play(head(), b"one ", b"two ", b"three", max_body_bytes=8)
    with pytest.raises(MalformedResponseError, match="max_body_bytes") as caught:
        play.stream()
    assert play.delivered == ["one", "two"]
    assert caught.value.partial is not None
    assert caught.value.partial.id == "one two"


def test_a_body_without_the_end_of_its_framing_is_decoded_all_the_same() -> None:
    play = Play(head(), b"words", ConnectionLostError("peer closed", answered=True))
    assert play.whole() == (200, b"words cut")
    assert play.steps == ["send", "read", "read", "close"]


def test_a_body_that_was_cut_is_lost_with_what_came() -> None:
    partial = GenerateResponse(id="a")

    def decode(head: ResponseHead, body: bytes, cut: bool) -> None:
        raise MalformedResponseError("odd", partial=partial)

    play = Play(head(), b"wor", ConnectionLostError("peer closed", answered=True))
    with pytest.raises(ConnectionLostError) as caught:
        play.run(play.exchange.whole(decode))
    assert (caught.value.body, caught.value.partial) == (b"wor", partial)
    assert play.handler.notes == ["sending", "received 200", "failed connection_lost"]


def test_what_the_decoding_raises_is_not_retried() -> None:
    def decode(head: ResponseHead, body: bytes, cut: bool) -> None:
        raise MalformedResponseError("odd")

    play = Play(head(), None)
    with pytest.raises(MalformedResponseError):
        play.run(play.exchange.whole(decode))
    assert play.handler.notes == ["sending", "received 200", "failed malformed_response"]
    assert play.steps == ["send", "read", "close", "close"]


# Errors and retries.


def test_a_server_error_is_tried_again_until_the_retries_are_used_up() -> None:
    play = Play(head(500), b"x", None, ConnectError("refused"), head(503), None)
    with pytest.raises(ServerError) as caught:
        play.whole()
    assert caught.value.status == 503
    assert caught.value.__context__ is None
    assert play.handler.bodies == [b"x", b""]
    assert play.clock.now == 1003.0
    assert play.steps == [
        "send",
        "read",
        "read",
        "close",
        "wait",
        "send",
        "close",
        "wait",
        "send",
        "read",
        "close",
    ]
    assert play.handler.notes == [
        *("sending", "received 500", "retried server after 1.0"),
        *("sending", "retried connect after 2.0"),
        *("sending", "received 503", "failed server"),
    ]


def test_a_retry_may_succeed() -> None:
    play = Play(head(500), None, head(), b"ok", None)
    assert play.whole() == (200, b"ok")


def test_an_error_that_stands_is_not_tried_again() -> None:
    play = Play(head(400), b"why", None)
    with pytest.raises(ApiError):
        play.whole()
    assert play.steps == ["send", "read", "read", "close"]


@pytest.mark.parametrize(
    "broken", [ConnectError("cut"), CallTimeoutError("idle", 4.0), MalformedResponseError("HTTP")]
)
def test_the_status_is_the_news_whatever_its_body_comes_to(broken: ModelsError) -> None:
    play = Play(head(400), b"half", broken)
    with pytest.raises(ApiError) as caught:
        play.whole()
    assert (caught.value.status, play.handler.bodies) == (400, [b"half"])
    assert caught.value.__context__ is None


def test_an_error_whose_coding_is_unknown_has_no_body() -> None:
    play = Play(head(400, (b"content-encoding", b"zstd")))
    with pytest.raises(ApiError):
        play.whole()
    assert play.handler.bodies == [b""]


def test_an_error_is_read_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODY", 3)
    play = Play(head(400), b"abcdef", b"never read")
    with pytest.raises(ApiError):
        play.whole()
    assert play.handler.bodies == [b"abc"]


def test_what_is_noted_of_a_response_is_added_to_the_hint() -> None:
    play = Play(head(400, note="read it first"), None)
    with pytest.raises(ApiError) as caught:
        play.whole()
    assert caught.value.hint == "read it first"


def test_an_exception_of_the_users_own_passes_through() -> None:
    mine = KeyError("mine")
    play = Play(mine)
    with pytest.raises(KeyError) as caught:
        play.whole()
    assert caught.value is mine
    assert play.handler.notes == ["sending"]


def test_an_error_that_no_model_has_to_do_with_is_raised_as_it_is() -> None:
    play = Play(ConfigurationError("odd"))
    with pytest.raises(ConfigurationError):
        play.whole()
    assert play.handler.notes == ["sending"]


def test_nothing_is_retried_for_a_caller_that_has_given_up() -> None:
    play = Play(head(500), None)
    play.handler.abandoned = True
    with pytest.raises(ServerError):
        play.whole()
    assert "wait" not in play.steps


def test_a_caller_may_give_up_while_a_retry_is_waited_for() -> None:
    play = Play(head(500), None)

    def give_up(step: str) -> None:
        play.handler.abandoned = step == "wait"

    play.on_step = give_up
    with pytest.raises(ServerError):
        play.whole()
    assert play.steps.count("send") == 1


def test_a_wait_may_end_in_an_error_of_its_own() -> None:
    steps = Play(head(500), None).exchange.whole(lambda head, body, cut: body)
    assert isinstance(next(steps), Send)
    assert isinstance(steps.send(head(500)), Read)
    assert isinstance(steps.send(None), Close)
    assert isinstance(next(steps), Wait)
    with pytest.raises(ClosedError) as caught:
        steps.throw(ClosedError("the driver is closed"))
    assert caught.value.__context__ is None


# Limits.


def test_the_limits_of_an_attempt_are_those_of_httpx() -> None:
    step = next(Play().exchange.stream())
    assert isinstance(step, Send)
    assert step.limits == {"pool": 1, "connect": 2, "write": 3, "read": 3}


def test_nothing_is_sent_when_the_time_is_over() -> None:
    play = Play(ConnectError("refused"), timeouts=Timeouts(total=10))

    def pass_time(step: str) -> None:
        play.clock.now += 8.5 if step == "send" else 1.5 if step == "wait" else 0

    play.on_step = pass_time
    with pytest.raises(CallTimeoutError) as caught:
        play.whole()
    assert caught.value.phase == "total"
    assert play.steps.count("send") == 1


def test_a_read_may_take_as_long_as_its_first_limit() -> None:
    play = Play(head(), b"#", b"#", b"a .", timeouts=LIMITS)

    def pass_time(step: str) -> None:
        play.clock.now += 3.5 if step == "read" else 0

    play.on_step = pass_time
    assert play.stream() == ["a", "final"]
    assert play.limits == [4, 4, 3]  # ten seconds of progress, seven gone: comments don't count


def test_an_event_renews_the_progress_limit() -> None:
    play = Play(head(), b",", b",", b"a", b"b .")

    def pass_time(step: str) -> None:
        play.clock.now += 3.5 if step == "read" else 0

    play.on_step = pass_time
    play.stream()
    assert play.limits == [4, 4, 4, 4]


def test_a_part_of_a_whole_answer_renews_the_progress_limit() -> None:
    play = Play(head(), *[b"x"] * 5, None)

    def pass_time(step: str) -> None:
        play.clock.now += 3.5 if step == "read" else 0

    play.on_step = pass_time
    play.whole()
    assert play.limits == [4] * 6


# Streams.


def test_a_stream_begins_with_an_empty_delivery_and_ends_with_the_final_chunk() -> None:
    play = Play(head(), b"a b", b"# ,", b"c .")
    assert play.stream() == ["a", "b", "c", "final"]
    assert play.steps == [
        *("send", "deliver", "read", "deliver", "read", "read", "deliver"),
        *("linger", "close", "deliver"),
    ]
    assert play.handler.notes == ["sending", "received 200", "finished"]
    assert play.deadlines.delivered


def test_nothing_is_delivered_twice() -> None:
    play = Play(head(), b"a", ConnectError("cut"))
    with pytest.raises(ConnectError) as caught:
        play.stream()
    assert caught.value.partial == GenerateResponse(id="a")
    assert play.handler.notes[-1] == "failed connect"
    assert play.steps.count("send") == 1


def test_a_stream_that_breaks_before_its_first_chunk_is_not_asked_for_again() -> None:
    play = Play(head(), b"#", ConnectError("cut"))
    with pytest.raises(ConnectError) as caught:
        play.stream()
    assert caught.value.partial is None
    assert play.steps.count("send") == 1


def test_an_error_keeps_the_partial_answer_that_it_has() -> None:
    own = GenerateResponse(id="own")
    play = Play(head(), b"a", StreamTruncatedError("cut", partial=own))
    with pytest.raises(StreamTruncatedError) as caught:
        play.stream()
    assert caught.value.partial is own


def test_a_stream_without_an_end_is_an_error() -> None:
    play = Play(head(), b"a", None)
    with pytest.raises(StreamTruncatedError):
        play.stream()
    assert "linger" not in play.steps
    assert "finished" not in play.handler.notes


def test_a_compressed_stream_that_ends_in_the_middle_is_an_error() -> None:
    play = Play(head(200, (b"content-encoding", b"deflate")), zlib.compress(b"a b")[:-4], None)
    with pytest.raises(MalformedResponseError, match="in the middle"):
        play.stream()


def test_a_stream_in_an_unknown_coding_is_closed() -> None:
    play = Play(head(200, (b"content-encoding", b"zstd")))
    with pytest.raises(MalformedResponseError):
        play.stream()
    assert play.steps == ["send", "close"]


def test_a_stream_may_begin_with_a_retry() -> None:
    play = Play(head(503), None, head(), b"a .")
    assert play.stream() == ["a", "final"]
    assert play.steps[:4] == ["send", "read", "close", "wait"]


def test_what_comes_for_a_caller_that_has_given_up_is_not_read() -> None:
    play = Play(head(), b"a", b"b")

    def give_up(step: str) -> None:
        play.handler.abandoned = play.handler.abandoned or (step == "read" and bool(play.delivered))

    play.on_step = give_up
    with pytest.raises(ClosedError, match="the stream is closed"):
        play.stream()
    assert play.delivered == ["a"]


def test_a_stream_passes_an_exception_of_the_users_own_on() -> None:
    play = Play(head(), KeyError("mine"))
    with pytest.raises(KeyError):
        play.stream()
    assert not any(note.startswith("failed") for note in play.handler.notes)


def test_an_error_before_any_network_is_none_of_a_model() -> None:
    assert issubclass(ClosedError, BotticelliError)
    assert not issubclass(ClosedError, ModelsError)

"""The demo server: a mock server to point any client at.

Every case is played under its own path: ``/sse-cr-only/v1``, or ``/FORMAT/SLUG/v1`` in a format other than
openai. ``/v1`` answers like a well-behaved server of the OpenAI format, so that a first program can be tried
without a key.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from botticelli.contracts import validator
from botticelli.contracts.jsonvalue import Document, as_object
from botticelli.kit.cases.formats import OPENAI, Context
from botticelli.kit.cases.script import ByteScript, compile_exchange
from botticelli.kit.errors import KitError
from botticelli.kit.report.text import write_table
from botticelli.kit.server.chat import MODEL, ChatServer
from botticelli.kit.server.http1 import Limits
from botticelli.kit.server.server import MockServer, exchange_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from botticelli.kit.cases.case import Case
    from botticelli.kit.server.recording import Request

__all__ = ["LIMITS", "Log", "serve", "serving"]

LIMITS = Limits(held=256 << 20, patience=30.0, idle=300.0)
"""What clients are allowed: a server that runs for long must not be filled up by those that forget it."""

_LISTED = 20  # more cases than this aren't listed one by one


class Log:
    """Writes one line for each request."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._error: OSError | None = None
        self._ended = threading.Event()

    def write(self, status: object, request: Request | None = None, why: str = "") -> None:
        """Write a line; the query isn't in it, since keys are sent there.

        Args:
            status: The status, or how the connection ends without one.
            request: The request, unless it broke HTTP.
            why: The message of a refusal.
        """
        if self._ended.is_set():
            return
        what = f"{request.method} {request.path.partition('?')[0]}" if request else "not a request"
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # The message repeats what a client sent: nothing of it may steer a terminal.
        reason = f" ({why.encode('unicode_escape').decode()})" if why else ""
        try:
            self._out.write(f"{moment} {what} {status}{reason}\n")
            self._out.flush()
        except OSError as error:  # nobody reads it any more; wait() tells
            self._error = error
            self._ended.set()

    def wait(self) -> None:
        """Wait until a line can't be written.

        Raises:
            OSError: Why not.
        """
        self._ended.wait()
        if self._error is not None:
            raise self._error


class _DemoResponder:
    """Chooses what to play for a request, by its path."""

    def __init__(self, cases: Sequence[Case], port: int, chat: ChatServer, log: Log | None) -> None:
        self._cases: Mapping[str, Case] = {case.key: case for case in cases}
        self._port = port
        self._chat = chat
        self._log = log
        self._played: Counter[str] = Counter()

    def __call__(self, _index: int, request: Request) -> ByteScript:
        case = self._named(request.path)
        if case is None:
            exchange, context = self._chat.answer(request), Context(OPENAI, "", MODEL)
        else:
            exchange, context = self._next(case)
        if self._log is not None:
            self._log.write(exchange.get("status", exchange.get("end", "raw")), request, _reason(exchange))
        return compile_exchange(exchange, context, datetime.now(UTC))

    def _next(self, case: Case) -> tuple[Document, Context]:
        play = case.render(seed=0, port=self._port)
        number = self._played[case.key]
        self._played[case.key] += 1
        # Start again after the last exchange, so that a client can be run against a case twice.
        total = sum(exchange.get("times", 1) for exchange in play.exchanges)
        return exchange_for(play.exchanges, number % total), play.context

    def _named(self, path: str) -> Case | None:
        """Return the case whose key begins the path: one segment, or two for a case of another format."""
        parts = path.partition("?")[0].split("/")
        return self._cases.get("/".join(parts[1:3])) or self._cases.get(parts[1] if len(parts) > 1 else "")


def _reason(exchange: Document) -> str:
    """Return why a request is refused, if it is refused in JSON."""
    for piece in exchange.get("body", ()):
        message = as_object(as_object(as_object(piece).get("json")).get("error")).get("message")
        if isinstance(message, str):
            return message
    return ""


def _plays(case: Case) -> bool:
    """Tell whether a case plays anything: in some, a client must find nobody, or must not ask at all."""
    return bool(case.document["exchanges"])


@contextmanager
def serving(
    cases: Sequence[Case],
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    chat: ChatServer | None = None,
    log: Log | None = None,
    limits: Limits = LIMITS,
) -> Generator[str, None, None]:
    """Serve while the block runs.

    Args:
        cases: The cases to offer, each under ``/KEY/v1`` (Case.key); those that play nothing are left out.
        port: The port; 0 for any free one.
        host: The address to listen on.
        chat: What answers at ``/v1``.
        log: Gets a line for each request.
        limits: What clients are allowed.

    Yields:
        The origin, ``http://HOST:PORT``.

    Raises:
        ContractError: The contracts can't be read, or jsonschema-rs is missing.
        KitError: The port is taken, or this machine doesn't have the address.
    """
    validator("openai/request")  # now rather than at the first request
    with MockServer(host) as server:
        try:
            listener = server.open(port=port, records=False, limits=limits)
        except OSError as error:
            raise KitError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        played = list(filter(_plays, cases))
        responder = _DemoResponder(played, listener.port, chat or ChatServer(), log)
        listener.respond(responder, None if log is None else log.write)
        try:
            yield f"http://{f'[{host}]' if ':' in host else host}:{listener.port}"
        finally:
            listener.finish()


def serve(
    cases: Sequence[Case],
    *,
    port: int,
    host: str,
    out: TextIO,
    chat: ChatServer | None = None,
    logs: bool = False,
    until: Callable[[], object] | None = None,
) -> None:
    """Serve until interrupted, and write the base URLs first.

    Args:
        cases: The cases to offer.
        port: The port.
        host: The address to listen on.
        out: Where the addresses are written, and the log.
        chat: What answers at ``/v1``.
        logs: Whether to write a line for each request.
        until: Returns when it is time to end, or raises KeyboardInterrupt; by default never.

    Raises:
        KitError: The port is taken, or all cases play nothing.
        OSError: The log can't be written any more.
    """
    chat = chat or ChatServer()
    silent = [case.key for case in cases if not _plays(case)]
    offered = list(filter(_plays, cases))
    if silent and not offered:
        names = ", ".join(silent)
        raise KitError(f"nothing to serve: in {names} a client finds no server, or must send nothing")
    log = Log(out)
    with serving(offered, port=port, host=host, chat=chat, log=log if logs else None) as origin:
        named = ", ".join(chat.models or (MODEL,))
        rows = [(f"{origin}/v1", f"a well-behaved server with {_counted(chat.models)}, {named}")]
        if len(offered) > _LISTED:
            rows.append(
                (f"{origin}/CASE/v1", f"one of {len(offered)} cases; botticelli list cases names them")
            )
        else:
            rows += [(f"{origin}/{case.key}/v1", case.title) for case in offered]
        write_table(out, ("base URL", "what answers there"), rows)
        if silent:
            out.write(f"\nNot served, because they play nothing: {', '.join(silent)}.\n")
        out.write(f"\n{_accepted(chat)} Ctrl-C ends it.\n")
        out.flush()
        try:
            (until or log.wait)()
        except KeyboardInterrupt:
            out.write("\n")


def _counted(models: Sequence[str]) -> str:
    return f"{len(models)} models" if len(models) > 1 else "one model"


def _accepted(chat: ChatServer) -> str:
    key = "Any API key is accepted" if chat.key is None else "/v1 accepts only the API key of --key"
    return f"{key}, and {'no other model name' if chat.models else 'any model name'}."

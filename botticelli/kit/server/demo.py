"""The mock server on its own: a server to point any client at.

Every case can be played under its own path (``/sse-cr-only/v1``); ``/v1`` answers like a
well-behaved server, so that the first lines of a program can be tried without a key.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from botticelli.kit.cases.formats import OPENAI, Context
from botticelli.kit.cases.script import ByteScript, compile_exchange
from botticelli.kit.errors import KitError
from botticelli.kit.runner import exchange_for
from botticelli.kit.server.echo import MODEL, answer
from botticelli.kit.server.server import MockServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from botticelli.kit.cases.case import Case
    from botticelli.kit.server.recording import Request

_LISTED = 20  # more cases than this are not told one by one


class _DemoResponder:
    """Says what is played for a request, by its path."""

    def __init__(self, cases: Sequence[Case], port: int) -> None:
        self._cases: Mapping[str, Case] = {case.id: case for case in cases}
        self._port = port
        self._played: Counter[str] = Counter()

    def __call__(self, _index: int, request: Request) -> ByteScript:
        now = datetime.now(UTC)
        case = self._cases.get(request.path.split("/")[1])
        if case is None:
            return compile_exchange(
                answer(request.method, request.path, request.body), Context(OPENAI, "chatcmpl-1", MODEL), now
            )
        play = case.render(seed=0, port=self._port)
        number = self._played[case.id]
        self._played[case.id] += 1
        # From the start again after the last, so that a client can be run against it twice.
        total = sum(exchange.get("times", 1) for exchange in play.exchanges) or 1
        return compile_exchange(exchange_for(play, number % total), play.context, now)


@contextmanager
def serving(cases: Sequence[Case], *, port: int = 0, host: str = "127.0.0.1") -> Generator[str, None, None]:
    """Serve while the block runs.

    Args:
        cases: Those that can be played, each under ``/ID/v1``.
        port: Where; 0 for any free port.
        host: The address; loopback unless told otherwise.

    Yields:
        The origin, ``http://HOST:PORT``.

    Raises:
        KitError: The port is taken, or the address is not ours.
    """
    with MockServer(host) as server:
        try:
            listener = server.open(port=port, remembers=False)
        except OSError as error:
            raise KitError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        listener.direct(_DemoResponder(cases, listener.port))
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
    until: Callable[[], object] | None = None,
) -> None:
    """Serve until interrupted; say where.

    Args:
        cases: Those that can be played.
        port: Where.
        host: The address.
        out: Where the addresses are written.
        until: Returns when it is time to end, or raises KeyboardInterrupt; by default never.

    Raises:
        KitError: The port is taken.
    """
    with serving(cases, port=port, host=host) as origin:
        rows = [
            ("base URL", "what answers there"),
            (f"{origin}/v1", f"a well-behaved server with one model, {MODEL}"),
        ]
        if len(cases) > _LISTED:
            rows.append((f"{origin}/CASE/v1", f"one of {len(cases)} cases; botticelli list cases names them"))
        else:
            rows += [(f"{origin}/{case.id}/v1", case.title) for case in cases]
        wide = max(len(address) for address, _ in rows)
        out.writelines(f"{address:<{wide}}  {what}\n" for address, what in rows)
        out.write("\nEvery API key will do, and every name of a model. Ctrl-C ends it.\n")
        out.flush()
        try:
            (until or threading.Event().wait)()
        except KeyboardInterrupt:
            out.write("\n")

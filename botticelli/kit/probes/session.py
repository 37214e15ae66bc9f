"""Ask an endpoint: first who it is, then the probes; wait when it is busy, and keep count of the calls."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import as_object, as_objects, is_array
from botticelli.kit.errors import EndpointError
from botticelli.kit.probes.answer import Answer
from botticelli.kit.probes.client import Client
from botticelli.kit.probes.comparisons import pick
from botticelli.kit.probes.probe import Ask, Target, Traits
from botticelli.kit.probes.proxy import WANTS_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.probes.client import Sending
    from botticelli.kit.probes.exchange import Exchange
    from botticelli.kit.probes.probe import Probe
    from botticelli.kit.probes.proxy import Proxy

__all__ = ["Model", "Session", "models_of"]

_ROOMS = (1024, 4096)
"""Tokens for an answer that our usual limit has cut."""
_BUSY = frozenset({429, 503})
_TIMES = 3
_LONGEST_WAIT = 60.0
_SLOW = 10.0
"""Times that a question may take longer than the first one did, whatever the limit."""

_LIST = Ask({"name": "models", "method": "GET", "path": "/models"}, 0)
_PLAIN = Ask({"name": "plain", "chat": {}}, 0)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that an endpoint lists.

    Attributes:
        id: Its name.
        prompt, completion: US dollars for a million tokens, at most; None where no price is listed.
    """

    id: str
    prompt: float | None = None
    completion: float | None = None


def models_of(answer: Answer) -> list[Model]:
    """Return the models that an endpoint lists, with their prices in the shapes of the known routers."""
    body = answer.body
    entries = body if is_array(body) else as_object(body).get("data")
    return [_model(entry) for entry in as_objects(entries) if isinstance(entry.get("id"), str)]


def _model(entry: Document) -> Model:
    per_token = as_object(entry.get("pricing"))
    if per_token:  # OpenRouter: strings, dollars a token
        prices = [_number(per_token.get(name)) for name in ("prompt", "completion")]
        prompt, completion = (None if price is None else price * 1e6 for price in prices)
        return Model(entry["id"], prompt, completion)
    offers = [as_object(offer.get("pricing")) for offer in as_objects(entry.get("providers"))]
    inputs = [price for offer in offers if (price := _number(offer.get("input"))) is not None]
    outputs = [price for offer in offers if (price := _number(offer.get("output"))) is not None]
    return Model(entry["id"], max(inputs, default=None), max(outputs, default=None))


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


class Session:
    """The questions to one model of one endpoint. Threads may share it.

    Args:
        target: Whom to ask.
        timeout: Seconds in which something must come.
        most: Calls at most; None for any number.
        wait: Waits so many seconds; for tests.

    Raises:
        EndpointError: The environment names a proxy that can't be used.
    """

    def __init__(
        self,
        target: Target,
        *,
        timeout: float = 60.0,
        most: int | None = None,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self.target = target
        self.calls = 0
        self.waited = 0.0
        self._client = Client(target.address, [target.key])
        self._timeout = timeout
        self._patience = timeout
        self._most = most
        self._wait = wait
        self._lock = threading.Lock()

    @property
    def proxy(self) -> Proxy | None:
        """Who passes the questions on; None for nobody."""
        return self._client.proxy

    # Who is there

    def list_models(self) -> tuple[list[Model], Exchange]:
        """Return the models that are listed; none if there is no list.

        Raises:
            EndpointError: Nothing answers, or the key is refused.
        """
        exchange = self._send_first(_LIST)
        answer = Answer(exchange)
        self._check_arrived(answer)
        if answer.response.status in (401, 403) and not self.target.model:
            raise EndpointError(self._about_key(answer))
        return (models_of(answer) if answer.ok else []), exchange

    def begin(self) -> list[Exchange]:
        """Ask a plain question, and learn how this model wants to be asked.

        Raises:
            EndpointError: It makes no sense to ask anything else: the key is refused, there is no such model,
                this is no OpenAI API, or the calls are used up.
        """
        done: list[Exchange] = []
        traits = self.target.traits
        for _ in range(4):
            self.target = replace(self.target, traits=traits)
            exchange = self._send_first(_PLAIN)
            done.append(exchange)
            answer = Answer(exchange)
            self._check_arrived(answer)
            if answer.ok and not answer.error:
                self._patience = max(self._timeout, _SLOW * exchange.seconds)
                if not answer.choices:
                    raise EndpointError(f"{self._where()} is no OpenAI API: it answers {_beginning(answer)}")
                rooms = [room for room in _ROOMS if room > traits.room]
                if not answer.cut or not rooms:
                    return done
                traits = replace(traits, room=rooms[0])
                continue
            learned = _learn(traits, answer)
            if learned == traits:
                raise EndpointError(self._why_not(answer))
            traits = learned
        return done

    @property
    def learned(self) -> Document:
        """What :meth:`begin` has found out, as JSON, for a session of another process."""
        traits = self.target.traits
        return {
            "model": self.target.model,
            "limit": traits.limit,
            "temperature": traits.temperature,
            "room": traits.room,
            "patience": self._patience,
        }

    def resume(self, learned: Document) -> None:
        """Begin with what another session has :attr:`learned`, so that nothing is asked twice."""
        traits = Traits(learned["limit"], learned["temperature"], learned["room"])
        self.target = replace(self.target, model=learned["model"], traits=traits)
        self._patience = learned["patience"]

    def _send_first(self, ask: Ask) -> Exchange:
        sent = self._send([ask.sending(self.target, patience=self._patience)])
        if not sent:
            raise EndpointError(
                f"{self._most} calls were made before the first probe; --max-calls allows more"
            )
        return sent[0]

    def _where(self) -> str:
        return self.target.address.url

    def _check_arrived(self, answer: Answer) -> None:
        exchange, proxy = answer.exchange, self._client.proxy
        if answer.response.status == WANTS_NAME and proxy:
            raise EndpointError(f"the proxy {proxy} lets nobody pass: {proxy.refusal(WANTS_NAME)}")
        if exchange.end == "unreachable":
            raise EndpointError(f"nothing answers at {self._where()}: {exchange.detail}")
        if exchange.end == "timeout" and not answer.response.status:
            raise EndpointError(
                f"{self._where()} doesn't answer: {exchange.detail}; --timeout gives it longer"
            )
        if not answer.response.status:
            fault = next(iter(answer.response.faults), exchange.detail or "the connection was closed")
            fault = exchange.hide(fault)
            raise EndpointError(f"{self._where()} doesn't answer in HTTP/1: {fault}")

    def _about_key(self, answer: Answer) -> str:
        said = f"{answer.response.status}: {answer.exchange.hide(answer.error)[:200]}"
        if self.target.key:
            return f"{self._where()} refuses the key in {self.target.key_env or 'use'} ({said})"
        return f"{self._where()} wants a key ({said}); name the variable that holds it with --token-env"

    def _why_not(self, answer: Answer) -> str:
        status, said = answer.response.status, answer.exchange.hide(answer.error)[:300]
        if status in (401, 403):
            return self._about_key(answer)
        model = self.target.model
        if status == 402:
            return f"{self._where()} wants to be paid first ({status}: {said})"
        if status in _BUSY:
            return f"{self._where()} is busy, and still was after {_TIMES} tries ({status}: {said})"
        known = answer.response.media_type == "application/json"
        if status == 404 and ("model" in answer.error.lower() or model in answer.error):
            return f"{self._where()} has no model {model!r} ({status}: {said})"
        if status in (404, 405) or not known:
            path = f"POST {answer.exchange.target}"
            return f"{self._where()} is no OpenAI API: {path} answers {_beginning(answer)}"
        return f"{self._where()} doesn't answer a plain question for the model {model!r} ({status}: {said})"

    # The probes

    def ask(self, probe: Probe) -> list[Exchange]:
        """Ask the questions of a probe and return all exchanges, in order.

        It never raises for what the endpoint does. When the calls are used up, the rest isn't asked.
        """
        done: list[Exchange] = []
        group: list[Ask] = []
        for number, ask in enumerate(probe.asks):
            if ask.if_stopped and not _stopped(done, ask.if_stopped):
                continue
            group.append(ask)
            if number + 1 < len(probe.asks) and probe.asks[number + 1].same_connection:
                continue
            words = _words(done)
            done += self._ask_group(group, words) if len(group) > 1 else self._ask_one(ask, words)
            group = []
        return done

    def _ask_group(self, group: Sequence[Ask], words: dict[str, str]) -> list[Exchange]:
        sendings = [ask.sending(self.target, words=words, patience=self._patience) for ask in group]
        return self._send(sendings)

    def _ask_one(self, ask: Ask, words: dict[str, str]) -> list[Exchange]:
        if any(f"{{{{{name}}}}}" in str(ask.document) and name not in words for name in ("word", "span")):
            return []  # the model said nothing that could be a stop sequence
        if ask.copies > 1:
            return self._ask_at_once(ask, words)
        done: list[Exchange] = []
        for variant in range(len(ask.variants)):
            done += self._ask_with_room(ask, variant, words)
            if len(ask.variants) == 1 or not done or Answer(done[-1]).calls:
                break
        return done

    def _ask_with_room(self, ask: Ask, variant: int, words: dict[str, str]) -> list[Exchange]:
        done: list[Exchange] = []
        for room in (0, *_ROOMS) if ask.uncut else (0,):
            if room and room <= self.target.traits.room:
                continue
            sending = ask.sending(
                self.target, variant=variant, room=room, words=words, patience=self._patience
            )
            done += self._send([sending])
            if not done or not Answer(done[-1]).cut:
                break
        return done

    def _ask_at_once(self, ask: Ask, words: dict[str, str]) -> list[Exchange]:
        sending = ask.sending(self.target, words=words, patience=self._patience * 2)
        named = [sending] + [replace(sending, ask=f"{ask.name}.{n}") for n in range(2, ask.copies + 1)]
        with ThreadPoolExecutor(ask.copies) as pool:
            sent = [pool.submit(self._send, [one]) for one in named]
            return [exchange for future in sent for exchange in future.result()]

    def _send(self, sendings: Sequence[Sending]) -> list[Exchange]:
        """Send requests on one connection; wait and ask again where the endpoint is busy."""
        with self._lock:
            if self._most is not None and self.calls + len(sendings) > self._most:
                return []
            self.calls += len(sendings)
        exchanges = self._client.exchange(sendings)
        for attempt in range(_TIMES):
            wait = _asked_to_wait(exchanges[-1], attempt)
            if wait is None:
                break
            with self._lock:
                if self._most is not None and self.calls + len(sendings) > self._most:
                    break
                self.calls += len(sendings)
                self.waited += wait
            self._wait(wait)
            exchanges = self._client.exchange(sendings)
        return exchanges


def _asked_to_wait(exchange: Exchange, attempt: int) -> float | None:
    """Return the seconds to wait before another try; None when the endpoint isn't busy, or for too long."""
    response = exchange.response
    if response.status not in _BUSY:
        return None
    asked = response.header("retry-after")
    if asked is None:
        return float(2**attempt)
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            return float(2**attempt)
    return max(seconds, 0.1) if seconds <= _LONGEST_WAIT else None


def _stopped(done: Sequence[Exchange], name: str) -> bool:
    """Tell whether the answer to a question says that it ended by itself."""
    answer = next((Answer(one) for one in reversed(done) if one.ask == name), None)
    return answer is not None and any(choice.finish == "stop" for choice in answer.choices)


def _words(done: Sequence[Exchange]) -> dict[str, str]:
    """Return what ``{{word}}`` and ``{{span}}`` stand for after the first question."""
    text = Answer(done[0]).text if done else ""
    picked = {name: pick(text, name) for name in ("word", "span")}
    return {name: word for name, word in picked.items() if word}


def _learn(traits: Traits, answer: Answer) -> Traits:
    """Return how to ask a model that refuses a plain question for one of its members."""
    if answer.response.status not in (400, 422):
        return traits
    said = answer.response.data.decode("utf-8", "replace")
    if "max_completion_tokens" in said and traits.limit == "max_tokens":
        return replace(traits, limit="max_completion_tokens")
    if "temperature" in said and traits.temperature:
        return replace(traits, temperature=False)
    return traits


def _beginning(answer: Answer) -> str:
    media = answer.response.media_type or "no content type"
    text = " ".join(answer.response.data[:120].decode("utf-8", "replace").split())
    return f"{answer.response.status} ({media}): {answer.exchange.hide(text)}"

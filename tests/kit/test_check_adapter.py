"""What an adapter does wrong is said in prose, before its client is blamed for it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.checkup import check_adapter
from botticelli.kit.errors import AdapterError
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.kit.adapters.adapter import Adapter

NAME = f"{__name__}:make"


class Adapting(ReferenceClient):
    """The reference client with its calls and outcomes changed, as a wrong adapter would."""

    def __init__(
        self,
        call: Callable[[dict[str, Any]], Any] = lambda _call: None,
        outcome: Callable[[dict[str, Any], dict[str, Any]], Any] = lambda _call, outcome: outcome,
    ) -> None:
        super().__init__()
        self._change, self._outcome = call, outcome

    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        self._change(call)
        changed: dict[str, Any] = self._outcome(call, super().exchange(call))
        return changed


def said(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    def opened(_spec: str, **_options: object) -> Adapter:
        return adapter

    monkeypatch.setattr("botticelli.kit.checkup.open_adapter", opened)
    out = io.StringIO()
    return check_adapter(NAME, out, seed=1, limit=3), out.getvalue()


def test_a_right_one_is_told_how_to_go_on() -> None:
    out = io.StringIO()
    assert check_adapter("botticelli.kit.selftest.reference_client:ReferenceClient", out) == 0
    assert "wrong" not in out.getvalue()
    assert out.getvalue().count("right        ") == 9
    assert "perhaps: two calls with one base_url made 2 connections" in out.getvalue()
    assert "the adapter looks right: botticelli check driver 'botticelli.kit.selftest" in out.getvalue()


def to(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(call: dict[str, Any]) -> None:
        call[name] = value

    return change


def retrying(call: dict[str, Any]) -> None:
    call["options"]["max_retries"] = 2


def elsewhere(call: dict[str, Any]) -> None:
    call["base_url"] = call["base_url"].removesuffix("/v1") + "/v2"


def other_messages(call: dict[str, Any]) -> None:
    call["request"]["messages"] = [{"role": "user", "content": "x"}]


def never_left(call: dict[str, Any]) -> None:
    if call.pop("cancel_after", None):
        raise LookupError("no such chunk")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (to("api_key", "mine"), "api_key didn't arrive as the header Authorization: Bearer KEY"),
        (to("model", "mine"), 'the request asks for model "mine", the call for '),
        (other_messages, "the request's messages are [{"),
        (elsewhere, "which isn't under the base_url's path /v1"),
        (to("base_url", "http://127.0.0.1:9/v1"), "no request came to base_url, http://127.0.0.1:"),
        (retrying, "options.max_retries is 0, and 3 requests came for one call"),
        (never_left, "exchange raised LookupError: no such chunk (at test_check_adapter.py:"),
    ],
)
def test_what_does_not_reach_the_client_is_named(
    change: Callable[[dict[str, Any]], Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = said(Adapting(change), monkeypatch)
    assert code == 1
    assert complaint in text
    assert "to mend in the adapter before its client is judged" in text


def without(*names: str) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    def change(_call: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
        response: dict[str, Any] = outcome.get("response", {})
        for name in names:
            response.pop(name, None)
        return outcome

    return change


def always(outcome: dict[str, Any] | None) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    def change(_call: dict[str, Any], _outcome: dict[str, Any]) -> dict[str, Any] | None:
        return outcome

    return change


def invents(_call: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    for choice in outcome.get("response", {}).get("choices", []):
        choice["finish_reason"] = "stop"
    return outcome


def swallows(_call: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    return {"models": []} if "error" in outcome else outcome


def parses(_call: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    for choice in outcome.get("response", {}).get("choices", []):
        for call in choice.get("tool_calls", []):
            call["arguments"] = call["arguments"].replace(" ", "")
    return outcome


def kinds(_call: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    if "error" in outcome:
        outcome["error"] = {"kind": "api", "message": "it failed"}
    return outcome


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (always(None), "exchange returned null, not an object with one outcome"),
        (always({"unsupported": "x"}), "it claims generate, and answers unsupported: x."),
        (always({"text": "x"}), "the outcome breaks contracts/kit/outcome.schema.json: "),
        (always({"models": []}), "a good answer was taken for "),
        (without("chunks"), "the response of a stream has chunks"),
        (without("choices"), "/response/choices"),
        (invents, "the server ended with the word 'zzz-unheard-of', and finish_reason is 'stop'"),
        (swallows, "the server answered 401, and the outcome is {"),
        (parses, "a tool's arguments are the text as the server sent it"),
        (kinds, "401 is of kind authentication, not api"),
        (kinds, "the error's status is None, not 401"),
        (kinds, "perhaps: the server's words are not in the error's message, \"it failed\""),
    ],
)
def test_what_is_wrong_with_an_outcome_is_named(
    change: Callable[[dict[str, Any], dict[str, Any]], Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = said(Adapting(outcome=change), monkeypatch)
    assert code == 1
    assert complaint in text


def test_what_is_not_claimed_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = Adapting()
    adapter.capabilities = frozenset({"generate"})
    code, text = said(adapter, monkeypatch)
    assert code == 0
    assert "not claimed  a streamed answer: stream\n" in text


def test_one_that_cannot_be_closed_or_opened_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Adapting):
        def close(self) -> None:
            raise RuntimeError("stuck")

    code, text = said(Stuck(), monkeypatch)
    assert code == 1
    assert "wrong        close: the driver cannot be closed: RuntimeError: stuck" in text
    monkeypatch.undo()
    with pytest.raises(AdapterError, match="cannot open"):
        check_adapter("no.such:adapter", io.StringIO())


def test_no_key_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set[str]()

    def leak(call: dict[str, Any], _outcome: dict[str, Any]) -> dict[str, Any]:
        keys.add(call["api_key"])
        return {call["api_key"]: call["api_key"]}

    _, text = said(Adapting(outcome=leak), monkeypatch)
    assert keys
    assert not [key for key in keys if key in text]


class Chunks:
    """As a client that hands out chunks, and shows nothing of an error's words."""

    capabilities = frozenset({"generate", "stream", "events"})

    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        outcome = ReferenceClient().exchange(call)
        if call["operation"] == "stream" and "response" in outcome:
            [choice] = outcome["response"]["choices"]
            delta = {"choices": [{"index": 0, "delta": {"content": choice["text"]}, "finish_reason": "stop"}]}
            return {"response": {"events": [delta]}}
        if "error" in outcome:
            outcome["error"]["message"] = "it failed"
        return outcome


def test_a_client_that_hands_out_chunks_has_no_texts_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = said(Chunks(), monkeypatch)
    assert "wrong" not in text
    assert "perhaps: the server's words" in text
    assert code == 0

"""Laws: what holds of every outcome and every request, whatever the case expects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.jsonvalue import escape_token, is_array, is_object
from botticelli.kit.judge.compare import Difference, show
from botticelli.kit.judge.gravity import Gravity

if TYPE_CHECKING:
    from botticelli.kit.cases.case import CaseRun
    from botticelli.kit.cases.sent import Sent
    from botticelli.kit.judge.secrets import Secrets
    from botticelli.kit.server.recording import RecordedRequest, Recording

__all__ = ["check_response", "invented", "key_leaks", "missing_fields", "request_leaks"]

Object: TypeAlias = Mapping[str, Any]


def missing_fields(operation: str, got: Object, claims: frozenset[str]) -> Iterator[Difference]:
    """Yield the members that are due for this operation and these claims, which the schema doesn't know."""
    if operation == "stream" and "response" in got:
        for name in ("chunks", "final_chunks"):
            if name not in got["response"]:
                # Without it the outcome is no outcome of a stream: the adapter's mistake.
                yield Difference(f"/response/{name}", "present for every stream", "nothing", Gravity.CRASH)
    if "finish_words" in claims and "response" in got:
        for number, choice in enumerate(got["response"]["choices"]):
            if choice["finish_reason"] is None:
                path = f"/response/choices/{number}/finish_reason"
                yield Difference(path, "a word, as finish_words is claimed", "null")


def check_response(operation: str, got: Object, *, usage_sent: bool, n: int = 1) -> Iterator[Difference]:
    """Check the rules that the content of every response keeps, also of the partial one of an error.

    Args:
        operation: The call's operation.
        got: The outcome, valid by its schema.
        usage_sent: The server sent a usage, or something that may be one.
        n: The number of choices that the call asked for.
    """
    for difference in _content_laws(operation, got, usage_sent=usage_sent, n=n):
        yield replace(difference, gravity=Gravity.SILENT)


def _content_laws(operation: str, got: Object, *, usage_sent: bool, n: int) -> Iterator[Difference]:
    response: Object | None = got.get("response")
    if response is not None:
        yield from _check_parts(response, "/response", usage_sent=usage_sent)
        if operation == "stream":
            if "chunks" in response:
                yield from _check_chunks(response, response["chunks"], "/response/chunks", n)
            if response.get("final_chunks", 1) != 1:
                yield Difference("/response/final_chunks", "1", str(response["final_chunks"]))
    partial: Object | None = got.get("error", {}).get("partial")
    if partial is not None:
        yield from _check_parts(partial, "/error/partial", usage_sent=usage_sent)
        if operation == "stream":
            yield from _check_chunks(partial, got.get("partial_chunks", []), "/partial_chunks", n)


def _check_parts(response: Object, path: str, *, usage_sent: bool) -> Iterator[Difference]:
    indices = [
        place if choice["index"] is None else choice["index"]
        for place, choice in enumerate(response["choices"])
    ]
    if indices != sorted(set(indices)):
        yield Difference(f"{path}/choices", "distinct indices in ascending order", show(indices))
    for number, choice in enumerate(response["choices"]):
        ids = [call["id"] for call in choice.get("tool_calls", []) if call["id"]]
        if len(ids) != len(set(ids)):
            yield Difference(f"{path}/choices/{number}/tool_calls", "distinct ids", show(ids))
        yield from _check_blocks(choice, f"{path}/choices/{number}")
    usage: Object = response.get("usage") or {}
    if not usage_sent and any(count is not None for count in usage.values()):
        yield Difference(f"{path}/usage", "null, as none was sent", show(usage))


def _check_blocks(choice: Object, path: str) -> Iterator[Difference]:
    """Check that the ordered blocks of a choice hold the same as its other members."""
    blocks: list[Object] | None = choice.get("content")
    if blocks is None:
        return
    for name in ("text", "reasoning", "refusal"):
        text = "".join(block["text"] for block in blocks if block["type"] == name)
        if text != (choice.get(name) or ""):
            yield Difference(
                f"{path}/content", f"{name} blocks with {show(choice.get(name) or '')}", show(text)
            )
    count = sum(block["count"] for block in blocks if block["type"] == "tool_calls")
    calls = len(choice.get("tool_calls", []))
    if count != calls:
        yield Difference(f"{path}/content", f"blocks with {calls} tool calls", f"{count}")


def _check_chunks(response: Object, chunks: list[str], path: str, n: int) -> Iterator[Difference]:
    """Check that the chunks which the user received add up to the response."""
    texts = [choice["text"] or "" for choice in response["choices"]]
    if len(texts) > n and "".join(chunks) == texts[0]:
        return  # the others weren't asked for, so a loop over the chunks needn't print them
    if len(texts) > 1:
        # Chunks don't say which choice they belong to, so only their characters can be compared.
        if sorted("".join(chunks)) != sorted("".join(texts)):
            yield Difference(path, f"together the texts {show(texts)}", show(chunks))
    elif "".join(chunks) != "".join(texts):
        yield Difference(path, f"together {show(''.join(texts))}", show(chunks))


def invented(got: Object, sent: Sent) -> Iterator[Difference]:
    """Yield what an outcome reports of the answer though the server sent nothing of the sort.

    Log probabilities are content. Ids, providers and rate limits stand beside it.
    """
    answers = {
        "/response": got.get("response"),
        "/error": got.get("error"),
        "/error/partial": got.get("error", {}).get("partial"),
    }
    for path, answer in answers.items():
        if answer is None:
            continue
        for name in ("request_id", "inference_provider"):
            reported = answer.get(name)
            if reported and not sent.says(reported):
                yield Difference(f"{path}/{name}", "null, as none was sent", show(reported))
        limits = answer.get("rate_limits")
        if not sent.rate_limits and any(_leaves(limits)):
            yield Difference(f"{path}/rate_limits", "null, as none were sent", show(limits))
        for number, choice in enumerate(answer.get("choices", ())):
            logprobs = choice.get("logprobs")
            if logprobs is not None and not sent.logprobs:
                where = f"{path}/choices/{number}/logprobs"
                yield Difference(where, "null, as none were sent", show(logprobs), Gravity.SILENT)


def _leaves(value: object) -> Iterator[object]:
    """Yield everything but null that stands in an object of objects."""
    if is_object(value):
        for inner in value.values():
            yield from _leaves(inner)
    elif value is not None:
        yield (value,)


# Keys


def key_leaks(secrets: Secrets, got: object, path: str = "") -> Iterator[Difference]:
    """Yield every place in an outcome, names of members included, that shows one of the keys."""
    if isinstance(got, str):
        if secrets.shown_in(got):
            yield _leak(path, got)
    elif is_array(got):
        inside = [leak for at, item in enumerate(got) for leak in key_leaks(secrets, item, f"{path}/{at}")]
        texts = "".join(item for item in got if isinstance(item, str))
        # A key that comes in pieces, as a stream's texts do, is shown as well.
        if not inside and len(got) > 1 and secrets.shown_in(texts):
            inside.append(_leak(path, texts))
        yield from inside
    elif is_object(got):
        for name, value in got.items():
            yield from key_leaks(secrets, name, path)
            yield from key_leaks(secrets, value, f"{path}/{escape_token(name)}")


def _leak(path: str, text: str) -> Difference:
    return Difference(path, "no API key in it", show(text), Gravity.LEAK)


def request_leaks(play: CaseRun, recording: Recording, secrets: Secrets) -> Iterator[Difference]:
    """Yield every place in the requests that shows a key and isn't meant for it.

    Meant for it are the header that the format has for it, unless the case forbids it, and wherever the
    user put a key: a header, the base URL, the request. All of it only on the way to the user's own server.
    """
    given = _Given(play, secrets)
    shared: Object = play.requests.get("all", {})
    each: list[Object] = play.requests.get("each", [])
    for number, recorded in enumerate(recording.requests):
        forbidden: set[str] = set()
        for rule in (shared, *each[number : number + 1]):
            headers: Object = rule.get("headers", {})
            forbidden |= {name.lower() for name, wanted in headers.items() if wanted is False}
        for path, text in given.places(recorded, forbidden):
            if secrets.shown_in(text):
                yield _leak(f"/requests/{number}/{path}", text)


class _Given:
    """Where the calls of a case want the key to be."""

    def __init__(self, play: CaseRun, secrets: Secrets) -> None:
        calls = [call.neutral for call in play.calls]
        credential = play.context.format.credential[0].lower()
        self._headers = {
            name.lower()
            for call in calls
            for name, value in call["options"].get("headers", {}).items()
            if secrets.shown_in(value)
        }
        if any(call["api_key"] for call in calls):
            self._headers.add(credential)
        self._hosts = {call["base_url"].partition("://")[2].partition("/")[0].lower() for call in calls}
        self._in_path = any(secrets.shown_in(call["base_url"]) for call in calls)
        self._in_body = any(
            secrets.shown_in(json.dumps(call["request"], ensure_ascii=False)) for call in calls
        )

    def places(self, recorded: RecordedRequest, forbidden: set[str]) -> Iterator[tuple[str, str]]:
        """Yield the places of a request in which no key may stand, with what stands there."""
        request = recorded.request
        host = (request.header("host") or "").lower()
        elsewhere = bool(host) and host not in self._hosts
        for name, value in request.headers:
            if elsewhere or name.lower() in forbidden or name.lower() not in self._headers:
                yield f"headers/{name}", f"{name}: {value}" if name.lower() not in self._headers else value
        if elsewhere or not self._in_path:
            yield "path", request.path
        if elsewhere or not self._in_body:
            yield "body", request.body.decode("utf-8", "backslashreplace")

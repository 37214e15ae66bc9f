"""Laws of how one answer is sent: its usage, its stream, its errors, its headers, its HTTP."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import as_object, as_objects, is_object
from botticelli.kit.judge.compare import show
from botticelli.kit.probes.answer import DONE
from botticelli.kit.probes.findings import Doubt, Finding

if TYPE_CHECKING:
    from botticelli.kit.probes.answer import Answer, Chunk
    from botticelli.kit.probes.findings import Arguments, Findings, Law

__all__ = ["WIRE_LAWS"]


# Usage


def _usage_sent(answer: Answer, _arguments: Arguments) -> Findings:
    """The usage is there."""
    if not answer.usages:
        yield Finding("usage", "the usage", "none", "silent")


def _prompt_whole(answer: Answer, arguments: Arguments) -> Findings:
    """A long prompt that is answered was read whole."""
    if not answer.ok:
        return
    count = answer.usage.get("prompt_tokens")
    if not isinstance(count, int):
        yield Doubt("without a usage nobody can see whether the prompt was cut")
    elif count < arguments["least"]:
        rule = f"more than {arguments['least']} tokens of prompt, or an error"
        yield Finding("usage.prompt_tokens", rule, f"{count}: the prompt was cut", "silent")


def _usage_once(answer: Answer, _arguments: Arguments) -> Findings:
    """A stream sends its usage once, at its end."""
    if answer.is_stream and len(answer.usages) > 1:
        values = [usage for _, usage in answer.usages]
        if any(later != values[0] for later in values):
            yield Finding("usage", "once, at the end", f"{len(values)} different ones")


def _usage_last(answer: Answer, _arguments: Arguments) -> Findings:
    """The usage has a chunk of its own, the last one, without choices."""
    for chunk, _usage in answer.usages:
        if chunk is not None and as_object(chunk.value).get("choices"):
            yield Finding(f"event {chunk.number}: $.choices", "[] beside the usage", "choices")
            return


def _usage_unasked(answer: Answer, _arguments: Arguments) -> Findings:
    """No usage is sent in a stream that doesn't ask for it."""
    for chunk, usage in answer.usages[:1]:
        if chunk is not None:
            yield Finding(f"event {chunk.number}: $.usage", "none, as it wasn't asked for", show(usage)[:200])


def _usage_sums(answer: Answer, _arguments: Arguments) -> Findings:
    """The numbers are whole, not negative, and add up."""
    for _chunk, usage in answer.usages:
        prompt, completion, total = (
            usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total")
        )
        for name, value in (("prompt", prompt), ("completion", completion), ("total", total)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                yield Finding(f"usage.{name}_tokens", "a number of tokens", show(value))
                return
        if isinstance(prompt, int) and isinstance(completion, int) and total != prompt + completion:
            yield Finding("usage.total_tokens", f"{prompt} + {completion}", show(total))


def _usage_counts(answer: Answer, _arguments: Arguments) -> Findings:
    """Something was read, and something was written."""
    usage = answer.usage
    if usage and usage.get("prompt_tokens") == 0:
        yield Finding("usage.prompt_tokens", "more than 0", "0")
    if usage and answer.text and usage.get("completion_tokens") == 0:
        yield Finding("usage.completion_tokens", "more than 0 for a text", "0")


# Streams


def _streamed(answer: Answer, _arguments: Arguments) -> Findings:
    """A stream came, labelled as one."""
    media = answer.response.media_type
    if not answer.is_stream:
        got = f"{media or 'no content type'}: {answer.response.data[:80].decode('utf-8', 'replace')!r}"
        yield Finding("", "a stream of events, as stream is true", got, "silent")
    elif not answer.chunks:
        yield Finding("", "events", "none: the stream is empty", "silent")
    elif media != "text/event-stream":
        yield Finding("Content-Type", "text/event-stream", media or "none")


def _not_empty(answer: Answer, _arguments: Arguments) -> Findings:
    """A stream without an answer holds an error."""
    if answer.ok and not answer.choices and not answer.error:
        yield Finding("", "an answer, or an error that says why there is none", "an empty stream", "silent")


def _done(answer: Answer, _arguments: Arguments) -> Findings:
    """[DONE] is the last event, and there is one."""
    if not answer.is_stream:
        return
    marks = [number for number, event in enumerate(answer.events, 1) if event.data.strip() == DONE]
    if not marks:
        yield Finding("", "data: [DONE] at the end", f"{len(answer.events)} events without it")
    elif marks[0] != len(answer.events):
        yield Finding(
            f"event {marks[0]}", "[DONE] last and once", f"{len(answer.events) - marks[0]} events after it"
        )


def _whole_events(answer: Answer, _arguments: Arguments) -> Findings:
    """Every event is JSON, and ends with a blank line."""
    if not answer.is_stream:
        return
    for chunk in answer.chunks:
        if chunk.value is None:
            yield Finding(
                f"event {chunk.number}", "JSON", show(chunk.data[:80].decode("utf-8", "replace")), "silent"
            )
            return
    rest = re.split(rb"\r\n\r\n|\n\n|\r\r", answer.response.data)[-1]
    if re.search(rb"^data:", rest, re.MULTILINE):
        yield Finding(
            "the end", "a blank line after the last event", show(rest[-80:].decode("utf-8", "replace"))
        )


def _same(answer: Answer, arguments: Arguments) -> Findings:
    """A member is the same in all chunks."""
    name: str = arguments["member"]
    first: Chunk | None = None
    for chunk in answer.chunks:
        value = as_object(chunk.value)
        if name not in value or value.get("error"):
            continue
        if first is None:
            first = chunk
        elif value[name] != as_object(first.value)[name]:
            rule = f"{show(as_object(first.value)[name])} as in event {first.number}"
            yield Finding(f"event {chunk.number}: $.{name}", rule, show(value[name]))
            return


_LASTS = 2.0  # seconds of a stream in which a clock goes on for certain, whatever the network does


def _one_created(answer: Answer, _arguments: Arguments) -> Findings:
    """All chunks have one time, that of the whole answer.

    A server that sends the time of each chunk shows it in a short stream only by chance, when a second ends
    in it. So one second more counts only in a stream that took so long that it must show.
    """
    values = [as_object(chunk.value).get("created") for chunk in answer.chunks]
    times = [value for value in values if isinstance(value, int | float)]
    if not times:
        return
    least, most = min(times), max(times)
    took = answer.chunks[-1].at - answer.chunks[0].at
    if most - least > took + 1 or (most != least and took >= _LASTS):
        yield Finding("$.created", f"{show(times[0])} in all chunks", f"from {show(least)} to {show(most)}")


def _role_first(answer: Answer, _arguments: Arguments) -> Findings:
    """Each choice begins with its role, assistant."""
    for choice in answer.choices:
        role = choice.roles[0] if choice.roles else None
        if role != "assistant":
            yield Finding(
                f"$.choices[{choice.index}].delta.role", "assistant, in the first chunk", show(role)
            )


def _object(answer: Answer, _arguments: Arguments) -> Findings:
    """Each chunk says what it is."""
    for chunk in answer.chunks:
        value = as_object(chunk.value)
        if not value.get("error") and value.get("object") != "chat.completion.chunk":
            rule, got = "chat.completion.chunk", show(value.get("object"))
            yield Finding(f"event {chunk.number}: $.object", rule, got)
            return


def _finish_present(answer: Answer, _arguments: Arguments) -> Findings:
    """Each chunk of a choice has the member finish_reason."""
    for chunk in answer.chunks:
        for choice in as_objects(as_object(chunk.value).get("choices")):
            if "finish_reason" not in choice:
                yield Finding(f"event {chunk.number}: $.choices[].finish_reason", "null or a reason", "none")
                return


def _finish_once(answer: Answer, _arguments: Arguments) -> Findings:
    """Each choice has exactly one finish reason."""
    for choice in answer.choices:
        if len(choice.finishes) != 1:
            got = show(choice.finishes) if choice.finishes else "none: the stream may have been cut"
            gravity = "imprecise" if choice.finishes else "silent"
            yield Finding(f"$.choices[{choice.index}].finish_reason", "exactly one", got, gravity)


def _nothing_late(answer: Answer, _arguments: Arguments) -> Findings:
    """After its finish reason nothing more comes of a choice."""
    for choice in answer.choices:
        if choice.late:
            got = f"content in event {choice.late[0]}"
            yield Finding(f"$.choices[{choice.index}]", "nothing after its finish reason", got, "silent")


_ENOUGH, _LONG, _SUDDEN = 6, 0.4, 0.02


def _arrives(answer: Answer, _arguments: Arguments) -> Findings:
    """The chunks arrive one by one, as the model writes them."""
    moments = [at for choice in answer.choices for at, _text in choice.texts]
    if len(moments) < _ENOUGH:
        yield Doubt("there were too few chunks to see whether they arrive one by one")
        return
    first, last = min(moments), max(moments)
    if last < _LONG:
        yield Doubt("the answer came too fast to see whether its chunks arrive one by one")
    elif last - first < _SUDDEN * last:
        got = f"all {len(moments)} within {last - first:.3f} s, after {first:.2f} s of silence"
        yield Finding("", "chunks that arrive while the model writes", got, "silent")


# Errors, headers, HTTP


def _error_shape(answer: Answer, _arguments: Arguments) -> Findings:
    """An error has the published shape."""
    body = as_object(answer.body)
    error = body.get("error")
    if not is_object(error) or not isinstance(error.get("message"), str):
        got = answer.response.data[:200].decode("utf-8", "replace")
        yield Finding("", '{"error": {"message", "type", "param", "code"}}', show(got))
        return
    missing = [name for name in ("type", "param", "code") if name not in error]
    if missing:
        yield Finding("$.error", "message, type, param and code", f"without {', '.join(missing)}")


def _error_says(answer: Answer, _arguments: Arguments) -> Findings:
    """An error says in words what is wrong."""
    if not answer.error:
        yield Finding("", "an error that says what is wrong", "no message")


def _names(answer: Answer, arguments: Arguments) -> Findings:
    """An error names what is at fault."""
    words: list[str] = arguments["words"]
    text = answer.response.data.decode("utf-8", "replace").lower()
    if not any(word.lower() in text for word in words):
        yield Finding("$.error", f"an error that names {' or '.join(words)}", show(answer.error[:200]))


def _status(answer: Answer, arguments: Arguments) -> Findings:
    """The status is one of those that fit."""
    allowed: list[int] = arguments["of"]
    if answer.response.status not in allowed:
        rule = " or ".join(map(str, allowed))
        yield Finding("status", rule, f"{answer.response.status}: {answer.error[:200]}")


def _json_type(answer: Answer, _arguments: Arguments) -> Findings:
    """JSON is labelled as JSON."""
    media = answer.response.media_type
    if answer.response.data and media != "application/json" and not media.endswith("+json"):
        yield Finding("Content-Type", "application/json", media or "none")


def _true_label(answer: Answer, _arguments: Arguments) -> Findings:
    """What is labelled as JSON is JSON."""
    response = answer.response
    if response.data and response.media_type == "application/json":
        try:
            json.loads(response.data)
        except (ValueError, RecursionError):
            got = f"application/json for {response.data[:80].decode('utf-8', 'replace')!r}"
            yield Finding("Content-Type", "the type of what is sent", got)


def _header(answer: Answer, arguments: Arguments) -> Findings:
    """A header is there."""
    name: str = arguments["name"]
    if answer.response.header(name.lower()) is None:
        yield Finding(name, "this header", "none")


def _no_key(answer: Answer, arguments: Arguments) -> Findings:
    """The key isn't repeated."""
    word: str = arguments.get("word", "")
    text = b"".join(piece.data for piece in answer.exchange.pieces)
    if answer.exchange.leaked or (word and word.encode() in text):
        yield Finding("", "no key in the answer", "the whole key", "leak")


def _clean_http(answer: Answer, _arguments: Arguments) -> Findings:
    """The bytes are HTTP."""
    for fault in answer.response.faults:
        yield Finding("HTTP", "an answer by RFC 9112", fault)
    if answer.response.extra:
        yield Finding("HTTP", "nothing after the answer", show(answer.response.extra[:60].decode("latin-1")))


def _closed(answer: Answer, _arguments: Arguments) -> Findings:
    """The server closes the connection, as it was asked to."""
    if answer.exchange.end == "held":
        yield Finding("HTTP", "a connection that is closed after the answer", answer.exchange.detail, "hang")


def _no_chunks(answer: Answer, _arguments: Arguments) -> Findings:
    """A client of HTTP/1.0 gets no chunks."""
    if answer.response.framing == "chunked":
        yield Finding("HTTP", "no chunks for a client of HTTP/1.0", "Transfer-Encoding: chunked", "silent")


def _empty(answer: Answer, _arguments: Arguments) -> Findings:
    """There is no body."""
    if answer.response.extra:
        yield Finding("HTTP", "no body after a HEAD", f"{len(answer.response.extra)} bytes", "silent")


WIRE_LAWS: dict[str, Law] = {
    "usage-sent": _usage_sent,
    "prompt-whole": _prompt_whole,
    "usage-once": _usage_once,
    "usage-last": _usage_last,
    "usage-unasked": _usage_unasked,
    "usage-sums": _usage_sums,
    "usage-counts": _usage_counts,
    "streamed": _streamed,
    "not-empty": _not_empty,
    "done": _done,
    "whole-events": _whole_events,
    "same": _same,
    "one-created": _one_created,
    "role-first": _role_first,
    "object": _object,
    "finish-present": _finish_present,
    "finish-once": _finish_once,
    "nothing-late": _nothing_late,
    "arrives": _arrives,
    "error-shape": _error_shape,
    "error-says": _error_says,
    "names": _names,
    "status": _status,
    "json-type": _json_type,
    "true-label": _true_label,
    "header": _header,
    "no-key": _no_key,
    "clean-http": _clean_http,
    "closed": _closed,
    "no-chunks": _no_chunks,
    "empty": _empty,
}
"""The laws of how an answer is sent, by the names that probes use."""

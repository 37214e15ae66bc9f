"""Laws of one answer, over raw JSON: what no schema can state.

A law is a function of an answer and its arguments. It yields findings, which are broken rules, and doubts,
which say why nothing can be concluded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from botticelli.contracts import SchemaSet, validate_bytes, violations
from botticelli.contracts.jsonvalue import as_object, as_objects, is_array, is_object
from botticelli.kit.judge.compare import show
from botticelli.kit.probes.answer import DONE, Answer, Chunk

__all__ = [
    "LAWS",
    "Arguments",
    "Doubt",
    "Finding",
    "Findings",
    "broken_contract",
    "contract_of",
    "without_thoughts",
]

Arguments: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule.

    Attributes:
        path: Where: a JSON path, with the event's number before it; empty for the answer as a whole.
        rule: What must hold.
        got: What there was.
        gravity: ``silent``, ``hang``, ``crash``, ``leak``, ``refused`` or ``imprecise``.
    """

    path: str
    rule: str
    got: str
    gravity: str = "imprecise"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Nothing can be concluded, and why."""

    reason: str


Findings: TypeAlias = Iterator[Finding | Doubt]
Law: TypeAlias = Callable[[Answer, Arguments], Findings]


# Contracts


def contract_of(answer: Answer) -> str | None:
    """Return the contract of an answer, such as ``openai/response``; None where there is none."""
    path = answer.exchange.target.partition("?")[0]
    if not answer.response.status or answer.exchange.method == "HEAD":
        return None
    if not answer.ok or (answer.error and not answer.is_stream):
        return "openai/error"
    if path.endswith("/chat/completions"):
        return "openai/chunk" if answer.is_stream else "openai/response"
    return "openai/model-list" if path.endswith("/models") else None


def broken_contract(answer: Answer, prefix: str = "") -> list[tuple[str, str]]:
    """Return every violation of an answer's contract, as a path and a sentence.

    Args:
        answer: The answer.
        prefix: ``wire/`` for the tolerant contract.
    """
    name = contract_of(answer)
    if name is None:
        return []
    if name != "openai/chunk":
        if not answer.ok and not answer.response.data:
            return [("", "it has no body")]
        return [(one.path, one.message) for one in validate_bytes(prefix + name, answer.response.data)]
    found: list[tuple[str, str]] = []
    for chunk in answer.chunks:
        if chunk.value is None:
            found.append(
                (
                    f"event {chunk.number}",
                    f"it isn't JSON: {show(chunk.data[:60].decode('utf-8', 'replace'))}",
                )
            )
            continue
        contract = "openai/error" if as_object(chunk.value).get("error") else name
        found += [
            (f"event {chunk.number}: {one.path}", one.message)
            for one in violations(prefix + contract, chunk.value)
        ]
    return found


def _shape(answer: Answer, _arguments: Arguments) -> Findings:
    """A tolerant client can read every message."""
    for path, message in broken_contract(answer, "wire/")[:5]:
        yield Finding(path, "what a tolerant client can read (wire contract)", message, "silent")


# What is said


def _says(answer: Answer, _arguments: Arguments) -> Findings:
    """There is something in it for a user."""
    if not answer.choices:
        yield Finding("$.choices", "at least one choice", "none", "silent")
        return
    for choice in answer.choices:
        if choice.said:
            continue
        if answer.cut or choice.reasoning:
            yield Doubt("the model used up its tokens before it answered")
        elif choice.finish == "content_filter":
            yield Doubt("the answer was filtered")
        else:
            yield Doubt("the model said nothing")


def _count(answer: Answer, arguments: Arguments) -> Findings:
    """There are as many choices as were asked for, each with an index of its own."""
    wanted, got = arguments["n"], len(answer.choices)
    written = len(as_objects(as_object(answer.body).get("choices")))
    if got != wanted:
        gravity = "silent" if got < wanted else "imprecise"
        yield Finding(
            "$.choices",
            f"{wanted} choices with the indices 0 to {wanted - 1}",
            f"{max(got, written)}",
            gravity,
        )
    elif [choice.index for choice in answer.choices] != list(range(wanted)):
        yield Finding("$.choices", f"the indices 0 to {wanted - 1}", show([c.index for c in answer.choices]))


def _finish(answer: Answer, arguments: Arguments) -> Findings:
    """The finish reason is one of those that fit."""
    allowed: list[str] = arguments["reasons"]
    for choice in answer.choices:
        if choice.finish not in allowed:
            where = f"$.choices[{choice.index}].finish_reason"
            yield Finding(where, f"one of {', '.join(allowed)}", show(choice.finish or None))


def _limit(answer: Answer, arguments: Arguments) -> Findings:
    """The limit on tokens is kept, and the finish reason says so."""
    most: int = arguments["tokens"]
    counted = answer.usage.get("completion_tokens")
    for choice in answer.choices:
        words, where = len(choice.text.split()), f"$.choices[{choice.index}]"
        # No token holds two words, so more words than tokens break the limit whatever the usage says.
        if words > most + 1:
            got = f"{words} words, finish_reason {show(choice.finish or None)}"
            yield Finding(where, f"at most {most} tokens", got, "silent")
        elif choice.finish not in ("length", ""):
            if isinstance(counted, int) and counted <= most * len(answer.choices) and choice.finish == "stop":
                if words >= most:
                    yield Finding(
                        f"{where}.finish_reason", "length, as the limit was reached", show(choice.finish)
                    )
                else:
                    yield Doubt("the model stopped before the limit")
            else:
                yield Finding(
                    f"{where}.finish_reason", "length, as the limit was reached", show(choice.finish)
                )


def _words(answer: Answer, arguments: Arguments) -> Findings:
    """A text has no more words than it may have tokens."""
    for choice in answer.choices:
        if len(choice.text.split()) > arguments["tokens"] + 1:
            where = f"$.choices[{choice.index}]"
            yield Finding(
                where, f"at most {arguments['tokens']} tokens", f"{len(choice.text.split())} words", "silent"
            )


def _no_stop_word(answer: Answer, _arguments: Arguments) -> Findings:
    """No stop sequence is in the text."""
    asked = answer.asked.get("stop")
    for word in asked if is_array(asked) else [asked]:
        for choice in answer.choices:
            if isinstance(word, str) and word and word in choice.text:
                yield Finding("", f"a text that ends before {show(word)}", show(choice.text[-200:]), "silent")


def _plain_text(answer: Answer, _arguments: Arguments) -> Findings:
    """No character was lost between two chunks."""
    if "�" in answer.text:
        yield Finding("", "no U+FFFD in the text", show(answer.text[-200:]), "silent")
    for chunk in answer.chunks:
        try:
            chunk.data.decode()
        except UnicodeDecodeError as error:
            yield Finding(
                f"event {chunk.number}", "UTF-8", f"a broken character at byte {error.start}", "silent"
            )
            return


def without_thoughts(text: str) -> str:
    """Return a text without what a model thinks aloud before it answers."""
    return re.sub(r"\A\s*<think>.*?</think>", "", text, flags=re.DOTALL)


def _json(answer: Answer, arguments: Arguments) -> Findings:
    """The text is JSON, an object, and keeps to a schema where there is one."""
    for choice in answer.choices:
        where = f"$.choices[{choice.index}].message.content"
        if choice.refusal and not choice.text:
            yield Doubt("the model refused to answer")
            continue
        try:
            value = json.loads(without_thoughts(choice.text))
        except (ValueError, RecursionError):
            yield Finding(where, "JSON, as response_format asks", show(choice.text[:300]), "silent")
            continue
        if not is_object(value):
            yield Finding(where, "a JSON object", show(choice.text[:300]), "silent")
        elif "schema" in arguments:
            yield from _fits(value, arguments["schema"], where)


def _fits(value: object, schema: Mapping[str, Any], where: str) -> Findings:
    identified = {"$id": "urn:botticelli:probe", **schema}
    for one in SchemaSet({"probe": identified}).violations("probe", value)[:3]:
        said = f"{one.path}: {one.message}, in {show(value)[:300]}"
        yield Finding(where, "what the schema in the request allows", said, "silent")


# Tools


def _called(answer: Answer, _arguments: Arguments) -> Findings:
    """A tool was called; if not, the model may be to blame."""
    if not answer.calls:
        yield Doubt("the model didn't call the tool, though it was asked in several ways")


def _forced(answer: Answer, arguments: Arguments) -> Findings:
    """The call that was forced was made."""
    wanted = arguments.get("name")
    if not answer.calls:
        if answer.cut:
            yield Doubt("the answer was cut by our own limit before a call")
        else:
            rule = f"a call of {wanted}" if wanted else "a call of a tool"
            yield Finding(
                "$.choices[0].message.tool_calls", f"{rule}, as tool_choice demands", "none", "silent"
            )
    for call in answer.calls:
        if wanted and call.name != wanted:
            yield Finding(
                "$.choices[0].message.tool_calls", f"a call of {wanted}", f"of {call.name}", "silent"
            )


def _not_called(answer: Answer, _arguments: Arguments) -> Findings:
    """No tool was called."""
    if answer.calls:
        got = f"a call of {answer.calls[0].name}"
        yield Finding("$.choices[0].message.tool_calls", "none, as tool_choice is none", got, "silent")


def _known_tool(answer: Answer, _arguments: Arguments) -> Findings:
    """Only tools of the request are called."""
    names = {as_object(tool.get("function")).get("name") for tool in as_objects(answer.asked.get("tools"))}
    for call in answer.calls:
        if call.name not in names:
            # A stream that sends the name in every chunk gives it many times over.
            yield Finding("function.name", f"one of {', '.join(map(str, names))}", show(call.name), "silent")


def _call_ids(answer: Answer, _arguments: Arguments) -> Findings:
    """Each call has one id of its own, which the result can name."""
    for choice in answer.choices:
        ids = [call.id for call in choice.calls]
        if not all(ids):
            yield Finding(
                f"$.choices[{choice.index}].message.tool_calls", "an id for each call", show(ids), "silent"
            )
        elif len(set(ids)) != len(ids):
            yield Finding(
                f"$.choices[{choice.index}].message.tool_calls", "different ids", show(ids), "silent"
            )
        for call in choice.calls:
            if len(set(call.ids)) > 1:
                yield Finding("tool_calls.id", "one id for a call in all chunks", show(call.ids))


def _call_type(answer: Answer, _arguments: Arguments) -> Findings:
    """Each call says that it is one of a function."""
    for call in answer.calls:
        if call.type != "function":
            yield Finding("tool_calls.type", "function", show(call.type or None))


def _arguments(answer: Answer, _arguments: Arguments) -> Findings:
    """The arguments are a JSON object that has what the function requires."""
    needs = {
        function.get("name"): as_object(function.get("parameters"))
        for tool in as_objects(answer.asked.get("tools"))
        if (function := as_object(tool.get("function")))
    }
    for call in answer.calls:
        if answer.cut:
            yield Doubt("the call was cut by our own limit")
            continue
        try:
            value = json.loads(call.arguments)
        except (ValueError, RecursionError):
            yield Finding("tool_calls.function.arguments", "JSON", show(call.arguments[:200]), "silent")
            continue
        if not is_object(value):
            yield Finding("tool_calls.function.arguments", "a JSON object", show(value), "silent")
        elif missing := [name for name in needs.get(call.name, {}).get("required", []) if name not in value]:
            yield Doubt(f"the model left out the argument {missing[0]}")


def _tool_finish(answer: Answer, _arguments: Arguments) -> Findings:
    """Calls end with tool_calls, and tool_calls ends calls."""
    named = is_object(answer.asked.get("tool_choice"))
    for choice in answer.choices:
        where = f"$.choices[{choice.index}].finish_reason"
        # With a named function OpenAI itself says stop.
        if choice.calls and choice.finish not in ("tool_calls", "length", *(["stop"] if named else [])):
            yield Finding(where, "tool_calls, as tools are called", show(choice.finish or None))
        if not choice.calls and choice.finish == "tool_calls":
            yield Finding(where, "not tool_calls, as no tool is called", show(choice.finish), "silent")


# Log probabilities


def _logprobs(answer: Answer, arguments: Arguments) -> Findings:
    """Every token of the text has its log probability, and as many others as were asked for."""
    for choice in answer.choices:
        where = f"$.choices[{choice.index}].logprobs"
        if not choice.tokens:
            yield Finding(f"{where}.content", "an entry for each token", "none", "silent")
            continue
        numbers = [entry.get("logprob") for entry in choice.tokens]
        wrong = [n for n in numbers if isinstance(n, bool) or not isinstance(n, int | float) or n > 1e-6]
        if wrong:
            yield Finding(f"{where}.content", "log probabilities, none above 0", show(wrong[:3]))
        tokens = "".join(str(entry.get("token", "")) for entry in choice.tokens)
        if choice.text and _squash(choice.text) not in _squash(tokens) and "�" not in tokens + choice.text:
            got = f"{show(tokens[:120])} for {show(choice.text[:120])}"
            yield Finding(f"{where}.content", "the tokens of the text", got)
        most = arguments.get("top")
        others = [len(as_objects(entry.get("top_logprobs"))) for entry in choice.tokens]
        if most and not any(others):
            yield Finding(f"{where}.content[0].top_logprobs", f"up to {most} others", "none", "silent")
        elif most and max(others) > most + 1:
            yield Finding(f"{where}.content[0].top_logprobs", f"up to {most}", str(max(others)))


def _squash(text: str) -> str:
    return "".join(text.split())


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


def _role_first(answer: Answer, _arguments: Arguments) -> Findings:
    """Each choice begins with its role, assistant."""
    for choice in answer.choices:
        role = choice.roles[0] if choice.roles else None
        if role != "assistant":
            yield Finding(
                f"$.choices[{choice.index}].delta.role", "assistant, in the first chunk", show(role)
            )


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


# Models


def _lists(answer: Answer, arguments: Arguments) -> Findings:
    """The list has the model that is asked."""
    data = as_object(answer.body).get("data")
    entries = data if is_array(data) else answer.body if is_array(answer.body) else None
    if entries is None:
        yield Finding("$.data", "a list of models", show(answer.body)[:200])
        return
    ids = [one.get("id") for one in as_objects(entries)]
    if arguments["model"] not in ids:
        yield Finding("$.data", f"the model {arguments['model']} among them", show(ids[:10])[:300])


def _unique(answer: Answer, _arguments: Arguments) -> Findings:
    """No model is listed twice."""
    ids = [str(one.get("id")) for one in as_objects(as_object(answer.body).get("data"))]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        yield Finding("$.data", "each model once", f"{twice[0]} twice")


def _is_model(answer: Answer, arguments: Arguments) -> Findings:
    """The entry is that of the model that was asked for."""
    got = as_object(answer.body).get("id")
    if got != arguments["model"]:
        yield Finding("$.id", show(arguments["model"]), show(got))


def _model_named(answer: Answer, arguments: Arguments) -> Findings:
    """The answer names the model that was asked."""
    values = [as_object(chunk.value).get("model") for chunk in answer.chunks] or [
        as_object(answer.body).get("model")
    ]
    asked: str = arguments["model"]
    got = values[0]
    if not isinstance(got, str) or not got:
        yield Finding("$.model", "the name of the model", show(got))
    elif asked.rpartition("/")[2].partition(":")[0].lower() not in got.lower():
        yield Finding("$.model", f"a name like {asked}", show(got))


LAWS: dict[str, Law] = {
    "shape": _shape,
    "says": _says,
    "count": _count,
    "finish": _finish,
    "limit": _limit,
    "words": _words,
    "no-stop-word": _no_stop_word,
    "plain-text": _plain_text,
    "json": _json,
    "called": _called,
    "forced": _forced,
    "not-called": _not_called,
    "known-tool": _known_tool,
    "call-ids": _call_ids,
    "call-type": _call_type,
    "arguments": _arguments,
    "tool-finish": _tool_finish,
    "logprobs": _logprobs,
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
    "role-first": _role_first,
    "finish-once": _finish_once,
    "nothing-late": _nothing_late,
    "arrives": _arrives,
    "error-shape": _error_shape,
    "error-says": _error_says,
    "names": _names,
    "status": _status,
    "json-type": _json_type,
    "header": _header,
    "no-key": _no_key,
    "clean-http": _clean_http,
    "closed": _closed,
    "no-chunks": _no_chunks,
    "empty": _empty,
    "lists": _lists,
    "unique": _unique,
    "is-model": _is_model,
    "model-named": _model_named,
}
"""The laws by the names that probes use."""

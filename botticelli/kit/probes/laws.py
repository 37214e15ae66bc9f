"""Laws of what one answer says, over raw JSON: what no schema can state.

A law is a function of an answer and its arguments. It yields findings, which are broken rules, and doubts,
which say why nothing can be concluded. Those of how an answer is sent are in `wire_laws`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from botticelli.contracts import SchemaSet
from botticelli.contracts.jsonvalue import as_object, as_objects, is_array, is_object
from botticelli.kit.judge.compare import show
from botticelli.kit.probes.findings import Doubt, Finding, broken_contract
from botticelli.kit.probes.wire_laws import WIRE_LAWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.kit.probes.answer import Answer
    from botticelli.kit.probes.findings import Arguments, Findings, Law

__all__ = ["LAWS", "without_thoughts"]


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
    """The limit on tokens is kept, and the finish reason says so.

    Whether an answer that says `stop` was over, a second one shows that had more room: `ended-itself`.
    """
    most: int = arguments["tokens"]
    for choice in answer.choices:
        words, where = len(choice.text.split()), f"$.choices[{choice.index}]"
        # No token holds two words, so more words than tokens break the limit whatever the usage says.
        if words > most + 1:
            got = f"{words} words, finish_reason {show(choice.finish or None)}"
            yield Finding(where, f"at most {most} tokens", got, "silent")
        elif choice.finish == "stop":
            yield Doubt("the model may have stopped before the limit")
        elif choice.finish not in ("length", ""):
            rule = "length, as the limit was reached"
            yield Finding(f"{where}.finish_reason", rule, show(choice.finish))


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
    "lists": _lists,
    "unique": _unique,
    "is-model": _is_model,
    "model-named": _model_named,
    **WIRE_LAWS,
}
"""The laws by the names that probes use."""

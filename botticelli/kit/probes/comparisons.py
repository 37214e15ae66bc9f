"""Laws between the answers to several questions of one probe.

A model that doesn't answer alike twice proves nothing here: then there is a doubt, and no finding.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from botticelli.contracts.jsonvalue import as_object, is_array
from botticelli.kit.judge.compare import show
from botticelli.kit.probes.findings import Doubt, Finding

if TYPE_CHECKING:
    from botticelli.kit.probes.answer import Answer
    from botticelli.kit.probes.findings import Arguments, Findings

__all__ = ["COMPARISONS", "pick"]

Comparison: TypeAlias = Callable[[Mapping[str, "Answer"], "Arguments"], "Findings"]

_UNSTEADY = "the model doesn't answer alike twice at temperature 0"
_WORD = re.compile(r"[^\W\d_]{3,}")


def pick(text: str, what: str) -> str | None:
    """Choose a stop sequence that stands in a text, not at its beginning; None if nothing fits.

    Args:
        text: What the model said.
        what: ``word`` for a word; ``span`` for the end of one and the beginning of the next, which are never
            one token.
    """
    words = [found for found in _WORD.finditer(text) if found.start() > 0]
    if what == "word":
        fitting = [found[0] for found in words if text.find(found[0]) == found.start()]
    else:
        pairs = [(one, two) for one, two in itertools.pairwise(words) if text[one.end() : two.start()] == " "]
        spans = [text[one.end() - 2 : two.start() + 2] for one, two in pairs]
        fitting = [span for span in spans if text.find(span) > 0]
    return fitting[len(fitting) // 2] if fitting else None


def _squash(text: str) -> str:
    return "".join(text.split())


def _stopped(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """The text ends before the stop sequence, which isn't part of it, and nothing comes after."""
    whole, stopped = answers[arguments["whole"]], answers[arguments["stopped"]]
    asked = stopped.asked.get("stop")
    words = [word for word in (asked if is_array(asked) else [asked]) if isinstance(word, str)]
    ref, got = whole.text, stopped.text
    found = [(ref.find(word), word) for word in words if word in ref]
    if not found:
        yield Doubt("the model said nothing that could be a stop sequence")
        return
    at, word = min(found)
    before = ref[:at]
    if word in got:
        rule = f"the text up to {show(word)}: {show(before[-80:])}"
        yield Finding("", rule, show(got[-200:]), "silent")
    elif _squash(got) == _squash(before):
        if stopped.choices[0].finish != "stop":
            path = "$.choices[0].finish_reason"
            yield Finding(path, "stop, as a stop sequence ended it", show(stopped.choices[0].finish or None))
    elif _squash(got).startswith(_squash(before)):
        rest = _squash(got)[len(_squash(before)) :]
        after = _squash(ref[at + len(word) :].replace(word, ""))
        if rest and after.startswith(rest[: len(after)]):
            rule = f"nothing after {show(before[-80:])}"
            yield Finding(
                "", rule, f"{show(got[-200:])}: the stop sequence was deleted, and the text goes on", "silent"
            )
        else:
            yield Doubt(_UNSTEADY)
    else:
        yield Doubt(_UNSTEADY)


def _ended_itself(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """An answer that ended by itself under a limit goes no further where it has room."""
    limited, room = answers[arguments["limited"]], answers[arguments["room"]]
    said, more = _squash(limited.text), _squash(room.text)
    # A text that is only another one proves nothing, and no text at all begins every other.
    if said and more != said and more.startswith(said):
        got = f"stop; with room it goes on: {show(room.text[:200])}"
        yield Finding("$.choices[0].finish_reason", "length, as the limit cut the answer", got)


def _same_text(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """A stream says the same as a whole answer."""
    whole, again, stream = (answers[arguments[name]] for name in ("whole", "again", "stream"))
    if whole.text != again.text:
        yield Doubt(_UNSTEADY)
    elif stream.text != whole.text:
        if stream.text.strip() == whole.text.strip():
            rule = "the same spaces in a stream as in a whole answer"
            yield Finding("", rule, f"{show(stream.text[:40])} and {show(whole.text[:40])}")
        else:
            yield Finding(
                "", f"{show(whole.text[:300])}, as in a whole answer", show(stream.text[:300]), "silent"
            )


def _same_finish(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """A stream ends for the same reason as a whole answer."""
    whole, stream = answers[arguments["whole"]], answers[arguments["stream"]]
    if whole.text == stream.text and whole.choices and stream.choices:
        one, other = whole.choices[0].finish, stream.choices[0].finish
        if one != other:
            yield Finding("finish_reason", f"{show(one)}, as in a whole answer", show(other or None))


def _same_usage(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """A stream counts the same tokens as a whole answer."""
    whole, stream = answers[arguments["whole"]], answers[arguments["stream"]]
    if whole.text != stream.text:
        yield Doubt(_UNSTEADY)
        return
    if not whole.usage or not stream.usage:
        yield Doubt("one of the two has no usage")
        return
    for name in ("prompt_tokens", "completion_tokens"):
        # One token more or less is the end mark, which some count.
        one, other = whole.usage.get(name), stream.usage.get(name)
        if isinstance(one, int) and isinstance(other, int) and abs(one - other) > 1:
            yield Finding(f"usage.{name}", f"{one}, as in a whole answer", str(other))


def _counts_all(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """The usage counts the tokens of all choices."""
    one, many = answers[arguments["one"]], answers[arguments["many"]]
    least, got = one.usage.get("completion_tokens"), many.usage.get("completion_tokens")
    if not isinstance(least, int) or not isinstance(got, int) or len(many.choices) < 2:
        yield Doubt("there is no usage to compare, or only one choice")
        return
    texts = [choice.text for choice in many.choices]
    if any(text != one.text for text in texts):
        yield Doubt(_UNSTEADY)
    elif got < least * len(texts) - len(texts):
        yield Finding(
            "usage.completion_tokens", f"about {least} for each of {len(texts)} choices", str(got), "silent"
        )


def _prompt_grows(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """What was added to the prompt was read: it costs tokens, as the words of the control do."""
    counts = [answers[arguments[name]].usage.get("prompt_tokens") for name in ("plain", "more", "control")]
    if answers[arguments["more"]].calls:
        return  # a tool that is called was read
    before, after, longer = (count if isinstance(count, int) else None for count in counts)
    if before is None or after is None or longer is None:
        yield Doubt("without a usage nobody can see whether it was read")
    elif longer <= before:
        yield Doubt("the usage doesn't grow with the prompt, so it says nothing")
    elif after <= before + arguments.get("least", 0):
        rule = f"more than {before} tokens of prompt, as {arguments['what']} was added, or a refusal"
        yield Finding("usage.prompt_tokens", rule, f"{after}, and an answer as if it weren't there", "silent")


def _same_prompt(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """Two ways to write one prompt are read alike."""
    one, other = answers[arguments["one"]], answers[arguments["other"]]
    before, after = one.usage.get("prompt_tokens"), other.usage.get("prompt_tokens")
    if not isinstance(before, int) or not isinstance(after, int):
        yield Doubt("without a usage nobody can see whether it was read")
    elif after < before - arguments.get("slack", 2):
        yield Finding(
            "usage.prompt_tokens", f"{before}, as for the same text as a string", str(after), "silent"
        )


def _guarded(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """A wrong key is refused where a key is needed at all."""
    without, wrong = answers[arguments["without"]], answers[arguments["wrong"]]
    if without.ok:
        return  # it needs no key, so that any will do
    if wrong.ok:
        rule = "401, as for no key at all"
        yield Finding("status", rule, f"{wrong.response.status} with a key that is wrong", "leak")
    elif wrong.response.status not in (401, 403):
        yield Finding("status", "401", f"{wrong.response.status}: {wrong.error[:200]}")


def _different_ids(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """Two answers have two ids."""
    ids: list[object] = []
    for name in arguments["of"]:
        answer = answers[name]
        value = answer.chunks[0].value if answer.chunks else answer.body
        ids.append(as_object(value).get("id"))
    given = [one for one in ids if one]
    if len(set(map(str, given))) != len(given):
        yield Finding("$.id", "an id of its own for each answer", show(ids))


def _same_connection(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """A connection that isn't announced to be closed is kept open."""
    first, second = answers[arguments["first"]], answers[arguments["second"]]
    shared = first.exchange.connection == second.exchange.connection
    if shared and not second.response.status:
        yield Finding(
            "HTTP",
            "a second answer on the connection, or Connection: close",
            second.exchange.detail or "none",
        )


def _different_calls(answers: Mapping[str, Answer], arguments: Arguments) -> Findings:
    """The calls of two answers have different ids."""
    ids = [call.id for name in arguments["of"] for call in answers[name].calls if call.id]
    if len(set(ids)) != len(ids):
        yield Finding("tool_calls.id", "an id of its own for each call", show(ids))


COMPARISONS: dict[str, Comparison] = {
    "stopped": _stopped,
    "ended-itself": _ended_itself,
    "same-text": _same_text,
    "same-finish": _same_finish,
    "same-usage": _same_usage,
    "counts-all": _counts_all,
    "prompt-grows": _prompt_grows,
    "same-prompt": _same_prompt,
    "guarded": _guarded,
    "different-ids": _different_ids,
    "different-calls": _different_calls,
    "same-connection": _same_connection,
}
"""The laws between answers by the names that probes use. Their arguments name questions."""

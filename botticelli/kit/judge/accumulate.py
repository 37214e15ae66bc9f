"""Put the chunks of a stream together to one answer, for a client that hands them out as they came.

The adapter of such a client reports the chunks themselves (``events`` and ``partial_events`` in
outcome.schema.json). What is judged is then the same whoever wrote the adapter. The server's words for the
end of an answer are translated here too, for a client that has none of its own.

Only the OpenAI format is known, and only raw JSON: nothing is shared with the drivers that are judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.jsonvalue import Document, as_object, as_objects, is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["assembled", "neutral_word", "read_content"]

Object: TypeAlias = Mapping[str, Any]

_WORDS = {
    "stop": ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "end", "complete", "completed"),
    "length": ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"),
    "tool_use": ("tool_calls", "tool_use", "tool_call", "function_call"),
    "content_filter": ("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
    "refusal": ("refusal",),
    "pause": ("pause_turn",),
}
_NEUTRAL = {raw: word for word, raws in _WORDS.items() for raw in raws}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking")


def neutral_word(raw: object) -> str:
    """Return the neutral word for a server's reason for the end of an answer."""
    return _NEUTRAL.get(raw.lower(), "other") if isinstance(raw, str) else "other"


def assembled(outcome: Object, claims: frozenset[str], n: int = 1) -> Document:
    """Return an outcome as if the client had put its stream together.

    Args:
        outcome: Valid by its schema.
        claims: The capabilities that the adapter declares; without ``finish_words`` the neutral words are
            those for the raw ones, whatever the adapter says.
        n: The number of choices that the call asked for.
    """
    found = dict(outcome)
    if "events" in as_object(found.get("response")):
        response = dict(found["response"])
        answer = _Answer.of(response.pop("events"))
        found["response"] = {"final_chunks": 1, **response, **answer.response(), "chunks": answer.chunks(n)}
    if "partial_events" in found:
        answer = _Answer.of(found.pop("partial_events"))
        found["partial_chunks"] = answer.chunks(n)
        if "error" in found and answer.choices:
            partial = answer.response()
            for choice in partial["choices"]:
                choice["finish_reason"] = choice["finish_reason_raw"] and choice["finish_reason"]
            found["error"] = {**found["error"], "partial": partial}
    return found if "finish_words" in claims else _translated(found)


def _translated(outcome: Document) -> Document:
    """Return an outcome with the neutral word for each raw one that is reported."""

    def whole(response: Object) -> Document:
        return {**response, "choices": [_with_word(choice) for choice in response["choices"]]}

    if "response" in outcome:
        return {**outcome, "response": whole(outcome["response"])}
    return outcome


def _with_word(choice: Object) -> Document:
    if "finish_reason_raw" not in choice:
        return dict(choice)
    return {**choice, "finish_reason": neutral_word(choice["finish_reason_raw"])}


@dataclass
class _Choice:
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish: object = None
    tools: list[Document] = field(default_factory=list[Document])
    logprobs: Document | None = None
    texts: list[str] = field(default_factory=list[str])

    def take(self, event: Object) -> None:
        """Add one choice of a chunk."""
        delta = as_object(event.get("delta"))
        if not delta and not self.text:
            delta = as_object(event.get("message"))
        text, thought = read_content(delta.get("content"))
        self.text += text
        if text:
            self.texts.append(text)
        named = next((delta[name] for name in _REASONING if isinstance(delta.get(name), str)), "")
        self.reasoning += named or thought
        if isinstance(delta.get("refusal"), str):
            self.refusal += delta["refusal"]
        for fragment in as_objects(delta.get("tool_calls")):
            self._take_tool(fragment)
        if is_object(delta.get("function_call")):  # the old way to call one function
            self._take_tool({"function": delta["function_call"]})
        if event.get("finish_reason") is not None:
            self.finish = event["finish_reason"]
        self._take_logprobs(event.get("logprobs"))

    def _take_logprobs(self, logprobs: object) -> None:
        if not is_object(logprobs):
            return
        before = self.logprobs or {}
        lists = {name: [*before.get(name, ()), *value] for name, value in logprobs.items() if is_array(value)}
        self.logprobs = {**before, **lists}

    def _take_tool(self, fragment: Document) -> None:
        function = as_object(fragment.get("function")) or as_object(fragment.get("custom"))
        tool = self._tool_of(fragment, bool(function.get("name")))
        tool["id"] = tool["id"] or fragment.get("id") or None
        tool["type"] = tool["type"] or fragment.get("type")
        name = function.get("name") or ""
        if name != tool["name"]:  # some servers repeat it in every chunk
            tool["name"] = (tool["name"] or "") + name
        arguments = function.get("arguments", function.get("input"))
        if arguments is not None:
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            tool["arguments"] = (tool["arguments"] or "") + text

    def _tool_of(self, fragment: Document, named: bool) -> Document:
        """Return the call that a fragment belongs to, a new one if it begins one."""
        index, own = fragment.get("index"), fragment.get("id") or None
        if index is not None:
            known = [tool for tool in self.tools if tool["index"] == index]
        elif own is not None:
            # A call that has no id yet gets this one, unless a second name shows that it is another's.
            known = [
                tool
                for tool in self.tools
                if tool["id"] == own or (tool["id"] is None and not (named and tool["name"]))
            ]
        else:
            known = self.tools if not named or not self.tools or not self.tools[-1]["name"] else []
        same = next((tool for tool in reversed(known) if own is not None and tool["id"] == own), None)
        last = same or (known[-1] if known else None)
        if last is not None and not (own and last["id"] not in (own, None) and named):
            return last
        tool: Document = {"index": index, "id": None, "type": None, "name": None, "arguments": None}
        self.tools.append(tool)
        return tool

    def neutral(self, index: int) -> Document:
        """Return it as a choice of an outcome."""
        names = ("id", "type", "name", "arguments")
        return {
            "index": index,
            "text": self.text,
            "reasoning": self.reasoning or None,
            "refusal": self.refusal or None,
            "finish_reason": neutral_word(self.finish),
            "finish_reason_raw": self.finish,
            "tool_calls": [{name: tool[name] for name in names} for tool in self.tools],
            "logprobs": self.logprobs,
        }


@dataclass
class _Answer:
    choices: dict[int, _Choice] = field(default_factory=dict[int, _Choice])
    usage: Document | None = None
    id: str | None = None
    model: str | None = None

    @classmethod
    def of(cls, events: Iterable[object]) -> _Answer:
        """Put the chunks together."""
        answer = cls()
        for event in events:
            answer._take(as_object(event))
        return answer

    def _take(self, event: Object) -> None:
        for place, choice in enumerate(as_objects(event.get("choices"))):
            index = choice.get("index")
            if not isinstance(index, int):
                index = place
            self.choices.setdefault(index, _Choice()).take(choice)
        if is_object(event.get("usage")):
            self.usage = {name: _count(event["usage"].get(name)) for name in _COUNTS}
        self.id = self.id or _text(event.get("id"))
        self.model = self.model or _text(event.get("model"))

    def response(self) -> Document:
        """Return it as the response of an outcome."""
        choices = [self.choices[index].neutral(index) for index in sorted(self.choices)]
        return {"choices": choices, "usage": self.usage, "id": self.id, "model": self.model}

    def chunks(self, n: int) -> list[str]:
        """Return the texts one by one; of choices that nobody asked for, the first alone."""
        asked = sorted(self.choices)[: max(n, 1)]
        return [text for index in asked for text in self.choices[index].texts]


def read_content(content: object) -> tuple[str, str]:
    """Return the text and the reasoning in the content of a message or a delta, which may come in parts."""
    if isinstance(content, str):
        return content, ""
    text, thought = "", ""
    for part in as_objects(content):
        text += part.get("text") or ""
        thought += "".join(_texts(part.get("thinking")))
    return text, thought


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in as_objects(value):
        yield part.get("text") or ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

"""Half of the naive client: from the bytes of an answer to a neutral response.

May enter: the standard library alone; see naive.py.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import Document, as_object, as_objects, is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

FINISH = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filter",
}
LONGEST_LINE = 1 << 24
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


class FailedError(Exception):
    """A call that failed, with the members of a neutral error."""

    def __init__(self, kind: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.error: Document = {"kind": kind, "message": message, **data}


class LeftError(Exception):
    """The caller walked away."""


@dataclass
class Choice:
    """One choice so far."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish: object = None
    tools: list[Document] = field(default_factory=list[Document])
    logprobs: list[Any] | None = None

    def told(self, index: int) -> Document:
        """Return it as a neutral choice."""
        word = FINISH.get(self.finish, "other") if isinstance(self.finish, str) else "other"
        names = ("id", "type", "name", "arguments")
        return {
            "index": index,
            "text": self.text,
            "reasoning": self.reasoning or None,
            "refusal": self.refusal or None,
            "finish_reason": word,
            "finish_reason_raw": self.finish,
            "tool_calls": [{name: tool[name] for name in names} for tool in self.tools],
            "logprobs": None if self.logprobs is None else {"content": self.logprobs},
        }


@dataclass
class Answer:
    """What has been read of an answer so far."""

    choices: dict[int, Choice] = field(default_factory=dict[int, Choice])
    usage: Document | None = None
    id: object = None
    model: object = None
    chunks: list[str] = field(default_factory=list[str])
    done: bool = False

    def response(self) -> Document:
        """Return it as a neutral response."""
        choices = [self.choices[index].told(index) for index in sorted(self.choices)]
        return {"choices": choices, "usage": self.usage, "id": self.id, "model": self.model}


class AnswerReader:
    """Reads answers; its methods are the places where broken.py breaks it."""

    def parsed(self, text: bytes | str) -> Any:
        """Return the JSON value of an answer or event."""
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
            raise FailedError("malformed_response", f"not JSON: {shown[:200]}") from error

    def message(self, value: object) -> str | None:
        """Return what a JSON error says, in whatever envelope."""
        if isinstance(value, str):
            return value
        if is_array(value):
            return "; ".join(filter(None, map(self.message, value)))
        for name in ("error", "errors", "detail", "message", "msg"):
            if is_object(value) and (found := self.message(value.get(name))):
                return found
        return None

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that came in one piece."""
        if not body.strip():
            raise FailedError("empty_response", "an empty answer")
        value = self.parsed(body)
        if not is_object(value):
            raise FailedError("malformed_response", "an answer that is not an object")
        self.refuse_error(value)
        for choice in as_objects(value.get("choices")):
            self.take_choice(answer, {**choice, "delta": choice.get("message")})
        self.take_rest(answer, value)
        if not answer.choices:
            raise FailedError("empty_response", "no choice")

    def stream(self, pieces: Iterator[bytes], answer: Answer, leave_after: int | None) -> None:
        """Read an answer that comes in events."""
        for data in self.events(self.lines(pieces)):
            if data.strip() == "[DONE]":
                answer.done = True
                break
            if data.strip() not in ("", "null"):
                self.take(answer, self.parsed(data))
            if leave_after is not None and len(answer.chunks) >= leave_after:
                raise LeftError
        self.end(answer)

    def end(self, answer: Answer) -> None:
        """Decide whether a stream that has ended was whole."""
        if not answer.done and not any(choice.finish for choice in answer.choices.values()):
            raise FailedError("stream_truncated", "the stream ended in the middle")
        if not answer.choices:
            raise FailedError("empty_response", "no choice")

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Yield the lines of an event stream, which end in CR, LF or CRLF."""
        rest, first = bytearray(), True
        for piece in pieces:
            rest += piece
            if len(rest) > LONGEST_LINE:
                raise FailedError("malformed_response", f"a line of more than {LONGEST_LINE} bytes")
            if b"\n" not in piece and b"\r" not in rest[-len(piece) - 1 :]:
                continue
            # A CR at the edge may be the first half of a CRLF.
            edge = len(rest) - rest.endswith(b"\r")
            *lines, tail = re.split(rb"\r\n|\r|\n", rest[:edge])
            rest = bytearray(tail) + rest[edge:]
            for line in lines:
                text = line.decode("utf-8", "replace")
                yield text.removeprefix("\ufeff") if first else text
                first = False
        if rest.endswith(b"\r"):
            yield from (rest[:-1].decode("utf-8", "replace"), "")

    def events(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield the data of each event."""
        data: list[str] = []
        for line in lines:
            name, _, value = line.partition(":")
            if name == "data":
                data.append(value.removeprefix(" "))
            if not line and data:
                yield "\n".join(data)
                data = []

    def take(self, answer: Answer, event: object) -> None:
        """Add one event to the answer."""
        if not is_object(event):
            raise FailedError("malformed_response", f"an event that is not an object: {event!r}")
        self.refuse_error(event)
        for choice in as_objects(event.get("choices")):
            self.take_choice(answer, choice)
        self.take_rest(answer, event)

    def refuse_error(self, value: Document) -> None:
        """Raise the error that a 200 carries, if it does."""
        if value.get("error"):
            message = self.message(value) or "an error in a good answer"
            raise FailedError("stream_error", message)

    def take_rest(self, answer: Answer, event: Document) -> None:
        """Add what an event says beside its choices."""
        if is_object(event.get("usage")):
            self.take_usage(answer, event["usage"])
        answer.id = answer.id or event.get("id")
        answer.model = answer.model or event.get("model")

    def take_usage(self, answer: Answer, usage: Document) -> None:
        """Add a usage: the last one holds."""
        answer.usage = {name: usage.get(name) for name in _COUNTS}

    def take_choice(self, answer: Answer, told: Document) -> None:
        """Add one choice of an event, or of a whole answer."""
        choice = answer.choices.setdefault(self.choice_index(told), Choice())
        delta = as_object(told.get("delta"))
        self.take_text(answer, choice, delta.get("content") or "")
        self.take_reasoning(choice, delta)
        choice.refusal += delta.get("refusal") or ""
        for tool in as_objects(delta.get("tool_calls")):
            self.take_tool(choice.tools, tool)
        self.take_finish(choice, told.get("finish_reason"))
        self.take_logprobs(choice, as_object(told.get("logprobs")))

    def choice_index(self, told: Document) -> int:
        """Return which choice is meant."""
        return int(told.get("index", 0))

    def take_text(self, answer: Answer, choice: Choice, text: str) -> None:
        """Add text; empty text is not a delivery."""
        choice.text += text
        if text:
            answer.chunks.append(text)

    def take_reasoning(self, choice: Choice, delta: Document) -> None:
        """Add reasoning, under whichever name, once."""
        choice.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""

    def take_finish(self, choice: Choice, word: object) -> None:
        """Add a finish reason: the last one that says something holds."""
        choice.finish = word or choice.finish

    def take_logprobs(self, choice: Choice, logprobs: Document) -> None:
        """Add the tokens' log probabilities."""
        if is_array(logprobs.get("content")):
            choice.logprobs = (choice.logprobs or []) + logprobs["content"]

    def tool_at(self, tools: list[Document], told: Document) -> Document | None:
        """Return the tool call that a piece belongs to, if it has begun."""
        index, name = told.get("index"), told.get("id")
        if index is not None:
            return next((tool for tool in tools if tool["index"] == index), None)
        if name:
            return next((tool for tool in tools if tool["id"] == name), None)
        return tools[-1] if tools else None

    def new_tool(self, told: Document) -> Document:
        """Return a tool call of which this is the first piece."""
        names = {"index": told.get("index"), "id": told.get("id"), "type": "function"}
        return {**names, "name": "", "arguments": ""}

    def take_tool(self, tools: list[Document], told: Document) -> None:
        """Add a piece of a tool call to the call that it belongs to."""
        tool = self.tool_at(tools, told)
        if tool is None:
            tool = self.new_tool(told)
            tools.append(tool)
        function = as_object(told.get("function"))
        tool["name"] += function.get("name") or ""
        tool["arguments"] += function.get("arguments") or ""

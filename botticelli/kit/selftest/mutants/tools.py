"""Mutants that put tool calls together in a wrong way."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod

from botticelli.contracts.jsonvalue import Document, as_object
from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import Answer, Choice, ReferenceClient


class _ChangesFragments(ReferenceClient, ABC):
    """Changes fragments of tool calls before they are read; the mutants below say how."""

    @abstractmethod
    def changed(self, fragment: Document, tools: list[Document]) -> Document | None:
        """Return what becomes of a fragment; None drops it."""

    def take_tool(self, tools: list[Document], fragment: Document) -> None:
        """Change it."""
        changed = self.changed(fragment, tools)
        if changed is not None:
            super().take_tool(tools, changed)


def with_function(fragment: Document, **members: object) -> Document:
    """Return a fragment with other members of its function."""
    return {**fragment, "function": {**as_object(fragment.get("function")), **members}}


class _ChangesCalls(ReferenceClient, ABC):
    """Changes each tool call once the answer is whole."""

    @abstractmethod
    def changed(self, tool: Document) -> Document | None:
        """Return what becomes of a call; None drops it."""

    def exchange(self, call: Document) -> Document:
        """Change them."""
        outcome = super().exchange(call)
        for choice in outcome.get("response", {}).get("choices", ()):
            choice["tool_calls"] = [*filter(None, map(self.changed, choice["tool_calls"]))]
            count = len(choice["tool_calls"])
            blocks = [
                {**one, "count": count} if one["type"] == "tool_calls" else one for one in choice["content"]
            ]
            choice["content"] = [one for one in blocks if one.get("count") != 0]
        return outcome


# Which call a fragment belongs to


@killed_by(
    {
        "tool-index-missing": (Gravity.SILENT, "/response/choices/0/tool_calls"),
        "content-text-then-tool-calls": (Gravity.SILENT, "/calls/0/response/choices/0/tool_calls"),
    }
)
class TakesNoIndexForZero(ReferenceClient):
    """Takes a tool-call delta without an index for one of the first call."""

    def tool_at(self, tools: list[Document], fragment: Document) -> Document | None:
        """Find the first call."""
        index = fragment.get("index") or 0
        return next((tool for tool in tools if tool["index"] == index), None)

    def new_tool(self, fragment: Document) -> Document:
        """Call it the first."""
        return super().new_tool({**fragment, "index": fragment.get("index") or 0})


@killed_by({"tool-index-missing-one-delta": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class GoesOnWithoutIndex(ReferenceClient):
    """Adds a fragment without an index to the call before it, even if it has an id of its own.

    Reported as gptscript-ai/gptscript#374 and SamSaffron/term-llm#314.
    """

    def tool_at(self, tools: list[Document], fragment: Document) -> Document | None:
        """Find the last call."""
        if fragment.get("index") is None:
            return tools[-1] if tools else None
        return super().tool_at(tools, fragment)


@killed_by({"tool-index-reused": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class GoesByIndexAlone(ReferenceClient):
    """Adds a new call to an old one when both come under one index.

    Reported as ai-dynamo/dynamo#4723 and huggingface/smolagents#1569.
    """

    def tool_at(self, tools: list[Document], fragment: Document) -> Document | None:
        """Look at the index."""
        if (index := fragment.get("index")) is None:
            return super().tool_at(tools, fragment)
        return next((tool for tool in tools if tool["index"] == index), None)


@killed_by(
    {
        "tool-index-starts-at-one": (Gravity.CRASH, ""),
        "tool-index-hostile": (Gravity.CRASH, ""),
    }
)
class LooksUpByPosition(ReferenceClient):
    """Uses the index to look into the list.

    Reported as vercel/ai#18333 and apache/maka#1967.
    """

    def tool_at(self, tools: list[Document], fragment: Document) -> Document | None:
        """Look there."""
        index: int | None = fragment.get("index")
        if index is None or index == len(tools):
            return None
        return tools[index]


@killed_by({"tool-index-hostile": (Gravity.CRASH, "")})
class MakesRoom(ReferenceClient):
    """Fills a list up to the index, with room for a hundred calls."""

    def take_tool(self, tools: list[Document], fragment: Document) -> None:
        """Fail beyond that."""
        if not 0 <= (fragment.get("index") or 0) < 100:
            raise IndexError("list assignment index out of range")
        super().take_tool(tools, fragment)


@killed_by(
    {
        "tool-interleaved": (Gravity.SILENT, "/response/choices/0/tool_calls/0/arguments"),
        "tool-three-interleaved": (Gravity.SILENT, "/calls/1/response/choices/0/tool_calls/0/arguments"),
    }
)
class AddsToTheLast(ReferenceClient):
    """Adds every fragment that begins no call to the last one.

    Reported as QwenLM/Qwen-Agent#943.
    """

    def tool_at(self, tools: list[Document], fragment: Document) -> Document | None:
        """Find the last call."""
        return None if fragment.get("id") or not tools else tools[-1]


@killed_by({"tool-repeated-id-and-name": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class BeginsAtEveryId(ReferenceClient):
    """Begins a new call at every id, though some servers repeat it.

    Reported as BerriAI/litellm#8990 and BerriAI/litellm#20480.
    """

    def tool_at(self, tools: list[Document], fragment: Document) -> Document | None:
        """Begin a new one."""
        return None if fragment.get("id") else super().tool_at(tools, fragment)


@killed_by({"tool-later-members-empty": (Gravity.SILENT, "/response/choices/0/tool_calls/0/id")})
class TakesEmptyId(_ChangesFragments):
    """Lets an empty id replace the one that was there.

    Reported as anomalyco/opencode#37783 and OpenBMB/PilotDeck#107.
    """

    def changed(self, fragment: Document, tools: list[Document]) -> Document:
        """Replace it."""
        tool = self.tool_at(tools, fragment)
        if tool is not None and "id" in fragment:
            tool["id"] = fragment["id"]
        return fragment


# What a fragment adds


@killed_by(
    {
        "tool-streamed": (Gravity.SILENT, "/response/choices/0/tool_calls/0/arguments"),
        "tool-name-in-pieces": (Gravity.SILENT, "/response/choices/0/tool_calls/0/name"),
    }
)
class KeepsFirstFragment(ReferenceClient):
    """Keeps the name and the arguments of the first fragment of a call."""

    def take_tool(self, tools: list[Document], fragment: Document) -> None:
        """Drop what comes later."""
        if self.tool_at(tools, fragment) is None:
            super().take_tool(tools, fragment)


@killed_by({"tool-name-in-pieces": (Gravity.SILENT, "/response/choices/0/tool_calls/0/name")})
class ReplacesName(_ChangesFragments):
    """Lets each piece of a name replace the one before it."""

    def changed(self, fragment: Document, tools: list[Document]) -> Document:
        """Forget what there was."""
        tool = self.tool_at(tools, fragment)
        if tool is not None and as_object(fragment.get("function")).get("name"):
            tool["name"] = ""
        return fragment


@killed_by({"tool-name-late": (Gravity.SILENT, "/response/choices/0/tool_calls/0/arguments")})
class NeedsNameFirst(_ChangesFragments):
    """Drops arguments that come before the name of their call.

    Reported as vercel/ai#5885 and vercel/ai#14760.
    """

    def changed(self, fragment: Document, tools: list[Document]) -> Document:
        """Drop them."""
        tool = self.tool_at(tools, fragment)
        named = (tool or {}).get("name") or as_object(fragment.get("function")).get("name")
        return fragment if named else with_function(fragment, arguments="")


@killed_by({"tool-repeated-id-and-name": (Gravity.SILENT, "/response/choices/0/tool_calls/0/name")})
class JoinsRepeatedNames(_ChangesFragments):
    """Joins a name that is repeated.

    Reported as BerriAI/litellm#8990 and BerriAI/litellm#20480.
    """

    def changed(self, fragment: Document, tools: list[Document]) -> Document:
        """Add it again."""
        tool, name = self.tool_at(tools, fragment), as_object(fragment.get("function")).get("name")
        if tool is not None and name and name == tool["name"]:
            tool["name"] += name
        return fragment


@killed_by({"tool-arguments-unicode": (Gravity.SILENT, "/response/choices/0/tool_calls/0/arguments")})
class ReadsFragments(_ChangesFragments):
    """Undoes the escapes of each fragment, though a fragment may end in the middle of one."""

    def changed(self, fragment: Document, tools: list[Document]) -> Document:  # noqa: ARG002 -- as above
        """Drop a backslash at the end."""
        arguments = as_object(fragment.get("function")).get("arguments") or ""
        return with_function(fragment, arguments=arguments.removesuffix("\\"))


@killed_by({"tool-whole-with-finish": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class DropsDeltaAtFinish(ReferenceClient):
    """Passes over the delta of the event that has the finish reason.

    Reported as vercel/ai#1653 and vercel/ai#1838.
    """

    def take_choice(self, answer: Answer, event: Document) -> None:
        """Read the reason alone."""
        whole = as_object(event.get("message"))
        super().take_choice(answer, {**event, "delta": whole} if event.get("finish_reason") else event)


@killed_by({"tool-beside-text": (Gravity.SILENT, "/calls/0/response/choices/0/text")})
class ForgetsTextBesideCalls(ReferenceClient):
    """Gives either the text or the calls of an answer."""

    def exchange(self, call: Document) -> Document:
        """Drop the text beside calls."""
        outcome = super().exchange(call)
        for choice in outcome.get("response", {}).get("choices", ()):
            if choice["tool_calls"]:
                choice["text"] = ""
                choice["content"] = [one for one in choice["content"] if one["type"] != "text"]
                if "chunks" in outcome["response"]:
                    outcome["response"]["chunks"] = []
        return outcome


# What becomes of a whole call


@killed_by({"tool-whole-answer": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class ReadsFirstCall(ReferenceClient):
    """Reads the first tool call of a message, since there are hardly ever two."""

    def whole(self, body: bytes, answer: Answer) -> None:
        """Drop the others."""
        super().whole(body, answer)
        for choice in answer.choices.values():
            del choice.tools[1:]


@killed_by(
    {
        "tool-arguments-invalid-json": (Gravity.SILENT, "/calls/0/response/choices/0/tool_calls/0/arguments"),
        "tool-arguments-cut-by-length": (
            Gravity.SILENT,
            "/calls/0/response/choices/0/tool_calls/0/arguments",
        ),
    }
)
class DropsInvalidArguments(_ChangesCalls):
    """Puts an empty object in place of arguments that can't be read.

    Reported as omnigent-ai/omnigent#2587.
    """

    def changed(self, tool: Document) -> Document:
        """Try to read them."""
        try:
            json.loads(tool["arguments"] or "{}")
        except ValueError:
            return {**tool, "arguments": "{}"}
        return tool


@killed_by({"tool-whole-answer": (Gravity.SILENT, "/response/choices/0/tool_calls/0/arguments")})
class WritesArgumentsAnew(_ChangesCalls):
    """Reads the arguments and writes them again, in a way of its own."""

    def changed(self, tool: Document) -> Document:
        """Write them."""
        try:
            return {**tool, "arguments": json.dumps(json.loads(tool["arguments"]), sort_keys=True)}
        except ValueError:
            return tool


@killed_by({"tool-no-arguments": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class DropsCallsWithoutArguments(_ChangesCalls):
    """Takes a call without arguments for one that isn't there.

    Reported as mrdushidush/claudette#238 and google/adk-go#1254.
    """

    def changed(self, tool: Document) -> Document | None:
        """Drop it."""
        return tool if tool["arguments"] else None


@killed_by({"tool-type-missing-or-custom": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class KnowsFunctionsOnly(_ChangesFragments):
    """Drops calls that don't say that they are for a function."""

    def changed(self, fragment: Document, tools: list[Document]) -> Document | None:
        """Drop them."""
        known = self.tool_at(tools, fragment) is not None or fragment.get("type") == "function"
        return fragment if known else None


@killed_by({"tool-finish-twice": (Gravity.SILENT, "/response/choices/0/tool_calls")})
class RepeatsCallsAtFinish(ReferenceClient):
    """Hands on the calls at each finish reason, and so twice when it comes twice.

    Reported as QwenLM/qwen-code#2402 and QwenLM/qwen-code#2403.
    """

    def take_finish(self, choice: Choice, word: object) -> None:
        """Repeat them."""
        if word and choice.finish:
            choice.tools += [dict(tool) for tool in choice.tools]
        super().take_finish(choice, word)


@killed_by(
    {
        "tool-history-echoed": (
            Gravity.SILENT,
            "/requests/0/body/messages/1/tool_calls/0/function/arguments",
        )
    }
)
class WritesHistoryAnew(ReferenceClient):
    """Mends the arguments of calls in the history, so that they are JSON.

    Reported as archestra-ai/archestra#866 and lmnr-ai/lmnr#2019.
    """

    def body(self, call: Document) -> Document:
        """Replace those that are none."""
        body = super().body(call)
        for message in body.get("messages", ()):
            for tool in message.get("tool_calls", ()):
                try:
                    json.loads(tool["function"]["arguments"])
                except ValueError:
                    tool["function"]["arguments"] = "{}"
        return body


@killed_by({"tool-history-echoed": (Gravity.SILENT, "/requests/0/body/messages/1/tool_calls/0/id")})
class CutsCallIds(ReferenceClient):
    """Cuts the ids of calls in the history at forty characters.

    Reported as archestra-ai/archestra#866 and lmnr-ai/lmnr#2019.
    """

    def body(self, call: Document) -> Document:
        """Cut them."""
        body = super().body(call)
        for message in body.get("messages", ()):
            for tool in message.get("tool_calls", ()):
                tool["id"] = tool["id"][:40]
            if "tool_call_id" in message:
                message["tool_call_id"] = message["tool_call_id"][:40]
        return body

"""Mutants that send the wrong request, or the key to where it doesn't belong."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from typing import Any

from botticelli.contracts.jsonvalue import Document, as_object, is_array
from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import Answer, FailedError, ReferenceClient

# The key


@killed_by({"auth-kept-on-retry": (Gravity.IMPRECISE, "/requests/1/headers/Authorization")})
class LosesKeyOnRetry(ReferenceClient):
    """Builds the headers anew for another attempt, without the key.

    Reported as openai/openai-dotnet#95.
    """

    def delay(self, call: Document, answer: Answer, attempt: int, error: Document) -> float | None:
        """Forget the key when there is to be another attempt."""
        seconds = super().delay(call, answer, attempt, error)
        if seconds is not None:
            call["api_key"] = None
        return seconds


@killed_by({"auth-key-echoed-by-server": (Gravity.LEAK, "/calls/0/error/message")})
class ShowsKey(ReferenceClient):
    """Passes on the server's message with the key in it."""

    def without_key(self, call: Document, text: str) -> str:  # noqa: ARG002 -- the mistake
        """Leave the text as it is."""
        return text


@killed_by({"auth-anonymous": (Gravity.IMPRECISE, "/requests/0/headers/Authorization")})
class SendsNoneAsKey(ReferenceClient):
    """Sends the word None where there is no key.

    Reported as openai/openai-python#961 and Zero6992/chatGPT-discord-bot#422.
    """

    def headers(self, call: Document) -> dict[str, str]:
        """Add it."""
        return {"Authorization": f"Bearer {call['api_key']}", **super().headers(call)}


@killed_by({"auth-bearer": (Gravity.IMPRECISE, "/requests/2/headers/Authorization")})
class ForgetsKeyForModels(ReferenceClient):
    """Lists the models without the key."""

    def headers(self, call: Document) -> dict[str, str]:
        """Leave it out there."""
        return super().headers({**call, "api_key": None} if call["operation"] == "models" else call)


@killed_by(
    {
        "auth-key-header-injection": (Gravity.LEAK, ""),
        "auth-key-control-character": (Gravity.LEAK, "/error/message"),
        "auth-key-trailing-newline": (Gravity.LEAK, ""),
    }
)
class TrustsKeys(ReferenceClient):
    """Puts a key into the header as it is, and lets the library's exception out, which quotes it.

    Reported as conductor-oss/conductor#1437 and jrkropp/open-webui-developer-toolkit#176.
    """

    def key(self, key: str) -> str:
        """Return it as it is."""
        return key


@killed_by({"auth-key-non-ascii": (Gravity.IMPRECISE, "/error/kind")})
class SendsKeyAsLatin(ReferenceClient):
    """Sends a key that is not ASCII, with its bytes taken for those of another charset.

    Reported as openai/openai-node#192.
    """

    def key(self, key: str) -> str:
        """Encode it."""
        return key.strip().encode().decode("latin-1")


@killed_by({"auth-key-control-character": (Gravity.IMPRECISE, "/error/kind")})
class SendsPartOfKey(ReferenceClient):
    """Sends a key without what no header can hold.

    Reported as openai/openai-node#192.
    """

    def key(self, key: str) -> str:
        """Leave it out."""
        return "".join(one for one in key if one.isprintable() and one.isascii()) or "none"


@killed_by({"auth-redirect-other-host": (Gravity.LEAK, "/requests/1/headers/Authorization")})
class FollowsRedirects(ReferenceClient):
    """Follows a redirect with all headers, to whatever host it leads."""

    def error_from_response(
        self, call: Document, status: int, headers: dict[str, str], body: bytes
    ) -> FailedError:
        """Go there."""
        if "Location" in headers:
            place, _, _ = headers["Location"].partition("/chat/completions")
            outcome = self.exchange({**call, "base_url": place})
            if "response" in outcome:
                raise _RedirectedError(outcome)
        return super().error_from_response(call, status, headers, body)

    def attempt(self, call: Document, answer: Answer) -> Document:
        """Take what came from there."""
        try:
            return super().attempt(call, answer)
        except _RedirectedError as found:
            return found.outcome


class _RedirectedError(Exception):
    """There is an answer elsewhere."""

    def __init__(self, outcome: Document) -> None:
        super().__init__()
        self.outcome = outcome


# Headers


@killed_by({"headers-stream-not-compressed": (Gravity.IMPRECISE, "/requests/0/headers/Accept-Encoding")})
class CompressesStreams(ReferenceClient):
    """Asks for compression, which holds the text back until there is enough of it.

    Reported as lidge-jun/opencodex#115 and TokenRhythm/opensquilla#1187.
    """

    def headers(self, call: Document) -> dict[str, str]:
        """Ask for gzip."""
        return {**super().headers(call), "Accept-Encoding": "gzip, deflate"}


@killed_by(
    {
        "headers-user-added": (Gravity.IMPRECISE, "/requests/0/headers/X-Trace"),
        "headers-bill-to": (Gravity.IMPRECISE, "/requests/0/headers/X-HF-Bill-To"),
    }
)
class IgnoresHeaders(ReferenceClient):
    """Drops the headers that the user adds."""

    def headers(self, call: Document) -> dict[str, str]:
        """Send its own."""
        return super().headers({**call, "options": {**call["options"], "headers": {}}})


@killed_by({"headers-user-added": (Gravity.IMPRECISE, "/requests/0/headers/User-Agent")})
class PrefersItsOwnHeaders(ReferenceClient):
    """Lets its own headers replace those of the user."""

    def headers(self, call: Document) -> dict[str, str]:
        """Put them last."""
        return {**super().headers(call), "User-Agent": "reference/1.0"}


# The body


@killed_by({"request-nothing-unasked": (Gravity.IMPRECISE, "/requests/0/body/max_tokens")})
class SendsNulls(ReferenceClient):
    """Sends every parameter that it knows, set or not.

    Reported as mistralai/platform-docs-public#7 and Gitlawb/openclaude#739.
    """

    def body(self, call: Document) -> Document:
        """Add what was not asked for."""
        return {"temperature": None, "max_tokens": None, **super().body(call)}


class _ChangesBodies(ReferenceClient, ABC):
    """Changes the body before it is sent; the mutants below say how."""

    @abstractmethod
    def changed(self, body: Document, call: Document) -> Document:
        """Return what becomes of a body."""

    def body(self, call: Document) -> Document:
        """Change it."""
        return self.changed(super().body(call), call)


class _ChangesMessages(_ChangesBodies):
    """Changes each message."""

    @abstractmethod
    def message_sent(self, message: Document) -> Document:
        """Return what becomes of a message."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Change them."""
        return {**body, "messages": [*map(self.message_sent, body["messages"])]}


@killed_by({"request-seed-beyond-doubles": (Gravity.SILENT, "/requests/0/body/seed")})
class SendsNumbersAsFloats(_ChangesBodies):
    """Sends every number as a float, which holds no large seed."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Convert them."""
        return {name: float(value) if name == "seed" else value for name, value in body.items()}


@killed_by({"request-published-options": (Gravity.SILENT, "/requests/0/body/verbosity")})
class KnowsOldOptions(_ChangesBodies):
    """Drops options that are newer than its model of the request."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Drop them."""
        new = {"verbosity", "prediction", "service_tier", "safety_identifier", "prompt_cache_key"}
        return {name: value for name, value in body.items() if name not in new}


@killed_by({"request-rare-options": (Gravity.SILENT, "/requests/0/body/max_completion_tokens")})
class RenamesMaxTokens(_ChangesBodies):
    """Sends the limit on tokens under its old name."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Rename it."""
        return {"max_tokens" if name == "max_completion_tokens" else name: one for name, one in body.items()}


@killed_by({"request-extra-at-the-top": (Gravity.SILENT, "/requests/0/body/top_k")})
class NestsExtra(_ChangesBodies):
    """Sends parameters that it doesn't know as a member of their own."""

    def changed(self, body: Document, call: Document) -> Document:
        """Nest them."""
        extra = as_object(call["request"].get("extra"))
        kept = {name: value for name, value in body.items() if name not in extra}
        return {**kept, "extra_body": extra} if extra else kept


@killed_by({"request-model-to-the-letter": (Gravity.SILENT, "/requests/0/body/model")})
class CutsModel(_ChangesBodies):
    """Takes what follows a colon in a model's name for a tag.

    Reported as huggingface/tau#559.
    """

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Cut it off."""
        return {**body, "model": body["model"].partition(":")[0]}


@killed_by(
    {
        "request-response-format-object": (Gravity.SILENT, "/requests/0/body/response_format"),
        "request-response-format-schema": (Gravity.SILENT, "/requests/0/body/response_format"),
    }
)
class DropsResponseFormat(_ChangesBodies):
    """Asks for structured output by words in the prompt alone."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Drop the parameter."""
        return {name: value for name, value in body.items() if name != "response_format"}


@killed_by(
    {
        "request-response-format-schema": (
            Gravity.SILENT,
            "/requests/0/body/response_format/json_schema/strict",
        )
    }
)
class LoosensSchemas(_ChangesBodies):
    """Leaves out what not every server knows of a schema."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Drop strict."""
        schema = dict(as_object(as_object(body.get("response_format")).get("json_schema")))
        if schema.pop("strict", None) is None:
            return body
        return {**body, "response_format": {"type": "json_schema", "json_schema": schema}}


@killed_by({"request-every-option": (Gravity.SILENT, "/requests/0/body/seed")})
class DropsSeed(_ChangesBodies):
    """Drops the seed, which its model of the request lacks."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Drop it."""
        return {name: value for name, value in body.items() if name != "seed"}


@killed_by({"request-stop-text-and-list": (Gravity.SILENT, "/requests/0/body")})
class DropsStops(_ChangesBodies):
    """Drops the stop sequences, which its model of the request lacks."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Drop them."""
        return {name: value for name, value in body.items() if name != "stop"}


@killed_by({"request-stop-text-kept": (Gravity.SILENT, "/requests/0/body/stop")})
class ListsStops(_ChangesBodies):
    """Sends one stop sequence as a list of one."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Make a list of it."""
        stop = body.get("stop")
        return {**body, "stop": [stop]} if isinstance(stop, str) else body


@killed_by({"request-stream-options-only-in-streams": (Gravity.SILENT, "/requests/0/body/stream_options")})
class AlwaysSendsStreamOptions(_ChangesBodies):
    """Asks for usage in the options of a stream, also where there is none.

    Reported as BerriAI/litellm#5803 and decolua/9router#688.
    """

    def changed(self, body: Document, call: Document) -> Document:
        """Add them."""
        return (
            {**body, "stream_options": {"include_usage": True}}
            if call["request"].get("stream_usage")
            else body
        )


@killed_by({"request-stream-usage-asked": (Gravity.SILENT, "/requests/0/body/stream_options")})
class NeverAsksForUsage(_ChangesBodies):
    """Doesn't ask for the usage of a stream.

    Reported as brightwave-inc/tidebreak#1401 and digitallysavvy/go-ai#48.
    """

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Drop the options."""
        return {name: value for name, value in body.items() if name != "stream_options"}


@killed_by({"request-tools": (Gravity.SILENT, "/requests/0/body/tools/1/function/strict")})
class MakesToolsStrict(_ChangesBodies):
    """Makes every tool strict."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Add the member."""
        if "tools" not in body:
            return body
        return {
            **body,
            "tools": [{**one, "function": {**one["function"], "strict": True}} for one in body["tools"]],
        }


@killed_by({"request-tool-choice": (Gravity.SILENT, "/requests/3/body/tool_choice")})
class ChoosesByWord(_ChangesBodies):
    """Sends ``auto`` where one function was to be called."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Replace it."""
        return {**body, "tool_choice": "auto"} if as_object(body.get("tool_choice")) else body


@killed_by({"request-zero-and-false-kept": (Gravity.SILENT, "/requests/0/body/temperature")})
class DropsFalsy(_ChangesBodies):
    """Takes zero, false and the empty text for parameters that weren't given."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Drop them."""
        return {name: value for name, value in body.items() if value}


# Messages


@killed_by(
    {
        "request-audio-part": (Gravity.SILENT, "/requests/0/body/messages/0/content"),
        "request-image-parts": (Gravity.SILENT, "/requests/0/body/messages/0/content"),
    }
)
class SendsTextPartsOnly(_ChangesMessages):
    """Sends the text of a message, and drops its pictures and sounds."""

    def message_sent(self, message: Document) -> Document:
        """Join the texts."""
        content = message.get("content")
        if not is_array(content):
            return message
        return {**message, "content": "".join(as_object(part).get("text", "") for part in content)}


@killed_by({"request-image-parts": (Gravity.SILENT, "/requests/0/body/messages/0/content/1/type")})
class PutsPicturesLast(_ChangesMessages):
    """Sorts the parts of a message, so that texts no longer stand by their pictures."""

    def message_sent(self, message: Document) -> Document:
        """Sort them."""
        content: Any = message.get("content")
        return (
            {**message, "content": sorted(content, key=lambda one: one["type"] != "text")}
            if is_array(content)
            else message
        )


@killed_by({"request-string-stays-string": (Gravity.SILENT, "/requests/0/body/messages/0/content")})
class SendsPartsForText(_ChangesMessages):
    """Sends every text as a list of parts.

    Reported as anomalyco/opencode#10760 and opencodeschool/opencode.school#174.
    """

    def message_sent(self, message: Document) -> Document:
        """Make a part of it."""
        content = message.get("content")
        return (
            {**message, "content": [{"type": "text", "text": content}]}
            if isinstance(content, str)
            else message
        )


@killed_by({"request-conversation-to-the-letter": (Gravity.SILENT, "/requests/0/body/messages/0/content")})
class StripsMessages(_ChangesMessages):
    """Strips the space at the ends of messages."""

    def message_sent(self, message: Document) -> Document:
        """Strip it."""
        content = message.get("content")
        return {**message, "content": content.strip()} if isinstance(content, str) else message


@killed_by({"request-text-to-the-character": (Gravity.SILENT, "/requests/0/body/messages/0/content")})
class NormalisesMessages(_ChangesMessages):
    """Brings messages into a normal form of Unicode."""

    def message_sent(self, message: Document) -> Document:
        """Compose characters."""
        content = message.get("content")
        text = (
            unicodedata.normalize("NFKC", content).replace("\x01", "")
            if isinstance(content, str)
            else content
        )
        return {**message, "content": text}


@killed_by({"request-roles-in-order": (Gravity.SILENT, "/requests/0/body/messages/0/role")})
class ReplacesDeveloper(_ChangesMessages):
    """Sends instructions of the developer's as the system's."""

    def message_sent(self, message: Document) -> Document:
        """Replace the role."""
        return {**message, "role": "system"} if message["role"] == "developer" else message


@killed_by({"request-conversation-to-the-letter": (Gravity.SILENT, "/requests/0/body/messages")})
class MergesTurns(_ChangesBodies):
    """Merges neighbours of one role into one message."""

    def changed(self, body: Document, call: Document) -> Document:  # noqa: ARG002 -- as above
        """Join them."""
        merged: list[Document] = []
        for message in body["messages"]:
            before = merged[-1] if merged else {}
            if before.get("role") == message["role"] == "user" and isinstance(message["content"], str):
                before["content"] = f"{before['content']}\n{message['content']}"
            else:
                merged.append(dict(message))
        return {**body, "messages": merged}

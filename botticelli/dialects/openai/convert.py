"""Convert parts of an answer, whole or streamed, into the vocabulary of `botticelli.core`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from botticelli.core.message import (
    NOTHING,
    Audio,
    Image,
    MediaSource,
    Other,
    Reasoning,
    Text,
    ToolCall,
)
from botticelli.core.response import (
    Choice,
    Citations,
    CompletionTokens,
    FinishReason,
    Output,
    PromptTokens,
    Refusal,
    ToolCalls,
    Usage,
)
from botticelli.protocol.lenient_json import as_id, as_text, as_whole_number, dump, is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botticelli.dialects.openai import wire
    from botticelli.protocol.deviations import DeviationLog

__all__ = [
    "PART",
    "REASONING",
    "add_details",
    "build_choice",
    "details_text",
    "encode_call",
    "encode_image",
    "encode_reasoning",
    "encode_thinking",
    "is_parts",
    "make_ids_distinct",
    "read_reasoning",
    "says_anything",
    "split_content",
    "to_audio",
    "to_blocks",
    "to_finish_reason",
    "to_tool_call",
    "to_usage",
]

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_USE,
    "function_call": FinishReason.TOOL_USE,
    "content_filter": FinishReason.CONTENT_FILTER,
    # Unpublished reasons of TGI, Together, Anthropic, Gemini and Mistral (finish-native-stop,
    # finish-native-length, finish-tool-use, finish-safety); the deviation code is finish-reason-unknown
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_USE,
    # Gemini's, Zhipu's and others' words for what a filter withheld
    **dict.fromkeys(
        (
            *("safety", "recitation", "prohibited_content", "blocklist", "spii", "model_armor"),
            *("image_safety", "image_prohibited_content", "image_recitation", "sensitive"),
        ),
        FinishReason.CONTENT_FILTER,
    ),
    "refusal": FinishReason.REFUSAL,
    "pause_turn": FinishReason.PAUSE,
}

_CALL_MEMBERS = frozenset({"index", "id", "type", "function", "custom"})


def to_finish_reason(word: Any) -> FinishReason:
    """Return what a server's finish reason means; OTHER for an unknown one, and for none."""
    if not isinstance(word, str):
        return FinishReason.OTHER
    # finish-content-filter-with-cause: gateways put the cause behind it, "content_filter: RECITATION"
    return _FINISH.get(word.lower().partition(":")[0].strip(), FinishReason.OTHER)


def to_tool_call(raw: dict[str, Any]) -> ToolCall:
    """Return a tool call in any observed shape; its id is empty where the server sent none."""
    word = raw.get("type")
    kind = word if isinstance(word, str) and word else "function"  # tool-type-missing-or-custom
    inner = raw.get("function")
    if is_object(raw.get("custom")) and (kind == "custom" or not is_object(inner)):
        inner, kind = raw["custom"], "custom"
    if is_object(inner):
        kind = "custom" if kind == "custom" else "function"
    else:
        inner = {}
    argument = "input" if kind == "custom" else "arguments"
    written = inner.get(argument)
    extra = {name: value for name, value in raw.items() if name not in _CALL_MEMBERS}
    if inside := {name: value for name, value in inner.items() if name not in ("name", argument)}:
        extra["custom" if kind == "custom" else "function"] = inside
    return ToolCall(
        id=as_id(raw.get("id")),
        name=as_text(inner.get("name")),
        arguments_json=as_text(written),
        type=kind,
        extra=extra or NOTHING,
    )


def make_ids_distinct(
    calls: list[ToolCall], choice_index: int, log: DeviationLog, path: str
) -> list[ToolCall]:
    """Return the calls with ids that exist and differ, so that each result can name its call."""
    # servers send empty ids and the same id for several calls (tool-ids-empty, tool-ids-all-the-same)
    taken = {call.id for call in calls}
    given: set[str] = set()
    attempts: dict[str, int] = {}  # the next one by id: to start anew at each repeat would be quadratic
    result: list[ToolCall] = []
    for position, call in enumerate(calls):
        identity = call.id
        attempt = attempts.get(identity, 1) if identity else 1
        if identity and identity in given:
            place = f"{path}.message.tool_calls[{position}].id"
            log.add("tool-id-repeated", place, "$.choices[].message.tool_calls[].id")
        while not identity or identity in given or (identity != call.id and identity in taken):
            suffix = f"-{attempt}" if attempt > 1 or call.id else ""
            identity = f"{call.id or f'call_{choice_index}_{position}'}{suffix}"
            attempt += 1
        given.add(identity)
        attempts[call.id] = attempt
        result.append(call if identity == call.id else msgspec.structs.replace(call, id=identity))
    return result


REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""The names under which servers send reasoning as a text."""

PART: Final = frozenset({"type", "text", "thinking", "refusal"})
"""The members of a part of a content; it has at least one of them."""


def is_parts(content: list[Any]) -> bool:
    """Return whether a list is a content in parts. If not, it is a structured answer, such as a list of rows.

    One part among foreign objects makes it a content in parts (content-list-of-objects).
    """
    objects = [part for part in content if is_object(part)]
    return (
        not objects
        or any(isinstance(part, str) for part in content)
        or any(PART & one.keys() for one in objects)
    )


def split_content(parts: list[Any]) -> tuple[list[Text | Image | Other], str]:
    """Return the blocks and the reasoning of a content that came as a list of parts.

    The text of a structured answer (see `is_parts`) is the JSON of the list, as where content is an object.
    """
    if not is_parts(parts):
        return [Text(dump(parts))], ""
    blocks: list[Text | Image | Other] = []
    thinking: list[str] = []
    for part in parts:
        if not is_object(part):
            _write(blocks, as_text(part))
        elif inner := part.get("thinking"):
            thinking.append(_texts(inner) if is_array(inner) else as_text(inner))
        elif "text" in part or "refusal" in part:
            _write(blocks, as_text(part.get("text", part.get("refusal"))))
        elif "thinking" not in part:
            blocks += to_blocks([part])
    return blocks, "".join(thinking)


def _texts(parts: list[Any]) -> str:
    return "".join(as_text(part.get("text")) if is_object(part) else as_text(part) for part in parts)


def _write(blocks: list[Text | Image | Other], text: str) -> None:
    if blocks and isinstance(before := blocks[-1], Text):
        blocks[-1] = Text(before.text + text)
    elif text:
        blocks.append(Text(text))


def to_blocks(parts: list[Any]) -> list[Image | Other]:
    """Return images as such, and whatever else stands in a list of parts as it is."""
    return [_image(part) or Other(_kind(part), part) for part in parts]


def _kind(part: Any) -> str:
    word = part.get("type") if is_object(part) else None
    return word if isinstance(word, str) else ""


def _image(part: Any) -> Image | None:
    if not is_object(part) or part.get("type") != "image_url":
        return None
    held = part.get("image_url")
    inner: dict[str, Any] = {"url": held} if isinstance(held, str) else held if is_object(held) else {}
    url, detail = inner.get("url"), inner.get("detail")
    if not isinstance(url, str):
        return None
    extra = {name: value for name, value in part.items() if name not in ("type", "image_url")}
    known = detail in ("auto", "low", "high")
    beside = {
        name: value for name, value in inner.items() if name != "url" and not (known and name == "detail")
    }
    if beside:
        extra["image_url"] = beside
    return Image(MediaSource.from_url(url), detail if known else None, extra or NOTHING)


def encode_image(image: Image, url: str) -> dict[str, Any]:
    """Encode an image; `url` is where, or what, it is."""
    inner = {**_inside(image.extra, "image_url"), "url": url}
    if image.detail is not None:
        inner["detail"] = image.detail
    return {**image.extra, "type": "image_url", "image_url": inner}


def details_text(details: Any) -> str:
    """Return what can be read of `reasoning_details`: the texts and summaries of its items."""
    items = details if is_array(details) else [details]
    texts = [item.get("text", item.get("summary")) for item in items if is_object(item)]
    return "".join(text for text in texts if isinstance(text, str))


def read_reasoning(message: Mapping[str, Any], thinking: str = "") -> list[Reasoning]:
    """Return the reasoning of a message, under each name that it has; the same text counts once.

    Args:
        message: The message.
        thinking: What stood in the parts of its content.
    """
    found = {name: text for name in REASONING if isinstance(text := message.get(name), str)}
    blocks: list[Reasoning] = []
    for name, text in found.items():
        if text not in [block.text for block in blocks] and (text or not any(found.values())):
            blocks.append(Reasoning(text, name))
    # reasoning-content-parts: some servers send the reasoning under both names; it counts once
    if thinking and thinking not in [block.text for block in blocks]:
        blocks.append(Reasoning(thinking, "content"))
    return add_details(blocks, message.get("reasoning_details"))


def encode_thinking(block: Reasoning) -> dict[str, Any]:
    """Return reasoning as the part of a content that it was."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": block.text}]}


def encode_reasoning(blocks: list[Reasoning]) -> dict[str, Any]:
    """Return the members of a message that hold its reasoning, under the names that it came by."""
    members: dict[str, Any] = {}
    for block in blocks:
        if block.details is not None:
            members["reasoning_details"] = block.details
        if block.name not in ("content", "reasoning_details"):
            name = block.name or "reasoning_content"
            members[name] = members.get(name, "") + block.text
    return members


def add_details(blocks: list[Reasoning], details: Any) -> list[Reasoning]:
    """Return the reasoning with the server's own structure of it; its text counts where there is no other."""
    if details is None or details == []:
        return blocks
    if any(block.text for block in blocks):
        first, *others = blocks
    else:
        first, others = Reasoning(details_text(details), "reasoning_details"), []
    items = details if is_array(details) else [details]
    proved = msgspec.structs.replace(
        first,
        signature=_last(items, "reasoning.text", "signature"),
        redacted=_last(items, "reasoning.encrypted", "data"),
        details=details,
    )
    return [proved, *others]


def _last(items: list[Any], kind: str, member: str) -> str | None:
    """Return the text under a name in the last item of a kind that has one, by OpenRouter's words."""
    for item in reversed(items):
        value = item.get(member) if is_object(item) and item.get("type") == kind else None
        if isinstance(value, str) and value:
            return value
    return None


def to_audio(spoken: Any) -> Audio | None:
    """Return the spoken output, or None where there is none."""
    if not is_object(spoken):
        return None
    extra = {name: value for name, value in spoken.items() if name not in _AUDIO}
    return Audio(
        MediaSource(kind="base64", value=as_text(spoken.get("data"))),
        id=as_text(spoken.get("id")),
        transcript=as_text(spoken.get("transcript")),
        expires_at=as_whole_number(spoken.get("expires_at")),
        extra=extra or NOTHING,
    )


_AUDIO = ("id", "data", "transcript", "expires_at")


def build_choice(
    index: int,
    *,
    content: Iterable[Output],
    reasoning: Iterable[Reasoning] = (),
    refusal: str = "",
    images: Iterable[Output] = (),
    spoken: Audio | None = None,
    calls: list[ToolCall],
    finish: Any,
    logprobs: Any = None,
    annotations: Any = None,
    extra: Mapping[str, Any] = NOTHING,
    message_extra: Mapping[str, Any] = NOTHING,
    log: DeviationLog,
    path: str,
) -> Choice:
    """Build a choice, its outputs in their fixed order."""
    outputs: list[Output] = [*reasoning, *content]
    if refusal:
        outputs.append(Refusal(refusal))
    outputs += images
    if spoken is not None:
        outputs.append(spoken)
    if is_array(annotations) and annotations:
        outputs.append(Citations(annotations))
    if calls:
        outputs.append(ToolCalls(make_ids_distinct(calls, index, log, path)))
    meaning = to_finish_reason(finish)
    # what says something to a reader: thoughts alone don't, nor do the sources of nothing
    said = any(not isinstance(part, Reasoning | Citations) for part in outputs)
    if spoken is not None and not (spoken.transcript or spoken.source.value):
        said = any(not isinstance(part, Reasoning | Citations | Audio) for part in outputs)
    if finish == "tool_calls" and not calls:
        place = f"{path}.message.tool_calls"
        # the text may be the answer in spite of the finish reason (tool-calls-announced-text-there)
        if said:
            log.add("tool-calls-missing", place, "$.choices[].message.tool_calls")
        else:
            # A caller that runs the tools and asks again would loop: tool-calls-announced-none-there.
            log.refuse_because(place, "the finish reason is tool_calls, but there is neither call nor answer")
    elif meaning == FinishReason.STOP and not any(
        not isinstance(part, Reasoning) or part.text for part in outputs
    ):
        log.add("answer-empty", f"{path}.message", "$.choices[].message")
    return Choice(
        index=index,
        outputs=outputs,
        finish_reason=meaning,
        finish_reason_raw=finish if finish != "" else None,
        stop_sequence=_stop_sequence(meaning, extra),
        logprobs=logprobs,
        extra=extra or NOTHING,
        message_extra=message_extra or NOTHING,
    )


def says_anything(choice: Choice) -> bool:
    """Return whether there is anything in a choice but the mark of reasoning that isn't shown."""
    return any(not isinstance(part, Reasoning) or part.text for part in choice.outputs)


def _stop_sequence(meaning: FinishReason, extra: Mapping[str, Any]) -> str | None:
    """Return the text that ended the answer, by vLLM's, SGLang's and Anthropic's names."""
    if meaning == FinishReason.STOP:
        for name in ("stop_sequence", "matched_stop", "stop_reason"):
            word = extra.get(name)
            if isinstance(word, str) and word.lower() not in _FINISH:
                return word
    return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


_CACHED = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens")
"""What Together and Moonshot, Mistral, and DeepSeek call a prompt's cached tokens, in the usage itself."""


def to_usage(counted: wire.Usage, extra: Mapping[str, Any] = NOTHING) -> Usage:
    """Return the token counts.

    Args:
        counted: The members that the format names.
        extra: The others, those of the details under their names.
    """
    prompt, completion = counted.prompt_tokens_details, counted.completion_tokens_details
    details = (
        PromptTokens(
            cached_tokens=_count(prompt.cached_tokens),
            audio_tokens=_count(prompt.audio_tokens),
            cache_write_tokens=_count(prompt.cache_write_tokens),
            text_tokens=_count(prompt.text_tokens),
            image_tokens=_count(prompt.image_tokens),
        )
        if prompt is not UNSET
        else None
    )
    if details is None or details.cached_tokens is None:
        found = (as_whole_number(extra.get(name)) for name in _CACHED)
        cached = next((number for number in found if number is not None and number >= 0), None)
        if cached is not None:
            details = msgspec.structs.replace(details or PromptTokens(), cached_tokens=cached)
    return Usage(
        prompt_tokens=_count(counted.prompt_tokens),
        completion_tokens=_count(counted.completion_tokens),
        total_tokens=_count(counted.total_tokens),
        prompt_details=details,
        completion_details=CompletionTokens(
            reasoning_tokens=_count(completion.reasoning_tokens),
            audio_tokens=_count(completion.audio_tokens),
            accepted_prediction_tokens=_count(completion.accepted_prediction_tokens),
            rejected_prediction_tokens=_count(completion.rejected_prediction_tokens),
            text_tokens=_count(completion.text_tokens),
        )
        if completion is not UNSET
        else None,
        extra=extra or NOTHING,
    )


def _inside(extra: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the members that are kept for an inner object."""
    inner = extra.get(name)
    return inner if is_object(inner) else {}


def encode_call(call: ToolCall) -> dict[str, Any]:
    """Encode a tool call: the inverse of `to_tool_call` for calls that keep the format."""
    if call.type == "custom":
        inner = {"custom": {**_inside(call.extra, "custom"), "name": call.name, "input": call.arguments_json}}
    elif call.type == "function":
        written = {"name": call.name, "arguments": call.arguments_json}
        inner = {"function": {**_inside(call.extra, "function"), **written}}
    else:
        inner = {}  # a call of the server's own, which goes back as it came
    return {**call.extra, "id": call.id, "type": call.type, **inner}

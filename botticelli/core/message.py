"""What is said to a model, whoever the provider: no wire, no I/O (a path stays a path until it is sent)."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Audio",
    "Document",
    "Image",
    "Input",
    "MediaSource",
    "Message",
    "Role",
    "Text",
    "ToolCall",
    "Video",
]


class Role(StrEnum):
    """Who speaks; the values are the format's own words."""

    SYSTEM = "system"
    """Who the model is and what it must keep to; not every server knows `DEVELOPER`, every one knows this."""
    DEVELOPER = "developer"
    """The same, as OpenAI's reasoning models call it."""
    USER = "user"
    ASSISTANT = "assistant"
    """The model, in an earlier turn."""
    TOOL = "tool"
    """What came of a call that the model wanted made."""


class MediaSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of an image, a sound or a document are; made by one of the four constructors.

    Nothing is read, decoded or checked here. What can't be sent is a `RequestError` when it is asked: a file
    that can't be read (rule ``media-unreadable``), a type that the format can't name (``media-type``).

    Attributes:
        kind: Which of the four.
        value: The URL, the base64 text, the bytes, or the path.
        media_type: Such as ``image/png``; may be None for a URL, and is guessed from the name for a path.

    Example:
        >>> from botticelli import Image, MediaSource, Message
        >>> source = MediaSource.from_bytes(bytes(8), "image/png")
        >>> Message.user([Image(source), Image.of("https://example.org/cat.jpg")]).content[1].source.kind
        'url'
    """

    kind: Literal["url", "base64", "bytes", "path"]
    value: str | bytes
    media_type: str | None = None

    @classmethod
    def from_url(cls, url: str, media_type: str | None = None) -> MediaSource:
        """A URL (``https:``, or a ``data:`` URL) that the server fetches."""
        return cls(kind="url", value=url, media_type=media_type)

    @classmethod
    def from_base64(cls, data: str, media_type: str) -> MediaSource:
        """Base64 text, sent as it is."""
        return cls(kind="base64", value=data, media_type=media_type)

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str) -> MediaSource:
        """Raw bytes, sent as base64: a third larger than they are."""
        return cls(kind="bytes", value=data, media_type=media_type)

    @classmethod
    def from_path(cls, path: str | Path, media_type: str | None = None) -> MediaSource:
        """A file, read when the request is sent (by the driver, not here)."""
        return cls(kind="path", value=str(path), media_type=media_type)

    def __repr__(self) -> str:
        size = f"{len(self.value)} {'bytes' if isinstance(self.value, bytes) else 'characters'}"
        shown = repr(self.value) if len(self.value) <= 80 else f"<{size}>"
        return f"MediaSource(kind={self.kind!r}, value={shown}, media_type={self.media_type!r})"


def _source(source: MediaSource | str | Path) -> MediaSource:
    if isinstance(source, MediaSource):
        return source
    return MediaSource.from_path(source) if isinstance(source, Path) else MediaSource.from_url(source)


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Text, in a message or in an answer."""

    text: str

    def __str__(self) -> str:
        return self.text


class Image(msgspec.Struct, frozen=True, tag="image"):
    """A picture.

    Attributes:
        source: Where it is. `Image.of` also takes a URL as a str and a path as a `pathlib.Path`.
        detail: How closely the model should look, which is what it costs in tokens; None leaves it to the
            server.
    """

    source: MediaSource
    detail: Literal["auto", "low", "high"] | None = None

    @classmethod
    def of(
        cls, source: MediaSource | str | Path, detail: Literal["auto", "low", "high"] | None = None
    ) -> Image:
        """An image from a source, a URL (a str) or a path (a `pathlib.Path`)."""
        return cls(_source(source), detail)


class Audio(msgspec.Struct, frozen=True, tag="audio"):
    """A sound; its bytes are sent inside the request, so a URL can't be expressed.

    Attributes:
        source: Where it is: base64, bytes or a path.
        format: ``wav`` or ``mp3``; None takes it from the media type.
    """

    source: MediaSource
    format: Literal["wav", "mp3"] | None = None


class Video(msgspec.Struct, frozen=True, tag="video"):
    """A film. The OpenAI format has no part for it: a request with one is a `RequestError`."""

    source: MediaSource


class Document(msgspec.Struct, frozen=True, tag="document"):
    """A file such as a PDF.

    Attributes:
        source: Where it is: base64, bytes or a path.
        filename: What the model is told it is called.
    """

    source: MediaSource
    filename: str | None = None


Input = Text | Image | Audio | Video | Document
"""One part of a message."""


_BLANK = " \t\r\n"
"""What JSON takes for white space."""


def _no_number(word: str) -> NoReturn:
    """NaN and the infinities, which the standard library reads but JSON doesn't have."""
    raise ValueError(word)


class ToolCall(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A call that a model wants made.

    Attributes:
        id: To be repeated in the tool's message (`Message.tool`); never empty in an answer (one is made up
            where the server sent none).
        name: The tool's name.
        arguments_json: The arguments' text exactly as the model wrote it: usually, but not surely, JSON.
        type: ``function``, or ``custom`` for a tool that takes free text.
        extra: Members outside the format, such as a thought signature; sent back as they came.
    """

    id: str
    name: str
    arguments_json: str = ""
    type: str = "function"
    extra: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

    @property
    def arguments(self) -> Any:
        """The arguments, parsed; None when their text isn't JSON, ``{}`` when it is empty.

        Invalid JSON is never mended: compare `arguments_json` to see what the model wrote.
        """
        if self.type != "function":
            return None
        if not self.arguments_json.strip(_BLANK):
            return {}
        try:
            return json.loads(self.arguments_json, parse_constant=_no_number)
        except (ValueError, RecursionError):
            return None

    def __str__(self) -> str:
        return f"{self.name}({self.arguments_json})"


def _inputs(content: str | Input | Sequence[Input] | None) -> list[Input]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
    return [content] if isinstance(content, Input) else list(content)


class Message(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """One turn of a conversation. The short forms are `system`, `developer`, `user`, `assistant` and `tool`.

    Nothing is checked when it is made: what the format can't carry is a `RequestError` when it is asked.

    Attributes:
        role: Who speaks.
        content: What is said; a single `Text` is sent as a plain string, anything else as parts.
        name: A name for the speaker, to tell several of one role apart, or None.
        tool_call_id: In a tool's message: the call it answers.
        tool_calls: In the assistant's message: the calls it made.
        refusal: In the assistant's message: its refusal.
        reasoning: In the assistant's message: its thinking, sent as ``reasoning_content`` if not None.
    """

    role: Role
    content: list[Input] = msgspec.field(default_factory=list[Input])
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ToolCall] = msgspec.field(default_factory=list[ToolCall])
    refusal: str | None = None
    reasoning: str | None = None

    @classmethod
    def system(cls, content: str | Input | Sequence[Input], *, name: str | None = None) -> Message:
        """What the model is told to be."""
        return cls(role=Role.SYSTEM, content=_inputs(content), name=name)

    @classmethod
    def developer(cls, content: str | Input | Sequence[Input], *, name: str | None = None) -> Message:
        """The same, in the word of OpenAI's newer models."""
        return cls(role=Role.DEVELOPER, content=_inputs(content), name=name)

    @classmethod
    def user(cls, content: str | Input | Sequence[Input], *, name: str | None = None) -> Message:
        """What the user says."""
        return cls(role=Role.USER, content=_inputs(content), name=name)

    @classmethod
    def assistant(
        cls,
        content: str | Input | Sequence[Input] | None = None,
        *,
        tool_calls: Sequence[ToolCall] = (),
        name: str | None = None,
        refusal: str | None = None,
        reasoning: str | None = None,
    ) -> Message:
        """What the model said; `GenerateResponse.to_message` makes it from an answer."""
        return cls(
            role=Role.ASSISTANT,
            content=_inputs(content),
            name=name,
            tool_calls=list(tool_calls),
            refusal=refusal,
            reasoning=reasoning,
        )

    @classmethod
    def tool(cls, call_id: str, content: str | Input | Sequence[Input]) -> Message:
        """What a tool gave for the call with this id.

        Args:
            call_id: `ToolCall.id`.
            content: The result, as the model should read it; JSON is customary, any text will do.

        Example:
            >>> from botticelli import Message, ToolCall
            >>> call = ToolCall(id="call_1", name="add", arguments_json='{"a": 2, "b": 3}')
            >>> result = sum(call.arguments.values())
            >>> turns = [Message.assistant(tool_calls=[call]), Message.tool(call.id, str(result))]
            >>> turns[1].text
            '5'
        """
        return cls(role=Role.TOOL, content=_inputs(content), tool_call_id=call_id)

    @property
    def text(self) -> str:
        """The message's text, without its other parts."""
        return "".join(part.text for part in self.content if isinstance(part, Text))

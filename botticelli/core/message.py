"""Describe a conversation: messages, their parts (text, images, sounds, files) and calls of tools.

The same for every provider. Making them reads no file and checks nothing; a driver does both when it sends.
What has an `extra` keeps there what this vocabulary has no word for: members as a server sent them, which go
back unchanged, or members of your own to be sent. All of it goes to JSON and back with `msgspec.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "NOTHING",
    "Audio",
    "Document",
    "Image",
    "Input",
    "MediaSource",
    "Message",
    "Other",
    "Reasoning",
    "Role",
    "Text",
    "ToolCall",
    "Video",
]


def _refuse_item(_self: object, key: str, _value: object, /) -> NoReturn:
    raise TypeError(f"{key} can't be put into an extra that is none; give the value one when you make it")


def _no_hash(_self: object) -> int:
    return 0


def _by_name(_self: object) -> str:
    return "NOTHING"


_NOTHING: Any = type(
    "_Nothing",
    (dict,),
    {
        "__doc__": "An empty dict that all values without extras share.",
        "__slots__": (),
        "__setitem__": _refuse_item,
        "__hash__": _no_hash,
        "__reduce__": _by_name,
    },
)
NOTHING: Final[Mapping[str, Any]] = _NOTHING()
"""The `extra` of what has none: it can't be filled, and has a hash."""


class Role(StrEnum):
    """Who a message is from."""

    SYSTEM = "system"
    """Instructions to the model. Every server knows this role."""
    DEVELOPER = "developer"
    """Instructions, under the name that some newer models use. Not every server knows it."""
    USER = "user"
    ASSISTANT = "assistant"
    """The model."""
    TOOL = "tool"
    """The result of a tool call that the model asked for."""


class MediaSource(msgspec.Struct, frozen=True, kw_only=True):
    """Say where the bytes of an image, a sound or a document are. Use one of the four constructors.

    Nothing is read, decoded or checked here. A driver raises `RequestError` when it is asked to send a file
    that it can't read, that isn't a regular file or that has more than 128 MiB (rule ``media-unreadable``),
    or a type that the format can't name (``media-type``).

    Attributes:
        kind: Which of the four it is.
        value: The URL, the base64 text or the path; empty for bytes.
        data: The bytes, for kind bytes.
        media_type: The media type, such as ``image/png``. None is allowed for a URL, and for a path, where
            the type is guessed from the file's name.

    Example:
        >>> from botticelli import Image, MediaSource, Message
        >>> source = MediaSource.from_bytes(bytes(8), "image/png")
        >>> Message.user([Image(source), Image.of("https://example.org/cat.jpg")]).content[1].source.kind
        'url'
    """

    kind: Literal["url", "base64", "bytes", "path"]
    value: str = ""
    media_type: str | None = None
    data: bytes = b""

    @classmethod
    def from_url(cls, url: str, media_type: str | None = None) -> MediaSource:
        """Return a source for a URL: ``https:``, which the server fetches, or ``data:``."""
        return cls(kind="url", value=url, media_type=media_type)

    @classmethod
    def from_base64(cls, data: str, media_type: str) -> MediaSource:
        """Return a source for base64 text, which is sent as it is."""
        return cls(kind="base64", value=data, media_type=media_type)

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str) -> MediaSource:
        """Return a source for raw bytes, which are sent as base64 and so grow by a third."""
        return cls(kind="bytes", data=data, media_type=media_type)

    @classmethod
    def from_path(cls, path: str | Path, media_type: str | None = None) -> MediaSource:
        """Return a source for a file, which the driver reads when it sends the request."""
        return cls(kind="path", value=str(path), media_type=media_type)

    def __repr__(self) -> str:
        # Media have megabytes: a log line that shows a message must stay readable.
        held, unit = (self.data, "bytes") if self.kind == "bytes" else (self.value, "characters")
        shown = repr(held) if len(held) <= 80 else f"<{len(held)} {unit}>"
        name = "data" if self.kind == "bytes" else "value"
        return f"MediaSource(kind={self.kind!r}, {name}={shown}, media_type={self.media_type!r})"


def _source(source: MediaSource | str | Path) -> MediaSource:
    if isinstance(source, MediaSource):
        return source
    return MediaSource.from_path(source) if isinstance(source, Path) else MediaSource.from_url(source)


class Text(msgspec.Struct, frozen=True, repr_omit_defaults=True, omit_defaults=True, tag="text"):
    """Text, in a message or in an answer.

    Attributes:
        text: What it says.
        extra: Further members of the part, such as ``cache_control``; a text that has some is sent as a part.
    """

    text: str
    extra: Mapping[str, Any] = NOTHING

    def __str__(self) -> str:
        return self.text


class Image(msgspec.Struct, frozen=True, repr_omit_defaults=True, omit_defaults=True, tag="image"):
    """An image, in a message or in an answer.

    Attributes:
        source: Where its bytes are. `Image.of` also takes a URL as a str and a path as a `pathlib.Path`.
        detail: The resolution at which the model looks at it; higher costs more tokens. None leaves the
            choice to the server.
        extra: Further members of the part.
    """

    source: MediaSource
    detail: Literal["auto", "low", "high"] | None = None
    extra: Mapping[str, Any] = NOTHING

    @classmethod
    def of(
        cls, source: MediaSource | str | Path, detail: Literal["auto", "low", "high"] | None = None
    ) -> Image:
        """Return an image from a source, a URL (a str) or a path (a `pathlib.Path`)."""
        return cls(_source(source), detail)

    def __str__(self) -> str:
        source = self.source
        shown = source.value if source.kind in ("url", "path") and len(source.value) <= 200 else source.kind
        return f"[image: {shown}]"


class Audio(msgspec.Struct, frozen=True, repr_omit_defaults=True, omit_defaults=True, tag="audio"):
    """A sound: a part of a message, sent inside the request, or a spoken answer.

    Attributes:
        source: Where its bytes are: base64, bytes or a path. In an answer, base64 in the encoding that was
            asked for with `GenerateRequest.extra`.
        format: The encoding, ``wav`` or ``mp3``; None takes it from the media type.
        id: In an answer, the server's id of it: by this it is sent back, not by its bytes.
        transcript: In an answer, the spoken text.
        expires_at: In an answer, when the server deletes it, in Unix seconds; None where unknown.
        extra: Further members of the part.
    """

    source: MediaSource
    format: Literal["wav", "mp3"] | None = None
    id: str = ""
    transcript: str = ""
    expires_at: int | None = None
    extra: Mapping[str, Any] = NOTHING

    def __str__(self) -> str:
        return self.transcript


class Video(msgspec.Struct, frozen=True, repr_omit_defaults=True, omit_defaults=True, tag="video"):
    """A video. Not every format can carry one; one that can't raises `RequestError`."""

    source: MediaSource
    extra: Mapping[str, Any] = NOTHING


class Document(msgspec.Struct, frozen=True, repr_omit_defaults=True, omit_defaults=True, tag="document"):
    """A file such as a PDF.

    Attributes:
        source: Where its bytes are: base64, bytes or a path.
        filename: The name under which the model knows it, or None.
    """

    source: MediaSource
    filename: str | None = None
    extra: Mapping[str, Any] = NOTHING


class Reasoning(msgspec.Struct, frozen=True, repr_omit_defaults=True, omit_defaults=True, tag="reasoning"):
    """The model's reasoning, where the server sends it apart from the answer.

    Attributes:
        text: What the model thought, as far as the server shows it; may be empty.
        name: The name under which the server sent it, such as ``reasoning_content``: under this one it goes
            back. None lets the format choose.
        signature: The server's proof that it is the model's own, to be sent back unchanged, or None. Of
            several the last; `details` has them all.
        redacted: What the server hides of it, encrypted, to be sent back unchanged, or None; as above.
        details: The server's own structure of it, such as OpenRouter's ``reasoning_details``, as sent (any
            JSON); it goes back unchanged. None where there is none.
        extra: Further members.
    """

    text: str
    name: str | None = None
    signature: str | None = None
    redacted: str | None = None
    details: Any = None
    extra: Mapping[str, Any] = NOTHING

    def __str__(self) -> str:
        return self.text


class Other(msgspec.Struct, frozen=True, repr_omit_defaults=True, omit_defaults=True, tag="other"):
    """A part that this vocabulary has no class for, as the format has it.

    A part of an answer that the driver doesn't know is one, and goes back unchanged; in a message of yours it
    is the way to send what the other classes can't say: a video by URL, a sound in another encoding.

    Attributes:
        type: The format's word for it.
        data: The whole part (any JSON), its type included; it is sent as it is.
    """

    type: str = msgspec.field(name="kind")  # in JSON, type is the class's own tag
    data: Any

    def __str__(self) -> str:
        return f"[{self.type}]"


Input = Text | Image | Audio | Video | Document | Reasoning | Other
"""One part of a message. Reasoning is for the assistant's."""


_BLANK = " \t\r\n"
"""White space by JSON's definition; `str.strip` alone would remove more."""


def _reject_constant(word: str) -> NoReturn:
    """Refuse NaN and the infinities, which the json module reads but JSON doesn't have."""
    raise ValueError(word)


class ToolCall(msgspec.Struct, frozen=True, repr_omit_defaults=True, omit_defaults=True):
    """A tool call that a model asks for.

    Attributes:
        id: The call's id, to be repeated in `Message.tool`. Never empty in an answer: where the server sends
            none, the driver makes one up.
        name: The tool's name.
        arguments_json: The text of the arguments exactly as the model wrote it. Usually JSON, but models make
            mistakes.
        type: ``function``, or ``custom`` for a tool that takes free text. Another word is a call that the
            server made itself; it has no name, and its members are in `extra`.
        extra: Members that aren't part of the format, such as a thought signature; sent back unchanged. Those
            inside of ``function`` are in ``extra["function"]``.
    """

    id: str
    name: str
    arguments_json: str = ""
    type: str = "function"
    extra: Mapping[str, Any] = NOTHING

    @property
    def arguments(self) -> Any:
        """Return the parsed arguments: None when their text isn't JSON, ``{}`` when it is empty.

        Invalid JSON is never repaired; `arguments_json` has what the model wrote. None for a custom tool.
        """
        if self.type != "function":
            return None
        if not self.arguments_json.strip(_BLANK):
            return {}
        try:
            return json.loads(self.arguments_json, parse_constant=_reject_constant)
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


class Message(msgspec.Struct, kw_only=True, repr_omit_defaults=True, omit_defaults=True):
    """One turn of a conversation; `system`, `user`, `assistant` and `tool` are the short way to make one.

    Nothing is checked when it is made. A driver raises `RequestError` when it is asked to send a message that
    the format can't carry.

    Attributes:
        role: Who it is from.
        content: Its parts, in order.
        name: A name for the author, to tell several of one role apart, or None.
        tool_call_id: For role tool: the id of the call that it answers.
        tool_calls: For role assistant: the calls that the model asked for.
        refusal: For role assistant: the model's refusal, or None.
        reasoning: For role assistant: reasoning as a plain text, or None. `GenerateResponse.to_message` puts
            it into `content` instead, as `Reasoning`, which also knows its name and signature.
        is_error: For role tool: whether the tool failed. Formats without a word for this leave it out.
        extra: Further members of the message, such as ``prefix``.
    """

    role: Role
    content: list[Input] = msgspec.field(default_factory=list[Input])
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ToolCall] = msgspec.field(default_factory=list[ToolCall])
    refusal: str | None = None
    reasoning: str | None = None
    is_error: bool = False
    extra: Mapping[str, Any] = NOTHING

    @classmethod
    def system(cls, content: str | Input | Sequence[Input], *, name: str | None = None) -> Message:
        """Return a message with instructions to the model."""
        return cls(role=Role.SYSTEM, content=_inputs(content), name=name)

    @classmethod
    def developer(cls, content: str | Input | Sequence[Input], *, name: str | None = None) -> Message:
        """Return the same as `system`, with the role name that some newer models use."""
        return cls(role=Role.DEVELOPER, content=_inputs(content), name=name)

    @classmethod
    def user(cls, content: str | Input | Sequence[Input], *, name: str | None = None) -> Message:
        """Return a message from the user."""
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
        extra: Mapping[str, Any] = NOTHING,
    ) -> Message:
        """Return a message from the model; `GenerateResponse.to_message` makes one from an answer."""
        return cls(
            role=Role.ASSISTANT,
            content=_inputs(content),
            name=name,
            tool_calls=list(tool_calls),
            refusal=refusal,
            reasoning=reasoning,
            extra=extra,
        )

    @classmethod
    def tool(
        cls,
        call_id: str,
        content: str | Input | Sequence[Input],
        name: str | None = None,
        is_error: bool = False,
    ) -> Message:
        """Return a message with the result of a tool call.

        Args:
            call_id: The `ToolCall.id` that it answers.
            content: The result for the model to read: any text, JSON by custom, or parts.
            name: The tool's name, which some formats want.
            is_error: Whether the tool failed, for formats that can say so.

        Example:
            >>> from botticelli import Message, ToolCall
            >>> call = ToolCall(id="call_1", name="add", arguments_json='{"a": 2, "b": 3}')
            >>> result = sum(call.arguments.values())
            >>> turns = [Message.assistant(tool_calls=[call]), Message.tool(call.id, str(result))]
            >>> turns[1].text
            '5'
        """
        return cls(
            role=Role.TOOL, content=_inputs(content), tool_call_id=call_id, name=name, is_error=is_error
        )

    @property
    def text(self) -> str:
        """The joined text of the message, without its other parts."""
        return "".join(part.text for part in self.content if isinstance(part, Text))

"""Images, sounds and files on their way into a request: every kind of source, and what can't be sent."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.core.errors import RequestError
from botticelli.core.message import Audio, Document, Image, MediaSource, Role, Text, Video
from botticelli.dialects.openai.request import encode_part

if TYPE_CHECKING:
    from botticelli.core.message import Input

BYTES = b"\x89PNG\xff\x00"
BASE64 = base64.b64encode(BYTES).decode()
NAMES = ("a.png", "A.PNG", "dir.d/b.jpeg", "w\\c.pdf", "noext", "x.xyz", "s.mp3", "s.wav")


def read(name: str) -> bytes:
    if name not in NAMES:
        raise FileNotFoundError(2, "No such file", name)
    return BYTES


def part(given: Any, role: Role = Role.USER) -> dict[str, Any]:
    return encode_part(given, role, "$.p", read)


def url(source: MediaSource) -> str:
    found: str = part(Image(source))["image_url"]["url"]
    return found


def source(kind: Any, value: Any, media_type: Any = "image/png") -> MediaSource:
    return MediaSource(kind=kind, value=value, media_type=media_type)


def test_text_may_be_in_any_message() -> None:
    for role in Role:
        assert part(Text("hi"), role) == {"type": "text", "text": "hi"}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (MediaSource.from_url("https://x/y"), "https://x/y"),
        (MediaSource.from_url("data:image/gif;base64,QQ=="), "data:image/gif;base64,QQ=="),
        (MediaSource.from_base64("QQ==", "image/gif"), "data:image/gif;base64,QQ=="),
        (MediaSource.from_bytes(BYTES, "image/gif"), f"data:image/gif;base64,{BASE64}"),
        (source("bytes", bytearray(BYTES)), f"data:image/png;base64,{BASE64}"),
        (MediaSource.from_bytes(b"", "image/gif"), "data:image/gif;base64,"),
        (MediaSource.from_path("a.png"), f"data:image/png;base64,{BASE64}"),
        (MediaSource.from_path("A.PNG"), f"data:image/png;base64,{BASE64}"),
        (MediaSource.from_path("dir.d/b.jpeg"), f"data:image/jpeg;base64,{BASE64}"),
        (MediaSource.from_path("a.png", "image/webp"), f"data:image/webp;base64,{BASE64}"),
        (MediaSource.from_path("noext", "image/webp"), f"data:image/webp;base64,{BASE64}"),
    ],
)
def test_an_image_is_sent_as_a_url(given: MediaSource, sent: str) -> None:
    assert part(Image(given)) == {"type": "image_url", "image_url": {"url": sent}}


@pytest.mark.parametrize("detail", ["auto", "low", "high"])
def test_an_image_says_how_closely_to_look(detail: Any) -> None:
    assert part(Image(MediaSource.from_url("https://x/y"), detail))["image_url"]["detail"] == detail


@pytest.mark.parametrize(
    ("given", "form"),
    [
        (Audio(MediaSource.from_base64(BASE64, "audio/wav")), "wav"),
        (Audio(MediaSource.from_bytes(BYTES, "audio/mpeg")), "mp3"),
        (Audio(MediaSource.from_bytes(BYTES, "audio/x-wav"), "mp3"), "mp3"),
        (Audio(MediaSource.from_path("s.mp3")), "mp3"),
        (Audio(MediaSource.from_path("s.wav")), "wav"),
        (Audio(MediaSource.from_path("noext"), "wav"), "wav"),
    ],
)
def test_a_sound_is_sent_as_its_bytes_and_format(given: Audio, form: str) -> None:
    assert part(given) == {"type": "input_audio", "input_audio": {"data": BASE64, "format": form}}


@pytest.mark.parametrize(
    ("given", "file"),
    [
        (Document(MediaSource.from_bytes(BYTES, "a/b")), {"file_data": f"data:a/b;base64,{BASE64}"}),
        (
            Document(MediaSource.from_base64(BASE64, "a/b"), "my.pdf"),
            {"filename": "my.pdf", "file_data": f"data:a/b;base64,{BASE64}"},
        ),
        (
            Document(MediaSource.from_path("w\\c.pdf")),
            {"filename": "c.pdf", "file_data": f"data:application/pdf;base64,{BASE64}"},
        ),
        (
            Document(MediaSource.from_path("dir.d/b.jpeg")),
            {"filename": "b.jpeg", "file_data": f"data:image/jpeg;base64,{BASE64}"},
        ),
        (
            Document(MediaSource.from_path("w\\c.pdf"), ""),
            {"filename": "", "file_data": f"data:application/pdf;base64,{BASE64}"},
        ),
    ],
)
def test_a_document_is_sent_with_its_name(given: Document, file: dict[str, str]) -> None:
    assert part(given) == {"type": "file", "file": file}


PNG = MediaSource.from_bytes(BYTES, "image/png")
ODD: Any = Image

REFUSED: list[tuple[Any, str, str]] = [
    (Video(PNG), "part-unsupported", "$.p"),
    ("just text", "part-unsupported", "$.p"),
    (Audio(MediaSource.from_url("https://x/y")), "part-unsupported", "$.p.source"),
    (Document(MediaSource.from_url("https://x/y")), "part-unsupported", "$.p.source"),
    (ODD("https://x/y"), "type", "$.p.source"),
    (ODD(None), "null", "$.p.source"),
    (Image(source("ftp", "x")), "word", "$.p.source.kind"),
    (Image(source("url", b"https://x/y")), "type", "$.p.source.value"),
    (Image(source("base64", b"QQ==")), "type", "$.p.source.value"),
    (Image(source("bytes", "QQ==")), "type", "$.p.source.value"),
    (Image(source("path", None)), "null", "$.p.source.value"),
    (Image(source("bytes", b"", 5)), "type", "$.p.source.media_type"),
    (ODD(PNG, "huge"), "word", "$.p.detail"),
    (Image(source("bytes", b"", None)), "media-type", "$.p.source"),
    (Image(MediaSource.from_path("noext")), "media-type", "$.p.source"),
    (Image(MediaSource.from_path("x.xyz")), "media-type", "$.p.source"),
    (Audio(PNG), "media-type", "$.p.format"),
    (Audio(source("bytes", b"", None)), "media-type", "$.p.format"),
    (Audio(PNG, "ogg"), "media-type", "$.p.format"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- what is refused
    (Document(PNG, 5), "type", "$.p.filename"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- what is refused
    (Image(MediaSource.from_path("gone.png")), "media-unreadable", "$.p.source"),
]


@pytest.mark.parametrize(("given", "rule", "path"), REFUSED, ids=[rule for _, rule, _ in REFUSED])
def test_what_the_format_cannot_carry_is_refused_where_it_is(given: Any, rule: str, path: str) -> None:
    with pytest.raises(RequestError) as caught:
        part(given)
    assert (caught.value.rule, caught.value.path) == (rule, path)


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.USER}), ids=str)
@pytest.mark.parametrize(
    "given", [Image(PNG), Audio(PNG, "wav"), Document(PNG)], ids=["image", "sound", "document"]
)
def test_only_the_user_sends_media(role: Role, given: Input) -> None:
    with pytest.raises(RequestError, match=f"not the {role}'s") as caught:
        part(given, role)
    assert (caught.value.rule, caught.value.path) == ("part-unsupported", "$.p")


def test_without_a_reader_no_file_is_read() -> None:
    with pytest.raises(RequestError, match="no files are at hand") as caught:
        encode_part(Image(MediaSource.from_path("a.png")), Role.USER, "$.p", None)
    assert (caught.value.rule, caught.value.path) == ("media-unreadable", "$.p.source")


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (PermissionError(13, "not yours"), "not yours"),
        (ValueError("embedded null byte"), "null"),
        (OSError(), "OSError"),
    ],
)
def test_a_reader_that_fails_gives_one_error_that_says_why(fault: Exception, word: str) -> None:
    def failing(_name: str) -> bytes:
        raise fault

    with pytest.raises(RequestError, match=word) as caught:
        encode_part(Image(MediaSource.from_path("a.png")), Role.USER, "$.p", failing)
    assert caught.value.rule == "media-unreadable"
    assert caught.value.__context__ is None

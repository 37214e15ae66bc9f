"""Mutants that read or write characters in a wrong way."""

from __future__ import annotations

import json
import re
import threading
import unicodedata
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import Answer, Choice, ReferenceClient

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator

    from botticelli.contracts.jsonvalue import Document


@killed_by(
    {
        "unicode-emoji-split": (Gravity.SILENT, "/response/choices/0/text"),
        "unicode-cjk-split": (Gravity.SILENT, "/response/choices/0/text"),
    }
)
class DecodesPieces(ReferenceClient):
    """Decodes each read on its own, even if it ends inside a character.

    Reported as danielmiessler/Fabric#2203 and zeroclaw-labs/zeroclaw#3723.
    """

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Replace what cannot be decoded yet."""
        yield from super().lines(piece.decode("utf-8", "replace").encode() for piece in pieces)


@killed_by({"unicode-charset-label": (Gravity.SILENT, "/calls/0/response/choices/0/text")})
class BelievesCharset(ReferenceClient):
    """Decodes JSON with the charset that its label names."""

    def __init__(self) -> None:
        super().__init__()
        self._label = threading.local()  # calls are made in several threads at once

    def is_stream(self, call: Document, reply: http.client.HTTPResponse) -> bool:
        """Note the label."""
        label = re.search("charset=([a-z0-9-]+)", (reply.getheader("content-type") or "").lower())
        self._label.charset = label[1] if label else "utf-8"
        return super().is_stream(call, reply)

    def whole(self, body: bytes, answer: Answer) -> None:
        """Use it."""
        super().whole(body.decode(self._label.charset, "replace").encode(), answer)


class _ChangesText(ReferenceClient, ABC):
    """Changes the text of an answer; the mutants below say how."""

    @abstractmethod
    def changed(self, text: str) -> str:
        """Return what becomes of a text."""

    def take_text(self, answer: Answer, choice: Choice, text: str) -> None:
        """Change it."""
        super().take_text(answer, choice, self.changed(text))


@killed_by({"unicode-bom-in-text": (Gravity.SILENT, "/response/choices/0/text")})
class DropsBomInText(_ChangesText):
    """Drops U+FEFF wherever it stands.

    Reported as a2aproject/a2a-python#1259.
    """

    def changed(self, text: str) -> str:
        """Take it for a byte order mark."""
        return text.replace("\ufeff", "")


@killed_by({"unicode-not-normalised": (Gravity.SILENT, "/calls/0/response/choices/0/text")})
class NormalisesText(_ChangesText):
    """Brings text into a normal form of Unicode."""

    def changed(self, text: str) -> str:
        """Compose characters."""
        return unicodedata.normalize("NFC", text)


@killed_by({"unicode-nul-kept": (Gravity.SILENT, "/calls/0/response/choices/0/text")})
class EndsTextAtNul(_ChangesText):
    """Ends a text at a NUL, as C does."""

    def changed(self, text: str) -> str:
        """Cut it there."""
        return text.partition("\0")[0]


@killed_by({"unicode-replacement-characters-kept": (Gravity.SILENT, "/response/choices/0/text")})
class DropsReplacementCharacters(_ChangesText):
    """Drops U+FFFD, which it takes for its own.

    Reported as mattn/tensai#110.
    """

    def changed(self, text: str) -> str:
        """Drop them."""
        return text.replace("\ufffd", "")


@killed_by({"unicode-text-to-the-letter": (Gravity.SILENT, "/calls/0/response/choices/0/text")})
class StripsText(_ChangesText):
    """Strips the blank lines at the ends of a text."""

    def changed(self, text: str) -> str:
        """Strip it."""
        return text.strip("\n")


@killed_by({"json-escapes": (Gravity.SILENT, "/response/choices/0/text")})
class UnescapesTwice(_ChangesText):
    """Undoes escapes in a text that JSON has undone already."""

    def changed(self, text: str) -> str:
        """Drop backslashes."""
        return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


@killed_by({"unicode-surrogate-pair-escaped": (Gravity.SILENT, "/response/choices/0/text")})
class UnescapesHalves(ReferenceClient):
    """Decodes each escape on its own, so that the two halves of a pair are two bad characters.

    Reported as agent0ai/agent-zero#1773.
    """

    def parsed(self, text: bytes | str) -> object:
        """Replace the halves before JSON is read."""
        shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
        return super().parsed(re.sub(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", r"\\ufffd", shown))


@killed_by({"unicode-lone-surrogate-in-request": (Gravity.SILENT, "/requests/0/body")})
class SendsHalfPairs(ReferenceClient):
    """Escapes half a surrogate pair in a request, which no server can read.

    Reported as JohnnyZ93/oai-compatible-copilot#271 and anthropics/claude-code#72995.
    """

    def encoded(self, body: Document) -> bytes:
        """Leave it to the escapes."""
        return json.dumps(body).encode()

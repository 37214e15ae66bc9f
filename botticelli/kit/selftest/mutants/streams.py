"""Mutants that read event streams in a wrong way: lines, fields, events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.selftest.mutants.registry import killed_by
from botticelli.kit.selftest.reference_client import (
    Answer,
    Choice,
    FailedError,
    ReferenceClient,
)

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator

    from botticelli.contracts.jsonvalue import Document


@killed_by({"sse-line-separator-in-text": (Gravity.REFUSED, "")})
class SplitsLikeText(ReferenceClient):
    """Splits lines as text is split, at U+2028 and its like."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Split at every line boundary of Unicode."""
        for line in super().lines(pieces):
            yield from line.splitlines() or [""]


# Lines


@killed_by(
    {
        "sse-cr-only": (Gravity.REFUSED, ""),
        "sse-mixed-line-ends": (Gravity.REFUSED, ""),
        "sse-delivered-as-it-comes": (Gravity.REFUSED, "/error/partial/choices/0/text"),
    }
)
class KnowsNoBareCr(ReferenceClient):
    """Ends lines at LF and CR LF only.

    Reported as stalwartlabs/jmap-client#23 and EdamAme-x/pentect#1438.
    """

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Split at LF."""
        rest = b""
        for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.removesuffix(b"\r").decode("utf-8", "replace").removeprefix("\ufeff")


@killed_by({"sse-crlf": (Gravity.REFUSED, "")})
class KeepsCarriageReturn(ReferenceClient):
    """Splits lines at LF and leaves the CR before it where it is, so that no line is ever empty."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Split at LF."""
        rest = b""
        for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in lines)


@killed_by({"sse-crlf-split": (Gravity.REFUSED, "")})
class CountsSplitCrlfTwice(ReferenceClient):
    """Takes CR and LF that come in two reads for two line ends, so that events end in their middle."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Look at each read on its own."""
        rest = b""
        for piece in pieces:
            lines = re.split(rb"\r\n|\r|\n", piece)
            lines[0] = rest + lines[0]
            rest = lines.pop()
            yield from (line.decode("utf-8", "replace") for line in lines)


@killed_by({"sse-delivered-as-it-comes": (Gravity.REFUSED, "/error/partial/choices/0/text")})
class WaitsForLfAfterCr(ReferenceClient):
    """Keeps a line that ends with CR back until it is known whether an LF follows."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Hold a CR at the end of a read."""

        def held() -> Iterator[bytes]:
            kept = b""
            for piece in pieces:
                data = kept + piece
                kept = b"\r" if data.endswith(b"\r") else b""
                yield data[: len(data) - len(kept)]
            yield kept

        return super().lines(held())


@killed_by(
    {
        "sse-bom": (Gravity.SILENT, "/response/choices/0/text"),
        "sse-bom-split": (Gravity.SILENT, "/response/choices/0/text"),
    }
)
class KeepsBom(ReferenceClient):
    """Takes a byte order mark for a part of the first field's name.

    Reported as openai/openai-python#3819 and Effect-TS/effect#6976.
    """

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Put a line before the first one, so that it isn't the first."""
        skipped = super().lines(self.with_line_before(pieces))
        next(skipped, None)
        return skipped

    def with_line_before(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield an empty line, then the pieces."""
        yield b"\n"
        yield from pieces


@killed_by({"sse-bom-split": (Gravity.SILENT, "/response/choices/0/text")})
class LooksForBomInFirstRead(KeepsBom):
    """Removes a byte order mark only where the first read has the whole of it.

    Reported as elizaOS/eliza#19260 and vm0-ai/vm0#24687.
    """

    def with_line_before(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Look at the first read."""
        yield b"\n" + next(pieces, b"").removeprefix(b"\xef\xbb\xbf")
        yield from pieces


@killed_by({"sse-byte-by-byte": (Gravity.REFUSED, "")})
class TakesReadsForLines(ReferenceClient):
    """Takes the end of a read for the end of a line."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Split each read on its own."""
        for piece in pieces:
            yield from piece.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()


@killed_by({"sse-one-read": (Gravity.REFUSED, "")})
class TakesReadsForEvents(ReferenceClient):
    """Takes each read for one event, and drops what else is in it."""

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Cut each read after its first event."""
        whole = (re.split(rb"(?<=\n\n)", piece, maxsplit=1)[0] for piece in pieces)
        return super().lines(whole)


@killed_by({"sse-long-event": (Gravity.REFUSED, "")})
class LimitsLines(ReferenceClient):
    """Has room for lines of 64 KiB, as asyncio's readers have.

    Reported as infiniflow/ragflow#15381 and openai/openai-go#368.
    """

    def lines(self, pieces: Iterator[bytes]) -> Iterator[str]:
        """Refuse longer ones."""
        for line in super().lines(pieces):
            if len(line) > 1 << 16:
                raise FailedError("malformed_response", "chunk too big")
            yield line


# Fields and events


@killed_by(
    {
        "sse-no-space-after-colon": (Gravity.REFUSED, ""),
        "sse-done-no-space": (Gravity.REFUSED, ""),
    }
)
class NeedsSpaceAfterColon(ReferenceClient):
    """Looks for ``data: `` with the space, and drops as many characters where there is none.

    Reported as openai/openai-python#498 and openai/openai-python#559.
    """

    def field(self, line: str) -> tuple[str, str]:
        """Drop six characters."""
        return ("data", line[6:]) if line.startswith("data:") else super().field(line)


@killed_by({"sse-done-no-space": (Gravity.REFUSED, "")})
class NeedsSpaceBeforeDone(ReferenceClient):
    """Looks for the end as it is usually written, in the line rather than in the event.

    Reported as huggingface/huggingface_hub#4536.
    """

    def field(self, line: str) -> tuple[str, str]:
        """Read an end that is written without a space as JSON."""
        if line == "data:[DONE]":
            self.parsed(line.removeprefix("data:"))
        return super().field(line)


@killed_by({"sse-unknown-fields": (Gravity.REFUSED, "")})
class NeedsColon(ReferenceClient):
    """Splits every line at its colon, as if each had one."""

    def field(self, line: str) -> tuple[str, str]:
        """Fail without a colon."""
        if line and ":" not in line:
            raise FailedError("malformed_response", f"no field: {line}")
        return super().field(line)


@killed_by({"sse-comment-above-done": (Gravity.HANG, "")})
class LooksForDoneFirst(ReferenceClient):
    """Skips a block as a whole when it begins with a comment.

    Reported as diegosouzapw/OmniRoute#7031.
    """

    def events(self, lines: Iterator[str]) -> Iterator[str]:
        """Drop such blocks."""

        def kept() -> Iterator[str]:
            skipping, begun = False, False
            for line in lines:
                skipping = line.startswith(":") if not begun else skipping
                begun = bool(line)
                if not skipping or not line:
                    yield line

        return super().events(kept())


@killed_by(
    {
        "sse-comment-variants": (Gravity.REFUSED, ""),
        "sse-comments-before-text": (Gravity.REFUSED, ""),
    }
)
class KnowsNoComments(ReferenceClient):
    """Refuses lines that are comments, of which keep-alives are made.

    Reported as tmc/langchaingo#1171 and justlovemaki/AIClient2API#695.
    """

    def field(self, line: str) -> tuple[str, str]:
        """Fail at a comment."""
        if line.startswith(":"):
            raise FailedError("malformed_response", f"no field: {line}")
        return super().field(line)


@killed_by({"sse-comment-variants": (Gravity.REFUSED, "")})
class KnowsOneComment(ReferenceClient):
    """Knows a comment by the space after its colon.

    Reported as tmc/langchaingo#1171 and justlovemaki/AIClient2API#695.
    """

    def field(self, line: str) -> tuple[str, str]:
        """Take another one for data."""
        return ("data", line[1:]) if re.match(":[^ ]", line) else super().field(line)


@killed_by(
    {
        "sse-control-only-events": (Gravity.REFUSED, ""),
        "sse-id-then-comment": (Gravity.REFUSED, ""),
    }
)
class DispatchesWithoutData(ReferenceClient):
    """Dispatches an event at every blank line, also where no data came.

    Reported as openai/openai-python#3833 and openai/openai-python#2721.
    """

    def events(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield an empty object for an event without data."""
        data: list[str] = []
        fields = 0
        for line in lines:
            name, value = self.field(line)
            fields += bool(line)
            if name == "data":
                data.append(value)
            if not line and fields:
                yield "\n".join(data) or '""'
                data, fields = [], 0


@killed_by({"sse-several-data-lines": (Gravity.REFUSED, "")})
class KeepsLastDataLine(ReferenceClient):
    """Keeps the last data line of an event.

    Reported as SamSaffron/term-llm#454 and praxis-proxy/ai#445.
    """

    def events(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield each line."""
        for line in lines:
            name, value = self.field(line)
            if name == "data":
                yield value


@killed_by({"sse-content-type-parameters": (Gravity.REFUSED, "")})
class ComparesContentType(ReferenceClient):
    """Compares the media type with the usual one, letter by letter.

    Reported as BerriAI/litellm#7627 and overcat/requests-sse#14.
    """

    def is_stream(self, _call: Document, reply: http.client.HTTPResponse) -> bool:
        """Compare all of it."""
        return reply.getheader("content-type") in ("text/event-stream", "text/event-stream; charset=utf-8")


@killed_by({"sse-answer-to-whole-request": (Gravity.SILENT, "/response/choices/0/text")})
class GoesByTheCall(ReferenceClient):
    """Goes by what was asked for and not by what came.

    Reported as owndev/Open-WebUI-Functions#54.
    """

    def is_stream(self, call: Document, reply: http.client.HTTPResponse) -> bool:  # noqa: ARG002 -- the mistake
        """Look at the call."""
        return bool(call["operation"] == "stream")

    def whole(self, body: bytes, answer: Answer) -> None:
        """Take events for the text."""
        if not body.startswith(b"data:"):
            return super().whole(body, answer)
        answer.choices[0] = Choice(body.decode(), finish="stop")
        return None


@killed_by(
    {
        "sse-whole-answer": (Gravity.SILENT, "/response/choices/0/text"),
        "error-in-200": (Gravity.SILENT, "/calls/1"),
    }
)
class StreamsAnything(ReferenceClient):
    """Reads any answer to a stream request as events, and finds none in a whole one.

    Reported as tinyhumansai/tinyagents#56 and decolua/9router#3301.
    """

    def is_stream(self, call: Document, reply: http.client.HTTPResponse) -> bool:
        """Look at the call."""
        return bool(call["operation"] == "stream") or super().is_stream(call, reply)

    def end(self, answer: Answer) -> None:
        """Make an answer of nothing."""
        if not answer.choices:
            answer.choices[0] = Choice(finish="stop")
        super().end(answer)


@killed_by({"sse-ndjson": (Gravity.SILENT, "/response/choices/0/text")})
class StreamsWithoutLooking(StreamsAnything):
    """Reads JSON lines as an event stream, and finds an empty answer.

    Reported as inferencerlabs/inferencer-feedback#42.
    """

    def is_stream(self, call: Document, reply: http.client.HTTPResponse) -> bool:
        """Take JSON lines for events too."""
        lines = "ndjson" in (reply.getheader("content-type") or "")
        return lines or ReferenceClient.is_stream(self, call, reply)

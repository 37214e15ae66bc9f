"""Make spoken output as an answer has it."""

from __future__ import annotations

from botticelli.core.message import Audio, MediaSource

__all__ = ["spoken_output"]


def spoken_output(identity: str, data: str, transcript: str, expires_at: int | None = None) -> Audio:
    """A spoken answer."""
    source = MediaSource(kind="base64", value=data)
    return Audio(source, id=identity, transcript=transcript, expires_at=expires_at)

"""Text that grows by small pieces: nothing is lost, doubled or put in another order."""

from __future__ import annotations

import pytest

from botticelli.protocol.textbuffer import TextBuffer


def filled(blocks: int, *, rest: bool) -> tuple[TextBuffer, str]:
    """A buffer with that many compacted blocks of two pieces each, perhaps with a piece after the last."""
    buffer = TextBuffer()
    pieces = [f"{number}," for number in range(2 * blocks + rest)]
    for number, piece in enumerate(pieces):
        buffer.append(piece)
        if number % 2:
            buffer.compact()
    return buffer, "".join(pieces)


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("blocks", [0, 1, 2, 7, 62, 63, 64, 65, 127, 128, 129, 1000])
def test_the_text_is_what_was_put_in(blocks: int, rest: bool) -> None:
    buffer, text = filled(blocks, rest=rest)
    assert bool(buffer) == bool(text)
    assert buffer.value() == text
    assert buffer.value() == text
    assert buffer.take() == text


def test_taken_text_is_gone_and_the_buffer_goes_on() -> None:
    buffer, _ = filled(3, rest=True)
    buffer.take()
    assert not buffer
    assert (buffer.value(), buffer.take()) == ("", "")
    buffer.append("on")
    assert buffer.value() == "on"


def test_empty_pieces_are_no_text() -> None:
    buffer = TextBuffer()
    for _ in range(2):
        buffer.append("")
        buffer.compact()
        assert not buffer

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib

import pytest

from botticelli import MalformedResponseError
from botticelli.protocol.content_encoding import Body, decoder

TEXT = random.Random(1).randbytes(3000) * 3


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


CODINGS = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "Deflate ": raw_deflate(TEXT),
    "": TEXT,
    "identity": TEXT,
    "deflate, gzip": gzip.compress(zlib.compress(TEXT)),
    "gzip,identity": gzip.compress(TEXT),
}


def read(coding: str, data: bytes, size: int) -> bytes:
    reading = decoder({"content-encoding": coding})
    plain = b"".join(reading.feed(data[at : at + size]) for at in range(0, len(data), size))
    reading.finish()
    return plain


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 1 << 20])
@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_compressed_is_read_in_pieces_of_any_size(coding: str, size: int) -> None:
    assert read(coding, CODINGS[coding], size) == TEXT


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_gzip_may_have_several_members_and_padding(size: int) -> None:
    assert read("gzip", gzip.compress(b"a") + gzip.compress(b"b") + bytes(9), size) == b"ab"


def test_nothing_follows_deflate() -> None:
    assert read("deflate", zlib.compress(b"a") + b"rest", 1 << 20) == b"a"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "deflate, gzip"])
@pytest.mark.parametrize("cut", [1, 9])
def test_what_is_cut_short_is_not_whole(coding: str, cut: int) -> None:
    with pytest.raises(MalformedResponseError, match="ends in the middle"):
        read(coding, CODINGS[coding][:-cut], 1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_one_byte_is_not_whole_either(coding: str) -> None:
    with pytest.raises(MalformedResponseError):
        read(coding, CODINGS[coding][:1], 1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_nothing_at_all_is_an_empty_body(coding: str) -> None:
    assert read(coding, b"", 1) == b""


@pytest.mark.parametrize(("coding", "data"), [("gzip", b"plain text"), ("deflate", b"plain text, surely")])
def test_what_isnt_compressed_at_all(coding: str, data: bytes) -> None:
    with pytest.raises(MalformedResponseError, match=f"isn't valid {coding}") as caught:
        read(coding, data, 1000)
    assert caught.value.__context__ is None


def test_a_damaged_second_member() -> None:
    with pytest.raises(MalformedResponseError):
        read("gzip", gzip.compress(b"a") + b"\x1f\x8bnonsense", 1000)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br"])
def test_codings_that_werent_asked_for(coding: str) -> None:
    with pytest.raises(MalformedResponseError, match="which wasn't asked for") as caught:
        decoder({"content-encoding": coding})
    assert caught.value.path == "content-encoding"


# Bodies.


def test_a_body_is_whole_up_to_its_limit() -> None:
    body = Body({}, 4)
    body.feed(b"ab")
    body.feed(b"cd")
    assert not body.full
    assert body.kept(9) == body.whole() == b"abcd"


def test_a_body_beyond_its_limit() -> None:
    body = Body({}, 4)
    body.feed(b"abc")
    body.feed(b"def")
    assert body.full
    assert body.kept(4) == b"abcd"
    with pytest.raises(MalformedResponseError, match=r"more than 4 bytes.*max_body_bytes") as caught:
        body.whole()
    assert caught.value.body == b"abcd"


def test_of_a_long_body_only_the_beginning_is_copied() -> None:
    body = Body({}, 64 << 20)
    for _ in range(64):
        body.feed(bytes(1 << 20))
    tracemalloc.start()
    try:
        assert len(body.kept(1 << 20)) == 1 << 20
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_body_is_put_together_once() -> None:
    size = 32 << 20
    tracemalloc.start()
    try:
        body = Body({}, size)
        for _ in range(32):
            body.feed(bytes(1 << 20))
        assert len(body.whole()) == size
        del body
        assert tracemalloc.get_traced_memory()[1] < 2.1 * size
    finally:
        tracemalloc.stop()


def test_what_becomes_nothing_counts_as_received() -> None:
    body = Body({"content-encoding": "deflate"}, 1000)
    body.feed(zlib.compress(b"Hi"))
    assert not body.full
    body.feed(b"x" * 1000)
    assert body.full


def test_the_limit_is_on_what_is_decompressed() -> None:
    body = Body({"content-encoding": "gzip"}, 1000)
    body.feed(gzip.compress(bytes(100_000)))
    assert body.full


def test_a_compressed_body_must_end() -> None:
    body = Body({"content-encoding": "gzip"}, 100_000)
    body.feed(gzip.compress(TEXT)[:-1])
    with pytest.raises(MalformedResponseError, match="ends in the middle"):
        body.whole()


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    inner = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    block = bytes(1 << 20)
    bomb = b"".join(inner.compress(block) for _ in range(300)) + inner.flush()
    reader = decoder({"content-encoding": "gzip, gzip"})
    with pytest.raises(MalformedResponseError, match="more than 128 MiB"):
        reader.feed(gzip.compress(bomb))


@pytest.mark.parametrize(
    ("coding", "begin", "more"),
    [
        ("deflate", zlib.compress(b"{}"), b"x" * 100),
        ("gzip", gzip.compress(b"{}"), bytes(100)),
        ("gzip", gzip.compress(b"{}"), gzip.compress(b"")),
    ],
    ids=["deflate-garbage", "gzip-zeros", "gzip-empty-members"],  # gzip's bytes hold the time
)
def test_what_decodes_to_nothing_counts_too(coding: str, begin: bytes, more: bytes) -> None:
    body = Body({"content-encoding": coding}, 1000)
    body.feed(begin)
    pieces = 0
    while not body.full:
        body.feed(more)
        pieces += 1
        assert pieces < 100
    assert body.kept(1000) == b"{}"
    with pytest.raises(MalformedResponseError, match="more than 1000 bytes"):
        body.whole()

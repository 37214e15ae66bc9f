"""Model lists."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from botticelli.contracts.relaxations import Relaxation, Relaxations
from botticelli.core.errors import EmptyResponseError, MalformedResponseError, StreamError
from botticelli.core.models import Model, ModelProvider
from botticelli.dialects.openai.models import decode_models
from botticelli.protocol.deviations import DeviationLog

LISTED = Relaxations.load("openai")
SLIPS = [entry for entry in LISTED.listed if entry.inside.get("contract") == "model-list"]


def read(value: Any, notes: DeviationLog | None = None) -> list[Model]:
    return decode_models(json.dumps(value).encode(), log=notes)


def test_the_published_list_has_no_deviations() -> None:
    notes = DeviationLog()
    models = read(LISTED.bases["model-list"], notes)
    assert models == [Model(id="org/model", created=1700000000, owned_by="org")]
    assert notes.deviations() == []


@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry.code) for entry in SLIPS])
def test_each_published_slip_is_reported_by_its_code(entry: Relaxation) -> None:
    notes = DeviationLog()
    decode_models(LISTED.body(entry.inside), log=notes)
    assert [found.code for found in notes.deviations()] == [entry.code]


def test_slips_of_the_bytes_are_reported_too() -> None:
    notes = DeviationLog()
    decode_models(b"\xef\xbb\xbf" + LISTED.body({"base": "model-list"}), log=notes)
    assert [found.code for found in notes.deviations()] == ["bom"]


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ({"data": []}, []),
        ({"data": None}, []),
        ({"object": "list"}, []),
        ([], []),
        ([{"id": "a"}, {"id": "b"}], ["a", "b"]),
        (["a", "", 5, "b"], ["a", "b"]),
        ({"models": [{"name": "a"}]}, ["a"]),
        ({"data": [{"id": "", "name": "n"}, {"id": 5}, {"id": "a"}, None, {}]}, ["n", "a"]),
        ({"data": [{"id": ""}]}, [""]),
    ],
)
def test_a_list_is_read_in_every_shape(value: Any, ids: list[str]) -> None:
    assert [model.id for model in read(value)] == ids


@pytest.mark.parametrize("value", [{}, {"data": "x"}, {"data": [5]}, [{}], "x", 5, None, {"object": "x"}])
def test_what_is_no_list_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedResponseError, match="isn't a model list") as caught:
        read(value, DeviationLog())
    assert caught.value.path == "$.data"


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_no_body_is_no_list(body: bytes) -> None:
    with pytest.raises(EmptyResponseError, match="no body"):
        decode_models(body)


def test_what_is_no_json_is_malformed_and_says_where() -> None:
    with pytest.raises(MalformedResponseError, match="isn't JSON") as caught:
        decode_models(b"[1,]", status=203)
    assert (caught.value.path, caught.value.status) == ("character 3", 203)


def test_an_error_inside_a_200_is_an_error() -> None:
    with pytest.raises(StreamError, match=r"No\."):
        read({"error": {"message": "No."}})


OFFER = {
    "provider": "p",
    "status": "live",
    "context_length": 4096,
    "pricing": {"input": 0.5, "output": 2},
    "is_free": False,
    "supports_tools": True,
    "supports_structured_output": False,
    "first_token_latency_ms": 250,
    "throughput": 12.5,
    "is_model_author": True,
}


def test_the_routers_members_are_kept() -> None:
    modalities = {"input_modalities": ["text", 5, "image"], "output_modalities": ["text"]}
    offers = [OFFER, {"provider": 5}, "x"]
    (model,) = read({"data": [{"id": "a", "architecture": modalities, "providers": offers}]})
    assert model == Model(
        id="a",
        input_modalities=("text", "image"),
        output_modalities=("text",),
        providers=(
            ModelProvider(
                provider="p",
                status="live",
                context_length=4096,
                input_price=0.5,
                output_price=2.0,
                is_free=False,
                supports_tools=True,
                supports_structured_output=False,
                first_token_latency=0.25,
                throughput=12.5,
                is_model_author=True,
            ),
        ),
    )


@pytest.mark.parametrize("odd", [None, "x", True, -1, [], 10**400])
def test_what_an_offer_says_oddly_is_unknown(odd: Any) -> None:
    names = ("context_length", "pricing", "first_token_latency_ms", "throughput")
    (model,) = read([{"id": "a", "providers": [{"provider": "p", **dict.fromkeys(names, odd)}]}])
    (offer,) = model.providers
    assert msgspec.structs.replace(offer, extra={}) == ModelProvider(provider="p", extra={})
    assert offer.extra == ({} if odd is None else {"pricing": odd})


@pytest.mark.parametrize("name", ["created", "owned_by", "architecture", "providers"])
def test_what_an_entry_says_oddly_is_unknown(name: str) -> None:
    beside = {name: -1} if name == "architecture" else {}
    assert read([{"id": "a", name: -1}]) == [Model(id="a", extra=beside)]


@pytest.mark.parametrize(
    ("sent", "created"), [(2**60 + 1, 2**60 + 1), (7.0, 7), (1.5, 1), (0, 0), (-1, None), (None, None)]
)
def test_a_date_is_exact_where_it_is_whole(sent: Any, created: int | None) -> None:
    assert read([{"id": "a", "created": sent}]) == [Model(id="a", created=created)]

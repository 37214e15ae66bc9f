"""What holds of every outcome, whatever its case asks.

Pure. A function of this module yields :class:`Mismatch` and yields nothing when all is well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.kit.judge.mismatch import Mismatch, child, show

Object = Mapping[str, Any]


def untold(operation: str, got: Object) -> Iterator[Mismatch]:
    """Yield what an outcome leaves out and its schema, which knows no calls, lets pass."""
    if operation == "stream" and "response" in got:
        for name in ("chunks", "final_chunks"):
            if name not in got["response"]:
                yield Mismatch(f"/response/{name}", "told of every stream", "nothing")


def answer(operation: str, got: Object, *, usage_sent: bool) -> Iterator[Mismatch]:
    """Yield what no answer may be, nor what an error has saved of one.

    Args:
        operation: Of the call.
        got: The outcome, valid by its schema.
        usage_sent: The server sent a usage, or something that may hold one.
    """
    response: Object | None = got.get("response")
    if response is not None:
        yield from _parts(response, "/response", usage_sent=usage_sent)
        if operation == "stream":
            if "chunks" in response:
                yield from _delivered(response, response["chunks"], "/response/chunks")
            if response.get("final_chunks", 1) != 1:
                yield Mismatch("/response/final_chunks", "1", str(response["final_chunks"]))
    partial: Object | None = got.get("error", {}).get("partial")
    if partial is not None:
        yield from _parts(partial, "/error/partial", usage_sent=usage_sent)
        if operation == "stream":
            yield from _delivered(partial, got.get("partial_chunks", []), "/partial_chunks")


def _parts(response: Object, path: str, *, usage_sent: bool) -> Iterator[Mismatch]:
    indices = [choice["index"] for choice in response["choices"]]
    if indices != sorted(set(indices)):
        yield Mismatch(f"{path}/choices", "indices that ascend", show(indices))
    for number, choice in enumerate(response["choices"]):
        ids = [call["id"] for call in choice.get("tool_calls", []) if call["id"]]
        if len(ids) != len(set(ids)):
            yield Mismatch(f"{path}/choices/{number}/tool_calls", "ids that differ", show(ids))
    usage: Object = response.get("usage") or {}
    if not usage_sent and any(count is not None for count in usage.values()):
        yield Mismatch(f"{path}/usage", "null, as none was sent", show(usage))


def _delivered(response: Object, chunks: list[str], path: str) -> Iterator[Mismatch]:
    texts = [choice["text"] or "" for choice in response["choices"]]
    if len(texts) > 1:
        # Whose each chunk was is not told; but nothing may be lost, doubled or made up.
        if sorted("".join(chunks)) != sorted("".join(texts)):
            yield Mismatch(path, f"together the texts {show(texts)}", show(chunks))
    elif "".join(chunks) != "".join(texts):
        yield Mismatch(path, f"together {show(''.join(texts))}", show(chunks))


def leaks(secrets: frozenset[str], got: object, path: str = "") -> Iterator[Mismatch]:
    """Yield every place of an outcome, members' names included, that holds one of the secrets."""
    if isinstance(got, str):
        if any(secret in got for secret in secrets):
            yield Mismatch(path, "no API key in it", show(got))
    elif is_array(got):
        for position, item in enumerate(got):
            yield from leaks(secrets, item, f"{path}/{position}")
    elif is_object(got):
        for name, value in got.items():
            yield from leaks(secrets, name, path)
            yield from leaks(secrets, value, child(path, name))

"""The published examples, read by the driver: `python -m tests.published PATH`, at the desk only.

`python -m botticelli.contracts published` holds them to the contracts; here requests are read and written
again, answers are read, and chunks are put together: with deviations where they break the contract, and only
there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botticelli.contracts import ContractError, violations
from botticelli.contracts.published import published_examples
from botticelli.core.errors import BotticelliError
from botticelli.dialects.openai.request import encode_request
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer

from .decode_request import decode_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.core.response import GenerateResponse


class _MisreadError(Exception):
    """An example is read otherwise than the contracts say."""


Instances = list[tuple[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read all examples, a line each.

    Returns:
        The exit code: 0 if all is well, 1 if an example isn't read as it should be, 2 if there is none.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.published", description=__doc__)
    parser.add_argument("path", type=Path, help="a JSON file or a folder of them")
    path: Path = parser.parse_args(arguments).path
    try:
        examples = list(published_examples(path))
    except ContractError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if not examples:
        sys.stderr.write(f"error: {path} holds no examples\n")
        return 2
    width = max(len(title) for title, _ in examples)
    failed = False
    for title, instances in examples:
        try:
            told = _told(instances)
        except (BotticelliError, _MisreadError) as error:
            failed = True
            told = f"FAULT {error}"
        sys.stdout.write(f"{title:{width}}  {told}\n")
    return 1 if failed else 0


def _told(instances: Instances) -> str:
    """What was read of one example.

    Raises:
        BotticelliError: It can't be read.
        _MisreadError: It is read otherwise than the contracts say.
    """
    requests, answers, chunks = (
        [value for contract, value in instances if contract == f"openai/{name}"]
        for name in ("request", "response", "chunk")
    )
    for body in requests:
        _ask_again(body)
    told = ["request read and written again"] if requests else []
    told += [_described(decode_answer(json.dumps(body).encode()), "answer") for body in answers]
    if chunks:
        told.append(_described(_assembled(chunks), f"{len(chunks)} chunks"))
    deviates = any("deviates" in line for line in told)
    read = [(contract, value) for contract, value in instances if contract != "openai/request"]
    breaks = [str(broken) for contract, value in read for broken in violations(contract, value)]
    if deviates != bool(breaks):
        raise _MisreadError(f"{'; '.join(told)}, though the contracts say {breaks or 'that it conforms'}")
    return "; ".join(told)


def _ask_again(body: dict[str, Any]) -> None:
    """Read a request and write it again."""
    request = decode_request(json.dumps(body).encode())
    again = json.loads(encode_request(request, model="none", stream=body.get("stream") is True))
    broken = violations("openai/request", again)
    if broken or again.keys() != body.keys():
        raise _MisreadError(f"written again, the request is {again}: {[str(it) for it in broken]}")


def _assembled(chunks: list[Any]) -> GenerateResponse:
    stream = OpenAIStreamReader(audit=True)
    for chunk in chunks:
        stream.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    stream.feed(b"data: [DONE]\n\n")
    stream.finish()
    return stream.response


def _described(response: GenerateResponse, source: str) -> str:
    """One answer in a few words; an example that says nothing was not read."""
    outputs = [output for choice in response.choices for output in choice.outputs]
    if not outputs:
        raise _MisreadError(f"nothing was read of the {source}")
    names = ", ".join(type(output).__name__ for output in outputs)
    codes = ", ".join(f"{note.code} at {note.path}" for note in response.deviations)
    return f"{source} read: {names}{f'; deviates: {codes}' if codes else ''}"


if __name__ == "__main__":
    sys.exit(main())

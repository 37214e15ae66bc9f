"""Read the published examples with the driver: `python -m tests.tools.read_examples PATH`.

`python -m tests.tools.contracts published` validates them. Here the driver reads each request and writes it
again, reads each answer, and assembles each stream. It must report deviations where an example breaks the
contract, and only there. The examples may not be shipped, so this runs only where somebody has a copy.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botticelli.contracts import ContractError, violations
from botticelli.core.errors import BotticelliError
from botticelli.dialects.openai.request import encode_request
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer

from ..decode_request import decode_request
from .published import published_examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.core.response import GenerateResponse


class _MisreadError(Exception):
    """The driver reads an example in another way than the contracts say."""


Instances = list[tuple[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read all examples and print one line for each.

    Returns:
        The exit code: 0 if all is well, 1 if an example is misread, 2 if there are no examples.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.tools.read_examples", description=__doc__)
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
            result = _read(instances)
        except (BotticelliError, _MisreadError) as error:
            failed = True
            result = f"FAULT {error}"
        sys.stdout.write(f"{title:{width}}  {result}\n")
    return 1 if failed else 0


def _read(instances: Instances) -> str:
    """Read one example and describe the result.

    Raises:
        BotticelliError: It can't be read.
        _MisreadError: It is read in another way than the contracts say.
    """
    requests, answers, chunks = (
        [value for contract, value in instances if contract == f"openai/{name}"]
        for name in ("request", "response", "chunk")
    )
    for body in requests:
        _write_again(body)
    results = ["request read and written again"] if requests else []
    results += [_described(decode_answer(json.dumps(body).encode()), "answer") for body in answers]
    if chunks:
        results.append(_described(_assembled(chunks), f"{len(chunks)} chunks"))
    deviates = any("deviates" in line for line in results)
    read = [(contract, value) for contract, value in instances if contract != "openai/request"]
    breaks = [str(broken) for contract, value in read for broken in violations(contract, value)]
    if deviates != bool(breaks):
        raise _MisreadError(f"{'; '.join(results)}, but the contracts say {breaks or 'that it conforms'}")
    return "; ".join(results)


def _write_again(body: dict[str, Any]) -> None:
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
    """Describe an answer in a few words; an example always has outputs."""
    outputs = [output for choice in response.choices for output in choice.outputs]
    if not outputs:
        raise _MisreadError(f"nothing was read of the {source}")
    names = ", ".join(type(output).__name__ for output in outputs)
    codes = ", ".join(f"{note.code} at {note.path}" for note in response.deviations)
    return f"{source} read: {names}{f'; deviates: {codes}' if codes else ''}"


if __name__ == "__main__":
    sys.exit(main())

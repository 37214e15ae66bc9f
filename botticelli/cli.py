"""The command line: words to calls, results to text, errors to one line and an exit code. No judgement.

Exit codes: 0 all is well; 1 something was found or a call failed; 2 the command can't be carried out as
given (usage, configuration, a file that can't be read); 130 interrupted.

Each command imports what it needs when it runs, so that the driver's commands never load the kit and the
kit's never load the driver.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.core.catalog import Model
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import GenerateResponse
    from botticelli.drivers.huggingface import HuggingFaceDriver

__all__ = ["main"]

DEFAULT_MODEL = "meta-llama/Llama-3.2-1B-Instruct"
OWN_DOORS = ("botticelli.drivers.door:HuggingFaceDoor", "botticelli.drivers.door:AsyncHuggingFaceDoor")


class _UsageError(Exception):
    """What the user gave can't be used; the message is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; None takes the process's own.

    Returns:
        The exit code; see the module's docstring.
    """
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone (`| head`): what is left must not be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _UsageError as error:
        return _complain(str(error), 2)
    except Exception as error:
        found = _expected(error)
        if found is None:
            raise
        return _complain(*found)
    return code


def _complain(message: str, code: int) -> int:
    print(f"botticelli: {message}", file=sys.stderr)
    return code


def _expected(error: Exception) -> tuple[str, int] | None:
    """The line and the exit code for an error of one of our trees; only trees already loaded can be meant."""
    for module, root, code in (
        ("botticelli.core.errors", "ConfigurationError", 2),
        ("botticelli.core.errors", "BotticelliError", 1),
        ("botticelli.kit.errors", "KitError", 2),
        ("botticelli.contracts.errors", "ContractError", 2),
    ):
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(error, getattr(loaded, root)):
            return str(error), code
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="botticelli", description="Conformance and contract tests for the OpenAI chat format."
    )
    parser.add_argument("--version", action="version", version=f"botticelli {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_check(commands)
    _add_validate(commands)
    _add_chat(commands)
    _add_models(commands)
    _add_serve(commands)
    _add_list(commands)
    return parser


def _version() -> str:
    from botticelli import __version__

    return __version__


class _Commands(Protocol):
    """What `add_subparsers` gives; argparse has no public name for it."""

    def add_parser(
        self,
        name: str,
        *,
        help: str | None = None,  # noqa: A002 -- argparse's own word
        description: str | None = None,
    ) -> argparse.ArgumentParser: ...


def _add_check(commands: _Commands) -> None:
    check = commands.add_parser("check", help="judge drivers against the contract")
    kinds = check.add_subparsers(title="what to judge", required=True, metavar="KIND")
    driver = kinds.add_parser(
        "driver",
        help="play every case against a driver, over real sockets, offline",
        description="Play every case against HuggingFaceDriver and AsyncHuggingFaceDriver, or your own.",
    )
    driver.add_argument(
        "door",
        nargs="*",
        default=OWN_DOORS,
        help="package.module:factory, or 'command: PROGRAM ARGS' for one that speaks JSON lines",
    )
    driver.add_argument(
        "--case", action="append", default=[], metavar="WORD", help="a case, an area, or a pattern (sse-*)"
    )
    driver.add_argument("--json", type=Path, metavar="FILE", help="also write the report as JSON")
    driver.add_argument("--junit", type=Path, metavar="FILE", help="also write it as JUnit XML")
    driver.add_argument("--baseline", type=Path, metavar="FILE", help="known failures, with reasons")
    driver.add_argument("--seed", type=int, default=0, help="decides the texts and ids that are played")
    driver.add_argument("--jobs", type=int, metavar="N", help="cases at once")
    driver.set_defaults(run=_check_driver)


def _check_driver(options: argparse.Namespace) -> int:
    from botticelli.kit.check import run_check
    from botticelli.kit.runner import JOBS

    return run_check(
        options.door,
        out=sys.stdout,
        select=options.case,
        json_path=options.json,
        junit_path=options.junit,
        baseline=options.baseline,
        seed=options.seed,
        jobs=options.jobs or JOBS,
    )


def _add_validate(commands: _Commands) -> None:
    validate = commands.add_parser("validate", help="hold a JSON file to a contract")
    validate.add_argument("file", help="a file, or - for standard input")
    validate.add_argument("--contract", required=True, metavar="NAME", help="such as openai/response")
    validate.set_defaults(run=_validate)


def _validate(options: argparse.Namespace) -> int:
    from botticelli.contracts import validate_bytes

    violations = validate_bytes(options.contract, _bytes_of(options.file))
    name = "standard input" if options.file == "-" else options.file
    wide = min(max((len(violation.path) for violation in violations), default=0), 60)
    for violation in violations:
        print(f"{violation.path:<{wide}}  {violation.message}")
    count = len(violations)
    verdict = f"{count} violation{'s' * (count != 1)} of" if count else "keeps"
    print(f"{name}: {verdict} {options.contract}")
    return 1 if violations else 0


def _bytes_of(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise _UsageError(f"{file} can't be read: {error.strerror or error}") from None


def _add_chat(commands: _Commands) -> None:
    chat = commands.add_parser("chat", help="ask a model")
    chat.add_argument("prompt", help="what to say, or - for standard input")
    chat.add_argument("--model", default=DEFAULT_MODEL, help=f"default: {DEFAULT_MODEL}")
    chat.add_argument("--system", metavar="TEXT", help="what the model is told to be")
    chat.add_argument("--max-tokens", type=int, metavar="N")
    chat.add_argument("--temperature", type=float, metavar="X")
    chat.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="print the answer as it comes (default), or at once",
    )
    chat.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    chat.add_argument(
        "--verbose", "-v", action="store_true", help="tell usage and departures from the format on stderr"
    )
    _add_connection(chat)
    chat.set_defaults(run=_chat)


def _add_connection(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--base-url",
        metavar="URL",
        help="another OpenAI-format server, such as http://127.0.0.1:8000/v1; needs no token then",
    )
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="for each phase of the call")


def _driver(options: argparse.Namespace, model: str) -> HuggingFaceDriver:
    from botticelli.core.errors import ConfigurationError
    from botticelli.drivers.huggingface import HuggingFaceDriver

    try:
        return HuggingFaceDriver(model, base_url=options.base_url, timeout=options.timeout)
    except ConfigurationError as error:
        if options.base_url is None or error.setting != HuggingFaceDriver.provider.key_env[0]:
            raise
        return HuggingFaceDriver.with_api_token(
            None, model, base_url=options.base_url, timeout=options.timeout
        )


def _chat(options: argparse.Namespace) -> int:
    request = _request(options)
    with _driver(options, options.model) as driver:
        if options.stream and not options.json:
            response = _print_stream(driver, request)
        else:
            response = driver.generate(request)
            print(_as_json(response) if options.json else _readable(response))
    if options.verbose:
        _tell(response)
    return 0


def _request(options: argparse.Namespace) -> GenerateRequest:
    from msgspec import UNSET

    from botticelli.core.message import Message
    from botticelli.core.request import GenerateRequest

    prompt = options.prompt
    if prompt == "-":
        prompt = _bytes_of("-").decode(errors="replace")
    messages = [Message.user(prompt)]
    if options.system is not None:
        messages.insert(0, Message.system(options.system))
    return GenerateRequest(
        messages,
        max_tokens=UNSET if options.max_tokens is None else options.max_tokens,
        temperature=UNSET if options.temperature is None else options.temperature,
        stream_usage=options.verbose,
    )


def _print_stream(driver: HuggingFaceDriver, request: GenerateRequest) -> GenerateResponse:
    """Print text as it comes; a line end follows whatever was printed, also before an error."""
    last = ""
    with driver.generate_stream(request) as stream:
        try:
            for chunk in stream:
                last = chunk.text or last
                print(chunk.text, end="", flush=True)
        finally:
            if last and not last.endswith("\n"):
                print(flush=True)
    response = stream.response
    if not last:
        print(_readable(response))
    return response


def _readable(response: GenerateResponse) -> str:
    return response.text or "\n".join(map(str, response.outputs))


def _as_json(response: GenerateResponse) -> str:
    import msgspec

    known = {name: value for name, value in msgspec.to_builtins(response).items() if name != "raw"}
    return msgspec.json.format(msgspec.json.encode(known), indent=2).decode()


def _tell(response: GenerateResponse) -> None:
    """What a person who runs a server wants to know of an answer, on stderr."""
    usage = response.usage
    counted = (
        f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else "the server told no usage"
    )
    print(f"{response.model or 'unnamed model'}: {response.finish_reason}, {counted}", file=sys.stderr)
    for deviation in response.deviations:
        times = f" ({deviation.count} times)" if deviation.count > 1 else ""
        print(f"departs from the format: {deviation.code} at {deviation.path}{times}", file=sys.stderr)


def _add_models(commands: _Commands) -> None:
    models = commands.add_parser("models", help="list what a server serves")
    models.add_argument("search", nargs="?", default="", help="only models whose name contains this")
    models.add_argument("--json", action="store_true", help="print the list as JSON")
    _add_connection(models)
    models.set_defaults(run=_models)


def _models(options: argparse.Namespace) -> int:
    with _driver(options, DEFAULT_MODEL) as driver:
        found = [model for model in driver.models() if options.search.lower() in model.id.lower()]
    if options.json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif found:
        _print_table(
            ("model", "providers", "context", "USD/M in", "out", "tools"), [_row(model) for model in found]
        )
    else:
        print("no model" + (f" has {options.search!r} in its name" if options.search else " is served"))
    return 0


def _row(model: Model) -> tuple[str, ...]:
    """One line: the cheapest live offer's prices, the longest context, whether anyone takes tools."""
    live = [offer for offer in model.providers if offer.status in (None, "live")]
    contexts = [offer.context_length for offer in live if offer.context_length is not None]
    prices = sorted(
        (offer.input_price, offer.output_price)
        for offer in live
        if offer.input_price is not None and offer.output_price is not None
    )
    cheapest = (f"{prices[0][0]:.2f}", f"{prices[0][1]:.2f}") if prices else ("", "")
    tools = "yes" if any(offer.supports_tools for offer in live) else ""
    context = str(max(contexts)) if contexts else ""
    return (model.id, ", ".join(offer.provider for offer in live), context, *cheapest, tools)


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns, aligned; those of numbers to the right."""
    columns = [column for column in zip(head, *rows, strict=True) if any(column[1:])]
    wide = [max(map(len, column)) for column in columns]
    numeric = [all(not cell or cell.replace(".", "").isdigit() for cell in column[1:]) for column in columns]
    for line in zip(*columns, strict=True):
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, wide, numeric, strict=True)
        )
        print("  ".join(cells).rstrip())


def _add_serve(commands: _Commands) -> None:
    serve = commands.add_parser("serve", help="play cases to any client, on this machine")
    serve.add_argument("--port", type=int, default=8434, help="default: %(default)s; 0 for any free one")
    serve.add_argument(
        "--host", default="127.0.0.1", help="default: %(default)s, which only this machine sees"
    )
    serve.add_argument(
        "--case", action="append", default=[], metavar="WORD", help="a case, an area, or a pattern (sse-*)"
    )
    serve.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    from botticelli.kit.cases import load_cases
    from botticelli.kit.check import select_cases
    from botticelli.kit.serve import serve

    cases = select_cases(load_cases(), options.case)
    serve(cases, port=options.port, host=options.host, out=sys.stdout)
    return 0


def _add_list(commands: _Commands) -> None:
    listing = commands.add_parser("list", help="list the cases or the contracts")
    kinds = listing.add_subparsers(title="what to list", required=True, metavar="KIND")
    cases = kinds.add_parser("cases", help="id, area, level and title of each")
    cases.add_argument("select", nargs="*", metavar="WORD", help="a case, an area, or a pattern (sse-*)")
    cases.set_defaults(run=_list_cases)
    contracts = kinds.add_parser("contracts", help="the names that validate takes")
    contracts.set_defaults(run=_list_contracts)


def _list_cases(options: argparse.Namespace) -> int:
    from botticelli.kit.check import list_cases

    list_cases(sys.stdout, options.select)
    return 0


def _list_contracts(_options: argparse.Namespace) -> int:
    from botticelli.contracts import load, names

    _print_table(("contract", "what it is"), [(name, str(load(name).get("title", ""))) for name in names()])
    return 0

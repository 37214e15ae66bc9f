"""The kit's commands: `check`, `explain`, `validate`, `serve`, `list`. They don't import the driver."""

from __future__ import annotations

import argparse
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from botticelli.cli.endpoints import add_endpoint
from botticelli.cli.reporting import add_report_options, report_paths
from botticelli.cli.terminal import UsageError, bytes_of, print_table, whole_number

if TYPE_CHECKING:
    from botticelli.cli.terminal import Commands
    from botticelli.kit.selection import Shard

__all__ = ["add_check", "add_explain", "add_list", "add_serve", "add_validate"]

_PROTOCOL = """\
A factory takes no arguments and returns an adapter: an object with `capabilities` (a frozenset
of words), `exchange(call)`, which may be async, and optionally `close()`.

A program answers each line of its input with one line that repeats the id. It gets the next line
after it has answered; several programs are started for calls at once; each must end with its input:
  {"id": 0, "hello": 1}      {"id": 0, "hello": {"capabilities": ["generate", ...]}}
  {"id": 1, "call": {...}}   {"id": 1, "outcome": {...}} or {"id": 1, "crash": "why"}
`call` and `outcome` are described in contracts/kit/call.schema.json and outcome.schema.json;
the capabilities are the three operations and the words in case.schema.json.

Exit codes: 0 nothing failed, 1 something did or nothing was judged, 2 the command
can't be carried out as given, 130 interrupted, 141 nobody reads the output (`| head`).
"""


_LONGEST_DELAY = 3600
_LARGEST_SCALE = 100


def _client_words() -> tuple[str, ...]:
    """Return the words for the clients that can be judged; none without the kit."""
    if find_spec("botticelli.kit") is None:
        return ()
    from botticelli.kit.adapters.clients.registry import WORDS

    return WORDS


def add_check(commands: Commands) -> None:
    """Register `check driver`, `check endpoint` and `check adapter`."""
    check = commands.add_parser("check", help="judge drivers and servers against the contract")
    kinds = check.add_subparsers(title="what to judge", required=True, metavar="{driver,endpoint,adapter}")
    add_endpoint(kinds)
    driver = kinds.add_parser(
        "driver",
        help="play every case against a driver, over real sockets, offline",
        description="Play every case against HuggingFaceDriver and AsyncHuggingFaceDriver, or your own.",
    )
    driver.add_argument(
        "drivers",
        nargs="*",
        metavar="DRIVER",
        default=("huggingface",),
        help="a provider's name, such as huggingface (default), for our own sync and async drivers, or a "
        "driver's class, such as AsyncOpenAIDriver; a client that there is an adapter for: "
        f"{', '.join(_client_words())}; "
        "package.module:factory, importable from the working directory too; or 'command: PROGRAM ARGS' "
        "for a program that speaks JSON lines",
    )
    driver.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="WORD",
        help="a case, an area, or a pattern (sse-*); repeatable",
    )
    driver.add_argument(
        "--level",
        choices=("must", "should", "may"),
        default="may",
        help="play the cases of this level and above",
    )
    driver.add_argument(
        "--profile",
        action="append",
        default=[],
        choices=("core", "tolerance", "hardening", "provider"),
        help="play the cases of this profile; repeatable; default: all",
    )
    driver.add_argument(
        "--rerun", type=Path, metavar="REPORT", help="play only what failed in this JSON report"
    )
    driver.add_argument("--shard", type=_shard, metavar="I/N", help="play part I of N, for several machines")
    driver.add_argument(
        "--baseline", type=Path, metavar="FILE", help="known failures: a JSON file with their reasons by case"
    )
    driver.add_argument(
        "--write-baseline",
        type=Path,
        metavar="FILE",
        help="write what fails now as such a file, with reasons",
    )
    driver.add_argument(
        "--seed", type=int, help="chooses the texts, ids and keys that are played; default: drawn and printed"
    )
    driver.add_argument(
        "--jobs",
        type=whole_number(1, 256),
        metavar="N",
        help="cases at once, of each of two drivers; with 1 the drivers are judged one after the other",
    )
    driver.add_argument(
        "--timeout-scale",
        type=_scale,
        default=1.0,
        metavar="F",
        help="multiply the time after which a call counts as hanging, for a slow machine",
    )
    driver.add_argument(
        "--strict", action="store_true", help="remarks fail the run too, and so does a may that isn't kept"
    )
    driver.add_argument(
        "--in-process",
        action="store_true",
        help="import adapters into this process, for a debugger; else they run in one of their own, "
        "which may hang or die without harm to the run",
    )
    driver.add_argument(
        "--suite-version",
        type=_suite_version,
        metavar="V",
        help="the version of the cases that counts; others are played, and never fail",
    )
    add_report_options(driver)
    driver.epilog = _PROTOCOL
    driver.formatter_class = argparse.RawDescriptionHelpFormatter
    driver.set_defaults(run=_check_driver)
    _add_check_adapter(kinds)


def _shard(text: str) -> Shard:
    from botticelli.kit.selection import Shard

    try:
        return Shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _scale(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0.1 <= factor <= _LARGEST_SCALE:
        raise argparse.ArgumentTypeError(f"must be a factor, from 0.1 to {_LARGEST_SCALE}")
    return factor


def _suite_version(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})*", text):
        raise argparse.ArgumentTypeError("must be a version, such as 1")
    return text


def _add_check_adapter(kinds: Commands) -> None:
    adapter = kinds.add_parser(
        "adapter",
        help="try an adapter with easy calls, and say what is wrong with it",
        description="Play a few easy cases, and say what to mend in the adapter before its client is judged.",
    )
    adapter.add_argument("adapter", metavar="ADAPTER", help="as for check driver")
    adapter.add_argument(
        "--in-process", action="store_true", help="import it into this process, for a debugger"
    )
    adapter.set_defaults(run=_check_adapter)


def _check_adapter(options: argparse.Namespace) -> int:
    from botticelli.kit.checkup import check_adapter

    # Of our own drivers there are two; a run ends with the worse.
    return max(
        check_adapter(spec, sys.stdout, in_process=options.in_process) for spec in _adapters(options.adapter)
    )


def _check_driver(options: argparse.Namespace) -> int:
    from botticelli.kit.cases.suite import SUITE_VERSION
    from botticelli.kit.check import run_check
    from botticelli.kit.runner import JOBS

    return run_check(
        [adapter for name in options.drivers for adapter in _adapters(name)],
        out=sys.stdout,
        select=options.case,
        level=options.level,
        profiles=options.profile,
        shard=options.shard,
        rerun=options.rerun,
        paths=report_paths(options),
        baseline=options.baseline,
        new_baseline=options.write_baseline,
        seed=options.seed,
        jobs=options.jobs or JOBS,
        timeout_scale=options.timeout_scale,
        strict=options.strict,
        in_process=options.in_process,
        suite_version=options.suite_version or SUITE_VERSION,
    )


def _adapters(name: str) -> tuple[str, ...]:
    """Return what the judge loads for an argument; where a provider and a client share a name, the client.

    Raises:
        UsageError: There is no such driver.
    """
    from botticelli.kit.adapters.clients.registry import WORDS, adapters_for

    if found := adapters_for(name):
        return found
    if ":" in name:
        return (name,)
    ours = _our_drivers()
    if name not in ours:
        names = ", ".join((*sorted(ours.keys() - set(WORDS), key=str.swapcase), *WORDS))
        wanted = f"{names}, package.module:factory or 'command: PROGRAM ARGS'"
        raise UsageError(f"there is no driver {name!r}; give one of {wanted}")
    return ours[name]


def _our_drivers() -> dict[str, tuple[str, ...]]:
    """Return the adapters of our own drivers: by a provider's name both, by a class the one."""
    if find_spec("botticelli.providers") is None:
        return {}
    from botticelli.providers import PROVIDERS

    found: dict[str, tuple[str, ...]] = {}
    for provider, driver in PROVIDERS.items():
        sync, awaited = (f"botticelli.providers.adapters:{prefix}{provider}" for prefix in ("", "async_"))
        found |= {provider: (sync, awaited), driver: (sync,), f"Async{driver}": (awaited,)}
    return found


def add_explain(commands: Commands) -> None:
    """Register `explain`."""
    explain = commands.add_parser(
        "explain",
        help="show a case: its rule, what is asked and played, what is right, and how it went",
    )
    explain.add_argument("case", metavar="CASE", help="the case's name, as list cases shows it")
    explain.add_argument(
        "--report", type=Path, metavar="FILE", help="a JSON report of check driver, to show how it went"
    )
    explain.add_argument(
        "--seed", type=int, help="chooses the texts, ids and keys that are shown; default: the report's"
    )
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    from botticelli.kit.explain import explain

    explain(sys.stdout, options.case, report=options.report, seed=options.seed)
    return 0


def add_validate(commands: Commands) -> None:
    """Register `validate`."""
    validate = commands.add_parser(
        "validate",
        help="check a JSON file, or a captured stream, against a contract",
        description="Check a JSON file, or a whole capture: an event stream, or JSON values one a line. "
        "Each event of a capture is held to the contract; by openai/chunk, so is the order of events.",
    )
    validate.add_argument("file", help="a file, or - for standard input")
    validate.add_argument(
        "--contract",
        required=True,
        metavar="NAME",
        help="such as openai/response, or openai/chunk for a stream",
    )
    validate.set_defaults(run=_validate)


def _validate(options: argparse.Namespace) -> int:
    from botticelli.contracts import read_capture, validate_bytes, validate_capture

    data = bytes_of(options.file)
    capture = read_capture(data)
    if capture is None:
        violations, extent = validate_bytes(options.contract, data), ""
    else:
        violations, count = validate_capture(options.contract, capture), len(capture.events)
        extent = f" ({count} event{'s' * (count != 1)})"
    name = "standard input" if options.file == "-" else options.file
    wide = min(max((len(violation.path) for violation in violations), default=0), 60)
    for violation in violations:
        print(f"{violation.path:<{wide}}  {violation.message}")
    count = len(violations)
    verdict = f"{count} violation{'s' * (count != 1)} of" if count else "valid by"
    print(f"{name}: {verdict} {options.contract}{extent}")
    return 1 if violations else 0


def add_serve(commands: Commands) -> None:
    """Register `serve`."""
    serve = commands.add_parser("serve", help="play cases for any client, on this machine")
    serve.add_argument(
        "--port", type=whole_number(0, 65535), default=8434, help="default: %(default)s; 0 for any free port"
    )
    serve.add_argument(
        "--host",
        type=_host,
        default="127.0.0.1",
        help="default: %(default)s, which only this machine can reach",
    )
    serve.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="WORD",
        help="a case, an area, or a pattern (sse-*); repeatable",
    )
    serve.add_argument(
        "--answer", type=_text, metavar="TEXT", help="what the well-behaved server says; default: a greeting"
    )
    serve.add_argument(
        "--delay",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="between two chunks of its streams; default: none",
    )
    serve.add_argument(
        "--key", type=_key, help="the only API key that it accepts; default: any, and none at all"
    )
    serve.add_argument(
        "--model",
        type=_text,
        action="append",
        default=[],
        metavar="NAME",
        help="a model that it serves; repeatable. Others are not found; default: any name is served",
    )
    serve.add_argument("--log", action="store_true", help="print a line for each request")
    serve.set_defaults(run=_serve)


def _host(text: str) -> str:
    if not text.strip():  # asyncio would listen on every interface
        raise argparse.ArgumentTypeError("must be an address, such as 127.0.0.1")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_DELAY:
        raise argparse.ArgumentTypeError(f"must be seconds, from 0 to {_LONGEST_DELAY}")
    return seconds


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("must be UTF-8") from None
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _key(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError("must be visible ASCII characters without a space")
    return text


def _serve(options: argparse.Namespace) -> int:
    from botticelli.kit.cases.case import load_cases
    from botticelli.kit.check import select_cases
    from botticelli.kit.server.chat import TEXT, ChatServer
    from botticelli.kit.server.demo import serve

    cases = select_cases(load_cases(), options.case)
    chat = ChatServer(
        text=TEXT if options.answer is None else options.answer,
        delay=options.delay,
        key=options.key,
        models=options.model,
    )
    serve(cases, port=options.port, host=options.host, out=sys.stdout, chat=chat, logs=options.log)
    return 0


def add_list(commands: Commands) -> None:
    """Register `list cases` and `list contracts`."""
    listing = commands.add_parser("list", help="list the cases or the contracts")
    kinds = listing.add_subparsers(title="what to list", required=True, metavar="{cases,contracts}")
    cases = kinds.add_parser("cases", help="id, area, level and title of each")
    cases.add_argument("select", nargs="*", metavar="WORD", help="a case, an area, or a pattern (sse-*)")
    cases.set_defaults(run=_list_cases)
    contracts = kinds.add_parser("contracts", help="the names that validate accepts")
    contracts.set_defaults(run=_list_contracts)


def _list_cases(options: argparse.Namespace) -> int:
    from botticelli.kit.check import list_cases

    list_cases(sys.stdout, options.select)
    return 0


def _list_contracts(_options: argparse.Namespace) -> int:
    from botticelli.contracts import load, names

    print_table(("contract", "what it is"), [(name, str(load(name).get("title", ""))) for name in names()])
    return 0

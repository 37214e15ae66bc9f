"""The commands that judge servers: `check endpoint` and `rejudge`.

They don't import the driver; only with `--provider` is it asked for a service's URL and key variables.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from botticelli.cli.reporting import add_report_options, report_paths
from botticelli.cli.services import driver_class, provider_names
from botticelli.cli.terminal import UsageError, whole_number

if TYPE_CHECKING:
    from botticelli.cli.terminal import Commands
    from botticelli.drivers.provider import Provider
    from botticelli.kit.probes.check import Choice
    from botticelli.kit.probes.probe import Target

__all__ = ["add_endpoint", "add_rejudge"]

_LEVELS = ("must", "should", "may")
_PROFILES = ("core", "tolerance", "hardening", "provider")
_LONGEST = 3600


_EPILOG = """\
Four results are kept apart: a request that is obeyed, one that is refused honestly (a 4xx that
names what isn't supported), one that is silently ignored (a 200 as if it were obeyed: the grave
one), and one of which nothing can be concluded. Only the third, and answers that break a rule,
are failures.

The key is read from a variable and struck out of everything that is shown or saved.

Exit codes: 0 nothing failed, 1 something did or nothing was judged, 2 the endpoint can't be judged
or the command can't be carried out, 130 interrupted (what was done has been reported).
"""


def add_endpoint(kinds: Commands) -> None:
    """Register `check endpoint`."""
    parser = kinds.add_parser(
        "endpoint",
        help="ask a server of the OpenAI format, and say what it breaks",
        description="Ask a server of the OpenAI format some 200 short questions, and say what it breaks.",
    )
    parser.add_argument("urls", nargs="*", metavar="URL", help="such as http://127.0.0.1:8000/v1")
    parser.add_argument(
        "--provider",
        metavar="NAME",
        help=f"a service whose URL and key are known: {provider_names()}, or package.module:MyDriver",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="the model to ask; repeatable. Default: the only one that is listed",
    )
    parser.add_argument("--token-env", metavar="NAME", help="the environment variable that holds the key")
    _add_choice(parser)
    parser.add_argument(
        "--costly",
        action="store_true",
        help="also send prompts of megabytes: a server without a limit may run out of memory",
    )
    parser.add_argument(
        "--max-calls", type=whole_number(1, 1_000_000), metavar="N", help="calls at most, for each model"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="in which something must come; default: 60",
    )
    parser.add_argument(
        "--concurrency",
        type=whole_number(1, 64),
        default=1,
        metavar="N",
        help="probes at once; default: %(default)s",
    )
    parser.add_argument("--yes", action="store_true", help="don't ask before the first question")
    parser.add_argument("--dry-run", action="store_true", help="tell the costs, list the probes and stop")
    _add_reports(parser)
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="keep the exchanges, for botticelli rejudge (.zip)"
    )
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=_check_endpoint, complain=parser.error)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="WORD",
        help="a probe, an area, or a pattern (stop-*); repeatable",
    )
    parser.add_argument(
        "--area", action="append", default=[], metavar="AREA", help="only this area; repeatable"
    )
    parser.add_argument(
        "--level", action="append", default=[], choices=_LEVELS, help="only this level; repeatable"
    )
    parser.add_argument(
        "--profile", action="append", default=[], choices=_PROFILES, help="only this one; repeatable"
    )


def _add_reports(parser: argparse.ArgumentParser) -> None:
    add_report_options(parser)
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="known failures: a JSON file with their reasons by probe",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"must be seconds, more than 0 and up to {_LONGEST}")
    return seconds


def _check_endpoint(options: argparse.Namespace) -> int:
    from botticelli.kit.probes.check import check_endpoints

    asks = sys.stdin.isatty() and sys.stdout.isatty() and not options.yes
    return check_endpoints(
        _targets(options),
        out=sys.stdout,
        choice=_choice(options),
        paths=report_paths(options),
        save=options.save,
        baseline=options.baseline,
        confirm=_confirmed if asks else lambda: True,
        dry_run=options.dry_run,
        most=options.max_calls,
        timeout=options.timeout,
        jobs=options.concurrency,
    )


def _choice(options: argparse.Namespace) -> Choice:
    from botticelli.kit.probes.check import Choice

    return Choice(
        options.case, options.area, options.level, options.profile, getattr(options, "costly", False)
    )


def _confirmed() -> bool:
    try:
        return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _targets(options: argparse.Namespace) -> list[Target]:
    """Return what to judge: each model of each URL.

    Raises:
        UsageError: No URL is given, or a variable is empty.
    """
    from botticelli.kit.probes.client import parse_url
    from botticelli.kit.probes.probe import Target, key_in

    service = _service(options.provider) if options.provider else None
    urls = options.urls or ([service.base_url] if service else [])
    if not urls:
        options.complain("name an endpoint, such as http://127.0.0.1:8000/v1, or one with --provider")
    variable, option = options.token_env, "--token-env"
    if variable is None and service:
        variable, option = _key_variable(service, needed=not options.dry_run), "--provider"
    key = "" if variable is None else key_in(variable, option)
    addresses = [parse_url(url) for url in urls]
    models = options.model or [""]
    return [Target(address, model, key, variable or "") for address in addresses for model in models]


def _service(name: str) -> Provider:
    """Return what the driver's half of the package, which is imported only here, knows of a service."""
    from botticelli.drivers.provider import provider_of

    return provider_of(driver_class(name))


def _key_variable(service: Provider, *, needed: bool) -> str | None:
    """Return the first of a service's variables that holds a key; None if none does.

    Raises:
        UsageError: None does, and one is needed.
    """
    found = next((name for name in service.key_env if os.environ.get(name, "").strip()), None)
    if found is None and service.key_required and needed:
        raise UsageError(f"{service.name} needs a key in {' or '.join(service.key_env)}")
    return found


def add_rejudge(commands: Commands) -> None:
    """Register `rejudge`."""
    parser = commands.add_parser(
        "rejudge",
        help="judge the saved exchanges of an endpoint again, offline",
        description="Judge a run that was saved with `check endpoint --save`, a HAR file, or a folder with "
        "raw HTTP in NAME.request and NAME.response. Nothing is sent.",
    )
    parser.add_argument("path", type=Path, metavar="FILE", help="run.zip, a .har file, or a folder")
    _add_choice(parser)
    _add_reports(parser)
    parser.set_defaults(run=_rejudge)


def _rejudge(options: argparse.Namespace) -> int:
    from botticelli.kit.probes.check import rejudge

    return rejudge(
        options.path,
        out=sys.stdout,
        choice=_choice(options),
        paths=report_paths(options),
        baseline=options.baseline,
    )

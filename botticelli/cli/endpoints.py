"""The commands that judge servers: `check endpoint` and `rejudge`. They don't import the driver."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botticelli.cli.reporting import add_report_options, report_paths
from botticelli.cli.terminal import UsageError, whole_number

if TYPE_CHECKING:
    from botticelli.cli.terminal import Commands
    from botticelli.kit.probes.check import Choice
    from botticelli.kit.probes.probe import Target

__all__ = ["add_endpoint", "add_rejudge"]

_LEVELS = ("must", "should", "may")
_PROFILES = ("core", "tolerance", "hardening", "provider")
_LONGEST = 3600


@dataclass(frozen=True, slots=True)
class _Service:
    """A service that is known by its name.

    Attributes:
        url: Its base URL.
        keys: The variables that may hold a key; the first that isn't empty counts.
        needs_key: Whether it answers nobody without one.
    """

    url: str
    keys: tuple[str, ...]
    needs_key: bool = True


_SERVICES = {
    "huggingface": _Service("https://router.huggingface.co/v1", ("HUGGINGFACE_API_KEY", "HF_TOKEN")),
    "openai": _Service("https://api.openai.com/v1", ("OPENAI_API_KEY",)),
    "groq": _Service("https://api.groq.com/openai/v1", ("GROQ_API_KEY",)),
    "ollama": _Service("http://127.0.0.1:11434/v1", ("OLLAMA_API_KEY",), needs_key=False),
}

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
        "--provider", choices=tuple(_SERVICES), help="a service whose URL and key variable are known"
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
        help="also send prompts of megabytes, to any server; by default only near ones",
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
    from botticelli.kit.probes.probe import Target

    service = _SERVICES.get(options.provider or "")
    urls = options.urls or ([service.url] if service else [])
    if not urls:
        options.complain("name an endpoint, such as http://127.0.0.1:8000/v1, or one with --provider")
    variable = _key_variable(options, service)
    key = os.environ.get(variable, "").strip() if variable else ""
    if not key.isascii() or not key.isprintable():
        raise UsageError(f"the key in {variable} holds characters that no header can carry")
    addresses = [parse_url(url) for url in urls]
    models = options.model or [""]
    return [Target(address, model, key, variable) for address in addresses for model in models]


def _key_variable(options: argparse.Namespace, service: _Service | None) -> str:
    named: str | None = options.token_env
    if named is not None:
        if not os.environ.get(named, "").strip():
            # It may be the key itself that was given by mistake, so it isn't repeated.
            raise UsageError(
                "--token-env must name an environment variable that holds the key, and it holds none"
            )
        return named
    if service is None:
        return ""
    found = next((name for name in service.keys if os.environ.get(name, "").strip()), "")
    if not found and service.needs_key and not options.dry_run:
        raise UsageError(f"{options.provider} needs a key in {' or '.join(service.keys)}")
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

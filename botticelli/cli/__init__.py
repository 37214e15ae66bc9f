"""The command line: parse the arguments, run one command, report errors in one line with an exit code.

Exit codes: 0 success; 1 something was found or a call failed; 2 the command can't be carried out as given
(usage, configuration, a file that can't be read); 130 interrupted; 141 the reader of the output has closed
it, as for any program in a pipe: output that wasn't read to the end is no success.

Each command imports what it needs when it runs, so that the driver's commands never import the kit, and the
kit's never the driver.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from botticelli.cli.endpoints import add_rejudge
from botticelli.cli.judging import add_check, add_explain, add_list, add_serve, add_validate
from botticelli.cli.reporting import add_report
from botticelli.cli.talking import add_chat, add_models
from botticelli.cli.terminal import UsageError, in_one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

INTERRUPTED = 130
UNREAD = 141  # 128 + SIGPIPE
_PATIENCE = 2.0  # seconds that running threads have to end by themselves


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; None takes the process's own.

    Returns:
        The exit code; see the module's docstring.
    """
    code = _run(_parser().parse_args(arguments))
    if arguments is None:
        _end_soon(code)
    return code


def _run(options: argparse.Namespace) -> int:
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        # A terminal that can't show every character must not lose an answer that was paid for.
        reconfigure(errors="backslashreplace")
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe: `| head`
        _detach_stdout()
        return UNREAD
    except OSError as error:
        _detach_stdout()
        return _complain(f"the output can't be written: {error.strerror or error}", 2)
    except UsageError as error:
        return _complain(str(error), 2)
    except Exception as error:
        found = _expected(error)
        if found is None:
            raise
        return _complain(*found)
    return code


def _end_soon(code: int) -> None:
    """End the process soon: the interpreter would wait for non-daemon threads that a judged driver left."""

    def end() -> None:
        time.sleep(0 if code == INTERRUPTED else _PATIENCE)
        os._exit(code)

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    threading.Thread(target=end, daemon=True).start()


def _detach_stdout() -> None:
    """Discard unwritten output; otherwise the interpreter would report an error when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, code: int) -> int:
    print(f"botticelli: {in_one_line(message)}", file=sys.stderr)
    return code


def _expected(error: Exception) -> tuple[str, int] | None:
    """Return the message and exit code for one of our own errors, whose module must already be imported."""
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
    add_check(commands)
    add_explain(commands)
    add_report(commands)
    add_rejudge(commands)
    add_validate(commands)
    add_chat(commands)
    add_models(commands)
    add_serve(commands)
    add_list(commands)
    return parser


def _version() -> str:
    from botticelli.version import __version__

    return __version__

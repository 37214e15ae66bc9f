"""The command line: words to calls, results to text, errors to one line and an exit code. No judgement.

Exit codes: 0 all is well; 1 something was found or a call failed; 2 the command can't be carried out as
given (usage, configuration, a file that can't be read); 130 interrupted; 141 the reader of the output
has gone, as for any program in a pipe: what wasn't told to the end is no success.

Each command imports what it needs when it runs, so that the driver's commands never load the kit and the
kit's never load the driver.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from botticelli.cli.judging import add_check, add_list, add_serve, add_validate
from botticelli.cli.talking import add_chat, add_models
from botticelli.cli.terminal import UsageError, in_one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

INTERRUPTED = 130
UNREAD = 141  # 128 + SIGPIPE
_PATIENCE = 2.0  # seconds that what still runs has to end by itself


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
        # An answer that was paid for isn't lost over a terminal that can't show all of it.
        reconfigure(errors="backslashreplace")
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has gone: `| head`
        _let_go_of_stdout()
        return UNREAD
    except OSError as error:
        _let_go_of_stdout()
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
    """See to it that the process ends: the interpreter would wait for threads that a judged driver left."""

    def end() -> None:
        time.sleep(0 if code == INTERRUPTED else _PATIENCE)
        os._exit(code)

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    threading.Thread(target=end, daemon=True).start()


def _let_go_of_stdout() -> None:
    """Let what is left unwritten go nowhere, lest the interpreter complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, code: int) -> int:
    print(f"botticelli: {in_one_line(message)}", file=sys.stderr)
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
    add_check(commands)
    add_validate(commands)
    add_chat(commands)
    add_models(commands)
    add_serve(commands)
    add_list(commands)
    return parser


def _version() -> str:
    from botticelli import __version__

    return __version__

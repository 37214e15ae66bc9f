"""The commands that talk to a provider, `chat` and `models`. They never load the judge."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from botticelli.cli.services import driver_class, provider_names
from botticelli.cli.terminal import UsageError, bytes_of, in_one_line, print_table, visible, visible_json

if TYPE_CHECKING:
    from botticelli.cli.terminal import Commands
    from botticelli.core.models import Model
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import GenerateResponse
    from botticelli.drivers.driver import ChatDriver

__all__ = ["add_chat", "add_models"]

_SHOWN = 5  # models of a server that are named in an error

_ANY_MODEL = "none"  # a driver needs the name of a model, and a list of models doesn't


def add_chat(commands: Commands) -> None:
    """Register `chat`."""
    chat = commands.add_parser("chat", help="ask a model")
    chat.add_argument("prompt", help="what to say, or - for standard input")
    chat.add_argument(
        "--model",
        metavar="NAME",
        help="default: depends on the provider; of another server, the only one that it lists",
    )
    chat.add_argument("--system", metavar="TEXT", help="the system message: who the model is to be")
    chat.add_argument("--max-tokens", type=int, metavar="N")
    chat.add_argument("--temperature", type=float, metavar="X")
    chat.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="print the answer piece by piece (default), or all of it at its end",
    )
    chat.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    chat.add_argument(
        "--verbose",
        "-v",
        action="store_true",
        help="also print the usage and the departures from the format, on stderr",
    )
    _add_connection(chat)
    chat.set_defaults(run=_chat)


def _add_connection(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--provider",
        metavar="NAME",
        help=f"{provider_names()}, or package.module:MyDriver; default: huggingface",
    )
    command.add_argument(
        "--base-url",
        metavar="URL",
        help="another server of the same format, such as http://127.0.0.1:8000/v1; it needs no key",
    )
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="for each phase of the call")


def _driver(options: argparse.Namespace, model: str, *, audit: bool = False) -> ChatDriver:
    from botticelli.core.errors import ConfigurationError

    driver, url, timeout = driver_class(options.provider), options.base_url, options.timeout
    try:
        return driver(model, base_url=url, timeout=timeout, audit=audit)
    except ConfigurationError as error:
        if url is None or not error.missing:
            raise
        return driver.with_api_token(None, model, base_url=url, timeout=timeout, audit=audit)


def _model(options: argparse.Namespace) -> str:
    """Return ``--model``; else the only model of another server, or the provider's default model.

    Raises:
        UsageError: There is none of them.
    """
    from botticelli.drivers.provider import provider_of

    if options.model is not None:
        return str(options.model)
    default = provider_of(driver_class(options.provider)).default_model
    if options.base_url is None:
        if not default:
            raise UsageError(f"the provider {options.provider} has no default model; name one with --model")
        return default
    # another server has models of its own; one that lists none may not look at the name
    listed = _listed(options)
    if default and (not listed or default in listed):
        return default
    if len(listed) != 1:
        shown = ", ".join(listed[:_SHOWN]) + (", …" if len(listed) > _SHOWN else "")
        raise UsageError(f"name a model with --model; the server lists {in_one_line(shown) or 'none'}")
    return listed[0]


def _listed(options: argparse.Namespace) -> list[str]:
    """Return the names of the models that a server lists; none if it has no list."""
    from botticelli.core.errors import ModelsError, TransportError

    with _driver(options, _ANY_MODEL) as driver:
        try:
            return [model.id for model in driver.models()]
        except TransportError:
            raise
        except ModelsError:
            return []


def _chat(options: argparse.Namespace) -> int:
    request = _request(options)
    with _driver(options, _model(options), audit=options.verbose) as driver:
        if options.stream and not options.json:
            response = _print_stream(driver, request)
        else:
            response = driver.generate(request)
            print(_as_json(response) if options.json else _readable(response))
    if options.verbose:
        _print_details(response)
    elif response.finish_reason not in ("stop", "tool_use"):
        reason = response.finish_reason_raw or "no reason given"
        print(f"botticelli: the answer may not be whole: {in_one_line(str(reason))}", file=sys.stderr)
    if not options.json:
        _tell_the_rest(response)
    return 0


def _request(options: argparse.Namespace) -> GenerateRequest:
    from msgspec import UNSET

    from botticelli.core.message import Message
    from botticelli.core.request import GenerateRequest

    prompt = options.prompt
    if prompt == "-":
        prompt = bytes_of("-").decode(errors="replace")
    messages = [Message.user(prompt)]
    if options.system is not None:
        messages.insert(0, Message.system(options.system))
    return GenerateRequest(
        messages,
        max_tokens=UNSET if options.max_tokens is None else options.max_tokens,
        temperature=UNSET if options.temperature is None else options.temperature,
        stream_usage=options.verbose,
    )


def _print_stream(driver: ChatDriver, request: GenerateRequest) -> GenerateResponse:
    """Print the text piece by piece, with a line end after it, also before an error."""
    last = ""
    with driver.generate_stream(request) as stream:
        try:
            for chunk in stream:
                last = chunk.text or last
                print(visible(chunk.text), end="", flush=True)
        finally:
            if last and not last.endswith("\n"):
                print(flush=True)
    response = stream.response
    if not last:
        print(_readable(response))
    return response


def _readable(response: GenerateResponse) -> str:
    return visible(response.text or "\n".join(map(str, response.outputs)))


def _tell_the_rest(response: GenerateResponse) -> None:
    """Say on stderr what standard output doesn't show: that there is nothing, or more than text."""
    from botticelli.core.message import Reasoning, Text

    rest = [part for part in response.outputs if not isinstance(part, Reasoning | Text)]
    if not any(map(str, response.outputs)):
        print("botticelli: the answer is empty", file=sys.stderr)
    elif rest and response.text:
        listed = in_one_line(", ".join(map(str, rest)))
        print(f"botticelli: besides its text the answer has {listed}", file=sys.stderr)


def _as_json(response: GenerateResponse) -> str:
    import msgspec

    known = {name: value for name, value in msgspec.to_builtins(response).items() if name != "raw"}
    return visible_json(msgspec.json.format(msgspec.json.encode(known), indent=2).decode())


def _print_details(response: GenerateResponse) -> None:
    """Print the usage and the departures from the format on stderr, for people who run a server."""
    usage = response.usage
    counted = (
        f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else "the server sent no usage"
    )
    model = in_one_line(response.model) or "unnamed model"
    print(f"{model}: {response.finish_reason}, {counted}", file=sys.stderr)
    for deviation in response.deviations:
        times = f" ({deviation.count} times)" if deviation.count > 1 else ""
        path = in_one_line(deviation.path)
        print(f"departs from the format: {deviation.code} at {path}{times}", file=sys.stderr)


def add_models(commands: Commands) -> None:
    """Register `models`."""
    models = commands.add_parser("models", help="list what a server serves")
    models.add_argument("search", nargs="?", default="", help="only models whose name contains this")
    models.add_argument("--json", action="store_true", help="print the list as JSON")
    _add_connection(models)
    models.set_defaults(run=_models)


def _models(options: argparse.Namespace) -> int:
    with _driver(options, _ANY_MODEL) as driver:
        found = [model for model in driver.models() if options.search.lower() in model.id.lower()]
    if options.json:
        import msgspec

        print(visible_json(msgspec.json.format(msgspec.json.encode(found), indent=2).decode()))
    elif found:
        print_table(
            ("model", "providers", "context", "USD/M in", "out", "tools"), [_row(model) for model in found]
        )
    else:
        print("no model" + (f" has {options.search!r} in its name" if options.search else " is served"))
    return 0


def _row(model: Model) -> tuple[str, ...]:
    """Return a row: the cheapest live offer's prices, the longest context, whether any offer takes tools."""
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

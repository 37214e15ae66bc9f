"""Turn an answer that failed into an error, by the tables of its format and its provider.

The status decides the error's class. A rule may refine it, and nothing else may: nothing is guessed from
free text. Whatever the bytes are, one error of the tree comes out and nothing is raised. The server's own
message survives, without keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, overload

import msgspec

from botticelli.core.errors import KINDS, ApiError, ConfigurationError, ContextLengthError, StreamError
from botticelli.protocol import error_body, response_headers
from botticelli.protocol.error_body import MAX_BODY, ErrorBody
from botticelli.protocol.redaction import redact, redact_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botticelli.core.response import GenerateResponse
    from botticelli.protocol.http import ResponseHead

__all__ = [
    "CLASSES",
    "ErrorRule",
    "ErrorTable",
    "build_error",
    "build_stream_error",
    "find_hint",
    "find_kind",
]

CLASSES: Final[Mapping[str, type[ApiError]]] = {
    kind: cls for kind, cls in KINDS.items() if issubclass(cls, ApiError)
}
"""The kinds that an answer with an error status can have, and their classes."""


class ErrorRule(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one rule: when every criterion that is given holds, the error is of this kind.

    Within a criterion any one value is enough. An error inside a 200 that names no status meets any
    `statuses`.

    Attributes:
        kind: One of `CLASSES`.
        statuses: The statuses it may come with; empty for any.
        codes: The server's codes, matched exactly.
        types: The server's types, matched exactly.
        patterns: Regular expressions, case ignored, searched for in the message. A rule for
            ``context_length`` may name groups, as `known_errors` says.
        unless: Such expressions too; with one of them in the message the rule doesn't hold.

    Raises:
        ConfigurationError: The kind is unknown, a pattern can't be compiled, or the rule has no other
            criterion than statuses.
    """

    kind: str
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str | int] = frozenset()
    types: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in CLASSES:
            raise ConfigurationError(
                f"an error rule names the unknown kind {self.kind!r}", setting="error_rules"
            )
        if not (self.codes or self.types or self.patterns):
            raise ConfigurationError(
                f"the error rule for {self.kind!r} needs a code, a type or a pattern beside its statuses",
                setting="error_rules",
            )
        for pattern in (*self.patterns, *self.unless):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigurationError(
                    f"the pattern {pattern!r} of an error rule for {self.kind!r} can't be compiled: {error}",
                    setting="error_rules",
                ) from None

    def matches(self, status: int | None, code: str | int | None, type_: str | None, message: str) -> bool:
        """Return whether the rule applies to such an error."""
        return (
            (not self.statuses or status is None or status in self.statuses)
            and (not self.codes or code in self.codes)
            and (not self.types or type_ in self.types)
            and (not self.patterns or _any(self.patterns, message))
            and not _any(self.unless, message)
        )


def _any(patterns: tuple[str, ...], message: str) -> bool:
    return any(re.search(pattern, message, re.IGNORECASE) for pattern in patterns)


class ErrorTable(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what a format publishes about its errors; each format has one.

    Attributes:
        statuses: The kind of each status. Of the others a 5xx is ``server``, anything else ``api``.
        rules: Tried in order before the status decides, but after the provider's rules.
        kinds: The kind of an error inside a 200, which has no status, by its code or type.
        hints: What to do about an error; see `find_hint` for the keys.
    """

    statuses: Mapping[int, str]
    rules: tuple[ErrorRule, ...] = ()
    kinds: Mapping[str, str] = MappingProxyType({})
    hints: Mapping[str, str] = MappingProxyType({})


_MAX_DIGITS: Final = 16

_NO_HINTS: Final[Mapping[str, str]] = MappingProxyType({})


def build_error(
    head: ResponseHead,
    body: bytes,
    table: ErrorTable,
    *,
    model: str | None = None,
    error_rules: tuple[ErrorRule, ...] = (),
    hints: Mapping[str, str] = _NO_HINTS,
    secrets: tuple[str, ...] = (),
) -> ApiError:
    """Build the error for an answer whose status isn't a 2xx.

    Args:
        head: The answer's status and headers.
        body: What was received of the body; the first MiB is read.
        table: The format's table.
        model: The requested model: a 404 that names it is about the model, not the path.
        error_rules: The provider's rules, tried before the format's.
        hints: The provider's hints, tried likewise.
        secrets: The keys of the call, which are masked wherever the server repeats them.

    Returns:
        The error, not raised. Its message is the server's, of at most `error_body.MAX_MESSAGE` characters;
        without one, the status's own phrase.
    """
    status, headers, body = head.status, head.headers, body[:MAX_BODY]
    found = error_body.read_error_body(body, head.content_type)
    message = (
        _shown(found.message, secrets)
        or _shown(headers.get("x-error-message", ""), secrets)
        or _phrase(status)
    )
    code = found.code if found.code is not None else error_body.clean_word(headers.get("x-error-code"))
    kind = _kind(status, code, found, message, table, model, error_rules) or "api"
    limited = status == HTTPStatus.TOO_MANY_REQUESTS
    wait = response_headers.read_retry_after(headers, head.received_at, limited=limited)
    error = CLASSES[kind](
        message,
        status=status,
        code=_masked(code, secrets),
        type=_masked(found.type, secrets),
        param=_masked(found.param, secrets),
        body=redact_bytes(body, secrets),
        retry_after=found.wait if wait is None else wait,
        should_retry=response_headers.read_should_retry(headers),
        rate_limits=response_headers.read_rate_limits(headers, head.received_at),
        request_id=_masked(response_headers.read_request_id(headers), secrets),
        hint=find_hint(kind, status, hints, table.hints),
    )
    if isinstance(error, ContextLengthError):
        error.limit, error.used = _sizes(found, (*error_rules, *table.rules))
    error.model = model
    return error


def build_stream_error(
    body: bytes,
    table: ErrorTable,
    *,
    model: str | None = None,
    error_rules: tuple[ErrorRule, ...] = (),
    hints: Mapping[str, str] = _NO_HINTS,
    secrets: tuple[str, ...] = (),
    partial: GenerateResponse | None = None,
) -> StreamError:
    """Build the error for an error that a server put inside a 200.

    Args:
        body: The whole body, or the data of one event, as received.
        table: The format's table.
        model: The requested model.
        error_rules: The provider's rules, tried before the format's.
        hints: The provider's hints, tried likewise.
        secrets: The keys of the call, to be masked.
        partial: What had been delivered before.

    Returns:
        The error, not raised. `cause_kind` is what the same tables make of the status that the server
        names inside, or else of its code and type; None where it gives neither.
    """
    body = body[:MAX_BODY]
    found = error_body.read_error_body(body)
    message = _shown(found.message, secrets) or "the server ended its answer with an error and no message"
    kind = _kind(found.status, found.code, found, message, table, model, error_rules)
    error = StreamError(
        message,
        status=found.status,
        code=_masked(found.code, secrets),
        type=_masked(found.type, secrets),
        param=_masked(found.param, secrets),
        cause_kind=kind,
        body=redact_bytes(body, secrets),
        partial=partial,
        hint=find_hint(kind, found.status, hints, table.hints) if kind else None,
    )
    error.model = model
    error.retry_after = found.wait
    return error


def find_kind(
    rules: Iterable[ErrorRule], status: int | None, code: str | int | None, type_: str | None, message: str
) -> str | None:
    """Return the kind that the first fitting rule gives, or None."""
    return next((rule.kind for rule in rules if rule.matches(status, code, type_, message)), None)


def find_hint(kind: str, status: int | None, *tables: Mapping[str, str]) -> str | None:
    """Return what to do about an error, from the first table that knows.

    Args:
        kind: The error's kind.
        status: Its status, or None.
        tables: Keys are ``kind/status`` or ``kind``; in each table the more precise key wins.
    """
    for table in tables:
        found = table.get(f"{kind}/{status}") or table.get(kind)
        if found:
            return found
    return None


def _kind(
    status: int | None,
    code: str | int | None,
    found: ErrorBody,
    message: str,
    table: ErrorTable,
    model: str | None,
    error_rules: tuple[ErrorRule, ...],
) -> str | None:
    rules = (*error_rules, *table.rules)
    # then by the reason alone, which a gateway has put into its own message: a pattern may be anchored
    for text in dict.fromkeys((message, found.reason[: error_body.MAX_MESSAGE])):
        refined = find_kind(rules, status, code, found.type, text)
        if refined:
            return refined
    if status is None:
        return table.kinds.get(str(code)) or table.kinds.get(str(found.type))
    if status == HTTPStatus.NOT_FOUND and (found.param == "model" or (model and _names(message, model))):
        return "model_not_found"
    return table.statuses.get(status) or ("server" if 500 <= status <= 599 else "api")


def _sizes(found: ErrorBody, rules: tuple[ErrorRule, ...]) -> tuple[int | None, int | None]:
    """Return how many tokens fit and how many were asked for, each None where it is unknown."""
    text = found.message[: error_body.MAX_MESSAGE]
    limit, used = found.limit, found.used
    for pattern in (pattern for rule in rules if rule.kind == "context_length" for pattern in rule.patterns):
        if limit and used:
            break
        match = re.search(pattern, text, re.IGNORECASE)
        if match:
            groups = {name: _tokens(digits) for name, digits in match.groupdict().items()}
            limit = limit or groups.get("limit")
            used = used or ((groups.get("used") or 0) + (groups.get("more") or 0))
    return limit or None, used or None


def _tokens(digits: str | None) -> int | None:
    """Return a number with or without commas between its digits; None for one that no model could have."""
    plain = (digits or "").replace(",", "")
    return int(plain) if 0 < len(plain) < _MAX_DIGITS else None


def _names(message: str, model: str) -> bool:
    """Return whether a message names the model, with or without its ``:provider``, and not a path."""
    names = {model, model.partition(":")[0]} - {""}
    return any(re.search(rf"(?<![\w/.:-]){re.escape(name)}(?![\w/-]|\.\w)", message) for name in names)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"


def _shown(text: str, secrets: tuple[str, ...]) -> str:
    return error_body.clean(redact(text, secrets), error_body.MAX_MESSAGE)


@overload
def _masked(value: str | None, secrets: tuple[str, ...]) -> str | None: ...
@overload
def _masked(value: str | int | None, secrets: tuple[str, ...]) -> str | int | None: ...
def _masked(value: str | int | None, secrets: tuple[str, ...]) -> str | int | None:
    return redact(value, secrets) if isinstance(value, str) else value

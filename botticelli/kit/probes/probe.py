"""Probe files: find, read and check them, and write the requests of a probe.

What the members of a probe mean is written in contracts/kit/probe.schema.json.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botticelli.contracts.jsonvalue import Document, is_array, is_object
from botticelli.kit.cases.case import overlay
from botticelli.kit.errors import CaseError, KitError
from botticelli.kit.probes.client import Sending
from botticelli.kit.probes.comparisons import COMPARISONS
from botticelli.kit.probes.laws import LAWS
from botticelli.kit.requirement import Requirement
from botticelli.kit.schemas import data_root, schema_violations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from botticelli.kit.probes.client import Address

__all__ = [
    "CHAT",
    "WRONG_KEY",
    "Ask",
    "Probe",
    "Target",
    "Traits",
    "hash_of",
    "key_in",
    "load_probes",
    "probes_folder",
]

CHAT = "/chat/completions"
WRONG_KEY = "sk-botticelli-not-a-key-0123456789abcdef"
"""The key that is sent where a wrong one is wanted."""

_ROOM = 64
_TOOL_ROOM = 256
_QUESTION = "Say hello in one short sentence."
_VARIABLE = re.compile(r"\{\{([a-z]+)(?::([0-9]+))?\}\}")


@dataclass(frozen=True, slots=True)
class Traits:
    """What was learned from the first answers of an endpoint.

    Attributes:
        limit: The member that limits the answer: some models refuse ``max_tokens``.
        temperature: Whether a temperature may be sent.
        room: Tokens that a short answer needs; more for a model that thinks first.
    """

    limit: str = "max_tokens"
    temperature: bool = True
    room: int = _ROOM


@dataclass(frozen=True, slots=True)
class Target:
    """What is judged.

    Attributes:
        address: Where it is.
        model: Which model is asked.
        key: The key; empty for none. It appears nowhere.
        key_env: The variable that holds the key, for what is shown.
        traits: What was learned about it.
    """

    address: Address
    model: str
    key: str = ""
    key_env: str = ""
    traits: Traits = Traits()

    def __repr__(self) -> str:
        """Name it without its key."""
        return f"Target({self.address.url!r}, {self.model!r})"


def key_in(variable: str, option: str) -> str:
    """Return the key that an environment variable holds.

    Args:
        variable: Its name, as the user gave it.
        option: The option that names it, for messages.

    Raises:
        KitError: It holds none, or one that can't be sent.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        # It may be the key itself that was given by mistake, so it isn't repeated.
        raise KitError(f"{option} must name an environment variable that holds the key, and it holds none")
    if not key.isascii() or not key.isprintable():
        raise KitError(f"the key in {variable} holds characters that no header can carry")
    return key


@dataclass(frozen=True)
class Ask:
    """One question of a probe.

    Attributes:
        document: As in the file.
        number: Its place in the probe.
    """

    document: Document
    number: int

    @property
    def name(self) -> str:
        """Its name in the probe."""
        return str(self.document.get("name", f"ask{self.number + 1}"))

    @property
    def method(self) -> str:
        """The method of the request."""
        return str(self.document.get("method", "POST" if self.has_body else "GET"))

    @property
    def path(self) -> str:
        """The path after the base URL."""
        return str(self.document.get("path", CHAT))

    @property
    def has_body(self) -> bool:
        """True when a body is sent."""
        return any(name in self.document for name in ("chat", "json", "text", "base64"))

    @property
    def same_connection(self) -> bool:
        """True when it follows the question before it on its connection."""
        return bool(self.document.get("same_connection"))

    @property
    def copies(self) -> int:
        """How often it is asked at once."""
        return int(self.document.get("at_once", 1))

    @property
    def variants(self) -> list[Document]:
        """The bodies to try, in order, until the premise holds; each laid over ``chat``."""
        first: Document = {}
        return [first, *self.document.get("instead", [])]

    @property
    def uncut(self) -> bool:
        """True when the answer must not be cut by our own limit, and is asked again if it is."""
        return bool(self.document.get("uncut"))

    @property
    def if_stopped(self) -> str:
        """The question that must be answered with the finish reason stop, or this isn't asked; or empty."""
        return str(self.document.get("if_stopped", ""))

    @property
    def tokens(self) -> int:
        """The tokens that the answers may have, if the model needs no more than usual."""
        chat = self.document.get("chat")
        if not is_object(chat):
            return _ROOM
        given = chat.get("max_tokens") or chat.get("max_completion_tokens")
        usual = _TOOL_ROOM if "tools" in chat else _ROOM
        return (given if isinstance(given, int) and given > 0 else usual) * int(chat.get("n") or 1)

    def sending(
        self,
        target: Target,
        *,
        variant: int = 0,
        room: int = 0,
        words: Mapping[str, str] | None = None,
        patience: float = 60.0,
    ) -> Sending:
        """Return the request.

        Args:
            target: Whom to ask.
            variant: Which of :attr:`variants`.
            room: Tokens that the answer may have where the probe doesn't say; 0 for the usual ones.
            words: What ``{{word}}`` and ``{{span}}`` stand for.
            patience: Seconds in which something must come.
        """
        ask = self.document
        values = {"model": target.model, **(words or {})}
        fill = _Fill(values)
        body = self._body(target, self.variants[variant], room, fill)
        headers = [("Accept", "*/*"), ("User-Agent", "botticelli-check-endpoint")]
        key = {"right": target.key, "wrong": WRONG_KEY, "none": ""}[ask.get("key", "right")]
        if key:
            headers.append(("Authorization", f"Bearer {key}"))
        if body is not None:
            headers.append(("Content-Type", "application/json"))
        given = [(str(name), fill.text(str(value))) for name, value in ask.get("headers", [])]
        replaced = {name.lower() for name, _ in given}
        headers = [pair for pair in headers if pair[0].lower() not in replaced]
        if ask.get("expects"):
            headers.append(("Expect", "100-continue"))
        path = self.path.replace("{{model}}", quote(target.model, safe=""))
        query = f"?{target.address.query}" if target.address.query else ""
        base = "" if ask.get("outside") else target.address.base
        return Sending(
            ask=self.name,
            method=self.method,
            target=f"{base}{path}{query}",
            headers=[*headers, *given],
            body=body,
            version=ask.get("version", "1.1"),
            chunked=ask.get("chunked", False),
            expects=ask.get("expects", False),
            closes=ask.get("closes", False),
            leaves_after=ask.get("leaves_after", 0),
            patience=patience,
            # A server that sends keep-alives while it reads a long prompt would hold us for long.
            total=patience if ask.get("slow") else 0.0,
        )

    def _body(self, target: Target, variant: Document, room: int, fill: _Fill) -> bytes | None:
        ask = self.document
        if "base64" in ask:
            return base64.b64decode(ask["base64"])
        if "text" in ask:
            return fill.text(ask["text"]).encode()
        if "json" in ask:
            return json.dumps(fill.value(ask["json"]), ensure_ascii=False).encode()
        if "chat" not in ask:
            return None
        chat = overlay(ask["chat"], variant)
        usual = max(_TOOL_ROOM if "tools" in chat else _ROOM, target.traits.room)
        traits = target.traits
        base: Document = {
            "model": "{{model}}",
            "messages": [{"role": "user", "content": _QUESTION}],
            **({"temperature": 0} if traits.temperature else {}),
        }
        if not {"max_tokens", "max_completion_tokens"} & chat.keys():
            base[traits.limit] = max(room, usual)
        body = {**base, **chat}
        body = {name: value for name, value in body.items() if name not in ask.get("without", [])}
        return json.dumps(fill.value(body), ensure_ascii=False).encode()


class _Fill:
    """Fills in the variables of a probe."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def value(self, value: Any) -> Any:
        """Return a JSON value with its strings filled in."""
        if isinstance(value, str):
            return self.text(value)
        if is_array(value):
            return [self.value(item) for item in value]
        if is_object(value):
            return {name: self.value(item) for name, item in value.items()}
        return value

    def text(self, text: str) -> str:
        """Return a text filled in."""
        return _VARIABLE.sub(self._replace, text) if "{{" in text else text

    def _replace(self, found: re.Match[str]) -> str:
        name, number = found[1], int(found[2] or 1)
        repeated = {"words": "word ", "open": "[", "close": "]"}
        return repeated[name] * number if name in repeated else self._values[name]


@dataclass(frozen=True)
class Probe(Requirement):
    """One requirement on an endpoint: what to ask, and what must come."""

    @property
    def effect(self) -> str:
        """What a client suffers when it isn't kept."""
        return str(self.document["effect"])

    @property
    def rule(self) -> str:
        """What must come, unless a question says otherwise: ``answer``, ``feature``, ``error`` or ``any``."""
        return str(self.document.get("rule", "feature"))

    @property
    def parameter(self) -> str:
        """The member that the server may refuse, and must name; empty for none."""
        return str(self.document.get("parameter", ""))

    @property
    def costly(self) -> bool:
        """True when it sends so much that only one's own server should be asked."""
        return bool(self.document.get("costly"))

    @cached_property
    def asks(self) -> list[Ask]:
        """The questions, in order."""
        return [Ask(ask, number) for number, ask in enumerate(self.document["asks"])]

    @property
    def calls(self) -> int:
        """Requests that it makes at most, without those that a busy server asks to repeat."""
        return sum(ask.copies * (len(ask.variants) + 2 * ask.uncut) for ask in self.asks)

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of prompt and of answers, at most and roughly."""
        sent = got = 0
        for ask in self.asks:
            if not ask.has_body or ask.method != "POST" or ask.path != CHAT:
                continue
            times = ask.copies * len(ask.variants)
            sent += times * (len(json.dumps(ask.document)) // 4 + 1)
            if ask.document.get("rule", self.rule) not in ("error", "any"):
                got += times * ask.tokens
        return sent, got


def probes_folder() -> Path:
    """Return the folder of the probes that come with the package."""
    return data_root() / "fixtures" / "probes"


def hash_of(probes: Iterable[Probe]) -> str:
    """Return the first 16 hexadecimal digits of SHA-256 over what some probes ask, in any order."""
    documents = [json.dumps(probe.document, sort_keys=True, separators=(",", ":")) for probe in probes]
    return hashlib.sha256("\n".join(sorted(documents)).encode()).hexdigest()[:16]


def load_probes(folder: Path | None = None) -> list[Probe]:
    """Read and check all probes, in the order of area and id.

    Args:
        folder: Where they are; by default those that come with the package.

    Raises:
        CaseError: One of them can't be used.
    """
    files = sorted((folder or probes_folder()).glob("*/*/*.json"))
    probes = [_read(path) for path in files]
    if not probes:
        raise CaseError(f"there are no probes in {folder or probes_folder()}")
    return sorted(probes, key=lambda probe: (probe.area, probe.id))


def _read(path: Path) -> Probe:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise CaseError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CaseError(f"{path}: not JSON: {error}") from error
    faults = schema_violations("probe", document) or list(_faults(document, path))
    if faults:
        raise CaseError(f"{path}: {'; '.join(faults[:3])}")
    return Probe(document)


def _faults(document: Document, path: Path) -> Iterator[str]:
    """Yield what the schema can't say."""
    if document["id"] != path.stem or document["area"] != path.parent.name:
        yield "the file must be called AREA/ID.json"
    probe = Probe(document)
    names = [ask.name for ask in probe.asks]
    if len(set(names)) != len(names):
        yield "two questions have one name"
    for ask, following in zip(probe.asks, [*probe.asks[1:], None], strict=True):
        if ask.if_stopped and (ask.same_connection or (following and following.same_connection)):
            yield f"{ask.name!r} shares a connection, so it can't depend on what came before"
        if ask.if_stopped and ask.if_stopped not in names[: ask.number]:
            yield f"there is no question {ask.if_stopped!r} before {ask.name!r}"
        for law in laws_in(ask.document.get("laws", [])):
            if law["law"] not in LAWS:
                yield f"there is no law {law['law']!r}"
    for law in laws_in(document.get("laws", [])):
        if law["law"] not in COMPARISONS:
            yield f"there is no law {law['law']!r} between answers"
        yield from (f"there is no question {name!r}" for name in named_in(law) if name not in names)


def laws_in(written: Sequence[Any]) -> list[Document]:
    """Return laws as objects, those without arguments too."""
    return [{"law": one} if isinstance(one, str) else one for one in written]


_ROLES = frozenset(
    [
        "whole",
        "again",
        "stream",
        "stopped",
        "limited",
        "room",
        "one",
        "many",
        "other",
        "plain",
        "more",
        "control",
        "without",
        "wrong",
        "first",
        "second",
    ]
)
"""The arguments of laws between answers that name a question."""


def named_in(law: Mapping[str, Any]) -> list[str]:
    """Return the questions that a law between answers names."""
    return [str(law[role]) for role in sorted(_ROLES & law.keys())] + list(law.get("of", []))

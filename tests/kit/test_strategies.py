"""What is drawn from a contract keeps it, reaches all of it, and breaks when damaged."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings

from botticelli import contracts
from botticelli.contracts import ContractDataError, SchemaSet
from botticelli.contracts.values import is_array, is_object, kind_of, resolve
from botticelli.kit import strategies
from botticelli.kit.damage import KINDS, damaged
from botticelli.kit.strategies import instances, json_values, mutations

OURS = [name for name in contracts.names() if not name.startswith("kit/")]
ONCE = settings(max_examples=60, deadline=None, database=None)
MANY = 400
# The same draws in every run, so that what is rare is reached always or never.
ALWAYS_THE_SAME = settings(ONCE, derandomize=True)
GENERATE_ONLY = settings(max_examples=20_000, deadline=None, database=None, phases=[Phase.generate])


@pytest.mark.parametrize("name", OURS)
def test_an_instance_keeps_its_contract(name: str) -> None:
    @ONCE
    @given(instances(name))
    def keeps(instance: Any) -> None:
        assert contracts.violations(name, instance) == []
        json.dumps(instance, allow_nan=False).encode()

    keeps()


def nodes(value: Any) -> list[Any]:
    inner = list(value.values()) if is_object(value) else value if is_array(value) else []
    return [value, *(node for item in inner for node in nodes(item))]


def definitions(name: str) -> list[str]:
    return ["", *(f"/$defs/{definition}" for definition in contracts.load(name).get("$defs", {}))]


def members(schema: Any, place: str) -> set[str]:
    """The addresses of the members and items that a schema itself defines."""
    found = set[str]()
    if is_object(schema):
        inner = {f"/properties/{name}": member for name, member in schema.get("properties", {}).items()}
        inner |= {f"/{word}": schema[word] for word in ("items", "additionalProperties") if word in schema}
        for step, member in inner.items():
            if is_object(member):
                found |= {place + step} | members(member, place + step)
    return found


@pytest.mark.parametrize(
    ("name", "at"),
    [(name, at) for name in OURS for at in definitions(name)],
    ids=lambda value: value.removeprefix("/$defs/"),
)
def test_every_member_of_a_definition_is_reached(name: str, at: str) -> None:
    reached = set[str]()
    judge = contracts.packaged().judge(name, at)

    @settings(ALWAYS_THE_SAME, max_examples=MANY if (name, at) == ("openai/request", "") else 60)
    @given(instances(name, at))
    def gather(instance: Any) -> None:
        assert judge.is_valid(instance)
        details = judge.evaluate(instance).list()["details"]
        reached.update(unit["schemaLocation"] for unit in details if "schemaLocation" in unit)

    gather()
    schema = contracts.load(name)
    assert members(resolve(schema, at), f"{schema['$id']}#{at}") - reached == set()


@pytest.mark.parametrize("name", ["openai/chunk", "openai/error", "openai/model-list", "openai/response"])
def test_every_definition_is_reached_from_the_root(name: str) -> None:
    reached = set[str]()

    @ALWAYS_THE_SAME
    @given(instances(name))
    def gather(instance: Any) -> None:
        details = contracts.validator(name).evaluate(instance).list()["details"]
        reached.update(unit["schemaLocation"] for unit in details if "schemaLocation" in unit)

    gather()
    schema = contracts.load(name)
    for at in definitions(name):
        assert members(resolve(schema, at), f"{schema['$id']}#{at}") - reached == set()


@pytest.mark.parametrize("name", OURS)
def test_damage_breaks_many_instances(name: str) -> None:
    verdicts = list[bool]()

    @ALWAYS_THE_SAME
    @given(mutations(name))
    def judge(instance: Any) -> None:
        json.dumps(instance, allow_nan=False)
        verdicts.append(contracts.validator(name).is_valid(instance))

    judge()
    broken = verdicts.count(False)
    # The tolerant contracts forgive most damage, as they should.
    assert broken >= len(verdicts) // (8 if name.startswith("wire/") else 4)
    assert broken < len(verdicts) or not name.startswith("wire/")


def test_damage_leaves_the_original_alone() -> None:
    original = {"a": [{"b": "x"}], "c": 1}
    kept = json.dumps(original)

    @ONCE
    @given(damaged(original))
    def spoil(_: Any) -> None:
        assert json.dumps(original) == kept

    spoil()


DAMAGE: dict[str, Callable[[Any], bool]] = {
    "delete": lambda value: value is None or value in ({}, {"a": []}),
    "null": lambda value: value in (None, {"a": None}, {"a": [None]}),
    "retype": lambda value: value != {"a": ["xy"]},
    "number": lambda value: any(isinstance(node, int | float) for node in nodes(value)),
    "empty": lambda value: any(node in ("", [], {}) for node in nodes(value)),
    "wrap": lambda value: len(nodes(value)) > 3,
    "double": lambda value: value != {"a": ["xy"]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_of_the_kind_asked_for(kind: str) -> None:
    @ALWAYS_THE_SAME
    @given(damaged({"a": ["xy"]}, (kind,)))
    def spoil(value: Any) -> None:
        assert DAMAGE[kind](value)

    spoil()


@pytest.mark.parametrize(
    "wanted", [{"a": ["xyxy"]}, {"a": ["xy", "xy"]}, {"a": [["xy"]]}, [{"a": ["xy"]}]], ids=str
)
def test_what_can_be_doubled_or_wrapped_is(wanted: Any) -> None:
    damage = damaged({"a": ["xy"]}, ("wrap", "double"))
    assert find(damage, lambda value: value == wanted, settings=GENERATE_ONLY) == wanted


def test_unknown_members_are_drawn_only_on_request() -> None:
    def has_unknown(instance: Any) -> bool:
        return any(is_object(node) and any(key.startswith("x_") for key in node) for node in nodes(instance))

    find(instances("openai/error"), has_unknown, settings=GENERATE_ONLY)

    @settings(ONCE, max_examples=MANY)
    @given(instances("openai/error", unknown=False))
    def without(instance: Any) -> None:
        assert not has_unknown(instance)

    without()


Request = dict[str, Any]
CONDITIONS: dict[str, Callable[[Request], bool]] = {
    "stream options": lambda request: request.get("stream_options") is not None,
    "top logprobs": lambda request: request.get("top_logprobs") is not None,
    "audio": lambda request: "audio" in (request.get("modalities") or []),
    "assistant without content": lambda request: "content" not in turn(request, "assistant", {"content": 1}),
    "tool": lambda request: bool(turn(request, "tool", {})),
    "word of choice": lambda request: isinstance(request.get("tool_choice"), str),
    "choice of tools": lambda request: is_object(request.get("tool_choice")),
    "fraction": lambda request: isinstance(request.get("temperature"), float),
    "bound": lambda request: request.get("temperature") == 2,
    "whole fraction": lambda request: isinstance(request.get("n"), float),
    "several stops": lambda request: is_array(request.get("stop")) and len(request["stop"]) > 1,
    "grammar": lambda request: "grammar" in json.dumps(request),
}


def turn(request: Request, role: str, otherwise: Request) -> Request:
    return next((message for message in request["messages"] if message["role"] == role), otherwise)


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_what_hangs_together_is_drawn_together(condition: Callable[[Request], bool]) -> None:
    request = find(instances("openai/request"), condition, settings=GENERATE_ONLY)
    assert contracts.violations("openai/request", request) == []


def test_json_values_are_of_every_kind() -> None:
    kinds = {"null", "boolean", "number", "string", "array", "object"}
    seen = set[str]()

    @settings(ALWAYS_THE_SAME, max_examples=MANY)
    @given(json_values())
    def gather(value: Any) -> None:
        seen.add(kind_of(value))

    gather()
    assert seen == kinds


def test_a_keyword_that_is_not_understood_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = SchemaSet({"t/odd": {"$id": "urn:test:odd", "properties": {"a": {"items": {"oneOf": [{}]}}}}})
    monkeypatch.setattr(strategies, "packaged", lambda: odd)
    said = r"t/odd#/properties/a/items uses oneOf, which no strategy understands"
    with pytest.raises(ContractDataError, match=said):
        instances("t/odd")


def test_an_unknown_contract_is_refused_at_once() -> None:
    with pytest.raises(contracts.UnknownContractError):
        instances("openai/answer")

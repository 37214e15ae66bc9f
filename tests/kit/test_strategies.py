"""What is drawn from a contract keeps it, reaches all of it, and breaks when damaged."""

import contextlib
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy
from jsonschema_rs import Draft202012Validator

from botticelli import contracts
from botticelli.contracts import ContractDataError, SchemaSet
from botticelli.contracts.jsonvalue import is_array, is_object, kind_of, resolve
from botticelli.kit import strategies
from botticelli.kit.strategies import DAMAGES, damaged, instances, json_values, mutations

OURS = [name for name in contracts.names() if not name.startswith("kit/")]
ONCE = settings(max_examples=30, deadline=None, database=None)
ALWAYS_THE_SAME = settings(ONCE, derandomize=True)
# Far more draws than are ever needed, of which the first that satisfies is the last: the same draws depend
# on what else has been imported, for hypothesis likes to draw the constants that it finds there.
UNTIL_FOUND = settings(ALWAYS_THE_SAME, max_examples=5_000, phases=[Phase.generate])


def never_found(
    strategy: SearchStrategy[Any], wanted: Iterable[str], found: Callable[[Any], set[str]]
) -> set[str]:
    """Draw until all that is wanted has been found; return what has not."""
    left = set(wanted)

    def look(instance: Any) -> bool:
        left.difference_update(found(instance))
        return not left

    with contextlib.suppress(NoSuchExample):
        find(strategy, look, settings=UNTIL_FOUND)
    return left


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


def wanted_of(name: str, at: str) -> set[str]:
    schema = contracts.load(name)
    return members(resolve(schema, at), f"{schema['$id']}#{at}")


@pytest.mark.parametrize(
    ("name", "at"),
    [(name, at) for name in OURS for at in definitions(name) if wanted_of(name, at)],
    ids=lambda value: value.removeprefix("/$defs/"),
)
def test_every_member_of_a_definition_is_reached(name: str, at: str) -> None:
    judge = contracts.packaged().part_validator(name, at)

    def visited(instance: Any) -> set[str]:
        assert judge.is_valid(instance)
        return visits(judge, instance)

    assert never_found(instances(name, at), wanted_of(name, at), visited) == set()


def visits(judge: Draft202012Validator, instance: Any) -> set[str]:
    """The places in a schema that have a say in the verdict on an instance."""
    details = judge.evaluate(instance).list()["details"]
    return {unit["schemaLocation"] for unit in details if "schemaLocation" in unit}


@pytest.mark.parametrize("name", ["openai/chunk", "openai/error", "openai/model-list", "openai/response"])
def test_every_definition_is_reached_from_the_root(name: str) -> None:
    judge = contracts.validator(name)
    wanted = {member for at in definitions(name) for member in wanted_of(name, at)}
    assert never_found(instances(name), wanted, lambda instance: visits(judge, instance)) == set()


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


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_of_the_kind_asked_for(kind: str) -> None:
    @ALWAYS_THE_SAME
    @given(damaged({"a": ["xy"]}, (kind,)))
    def spoil(value: Any) -> None:
        assert DAMAGE[kind](value)

    spoil()


def test_what_can_be_doubled_or_wrapped_is() -> None:
    wanted = [{"a": ["xyxy"]}, {"a": ["xy", "xy"]}, {"a": [["xy"]]}, [{"a": ["xy"]}]]
    damage = damaged({"a": ["xy"]}, ("wrap", "double"))
    assert never_found(damage, map(json.dumps, wanted), lambda value: {json.dumps(value)}) == set()


def test_unknown_members_are_drawn_only_on_request() -> None:
    def has_unknown(instance: Any) -> bool:
        return any(is_object(node) and any(key.startswith("x_") for key in node) for node in nodes(instance))

    find(instances("openai/error"), has_unknown, settings=UNTIL_FOUND)

    @settings(ONCE, max_examples=200)
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
    "choice of tools": lambda request: is_object(request.get("tool_choice")),
    "several stops": lambda request: is_array(request.get("stop")) and len(request["stop"]) > 1,
    "grammar": lambda request: "grammar" in json.dumps(request),
}


def turn(request: Request, role: str, otherwise: Request) -> Request:
    return next((message for message in request["messages"] if message["role"] == role), otherwise)


def test_what_hangs_together_is_drawn_together() -> None:
    def met(request: Request) -> set[str]:
        return {name for name, condition in CONDITIONS.items() if condition(request)}

    assert never_found(instances("openai/request"), CONDITIONS, met) == set()


VALUES: dict[str, dict[str, Callable[[Any], bool]]] = {
    "temperature": {
        "nothing": lambda value: value is None,
        "fraction": lambda value: isinstance(value, float) and value % 1 != 0,
        "bound": lambda value: value == 2,
    },
    "n": {
        "whole fraction": lambda value: isinstance(value, float) and value % 1 == 0,
        "bound": lambda value: value == 128,
    },
    "tool_choice": {
        "word": lambda value: isinstance(value, str),
        "object": is_object,
    },
}


@pytest.mark.parametrize("member", VALUES)
def test_every_sort_of_value_is_drawn(member: str) -> None:
    def sorts(value: Any) -> set[str]:
        return {name for name, condition in VALUES[member].items() if condition(value)}

    assert never_found(instances("openai/request", f"/properties/{member}"), VALUES[member], sorts) == set()


def test_json_values_are_of_every_kind() -> None:
    kinds = {"null", "boolean", "number", "string", "array", "object"}
    assert never_found(json_values(), kinds, lambda value: {kind_of(value)}) == set()


def test_a_keyword_that_is_not_understood_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = SchemaSet({"t/odd": {"$id": "urn:test:odd", "properties": {"a": {"items": {"oneOf": [{}]}}}}})
    monkeypatch.setattr(strategies, "packaged", lambda: odd)
    message = r"t/odd#/properties/a/items uses oneOf, which the strategies do not support"
    with pytest.raises(ContractDataError, match=message):
        instances("t/odd")


def test_an_unknown_contract_is_refused_at_once() -> None:
    with pytest.raises(contracts.UnknownContractError):
        instances("openai/answer")

"""The case files themselves: all of them can be used, say what they must, and give no answer away."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.kit.cases.case import case_files, cases_folder, check_folder, load_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.kit.cases.case import Case

CASES = load_cases()

_ANSWERS = frozenset({"text", "reasoning", "refusal", "arguments", "id", "model"})


def test_every_case_file_can_be_used() -> None:
    assert list(check_folder(cases_folder())) == []
    assert len(case_files(cases_folder())) > 200


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_no_answer_can_be_had_by_repeating_what_was_asked(seed: int) -> None:
    guessable = {
        (case.id, text)
        for case in CASES
        for call in case.render(seed=seed, port=1).calls
        for text in {*_answers(call.expect)} & {*_strings(call.neutral)}
    }
    assert guessable == set()


def test_what_is_expected_is_found_wherever_it_stands() -> None:
    expected = [
        {"error": {"partial": {"choices": [{"text": {"any_of": ["a", "b"]}, "finish_reason": "stop"}]}}},
        {"response": {"tool_calls": [{"name": "f", "arguments": {"json": {"g": "c"}}}], "text": ""}},
    ]
    assert set(_answers(expected)) == {"a", "b", "c"}


def _answers(expected: object, *, inside: bool = False) -> Iterator[str]:
    """Yield the texts that must come out: everything but the names of tools, which are given in a call."""
    if is_object(expected):
        for name, value in expected.items():
            yield from _answers(value, inside=inside or name in _ANSWERS)
    elif is_array(expected):
        for item in expected:
            yield from _answers(item, inside=inside)
    elif inside and isinstance(expected, str) and expected:
        yield expected


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_array(value):
        for item in value:
            yield from _strings(item)
    elif is_object(value):
        for item in value.values():
            yield from _strings(item)


# Profiles and levels


def test_a_must_has_a_published_rule_or_a_policy_that_says_why() -> None:
    published = {"published-schema", "prose"}
    unfounded = [
        case.id
        for case in CASES
        if case.level == "must"
        and not (case.provenance in published or (case.provenance == "official-client" and case.spec))
        and not case.policy
    ]
    assert unfounded == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_the_profile_fits_what_the_case_rests_on(case: Case) -> None:
    if case.id.startswith(("auth-key-", "timeout-", "cancel-")):
        assert case.profile == "hardening"
    if case.profile == "provider":
        assert case.level != "must" or case.policy
        assert case.provenance in ("observed", "official-client", "reasoned")
    if case.profile == "core" and case.level == "must":
        assert case.spec or case.policy
    if case.provenance == "published-schema" and case.level == "must":
        assert case.profile == "core"


def test_every_profile_has_cases_of_its_own() -> None:
    counts = Counter(case.profile for case in CASES)
    assert counts.keys() == {"core", "tolerance", "hardening", "provider"}
    assert min(counts.values()) > 20

"""Versions of the suite: which cases count in one, and the hash that names them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from botticelli.kit.cases.case import Case, load_cases, version_key
from botticelli.kit.cases.suite import SUITE_VERSION, check_version, is_scored, suite_hash
from botticelli.kit.errors import CaseError

CASES = load_cases()


def case(**members: Any) -> Case:
    return Case({"id": "a-b", **members})


def test_versions_compare_as_numbers() -> None:
    assert version_key("1") < version_key("1.1") < version_key("1.2") < version_key("1.10") < version_key("2")
    assert version_key("1.0") == version_key("1")


@pytest.mark.parametrize(
    ("members", "version", "scored"),
    [
        ({}, "1", True),
        ({}, "2", True),
        ({"since": "1.2"}, "1.1", False),
        ({"since": "1.2"}, "1.2", True),
        ({"since": "1.2"}, "1.10", True),
        ({"until": "1.1"}, "1.1", True),
        ({"until": "1.1"}, "1.2", False),
        ({"since": "1.1", "until": "1.3"}, "1.2", True),
    ],
)
def test_a_case_counts_from_its_first_version_to_its_last(
    members: dict[str, Any], version: str, *, scored: bool
) -> None:
    assert is_scored(case(**members), version) is scored


def test_the_hash_names_the_cases_that_count_whatever_their_order() -> None:
    one, other = case(title="x"), case(title="y")
    assert suite_hash([one, other]) == suite_hash([other, one])
    assert suite_hash([one]) != suite_hash([other]) != suite_hash([one, other])
    assert suite_hash([one, case(title="z", since="99")]) == suite_hash([one])
    assert suite_hash([one, case(title="z", since="99")], "99") != suite_hash([one], "99")
    assert suite_hash([case(note="why", title="x", cause="haste")]) == suite_hash([one])


def test_the_suite_has_a_version_and_a_hash() -> None:
    assert check_version(SUITE_VERSION) == SUITE_VERSION
    assert re.fullmatch(r"[0-9a-f]{16}", suite_hash(CASES))
    assert all(is_scored(one, SUITE_VERSION) for one in CASES if "since" not in one.document)


@pytest.mark.parametrize("version", ["0.9", "99", "one", "", "1.", "-1", "²"])
def test_another_version_is_one_error(version: str) -> None:
    with pytest.raises(CaseError, match=re.escape(SUITE_VERSION)):
        check_version(version)

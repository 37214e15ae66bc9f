"""Limits on what an answer may hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.core.errors import ConfigurationError
from botticelli.protocol.lenient_json import is_array, is_object
from botticelli.protocol.limits import Limits, count_nodes, too_much

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def size(value: Any) -> int:
    """How many values there are inside a value."""
    items: list[Any] = [*value.values()] if is_object(value) else value if is_array(value) else []
    return sum(1 + size(item) for item in items)


@given(VALUES)
def test_no_value_goes_uncounted(value: Any) -> None:
    assert count_nodes(json.dumps(value).encode()) >= size(value)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "1", None, 2**63])
@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_a_limit_is_a_whole_number_of_one_or_more(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"limits.{name}"):
        Limits(**{name: value})


def test_the_message_names_the_limit_and_how_to_raise_it() -> None:
    said = too_much("max_choices", 128, "choices")
    assert (
        said == "the answer has more than 128 choices; if that is right, raise limits=Limits(max_choices=...)"
    )

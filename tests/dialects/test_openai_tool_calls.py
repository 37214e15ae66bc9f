"""Streamed tool calls, in every way that servers cut them up."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.core.message import ToolCall
from botticelli.core.response import Deviation, ToolCallDelta
from botticelli.dialects.openai.toolcalls import ToolCallAccumulator
from botticelli.protocol.deviations import DeviationLog

Delta = dict[str, Any]
MISSING: Any = object()


def piece(
    index: Any = MISSING, identity: Any = MISSING, name: Any = MISSING, arguments: Any = MISSING, **rest: Any
) -> Delta:
    """One tool call of a delta, with only what is given."""
    function = {
        key: value for key, value in (("name", name), ("arguments", arguments)) if value is not MISSING
    }
    members = {"index": index, "id": identity, "function": function or MISSING}
    return {key: value for key, value in members.items() if value is not MISSING} | rest


class Heard:
    """An assembler that was fed some deltas, each a list of tool calls, and what it gave."""

    def __init__(self, *deltas: list[Delta]) -> None:
        self.notes = DeviationLog()
        self.structural = DeviationLog()
        self.assembler = ToolCallAccumulator(self.notes, self.structural)
        self.pieces = [self.assembler.take(delta) for delta in deltas]

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        return [(call.id, call.name, call.arguments_json) for call in self.assembler.calls()]

    @property
    def codes(self) -> list[str]:
        return [note.code for note in (*self.notes.deviations(), *self.structural.deviations())]


TWO_CALLS = [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]
ONE_CALL = [("a", "f", '{"x":1}')]

READINGS: dict[str, tuple[list[list[Delta]], list[tuple[str, str, str]], list[str]]] = {
    "the published way": (
        [
            [piece(0, "a", "f", "")],
            [piece(0, arguments='{"x"')],
            [piece(0, arguments=":1}")],
            [piece(1, "b", "g", "")],
            [piece(1, arguments='{"y":2}')],
        ],
        TWO_CALLS,
        [],
    ),
    "interleaved": (
        [
            [piece(0, "a", "f", '{"x"'), piece(1, "b", "g", '{"y"')],
            [piece(1, arguments=":2}"), piece(0, arguments=":1}")],
        ],
        TWO_CALLS,
        [],
    ),
    "indexes from 1 and with gaps": (
        [[piece(1, "a", "f", '{"x"')], [piece(7, "b", "g", '{"y":2}')], [piece(1, arguments=":1}")]],
        TWO_CALLS,
        [],
    ),
    "indexes out of order keep the order of arrival": (
        [[piece(1, "a", "f", '{"x":1}')], [piece(0, "b", "g", '{"y":2}')]],
        TWO_CALLS,
        [],
    ),
    "an id that two calls have, without an index, is the first one's": (
        [
            [piece(0, "a", "f", '{"x"')],
            [piece(1, "a", "g", '{"y":2}')],
            [piece(identity="a", arguments=":1}")],
        ],
        [("a", "f", '{"x":1}'), ("a", "g", '{"y":2}')],
        ["tool-index-missing"],
    ),
    "a whole float as the index": (
        [[piece(0.0, "a", "f", '{"x"')], [piece(0, arguments=":1}")]],
        ONE_CALL,
        [],
    ),
    "index missing, one after the other": (
        [
            [piece(identity="a", name="f", arguments='{"x"')],
            [piece(arguments=":1}")],
            [piece(identity="b", name="g", arguments='{"y":2}')],
        ],
        TWO_CALLS,
        ["tool-index-missing"],
    ),
    "index missing, two in one delta": (
        [[piece(identity="a", name="f", arguments='{"x":1}'), piece(None, "b", "g", '{"y":2}')]],
        TWO_CALLS,
        ["tool-index-missing", "tool-index-null"],
    ),
    "index missing, an id tells which call goes on": (
        [
            [piece(identity="a", name="f", arguments='{"x"')],
            [piece(identity="b", name="g", arguments='{"y":2}')],
            [piece(identity="a", arguments=":1}")],
        ],
        TWO_CALLS,
        ["tool-index-missing"],
    ),
    "index null": (
        [[piece(None, "a", "f", '{"x"')], [piece(None, arguments=":1}")]],
        ONE_CALL,
        ["tool-index-null"],
    ),
    "neither index nor id, another name": (
        [[piece(name="f", arguments='{"x":1}')], [piece(name="g", arguments='{"y":2}')]],
        [("", "f", '{"x":1}'), ("", "g", '{"y":2}')],
        ["tool-index-missing"],
    ),
    "neither index nor id, the same name twice in one delta": (
        [[piece(name="f", arguments='{"x":1}'), piece(name="f", arguments='{"x":2}')]],
        [("", "f", '{"x":1}'), ("", "f", '{"x":2}')],
        ["tool-index-missing"],
    ),
    "neither index nor id, the name repeated over deltas": (
        [[piece(name="f", arguments='{"x"')], [piece(name="f", arguments=":1}")]],
        [("", "f", '{"x":1}')],
        ["tool-index-missing"],
    ),
    "digits as the index": (
        [
            [piece("0", "a", "f", '{"x"')],
            [piece("1", "b", "g", '{"y":2}')],
            [piece("0", arguments=":1}")],
        ],
        TWO_CALLS,
        ["tool-index-not-integer"],
    ),
    "text as the index": (
        [[piece("first", "a", "f", '{"x"')], [piece("first", arguments=":1}")]],
        ONE_CALL,
        ["field-type"],
    ),
    "digits too many for an index": (
        [[piece("9" * 5000, "a", "f", '{"x"')], [piece("9" * 5000, arguments=":1}")]],
        ONE_CALL,
        ["field-type"],
    ),
    "digits that are no ASCII": (
        [[piece("²", "a", "f", '{"x"')], [piece("²", arguments=":1}")]],
        ONE_CALL,
        ["field-type"],
    ),
    "true is no index": (
        [[piece(1, "a", "f", '{"x":1}')], [piece(True, "b", "g", '{"y":2}')], [piece(1)]],
        TWO_CALLS,
        ["field-type"],
    ),
    "a fraction is no index": (
        [[piece(0.5, "a", "f", '{"x"')], [piece(0.5, arguments=":1}")]],
        ONE_CALL,
        ["field-type"],
    ),
    "a negative index": (
        [[piece(-1, "a", "f", '{"x"')], [piece(-1, arguments=":1}")], [piece(0, "b", "g", '{"y":2}')]],
        TWO_CALLS,
        ["tool-index-negative"],
    ),
    "every call with index 0": (
        [[piece(0, "a", "f", '{"x":1}')], [piece(0, "b", "g", '{"y"')], [piece(0, arguments=":2}")]],
        TWO_CALLS,
        ["tool-index-reused"],
    ),
    "index 0 twice in one delta, the same name": (
        [[piece(0, "a", "f", "{}"), piece(0, "b", "f", "{}")]],
        [("a", "f", "{}"), ("b", "f", "{}")],
        ["tool-index-reused"],
    ),
    "index 0 twice in one delta, no ids": (
        [[piece(0, name="f", arguments='{"x":1}'), piece(0, name="g", arguments='{"y":2}')]],
        [("", "f", '{"x":1}'), ("", "g", '{"y":2}')],
        ["tool-index-reused"],
    ),
    "one call in two pieces of one delta": (
        [[piece(0, name="f"), piece(0, name="f", arguments='{"x":1}')]],
        [("", "f", '{"x":1}')],
        [],
    ),
    "index 0 again, another name, no ids": (
        [[piece(0, name="f", arguments='{"x":1}')], [piece(0, name="g", arguments='{"y":2}')]],
        [("", "f", '{"x":1}'), ("", "g", '{"y":2}')],
        ["tool-index-reused"],
    ),
    "a name that grows before the arguments is still one call": (
        [[piece(0, "a", "get_")], [piece(0, name="get_weather")], [piece(0, arguments="{}")]],
        [("a", "get_weather", "{}")],
        [],
    ),
    "id and name in every delta": (
        [[piece(0, "a", "f", '{"x"')], [piece(0, "a", "f", ":1}")]],
        ONE_CALL,
        [],
    ),
    "the same id under another name is one call": (
        [[piece(0, "a", "f", '{"x"')], [piece(0, "a", "F", ":1}")]],
        [("a", "F", '{"x":1}')],
        [],
    ),
    "the id empty afterwards": (
        [[piece(0, "a", "f", '{"x"')], [piece(0, "", "", ":1}")]],
        ONE_CALL,
        [],
    ),
    "the id null afterwards": (
        [[piece(0, "a", "f", '{"x"')], [piece(0, None, None, ":1}")]],
        ONE_CALL,
        [],
    ),
    "a new id for every delta": (
        [[piece(0, "a", "f", '{"x"')], [piece(0, "b", "f", ":1")], [piece(0, "c", "f", "}")]],
        ONE_CALL,
        [],
    ),
    "a new id for every delta, no name": (
        [[piece(0, "a", "f", '{"x":')], [piece(0, "b", arguments='{"y":2}')], [piece(0, "c", arguments="}")]],
        [("a", "f", '{"x":{"y":2}}')],
        [],
    ),
    "a new id without index or name": (
        [[piece(identity="a", name="f", arguments='{"x":1}')], [piece(identity="b", arguments='{"y":2}')]],
        [("a", "f", '{"x":1}'), ("b", "", '{"y":2}')],
        ["tool-index-missing"],
    ),
    "a new id and name before there are arguments": (
        [[piece(0, "a", "f")], [piece(0, "b", "g", '{"y":2}')]],
        [("a", "f", ""), ("b", "g", '{"y":2}')],
        ["tool-index-reused"],
    ),
    "the id late": (
        [[piece(0, name="f", arguments='{"x"')], [piece(0, "a", arguments=":1}")]],
        ONE_CALL,
        [],
    ),
    "the name late": (
        [[piece(0, "a", arguments='{"x"')], [piece(0, name="f", arguments=":1}")]],
        ONE_CALL,
        [],
    ),
    "a number as the id": ([[piece(0, 7, "f", "{}")]], [("7", "f", "{}")], []),
    "true is no id": ([[piece(0, True, "f", "{}")]], [("", "f", "{}")], []),
    "arguments as an object": (
        [[piece(0, "a", "f", {"x": 1})]],
        ONE_CALL,
        ["arguments-not-string"],
    ),
    "arguments null or missing": (
        [[piece(0, "a", "f", None)], [piece(0, "a", "f")]],
        [("a", "f", "")],
        [],
    ),
    "a placeholder before the arguments": (
        [[piece(0, "a", "f", "{}")], [piece(0, arguments='{"x"')], [piece(0, arguments=":1}")]],
        ONE_CALL,
        ["arguments-placeholder"],
    ),
    "a placeholder in two pieces": (
        [[piece(0, "a", "f", "{")], [piece(0, arguments="}")], [piece(0, arguments='{"x":1}')]],
        ONE_CALL,
        ["arguments-placeholder"],
    ),
    "a placeholder, the arguments, and those once more": (
        [[piece(0, "a", "f", "{}")], [piece(0, arguments='{"x":1}')], [piece(0, arguments='{"x":1}')]],
        ONE_CALL,
        ["arguments-placeholder", "arguments-repeated"],
    ),
    "no arguments, told twice": (
        [[piece(0, "a", "f", "{}")], [piece(0, arguments="{}")]],
        [("a", "f", "{}")],
        ["arguments-repeated"],
    ),
    "the arguments once more at the end": (
        [[piece(0, "a", "f", '{"x"')], [piece(0, arguments=":1}")], [piece(0, "a", "f", '{"x":1}')]],
        ONE_CALL,
        ["arguments-repeated"],
    ),
    "two different objects stay as they came": (
        [[piece(0, "a", "f", '{"x":1}')], [piece(0, arguments='{"x":2}')]],
        [("a", "f", '{"x":1}{"x":2}')],
        [],
    ),
    "a piece like what is there but no JSON": (
        [[piece(0, "a", "f", '{"x":')], [piece(0, arguments='{"x":')], [piece(0, arguments="1}}")]],
        [("a", "f", '{"x":{"x":1}}')],
        [],
    ),
    "a piece like what is there but no object": (
        [[piece(0, "a", "f", "1")], [piece(0, arguments="1")]],
        [("a", "f", "11")],
        [],
    ),
    "a repeat nested too deeply to be told is kept": (
        [[piece(0, "a", "f", '{"x":' * 100_000)], [piece(0, arguments='{"x":' * 100_000)]],
        [("a", "f", '{"x":' * 200_000)],
        [],
    ),
}


@pytest.mark.parametrize(
    ("deltas", "calls", "codes"), [pytest.param(*reading, id=title) for title, reading in READINGS.items()]
)
def test_the_calls_that_deltas_tell(
    deltas: list[list[Delta]], calls: list[tuple[str, str, str]], codes: list[str]
) -> None:
    heard = Heard(*deltas)
    assert (heard.calls, heard.codes) == (calls, codes)


@pytest.mark.parametrize(
    ("deltas", "calls", "codes"), [pytest.param(*reading, id=title) for title, reading in READINGS.items()]
)
def test_the_pieces_delivered_add_up_to_the_calls(
    deltas: list[list[Delta]], calls: list[tuple[str, str, str]], codes: list[str]
) -> None:
    heard = Heard(*deltas)
    delivered = [""] * len(calls)
    for told in heard.pieces:
        for part in told:
            delivered[part.index] += part.arguments
    # What stood for "not yet" was delivered before anybody could know.
    shown = [("{}" if "arguments-placeholder" in codes else "") + arguments for _, _, arguments in calls]
    assert delivered == shown


def test_a_piece_carries_its_calls_place_id_and_name_as_far_as_they_are_known() -> None:
    heard = Heard([piece(5, arguments='{"x"')], [piece(5, "a", "f", ":1}")], [piece(9, "b", "g")])
    assert heard.pieces == [
        (ToolCallDelta(index=0, arguments='{"x"'),),
        (ToolCallDelta(index=0, id="a", name="f", arguments=":1}"),),
        (ToolCallDelta(index=1, id="b", name="g"),),
    ]


def test_a_repeat_is_delivered_as_nothing_new() -> None:
    heard = Heard([piece(0, "a", "f", '{"x":1}')], [piece(0, arguments='{"x":1}')])
    assert heard.pieces[1] == (ToolCallDelta(index=0, id="a", name="f"),)


@pytest.mark.parametrize(
    ("delta", "code", "member", "structural"),
    [
        (piece(identity="b", name="g"), "tool-index-missing", "index", True),
        (piece(None, "b", "g"), "tool-index-null", "index", True),
        (piece(-1, "b", "g"), "tool-index-negative", "index", True),
        (piece("1", "b", "g"), "tool-index-not-integer", "index", True),
        (piece(1, "b", "g", {}), "arguments-not-string", "function.arguments", True),
        (piece(0, "b", "g"), "tool-index-reused", "index", False),
        (piece(0, arguments='{"x":1}'), "arguments-repeated", "function.arguments", False),
    ],
)
def test_what_the_contract_rejects_too_is_noted_apart(
    delta: Delta, code: str, member: str, structural: bool
) -> None:
    heard = Heard([piece(0, "a", "f", '{"x":1}'), delta])
    note = [Deviation(code, f"$.choices[0].delta.tool_calls[1].{member}")]
    assert heard.structural.deviations() == (note if structural else [])
    assert heard.notes.deviations() == ([] if structural else note)


def test_a_slip_is_counted_and_its_first_place_kept() -> None:
    heard = Heard([piece(0, "a", "f", "{")], [piece(identity="a", arguments="}"), piece()])
    assert heard.structural.deviations() == [
        Deviation("tool-index-missing", "$.choices[0].delta.tool_calls[0].index", 2)
    ]


def test_custom_calls_keep_their_text_whatever_it_looks_like() -> None:
    heard = Heard(
        [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "sh", "input": "{}"}}],
        [{"index": 0, "custom": {"input": "{}"}}],
        [{"index": 0, "custom": {"input": '{"x":1}'}}],
    )
    assert heard.assembler.calls() == [
        ToolCall(id="a", name="sh", arguments_json='{}{}{"x":1}', type="custom")
    ]
    assert heard.codes == []


def test_a_new_custom_call_at_a_used_index_is_another_one() -> None:
    heard = Heard(
        [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}}],
        [{"index": 0, "id": "b", "type": "custom", "custom": {"name": "sh", "input": "pwd"}}],
    )
    assert heard.calls == [("a", "sh", "ls"), ("b", "sh", "pwd")]
    assert heard.codes == ["tool-index-reused"]


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ({"type": "custom", "custom": {"name": "sh"}}, {"function": {}}, "custom"),
        ({"type": "custom", "custom": {"name": "sh"}}, {"type": "function", "function": {}}, "function"),
        ({"type": "mcp"}, {}, "mcp"),
        ({"type": ""}, {"type": None}, "function"),
    ],
)
def test_the_type_is_the_last_one_that_was_told(first: Delta, second: Delta, kind: str) -> None:
    assert Heard([{"index": 0, **first}], [{"index": 0, **second}]).assembler.calls()[0].type == kind


def test_members_outside_the_format_are_kept_the_last_one_counting() -> None:
    heard = Heard(
        [piece(0, "a", "f", "{", extra_content={"signature": "s"}, one=1)], [piece(0, arguments="}", one=2)]
    )
    assert heard.assembler.calls()[0].extra == {"extra_content": {"signature": "s"}, "one": 2}


def test_the_calls_may_be_looked_at_under_way() -> None:
    heard = Heard([piece(0, "a", "f", '{"x"', one=1)], [piece(0, arguments=":")])
    early = heard.assembler.calls()
    heard.assembler.take([piece(0, arguments="1}", one=2)])
    assert [(call.arguments_json, call.extra) for call in early] == [('{"x":', {"one": 1})]
    assert heard.calls == ONE_CALL


def test_the_deprecated_call_is_one_however_many_deltas_it_takes() -> None:
    heard = Heard()
    assembler = heard.assembler
    pieces = [
        assembler.take_legacy({"name": "f", "arguments": '{"x"'}),
        assembler.take_legacy({"name": "f", "arguments": ":1}"}),
    ]
    assert pieces == [
        (ToolCallDelta(index=0, name="f", arguments='{"x"'),),
        (ToolCallDelta(index=0, name="f", arguments=":1}"),),
    ]
    assert (heard.calls, heard.codes) == ([("", "f", '{"x":1}')], [])


def test_the_deprecated_call_stands_beside_the_others() -> None:
    heard = Heard([piece(0, "a", "f", '{"x":1}')])
    assert heard.assembler.take_legacy({"name": "g", "arguments": "{}"})[0].index == 1
    heard.assembler.take_legacy({"arguments": {"y": 2}})
    assert heard.calls == [("a", "f", '{"x":1}'), ("", "g", '{"y":2}')]
    assert heard.codes == ["arguments-placeholder"]


@pytest.mark.parametrize("function", ["f()", [], False, 0])
def test_a_function_that_is_none_is_refused_and_the_rest_of_the_call_kept(function: Any) -> None:
    heard = Heard([piece(0, "a", "f", "{}"), {"index": 1, "id": "b", "function": function}])
    assert heard.structural.unreadable is not None
    assert heard.structural.unreadable.path == "$.choices[0].delta.tool_calls[1].function"
    assert heard.calls == [("a", "f", "{}"), ("b", "", "")]


def test_a_function_of_null_adds_nothing() -> None:
    heard = Heard([piece(0, "a", "f", "{}")], [{"index": 0, "function": None}])
    assert heard.structural.unreadable is None
    assert heard.calls == [("a", "f", "{}")]

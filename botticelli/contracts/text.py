"""Schemas as text, always laid out the same way, so that a diff shows what changed and no more.

May enter here: nothing but the standard library.
"""

import json
from typing import Any

from botticelli.contracts.jsonvalue import is_array, is_object

_WIDTH = 118


def layout(value: Any) -> str:
    """Lay out a JSON value for people, ending with a newline.

    A value goes on one line if it fits and describes nothing; whatever has a description gets
    a line for each member. Order is kept as given.

    Args:
        value: Anything that `json.dumps` takes.

    Returns:
        The text, which reads back as the same value.
    """
    return _lay(value, "") + "\n"


def _lay(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if is_object(value):
        items = [f"{_word(key)}: {_lay(item, deeper)}" for key, item in value.items()]
        opening, closing = "{", "}"
    elif is_array(value):
        items = [_lay(item, deeper) for item in value]
        opening, closing = "[", "]"
    else:
        return _word(value)
    inline = _inline(value)
    if not items or (_plain(value) and len(indent) + len(inline) <= _WIDTH):
        return inline
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{closing}"


def _inline(value: Any) -> str:
    if is_object(value):
        if not value:
            return "{}"
        members = (f"{_word(key)}: {_inline(item)}" for key, item in value.items())
        return "{ " + ", ".join(members) + " }"
    if is_array(value):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return _word(value)


def _word(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _plain(value: Any) -> bool:
    if is_object(value):
        return "description" not in value and all(_plain(item) for item in value.values())
    if is_array(value):
        return all(_plain(item) for item in value)
    return True

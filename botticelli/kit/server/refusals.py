"""What the well-behaved server refuses, as OpenAI refuses it: status, message, `param` and `code`.

Most of it follows from the strict contract `openai/request`. The rest is what the contract can't say: unknown
members, members that need others, and the order of messages.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from botticelli.contracts import load, read, violations
from botticelli.contracts.jsonvalue import as_object, as_objects, is_array, is_object
from botticelli.kit.server.example import InvalidSchemaError, check_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.contracts import Violation
    from botticelli.contracts.jsonvalue import Document

__all__ = ["RefusalError", "check_request", "named_tool", "read_request_body", "texts_of"]


class RefusalError(Exception):
    """The request is refused.

    Attributes:
        message: Why, for the client.
        param: The member at fault, such as `messages[0].role`.
        code: OpenAI's code, if it has one for this.
        status: The HTTP status.
        headers: Headers that belong to the status.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
        self.headers = headers

    def envelope(self) -> Document:
        """Return the body of the answer."""
        error = {
            "message": self.message,
            "type": "invalid_request_error",
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}


def read_request_body(data: bytes) -> Document:
    """Return the request that a body holds.

    Raises:
        RefusalError: It isn't a JSON object, or it is nested too deep.
    """
    reading = read(data)
    # A key that occurs twice is allowed by RFC 8259, and the last one counts.
    faults = [fault for fault in reading.faults if fault.keyword != "key-repeated"]
    if faults:
        where = "" if faults[0].path == "$" else f"{faults[0].path} "
        raise RefusalError(f"We could not parse the JSON body of your request: {where}{faults[0].message}")
    if not is_object(reading.value):
        raise RefusalError("The JSON body of your request must be an object.")
    return reading.value


def check_request(request: Document) -> None:
    """Check a request against everything but the models and keys that a server knows.

    Raises:
        RefusalError: The first fault that is found.
    """
    if not request.get("model"):
        raise RefusalError("you must provide a model parameter")
    _check_members(request)
    found = violations("openai/request", request)
    if found:
        # A wrong type breaks other rules too: it says most.
        raise _refused(min(found, key=lambda violation: violation.keyword != "type"))
    _check_limits(request)
    _check_order(request["messages"])
    _check_schemas(request)
    _check_tool_choice(request)


# Members

_SHOWN = 100  # characters of a client's text that are repeated

_NEEDS = {
    "stream_options": ("stream", "'stream' is enabled"),
    "top_logprobs": ("logprobs", "'logprobs' is enabled"),
    "tool_choice": ("tools", "'tools' are specified"),
    "parallel_tool_calls": ("tools", "'tools' are specified"),
}
_UNSUPPORTED = {
    "functions": "use 'tools'",
    "function_call": "use 'tool_choice'",
    "audio": "it answers with text only",
    "web_search_options": "it searches nothing",
    "moderation": "it moderates nothing",
}


@functools.cache
def _known() -> Document:
    """Return the members that a request may have, with their schemas."""
    members: Document = load("openai/request")["properties"]
    return members


def _check_members(request: Document) -> None:
    for name in request:
        if name not in _known():
            shown = name[:_SHOWN]
            raise RefusalError(f"Unknown parameter: '{shown}'.", param=shown, code="unknown_parameter")
    for name, (needed, state) in _NEEDS.items():
        other = request.get(needed)
        if request.get(name) is not None and (other is None or other is False):
            raise RefusalError(f"The '{name}' parameter is only allowed when {state}.", param=name)


def _refused(violation: Violation) -> RefusalError:
    """Return the refusal that tells of a violation of the contract."""
    param = violation.path.removeprefix("$").removeprefix(".")
    if violation.keyword == "required":
        return RefusalError(
            f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
        )
    if violation.keyword == "type":
        return RefusalError(
            f"Invalid type for '{param}': it {violation.message}.", param=param, code="invalid_type"
        )
    return RefusalError(
        f"Invalid '{param}': it {violation.message}.", param=param, code=_code(violation, param)
    )


def _code(violation: Violation, param: str) -> str:
    kinds = as_object(_known().get(param)).get("type", "")
    number = "integer" if "integer" in kinds else "decimal"
    codes = {
        "minimum": f"{number}_below_min_value",
        "maximum": f"{number}_above_max_value",
        "minItems": "empty_array",  # no other number is the least in this contract
        "maxItems": "array_above_max_length",
        "maxLength": "string_above_max_length",
        "minLength": "string_below_min_length",
    }
    return codes.get(violation.keyword, "invalid_value")


def _check_limits(request: Document) -> None:
    for name, hint in _UNSUPPORTED.items():
        if request.get(name) is not None:
            message = f"Unsupported parameter: '{name}' is not supported by this server; {hint}."
            raise RefusalError(message, param=name, code="unsupported_parameter")
    if "audio" in (request.get("modalities") or ()):
        message = "Unsupported value: 'modalities' may only be [\"text\"] on this server."
        raise RefusalError(message, param="modalities", code="unsupported_value")
    limits = [name for name in ("max_tokens", "max_completion_tokens") if request.get(name) is not None]
    for name in limits:
        if request[name] < 1:
            message = f"Invalid '{name}': it must be at least 1, not {request[name]}."
            raise RefusalError(message, param=name, code="integer_below_min_value")
    if len(limits) > 1:
        message = f"Setting '{limits[0]}' and '{limits[1]}' at the same time is not supported."
        raise RefusalError(message, param=limits[0], code="invalid_parameter_combination")
    if request.get("tools") == []:
        message = "Invalid 'tools': empty array. Expected an array with minimum length 1."
        raise RefusalError(message, param="tools", code="empty_array")
    if as_object(request.get("response_format")).get("type") == "json_object" and not _says_json(request):
        message = "'messages' must contain the word 'json', to use 'response_format' of type 'json_object'."
        raise RefusalError(message, param="messages")


def _says_json(request: Document) -> bool:
    return any("json" in text.lower() for message in request["messages"] for text in texts_of(message))


def texts_of(message: Document) -> Iterator[str]:
    """Yield the texts of a message's content."""
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for part in as_objects(content):
        if isinstance(part.get("text"), str):
            yield part["text"]


# Messages


def _check_order(messages: list[Document]) -> None:
    """Check that calls are answered by the messages after them, and that nothing else is."""
    waiting: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                text = (
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                )
                raise RefusalError(f"Invalid parameter: {text}", param=f"messages[{index}].role")
            del waiting[message["tool_call_id"]]
            continue
        _check_answered(waiting)
        waiting = {call["id"]: index for call in message.get("tool_calls") or ()}
    _check_answered(waiting)


def _check_answered(waiting: dict[str, int]) -> None:
    for call, index in waiting.items():
        text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
        raise RefusalError(
            f"{text} 'tool_call_id'. No message responds to: {call[:_SHOWN]}", param=f"messages[{index}]"
        )


# Tools and schemas


def _check_schemas(request: Document) -> None:
    for index, tool in enumerate(request.get("tools") or ()):
        where = f"tools[{index}]"
        if tool["type"] != "function":
            message = f"Unsupported value: '{where}.type' may only be 'function' on this server."
            raise RefusalError(message, param=f"{where}.type", code="unsupported_value")
        function = tool["function"]
        try:
            check_schema(function.get("parameters", {}))
        except InvalidSchemaError as error:
            raise RefusalError(
                f"Invalid schema for function '{function['name']}': {error}",
                param=f"{where}.function.parameters",
                code="invalid_function_parameters",
            ) from error
    form = as_object(as_object(request.get("response_format")).get("json_schema"))
    try:
        check_schema(form.get("schema", {}))
    except InvalidSchemaError as error:
        message = f"Invalid schema for response_format '{form.get('name')}': {error}"
        raise RefusalError(message, param="response_format") from error


def named_tool(choice: object) -> str | None:
    """Return the function that a `tool_choice`, or a tool of an allowed set, names."""
    name = as_object(as_object(choice).get("function")).get("name")
    return name if isinstance(name, str) else None


def _check_tool_choice(request: Document) -> None:
    choice = as_object(request.get("tool_choice"))
    if not choice:
        return
    names = {tool["function"]["name"] for tool in request["tools"]}
    allowed = as_object(choice.get("allowed_tools")).get("tools")
    asked = allowed if is_array(allowed) else [choice]
    for one in asked:
        name = named_tool(one)
        if name not in names:
            message = f"Invalid value for 'tool_choice': the function {name!r} is not among 'tools'."
            raise RefusalError(message, param="tool_choice", code="invalid_value")

"""What was asked of real servers, and what the driver must make of their recorded answers.

One call is one cassette, `fixtures/cassettes/SERVER/NAME.yaml`, with one interaction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from botticelli import GenerateRequest, Message, ResponseFormat, ToolCall, ToolDefinition

from .recorded import MODEL

WEATHER = Message.user("What is the weather in Paris?")
COUNT = Message.user("Count to twenty")
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
GET_WEATHER = ToolDefinition(name="get_weather", description="The weather in a city", parameters=CITY)


class Call(NamedTuple):
    """One call.

    Attributes:
        server: Whose answer was recorded.
        name: The cassette's name.
        expected: What comes out, see `test_cassettes.outcome`.
        request: What is asked; None for the list of models.
    """

    server: str
    name: str
    expected: dict[str, Any]
    request: GenerateRequest | None = None

    @property
    def good_key(self) -> bool:
        """Whether it is made with a key that the server takes."""
        return self.name != "bad-key"

    @property
    def path(self) -> str:
        """Where it goes, below the server's origin."""
        return "/v2" if self.name == "wrong-path" else "/v1"

    def __str__(self) -> str:
        return f"{self.server}/{self.name}"


def ask(*messages: Message, max_tokens: int = 100, **more: Any) -> GenerateRequest:
    return GenerateRequest(messages=list(messages), max_tokens=max_tokens, temperature=0, **more)


def answer(
    text: str,
    finish: str,
    usage: tuple[int, int],
    *deviations: str,
    calls: tuple[str, ...] = (),
) -> dict[str, Any]:
    """A whole answer: text, the server's word for why it ended, prompt and answer tokens, calls, codes."""
    came: dict[str, Any] = {"text": text, "finish": finish, "usage": usage}
    return {**came, "calls": list(calls), "deviations": list(deviations)}


def error(kind: str, status: int, message: str) -> dict[str, Any]:
    """An error, and how its message begins."""
    return {"kind": kind, "status": status, "message": message}


def models(*ids: str) -> dict[str, Any]:
    """A list of models."""
    return {"models": list(ids)}


SUNNY = "It is sunny in Paris today."
PARIS = 'get_weather({"city": "Paris"})'
REFUSAL = "refusal-missing"
NOT_INT = "1 validation error:\n  {'type': 'int_parsing', 'loc': ('body', 'top_k')"
NOT_SCHEMA = "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'response_format', 'type')"
LOST_STOP = "1 2 3 4 5 6  8 9 10 11 12 13 14 15 16 1 18 19 20"
AS_TEXT = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
CALLED = Message.assistant(tool_calls=[ToolCall("call_1", "get_weather", '{"city": "Paris"}')])

ODD = {"top_k": "many"}
ELSEWHERE = "no-such/model"
TOOLS = [GET_WEATHER]

MLX = [
    ("weather", answer(SUNNY, "stop", (15, 8), REFUSAL), ask(WEATHER)),
    ("length", answer("1 2 3 4 5", "length", (11, 5), REFUSAL), ask(COUNT, max_tokens=5)),
    (
        "logprobs",
        answer("It is", "length", (15, 2), "field-missing", "logprobs-refusal-missing", "refusal-missing"),
        ask(WEATHER, max_tokens=2, logprobs=True, top_logprobs=2),
    ),
    # cuts the stop word out, and goes on
    ("stop-word-cut-out", answer(LOST_STOP, "stop", (11, 21), REFUSAL), ask(COUNT, stop=["7"])),
    # takes the call that the model wrote out of the text, and loses it
    (
        "tool-call-lost",
        error("malformed_response", 200, "the finish reason is tool_calls, but"),
        ask(WEATHER, tools=TOOLS),
    ),
    ("models", models(MODEL), None),
    (
        "unknown-model",
        error("not_found", 404, "Cannot find an appropriate"),
        ask(WEATHER, model=ELSEWHERE),
    ),
    (
        "wrong-type",
        error("invalid_request", 400, "top_k must be of type int"),
        ask(WEATHER, extra=ODD),
    ),
    ("wrong-path", error("not_found", 404, "Not Found"), ask(WEATHER)),
]
TRANSFORMERS = [
    ("weather", answer(SUNNY, "stop", (15, 8), REFUSAL), ask(WEATHER)),
    ("length", answer("1 2 3 4 5", "length", (11, 5), REFUSAL), ask(COUNT, max_tokens=5)),
    ("n-ignored", answer(SUNNY, "stop", (15, 8), REFUSAL, "choices-fewer"), ask(WEATHER, n=2)),
    (
        "tool-call",
        answer("", "tool_calls", (141, 22), REFUSAL, calls=(PARIS,)),
        ask(WEATHER, tools=TOOLS),
    ),
    (
        "tool-result",
        answer("The tool says: sunny.", "stop", (193, 7), REFUSAL),
        ask(WEATHER, CALLED, Message.tool("call_1", "sunny"), tools=TOOLS),
    ),
    ("models-empty", models(), None),
    ("unknown-model", error("server", 500, "Internal Server Error"), ask(WEATHER, model=ELSEWHERE)),
    ("wrong-type", error("server", 500, "Internal Server Error"), ask(WEATHER, extra={"seed": "many"})),
    (
        "unknown-parameter",
        error("invalid_request", 422, "Unexpected fields in the request: {'seeds'}"),
        ask(WEATHER, extra={"seeds": 1}),
    ),
    ("wrong-path", error("not_found", 404, "Not Found"), ask(WEATHER)),
]
LLAMA = [
    ("weather", answer(SUNNY, "stop", (15, 7), "refusal-missing"), ask(WEATHER)),
    ("length", answer("1 2 3 4 5", "length", (11, 5), "refusal-missing"), ask(COUNT, max_tokens=5)),
    ("stop", answer("1 2 3 4 5 6 ", "stop", (11, 7), "refusal-missing"), ask(COUNT, stop=["7"])),
    (
        "logprobs",
        answer("It is", "length", (15, 2), "refusal-missing"),
        ask(WEATHER, max_tokens=2, logprobs=True, top_logprobs=2),
    ),
    (
        "tool-call-as-text",
        answer(AS_TEXT, "stop", (148, 21), "refusal-missing"),
        ask(WEATHER, tools=TOOLS),
    ),
    (
        "schema-refused",
        error("server", 500, NOT_SCHEMA),
        ask(WEATHER, response_format=ResponseFormat.json_schema("city", CITY)),
    ),
    (
        "context-too-long",
        error("context_length", 400, "This model's maximum context length is 1024 tokens."),
        ask(Message.user("word " * 1200)),
    ),
    ("wrong-type", error("server", 500, NOT_INT), ask(WEATHER, extra=ODD)),
    ("bad-key", error("authentication", 401, "Invalid API key"), ask(WEATHER)),
    ("models", models(MODEL), None),
]
CALLS = [
    Call(server, *call)
    for server, calls in {"mlx": MLX, "transformers": TRANSFORMERS, "llama-cpp-python": LLAMA}.items()
    for call in calls
]

"""The words of many servers for a few errors: each is known, and nothing that only resembles them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.core.errors import ContextLengthError
from botticelli.protocol.error_rules import ErrorRule, ErrorTable, build_error, build_stream_error
from botticelli.protocol.http import ResponseHead
from botticelli.protocol.known_errors import (
    CONTENT_FILTERED,
    CONTEXT_LENGTH,
    CREDITS_EXHAUSTED,
    KNOWN_ERRORS,
    MODEL_NOT_FOUND,
    THROTTLED,
)

if TYPE_CHECKING:
    from botticelli.core.errors import ApiError

TABLE = ErrorTable(
    statuses={400: "invalid_request", 403: "permission_denied", 404: "not_found", 429: "rate_limit"},
    rules=KNOWN_ERRORS,
)


def refused(status: int, message: str, **members: Any) -> ApiError:
    """The error for a refusal with this message and these members."""
    body = json.dumps({"error": {"message": message, **members}}).encode()
    return build_error(ResponseHead(status=status), body, TABLE)


OVERFLOWS: list[tuple[str, str, int | None, int | None]] = [
    (
        "OpenAI, 2023",
        (
            "This model's maximum context length is 4097 tokens, however you requested 4226 tokens "
            "(3970 in your "
            "prompt; 256 for the completion). Please reduce your prompt; or completion length."
        ),
        *(4097, 4226),
    ),
    (
        "OpenAI",
        (
            "This model's maximum context length is 128000 tokens. However, your messages resulted in "
            "204308 tokens. "
            "Please reduce the length of the messages."
        ),
        *(128000, 204308),
    ),
    ("OpenAI, newer", "Your input exceeds the context window of this model. Please adjust it.", None, None),
    (
        "OpenAI, configured",
        (
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in "
            "300007 tokens. "
            "Please reduce the length of the messages."
        ),
        *(272000, 300007),
    ),
    (
        "OpenRouter",
        (
            "This endpoint's maximum context length is 32768 tokens. However, you requested about 42832 "
            "tokens "
            "(42832 of text input). Please reduce the length of either one."
        ),
        *(32768, 42832),
    ),
    (
        "vLLM",
        (
            "This model's maximum context length is 16384 tokens. However, your request has 19427 input "
            "tokens. "
            "Please reduce the length of the input messages. (parameter=input_tokens, value=19427)"
        ),
        *(16384, 19427),
    ),
    (
        "vLLM, prompt and answer",
        (
            "This model's maximum context length is 131072 tokens. However, you requested 128000 output "
            "tokens and "
            "your prompt contains at least 3073 input tokens, for a total of at least 131073 tokens."
        ),
        *(131072, 131073),
    ),
    (
        "vLLM, its engine",
        (
            "The decoder prompt (length 2136) is longer than the maximum model length of 2048. Make sure "
            "that ..."
        ),
        *(2048, 2136),
    ),
    (
        "SGLang, Together",
        "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
        *(40960, 61709),
    ),
    (
        "SGLang, total",
        (
            "Requested token count exceeds the model's maximum context length of 131072 tokens. You "
            "requested a "
            "total of 140000 tokens: 40000 tokens from the input messages and 100000 tokens for the "
            "completion."
        ),
        *(131072, 140000),
    ),
    (
        "SGLang, input",
        "Input length (265330) exceeds model's maximum context length (262144).",
        262144,
        265330,
    ),
    (
        "SGLang, memory",
        (
            "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens). Use a shorter "
            "input."
        ),
        *(59862, 160062),
    ),
    (
        "Poolside",
        "Input length 300000 exceeds the maximum allowed input length of 262,144 tokens.",
        *(262144, 300000),
    ),
    (
        "TGI",
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 "
            "`inputs` tokens "
            "and 100 `max_new_tokens`"
        ),
        *(4096, 5100),
    ),
    (
        "TGI, input",
        "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",
        *(4095, 5000),
    ),
    ("Anthropic", "prompt is too long: 213462 tokens > 200000 maximum", 200000, 213462),
    ("Bedrock's Anthropic", "Prompt is too long", None, None),
    (
        "Anthropic, prompt and answer",
        (
            "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000, decrease input "
            "length or "
            "`max_tokens` and try again"
        ),
        *(200000, 207951),
    ),
    (
        "Gemini 2.0",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        *(1048575, 1196265),
    ),
    (
        "Gemini 2.5",
        "The input token count exceeds the maximum number of tokens allowed (1048576).",
        *(1048576, None),
    ),
    (
        "xAI",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        *(131072, 537812),
    ),
    ("Groq", "Please reduce the length of the messages or completion.", None, None),
    (
        "Cerebras",
        (
            "Please reduce the length of the messages or completion. Current length is 42328 while limit is "
            "40000"
        ),
        *(40000, 42328),
    ),
    (
        "Mistral",
        (
            "Prompt contains 40012 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context length"
        ),
        *(32768, 40012),
    ),
    (
        "Kimi",
        "Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)",
        *(262144, 300000),
    ),
    ("Kimi, limit only", "Your request exceeded model token limit: 8192", 8192, None),
    ("llama.cpp", "the request exceeds the available context size, try increasing it", None, None),
    (
        "llama.cpp, newer",
        "request (481909 tokens) exceeds the available context size (32768 tokens), try increasing it",
        *(32768, 481909),
    ),
    ("llama-cpp-python", "Requested tokens (5000) exceed context window of 2048", 2048, 5000),
    (
        "Ollama's cloud",
        "prompt too long; exceeded max context length by 540451 tokens (ref: 00ad71bb)",
        *(None, None),
    ),
    ("Ollama, shorter", "prompt too long; exceeded context length", None, None),
    (
        "oMLX",
        "Prompt too long: 41911 tokens exceeds max context window of 32768 tokens",
        *(32768, 41911),
    ),
    ("mlx-serve", "Prompt exceeds maximum context length", None, None),
    ("MiniMax", "invalid params, context window exceeds limit (2013)", None, None),
    (
        "LM Studio",
        (
            "The number of tokens to keep from the initial prompt is greater than the context length. Try "
            "to load "
            "the model with a larger context length, or provide a shorter input"
        ),
        *(None, None),
    ),
    (
        "LM Studio, older",
        (
            "Trying to keep the first 10136 tokens when context the overflows. However, the model is "
            "loaded with "
            "context length of only 7866 tokens, which is not enough."
        ),
        *(7866, 10136),
    ),
    ("Copilot", "prompt token count of 93854 exceeds the limit of 90000", 90000, 93854),
    ("Bedrock", "Input is too long for requested model.", None, None),
    (
        "Perplexity",
        (
            "Requested 115120 to generate tokens, following a prompt of length 40055, which exceeds the max "
            "limit of "
            "128000 tokens."
        ),
        *(128000, 155175),
    ),
    ("Perplexity, prompt", "User input tokens exceeds 127000 tokens", 127000, None),
    (
        "DashScope",
        "InternalError.Algo.InvalidParameter: Range of input length should be [1, 202745]",
        202745,
        None,
    ),
    (
        "Cohere",
        (
            "too many tokens: size limit exceeded by 713295 tokens. Try using shorter or fewer inputs. The "
            "limit for "
            "this model is 288000 tokens."
        ),
        *(288000, None),
    ),
    (
        "LiteLLM",
        (
            "litellm.BadRequestError: litellm.ContextWindowExceededError: AnthropicError - "
            '{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 209303 '
            'tokens > 200000 maximum"}}'
        ),
        *(200000, 209303),
    ),
    ("LiteLLM, other words", "litellm.ContextWindowExceededError: too much", None, None),
]


@pytest.mark.parametrize(
    ("message", "limit", "used"),
    [pytest.param(*row[1:], id=row[0]) for row in OVERFLOWS],
)
def test_a_context_overflow_in_each_servers_words(message: str, limit: int | None, used: int | None) -> None:
    error = refused(400, message, type="invalid_request_error")
    assert isinstance(error, ContextLengthError)
    assert (error.limit, error.used) == (limit, used)
    assert refused(413, message).kind == "context_length"
    inside = build_stream_error(json.dumps({"error": {"message": message}}).encode(), TABLE)
    assert inside.cause_kind == "context_length"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_with_the_status_of_another_error_the_words_mean_nothing(status: int) -> None:
    assert all(refused(status, row[1]).kind != "context_length" for row in OVERFLOWS)


NO_OVERFLOWS = [
    "Too many tokens, please wait before trying again.",
    "ThrottlingException: Too many tokens, please wait before trying again.",
    "Throttling error: prompt is too long for your quota",
    "Service unavailable: Input is too long for requested model at this time",
    "Rate limit reached: the request exceeds the available context size of this minute",
    "rate_limit_exceeded: your input exceeds the context window",
    "Too Many Requests: prompt is too long",
    (
        "Request too large for model `m` in organization `o` on tokens per minute (TPM): Limit 6000, "
        "Requested "
        "7000, please reduce your message size and try again."
    ),
    "Limit 100000 tokens per day: please reduce the length of the messages or completion",
    "max_tokens must be at most 4096",
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
    "The maximum tokens you requested exceeds the model limit of 32768",
    "Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760",
    "the image exceeds the limit of 20 MB",
    "Model 'm' supports at most 1 image per prompt.",
    "The prompt is empty",
]


@pytest.mark.parametrize("message", NO_OVERFLOWS)
def test_what_resembles_an_overflow_is_none(message: str) -> None:
    assert refused(400, message).kind == "invalid_request"
    assert build_stream_error(json.dumps({"error": message}).encode(), TABLE).cause_kind is None


@pytest.mark.parametrize("throttled", THROTTLED)
def test_each_word_of_throttling_is_needed(throttled: str) -> None:
    [rule] = [rule for rule in CONTEXT_LENGTH if rule.unless]
    others = tuple(word for word in THROTTLED if word != throttled)
    without = ErrorRule(kind="context_length", patterns=rule.patterns, unless=others)
    assert any(without.matches(400, None, None, message) for message in NO_OVERFLOWS)


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"code": "context_length_exceeded"}, "context_length"),
        ({"code": "model_max_prompt_tokens_exceeded"}, "context_length"),
        ({"code": "1261"}, "context_length"),
        ({"code": 40303}, "context_length"),
        ({"type": "exceed_context_size_error"}, "context_length"),
        ({"type": "too_many_prompt_tokens"}, "context_length"),
        ({"type": "requested_too_many_tokens"}, "context_length"),
        ({"code": "content_filter"}, "content_filtered"),
        ({"code": "content_policy_violation"}, "content_filtered"),
        ({"code": "ResponsibleAIPolicyViolation"}, "content_filtered"),
        ({"code": "data_inspection_failed"}, "content_filtered"),
        ({"code": "DataInspectionFailed"}, "content_filtered"),
        ({"code": "1301"}, "content_filtered"),
        ({"code": "sensitive_words_detected"}, "content_filtered"),
        ({"type": "content_filter"}, "content_filtered"),
        ({"code": "billing_hard_limit_reached"}, "credits_exhausted"),
        ({"code": "Arrearage"}, "credits_exhausted"),
        ({"code": "model_not_found"}, "model_not_found"),
        ({"code": "model_decommissioned"}, "model_not_found"),
        ({"code": "model_not_available"}, "model_not_found"),
        ({"code": "1211"}, "model_not_found"),
        ({"code": 40301}, "model_not_found"),
        ({"type": "MODEL_NOT_FOUND"}, "model_not_found"),
        ({"type": "invalid_model"}, "model_not_found"),
    ],
)
def test_a_code_or_a_type_is_enough(members: dict[str, Any], kind: str) -> None:
    assert refused(400, "x", **members).kind == kind
    assert refused(500, "x", **members).kind == "server"


@pytest.mark.parametrize(
    "members",
    [
        {"code": "insufficient_quota"},
        {"code": "credit_balance_exhausted"},
        {"code": "organization_spend_limit_exceeded"},
        {"code": "project_spend_limit_exceeded"},
        {"code": "organization_usage_limit_exceeded"},
        {"code": "1113"},
        {"type": "insufficient_quota"},
        {"type": "insufficient_balance_error"},
        {"type": "exceeded_current_quota_error"},
        {"type": "1113"},
    ],
)
def test_a_quota_that_no_waiting_refills(members: dict[str, Any]) -> None:
    assert refused(429, "x", **members).kind == "credits_exhausted"
    assert refused(400, "x", **members).kind == "invalid_request"


WORDS: dict[str, list[tuple[int, str]]] = {
    "credits_exhausted": [
        (500, "insufficient balance (1008)"),
        (400, "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."),
        (400, "You have reached your specified API usage limits. You will regain access on 2026-12-01."),
        (429, "Insufficient balance or no resource package. Please recharge."),
        (429, "余额不足或无可用资源包,请充值。"),
        (
            403,
            "Your team 16f2 has either used all available credits or reached its monthly spending limit.",
        ),
    ],
    "content_filtered": [
        (
            400,
            (
                "The response was filtered due to the prompt triggering Azure OpenAI's content management "
                "policy. "
                "Please modify your prompt and retry."
            ),
        ),
        (400, "Invalid prompt: your prompt was flagged as potentially violating our usage policy."),
        (400, "Output blocked by content filtering policy"),
        (400, "Content Exists Risk"),
        (403, "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"),
        (
            400,
            (
                "<400> InternalError.Algo.DataInspectionFailed: Input text data may contain inappropriate "
                "content."
            ),
        ),
        (400, "input new_sensitive"),
        (400, "output new_sensitive (1027)"),
        (403, 'acme/m requires moderation on Acme. Your input was flagged for "violence".'),
        (403, "PROHIBITED_CONTENT"),
        (400, "litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException - ..."),
    ],
    "model_not_found": [
        (400, "model not found"),
        (404, "Model not found, inaccessible, and/or not deployed"),
        (400, "claude-sonnet-4-6 is not a valid model ID"),
        (
            400,
            (
                "{'error': '/chat/completions: Invalid model name passed in model=nope. Call `/v1/models` "
                "to view "
                "available models for your key.'}"
            ),
        ),
        (400, "Server is pinned to acme/tiny"),
        (
            404,
            (
                "404 Client Error. (Request ID: Root=1-6a)\n\nRepository Not Found for url: "
                "https://huggingface.co/api/models/nope/revision/main.\nPlease make sure you specified "
                "it right."
            ),
        ),
    ],
}


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [(kind, status, message) for kind, rows in WORDS.items() for status, message in rows],
)
def test_the_words_of_other_errors(kind: str, status: int, message: str) -> None:
    assert refused(status, message).kind == kind
    inside = build_stream_error(json.dumps({"error": message}).encode(), TABLE)
    assert inside.cause_kind == kind


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (403, "You can't use this model", "permission_denied"),
        (429, "Rate limit reached, 3 credits left", "rate_limit"),
        (400, "The content of the message must be a string", "invalid_request"),
        (404, "No such model here: the path is unknown", "not_found"),
        (429, "Your balance of requests is used up for this minute", "rate_limit"),
        (400, "moderation must be a boolean", "invalid_request"),
        (400, "the tool `insufficient balance` is unknown", "invalid_request"),
    ],
)
def test_other_words_stay_with_their_status(status: int, message: str, kind: str) -> None:
    assert refused(status, message).kind == kind


def test_minimax_tells_by_a_code_that_alone_says_little() -> None:
    body = b'{"choices":null,"base_resp":{"status_code":1039,"status_msg":"token limit"}}'
    assert build_stream_error(body, TABLE).cause_kind == "context_length"
    assert refused(400, "token limit").kind == "invalid_request"
    assert refused(400, "no", code=1039).kind == "invalid_request"


def test_llama_cpp_tells_both_numbers_in_members_of_their_own() -> None:
    error = refused(400, "too long", type="exceed_context_size_error", n_prompt_tokens=14429, n_ctx=8192)
    assert isinstance(error, ContextLengthError)
    assert (error.limit, error.used) == (8192, 14429)


@pytest.mark.parametrize("odd", ["8192", 0, -1, None, 2.5, True])
def test_a_member_that_is_no_count_is_passed_over(odd: object) -> None:
    error = refused(400, "too long", type="exceed_context_size_error", n_prompt_tokens=odd, n_ctx=odd)
    assert isinstance(error, ContextLengthError)
    assert (error.limit, error.used) == (None, None)


def test_a_number_that_no_model_could_have_is_passed_over() -> None:
    error = refused(400, f"prompt is too long: 5 tokens > {'9' * 400} maximum")
    assert isinstance(error, ContextLengthError)
    assert (error.limit, error.used) == (None, 5)


def test_a_provider_may_tell_the_numbers_by_its_own_rule() -> None:
    mine = ErrorRule(kind="context_length", patterns=(r"(?P<used>\d+) of (?P<limit>\d+) words",))
    body = b'{"error":"7 of 5 words"}'
    error = build_error(ResponseHead(status=400), body, TABLE, error_rules=(mine,))
    assert isinstance(error, ContextLengthError)
    assert (error.limit, error.used) == (5, 7)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (CONTEXT_LENGTH, [row[1] for row in OVERFLOWS]),
        *(
            (rules, [message for _, message in WORDS[rules[0].kind]])
            for rules in (CREDITS_EXHAUSTED, CONTENT_FILTERED, MODEL_NOT_FOUND)
        ),
    ],
    ids=["context_length", "credits_exhausted", "content_filtered", "model_not_found"],
)
def test_no_pattern_is_without_its_words(rules: tuple[ErrorRule, ...], words: list[str]) -> None:
    patterns = [pattern for rule in rules if not rule.codes for pattern in rule.patterns]
    idle = [p for p in patterns if not any(re.search(p, message, re.IGNORECASE) for message in words)]
    assert patterns
    assert idle == []

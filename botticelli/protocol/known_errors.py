r"""Hold how servers word the errors that programs ask for most, as rules that any format can use.

The same words come under many formats and from many servers, because gateways pass on what is behind them. So
these rules belong to no provider. Each pattern names the server that it is of, and where its words were seen.

In a pattern of `CONTEXT_LENGTH`, the groups ``limit`` and ``used`` hold the tokens that fit and those that
were asked for; ``more`` is added to ``used``, where a server tells of the prompt and the answer apart.
"""

from __future__ import annotations

from typing import Final

from botticelli.protocol.error_rules import ErrorRule

__all__ = [
    "CONTENT_FILTERED",
    "CONTEXT_LENGTH",
    "CREDITS_EXHAUSTED",
    "KNOWN_ERRORS",
    "MODEL_NOT_FOUND",
    "THROTTLED",
]

_REFUSED: Final = frozenset({400, 404, 413, 422})
_BLOCKED: Final = frozenset({400, 403, 422})
_UNPAID: Final = frozenset({400, 403, 429})

_LIMIT: Final = r"(?P<limit>\d[\d,]*)"
_USED: Final = r"(?P<used>\d[\d,]*)"
_MORE: Final = r"(?P<more>\d[\d,]*)"

THROTTLED: Final[tuple[str, ...]] = (
    # too many tokens in a minute are no overflow, source: earendil-works/pi,
    # packages/ai/src/utils/overflow.ts
    r"\brate.?limit",
    r"\btoo many requests\b",
    # Bedrock: "ThrottlingException: Too many tokens, please wait before trying again.",
    # source: aws-samples/well-architected-iac-analyzer#25
    r"\bthrottl",
    r"^Service unavailable:",
    # Groq's and OpenAI's limits by the minute and the day, source: zeeyado/koassistant#106
    r"\btokens per (?:minute|hour|day)\b",
)
"""Words of a limit on how much is asked in a time: what else the message says is no context overflow."""

CONTEXT_LENGTH: Final[tuple[ErrorRule, ...]] = (
    ErrorRule(
        kind="context_length",
        statuses=_REFUSED,
        codes=frozenset(
            {
                "context_length_exceeded",  # OpenAI
                "model_max_prompt_tokens_exceeded",  # Copilot, source: ericc-ch/copilot-api#65
                "1261",  # Zhipu, source: docs.z.ai/api-reference/api-code
                40303,  # FastChat, source: lm-sys/FastChat, fastchat/constants.py
            }
        ),
    ),
    ErrorRule(
        kind="context_length",
        statuses=_REFUSED,
        types=frozenset(
            {
                "exceed_context_size_error",  # llama.cpp, source: oobabooga/textgen#7257
                "too_many_prompt_tokens",  # Perplexity, source: crmne/ruby_llm, recorded
                "requested_too_many_tokens",  # Perplexity, source: OpenRouterTeam/ai-sdk-provider#121
            }
        ),
    ),
    # MiniMax, source: MiniMax-AI/MiniMax-01#15
    ErrorRule(
        kind="context_length",
        statuses=_REFUSED,
        codes=frozenset({1039}),
        patterns=(r"^token limit$",),
    ),
    ErrorRule(
        kind="context_length",
        statuses=_REFUSED,
        unless=THROTTLED,
        patterns=(
            # vLLM and SGLang with an answer that is too long, source: AIDotNet/OpenCowork#82
            (
                rf"\bmaximum context length (?:is|of) {_LIMIT} tokens\b"
                rf".*\btotal of (?:at least )?{_USED} tokens\b"
            ),
            # OpenAI, vLLM, OpenRouter, source: llm-d/llm-d-inference-sim#596, refly-ai/refly#1177
            (
                rf"\bmaximum context length (?:is|of) {_LIMIT} tokens\b"
                rf".*?\b(?:requested|requested about|resulted in|request has) {_USED} (?:input )?tokens\b"
            ),
            rf"\bmaximum context length (?:is|of) {_LIMIT} tokens\b",
            # SGLang, Poolside, source: sgl-project/sglang#4048, earendil-works/pi's overflow.ts
            (
                rf"\binput length \(?{_USED}(?: tokens)?\)? exceeds (?:the )?(?:model'?s )?"
                rf"maximum (?:context|allowed|allowed input) length (?:of )?\(?{_LIMIT}\b"
            ),
            # SGLang, Together, source: QwenLM/Qwen3#1321
            rf"\binput \({_USED} tokens\) is longer than the model\\?'?s context length \({_LIMIT} tokens\)",
            # vLLM, source: OpenBMB/MiniCPM-V#1048
            rf"\bprompt \((?:total )?length {_USED}\) is longer than the maximum model length of {_LIMIT}\b",
            # TGI, source: its router's validation of inputs
            (
                rf"\btokens \+ `max_new_tokens` must be <= {_LIMIT}"
                rf"(?:\. Given: {_USED} `inputs` tokens and {_MORE} `max_new_tokens`)?"
            ),
            rf"`inputs` must have less than {_LIMIT} tokens\. Given: {_USED}\b",
            # Anthropic, source: earendil-works/pi#102, continuedev/continue#6080
            rf"\bprompt is too long\b(?:: {_USED} tokens > {_LIMIT} maximum)?",
            rf"\binput length and `?max_tokens`? exceed context limit: {_USED} \+ {_MORE} > {_LIMIT}\b",
            # OpenAI, source: earendil-works/pi's overflow.ts, BerriAI/litellm#18927
            r"\bexceeds the (?:model'?s )?context window\b",
            (
                rf"\binput tokens exceed the configured limit of {_LIMIT} tokens\b"
                rf"(?:\. Your messages resulted in {_USED} tokens)?"
            ),
            # Gemini, source: BerriAI/litellm#18282
            (
                rf"\binput token count(?: \({_USED}\))? exceeds "
                rf"the maximum number of tokens allowed \(?{_LIMIT}\b"
            ),
            # xAI, source: earendil-works/pi's overflow.ts
            rf"\bmaximum prompt length is {_LIMIT}\b(?: but the request contains {_USED} tokens)?",
            # Groq and Cerebras, source: cline/cline#5140
            (
                rf"\breduce the length of the messages or completion\b"
                rf"(?:\. Current length is {_USED} while limit is {_LIMIT}\b)?"
            ),
            # Mistral, source: earendil-works/pi's overflow.ts
            rf"\btoo large for model with {_LIMIT} maximum context length\b",
            rf"\bprompt contains {_USED} tokens\b.*\btoo large for model\b",
            # Kimi, source: earendil-works/pi's overflow.ts
            rf"\bexceeded model token limit\b(?:: {_LIMIT}(?: \(requested: {_USED}\))?)?",
            # llama.cpp, source: ItzCrazyKns/Vane#1031
            rf"\brequest(?: \({_USED} tokens\))? exceeds the available context size(?: \({_LIMIT} tokens\))?",
            # llama-cpp-python, source: abetlen/llama-cpp-python, llama_cpp/llama.py
            rf"\brequested tokens \({_USED}\) exceed context window of {_LIMIT}\b",
            # Ollama's cloud, source: dyad-sh/dyad#3498
            r"\bprompt too long; exceeded (?:max )?context length\b",
            # oMLX, source: ValueCell-ai/ClawX#658
            rf"\bprompt too long: {_USED} tokens exceeds max context window of {_LIMIT} tokens\b",
            # mlx-serve, source: ddalcu/mlx-serve#66
            r"\bprompt exceeds maximum context length\b",
            # MiniMax; the number in brackets is a code, source: MiniMax-AI/MiniMax-M2#119
            r"\bcontext window exceeds limit\b",
            # LM Studio, source: logancyang/obsidian-copilot#962, lmstudio-ai/lmstudio-bug-tracker#546
            r"\btokens to keep from the initial prompt is greater than the context length\b",
            (
                rf"\btrying to keep the first {_USED} tokens when context the overflows\b"
                rf"(?:.*?\bcontext length of only {_LIMIT} tokens\b)?"
            ),
            # Copilot, source: jjleng/copilot-more#35
            rf"\bprompt token count of {_USED} exceeds the limit of {_LIMIT}\b",
            # Bedrock, source: earendil-works/pi's overflow.ts
            r"\binput is too long for requested model\b",
            # Perplexity, source: OpenRouterTeam/ai-sdk-provider#121, crmne/ruby_llm
            (
                rf"\brequested {_MORE} to generate tokens, following a prompt of length {_USED}, "
                rf"which exceeds the max limit of {_LIMIT} tokens\b"
            ),
            rf"\buser input tokens exceeds {_LIMIT} tokens\b",
            # DashScope, source: QwenLM/qwen-code#3652, alibabacloud.com/help/model-studio/error-code
            rf"\brange of input length should be \[1, {_LIMIT}\]",
            # Cohere, source: public client tests
            rf"\btoo many tokens: size limit exceeded\b(?:.*?\blimit for this model is {_LIMIT} tokens\b)?",
            # LiteLLM in front of any of them, source: OpenHands/OpenHands#5350
            r"\bContextWindowExceededError\b",
        ),
    ),
)
"""The request and its answer don't fit into the model's context."""

CONTENT_FILTERED: Final[tuple[ErrorRule, ...]] = (
    ErrorRule(
        kind="content_filtered",
        statuses=_BLOCKED,
        codes=frozenset(
            {
                "content_filter",  # Azure, source: openai/openai-python#331
                "content_policy_violation",  # OpenAI
                "ResponsibleAIPolicyViolation",  # Azure's inner code
                "data_inspection_failed",  # DashScope, source: CommandCodeAI/command-code#813
                "DataInspectionFailed",  # DashScope's own format, source: QwenLM/Qwen#938
                "1301",  # Zhipu, source: langchain4j/langchain4j#1079, docs.z.ai/api-reference/api-code
                "sensitive_words_detected",  # new-api, source: openai/openai-cookbook#1224
            }
        ),
    ),
    # Moonshot, source: platform.moonshot.ai/docs, table of errors
    ErrorRule(kind="content_filtered", statuses=_BLOCKED, types=frozenset({"content_filter"})),
    ErrorRule(
        kind="content_filtered",
        statuses=_BLOCKED,
        patterns=(
            # Azure through whatever gateway, source: openai/openai-python#331
            r"\bcontent management policy\b",
            # OpenAI's reasoning models: code invalid_prompt
            r"\bprompt was flagged as potentially violating\b",
            # Anthropic, source: platform.claude.com, errors
            r"\boutput blocked by content filtering policy\b",
            # DeepSeek, source: deepseek-ai/DeepSeek-V2#30
            r"^Content Exists Risk\b",
            # xAI, source: theopenco/llmgateway#1785
            r"\bcontent violates usage guidelines\b",
            # DashScope through whatever gateway, source: QwenLM/qwen-code#3145
            r"\bmay contain inappropriate content\b",
            # MiniMax: 1026 for the prompt, 1027 for the answer; source: its table of error codes
            r"^(?:input|output) new_sensitive\b",
            # OpenRouter, source: openrouter.ai/docs, errors and debugging
            r"\brequires moderation\b.*\bflagged\b",
            # Gemini, source: hackerai-tech/hackerai#632
            r"\bPROHIBITED_CONTENT\b",
            # LiteLLM in front of any of them, source: BerriAI/litellm#16231
            r"\bContentPolicyViolationError\b",
        ),
    ),
)
"""The prompt or the answer was blocked."""

CREDITS_EXHAUSTED: Final[tuple[ErrorRule, ...]] = (
    ErrorRule(
        kind="credits_exhausted",
        statuses=frozenset({429}),
        codes=frozenset(
            {
                # OpenAI, source: learn.microsoft.com, Dev Proxy "openai-insufficient-quota"
                "insufficient_quota",
                "credit_balance_exhausted",
                "organization_spend_limit_exceeded",
                "project_spend_limit_exceeded",
                "organization_usage_limit_exceeded",
                "1113",  # Zhipu, source: vercel/ai#9290, docs.z.ai/api-reference/api-code
            }
        ),
    ),
    ErrorRule(
        kind="credits_exhausted",
        statuses=frozenset({429}),
        types=frozenset(
            {
                "insufficient_quota",
                "insufficient_balance_error",  # MiniMax, source: modelscope/modelscope#1691
                "exceeded_current_quota_error",  # Moonshot, source: MoonshotAI/kimi-code#1860
                "1113",  # Zhipu, source: anthropics/claude-code#9201
            }
        ),
    ),
    # MiniMax says it with a 500 too, source: MiniMax-AI/MiniMax-M2#62
    ErrorRule(
        kind="credits_exhausted",
        statuses=frozenset({429, 500}),
        patterns=(r"^insufficient balance \(1008\)",),
    ),
    ErrorRule(
        kind="credits_exhausted",
        statuses=_UNPAID,
        codes=frozenset(
            {
                "billing_hard_limit_reached",  # OpenAI
                "Arrearage",  # DashScope, source: alibabacloud.com/help/model-studio/error-code
            }
        ),
    ),
    ErrorRule(
        kind="credits_exhausted",
        statuses=_UNPAID,
        patterns=(
            # Anthropic, source: anthropics/claude-quickstarts#229 and platform.claude.com, errors
            r"\bcredit balance is too low\b",
            r"\byou have reached your specified API usage limits\b",
            # MiniMax (1008), Zhipu, source: langgenius/dify-official-plugins#2008,
            # anthropics/claude-code#9201
            r"^insufficient balance\b",
            r"余额不足",
            # xAI, source: continuedev/continue#10373
            r"\bused all available credits\b",
        ),
    ),
)
"""A quota or a balance is used up: waiting doesn't help."""

MODEL_NOT_FOUND: Final[tuple[ErrorRule, ...]] = (
    ErrorRule(
        kind="model_not_found",
        statuses=_REFUSED,
        codes=frozenset(
            {
                "model_not_found",
                "model_decommissioned",  # Groq, source: console.groq.com/docs/deprecations
                "model_not_available",  # Together, source: HeyPuter/puter#3168
                "1211",  # Zhipu, source: docs.z.ai/api-reference/api-code
                40301,  # FastChat, source: lm-sys/FastChat, fastchat/constants.py
            }
        ),
    ),
    ErrorRule(
        kind="model_not_found",
        statuses=_REFUSED,
        types=frozenset(
            {
                "MODEL_NOT_FOUND",  # Novita, source: public client tests
                "invalid_model",  # Mistral, source: tmc/langchaingo#1233
            }
        ),
    ),
    ErrorRule(
        kind="model_not_found",
        statuses=_REFUSED,
        patterns=(
            # llama.cpp's router says so with a 400, source: ggml-org/llama.cpp#17968
            r"^model not found\.?$",
            # Fireworks (code NOT_FOUND), source: bobmatnyc/trusty-tools#2510
            r"^Model not found, inaccessible, and/or not deployed\b",
            # OpenRouter, source: OpenRouterTeam/openrouter-examples#74
            r"\bis not a valid model ID\b",
            # LiteLLM, measured with its proxy 1.106
            r"\bInvalid model name passed in model=",
            # transformers serve, measured with 5.23
            r"\bServer is pinned to\b",
            # mlx-lm hands the Hub's words on, measured with 0.32
            r"\bRepository Not Found for url: https://huggingface\.co/",
        ),
    ),
)
"""The server doesn't have the model."""

KNOWN_ERRORS: Final = (*CREDITS_EXHAUSTED, *CONTEXT_LENGTH, *CONTENT_FILTERED, *MODEL_NOT_FOUND)
"""All of them, in the order in which they are tried."""

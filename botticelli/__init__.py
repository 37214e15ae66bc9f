"""Botticelli: drivers for LLM chat APIs, contracts of their formats, and a kit that judges drivers.

The names of the drivers' side are resolved on first use (PEP 562): ``import botticelli`` alone loads next to
nothing, and the judge (`botticelli.kit`) never loads a driver.
"""

TYPE_CHECKING = False  # typing's own would cost more than all the rest of this module

if TYPE_CHECKING:
    from botticelli.core.driver import (
        AsyncBotticelliDriver,
        AsyncGenerateStream,
        BotticelliDriver,
        Capabilities,
        GenerateStream,
    )
    from botticelli.core.errors import (
        ApiError,
        AuthenticationError,
        BotticelliError,
        CallTimeoutError,
        ClosedError,
        ConfigurationError,
        ConnectError,
        ConnectionLostError,
        ContentFilteredError,
        ContextLengthError,
        CreditsExhaustedError,
        EmptyResponseError,
        InvalidRequestError,
        MalformedResponseError,
        ModelNotFoundError,
        ModelsError,
        NotChatModelError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        RequestError,
        RequestTooLargeError,
        ResponseError,
        ServerError,
        StreamError,
        StreamTruncatedError,
        TransportError,
    )
    from botticelli.core.message import (
        Audio,
        Document,
        Image,
        Input,
        MediaSource,
        Message,
        Other,
        Reasoning,
        Role,
        Text,
        ToolCall,
        Video,
    )
    from botticelli.core.models import Model, ModelProvider, UsageTotals
    from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition
    from botticelli.core.response import (
        Choice,
        Citations,
        CompletionTokens,
        Deviation,
        FinishReason,
        GenerateResponse,
        Output,
        PromptTokens,
        RateLimit,
        RateLimits,
        Refusal,
        StreamChunk,
        ToolCallDelta,
        ToolCalls,
        Usage,
    )
    from botticelli.drivers.credentials import Secret
    from botticelli.drivers.driver import AsyncChatDriver, ChatDriver
    from botticelli.drivers.provider import Provider
    from botticelli.protocol.deadlines import Timeouts
    from botticelli.protocol.limits import Limits
    from botticelli.providers.groq import AsyncGroqDriver, GroqDriver
    from botticelli.providers.huggingface import AsyncHuggingFaceDriver, HuggingFaceDriver
    from botticelli.providers.mock import AsyncMockDriver, MockDriver
    from botticelli.providers.ollama import AsyncOllamaDriver, OllamaDriver
    from botticelli.providers.openai import AsyncOpenAIDriver, OpenAIDriver
    from botticelli.version import __version__


__all__ = [
    "ApiError",
    "AsyncBotticelliDriver",
    "AsyncChatDriver",
    "AsyncGenerateStream",
    "AsyncGroqDriver",
    "AsyncHuggingFaceDriver",
    "AsyncMockDriver",
    "AsyncOllamaDriver",
    "AsyncOpenAIDriver",
    "Audio",
    "AuthenticationError",
    "BotticelliDriver",
    "BotticelliError",
    "CallTimeoutError",
    "Capabilities",
    "ChatDriver",
    "Choice",
    "Citations",
    "ClosedError",
    "CompletionTokens",
    "ConfigurationError",
    "ConnectError",
    "ConnectionLostError",
    "ContentFilteredError",
    "ContextLengthError",
    "CreditsExhaustedError",
    "Deviation",
    "Document",
    "EmptyResponseError",
    "FinishReason",
    "GenerateRequest",
    "GenerateResponse",
    "GenerateStream",
    "GroqDriver",
    "HuggingFaceDriver",
    "Image",
    "Input",
    "InvalidRequestError",
    "Limits",
    "MalformedResponseError",
    "MediaSource",
    "Message",
    "MockDriver",
    "Model",
    "ModelNotFoundError",
    "ModelProvider",
    "ModelsError",
    "NamedTool",
    "NotChatModelError",
    "NotFoundError",
    "OllamaDriver",
    "OpenAIDriver",
    "Other",
    "Output",
    "PermissionDeniedError",
    "PromptTokens",
    "Provider",
    "RateLimit",
    "RateLimitError",
    "RateLimits",
    "Reasoning",
    "Refusal",
    "RequestError",
    "RequestTooLargeError",
    "ResponseError",
    "ResponseFormat",
    "Role",
    "Secret",
    "ServerError",
    "StreamChunk",
    "StreamError",
    "StreamTruncatedError",
    "Text",
    "Timeouts",
    "ToolCall",
    "ToolCallDelta",
    "ToolCalls",
    "ToolDefinition",
    "TransportError",
    "Usage",
    "UsageTotals",
    "Video",
    "__version__",
]

_MODULES = (
    "version",
    "core.errors",
    "core.message",
    "core.request",
    "core.response",
    "core.models",
    "core.driver",
    "protocol.deadlines",
    "protocol.limits",
    "providers.mock",
    "drivers.provider",
    "drivers.credentials",
    "drivers.driver",
)
"""Where the names are, the cheapest modules first. The providers' drivers are in the registry."""

if not TYPE_CHECKING:  # else every misspelt name would pass the type checkers

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module 'botticelli' has no attribute {name!r}")
        from importlib import import_module

        registry = import_module(f"{__name__}.providers").PROVIDERS
        own = [f"providers.{key}" for key, driver in registry.items() if name in (driver, f"Async{driver}")]
        for module in own or _MODULES:
            value = getattr(import_module(f"{__name__}.{module}"), name, None)
            if value is not None:
                globals()[name] = value
                return value
        raise AttributeError(f"module 'botticelli' lists {name!r}, and none of its modules has it")

    def __dir__():
        return sorted({*globals(), *__all__})

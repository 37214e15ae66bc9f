"""Botticelli: a driver, a contract and a kit for the OpenAI chat format.

The names of the driver's side, resolved on first use (PEP 562): ``import botticelli`` alone loads next
to nothing, and the judge (`botticelli.kit`) never loads the driver.
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
        Role,
        Text,
        ToolCall,
        Video,
    )
    from botticelli.core.models import Model, ModelProvider, UsageTotals
    from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition
    from botticelli.core.response import (
        AudioOutput,
        Choice,
        CompletionTokens,
        Deviation,
        FinishReason,
        GenerateResponse,
        Output,
        PromptTokens,
        RateLimit,
        RateLimits,
        Reasoning,
        Refusal,
        StreamChunk,
        ToolCallDelta,
        ToolCalls,
        Usage,
    )
    from botticelli.drivers.driver import AsyncChatDriver, ChatDriver
    from botticelli.drivers.provider import Provider
    from botticelli.drivers.settings import Secret
    from botticelli.protocol.deadlines import Timeouts
    from botticelli.providers.huggingface import AsyncHuggingFaceDriver, HuggingFaceDriver
    from botticelli.providers.mock import AsyncMockDriver, MockDriver

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "AsyncBotticelliDriver",
    "AsyncChatDriver",
    "AsyncGenerateStream",
    "AsyncHuggingFaceDriver",
    "AsyncMockDriver",
    "Audio",
    "AudioOutput",
    "AuthenticationError",
    "BotticelliDriver",
    "BotticelliError",
    "CallTimeoutError",
    "Capabilities",
    "ChatDriver",
    "Choice",
    "ClosedError",
    "CompletionTokens",
    "ConfigurationError",
    "ConnectError",
    "ConnectionLostError",
    "ContextLengthError",
    "CreditsExhaustedError",
    "Deviation",
    "Document",
    "EmptyResponseError",
    "FinishReason",
    "GenerateRequest",
    "GenerateResponse",
    "GenerateStream",
    "HuggingFaceDriver",
    "Image",
    "Input",
    "InvalidRequestError",
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

_HOMES = {
    "core.models": ("Model", "ModelProvider", "UsageTotals"),
    "core.driver": (
        "AsyncBotticelliDriver",
        "AsyncGenerateStream",
        "BotticelliDriver",
        "Capabilities",
        "GenerateStream",
    ),
    "core.message": (
        "Audio",
        "Document",
        "Image",
        "Input",
        "MediaSource",
        "Message",
        "Role",
        "Text",
        "ToolCall",
        "Video",
    ),
    "core.request": ("GenerateRequest", "NamedTool", "ResponseFormat", "ToolDefinition"),
    "core.response": (
        "AudioOutput",
        "Choice",
        "CompletionTokens",
        "Deviation",
        "FinishReason",
        "GenerateResponse",
        "Output",
        "PromptTokens",
        "RateLimit",
        "RateLimits",
        "Reasoning",
        "Refusal",
        "StreamChunk",
        "ToolCallDelta",
        "ToolCalls",
        "Usage",
    ),
    "providers.huggingface": ("AsyncHuggingFaceDriver", "HuggingFaceDriver"),
    "providers.mock": ("AsyncMockDriver", "MockDriver"),
    "drivers.provider": ("Provider",),
    "drivers.settings": ("Secret",),
    "drivers.driver": ("AsyncChatDriver", "ChatDriver"),
    "protocol.deadlines": ("Timeouts",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # else every misspelt name would pass the type checkers

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module 'botticelli' has no attribute {name!r}")
        from importlib import import_module

        # what has no home of its own is an error
        value = getattr(import_module(f".{_HOME.get(name, 'core.errors')}", __name__), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})

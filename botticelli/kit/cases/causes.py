"""What usually makes a client fail the cases of an area, for cases that don't say it themselves."""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["USUAL_CAUSES"]

USUAL_CAUSES = MappingProxyType(
    {
        "auth": "The key goes into a header without being checked, and what fails on the way shows it.",
        "cancel": "Leaving the loop, or cancelling the task, doesn't close the response.",
        "choices": "The code was written for one choice and reads choices[0].",
        "chunk": "Members of a chunk are taken for granted that servers leave out, send as null or add.",
        "connection": "The HTTP library's exceptions are passed on, or a broken connection is used again.",
        "content": "Text, reasoning and tool calls are collected apart, and their order is lost.",
        "error": "The code expects one envelope and one content type of every error.",
        "finish": "Finish reasons are compared with a fixed list, or a later one overwrites what was known.",
        "forward-compat": "Validation is strict where the format may grow.",
        "headers": "Headers are compared as they are usually written, not as HTTP allows them.",
        "json": "The body is parsed and used without looking at what it is.",
        "logprobs": "Log probabilities are copied member by member, or only from some chunks.",
        "models": "The list is read without looking whether it is one.",
        "reasoning": "Members outside the published format are dropped, or known under one name only.",
        "request": "The request passes through typed models that drop, add or rewrite members.",
        "retry": "The retry loop looks at the status alone, or at the exception alone.",
        "sse": "Events are read with string functions in place of the standard's few rules.",
        "stream-error": "The loop over a stream knows chunks and [DONE] only.",
        "timeout": "One limit is passed to the HTTP library, which applies it to each read.",
        "tool": "The parts of a call are put together by one rule, which not every server's chunks fit.",
        "unicode": "Bytes are decoded piece by piece, or texts are cleaned on the way.",
        "usage": "Usage is taken from one place, or its members are taken for granted.",
    }
)
"""By area."""

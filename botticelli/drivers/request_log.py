"""Keep the query of a URL out of the HTTP library's log, where a base URL's parameters may be secret.

httpx and httpx2 log each request's URL at INFO. A filter on their loggers shows it without its query, and
only for requests of ours: those of the rest of the program are logged as before.
"""

from __future__ import annotations

import logging

from botticelli.drivers.connection import is_sending

__all__ = ["hide_queries"]


class _QueryFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if is_sending() and isinstance(record.args, tuple):
            record.args = tuple(map(_without_query, record.args))
        return True


def _without_query(value: object) -> object:
    """Return a URL without its query, and anything else as it is."""
    if isinstance(value, int | float):
        return value
    head, mark, _ = str(value).partition("?")
    return f"{head}?***" if mark and "://" in head else value


_FILTER = _QueryFilter()


def hide_queries(library: str) -> None:
    """Hide the queries of our requests' URLs from the log of this library; harmless when repeated."""
    logging.getLogger(library).addFilter(_FILTER)

"""A report as a badge: a small SVG for a README, that needs no service and no network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from botticelli.kit.report import model

if TYPE_CHECKING:
    from botticelli.kit.report.model import Report

__all__ = ["badge"]

_LABEL = "chat format"
_GREEN, _AMBER, _RED, _GREY = "#2a6b3c", "#7d5a00", "#a32020", "#5a5a5a"  # each 5:1 or more under white
_AMBER_FROM = 90  # percent
_PADDING = 8
_NARROW, _WIDE = frozenset("fijlrt.,: |1"), frozenset("mwMW%")

_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" viewBox="0 0 {width} 20" role="img" \
aria-labelledby="title"><title id="title">{title}</title>
<clipPath id="round"><rect width="{width}" height="20" rx="3"/></clipPath>
<g clip-path="url(#round)"><rect width="{left}" height="20" fill="#444"/>\
<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">
<text x="{padding}" y="14" textLength="{label_width}">{label}</text>
<text x="{text_x}" y="14" textLength="{text_width}">{text}</text>
</g></svg>
"""


def badge(report: Report) -> str:
    """Return a badge with the share of musts that are kept; of several implementations, the lowest."""
    scores = [model.score(model.tally(run.results), "must") for run in report.runs]
    percents = [one.percent for one in scores if one.percent is not None]
    if not report.finished:
        text, colour = "unfinished", _GREY
    elif not percents or len(percents) < len(report.runs):
        text, colour = "not judged", _GREY
    else:
        lowest = min(percents)
        text = f"{lowest} % of musts"
        colour = _RED if lowest < _AMBER_FROM else _GREEN if lowest == 100 else _AMBER
    label_width, text_width = _width(_LABEL), _width(text)
    left, right = label_width + 2 * _PADDING, text_width + 2 * _PADDING
    return _SVG.format(
        title=escape(f"{_LABEL}: {text}"),
        label=escape(_LABEL),
        text=escape(text),
        colour=colour,
        width=left + right,
        left=left,
        right=right,
        padding=_PADDING,
        text_x=left + _PADDING,
        label_width=label_width,
        text_width=text_width,
    )


def _width(text: str) -> int:
    """Estimate the width at 11 px; the picture then stretches the text to it, whatever the font is."""
    return round(sum(4.2 if c in _NARROW else 10 if c in _WIDE else 7 for c in text))

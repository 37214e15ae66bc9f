"""A report as one self-contained page: a matrix of cases by implementations, each cell with its exchange.

The page needs no network and, to be read, no script: a cell is a link to its exchange, and CSS shows what the
address names (``:target``). The script (page.js) only adds the filters and the search. Whatever comes from a
client or a server passes through :func:`_text` or :func:`_attribute`; the page's own policy forbids any
script and any connection but what is in here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from html import escape
from importlib.resources import files
from itertools import count, groupby
from string import ascii_uppercase
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from botticelli.contracts.jsonvalue import as_object
from botticelli.kit.judge.compare import escape_invisible
from botticelli.kit.report import model
from botticelli.kit.report.text import facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from botticelli.kit.report.model import Report, Result, Run, WireEvent

__all__ = ["page"]

_ROOM = 1_980_000
"""Bytes that a page may have; the texts of exchanges are shortened until it does."""


class _Terms(NamedTuple):
    """How much of the exchanges is shown."""

    must: int  # characters kept of a text, or of what one side sends in one go, for a must
    other: int  # the same for anything else
    shared: bool  # what is alike is shown once: answers to several clients, and a client's usual headers


_TERMS = (
    _Terms(8000, 8000, shared=False),
    *(_Terms(cap, cap // 4, shared=True) for cap in (4000, 2000, 1200, 800, 600, 450, 300, 200)),
    *(_Terms(cap, 0, shared=True) for cap in (4000, 2000, 1200, 800, 450, 200)),  # exchanges of musts alone
    _Terms(0, 0, shared=True),  # no exchanges
)
"""From generous to scanty; the first that fits is taken."""

_MEANING = {
    "silent": "wrong, lost or invented content, and no error that says so",
    "hang": "no outcome in time",
    "crash": "an exception that isn’t the client’s own, or a dead process",
    "leak": "a key where it doesn’t belong",
    "refused": "an error where an answer was due, or one that loses what had been delivered before it",
    "imprecise": "the content is right; something beside it isn’t",
}
_GRADES = {"OK": "kept", "NOT CLAIMED": "not claimed"}


def page(report: Report) -> str:
    """Return a report as an HTML page of less than 2 MB."""
    text = ""
    for terms in _TERMS:
        text = _page(report, terms)
        if len(text.encode("utf-8", "backslashreplace")) <= _ROOM:
            break
    return text


class _Row(NamedTuple):
    """One case: what is known of it, and what came of it in each run."""

    about: Result
    results: list[Result | None]


def _rows(runs: Sequence[Run]) -> list[_Row]:
    by_case: dict[str, list[Result | None]] = {}
    for place, run in enumerate(runs):
        for result in run.results:
            by_case.setdefault(result.case, [None] * len(runs))[place] = result
    rows = [_Row(next(filter(None, results)), results) for results in by_case.values()]
    return sorted(rows, key=lambda row: (row.about.area, row.about.case))


def _page(report: Report, terms: _Terms) -> str:
    style, script = (
        files("botticelli.kit.report").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js")
    )
    rows, names = _rows(report.runs), _names(report.runs)
    usual = [_usual(run) if terms.shared else frozenset[str]() for run in report.runs]
    title = f"{names[0]}: chat format conformance" if len(names) == 1 else "Chat format conformance"
    allowed = f"style-src {_hash(style)}; script-src {_hash(script)}"
    policy = f"default-src 'none'; img-src data:; {allowed}; base-uri 'none'; form-action 'none'"
    return "".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n',
            f'<title>{_text(title)}</title>\n<link rel="icon" href="data:,">\n',
            f"<style>{style}</style>\n</head>\n<body>\n",
            '<a class="skip" href="#matrix">Skip to the matrix</a>\n',
            *_head(report, rows, title),
            "<main>\n",
            *_summary(report.runs, names),
            *_faults(report.runs, names),
            *_matrix(rows, names),
            *_usual_headers(names, usual),
            *_cases(rows, names, terms, usual),
            f"</main>\n{_foot(report)}<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(text: object) -> str:
    """Return a text that shows as it is in HTML, with what can't be seen spelt out."""
    return escape(escape_invisible(str(text)), quote=False)


def _attribute(text: object) -> str:
    return escape(escape_invisible(str(text)), quote=True)


def _breakable(name: str) -> str:
    """Return a name that may be broken behind its underscores, where a phone has no room for it."""
    return _text(name).replace("_", "_<wbr>")


def _names(runs: Sequence[Run]) -> list[str]:
    """Return short names for columns; whole ones if the short ones aren't distinct."""
    for shorten in (_short, _host):
        names = [f"{shorten(run.name)} {run.version}".rstrip() for run in runs]
        if len(set(names)) == len(names):
            return names
    return [run.label for run in runs]


_ENDPOINT = re.compile(r"(?:.*/)?([^/]+)/* at https?://([^/]+).*")


def _short(name: str) -> str:
    """Return a name without its module and the word ``command``; of an endpoint, its model's."""
    if endpoint := _ENDPOINT.fullmatch(name):
        return endpoint[1]
    if name.startswith("npm:"):  # part of the client's name: PyPI has one of the same name
        return name
    return name.removeprefix("command:").rpartition(":")[2].strip() or name


def _host(name: str) -> str:
    return endpoint[2] if (endpoint := _ENDPOINT.fullmatch(name)) else _short(name)


# The top


def _head(report: Report, rows: Sequence[_Row], title: str) -> Iterator[str]:
    many = len(report.runs)
    yield f"<header>\n<h1>{_text(title)}</h1>\n"
    yield f'<p class="about">{many} implementation{"s" * (many != 1)}, {len(rows)} cases, '
    yield f'<time datetime="{_attribute(report.date)}">{_text(report.date[:10])}</time></p>\n'
    problems = [
        f"<li><b>{_text(run.label)}</b>: {_text(_shortened(problem, _PROBLEM))}</li>\n"
        for run in report.runs
        for problem in run.problems
    ]
    if not report.finished:
        problems.append("<li>The report isn’t finished, so it hasn’t passed.</li>\n")
    if problems:
        yield f'<ul class="problems" aria-label="Problems of the run">\n{"".join(problems)}</ul>\n'
    yield "</header>\n"


def _foot(report: Report) -> str:
    return (
        "<footer><p>"
        f"Cases: version {_text(report.suite.version)} ({_text(report.suite.hash)}). "
        f"Seed {_text(report.seed)}. Judged {_text(report.date)} by botticelli {_text(report.botticelli)}. "
        "Long texts are shortened here; the report in JSON has more.</p></footer>\n"
    )


def _summary(runs: Sequence[Run], names: Sequence[str]) -> Iterator[str]:
    """Yield the share of kept cases by level, over all and in each profile."""
    found = {one.profile for run in runs for one in run.results}
    groups = ["", *(name for name in model.PROFILES if name in found)]
    yield '<section aria-labelledby="summary">\n<h2 id="summary">What is kept</h2>\n'
    yield '<p class="about">Per cent of the cases judged that were kept, and how many. A must is required, a '
    yield "should is recommended, a may is optional and fails nothing.</p>\n"
    yield f'{_BOX.format("summary")}<table class="numbers">\n'
    yield '<thead>\n<tr><th rowspan="2" scope="col">implementation</th>'
    yield "".join(f'<th colspan="3" scope="colgroup">{name or "all"}</th>' for name in groups)
    first, *others = model.LEVELS
    levels = f'<th scope="col" class="first">{first}</th>'
    levels += "".join(f'<th scope="col">{level}</th>' for level in others)
    yield "</tr>\n<tr>" + levels * len(groups)
    yield "</tr>\n</thead>\n<tbody>\n"
    for run, name in zip(runs, names, strict=True):
        counts = model.tally(run.results)
        cells = (_share(counts, level, profile) for profile in groups for level in model.LEVELS)
        yield f'<tr><th scope="row" title="{_attribute(run.label)}">{_breakable(name)}</th>'
        yield f"{''.join(cells)}</tr>\n"
    yield "</tbody>\n</table>\n</div>\n</section>\n"


_ALL = 100  # per cent
_BOX = '<div class="scroll" tabindex="0" role="region" aria-labelledby="{}">\n'


def _share(counts: Counter[tuple[str, str, str, str]], level: str, profile: str) -> str:
    one = model.score(counts, level, profile=profile)
    kind = f"{'first' if level == model.LEVELS[0] else ''} {'all' if one.percent == _ALL else ''}".strip()
    if one.percent is None:
        return f'<td class="none {kind}">–</td>'
    return f'<td class="{kind}">{one.percent}<small>{one.kept}/{one.judged}</small></td>'


def _faults(runs: Sequence[Run], names: Sequence[str]) -> Iterator[str]:
    """Yield how many cases of each gravity weren't kept, by level, with the meaning of the letters."""
    yield '<section aria-labelledby="faults">\n<h2 id="faults">What is wrong</h2>\n'
    yield '<p class="about">Cases that weren’t kept, the gravest kind first: musts, and below them shoulds '
    yield f'and mays.</p>\n{_BOX.format("faults")}<table class="numbers">\n'
    yield '<thead>\n<tr><th scope="col">implementation</th>'
    yield "".join(f'<th scope="col">{_mark(word)} {word}</th>' for word in model.GRAVITIES)
    yield "</tr>\n</thead>\n<tbody>\n"
    for run, name in zip(runs, names, strict=True):
        yield f'<tr><th scope="row" title="{_attribute(run.label)}">{_breakable(name)}</th>'
        for word in model.GRAVITIES:
            found = [
                result.level
                for result in run.results
                if result.gravity == word and result.grade not in _GRADES and not result.unscored
            ]
            musts, shoulds, mays = (found.count(level) for level in model.LEVELS)
            if found:
                rest = ((shoulds, "should"), (mays, "may"))
                others = ", ".join(f"{number} {level}" for number, level in rest if number)
                yield f"<td>{musts}<small>{others or 'and no other'}</small></td>"
            else:
                yield '<td class="none">–</td>'
        yield "</tr>\n"
    yield '</tbody>\n</table>\n</div>\n<dl class="legend">\n'
    for word, meaning in _MEANING.items():
        yield f"<div><dt>{_mark(word)} {word}</dt><dd>{meaning}</dd></div>\n"
    yield "</dl>\n</section>\n"


def _mark(word: str) -> str:
    return f'<b class="mark {word[0]}">{word[0].upper()}</b>'


# The matrix


def _matrix(rows: Sequence[_Row], names: Sequence[str]) -> Iterator[str]:
    yield '<section id="matrix" aria-labelledby="cases">\n<h2 id="cases">Case by case</h2>\n'
    yield from _filters(sorted({row.about.area for row in rows}))
    yield '<p class="key">A filled letter is a must, a tinted one a should, an outlined one a may. '
    yield '<span class="dot" aria-hidden="true">·</span> kept, – not claimed, * known to fail. '
    yield "A letter opens its exchange.</p>\n"
    tall = " tall" if len(names) > _FLAT else ""
    yield '<div class="scroll grid" tabindex="0" role="region" aria-labelledby="cases">\n'
    yield f'<table class="matrix{tall}">\n<thead>\n<tr><th scope="col">case</th><th scope="col">level</th>'
    yield '<th scope="col" class="p">profile</th>'
    yield "".join(f'<th scope="col" class="col"><span>{_text(name)}</span></th>' for name in names)
    yield "</tr>\n</thead>\n"
    areas: dict[str, list[tuple[int, _Row]]] = {}
    for number, row in enumerate(rows):
        areas.setdefault(row.about.area, []).append((number, row))
    for area, members in areas.items():
        yield f'<tbody data-a="{_attribute(area)}">\n<tr class="area"><th scope="rowgroup">{_text(area)}</th>'
        # No colspan: a phone shows no profiles, and the numbers would stand in the wrong columns.
        musts = any(row.about.level == "must" for _, row in members)
        yield f"<td>{'musts kept' if musts else ''}<td class=p>"
        for place in range(len(names)):
            results = [result for _, row in members if (result := row.results[place])]
            one = model.score(model.tally(results), "must")
            yield f"<td>{one.kept}/{one.judged}" if one.judged else "<td>"
        yield "</tr>\n"
        for number, row in members:
            yield from _row(number, row)
        yield "</tbody>\n"
    yield "</table>\n</div>\n"
    yield '<p class="nothing" hidden>No case fits these filters.</p>\n</section>\n'


_FLAT = 4  # names of so many columns are written across, of more upright


def _filters(areas: Sequence[str]) -> Iterator[str]:
    yield '<form class="filters" role="search" aria-label="Filter the cases" hidden>\n'
    yield '<label class="find">Search<input type="search" name="q" placeholder="sse-bom, usage, …" '
    yield 'autocomplete="off" spellcheck="false"></label>\n'
    choices: tuple[tuple[str, str, Sequence[str]], ...] = (
        ("profile", "every profile", model.PROFILES),
        ("area", "every area", areas),
        ("level", "every level", model.LEVELS),
        ("gravity", "any result", ("any fault", *model.GRAVITIES)),
    )
    for name, every, words in choices:
        options = "".join(f"<option>{_text(word)}</option>" for word in words)
        yield f'<label>{name.capitalize()}<select name="{name}"><option value="">{every}</option>{options}'
        yield "</select></label>\n"
    yield '<button type="reset">Show all</button>\n<output role="status"></output>\n</form>\n'


def _row(number: int, row: _Row) -> Iterator[str]:
    about = row.about
    yield f"<tr data-l={about.level} data-p={about.profile}>"
    yield f'<th scope="row"><a id="r{number}" href="#c{number}">{_text(about.case)}</a>'
    yield f"<span>{_text(about.title)}</span></th>"
    yield f"<td>{about.level}<td class=p>{about.profile}"
    for place, result in enumerate(row.results):
        yield _cell(number, place, result)
    yield "</tr>\n"


def _cell(number: int, place: int, result: Result | None) -> str:
    if result is None:
        return "<td class=o>not run"
    if result.grade in _GRADES:
        kind = "k" if result.grade == "OK" else "n"
        stale = ", though known to fail" if result.status == "stale" else ""
        return f"<td class={kind}>{_GRADES[result.grade]}{stale}"
    word = result.gravity or "imprecise"
    known = "<i>, known</i>*" if result.status == "known" else ""
    aside = "<i>, unscored</i>" if result.unscored else ""
    kind = f'"f {word[0]} u"' if result.unscored else f'"f {word[0]}"'
    link = f"<a href=#x{number}-{place}>{word[0].upper()}<i>{word[1:]}</i>{known}{aside}</a>"
    return f"<td class={kind}>{link}"


# The exchanges

_Turn: TypeAlias = "tuple[WireEvent, ...]"
"""What one side sent without the other coming between."""


def _cases(
    rows: Sequence[_Row], names: Sequence[str], terms: _Terms, usual: Sequence[frozenset[str]]
) -> Iterator[str]:
    yield '<section class="cases" aria-label="The cases and their exchanges">\n'
    for number, row in enumerate(rows):
        yield from _case(number, row, names, terms, usual)
    yield "</section>\n"


def _case(
    number: int, row: _Row, names: Sequence[str], terms: _Terms, usual: Sequence[frozenset[str]]
) -> Iterator[str]:
    about = row.about
    cap = terms.must if about.level == "must" else terms.other
    wrong = [(place, one) for place, one in enumerate(row.results) if one and one.grade not in _GRADES]
    shared = _shared([(one, usual[place]) for place, one in wrong]) if terms.shared and cap else {}
    yield f"<article id=c{number} tabindex=-1 aria-labelledby=t{number}>\n"
    yield f'<p class=bar><a class=close href="#r{number}">Close</a></p>\n'
    yield f"<h3 id=t{number}>{_text(about.case)}</h3>\n<p class=title>{_text(about.title)}</p>\n"
    yield f"<p class=tags><b>{about.level}</b> {about.profile} {_text(about.area)}</p>\n"
    if wrong:
        yield "<ul class=tabs>"
        for place, result in wrong:
            word = result.gravity or "imprecise"
            yield f"<li><a href=#x{number}-{place}>{_mark(word)} {_text(names[place])}</a>"
        yield "</ul>\n"
    else:
        yield "<p>Everyone who claims it keeps it.</p>\n"
    for place, result in wrong:
        show = _Show(cap, _several(result), usual[place], shared)
        yield from _exchange(f"x{number}-{place}", names[place], result, show)
    for turn, name in shared.values():
        yield f"<section class=both><h5>{name[0].upper()}{name[1:]}</h5>\n"
        yield f"<ol class=w>\n{_turn(turn, _Show(cap))}</ol></section>\n"
    yield from _facts(about, next((one for _, one in wrong if one.evidence), None), cap)
    yield "</article>\n"


def _exchange(anchor: str, name: str, result: Result, show: _Show) -> Iterator[str]:
    word, cap = result.gravity or "imprecise", max(show.cap, _LEAST)
    yield f"<section class=x id={anchor} tabindex=-1>\n<h4>{_mark(word)} {_text(name)}: {word}</h4>\n"
    if result.reason:
        yield f"<p>Known to fail: {_text(_shortened(result.reason, cap))}</p>\n"
    if result.unscored:
        yield "<p>Newer than this version of the cases, so it counts for nothing.</p>\n"
    for fact in facts(result.differences):
        times = f" ({fact.times} times)" if fact.times > 1 else ""
        yield f"<dl class=fact><dt class=at>{_text(fact.path or 'the outcome')}{times}"
        yield f"<dt>expected<dd>{_text(_shortened(fact.expected, cap))}"
        yield f"<dt>got<dd>{_text(_shortened(fact.got, cap))}</dl>\n"
    yield from (f"<p>{_text(_shortened(remark, cap))}</p>\n" for remark in result.remarks)
    seen = result.evidence
    if seen is not None and show.cap:
        if seen.wire:
            yield "<h5>On the wire</h5>\n<ol class=w>\n"
            yield from (_turn(_without_usual(turn, show.usual), show) for turn in _turns(seen.wire))
            yield "</ol>\n"
        for outcome in seen.outcomes:
            what = "How it ended" if "end" in as_object(outcome) else "Handed over"
            yield f"<h5>{what}</h5>\n<pre>{_text(_shortened(_json(outcome), cap))}</pre>\n"
        if seen.output:
            yield f"<h5>Printed meanwhile</h5>\n<pre>{_text(_shortened(seen.output, cap))}</pre>\n"
    if seen is not None and seen.command:
        yield f"<h5>Play it again</h5>\n<pre>{_text(_shortened(seen.command, _COMMAND))}</pre>\n"
    yield "</section>\n"


_PROBLEM = 600  # characters of a problem, which may quote what a process said before it died
_LEAST = 160  # characters of a difference
_COMMAND = 500  # characters of a command; a shortened one can't be run


def _turns(wire: Iterable[WireEvent]) -> list[_Turn]:
    groups = groupby(wire, key=lambda event: (event.connection, event.sender))
    return [tuple(events) for _, events in groups]


def _without_usual(turn: _Turn, usual: frozenset[str]) -> _Turn:
    """Return a turn without the usual header lines of its requests."""
    if turn[0].sender != "client" or not usual:
        return turn
    return tuple(replace(event, text=_without(usual, event.text)) if event.text else event for event in turn)


def _same(turn: _Turn) -> object:
    """Return what two turns have in common that differ in nothing but time."""
    return tuple((e.sender, e.connection, e.text, e.base64, e.omitted, e.event) for e in turn)


def _shared(results: Iterable[tuple[Result, frozenset[str]]]) -> dict[object, tuple[_Turn, str]]:
    """Return the turns that occur in several exchanges, each with the name under which it is shown."""
    times: Counter[object] = Counter()
    turns: dict[object, _Turn] = {}
    for result, usual in results:
        if result.evidence is not None:
            reduced = (_without_usual(turn, usual) for turn in _turns(result.evidence.wire))
            seen = {_same(turn): turn for turn in reduced}
            times.update(seen.keys())
            turns = seen | turns
    letters = {"client": count(), "server": count()}
    words = {"client": "request", "server": "answer"}
    return {
        same: (turn, f"{words[turn[0].sender]} {_letter(next(letters[turn[0].sender]))}")
        for same, turn in turns.items()
        if times[same] > 1
    }


def _letter(number: int) -> str:
    return f"{ascii_uppercase[number % 26]}{number // 26 or ''}"


class _Show(NamedTuple):
    """How to show an exchange: how much of a text, and what is shown elsewhere."""

    cap: int
    several: bool = False
    usual: frozenset[str] = frozenset()
    shared: Mapping[object, tuple[_Turn, str]] = {}


def _several(result: Result) -> bool:
    return result.evidence is not None and len({event.connection for event in result.evidence.wire}) > 1


def _turn(turn: _Turn, show: _Show) -> str:
    """Return one turn, in the pieces in which it came, or only the letter under which it is shown."""
    first, last = turn[0], turn[-1]
    where = f", connection {first.connection}" if show.several else ""
    head = f"<li class={first.sender[0]}><span>{first.sender}{where}"
    if known := show.shared.get(_same(turn)):
        return f"{head}: {known[1]}, below, at {first.at:.3f} to {last.at:.3f} s</span>\n"
    return f"{head}</span><pre>{''.join(_pieces(turn, show))}</pre>\n"


def _pieces(turn: _Turn, show: _Show) -> Iterator[str]:
    """Yield the pieces of a turn until there is no room; what happened to the connection is always told."""
    left, skipped = show.cap, 0
    for event in turn:
        size = len(event.text or event.base64 or "")
        if left <= 0 and size:
            skipped += 1
            continue
        if skipped:
            yield f"<b>[… {skipped} more …]</b>"
            skipped = 0
        yield _piece(event, show._replace(cap=left))
        left -= size
    if skipped:
        yield f"<b>[… {skipped} more …]</b>"


def _piece(event: WireEvent, show: _Show) -> str:
    body, head = "", f"{event.at:.3f} s"
    if event.event:
        head += f" {event.event}"
    elif event.text is not None:
        body = _shortened(event.text.replace("\r\n", "\n"), show.cap)
    elif event.base64 is not None:
        head, body = f"{head} base64", _shortened(event.base64, show.cap)
    more = f"\n[{event.omitted} bytes more]" if event.omitted else ""
    return f"<b>{head}</b>{_text(body + more)}"


_HEAD = re.compile(r"[A-Z]+ \S+ HTTP/1\.[01]\r\n")
_USUAL = 0.6  # a line that so many of the requests have is usual


def _usual(run: Run) -> frozenset[str]:
    """Return the header lines that most requests of a run have, which needn't be shown with each."""
    heads = [
        event.text.partition("\r\n\r\n")[0].split("\r\n")[1:]
        for result in run.results
        if result.evidence
        for event in result.evidence.wire
        if event.sender == "client" and event.text and _HEAD.match(event.text)
    ]
    times = Counter(line for head in heads for line in set(head))
    return frozenset(line for line, each in times.items() if each > len(heads) * _USUAL)


def _without(usual: frozenset[str], text: str) -> str:
    """Return a request with its usual header lines left out and counted."""
    if not usual or not _HEAD.match(text):
        return text
    head, blank, body = text.partition("\r\n\r\n")
    lines = head.split("\r\n")
    kept = [line for line in lines if line not in usual]
    left_out = len(lines) - len(kept)
    note = [f"[and {left_out} usual header{'s' * (left_out != 1)}]"] if left_out else []
    return "\r\n".join(kept + note) + blank + body


def _usual_headers(names: Sequence[str], usual: Sequence[frozenset[str]]) -> Iterator[str]:
    if not any(usual):
        return
    yield '<section aria-labelledby="usual">\n<h2 id="usual">Usual headers</h2>\n'
    yield "<p class=about>Most requests of an implementation have them; an exchange only counts them.</p>\n"
    for name, lines in zip(names, usual, strict=True):
        if lines:
            text = _shortened("\n".join(sorted(lines)), _TERMS[0].must)
            yield f"<details><summary>{_text(name)}</summary><pre>{_text(text)}</pre></details>\n"
    yield "</section>\n"


def _facts(about: Result, failing: Result | None, cap: int) -> Iterator[str]:
    """Yield what is the same for everyone: the rule, what it rests on, the call."""
    named: list[tuple[str, str]] = [
        ("rule", _link(about.spec)),
        ("policy", _text(about.policy)),
        ("usual cause", _text(about.cause)),
        ("rests on", _text(about.provenance)),
        ("met in", ", ".join(map(_link, about.source))),
    ]
    yield '<dl class="facts">'
    yield "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in named if value)
    yield "</dl>\n"
    calls = failing.evidence.calls if cap and failing and failing.evidence else []
    for call in calls:
        shown = {name: value for name, value in call.items() if name not in ("case", "format", "last")}
        text = _text(_shortened(_json(shown), cap))
        yield f"<details><summary>The call</summary><pre>{text}</pre></details>\n"


_ISSUE = re.compile(r"([A-Za-z0-9._-]+/[A-Za-z0-9._-]+)#([0-9]+)")
_URL = re.compile(r"https?://[^\s<>\"']+")


def _link(text: str) -> str:
    """Return a link where the text is a web address or an issue; any other scheme stays text."""
    if found := _ISSUE.fullmatch(text):
        address = f"https://github.com/{found[1]}/issues/{found[2]}"
    elif _URL.fullmatch(text):
        address = text
    else:
        return _text(text)
    return f'<a href="{_attribute(address)}" rel="noreferrer noopener">{_text(text)}</a>'


def _json(value: object) -> str:
    flat = json.dumps(value, ensure_ascii=False, default=str)
    return flat if len(flat) <= _LINE else json.dumps(value, ensure_ascii=False, indent=1, default=str)


_LINE = 2000  # characters up to which a value stays on one line, which the page wraps


def _shortened(text: str, cap: int) -> str:
    """Shorten a text in the middle, where the least is lost."""
    if len(text) <= cap + 40:  # what the note itself takes
        return text
    end = cap // 3
    return f"{text[: cap - end]}\n[… {len(text) - cap} characters …]\n{text[len(text) - end :]}"

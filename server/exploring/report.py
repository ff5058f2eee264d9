"""An exploration as text and as an object, both with the same facts and within a byte budget.

What the text quotes from a repository or a model is data: it is put on one line without control
characters, either in a code span that it cannot close, or with those characters escaped that would
make it a link, an image or markup.
"""

import dataclasses
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from explorer.records import Citation, Exploration, OutlineEntry
from explorer.visible import UNSEEN, spelled

ExplorerName = Literal["endpoint", "local", "scout"]

# No tokenizer makes more tokens than there are bytes, so this keeps an answer below the 25,000
# tokens and 50,000 characters at which clients refuse or truncate.
OBJECT_BYTES = 24_000
_EVIDENCE_CHARS = 160
_REASON_CHARS = 200
_PROSE_CHARS = 1_500
_QUERY_BYTES = 1_000
_NOTE_CHARS = 240
_NOTES_BYTES = 1_500


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to one question, and which explorer gave it."""

    repository: Path
    engine: ExplorerName
    """Which explorer answered."""
    engine_reason: str
    """Why that explorer, as part of a sentence: "no endpoint is configured"."""
    exploration: Exploration
    outlines: Mapping[str, tuple[OutlineEntry, ...]] = field(default_factory=dict)
    """The outlines of the cited files by path, for who shows or records them; else empty."""


def to_object(report: Report) -> dict[str, Any]:
    """The report as JSON types. Nothing is cut: this is what programs read."""
    run = report.exploration
    return {
        "query": run.query,
        "repository": _as_unicode(report.repository),
        "engine": report.engine,
        "engine_reason": report.engine_reason,
        "stop_reason": run.stop_reason,
        "answer": run.answer,
        "confidence": run.confidence,
        "place_confidence": run.place_confidence,
        "citations": [citation_object(citation) for citation in run.citations],
        "further": [place_object(each) | {"code": code_objects(each)} for each in run.further],
        "turns": run.turns,
        "tool_calls": run.tool_calls,
        "usage": dataclasses.asdict(run.usage),
        "elapsed_s": round(run.elapsed_s, 3),
        "notes": list(run.notes),
    }


def place_object(citation: Citation) -> dict[str, Any]:
    """Where a place is, as JSON types."""
    return {
        "path": citation.path,
        "start": citation.start,
        "end": citation.end,
        "name": citation.name,
    }


def code_objects(citation: Citation) -> list[dict[str, Any]]:
    """The lines that are shown of a place, as JSON types."""
    return [{"start": each.start, "lines": list(each.lines)} for each in citation.code]


def citation_object(citation: Citation) -> dict[str, Any]:
    """One citation as JSON types; ``code`` has the lines that are shown of it."""
    return place_object(citation) | {
        "reason": citation.reason,
        "evidence": citation.evidence,
        "part": citation.part,
        "code": code_objects(citation),
        "links": [dataclasses.asdict(each) for each in citation.links],
    }


def for_client(report: Report, max_bytes: int) -> tuple[str, dict[str, Any]]:
    """A text of at most ``max_bytes``, and an object with the same facts for the view.

    Citations are dropped from the end, with a note, until both fit: the text in ``max_bytes``,
    the object in ``OBJECT_BYTES``.
    """
    for shown in _shorter(_trimmed(report, max_bytes)):
        text = markdown(shown)
        facts = to_object(shown)
        if len(text.encode()) <= max_bytes and _json_bytes(facts) <= OBJECT_BYTES:
            break
    return text, facts


def markdown(report: Report) -> str:
    """The report for an agent: prose, places with their code, who answered and why."""
    run = report.exploration
    lines: list[str] = []
    if run.answer:
        lines += [prose(run.answer, _PROSE_CHARS), ""]
    for number, each in enumerate(run.citations, 1):
        if each.part and each.part != (run.citations[number - 2].part if number > 1 else ""):
            lines += [*([""] if number > 1 else []), f"**{prose(each.part, _REASON_CHARS)}**"]
        lines += _item(number, each)
    if not run.citations:
        lines.append("No place was found. Ask with names from the code, or search with grep.")
    less_likely = perhaps(run)
    lines += ["Perhaps:"] if less_likely else []
    for number, each in enumerate(less_likely, len(run.citations) + 1):
        lines += _item(number, each)
    lines += [f"{lead}: {'; '.join(map(_code_span, places))}" for lead, places in further(run)]
    relative_to = _code_span(path_text(_as_unicode(report.repository)))
    lines += ["", f"{summary(report)} Paths are relative to {relative_to}."]
    lines += [f"Note: {prose(note, _NOTE_CHARS)}" for note in run.notes]
    return "\n".join(lines)


def plain(report: Report) -> str:
    """The report for a person or a pipe, without markup."""
    run = report.exploration
    lines: list[str] = []
    if run.answer:
        lines += [one_line(run.answer, _PROSE_CHARS), ""]
    for number, citation in enumerate(run.citations):
        if citation.part and citation.part != (run.citations[number - 1].part if number else ""):
            lines.append(f"{one_line(citation.part, _REASON_CHARS)}")
        lines.append(titled(citation))
        lines += [f"    {text}" for text in details(citation)]
        lines += [f"    {text}" for text in numbered(citation)]
        lines += [f"    {lead}: {'; '.join(places)}" for lead, places in links(citation)]
    if not run.citations:
        lines.append("No place was found.")
    less_likely = perhaps(run)
    lines += ["Perhaps:"] if less_likely else []
    for each in less_likely:
        lines += [titled(each), *(f"    {text}" for text in numbered(each))]
    lines += [f"{lead}: {'; '.join(places)}" for lead, places in further(run)]
    lines += ["", summary(report)]
    lines += [f"Note: {one_line(note, _NOTE_CHARS)}" for note in run.notes]
    return "\n".join(lines)


def summary(report: Report) -> str:
    """Who answered and why, how it ended, what it cost, and how sure the first place is."""
    run = report.exploration
    who = "the scout" if report.engine == "scout" else "the model"
    because = one_line(report.engine_reason, 300)
    work = f"{run.elapsed_s:.1f} s"
    if run.turns:
        work = f"{_count(run.turns, 'turn')}, {_count(run.tool_calls, 'tool call')}, {work}"
    ended = "" if run.stop_reason in ("answered", "fallback") else f"; stopped: {run.stop_reason}"
    sure = f" Confidence: {run.confidence}." if run.confidence else ""
    if run.confidence and run.place_confidence:
        sure = f" Confidence: file {run.confidence}, place {run.place_confidence}."
    return f"Answered by {who} ({because}{ended}): {work}.{sure}"


def place(citation: Citation) -> str:
    """``path:start-end`` on one line."""
    return f"{path_text(citation.path)}:{citation.start}-{citation.end}"


def titled(citation: Citation) -> str:
    """The place with its name, its path in quotes where that could be read as a sentence."""
    where = place(citation)
    if _SENTENCE.search(where):
        where = json.dumps(where, ensure_ascii=False)
    return f"{where} {path_text(citation.name)}".rstrip()


def details(citation: Citation) -> list[str]:
    """Evidence, unless there is a name or code that says as much, and reason; one line each."""
    known = citation.name or citation.code
    evidence = "" if known else one_line(citation.evidence, _EVIDENCE_CHARS)
    return [line for line in (evidence, one_line(citation.reason, _REASON_CHARS)) if line]


def numbered(citation: Citation) -> list[str]:
    """The lines of code that are shown, each with its number, and ``...`` for those left out."""
    if not citation.code:
        return []
    last = citation.code[-1]
    width = len(str(last.start + len(last.lines) - 1))
    lines: list[str] = []
    for each in citation.code:
        if lines or each.start > citation.start:
            lines.append("...")
        lines += [
            f"{number:>{width}} {spelled(line)}".rstrip()
            for number, line in enumerate(each.lines, each.start)
        ]
    if last.start + len(last.lines) - 1 < citation.end:
        lines.append("...")
    return lines


def links(citation: Citation) -> list[tuple[str, list[str]]]:
    """What is one step away: each relation with ``path:line name`` of the places."""
    found: dict[str, list[str]] = {}
    for each in citation.links:
        where = f"{path_text(each.path)}:{each.line} {path_text(each.name)}".rstrip()
        found.setdefault(each.relation, []).append(where)
    return list(found.items())


def perhaps(run: Exploration) -> list[Citation]:
    """The less likely places of which code is shown."""
    return [each for each in run.further if each.code]


def further(run: Exploration) -> list[tuple[str, list[str]]]:
    """The other less likely places, with what to call them: members by file, then other files."""
    cited = {each.path for each in run.citations}
    members: dict[str, list[str]] = {}
    others: list[str] = []
    for each in run.further:
        if each.code:
            continue
        if each.path in cited:
            where = f"{path_text(each.name)} {each.start}-{each.end}".strip()
            members.setdefault(each.path, []).append(where)
        else:
            others.append(titled(each))
    found = [(f"Also in {path_text(path)}", places) for path, places in members.items()]
    return [*found, ("Next", others)] if others else found


def one_line(text: str, limit: int) -> str:
    """The text on one line without control or direction-changing characters, cut at ``limit``."""
    # Cut first: a query may have 100 kB, most of which need not be looked at.
    spaced = " ".join(text[: limit * 4].split())
    clean = "".join(char for char in spaced if unicodedata.category(char) not in UNSEEN)
    shortened = len(clean) > limit or len(text) > limit * 4
    return clean[: limit - 3].rstrip() + "..." if shortened else clean


def prose(text: str, limit: int) -> str:
    """One line in which nothing renders as markup, a link or an image."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text, limit))


def code(text: str) -> str:
    """A Markdown code span that ``text`` cannot close, whatever backticks it holds."""
    return _code_span(one_line(text, 1_000))


def path_text(path: str) -> str:
    """The whole path on one line, with invisible characters and line breaks as escapes.

    Spaces are kept as they are, since whoever reads the path opens the file by it.
    """
    return spelled(path).translate(_LINE_BREAKS)


def _code_span(inside: str) -> str:
    if not inside:
        return ""
    fence = "`" * (_longest_run(inside) + 1)
    pad = " " if inside.startswith("`") or inside.endswith("`") else ""
    return f"{fence}{pad}{inside}{pad}{fence}"


def _longest_run(text: str) -> int:
    """How many backticks stand next to each other in the text, at most."""
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


_LINE_BREAKS = {9: r"\t", 10: r"\n", 0x2028: r"\u2028", 0x2029: r"\u2029"}
# Three words, or one that introduces others.
_SENTENCE = re.compile(r"\S\s+\S+\s+\S|:\s")
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|(?<=\])\(|!(?=\[)")


def _as_unicode(path: Path) -> str:
    """The path as valid Unicode: on Linux, file names are bytes, which need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def _item(number: int, citation: Citation) -> list[str]:
    name = _code_span(path_text(citation.name))
    where = f"{number}. {_code_span(place(citation))} {name}".rstrip()
    evidence, *_ = [code(each) for each in details(dataclasses.replace(citation, reason=""))] or [
        ""
    ]
    parts = [where, evidence, prose(citation.reason, _REASON_CHARS)]
    lines = [" - ".join(part for part in parts if part)]
    if shown := numbered(citation):
        fence = "`" * max(3, 1 + _longest_run("\n".join(shown)))
        lines += [fence, *shown, fence]
    for relation, places in links(citation):
        lines.append(f"- {relation}: {'; '.join(map(_code_span, places))}")
    return lines


def _trimmed(report: Report, max_bytes: int) -> Report:
    """The report with its prose cut, so that most of the room is left for places."""
    run = report.exploration
    citations = tuple(
        dataclasses.replace(
            each,
            reason=_within(each.reason, _REASON_CHARS),
            evidence=_within(each.evidence, _EVIDENCE_CHARS),
        )
        for each in run.citations
    )
    cut = dataclasses.replace(
        run,
        query=_within(run.query, _QUERY_BYTES),
        answer=_within(run.answer, min(_PROSE_CHARS, max_bytes // 4)),
        citations=citations,
        notes=_some_notes(run.notes, min(_NOTES_BYTES, max_bytes // 5)),
    )
    reason = _within(report.engine_reason, 300)
    return dataclasses.replace(report, exploration=cut, engine_reason=reason)


def _some_notes(notes: tuple[str, ...], max_bytes: int) -> tuple[str, ...]:
    kept: list[str] = []
    for note in notes:
        short = _within(note, _NOTE_CHARS)
        max_bytes -= len(short.encode())
        if max_bytes < 0:
            return (*kept, f"{_left_out(len(notes) - len(kept), 'more note')}")
        kept.append(short)
    return tuple(kept)


def _within(text: str, max_bytes: int) -> str:
    """The text on one line of at most ``max_bytes`` bytes of UTF-8."""
    line = one_line(text, max_bytes)
    while len(line.encode()) > max_bytes:
        line = one_line(line, len(line) * max_bytes // len(line.encode()))
    return line


def _shorter(report: Report) -> Iterator[Report]:
    """The report, then with less and less: further places, code, places, from the end each time."""
    yield report
    run = report.exploration
    for kept in range(len(run.further) - 1, -1, -1):
        run = dataclasses.replace(run, further=run.further[:kept])
        yield dataclasses.replace(report, exploration=run)
    for number in range(len(run.citations) - 1, -1, -1):
        each = run.citations[number]
        if each.code or each.links:
            bare = dataclasses.replace(each, code=(), links=())
            places = (*run.citations[:number], bare, *run.citations[number + 1 :])
            run = dataclasses.replace(run, citations=places)
            yield dataclasses.replace(report, exploration=run)
    total = len(run.citations)
    for kept in range(total - 1, -1, -1):
        note = f"{_left_out(total - kept, 'further place')} to keep the answer short"
        cut = dataclasses.replace(run, citations=run.citations[:kept], notes=(*run.notes, note))
        yield dataclasses.replace(report, exploration=cut)


def _json_bytes(facts: Mapping[str, Any]) -> int:
    return len(json.dumps(facts, ensure_ascii=False).encode())


def _left_out(number: int, noun: str) -> str:
    return f"{_count(number, noun)} {'was' if number == 1 else 'were'} left out"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from explorer.records import Citation, Exploration
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
        "citations": [citation_object(citation) for citation in run.citations],
        "turns": run.turns,
        "tool_calls": run.tool_calls,
        "usage": dataclasses.asdict(run.usage),
        "elapsed_s": round(run.elapsed_s, 3),
        "notes": list(run.notes),
    }


def citation_object(citation: Citation) -> dict[str, Any]:
    """One citation as JSON types."""
    return {
        "path": citation.path,
        "start": citation.start,
        "end": citation.end,
        "reason": citation.reason,
        "evidence": citation.evidence,
    }


def for_client(report: Report, max_bytes: int) -> tuple[str, dict[str, Any]]:
    """A text of at most ``max_bytes``, and an object with the same facts for the view.

    Citations are dropped from the end, with a note, until both fit: the text in ``max_bytes``,
    the object in ``OBJECT_BYTES``.
    """
    trimmed = _trimmed(report, max_bytes)
    total = len(trimmed.exploration.citations)
    for kept in range(total, -1, -1):
        shown = _keep(trimmed, kept)
        text = markdown(shown)
        facts = to_object(shown)
        if len(text.encode()) <= max_bytes and _json_bytes(facts) <= OBJECT_BYTES:
            break
    return text, facts


def markdown(report: Report) -> str:
    """The report for an agent: prose, places with their evidence, who answered and why."""
    run = report.exploration
    lines: list[str] = []
    if run.answer:
        lines += [prose(run.answer, _PROSE_CHARS), ""]
    lines += [_item(number, each) for number, each in enumerate(run.citations, 1)]
    if not run.citations:
        lines.append("No place was found. Ask with names from the code, or search with grep.")
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
    for citation in run.citations:
        lines.append(quoted_place(citation))
        lines += [f"    {text}" for text in details(citation)]
    if not run.citations:
        lines.append("No place was found.")
    lines += ["", summary(report)]
    lines += [f"Note: {one_line(note, _NOTE_CHARS)}" for note in run.notes]
    return "\n".join(lines)


def summary(report: Report) -> str:
    """Who answered and why, how it ended, what it cost, and how sure the first file is."""
    run = report.exploration
    who = "the scout" if report.engine == "scout" else "the model"
    because = one_line(report.engine_reason, 300)
    work = f"{run.elapsed_s:.1f} s"
    if run.turns:
        work = f"{_count(run.turns, 'turn')}, {_count(run.tool_calls, 'tool call')}, {work}"
    ended = "" if run.stop_reason in ("answered", "fallback") else f"; stopped: {run.stop_reason}"
    sure = f" Confidence: {run.confidence}." if run.confidence else ""
    return f"Answered by {who} ({because}{ended}): {work}.{sure}"


def place(citation: Citation) -> str:
    """``path:start-end`` on one line."""
    return f"{path_text(citation.path)}:{citation.start}-{citation.end}"


def quoted_place(citation: Citation) -> str:
    """The place, its path in quotes where that could be read as a sentence of the answer's own."""
    where = place(citation)
    return json.dumps(where, ensure_ascii=False) if _SENTENCE.search(where) else where


def details(citation: Citation) -> list[str]:
    """Evidence and reason, where there are any, one line each."""
    evidence = one_line(citation.evidence, _EVIDENCE_CHARS)
    return [line for line in (evidence, one_line(citation.reason, _REASON_CHARS)) if line]


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
    fence = "`" * (max((len(run) for run in re.findall(r"`+", inside)), default=0) + 1)
    pad = " " if inside.startswith("`") or inside.endswith("`") else ""
    return f"{fence}{pad}{inside}{pad}{fence}"


_LINE_BREAKS = {9: r"\t", 10: r"\n", 0x2028: r"\u2028", 0x2029: r"\u2029"}
# Three words, or one that introduces others.
_SENTENCE = re.compile(r"\S\s+\S+\s+\S|:\s")
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|(?<=\])\(|!(?=\[)")


def _as_unicode(path: Path) -> str:
    """The path as valid Unicode: on Linux, file names are bytes, which need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def _item(number: int, citation: Citation) -> str:
    where = _code_span(place(citation))
    evidence = code(citation.evidence[: _EVIDENCE_CHARS + 1])
    parts = [f"{number}. {where}", evidence, prose(citation.reason, _REASON_CHARS)]
    return " - ".join(part for part in parts if part)


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


def _keep(report: Report, count: int) -> Report:
    run = report.exploration
    dropped = len(run.citations) - count
    if not dropped:
        return report
    note = f"{_left_out(dropped, 'further place')} to keep the answer short"
    cut = dataclasses.replace(run, citations=run.citations[:count], notes=(*run.notes, note))
    return dataclasses.replace(report, exploration=cut)


def _json_bytes(facts: Mapping[str, Any]) -> int:
    return len(json.dumps(facts, ensure_ascii=False).encode())


def _left_out(number: int, noun: str) -> str:
    return f"{_count(number, noun)} {'was' if number == 1 else 'were'} left out"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""The final answer as the model writes it: an explanation and lines of citations, in many forms."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_CITATIONS_READ = 200
"""Citations taken from one answer; a longer list is no answer but a listing."""

_MAX_LINE_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class RawCitation:
    """A citation as it was written; nothing about it is checked."""

    path: str
    start: int | None = None
    """None when only a path was given."""
    end: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        lines = "" if self.start is None else f":{self.start}-{self.end}"
        return self.path + lines


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """Prose and citations, apart."""

    explanation: str
    citations: tuple[RawCitation, ...]


_BULLET = re.compile(r"^(?:[-*+\u2022\u2013>]|\d{1,3}[.)]|\[\d{1,3}\])\s+")
_LINK = re.compile(r"\[([^\]\n]+)\]\(([^)\s]+)\)")
_DASH = r"(?:-|\u2010|\u2011|\u2012|\u2013|\u2014|\.{2,3}|\bto\b)"
_NUMBER = r"[Ll]?(\d{1,9})"
_END = rf"(?:\s*{_DASH}\s*{_NUMBER})?"
_PLACE = re.compile(
    r"(?P<path>\S(?:.*?\S)?)"
    r"(?:\s*#\s*|\s*:\s*|[\s,@(\[]+(?:lines?|ll?\.?)(?=[\s\d:])\s*:?\s*|\s*[(\[]\s*)"
    rf"{_NUMBER}(?::\d{{1,6}})?{_END}"
    r"(?P<rest>(?=[\s,;:)\]\-\u2013\u2014(\[.]|$).*)",
    re.IGNORECASE,
)
_FURTHER = re.compile(rf"\s*(?:,|;|&|\band\b)\s*(?:lines?\s*)?{_NUMBER}{_END}(?![\w./])", re.I)
_BARE_PATH = re.compile(
    r"(?P<path>\S*(?:[/\\]\S*[^\s/\\:,;.]|\.[A-Za-z]\w{0,9}))(?P<rest>[\s:,;.]*$|:?\s+.*|\(.*)"
)
_NEXT_CITATION = re.compile(r"[,;]\s+(?=[^\s,;]*[^\s,;\d:][:#]L?\d)")
_REASON_EDGES = " \t-:;,.\u2013\u2014"


def parse_answer(text: str) -> ParsedAnswer:
    """The citations of an answer block, in order, and its other lines as the explanation.

    Never raises. Bullets, numbers, backticks, bold and links are looked through; ``L10-L20``,
    ``#L10-L20``, ``(lines 10-20)``, ``:10``, several ranges behind one path and a path without a
    range are all read.
    """
    prose: list[str] = []
    citations: list[RawCitation] = []
    for line in text.splitlines():
        found = list(_citations_of(line)) if len(citations) < MAX_CITATIONS_READ else []
        if found:
            citations += found
        elif line.strip() and not line.strip().startswith("```"):
            prose.append(line.strip())
    return ParsedAnswer("\n".join(prose), tuple(citations[:MAX_CITATIONS_READ]))


def citations_outside(text: str) -> tuple[RawCitation, ...]:
    """The citations of a message without a final tag, if its last paragraph is a complete list.

    Complete means that every line of it is a citation with a range: a path that prose mentions in
    passing is none.
    """
    paragraphs = re.split(r"\n\s*\n", text.strip())
    lines = [line for line in paragraphs[-1].splitlines() if line.strip() and "```" not in line]
    found = [list(_citations_of(line)) for line in lines]
    if found and not found[0] and lines[0].rstrip().endswith(":"):
        found = found[1:]
    if not found or not all(each and each[0].start is not None for each in found):
        return ()
    return tuple(citation for each in found for citation in each)[:MAX_CITATIONS_READ]


def _citations_of(line: str) -> Iterator[RawCitation]:
    text = _bare(line)
    if len(text) <= _MAX_LINE_CHARS:
        for part in _NEXT_CITATION.split(text):
            yield from _citations_of_one_path(part)


def _citations_of_one_path(text: str) -> Iterator[RawCitation]:
    place = _PLACE.fullmatch(text)
    if place and _is_path(place["path"]):
        path = _clean(place["path"])
        rest = place["rest"]
        reason = _reason(rest)
        yield _ranged(path, place[2], place[3], reason)
        while further := _FURTHER.match(rest):
            rest = rest[further.end() :]
            yield _ranged(path, further[1], further[2], reason)
        return
    bare = _BARE_PATH.fullmatch(text)
    if bare and bare["rest"].lstrip(" :")[:1] in ("", *"([-,;.\u2013\u2014"):
        if _is_path(bare["path"]):
            yield RawCitation(_clean(bare["path"]), reason=_reason(bare["rest"]))


def _clean(path: str) -> str:
    return path.strip(" \t\"'<>").rstrip(":")


def _ranged(path: str, first: str, last: str | None, reason: str) -> RawCitation:
    start = int(first)
    end = int(last) if last else start
    return RawCitation(path, min(start, end), max(start, end), reason)


def _bare(line: str) -> str:
    text = _BULLET.sub("", line.strip())
    text = _LINK.sub(lambda link: link[1] if _is_path(link[1]) else link[2], text)
    return text.replace("`", "").replace("**", "").strip()


def _is_path(text: str) -> bool:
    """Whether the text can be a path: few words, and a separator, a dot or one word."""
    words = text.split()
    if not words or len(words) > 4 or "://" in text.replace("file://", ""):
        return False
    return len(words) == 1 or "/" in text


def _reason(rest: str) -> str:
    further = _FURTHER.match(rest)
    while further:
        rest = rest[further.end() :]
        further = _FURTHER.match(rest)
    text = rest.strip().lstrip(")]").strip(_REASON_EDGES)
    if text[:1] in ("(", "[") and text[-1:] in (")", "]"):
        text = text[1:-1]
    return " ".join(text.split())

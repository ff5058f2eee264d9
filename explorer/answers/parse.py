"""The final answer as the model writes it: an explanation and lines of citations, in many forms."""

import re
from collections.abc import Callable, Iterator

from explorer.answers.raw import ParsedAnswer, RawCitation
from explorer.answers.structured import Structured, read_structured

MAX_CITATIONS_READ = 200
"""Maximum citations taken from one answer; a longer list is a listing, not an answer."""

_MAX_LINE_CHARS = 20_000
_MAX_PART_CHARS = 1_000

IsFile = Callable[[str], bool]
"""Whether a text is exactly the path of a file."""


_BULLET = re.compile(
    r"^\|?\s*(?:(?:[^\w\s\"'`<(\[{./\\~@$|]{1,2}|\d{1,3}[.)]|\[\d{1,3}\]|\(\d{1,3}\))\s+)?"
    r"(?:\[[ xX]\]\s+)?(?:(?:file|path|location|source)\s*[:=](?!//)\s*)?",
    re.IGNORECASE,
)
_TAG = re.compile(r"</?[A-Za-z][\w-]*\s*/?>")
_TAG_EDGES = re.compile(rf"^(?:\s*{_TAG.pattern})+|(?:{_TAG.pattern}\s*)+$")
_WRAPPED = re.compile(
    r"^(?:\"([^\"]+)\"|'([^']+)'|<([^<>]+)>|\*([^*]+)\*|__([^_]\S*)__|\{([^{}]+)\}"
    r"|\[([^\[\]]+[:#]L?\d+(?:-L?\d+)?)\]|\(([^()]+[:#]L?\d+(?:-L?\d+)?)\))"
    r"(?=$|[\s:,;(\[])"
)
_LIST = re.compile(r"^[\[{(]*\s*([\"'])(.*)\1\s*[\]})]*[,;]?$")
_LINK = re.compile(r"\[([^\]\n]{1,300})\]\(([^)\s]{1,300})\)")
_GAP = re.compile(r"\s{3,}")
_DASH = (
    r"(?:-|~|\u2010|\u2011|\u2012|\u2013|\u2014|\u2026|\u2212|\.{2,3}|\bto\b|\bthrough\b|:(?=L))"
)
# Possessive quantifiers, so that no digit or end of a range is given back to the text behind it.
_NUMBER = r"[Ll]?(\d++)"
_COLUMN = r"(?:C\d++|:\d++)?+"
_START = _NUMBER + _COLUMN
_TO_END = r"(?:end|eof)\b(?!\s+of\b)|[*$](?=[\s,;)\]}\"']|$)"
_END = rf"(?:(?:\s*{_DASH}\s*[Ll]?(?=\d)|{_DASH}|\s+to\s+)(\d++|{_TO_END}){_COLUMN})?+"
_LINES_BEHIND = (
    r"(?:\s*#\s*|\s*:\s*|[\s,@(\[:#\"']+(?:at\s+)?(?:lines?|ll?\.?)(?=[\s\d:=\"'])[\"']?\s*[:=]?\s*[\"']?"
    r"|\s*[(\[{]\s*)"
    rf"{_START}{_END}(?(3)|(?![A-Z_]))(?P<rest>.*)"
)
_PLACE = re.compile(rf"(?P<path>\S(?:.*?\S)?){_LINES_BEHIND}", re.IGNORECASE)
_BEHIND_FILE = re.compile(rf"(?P<path>){_LINES_BEHIND}", re.IGNORECASE)
_AFTER_NAME = re.compile(r"[\s:#@,(\[{\"']|$")
_SPACED = re.compile(
    r"(?P<path>\S*[^\s,:;|])"
    rf"(?:\s*[,|]\s*|\s+[-\u2013\u2014@]?\s*)(?:lines?\s*)?{_NUMBER}\s*{_DASH}\s*{_NUMBER}"
    r"(?P<rest>(?![A-Z_/]).*)",
    re.IGNORECASE,
)
_FURTHER = re.compile(rf"\s*(?:,|;|&|\band\b)\s*(?:lines?\s*)?{_START}{_END}(?![\w./])", re.I)
_WHOLE = re.compile(r"(?<=[^\s:/])[:#](?:all|\*)(?=[\s,;()\[\]}\"']|$)", re.IGNORECASE)
_BARE_PATH = re.compile(
    r"(?P<path>\S*(?:[/\\]\S*[^\s/\\:,;.]|\.[A-Za-z]\w{0,9}))(?P<rest>[\s:,;.]*$|:?\s+.*|\(.*)"
)
_NAME_ENDS = re.compile(r"$|:(?=\s|$)|\s+(?=[^\w\s])")
_NEXT_CITATION = re.compile(
    r"[\"']?(?:,\s+|,(?=[\"'])|;\s*)(?=[^\s,;]*[^\s,;\d:][:#](?:L?\d|all\b))", re.IGNORECASE
)
_ONE = r"[^\s,;]*[^\s,;\d:][:#]L?\d+(?:-L?\d+)?"
_ONLY_CITATIONS = re.compile(rf"{_ONE}(?:\s+(?:and\s+|&\s+)?{_ONE})+")
_PLACED = re.compile(r"[:#]L?\d")
_EXTENSION = re.compile(r"\.[A-Za-z]\w{0,9}$")
_SYMBOL = re.compile(r"(?<=\w)::\S*$|(?<=[.\w]\w):[A-Za-z_]\w*(?:\(\))?$")
_LONE_BRACKET = re.compile(r"^[\[({]+(?=[^\])}]*$)")
_BEFORE_PATH = re.compile(r".*[\s\"'=>(:]", re.DOTALL)
_WORD = re.compile(r"\w")
_REASON_EDGES = " \t-:;,.|>#=+\u2013\u2014\u2192"
_AFTER_PATH = re.compile(r"\s+[-\u2013\u2014|]+$")


def no_file(_text: str) -> bool:
    """Always False: without a tree, a citation is recognised by its form alone."""
    return False


def parse_answer(text: str, is_file: IsFile = no_file) -> ParsedAnswer:
    """The citations of an answer block, in order, and its other lines as the explanation.

    Never raises. Bullets, numbers, backticks, bold, links, tags and JSON lists are ignored.
    JSON objects and XML elements with a path and lines are read (``explorer.answers.structured``).
    ``L10-L20``, ``#L10-L20``, ``(lines 10-20)``, ``:10``, ``:10-end``, several ranges after one
    path and a path without a range are all understood, and text after a range never shortens the
    range. A text that names an existing file is a path, whatever it looks like.
    """
    written = _structured(text, is_file)
    prose = [written.explanation] if written.explanation else []
    citations = list(written.citations)
    for line in written.rest.splitlines():
        found = list(_citations_of(line, is_file)) if len(citations) < MAX_CITATIONS_READ else []
        if found:
            citations += found
        elif _WORD.search(_TAG.sub("", line)) and not line.strip().startswith("```"):
            prose.append(line.strip())
    return ParsedAnswer("\n".join(prose), tuple(citations[:MAX_CITATIONS_READ]))


def _structured(text: str, is_file: IsFile) -> Structured:
    return read_structured(text, lambda line: list(_citations_of(line, is_file)))


def citations_outside(text: str, is_file: IsFile = no_file) -> tuple[RawCitation, ...]:
    """The citations of a message without a final tag, if its last paragraph is a complete list.

    Complete means that every line of it is a citation with a range: a path that prose mentions in
    passing is not one. JSON or XML at the end of the message is such a list too.
    """
    written = _structured(text, is_file)
    if written.citations and not _WORD.search(_TAG.sub("", written.after)):
        ranged = all(each.start is not None for each in written.citations)
        return written.citations[:MAX_CITATIONS_READ] if ranged else ()
    paragraphs = re.split(r"\n\s*\n", text.strip())
    lines = [line for line in paragraphs[-1].splitlines() if line.strip() and "```" not in line]
    found = [list(_citations_of(line, is_file)) for line in lines]
    if found and not found[0] and lines[0].rstrip().endswith(":"):
        found = found[1:]
    if not found or not all(each and each[0].start is not None for each in found):
        return ()
    return tuple(citation for each in found for citation in each)[:MAX_CITATIONS_READ]


def _citations_of(line: str, is_file: IsFile) -> Iterator[RawCitation]:
    if len(line) > _MAX_LINE_CHARS:
        return
    text = _bare(line)
    parts = text.split() if _ONLY_CITATIONS.fullmatch(text) else _NEXT_CITATION.split(text)
    if len(parts) > 1 and len(parts[0]) < len(_named_file(text[:_MAX_PART_CHARS], is_file)):
        parts = [text]
    for part in parts:
        if len(part) <= _MAX_PART_CHARS:
            yield from _citations_of_one_path(_WHOLE.sub("", part, 1), is_file)


def _citations_of_one_path(text: str, is_file: IsFile) -> Iterator[RawCitation]:
    named = _named_file(text, is_file)
    place = _BEHIND_FILE.fullmatch(text, len(named)) if named else _SPACED.fullmatch(text)
    if not named and (place is None or not _is_bare_file(place["path"])):
        place = _PLACE.fullmatch(text)
    if place and (path := named or _path_in(place["path"], is_file)):
        rest = place["rest"]
        reason = _reason(rest)
        yield _ranged(path, place[2], place[3], reason)
        while further := _FURTHER.match(rest):
            rest = rest[further.end() :]
            yield _ranged(path, further[1], further[2], reason)
        return
    if named and _NAME_ENDS.match(text, len(named)):
        yield RawCitation(named, reason=_reason(text[len(named) :]))
        return
    bare = _BARE_PATH.fullmatch(text)
    if bare and not bare["rest"].lstrip(" :")[:1].isalnum():
        if path := _path_in(bare["path"], is_file):
            yield RawCitation(path, reason=_reason(bare["rest"]))


def _named_file(text: str, is_file: IsFile) -> str:
    """The longest beginning that is a file's name, such as ``12:30.md``; empty if none is."""
    ends = [end.start() for end in _AFTER_NAME.finditer(text)]
    return next((text[:end] for end in reversed(ends) if end and is_file(text[:end])), "")


def _path_in(written: str, is_file: IsFile) -> str | None:
    """The path in the text, without quotes and brackets around it; None if the text is prose."""
    cleaned = _clean(written)
    path = _SYMBOL.sub("", cleaned)
    for each in (written, cleaned, path):
        if is_file(each):
            return each
    if not _is_path(cleaned):
        return None
    last = _BEFORE_PATH.sub("", path)
    return last if is_file(last) else path


def _clean(path: str) -> str:
    bare = _AFTER_PATH.sub("", path.strip(" \t\"'<>|").rstrip(":"))
    return _LONE_BRACKET.sub("", bare).lstrip(" \"'")


def _ranged(path: str, first: str, last: str | None, reason: str) -> RawCitation:
    start = int(first)
    if last and not last.isdigit():
        return RawCitation(path, start, None, reason)
    end = int(last) if last else start
    return RawCitation(path, min(start, end), max(start, end), reason)


def _bare(line: str) -> str:
    # Long gaps are shortened first: patterns would try each space in one as the path's end.
    text = _BULLET.sub("", _GAP.sub("  ", line.strip()))
    if _TAG.match(text):
        text = _TAG.sub(" ", text).strip()
    text = _LINK.sub(lambda link: link[1] if _is_path(link[1]) else link[2], text)
    text = text.replace("`", "").replace("**", "").rstrip(" |")
    text = _WRAPPED.sub(lambda wrapped: "".join(filter(None, wrapped.groups())), text)
    return _LIST.sub(r"\2", text).strip()


def _is_path(text: str) -> bool:
    """Whether the text can be a path: few words, and a separator, a dot or one word."""
    words = text.split()
    if not words or len(words) > 4 or "://" in text.replace("file://", ""):
        return False
    return len(words) == 1 or "/" in text


def _is_bare_file(text: str) -> bool:
    """Whether the text names a file but no line, so that numbers after it can be the range."""
    return ("/" in text or bool(_EXTENSION.search(text))) and not _PLACED.search(text)


def _reason(rest: str) -> str:
    further = _FURTHER.match(rest)
    while further:
        rest = rest[further.end() :]
        further = _FURTHER.match(rest)
    text = _TAG_EDGES.sub("", rest).strip().lstrip(")]}")
    if text[:1] in ('"', "'") and text.count(text[0]) % 2:
        text = text[1:].lstrip(")]}")
    text = text.strip(_REASON_EDGES)
    if text[:1] in ("(", "[") and text[-1:] in (")", "]"):
        text = text[1:-1]
    return " ".join(text.split()) if _WORD.search(text) else ""

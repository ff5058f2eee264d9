"""What a question quotes that stands in the code word for word: a message, or a route.

Neither is a definition, but each has a place: the line that raises the message, or that registers
the route. A message may have values in it that the code fills in, and a route may be registered
below a prefix, so the parts of either are looked for if the whole is nowhere.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from explorer.repository.ripgrep import current_handle, rg_output
from explorer.repository.workspace import Workspace
from explorer.scout.query import Query

WHOLE, PART = 5.0, 3.0
"""How plainly the whole stands in a line, and a part; as ``names.TYPE`` and ``names.KEY``."""
DECIDES: Final = 3.5
"""From here on the lines found decide: half of a message in a line that raises it."""
_USED: Final = 0.8
"""How much less a line counts that neither raises the message nor registers the route."""
_ASIDE: Final = 1.6
"""The same for a comment."""
_FURTHER_PART: Final = 0.3
"""How much each further part in a line adds."""
_SHORTENED: Final = 0.4
"""How much less a route counts for each part of its beginning that is left out."""

_LEAST_WORDS: Final = 2
_LEAST_CHARS: Final = 8
_PART_SHARE: Final = 0.33
"""The least share of a message's words that a part of it has."""
_LONG_PART_WORDS: Final = 6
"""A longer part may be broken in the code, so its first and last words are looked for too."""
_END_WORDS: Final = 4
_MOST_OUTSIDE_WORDS: Final = 4
_LOOK_S: Final = 1.0
_MAX_OUTPUT_BYTES: Final = 1 << 20
_MOST_LINES: Final = 200

_QUOTED: Final = re.compile(
    r"`([^`\n]{6,200})`|\"([^\"\n]{6,200})\"|(?<!\w)'([^'\n]{6,200})'(?!\w)"
)
_PASTED: Final = re.compile(
    r".*\b(?:[\w.]*(?:Error|Exception|Warning|Failure|Fault)|[Ee]rror|ERROR|fatal|panic)"
    r": (.{8,200})$"
)
"""The message behind an exception's name, as programs print it; of several, the last one's."""
_VALUE: Final = re.compile(
    r"[\"'`][^\"'`]{0,60}[\"'`]|\S*(?:\d|[/\\@{}%<>=]|::)\S*|\b\w*[._]\w+(?:[._]\w+)*\b"
)
_RAISES: Final = re.compile(
    rb"(?i)\b(?:raise|throw|throws|error\w*|\w*(?:error|exception|failure|fault)|panic\w*|bail|abort"
    rb"|fail\w*|assert\w*|expect\w*|reject\w*|warn\w*|log\w*|die|exit|ensure|message|fatal\w*)\b"
)
_ABOUT_MESSAGES: Final = re.compile(
    r"(?i)\b(?:errors?|exceptions?|messages?|rais\w*|throw\w*|warn\w*|log(?:s|ged)?|print\w*"
    r"|sa(?:y|ys|id)|show\w*|text|string|com(?:e|es|ing) from|fail\w*|report\w*|emit\w*|output"
    r"|panic\w*|complain\w*|gets?|got|see|mean\w*)\b"
)
_BEFORE_LINES: Final = 3
_COMMENT: Final = re.compile(rb"\s*(?://|/\*|\*(?:[ /]|$)|#(?![\[{])|--|<!--|;|\"\"\"|''')")

_METHOD: Final = r"(?P<method>GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\s+"
_SEGMENT: Final = r"/[\w.{}<>:\[\]$*~@-]+"
_ROUTE: Final = re.compile(
    rf"(?:^|(?<=[\s`\"'(]))(?:{_METHOD})?(?P<path>{_SEGMENT}(?:{_SEGMENT})*)/?(?=$|[\s`\"'?!,;)])"
)
_ABOUT_ROUTES: Final = re.compile(
    r"(?i)\b(?:routes?|routed|endpoints?|handlers?|handled|urls?|api|requests?|served?|views?)\b"
)
_PARAMETER: Final = re.compile(r"[{}<>:\[\]$*]")
_SUFFIX: Final = re.compile(r"\.\w{1,5}$")
_REGISTERS: Final = re.compile(
    rb"(?i)(?:\b(?:get|post|put|patch|delete|head|options|any|all|use|match|route|routes|router"
    rb"|path|url|re_path|add_url_rule|handle\w*|mount|resources?|scope|namespace|group|mapping"
    rb"|\w+mapping|add_\w*|register\w*)\b|@\w)"
)


_WITH_METHOD: Final = r"(?i)\b(?:{0}|{0}mapping|http{0})\b"


@dataclass(frozen=True, slots=True)
class Literal:
    """A text to be found word for word."""

    pattern: "re.Pattern[bytes]"
    level: float
    """How plainly a line has what is asked for that has it."""
    raises: "re.Pattern[bytes]"
    """What a line has, or one just before it, that is its place and no mention."""
    path: "re.Pattern[str] | None" = None
    """The paths of files that stand for it."""
    is_part: bool = False
    """Whether it is a part of what is asked for; a line may have several."""


def literals_of(query: Query) -> tuple[Literal, ...]:
    """What the question quotes, the plainest first; empty for a text of more than one line."""
    if not query.is_plain:
        return ()
    return (*_routes(query.text), *_messages(query.text))


def _messages(text: str) -> list[Literal]:
    found: list[Literal] = []
    for message in _said(text):
        said = message.split()
        if len(said) < _LEAST_WORDS:
            continue
        found.append(Literal(_spaced(said), WHOLE, _RAISES))
        runs = [run.split() for run in _VALUE.sub("\n", " ".join(said)).split("\n")]
        parts = [run for run in runs if len(run) >= max(_LEAST_WORDS, _PART_SHARE * len(said))]
        for run in parts:
            # The first or the last word may be a value, too.
            ends = [run[1:], run[:-1]] if len(run) >= _END_WORDS else []
            if len(run) >= _LONG_PART_WORDS:
                ends += [run[:_END_WORDS], run[-_END_WORDS:]]
            pieces = [each for each in (run, *ends) if each != said and _is_long(each)]
            # The more of the message a part is, the less likely it is another message's.
            found += [
                Literal(_spaced(each), PART + len(each) / len(said), _RAISES, is_part=True)
                for each in pieces
            ]
    return found


def _said(text: str) -> list[str]:
    """The messages that the text quotes, or the one of an error that was pasted into it."""
    outside = _QUOTED.sub(" ", text)
    quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(text)]
    is_about = len(outside.split()) <= _MOST_OUTSIDE_WORDS or _ABOUT_MESSAGES.search(outside)
    if quoted and is_about:
        return quoted
    return [match[1] for match in _PASTED.finditer(text)]


def _is_long(words: Sequence[str]) -> bool:
    return len(" ".join(words)) >= _LEAST_CHARS


def _spaced(words: Sequence[str]) -> "re.Pattern[bytes]":
    """The words with any blanks between them, in any case; ends of sentences may be missing."""
    written = [re.escape(word) for word in words]
    written[-1] = re.escape(words[-1].rstrip(".:!"))
    return re.compile(r"[ \t]+".join(written).encode("utf-8", "replace"), re.IGNORECASE)


def _routes(text: str) -> list[Literal]:
    found: list[Literal] = []
    for match in _ROUTE.finditer(text):
        segments = [part for part in match["path"].rstrip(".:").split("/") if part]
        if _SUFFIX.search(segments[-1]) or not any(_is_word(part) for part in segments):
            continue
        is_route = match["method"] or _PARAMETER.search(match["path"])
        if not is_route and not _ABOUT_ROUTES.search(text):
            continue
        method = match["method"] or ""
        registers = re.compile(_WITH_METHOD.format(method).encode()) if method else _REGISTERS
        for left_out in range(len(segments)):
            rest = segments[left_out:]
            if left_out and not _is_word(rest[0]):
                continue
            written = "/".join(
                re.escape(part) if _is_word(part) else r"[^/\"'`\s]+" for part in rest
            )
            found.append(
                Literal(
                    re.compile(rf"[\"'`/^]{written}/?\$?[\"'`]".encode("utf-8", "replace")),
                    WHOLE - _SHORTENED * left_out,
                    registers,
                    _path_pattern(rest) if not left_out else None,
                )
            )
    return found


def _is_word(segment: str) -> bool:
    return len(segment) > 1 and not _PARAMETER.search(segment)


def _path_pattern(segments: Sequence[str]) -> "re.Pattern[str]":
    """The path of the file that serves a route in frameworks where files are routes."""
    written = "/".join(re.escape(part) if _is_word(part) else r"[\[_$:(][^/]*" for part in segments)
    return re.compile(
        rf"(?:^|/)(?:app|pages|routes)/(?:[^/]+/)?{written}(?:/(?:route|index|page|\+server|\+page))?"
        r"(?:\.\w+)*\.(?:[cm]?[jt]sx?|vue|svelte|astro|mdx?)$"
    )


def files_that_hold(workspace: Workspace, literals: Sequence[Literal]) -> frozenset[str]:
    """The files that have one of the texts.

    Raises:
        RipgrepError: rg is missing or does not start.
    """
    options = ["--files-with-matches", "--null", "--color=never", "--ignore-case"]
    patterns = [f"--regexp={each.pattern.pattern.decode('utf-8', 'replace')}" for each in literals]
    rules, ignored = workspace.listing.rg_rules()
    output, _ = rg_output(
        [*options, *rules, *patterns, "--", "./"],
        cwd_fd=workspace.descriptor,
        max_bytes=_MAX_OUTPUT_BYTES,
        timeout_s=_LOOK_S,
        handle=current_handle(),
        stdin=ignored,
    )
    found = output.decode("utf-8", "surrogateescape").split("\0")
    return frozenset(path.strip().removeprefix("./") for path in found if path.strip())


def held(path: str, text: bytes, literals: Sequence[Literal]) -> tuple[float, int]:
    """How plainly the file has one of the texts, and its 1-based line; 0.0 and 0 if it has none.

    Of lines that have parts, the one with the most of them.
    """
    best, where = 0.0, 0
    parts: dict[int, float] = {}
    for each in literals:
        if each.path is not None and each.path.search(path):
            return each.level, 1
        if each.level <= best and not each.is_part:
            continue
        for count, match in enumerate(each.pattern.finditer(text)):
            if count == _MOST_LINES:
                break
            at = match.start()
            line = text.count(b"\n", 0, at) + 1
            if each.is_part:
                parts[line] = parts.get(line, -1.0) + 1.0
            further = _FURTHER_PART * parts.get(line, 0.0)
            level = each.level + further - _aside(text, at, each.raises)
            if level > best:
                best, where = level, line
    return best, where


def _aside(text: bytes, at: int, raises: "re.Pattern[bytes]") -> float:
    """How much less the text at an offset counts than one that raises or registers."""
    begin = end = text.rfind(b"\n", 0, at) + 1
    if _COMMENT.match(text[begin:at]):
        return _ASIDE
    for _ in range(_BEFORE_LINES):
        begin = text.rfind(b"\n", 0, max(0, begin - 1)) + 1
    stop = text.find(b"\n", at)
    return (
        0.0 if raises.search(text[begin:end] + text[end : stop if stop >= 0 else None]) else _USED
    )

"""A message as a program prints it, and the lines of the code that make it.

The code has a message's words in their order, with placeholders where the printed message has
values, and perhaps in several strings on several lines. So the lines that have two neighbouring
words of it are looked up, and the words of their strings are compared with those of the message:
what both have speaks for the line, and so against it does what only one of them has.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import Match, SequenceMatcher
from itertools import pairwise
from math import log
from typing import Final

from explorer.repository.ripgrep import current_handle, rg_output
from explorer.repository.workspace import Workspace
from explorer.scout.literal import COMMENT
from explorer.scout.query import Query

_ASKS: Final = re.compile(
    r"(?i)\W*(?:where|what|how|which|who|why|find|show|explain|tell|list|locate|look"
    r"|when (?:do|does|is|are|will|would)|in which|on which)\b"
)
_QUOTED: Final = re.compile(
    r"`([^`\n]{6,300})`|\"([^\"\n]{6,300})\"|(?<!\w)'([^'\n]{6,300})'(?!\w)"
)
_KIND: Final = r"[\w.:\\]*?([A-Z]\w*(?:Error|Exception|Warning|Failure|Fault)|Error)"
_PASTED: Final = re.compile(
    rf".*(?:(?<![\w.:\\]){_KIND}\b|\b(?:[Ee]rror|ERROR|ERR|FATAL|[Ff]atal|[Pp]anic|WARN(?:ING)?))"
    r"(?: \([^()]*\)|\])?:? *[:=\]] *(?P<said>.{8,300})$"
)
"""The message behind an exception's name or a level, as programs print it; of several the last."""
_NAMED_KIND: Final = re.compile(_KIND + r"\b")
_ABOUT_MESSAGES: Final = re.compile(
    r"(?i)\b(?:errors?|exceptions?|messages?|rais\w*|throw\w*|warn\w*|log(?:s|ged)?|print\w*"
    r"|sa(?:y|ys|id)|show\w*|text|string|com(?:e|es|ing) from|fail\w*|report\w*|emit\w*|output"
    r"|panic\w*|complain\w*|gets?|got|see|mean\w*)\b"
)
_MOST_OUTSIDE_WORDS: Final = 4
_VALUE: Final = re.compile(
    r"\"[^\"]{0,60}\"|`[^`]{0,60}`|(?<!\w)'[^']{0,60}'(?!\w)|<[^<>]{0,60}>"
    r"|\S*(?:\d|[/\\@{}%<>=]|::)\S*|\w+(?:\.\w+)+"
)
"""What a program may have filled in: quoted texts, numbers, paths, positions."""
_PART: Final = re.compile(r":(?=\s)|[\]=](?=\s)")
"""Where what is before may be a prefix, and what follows the reason."""
_SOUNDS: Final = re.compile(
    r"[\"(){}<>=]|: |(?<!\w)\d|\.$|\b(?:not|no|non|never|cannot|can't|must|should|could|already"
    r"|only|too|is|are|was|were|fail(?:ed|ing|s)?|un(?:able|defined|expected|known|recognized|supported)"
    r"|invalid|incorrect|illegal|missing|denied|refused|exceed\w*|duplicate)\b",
    re.IGNORECASE,
)
"""What messages have, and names of things seldom do."""
_LONGEST: Final = 300
_PAIRS: Final = 0.6
"""The least share of its pairs of neighbouring words that a text has that may have a message."""
_WORD: Final = re.compile(r"\w+")
_GAP: Final = "\0"
"""Stands for a placeholder, and for the end of a string that another text follows."""
_WORD_OR_GAP: Final = re.compile(rf"\w+|{_GAP}")
_OPEN: Final = re.compile(r"(?<=^[\"'`])(?=[^\w\"'`])|(?<=[^\w.!?\"'`])(?=[\"'`]$)")
_STRING: Final = re.compile(
    r"\"(?:\\.|[^\"\\])*(?:\"|$)|(?:(?<![\w)])|(?<=\b[bfruBFRU]))'(?:\\.|[^'\\])*(?:'|$)|`(?:\\.|[^`\\])*(?:`|$)"
)
_PLACEHOLDER: Final = re.compile(
    r"[$#]\{[^{}]*(?:\}|$)|\\\([^()]*\)|\{[^{}]*\}|%(?:\(\w+\)|\{\w+\}|<\w+>)?[-+#0\d.*$]*[a-zA-Z]+"
    r"|\$\w+(?:->\w+)*|\\[abefnrtuvx0\"'`]"
)
"""What a string has in place of a value, and escapes."""

_RAISES: Final = re.compile(
    rb"(?i)\b(?:raise|throw|throws|error\w*|\w*(?:error|exception|failure|fault)|panic\w*|bail|abort"
    rb"|fail\w*|assert\w*|expect\w*|reject\w*|warn\w*|log\w*|die|exit|ensure|message|fatal\w*)\b"
)
_THROWS: Final = re.compile(
    rb"(?i)\b(?:\w*raise|throws?|\w*throw|panic\w*|bail|abort|die|fail\w*|return|new|\w+\.Errorf)\b"
)
"""What a line has, or one just before it, that makes an exception and does not only name it."""

_GIVEN: Final = re.compile(
    r"\s*#\s*define\s+(\w+)|[^\"'`(]*?(\w+)(?:\[\])?\s*(?::\s*[\w&'<>. ]+)?:?=(?!=)"
    r"|\s*[\"'\[]?(\w+)[\"'\]]?\s*[:=]|\s*([A-Z][A-Z\d_]+)\((?!.*;\s*$)"
)
"""The beginning of a line that gives a name to what follows."""
_CONSTANT: Final = re.compile(r"_*[A-Z][A-Z\d_]{3,}|(?:k|[Ee]rr(?:or)?|[Mm]sg|[Mm]essage)[A-Z]\w+")
_FIXED: Final = re.compile(r"\b(?:const|static|final)\b")
_VARIANT: Final = re.compile(r"\s*#\[error\(")
_LABEL: Final = re.compile(
    r"\s*case\s+(?:\.|(?:\w+(?:\.|::))+)?(\w+)\s*:(?!:)"
    r"|\s*(?:\|\s*)?(?:\w+(?:\.|::))+(\w+)(?:\s*\([^()]*\)|\s*\{[^{}]*\})?\s*[=-]>"
)
"""A line of a switch that says what a constant is called."""
_LISTED: Final = re.compile(r"\s*(?:\w+\.)?\w+(?:\s*=\s*[\w-]+)?\s*,?\s*(?:(?://|/\*|#).*)?$")
_MOST_USES: Final = 60
"""The most lines that use a constant: a name on more of them says something else than one text."""
_TAKEN_OVER: Final = re.compile(r"\b(?:import|require|from|use|using|export)\b")

_LEAST, _LEAST_UNMARKED = 0.5, 0.75
"""How alike a line and the message have to be; a text that nothing marks as a message more so."""
_LEAST_WORDS, _LEAST_UNMARKED_WORDS = 1.5, 2.5
_LEAST_SHARE: Final = 0.35
"""The least share of all words of the message; what is before or behind its parts may miss."""
_ALL: Final = 0.95
"""From here on only values are missing."""
_FILLED: Final = 0.1
"""How much a word counts as missing that stands where the code has a placeholder."""
_SHORT: Final = 3
_WHOLE: Final = 8.0
"""What a line is worth that has all of the message; as ``names.TYPE``, and far above a part."""
_PER_WORD, _MOST_PER_WORD = 0.1, 1.0
"""What each word adds that a line has of the message."""
_USED, _ASIDE, _OF_KIND = 0.8, 4.0, 1.0
"""How much less a line counts that raises nothing, and a comment; how much more it counts with
the exception's type."""
_MOST_CHARS: Final = 400
_LINES: Final = 4
"""The most lines that a message is broken over."""
_BEFORE_LINES: Final = 3
_ENOUGH_ANCHORS, _MOST_ANCHORS = 3, 16
_RG_OPTIONS: Final = (
    *("--line-number", "--null", "--no-heading", "--color=never"),
    *("--with-filename", "--max-count=300"),
)
_RAISING: Final = (
    r"\b(?:throw|raise|new|return|panic|bail)\b[^\w\n].{{0,40}}?\b{0}\b|\b{0}(?:\.new|::new)"
)
_MOST_FILES: Final = 32
_MOST_OF_FILE: Final = 16
_LOOK_S: Final = 1.0
_MAX_OUTPUT_BYTES: Final = 1 << 20


Pair = tuple[str, str]
"""Two words of a message that are neighbours, or have a value between them."""


@dataclass(frozen=True, slots=True)
class Message:
    """The words of a message."""

    words: tuple[str, ...]
    weight: tuple[float, ...]
    """How much each counts; 0 for one that may be a value."""
    part: tuple[int, ...]
    """The part between colons that each is in."""
    kind: str
    """The exception's type; empty where none is named."""
    is_marked: bool
    """Whether the question says that it is a message."""
    sounds: bool
    """Whether it has what messages have."""

    @property
    def fixed(self) -> str:
        """The words that are no values."""
        return " ".join(w for w, much in zip(self.words, self.weight, strict=True) if much)

    def is_likely_in(self, text: bytes) -> bool:
        """Whether a text has most of the pairs of neighbouring words as they are."""
        lower = text.lower()
        pairs = [" ".join(pair).encode("utf-8", "replace") for pair in pairwise(self.words)]
        return sum(pair in lower for pair in pairs) >= _PAIRS * len(pairs)


@dataclass(frozen=True, slots=True)
class Told:
    """Where a file has a message."""

    level: float = 0.0
    """How plainly; 0 for not at all."""
    lines: tuple[int, ...] = ()
    """The 1-based lines that have it equally, the first of the best first."""
    is_whole: bool = False
    """Whether all words of the message stand there, and no others."""
    is_raised: bool = False
    """Whether they stand where it is raised."""
    constant: str = ""
    """The name under which they keep it; empty if under none."""


def messages_of(query: Query) -> tuple[Message, ...]:
    """The messages that the question quotes or consists of; empty for a text of several lines."""
    # A log may have the quotes of a message escaped.
    text = query.text.replace('\\"', "'")
    if "\n" in text or len(text) > _LONGEST or query.alone is not None:
        return ()
    asks = bool(_ASKS.match(text))
    outside = _QUOTED.sub(" ", text)
    is_about = len(outside.split()) <= _MOST_OUTSIDE_WORDS or (
        asks and _ABOUT_MESSAGES.search(outside)
    )
    pasted = _PASTED.match(text)
    kinds = [match[1] for match in _NAMED_KIND.finditer(text) if match[1] != "Error"]
    kind = kinds[-1] if kinds else ""
    said = [next(filter(None, match.groups())) for match in _QUOTED.finditer(text)]
    found = [_message(each, kind, is_marked=True) for each in said if is_about]
    if pasted:
        found.append(_message(pasted["said"], kind, is_marked=True))
    if not asks:
        is_marked = bool(pasted or (kind and text.endswith(f"({kind})")))
        found.append(_message(text, kind, is_marked=is_marked))
    return tuple(each for each in found if sum(each.weight) >= _LEAST_WORDS)


def _message(text: str, kind: str, *, is_marked: bool) -> Message:
    values = [match.span() for match in _VALUE.finditer(text)]
    parts = [match.start() for match in _PART.finditer(text)]
    words, weight, part = [], [], []
    for match in _WORD.finditer(text):
        words.append(match[0].lower())
        is_value = any(begin <= match.start() < end for begin, end in values)
        is_kind = kind and match[0] == kind
        weight.append(0.0 if is_value or is_kind else _weight(match[0]))
        part.append(sum(at < match.start() for at in parts))
    sounds = bool(_SOUNDS.search(text))
    return Message(tuple(words), tuple(weight), tuple(part), kind, is_marked, sounds)


def _weight(word: str) -> float:
    return 1.0 if len(word) > _SHORT else 0.5


def lines_that_say(
    workspace: Workspace, messages: Sequence[Message]
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """The 1-based lines that may begin a message, and those that raise its exception, by file.

    Of the former the likeliest of the files that are likeliest to have one.

    Raises:
        RipgrepError: rg is missing or does not start.
    """
    anchors = list(dict.fromkeys(anchor for each in messages for anchor in _anchors(each)))
    if not anchors:
        return {}, {}
    kinds = {each.kind.lower() for each in messages if each.kind}
    raising = [_RAISING.format(kind) for kind in kinds]
    patterns = [*anchors[:_MOST_ANCHORS], *raising]
    raised: dict[str, list[int]] = {}
    hits: dict[str, dict[int, set[Pair]]] = {}
    for path, line, text in _found(workspace, patterns, "--only-matching", "--ignore-case"):
        said = _WORD.findall(text.lower())
        if not said:
            continue
        if kinds.intersection(said):
            raised.setdefault(path, []).append(line)
        else:
            hits.setdefault(path, {}).setdefault(line, set()).add((said[0], said[-1]))
    return _likeliest(hits), raised


def lines_that_use(workspace: Workspace, constant: str, kept_in: str) -> dict[str, list[int]]:
    """The 1-based lines that use a constant, by file, those that raise something first.

    Of the file that it is kept in only these: others list it or turn it into something else. Empty
    if there are more than ``_MOST_USES``.

    Raises:
        RipgrepError: rg is missing or does not start.
    """
    found: dict[str, list[tuple[bool, int]]] = {}
    for path, line, text in _found(workspace, [rf"\b{constant}\b"], "--max-columns=400"):
        is_named = constant in (_given(text), _labelled(text)) or _LISTED.match(text)
        if not is_named and not _TAKEN_OVER.search(text):
            is_raised = bool(_THROWS.search(text.encode("utf-8", "replace")))
            if is_raised or path != kept_in:
                found.setdefault(path, []).append((not is_raised, line))
    if sum(map(len, found.values())) > _MOST_USES:
        return {}
    return {path: [line for _, line in sorted(lines)] for path, lines in found.items()}


def _found(
    workspace: Workspace, patterns: Sequence[str], *options: str
) -> Iterator[tuple[str, int, str]]:
    """Path, 1-based line and text of what rg finds."""
    rules, ignored = workspace.listing.rg_rules()
    output, _ = rg_output(
        [*_RG_OPTIONS, *options, *rules, *(f"--regexp={each}" for each in patterns), "--", "./"],
        cwd_fd=workspace.descriptor,
        max_bytes=_MAX_OUTPUT_BYTES,
        timeout_s=_LOOK_S,
        handle=current_handle(),
        stdin=ignored,
    )
    for row in output.decode("utf-8", "surrogateescape").split("\n"):
        path, _, rest = row.partition("\0")
        number, _, text = rest.partition(":")
        if number.isdecimal():
            yield path.removeprefix("./"), int(number), text


def _likeliest(hits: Mapping[str, Mapping[int, set[Pair]]]) -> dict[str, list[int]]:
    """The lines with the most and the rarest pairs of words, of the files that have the best."""
    files: Counter[Pair] = Counter()
    for lines in hits.values():
        files.update({pair for pairs in lines.values() for pair in pairs})
    worth = {pair: log(1 + len(hits) / count) for pair, count in files.items()}

    def near(lines: Mapping[int, set[Pair]], first: int) -> float:
        pairs = {pair for n in range(_LINES) for pair in lines.get(first + n, ())}
        return sum(worth[pair] for pair in pairs)

    ranked = {path: {n: near(lines, n) for n in lines} for path, lines in hits.items()}
    best = sorted(ranked, key=lambda path: (-max(ranked[path].values()), path))[:_MOST_FILES]
    return {
        path: sorted(ranked[path], key=lambda n: (-ranked[path][n], n))[:_MOST_OF_FILE]
        for path in best
    }


def _anchors(message: Message) -> list[str]:
    """Patterns of two neighbouring words, the longest first; of the few, with values between."""
    known = [at for at, weight in enumerate(message.weight) if weight]
    beside, apart = dict[str, int](), dict[str, int]()
    for one, two in pairwise(known):
        first, second = message.words[one], message.words[two]
        if max(len(first), len(second)) > _SHORT:
            found, between = (
                (beside, r"[^\w\n]{1,4}") if two == one + 1 else (apart, r"\b.{1,80}?\b")
            )
            pattern = rf"\b{re.escape(first)}{between}{re.escape(second)}\b"
            found[pattern] = len(first) + len(second)
    if len(beside) < _ENOUGH_ANCHORS:
        beside |= apart
    return sorted(beside, key=lambda pattern: -beside[pattern])


def told(text: bytes, begins: Sequence[int], messages: Sequence[Message]) -> Told:
    """Where a file has a message; ``begins`` are the lines that may begin one."""
    lines = text.split(b"\n")
    found: dict[int, Told] = {}
    for number in begins:
        if number > len(lines):
            continue
        shown = (line[:_MOST_CHARS] for line in lines[number - 1 :][:_LINES])
        window = [line.decode("utf-8", "replace") for line in shown]
        around = b"\n".join(lines[max(0, number - 1 - _BEFORE_LINES) : number + 1])
        each = max((_told(window, around, one) for one in messages), key=lambda one: one.level)
        if each.level:
            found[number] = each
    if not found:
        return Told()
    best = max(found, key=lambda number: (found[number].level, -number))
    equal = [n for n in sorted(found) if found[n].level == found[best].level and n != best]
    near = [line.decode("utf-8", "replace") for line in lines[max(0, best - 2) : best + 1]]
    constant = _constant(*(near if best > 1 else ["", *near]))
    return replace(
        found[best],
        lines=(best, *equal),
        is_raised=found[best].is_raised and not constant,
        constant=constant,
    )


def _constant(before: str, line: str, after: str = "") -> str:
    """The name of the constant that a line gives a text to; empty if it gives none."""
    is_raised = _RAISES.search(_STRING.sub("", line).encode("utf-8", "replace"))
    if not is_raised and (name := _labelled(line) or _labelled(before)):
        return name
    if _VARIANT.match(line):
        found = _WORD.match(after.strip())
        return found[0] if found else ""
    name = _given(line)
    if not name and before.rstrip().endswith(("=", "(")):
        line, name = before, _given(before)
    is_constant = _CONSTANT.fullmatch(name) or (name[:1].isupper() and _FIXED.search(line))
    return name if is_constant else ""


def _labelled(line: str) -> str:
    """The constant that a line of a switch is about."""
    name = _name(_LABEL, line)
    return name if name != name.lower() else ""


def _given(line: str) -> str:
    """The name that a line gives to what follows."""
    return _name(_GIVEN, line)


def _name(pattern: "re.Pattern[str]", line: str) -> str:
    """What one of the pattern's groups has at the beginning of a line."""
    found = pattern.match(line[:_MOST_CHARS])
    return next(filter(None, found.groups())) if found else ""


def _told(window: Sequence[str], around: bytes, message: Message) -> Told:
    """How plainly the lines of the window have the message; ``around`` are lines at its first."""
    strings = [(n, each[0]) for n, line in enumerate(window) for each in _STRING.finditer(line)]
    whole = list(enumerate(window))
    alike, words = max(_alike(each, message) for each in (strings, whole[:1], whole))
    least = _LEAST if message.is_marked else _LEAST_UNMARKED
    enough = _LEAST_WORDS if message.is_marked else _LEAST_UNMARKED_WORDS
    if alike < least or words < enough:
        return Told()
    level = _WHOLE * alike + min(_MOST_PER_WORD, _PER_WORD * words)
    is_raised = bool(_THROWS.search(around))
    if COMMENT.match(window[0].encode()):
        level -= _ASIDE
    elif not _RAISES.search(around):
        level -= _USED
    if message.kind and re.search(rf"\b{message.kind}\b".encode(), around):
        level += _OF_KIND
    return Told(max(0.0, level), (), alike >= _ALL, is_raised)


def _alike(strings: Sequence[tuple[int, str]], message: Message) -> tuple[float, float]:
    """How alike the strings and the message are, 0 to 1, and how many words both have.

    The strings are in their order, each behind the number of its line; 0 if none in line 0 has
    words of the message.
    """
    words: list[str] = []
    owner: list[int] = []
    for number, (_, string) in enumerate(strings):
        said = _WORD_OR_GAP.findall(_PLACEHOLDER.sub(_GAP, _OPEN.sub(_GAP, string)).lower())
        words += said
        owner += [number] * len(said)
    blocks = [
        block
        for block in SequenceMatcher(
            None, message.words, words, autojunk=False
        ).get_matching_blocks()
        if len("".join(message.words[block.a : block.a + block.size])) > _SHORT
    ]
    touched = {at for block in blocks for at in owner[block.b : block.b + block.size]}
    if not blocks or strings[min(touched)][0]:
        return 0.0, 0.0
    both = sum(sum(message.weight[block.a : block.a + block.size]) for block in blocks)
    if both < _LEAST_SHARE * sum(message.weight):
        return 0.0, 0.0
    first, last = message.part[blocks[0].a], message.part[blocks[-1].a + blocks[-1].size - 1]
    missing = extra = 0.0
    after, behind = 0, 0
    for block in (*blocks, Match(len(message.words), len(words), 0)):
        between = [n for n in range(behind, block.b) if owner[n] in touched]
        least = sum(
            message.weight[n] for n in range(after, block.a) if first <= message.part[n] <= last
        )
        spoken = sum(_weight(words[n]) for n in between if words[n] != _GAP)
        is_filled = any(words[n] == _GAP for n in between)
        missing += _FILLED * least if is_filled else least
        extra += max(0.0, spoken - least)
        after, behind = block.a + block.size, block.b + block.size
    return both / (both + missing) * both / (both + extra), both


def first_raising(
    raising: Mapping[str, Sequence[int]], read: Mapping[str, bytes], path: str
) -> int:
    """The first of the lines of a file that raise an exception and are no comment; 0 for none."""
    lines = read[path].split(b"\n")
    here = (number for number in raising[path] if number <= len(lines))
    return next((number for number in here if not COMMENT.match(lines[number - 1])), 0)

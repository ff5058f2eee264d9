"""The rules of one ignore file, with git's meaning: gitignore(5), and git's dir.c and wildmatch.c.

They are bytes, as they are for git, so a name that is not UTF-8 harms no other rule. All names of
a directory are judged at once, by one search for each run of rules of the same kind. No expression
made here backtracks over more than one star, so none takes exponential time.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

MAX_IGNORE_BYTES = 1 << 18
"""Maximum size of an ignore file; those of large repositories have some tens of kilobytes."""
MAX_WILDCARDS = 2_000
"""Maximum number of wildcards in an ignore file; each costs up to some 2 µs for each name."""

_NAMES_AT_ONCE = 128  # Python runs nothing else during one search, however slow the rules are.

_SPECIAL = re.compile(rb"[*?\[\\]")
_PLAIN = re.compile(rb"(\*|)([^*?\[\\]*)|([^*?\[\\]+)\*", re.DOTALL)
"""A literal, perhaps with one star before or behind it."""
_CLASSES = {
    b"alnum": rb"[0-9A-Za-z]",
    b"alpha": rb"[A-Za-z]",
    b"blank": rb"[ \t]",
    b"cntrl": rb"[\x00-\x1f\x7f]",
    b"digit": rb"[0-9]",
    b"graph": rb"[!-~]",
    b"lower": rb"[a-z]",
    b"print": rb"[ -~]",
    b"punct": rb"[!-/:-@\[-`{-~]",
    b"space": rb"[ \t\n\r]",
    b"upper": rb"[A-Z]",
    b"xdigit": rb"[0-9A-Fa-f]",
}
_MEMBERS = {
    name: frozenset(byte for byte in range(256) if re.match(one, bytes([byte])))
    for name, one in _CLASSES.items()
}


@dataclass(frozen=True, slots=True)
class _Matcher:
    """Some rules that do the same. The plain ones, most of all, need no expression."""

    names: frozenset[bytes]
    """Names that match at any depth, as the next two do; in lower case if case is folded."""
    beginnings: tuple[bytes, ...]
    endings: tuple[bytes, ...]
    placed: Mapping[bytes, frozenset[bytes]]
    """Names that match in one folder, by that folder: ``b""`` or ``b"src/"``."""
    expression: re.Pattern[bytes] | None
    """For ``finditer`` on paths with a NUL before each and behind the last."""
    fold_case: bool

    def matching(self, folder: bytes, names: Sequence[bytes]) -> set[bytes]:
        keys = b"\0".join(names).lower().split(b"\0") if self.fold_case else names
        beginnings, endings, plain = self.beginnings, self.endings, self.names
        found = {
            name
            for name, key in zip(names, keys, strict=True)
            if key in plain or key.endswith(endings) or key.startswith(beginnings)
        }
        if placed := self.placed.get(folder):
            found |= placed.intersection(names)
        if self.expression is not None:
            start = b"\0" + folder
            for begin in range(0, len(names), _NAMES_AT_ONCE):
                text = start + start.join(names[begin : begin + _NAMES_AT_ONCE]) + b"\0"
                found.update(each[0][len(start) :] for each in self.expression.finditer(text))
        return found


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive rules that all ignore, or all bring back."""

    ignores: bool
    files: _Matcher
    directories: _Matcher
    """With the rules for directories alone, which end in a slash."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one ignore file."""

    runs: tuple[_Run, ...]
    """The last first, because the last rule that matches decides."""
    wildcards: int
    """How many wildcards there are to match."""

    def judge(
        self, folder: str, names: Sequence[str], *, directories: bool
    ) -> tuple[set[str], set[str]]:
        """Those of the names that the rules ignore, and those that they bring back.

        ``folder`` is where the names are, relative to the ignore file: ``""`` or ``src/``. All
        ``names`` are directories, or none is; there has to be at least one.
        """
        left = os.fsencode("\0".join(names)).split(b"\0")
        ignored, kept = set[str](), set[str]()
        place = os.fsencode(folder)
        for run in self.runs:
            if not left:
                break
            matcher = run.directories if directories else run.files
            if found := matcher.matching(place, left):
                (ignored if run.ignores else kept).update(map(os.fsdecode, found))
                left = [name for name in left if name not in found]
        return ignored, kept


@dataclass(frozen=True, slots=True)
class _Rule:
    ignores: bool
    directories_only: bool
    anywhere: bool
    """Without a slash: it is about a name at any depth."""
    pattern: bytes


class TooMuchError(ValueError):
    """An ignore file that is too large to be applied; ``str`` says in which way."""


@lru_cache(maxsize=64)
def parse_rules(text: bytes, *, fold_case: bool = False) -> Rules:
    """The rules in an ignore file of at most ``MAX_IGNORE_BYTES``.

    Raises:
        TooMuchError: it is too large, or has too many wildcards.
    """
    if len(text) > MAX_IGNORE_BYTES:
        raise TooMuchError(f"it has more than {MAX_IGNORE_BYTES >> 10} KiB")
    lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    rules = [rule for line in lines if (rule := _rule(line)) is not None]
    wildcards = sum(len(_SPECIAL.findall(rule.pattern)) for rule in rules)
    if wildcards > MAX_WILDCARDS:
        raise TooMuchError(f"it has more than {MAX_WILDCARDS} wildcards")
    runs = []
    for ignores, group in groupby(rules, key=lambda rule: rule.ignores):
        same = list(group)
        for_files = [rule for rule in same if not rule.directories_only]
        runs.append(_Run(ignores, _matcher(for_files, fold_case), _matcher(same, fold_case)))
    return Rules(tuple(reversed(runs)), wildcards)


def _rule(line: bytes) -> _Rule | None:
    if line.startswith(b"#"):
        return None
    # For git, a NUL ends the rule.
    pattern = _without_trailing_spaces(line.removesuffix(b"\r").partition(b"\0")[0])
    ignores = not pattern.startswith(b"!")
    pattern = pattern.removeprefix(b"!")
    directories_only = pattern.endswith(b"/")
    pattern = pattern.removesuffix(b"/")
    if not pattern:
        return None
    return _Rule(ignores, directories_only, b"/" not in pattern, pattern)


def _without_trailing_spaces(line: bytes) -> bytes:
    stripped = line.rstrip(b" ")
    if stripped == line:
        return line
    backslashes = len(stripped) - len(stripped.rstrip(b"\\"))
    return stripped + b" " if backslashes % 2 else stripped


def _matcher(rules: Sequence[_Rule], fold_case: bool) -> _Matcher:
    names, beginnings, endings = list[bytes](), list[bytes](), list[bytes]()
    placed: dict[bytes, set[bytes]] = {}
    paths, parts = list[bytes](), list[bytes]()
    for rule in rules:
        pattern = rule.pattern
        plain = _PLAIN.fullmatch(pattern)
        if rule.anywhere and plain:
            kind = beginnings if plain[3] else endings if plain[1] else names
            literal: bytes = plain[3] or plain[2]
            kind.append(literal.lower() if fold_case else literal)
        elif not (rule.anywhere or fold_case or _SPECIAL.search(pattern)):
            folder, slash, name = pattern.removeprefix(b"/").rpartition(b"/")
            placed.setdefault(folder + slash, set()).add(name)
        else:
            make = _name_expression if rule.anywhere else _path_expression
            if (expression := make(pattern, fold_case)) is not None:
                (parts if rule.anywhere else paths).append(expression)
    if parts:
        either = b"|".join(dict.fromkeys(parts))
        paths.append(rb"(?>(?:[^\0/]*/)*)(?:" + either + rb")")
    compiled = None
    if paths:
        either = b"|".join(dict.fromkeys(paths))
        compiled = re.compile(rb"\0(?:" + either + rb")(?=\0)", re.IGNORECASE if fold_case else 0)
    return _Matcher(
        frozenset(names),
        tuple(beginnings),
        tuple(endings),
        {folder: frozenset(there) for folder, there in placed.items()},
        compiled,
        fold_case,
    )


def _name_expression(pattern: bytes, fold_case: bool) -> bytes | None:
    tokens = _tokens(pattern, fold_case)
    return None if tokens is None else _component(tokens)


def _path_expression(pattern: bytes, fold_case: bool) -> bytes | None:
    """For a pattern with a slash, which is relative to the ignore file's directory."""
    pattern = pattern.removeprefix(b"/")
    tokens = _tokens(pattern, fold_case)
    if tokens is None:
        return None
    special = _SPECIAL.search(pattern)
    # Git compares what is before the first wildcard by itself, and takes the rest for a pattern of
    # its own: two stars at its beginning count as if they were behind a slash.
    first = special.start() if special else -1
    ends = [*tokens[1:], b""]
    blocks, stars, start = list[bytes](), list[bytes](), 0
    for at, token in enumerate(tokens):
        free = at == first or at == 0 or tokens[at - 1] in _SLASHES
        if at >= start and free and token.startswith(b"**") and ends[at] in (*_SLASHES, b""):
            blocks.append(_components(tokens[start:at]))
            # As ``**/`` stands for nothing too; ``**\\/`` does not, because git looks no further.
            stars.append({b"/": b"*", b"": b""}.get(ends[at], b"+"))
            start = at + 2
    blocks.append(_components(tokens[start:]))
    out = blocks[0]
    for kind, block, follows in zip(stars, blocks[1:], [*stars, None][1:], strict=True):
        if not kind:
            out += rb"[^\0]*"
        elif follows is None:
            out += rb"(?:[^\0/]*/)" + kind + block
        else:
            # Between two of these the leftmost match will do: what follows needs no other.
            out += rb"(?>(?:[^\0/]*/)" + kind + b"?" + block + b")"
    return out


_SLASHES = (b"/", rb"\/")


def _components(tokens: Sequence[bytes]) -> bytes:
    """The expression for parts of a path, with the slashes between and behind them."""
    out, part = b"", list[bytes]()
    for token in tokens:
        if token in _SLASHES:
            out += _component(part) + b"/"
            part = []
        else:
            part.append(token)
    return out + _component(part)


def _component(tokens: Sequence[bytes]) -> bytes:
    """The expression for one part of a path."""
    chunks = [b""]
    for token in tokens:
        if token.startswith(b"*"):
            chunks.append(b"")
        else:
            chunks[-1] += token
    first, *rest = chunks
    if not rest:
        return first
    # For each star but the last, the leftmost match of what follows will do.
    middle = b"".join(rb"(?>[^\0/]*?" + chunk + b")" for chunk in rest[:-1] if chunk)
    return first + middle + rb"[^\0/]*" + rest[-1]


def _tokens(pattern: bytes, fold_case: bool) -> list[bytes] | None:
    """Each star run, slash and other character as an expression; None if nothing can match."""
    tokens: list[bytes] = []
    at = 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        end = at + 1
        if char == b"*":
            while pattern[end : end + 1] == b"*":
                end += 1
            tokens.append(pattern[at:end])
        elif char == b"?":
            tokens.append(rb"[^\0/]")
        elif char == b"\\":
            if end == len(pattern):
                return None
            end += 1
            escaped = pattern[at + 1 : end]
            if fold_case and escaped.isupper():
                return None  # Git folds the name and plain letters, not this one.
            tokens.append(rb"\/" if escaped == b"/" else re.escape(escaped))
        elif char == b"[":
            found = _bracket(pattern, end, fold_case)
            if found is None:
                return None
            members, end = found
            tokens.append(_one_of(members, fold_case))
        else:
            tokens.append(char if char == b"/" else re.escape(char))
        at = end
    return tokens


def _one_of(members: frozenset[int], fold_case: bool) -> bytes:
    allowed = sorted(members - {0, ord("/")})
    if not allowed:
        return b"(?!)"
    inside = b"[" + b"".join(b"\\x%02x" % byte for byte in allowed) + b"]"
    return b"(?-i:" + inside + b")" if fold_case else inside


def _bracket(pattern: bytes, at: int, fold_case: bool) -> tuple[frozenset[int], int] | None:
    """What brackets match, ``/`` included, and where they end; None if they never match.

    ``at`` is behind the opening bracket. As in ``dowild`` of git's wildmatch.c.
    """
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members = set[int]()
    last = -1
    begun = False
    while not begun or pattern[at : at + 1] != b"]":
        begun = True
        if at >= len(pattern):
            return None
        char = pattern[at]
        ahead = pattern[at + 1 : at + 2]
        if char == ord("\\"):
            if not ahead:
                return None
            at += 1
            last = pattern[at]
            members.add(last)
        elif char == ord("-") and last >= 0 and ahead not in (b"", b"]"):
            at += 1
            if ahead == b"\\":
                at += 1
                if at >= len(pattern):
                    return None
            members |= _folded(range(last, pattern[at] + 1), fold_case)
            last = -1
        elif char == ord("[") and ahead == b":":
            close = pattern.find(b"]", at + 2)
            if close < 0:
                return None
            if close > at + 2 and pattern[close - 1 : close] == b":":
                named = _MEMBERS.get(pattern[at + 2 : close - 1])
                if named is None:
                    return None
                members |= _folded(named, fold_case)
                at, last = close, -1
            else:
                last = char
                members.add(char)
        else:
            last = char
            members.add(char)
        at += 1
    if fold_case:
        # Git folds the name, not what is in the brackets.
        members = {byte for byte in range(256) if bytes([byte]).lower()[0] in members}
    found = frozenset(range(256)) - members if negated else frozenset(members)
    return found, at + 1


def _folded(members: Iterable[int], fold_case: bool) -> set[int]:
    """The members of a range or class; with ``fold_case`` its capitals in lower case as well."""
    both = set(members)
    return both | {bytes([byte]).lower()[0] for byte in both} if fold_case else both


def path_matches(pattern: str, path: str, *, fold_case: bool) -> bool:
    """Whether a path matches a pattern as git's conditions match it, whole and with slashes."""
    expression = _path_expression(b"/" + os.fsencode(pattern), fold_case)
    flags = re.IGNORECASE if fold_case else 0
    return expression is not None and bool(re.fullmatch(expression, os.fsencode(path), flags))

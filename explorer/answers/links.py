"""One step away from a cited place: who uses it, what it uses, its namesakes, files beside it.

Found by words and outlines. ``locate`` says which files have a name, so only those are read.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from explorer.definitions import Definition
from explorer.records import Citation, Link

MOST_USERS: Final = 3
MOST_USED: Final = 3
MOST_NAMESAKES: Final = 2
MOST_BESIDE: Final = 3
_FILES_READ: Final = 8
"""How many files are read for users, and for what is used."""
_NAMES_LOOKED_UP: Final = 12
_COMMON: Final = 60
"""A name that more files have says too little; only its own file and folder are searched then."""
_LEAST_CHARS: Final = 3
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_CALLED: Final = re.compile(
    r"\b([A-Za-z_]\w{3,})\s*[({!<]|\b([A-Z][A-Z_0-9]{3,})\b|\b([A-Z]\w{3,})\b"
)
_IMPORT: Final = re.compile(
    r"\s*(?:import|from|use|using|require|include|export\s*(?:\*|\{)|#\s*include|package)\b"
)
_COMMENT: Final = re.compile(r"\s*(?://|/\*|\*(?:[ /]|$)|#(?!\[)|--|<!--|;;|\"\"\"|''')")
_BESIDE: Final = frozenset(
    "ts tsx js jsx vue svelte html htm css scss sass less sql graphql proto erb h hpp c cc cpp mjs"
    " xml json xsd".split()
)
_TEST: Final = re.compile(
    r"(?:^|[/._-])(?:tests?|specs?|__tests__|mocks?)(?:[/._-]|$)", re.IGNORECASE
)

_DOCUMENT: Final = re.compile(r"\.(?:md|markdown|mdx|rst|adoc|txt|po|json|lock)$", re.IGNORECASE)
"""A text that has a name mentions it; it does not use it."""

Located = Mapping[str, Sequence[tuple[str, bool]]]
"""For each name the files that have it, and whether they define it."""
Locate = Callable[[Sequence[str]], Located]


@dataclass(frozen=True, slots=True)
class Source:
    """A file's lines and definitions."""

    lines: Sequence[str]
    outline: Sequence[Definition]


Read = Callable[[str], Source | None]


def links_of(
    citation: Citation, own: Definition | None, paths: Sequence[str], read: Read, locate: Locate
) -> tuple[Link, ...]:
    """What is one step away from the citation, nearest first.

    ``own`` is its definition, ``paths`` are the repository's files. Reads files, blocking.
    """
    found = list(_beside(citation.path, paths))
    source = read(citation.path)
    if own is None or not own.name or source is None:
        return tuple(found)
    name = own.last_name
    used = _names_used(citation, own, source)
    located = locate([name, *used])
    users: list[Link] = []
    if len(name) >= _LEAST_CHARS and not name.startswith("__") and _WORD.fullmatch(name):
        users = _users(citation, own, located.get(name, ()), read)
    namesakes = _namesakes(citation, own, located.get(name, ()), read) if "." in own.name else []
    uses = _uses(citation, own, used, source, located, read)
    return (*users, *uses, *namesakes, *found)


def _users(
    citation: Citation, own: Definition, files: Sequence[tuple[str, bool]], read: Read
) -> list[Link]:
    word = re.compile(rf"(?<![\w]){re.escape(own.last_name)}(?![\w])")
    found: list[Link] = []
    candidates = [path for path, _ in files if not _DOCUMENT.search(path)]
    for path in _nearest(citation.path, candidates)[:_FILES_READ]:
        source = read(path)
        for number, line in enumerate(source.lines if source else (), 1):
            match = word.search(line[:1_000])
            if match is None or _IMPORT.match(line) or _COMMENT.match(line):
                continue
            if path == citation.path and own.start <= number <= own.end:
                continue
            assert source is not None
            around = _at(source.outline, number)
            if around is not None and around.last_name == own.last_name:
                # It is defined here, too, or calls itself.
                continue
            if _in_list(line, own.last_name):
                continue
            if _receiver(line[: match.start()]) in _OWN and _is_strange(own, around, source):
                continue
            found.append(Link("used by", path, number, around.name if around else ""))
            if len(found) == MOST_USERS:
                return found
            if sum(each.path == path for each in found) == MOST_USERS - 1:
                break
    return found


def _is_strange(own: Definition, around: Definition | None, source: Source) -> bool:
    """Whether ``self`` around a line is of a class that has nothing to do with the method's own."""
    holder = own.name.rpartition(".")[0].rpartition(".")[2]
    if not holder or around is None:
        return False
    head = _class_line(source, around)
    return bool(head) and holder not in _WORD.findall(head)


def _in_list(line: str, name: str) -> bool:
    """True for a line that is the name alone, as in a list of exports."""
    return line.strip().strip("\"'`,") == name


def _uses(
    citation: Citation,
    own: Definition,
    used: Mapping[str, str],
    source: Source,
    located: Located,
    read: Read,
) -> list[Link]:
    found: list[Link] = []
    here: dict[str, list[Definition]] = {}
    for each in source.outline:
        if not (own.start <= each.start and each.end <= own.end) and each.name:
            here.setdefault(each.last_name, []).append(each)
    seen = _Seen(own, source)
    opened = 0
    for name, receiver in used.items():
        mine = seen.from_here(here.get(name, ()), receiver, source.outline)
        if mine is not None:
            found.append(Link("uses", citation.path, mine.head, mine.name))
        else:
            defining = [
                path for path, defines in located.get(name, ()) if defines and path != citation.path
            ]
            if not defining or len(defining) > _FILES_READ or opened >= _FILES_READ:
                continue
            opened += 1
            path = _nearest(citation.path, defining)[0]
            other = read(path)
            outline = other.outline if other else ()
            named = [each for each in outline if each.last_name == name]
            first = seen.from_here(named, receiver, outline)
            if first is not None:
                found.append(Link("uses", path, first.head, first.name))
        if len(found) == MOST_USED:
            break
    return found


class _Seen:
    """What the lines of a definition can mean by a name."""

    def __init__(self, own: Definition, source: Source) -> None:
        self._own, self._outline = own, source.outline
        self._class = own.name.rpartition(".")[0].rpartition(".")[2]
        self._bases = set(_WORD.findall(_class_line(source, own))) - _CLASS_WORDS

    def from_here(
        self, named: Sequence[Definition], receiver: str, outline: Sequence[Definition]
    ) -> Definition | None:
        """The definition that is meant, of those of that name in an outline.

        ``receiver`` is what stands before the name, as ``_receiver`` says. A member of another
        class, such as a subclass, merely has the same name.
        """
        fitting = [each for each in named if self._fits(each, receiver, outline)]
        if not fitting and len(named) == 1 and named[0].kind == "function":
            # Of what class a variable is, is not known; there is only one such method.
            return named[0] if receiver and receiver not in _OWN else None
        return next(iter(fitting), None)

    def _fits(self, each: Definition, receiver: str, outline: Sequence[Definition]) -> bool:
        above = outline[each.parent] if each.parent >= 0 else None
        if above is not None and above.kind == "function":
            is_around = above.start <= self._own.start and self._own.end <= above.end
            return outline is self._outline and is_around and not receiver
        holder = each.name.rpartition(".")[0].rpartition(".")[2]
        is_member = above.kind == "class" if above is not None else bool(holder)
        if not is_member or each.kind in ("class", "type"):
            return receiver not in _OWN
        if receiver == holder:
            return True
        # The receiver of a method in Go, and its scope in C++, stand in its own head.
        if holder == self._class:
            return above is None or not receiver or receiver in _OWN
        return holder in self._bases and (not receiver or receiver in _OWN)


_OWN: Final = frozenset("self this cls super base parent static Self".split())
_BEFORE: Final = re.compile(r"(\w*)(\S?)\s*(?:\?\.|\.|::|->)\s*$")


def _receiver(before: str) -> str:
    """The word before a dot at the end of the text, ``?`` for another value; empty for no dot."""
    match = _BEFORE.search(before)
    if match is None:
        return ""
    return match[1] if match[1] and not match[2] else "super" if "super()" in before else "?"


def _names_used(citation: Citation, own: Definition, source: Source) -> dict[str, str]:
    """The names that the place calls or refers to, those near what matters first.

    For each what stands before it where it is first used, as ``_receiver`` says.
    """
    matters = {n for part in citation.focus for n in range(part.start, part.end + 1)}
    last = min(own.end, len(source.lines))
    numbers = sorted(range(own.head, last + 1), key=lambda n: (n not in matters, n))
    names: dict[str, str] = {}
    documented = _docstring_lines(source.lines, own.head, last)
    for number in numbers:
        line = source.lines[number - 1][:500]
        if number in documented or _COMMENT.match(line):
            continue
        for match in _CALLED.finditer(line):
            name = match[1] or match[2] or match[3]
            if name != own.last_name and not name.startswith("__"):
                names.setdefault(name, _receiver(line[: match.start()]))
    return dict(list(names.items())[:_NAMES_LOOKED_UP])


def _docstring_lines(lines: Sequence[str], first: int, last: int) -> set[int]:
    """The lines that lie in texts between triple quotes."""
    found: set[int] = set()
    inside = False
    for number in range(first, last + 1):
        line = lines[number - 1]
        if inside:
            found.add(number)
        if (line.count('"""') + line.count("'''")) % 2:
            inside = not inside
    return found


def _namesakes(
    citation: Citation, own: Definition, files: Sequence[tuple[str, bool]], read: Read
) -> list[Link]:
    """The method of the same name in a base class, a subclass or another subclass of its base."""
    own_source = read(citation.path)
    head = _class_line(own_source, own) if own_source else ""
    if not head:
        return []
    own_class = own.name.split(".")[-2]
    bases = set(_WORD.findall(head)) - {own_class, *_CLASS_WORDS}
    found: list[Link] = []
    defining = [path for path, defines in files if defines]
    for path in _nearest(citation.path, defining)[:_FILES_READ]:
        source = read(path)
        for each in source.outline if source else ():
            if each.last_name != own.last_name or "." not in each.name or each.kind != "function":
                continue
            if path == citation.path and each.start == own.start:
                continue
            assert source is not None
            other = each.name.split(".")[-2]
            words = set(_WORD.findall(_class_line(source, each)))
            if other in bases or own_class in words or bases & (words - {other, *_CLASS_WORDS}):
                found.append(Link("same name", path, each.head, each.name))
                if len(found) == MOST_NAMESAKES:
                    return found
    return found


_CLASS_WORDS: Final = frozenset(
    "class struct interface trait impl for extends implements abstract public private protected"
    " export default final object Generic Any dyn where with static sealed data open internal"
    " typing Enum ABC Protocol Exception".split()
)


def _class_line(source: Source, method: Definition) -> str:
    """The line that begins the class that the method is in; empty if it is in none."""
    if method.parent < 0:
        return ""
    above = source.outline[method.parent]
    return source.lines[above.head - 1] if above.kind == "class" else ""


def _at(outline: Sequence[Definition], line: int) -> Definition | None:
    around = [each for each in outline if each.start <= line <= each.end and each.name]
    return min(around, key=lambda each: each.size, default=None)


def _nearest(path: str, others: Sequence[str]) -> list[str]:
    """The paths, those in the same file, folder and neighbourhood first, tests last.

    Of a name that very many files have only the first two.
    """
    folders = path.split("/")[:-1]
    is_test = bool(_TEST.search(path))

    def distance(other: str) -> tuple[bool, bool, int, str]:
        theirs = other.split("/")[:-1]
        common = 0
        for one, two in zip(folders, theirs, strict=False):
            if one != two:
                break
            common += 1
        away = len(folders) + len(theirs) - 2 * common
        return other != path, bool(_TEST.search(other)) and not is_test, away, other

    ordered = sorted(others, key=distance)
    if len(ordered) > _COMMON:
        return [each for each in ordered if each.split("/")[:-1] == folders]
    return ordered


def _beside(path: str, paths: Sequence[str]) -> Iterator[Link]:
    """The template, style, schema or header with the file's own name, in its folder."""
    folder, _, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not dot or suffix not in _BESIDE:
        return
    count = 0
    for other in paths:
        theirs, _, other_name = other.rpartition("/")
        if theirs != folder or other == path or not other_name.startswith(f"{stem}."):
            continue
        if other_name.removeprefix(f"{stem}.") in _BESIDE and count < MOST_BESIDE:
            count += 1
            yield Link("beside", other, 1)

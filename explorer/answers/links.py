"""One step away from a cited place: who uses it, what it uses, its namesakes, files beside it.

``locate`` says which files have a name, so only those are read; ``Meaning`` says whether a name
there means the place.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from explorer.answers.meaning import SELF, Meaning, unshadowed
from explorer.answers.source import Source, family_of, last_word, likeness, module_of, parts_of
from explorer.definitions import Definition
from explorer.definitions.names import Name, names_in
from explorer.records import Citation, Link

MOST_USERS: Final = 3
MOST_USED: Final = 3
MOST_NAMESAKES: Final = 2
MOST_BESIDE: Final = 3
_FILES_READ: Final = 8
"""How many files are read for users, and for what is used."""
_FILES_FOR_A_NAME: Final = 3
_NAMES_LOOKED_UP: Final = 16
_COMMON: Final = 60
"""A name that more files define says too little; only its own folder's are looked at then."""
_WITHOUT_KEYWORD: Final = frozenset("java kotlin csharp cpp scala".split())
"""Languages of which ``locate`` does not always know what a file defines."""
_LEAST_CHARS: Final = 3
_TELLING: Final = 4
"""How long a word is at least that a name can share with the question."""
_WORD: Final = re.compile(r"[A-Za-z_$][\w$]*[?!]?")
_COMMENT: Final = re.compile(r"\s*(?://|/\*|\*(?:[ /]|$)|#(?!\[)|--|<!--|;;|\"\"\"|''')")
_BESIDE: Final = frozenset(
    "ts tsx js jsx vue svelte html htm css scss sass less sql graphql proto erb mjs xml json"
    " xsd".split()
)
_TEST: Final = re.compile(
    r"(?i:(?:^|[/._-])(?:tests?|specs?|__tests__|mocks?)(?:[/._-]|$))|[a-z]Tests?\.[a-z]+$"
)
_IN_TEST: Final = re.compile(r"tests?\.")
"""A module of tests in the file that it tests, in Rust."""
_DOCUMENT: Final = re.compile(r"\.(?:md|markdown|mdx|rst|adoc|txt|po|json|lock)$", re.IGNORECASE)
"""A text that has a name mentions it; it does not use it."""
_PASSED_ON: Final = re.compile(r"\brequire\(|\bexports\.")
"""In a value that is imported, or exported under that name."""
_NO_NAMES: Final = frozenset("exports default main".split())
"""What is used by another name, or by none."""
_CONSTRUCTORS: Final = {
    "python": "__init__",
    "javascript": "constructor",
    "ruby": "initialize",
    "php": "__construct",
}

Located = Mapping[str, Sequence[tuple[str, bool]]]
"""For each name the files that have it, and whether they define it."""
Locate = Callable[[Sequence[str]], Located]
Read = Callable[[str], Source | None]


def links_of(
    citation: Citation,
    own: Definition | None,
    paths: Sequence[str],
    read: Read,
    locate: Locate,
    query: str = "",
) -> tuple[Link, ...]:
    """What is one step away from the citation, nearest first.

    ``own`` is its definition, ``paths`` are the repository's files; of what it uses, names that
    share words with ``query`` come first. Reads files, blocking.
    """
    found = list(_beside(citation.path, paths))
    source = read(citation.path)
    if own is None or not own.name or source is None:
        return tuple(found)
    used = _names_used(citation, own, source, query)
    holder, name = source.holder(own), own.last_name
    located = locate([name, holder or module_of(citation.path), *used])
    target = own
    if holder and own.parent >= 0 and (name == holder or name == _CONSTRUCTORS.get(source.family)):
        # A constructor is called by the name of its class.
        target, name = source.outline[own.parent], holder
    users: list[Link] = []
    if len(name) >= _LEAST_CHARS and not name.startswith("__") and _WORD.fullmatch(name):
        users = _users(target, source, located, read)
    uses = _uses(own, used, source, located, read)
    namesakes = _namesakes(own, source, located.get(own.last_name, ()), read) if holder else []
    return (*users, *uses, *namesakes, *found)


def shared_words(name: str, query: str, own: str, least: int = _TELLING) -> int:
    """How many of the name's words the query has, without those that the name ``own`` has.

    Words of fewer than ``least`` letters do not count.
    """
    words = {part for part in parts_of(name) if len(part) >= least}
    return len(words & (set(parts_of(query)) - set(parts_of(own))))


def _meaning(own: Definition, home: Source, located: Located, *, in_test: bool) -> Meaning:
    """What names mean the definition, in a test or in other files, which use no test's double."""
    files = located.get(own.last_name, ())
    elsewhere = any(
        defines and path != home.path and (in_test or not _is_test(path)) for path, defines in files
    )
    is_rare = len(files) <= _FILES_READ
    if home.family in _WITHOUT_KEYWORD and (home.family != "cpp" or home.holder(own)):
        elsewhere = elsewhere or not is_rare
    return Meaning(own, home, elsewhere=elsewhere, is_rare=is_rare)


def _users(own: Definition, home: Source, located: Located, read: Read) -> list[Link]:
    if own.last_name in _NO_NAMES:
        return []
    meanings = [_meaning(own, home, located, in_test=in_test) for in_test in (False, True)]
    holder = home.holder(own) or module_of(home.path)
    holders = {path for path, _ in located.get(holder, ())}
    candidates = [
        path
        for path, _ in located.get(own.last_name, ())
        if not _DOCUMENT.search(path) and (not home.family or family_of(path) in (home.family, ""))
    ]
    nearest = _nearest(home.path, candidates, most=len(candidates))
    # Where the class or module is named, too, it is likelier to be what is meant.
    nearest.sort(key=lambda path: (path != home.path, _is_test(path), path not in holders))
    found: list[Link] = []
    further: list[Link] = []
    read_last = next((path for path in nearest[_FILES_READ:] if _is_test(path)), "")
    chosen = nearest[:_FILES_READ]
    if read_last and not any(map(_is_test, chosen)):
        chosen[-1] = read_last
    for path in chosen:
        source = read(path)
        if source is None:
            continue
        links = [
            Link("used by", path, line, around.name if around else "")
            for line, around in islice(
                _using(own, home, meanings[_is_test(path)], source), 2 * MOST_USERS
            )
        ]
        if not _is_test(home.path):
            tests = [each for each in links if _is_test(path) or _IN_TEST.match(each.name)]
            further += tests
            links = [each for each in links if each not in tests]
        # Another file's user says more than the third of this one.
        found += links[: MOST_USERS - 1]
        further = links[MOST_USERS - 1 :] + further
        if len(found) >= MOST_USERS:
            break
    return (found + further)[:MOST_USERS]


def _using(
    own: Definition, home: Source, meaning: Meaning, source: Source
) -> Iterator[tuple[int, Definition | None]]:
    """The lines of a file that use the definition, calls first, one of each function."""
    is_home = source.path == home.path
    lines: Iterable[int]
    if not home.family or not source.family:
        lines = _mentions(own, home, source)
    else:
        name = own.last_name
        if not any(name in line and not _COMMENT.match(line) for line in source.lines):
            return
        names = names_in(source.path, source.lines, 1, len(source.lines), name) or []
        uses = sorted(
            unshadowed(names, own if is_home else None), key=lambda each: each.role != "call"
        )
        lines = (
            each.line
            for each in uses
            if not (is_home and own.start <= each.line <= own.end) and meaning.of(each, source)
        )
    seen: set[str] = set()
    for line in lines:
        around = source.around(line)
        user = around.name if around is not None else str(line)
        is_overload = (
            around is not None
            and is_home
            and around.last_name == own.last_name
            and home.holder(around) == home.holder(own)
        )
        if user not in seen and not is_overload:
            seen.add(user)
            yield line, around


def _mentions(own: Definition, home: Source, source: Source) -> list[int]:
    """The lines that have the name, where the language of one of the files has no grammar.

    A name of one word is too common, except for a call in the same language.
    """
    is_same = home.path.rpartition(".")[2] == source.path.rpartition(".")[2]
    is_key = own.kind == "section" and source.path != home.path
    if not (is_same or is_key):
        return []
    name = re.escape(own.last_name)
    is_long = len(parts_of(own.last_name)) > 1
    word = re.compile(rf"(?<![\w$]){name}(?![\w$])" if is_long else rf"(?<![\w$.]){name}\(")
    return [
        number
        for number, line in enumerate(source.lines, 1)
        if word.search(line[:1_000])
        and not _COMMENT.match(line)
        and not (source.path == home.path and own.start <= number <= own.end)
        and not any(each.head == number for each in source.named.get(own.last_name, ()))
        and (is_long or is_same)
    ]


def _names_used(
    citation: Citation, own: Definition, source: Source, query: str
) -> dict[str, list[Name]]:
    """The names that the place calls or refers to, calls first, and of these the likeliest.

    First those that share words with the question, then those of the same class and file, then
    those near what matters.
    """
    around = {source.holder(own), *own.name.split(".")}
    first, last = own.head, min(own.end, len(source.lines))
    if own.kind == "class":
        last = min(last, max(citation.end, own.head))
    names = [
        each
        for each in unshadowed(names_in(source.path, source.lines, first, last) or [], own)
        if not each.text.startswith("__")
        and len(each.text) > 2
        # Another object's method may have the same name.
        and (each.text not in around or last_word(each.before or "this") not in SELF)
    ]
    matters = {n for part in citation.focus for n in range(part.start, part.end + 1)}
    holder = source.holder(own)
    members = {each.last_name for each in source.outline if source.holder(each) == holder}
    found: dict[str, list[Name]] = {}
    for each in names:
        found.setdefault(each.text, []).append(each)

    def rank(item: tuple[str, list[Name]]) -> tuple[bool, int, bool, bool, bool, int]:
        text, uses = item
        return (
            all(each.role != "call" for each in uses),
            -shared_words(text, query, own.last_name),
            text not in members,
            text not in source.named,
            not any(each.line in matters for each in uses),
            uses[0].line,
        )

    return dict(sorted(found.items(), key=rank)[:_NAMES_LOOKED_UP])


def _uses(
    own: Definition,
    used: Mapping[str, list[Name]],
    source: Source,
    located: Located,
    read: Read,
) -> list[Link]:
    functions: list[Link] = []
    others: list[Link] = []
    left = _FILES_READ
    for names in used.values():
        meant = _meant(own, names, source, source, located)
        if meant is None:
            for path in _defining(names, source, located)[:left]:
                left -= 1
                other = read(path)
                meant = _meant(own, names, source, other, located) if other is not None else None
                if meant is not None:
                    break
        if meant is None or (
            # What stands in a signature is a type, a default or how it is compiled.
            meant[1].kind in ("value", "field") and all(each.line < own.body for each in names)
        ):
            continue
        is_called = meant[1].kind == "function" and any(each.role == "call" for each in names)
        kind = functions if is_called else others
        link = Link("uses", meant[0], meant[1].head, meant[1].name)
        if link not in kind:
            kind.append(link)
        if len(functions) == MOST_USED:
            break
    return (functions + others)[:MOST_USED]


def _defining(names: Sequence[Name], source: Source, located: Located) -> list[str]:
    """The few other files that are likeliest to define what the names mean."""
    family, text = source.family, names[0].text
    paths = [
        path
        for path, defines in located.get(text, ())
        if (defines or family in _WITHOUT_KEYWORD) and path != source.path
        if family_of(path) == family
    ]
    statements = source.imports
    is_bare = all(each.before is None for each in names)
    by_import = family in ("python", "javascript")
    if is_bare and by_import:
        # What a file does not import it cannot mean.
        statements = tuple(each for each in statements if text in each or "*" in each)
        if not statements:
            return []
    imports = "\n".join(statements)
    said = {last_word(each.before) for each in names if each.before}
    if is_bare and not by_import:
        said = {text, *source.bases_around(names[0].line)}

    def likely(path: str) -> int:
        module = module_of(path)
        return max((likeness(word, module) for word in said), default=0) or int(module in imports)

    if len(paths) > 1:
        folder = source.path.rpartition("/")[0]
        paths = [
            each
            for each in paths
            if likely(each) or (not by_import and each.rpartition("/")[0] == folder)
        ]
    nearest = _nearest(source.path, paths, most=len(paths))
    return sorted(nearest, key=lambda path: (-likely(path), len(parts_of(module_of(path)))))[
        :_FILES_FOR_A_NAME
    ]


def _meant(
    own: Definition, names: Sequence[Name], source: Source, other: Source, located: Located
) -> tuple[str, Definition] | None:
    """The path and definition, of those in another file, that one of the names means."""
    for each in other.named.get(names[0].text, ()):
        if each.kind in ("statements", "section", "call"):
            continue
        if other is source and own.start <= each.start and each.end <= own.end:
            continue
        if each.kind == "value" and _PASSED_ON.search(other.lines[each.head - 1]):
            continue
        meaning = _meaning(each, other, located, in_test=_is_test(source.path))
        if any(meaning.of(name, source) for name in names):
            return other.path, each
    return None


def _namesakes(
    own: Definition, home: Source, files: Sequence[tuple[str, bool]], read: Read
) -> list[Link]:
    """The method of the same name in a base class, a subclass or another subclass of its base."""
    mine = _class_of(own, home)
    if mine is None:
        return []
    bases = home.bases(mine)
    related: list[Link] = []
    siblings: list[Link] = []
    is_based = False
    for path in _nearest(home.path, [path for path, defines in files if defines])[:_FILES_READ]:
        source = read(path)
        for each in source.named.get(own.last_name, ()) if source is not None else ():
            if each.kind != "function":
                continue
            if path == home.path and each.start == own.start:
                continue
            assert source is not None
            other = _class_of(each, source)
            if other is None or source.family != home.family:
                continue
            link = Link("same name", path, each.head, each.name)
            theirs = source.bases(other)
            if other.last_name in bases or mine.last_name in theirs:
                related.append(link)
            elif bases & theirs:
                siblings.append(link)
            is_based = is_based or other.last_name in bases
    # Of a base that does not have the method, its subclasses have it by chance.
    return (related + siblings * is_based)[:MOST_NAMESAKES]


def _class_of(method: Definition, source: Source) -> Definition | None:
    """The class that the method stands in; None for none."""
    above = source.outline[method.parent] if method.parent >= 0 else None
    return above if above is not None and above.kind == "class" else None


def _is_test(path: str) -> bool:
    return bool(_TEST.search(path))


def _nearest(path: str, others: Sequence[str], most: int = _COMMON) -> list[str]:
    """The paths, those in the same file, folder and neighbourhood first, tests last.

    Of more than ``most`` only the first two.
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
    if len(ordered) > most:
        return [each for each in ordered if each.split("/")[:-1] == folders]
    return ordered


def _beside(path: str, paths: Sequence[str]) -> Iterator[Link]:
    """The template, style or schema with the file's own name, in its folder."""
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

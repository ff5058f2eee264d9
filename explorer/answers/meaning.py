"""Whether a name in a file means a certain definition, by what can be said without a compiler.

What stands before the name, the classes around it, what the file imports and what it says about the
type of a variable count. Where these leave it open, the name does not mean the definition: a wrong
link is worse than none.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

from explorer.definitions import Definition, outline
from explorer.definitions.languages import language_of
from explorer.definitions.names import Name

_IMPLICIT: Final = frozenset("java kotlin csharp cpp ruby scala swift".split())
"""Languages in which a method is called without naming the object that it is called on."""
_SPREAD: Final = frozenset("c cpp csharp ruby rust go swift".split())
"""Languages in which the methods of one class stand in several files."""
_BY_NAME: Final = frozenset("python javascript".split())
"""Languages in which another file's names are seen only if it is imported by name."""
_BY_FOLDER: Final = frozenset("go java kotlin scala".split())
"""Languages in which the files of a folder see each other's names."""
_FAMILIES: Final = {"typescript": "javascript", "tsx": "javascript", "c": "cpp"}
_COMPONENTS: Final = frozenset("vue svelte".split())

_SELF: Final = frozenset("self this cls static Self super super() base parent me".split())
_SUPER: Final = frozenset("super super() base parent".split())
_INDEX: Final = frozenset("__init__ index mod lib main init".split())
"""Files that are imported by the name of their folder."""
_MADE: Final = frozenset("new create instance getInstance get_instance default of from".split())
_EXPORTS: Final = frozenset("exports prototype module".split())
_BUILT_IN: Final = frozenset(
    "return new await in else case throw const yield not is as typeof delete range and or var let"
    " val go defer if void public private protected static final readonly".split()
)

_WORD: Final = re.compile(r"[A-Za-z_$][\w$]*")
_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LAST: Final = re.compile(r"([A-Za-z_][\w]*)[?!]*$")
_BRACKETED: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|(?<=\w)<[^<>]*>")
_IMPORT: Final = re.compile(
    r"\s*(?:import|from|use|using|include|require\w*|#\s*include|(?:pub\s*(?:\(\w+\)\s*)?)use)\b"
    r"|\s*export\s*[*{]|\s*(?:const|var|let)\s.*(?:\brequire|\bimport)\s*\("
    r"|\s*(?:const|var|let)\s*\{[^}]*$"
)
_IMPORT_LINES: Final = 60
_HEAD_LINES: Final = 12
_MIXED_IN: Final = re.compile(r"\s*(?:include|extend|prepend|use)\s+([A-Z\\][\w:\\, ]*)")
_NAMESPACE: Final = re.compile(r"\b(?:namespace|mod|package)\b")
_HIDDEN: Final = re.compile(r"\b(?:private|fileprivate)\b(?!\[|\()")
_CLASS_WORDS: Final = frozenset(
    "class struct interface trait impl for extends implements abstract public private protected"
    " export default final object Generic Any dyn where with static sealed data open internal"
    " typing Enum ABC Protocol Exception override partial module pub type readonly".split()
)


@dataclass(frozen=True, eq=False)
class Source:
    """A file's lines and definitions."""

    path: str
    lines: Sequence[str]

    @cached_property
    def outline(self) -> Sequence[Definition]:
        """Its definitions."""
        return outline(self.path, "\n".join(self.lines).encode("utf-8", "replace"))

    @cached_property
    def family(self) -> str:
        """What ``family_of`` says."""
        return family_of(self.path)

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """The statements that import; of a list of packages in Go each line."""
        return tuple(_imports(self.lines))

    def around(self, line: int) -> Definition | None:
        """The innermost definition around a line that has a name."""
        around = [each for each in self.outline if each.start <= line <= each.end and each.name]
        return min(around, key=lambda each: each.size, default=None)

    def head(self, definition: Definition) -> str:
        """The lines of a definition before its body."""
        end = min(max(definition.head, definition.body - 1), definition.head + _HEAD_LINES)
        if self.family == "ruby":
            end = definition.head
        lines = self.lines[definition.head - 1 : end]
        text = "\n".join(re.split(r"//|#(?!\[)", line)[0] for line in lines)
        return text.partition("{")[0] if definition.kind != "function" else text

    def holder(self, definition: Definition) -> str:
        """The class that the definition is a member of; empty for none."""
        above = self.outline[definition.parent] if definition.parent >= 0 else None
        name = definition.name
        if above is not None and above.kind != "class":
            return ""
        if above is not None and self._is_namespace(above):
            name = name.removeprefix(f"{above.name}.")
        parts = [each for each in name.split(".")[:-1] if each]
        while parts and parts[-1] in _EXPORTS:
            parts.pop()
        return parts[-1].partition("<")[0] if parts else ""

    def _is_namespace(self, definition: Definition) -> bool:
        return _NAMESPACE.search(self.lines[definition.head - 1]) is not None

    def classes(self, line: int) -> Iterator[tuple[str, Definition | None]]:
        """The classes around a line by name, innermost first, with those that stand around it."""
        around = [each for each in self.outline if each.start <= line <= each.end and each.name]
        for each in sorted(around, key=lambda each: each.size):
            if each.kind == "class" and not self._is_namespace(each):
                yield each.last_name.partition("<")[0], each
            elif each.kind == "function" and (holder := self.holder(each)):
                # What its name says, if its class does not stand around it.
                above = self.outline[each.parent] if each.parent >= 0 else None
                if above is None or self._is_namespace(above):
                    yield holder, None

    def bases(self, definition: Definition) -> set[str]:
        """What a class is derived from, and what is mixed into it."""
        text = self.head(definition)
        if self.family != "python":
            while (bare := _BRACKETED.sub("", text)) != text:
                text = bare
        found = set(_WORD.findall(text))
        if self.family in ("ruby", "php"):
            for line in self.lines[definition.head : definition.own_end]:
                if match := _MIXED_IN.match(line):
                    found.update(_WORD.findall(match[1]))
        return found - _CLASS_WORDS - {definition.last_name}


def _imports(lines: Sequence[str]) -> Iterator[str]:
    number = 0
    while number < len(lines):
        line = lines[number][:500]
        number += 1
        if not _IMPORT.match(line):
            continue
        last = min(len(lines), number + _IMPORT_LINES)
        is_list = line.strip() == "import ("
        while number < last and _is_open(line):
            line += "\n" + lines[number][:500]
            number += 1
        if line.lstrip().startswith(("const", "var", "let")) and not re.search(
            r"\b(?:require|import)\s*\(", line
        ):
            continue
        yield from line.split("\n")[1:] if is_list else [line]


def _is_open(text: str) -> bool:
    return text.count("(") + text.count("{") > text.count(")") + text.count("}") or (
        text.endswith("\\")
    )


def parts_of(name: str) -> list[str]:
    """The words of a name, in lower case."""
    return [part.lower() for part in _PART.findall(name)]


def unshadowed(names: Sequence[Name], own: Definition | None = None) -> Iterator[Name]:
    """The uses among the names, without those of a variable or parameter of that name.

    ``own`` is a definition whose own name shadows nothing.
    """
    bound = [each for each in names if each.role == "binding" and each.scope[1]]
    if own is not None:
        lines = range(own.start, own.body + 1)
        mine = {(each.text, each.scope) for each in bound if each.line in lines}
        bound = [
            each
            for each in bound
            if each.text != own.last_name or (each.text, each.scope) not in mine
        ]
    for name in names:
        is_local = name.before is None and any(
            each.text == name.text and each.scope[0] <= name.line <= each.scope[1] for each in bound
        )
        if name.role != "binding" and not is_local:
            yield name


class Meaning:
    """Which names mean one definition."""

    def __init__(
        self, target: Definition, home: Source, *, elsewhere: bool, is_rare: bool = False
    ) -> None:
        """``elsewhere``: another file defines the name, too; ``is_rare``: few files have it."""
        self._target, self._home, self._is_rare = target, home, is_rare
        self._name = target.last_name
        self.holder = home.holder(target)
        self._above = home.outline[target.parent] if target.parent >= 0 else None
        self._head = home.head(target)
        self._class = self._extended or self.holder
        """Of what class objects are that it is called on."""
        namesakes = {home.holder(each) for each in home.outline if each.last_name == self._name}
        self._is_only = not elsewhere and len(namesakes) < 2
        self._folder = home.path.rpartition("/")[0]
        self._module = module_of(home.path)

    def of(self, name: Name, source: Source) -> bool:
        """Whether the name, of a place where no variable hides it, means the definition."""
        if source.family != self._home.family or (
            not self._is_here(source) and self._is_private(source)
        ):
            return False
        if self._above is not None and self._above.kind in ("function", "call"):
            is_inside = self._above.start <= name.line <= self._above.end
            return self._is_here(source) and is_inside and name.before is None
        if self._target.kind in ("class", "type"):
            return self._is_type(name, source)
        if self.holder:
            return self._is_member(name, source)
        return self._is_function(name, source)

    def _is_here(self, source: Source) -> bool:
        return source.path == self._home.path

    def _is_near(self, source: Source) -> bool:
        return source.path.rpartition("/")[0] == self._folder

    def _is_private(self, source: Source) -> bool:
        family = self._home.family
        if family == "go":
            return not self._name[:1].isupper() and not self._is_near(source)
        if family == "cpp" and not self.holder:
            is_shared = self._home.path.rpartition(".")[2].startswith(("h", "i", "t"))
            return not is_shared and bool(re.search(r"\bstatic\b", self._head))
        if family in ("rust", "python", "ruby"):
            return False
        return bool(_HIDDEN.search(self._head.partition(self._name)[0]))

    def _is_type(self, name: Name, source: Source) -> bool:
        if name.before is None:
            return self._is_here(source) or self._is_visible(source)
        last = last_word(name.before)
        return bool(last) and (last == self.holder or self._is_module(last, source))

    def _is_function(self, name: Name, source: Source) -> bool:
        if name.before is None:
            has_own = source.family in _IMPLICIT and any(
                _has_member(source, cls, self._name) for cls, _ in source.classes(name.line)
            )
            return not has_own and (self._is_here(source) or self._is_visible(source))
        last = last_word(name.before)
        if source.family == "rust" and name.before in ("self", "super", "crate"):
            return self._is_only or self._is_here(source)
        if self._is_here(source) and last in ("exports", *self._target.name.split(".")[:-1]):
            return True
        if self._extended:
            return (self._is_here(source) or self._is_visible(source)) and (
                self._is_of_object(name.before, name.line, source)
            )
        return bool(last) and self._is_module(last, source)

    @cached_property
    def _extended(self) -> str:
        """The class whose methods it is called like, of an extension in Kotlin or C#."""
        match = None
        if self._home.family == "kotlin":
            name = re.escape(self._name)
            match = re.search(rf"\bfun\s+(?:<[^>]*>\s*)?(\w+)[\w.<>?*, ]*\.{name}\b", self._head)
        elif self._home.family == "csharp":
            match = re.search(r"\(\s*this\s+(?:\w+\.)*(\w+)", self._head)
        return match[1] if match else ""

    def _is_module(self, word: str, source: Source) -> bool:
        """Whether the word stands for the module that the definition is in."""
        if self._home.family == "go":
            if not self._name[:1].isupper():
                return False
            imported = [each for each in source.imports if f"/{self._module}" in each]
            alias = re.compile(rf"(?:^|\s){re.escape(word)}\s+\"")
            return any(word == self._module or alias.search(each) for each in imported)
        if word == self._module or (self._is_only and word in self._folder.split("/")):
            return True
        return any(_has_word(each, word) and self._module in each for each in source.imports)

    def _is_visible(self, source: Source) -> bool:
        """Whether the name stands for it, in another file, with nothing before it."""
        family = source.family
        if any(
            each.last_name == self._name and not source.holder(each) and each.kind != "statements"
            for each in source.outline
        ):
            return False
        if family == "go":
            return self._is_near(source)
        folder = self._folder.rpartition("/")[2]
        known = [self._module, *([] if family in _BY_NAME or not folder else [folder])]
        for statement in source.imports:
            if _has_word(statement, self._name):
                return self._is_only or any(map(partial(_has_word, statement), known))
        if family in _BY_FOLDER or family in ("csharp", "php"):
            if self._is_near(source) and not self._is_nested:
                return True
            return (
                self._is_only
                and not self._is_nested
                and (
                    family in ("csharp", "php")
                    or any(f"{folder}.*" in each for each in source.imports)
                )
            )
        if family in _BY_NAME:
            return self._is_only and any("import *" in each for each in source.imports)
        if family == "rust":
            return self._is_only and any("::*" in each for each in source.imports)
        return self._is_only or self._is_near(source)

    @property
    def _is_nested(self) -> bool:
        return bool(self.holder) and not self._extended

    def _is_member(self, name: Name, source: Source) -> bool:
        before = name.before
        if before is None:
            return source.family in _IMPLICIT and self._is_of_class(name.line, source, super_=False)
        before = before.lstrip("$@").strip()
        if before in _SELF or before.startswith("super("):
            return self._is_of_class(
                name.line, source, super_=before in _SUPER or before.startswith("super(")
            )
        if not before:
            return False
        if name.role != "call" and not self._is_property:
            # A method that is passed on, or a field that merely has its name.
            return self._is_said(before, name.line, source) is True
        return self._is_of_object(before, name.line, source)

    @cached_property
    def _is_property(self) -> bool:
        """Whether it is used without a call."""
        lead = "\n".join(self._home.lines[self._target.start - 1 : self._target.head])
        return self._target.kind in ("field", "value") or bool(
            re.search(r"property\b|\bget\s", lead)
        )

    def _is_of_class(self, line: int, source: Source, *, super_: bool) -> bool:
        """Whether the classes around a line have the member, or inherit it."""
        around = list(source.classes(line))
        if not around and source.family == "cpp":
            # A macro or a template hides what the function is a member of.
            return self._is_here(source)
        for cls, definition in around:
            if cls == self.holder and not super_:
                if self._is_here(source):
                    return True
                is_spread = source.family in _SPREAD and not _has_member(source, cls, self._name)
                return is_spread and (source.family != "go" or self._is_near(source))
            if not super_ and _has_member(source, cls, self._name):
                return False
            if definition is not None and self.holder in self._ancestors(definition, source):
                return self._is_here(source) or not _has_class(source, self.holder)
            if super_ or source.family == "ruby":
                return False
        return False

    def _ancestors(self, definition: Definition, source: Source) -> set[str]:
        found = source.bases(definition)
        known = [(each, where) for where in (source, self._home) for each in where.outline]
        for _ in range(3):
            for each, where in known:
                if each.kind == "class" and each.last_name in found:
                    found |= where.bases(each)
        return found

    def _is_of_object(self, before: str, line: int, source: Source) -> bool:
        """Whether a value can be an object of the class: by its type, or else by its name."""
        if not self._is_here(source) and source.family not in _SPREAD:
            # A class of that name is another one.
            if _has_class(source, self.holder):
                return False
        said = self._is_said(before, line, source)
        is_only = self._is_only and len(parts_of(self._name)) > 1
        if said is not None:
            return said or (is_only and self._is_rare and not self._extended)
        word = last_word(before)
        mine = likeness(word, self._class)
        others = {
            other
            for where in (source, self._home)
            for each in where.outline
            if each.last_name == self._name and (other := where.holder(each)) != self._class
        }
        if mine and any(likeness(word, other) >= mine for other in others):
            return False
        is_known = (
            self._is_here(source)
            or (source.family in _SPREAD | _BY_FOLDER and self._is_near(source))
            or self._is_mentioned(source)
        )
        if mine == 2 or (mine and is_known):
            return True
        if others or self._extended:
            return False
        return is_only and (self._is_rare or is_known)

    def _is_mentioned(self, source: Source) -> bool:
        return any(self._class in line and _has_word(line, self._class) for line in source.lines)

    def _is_said(self, before: str, line: int, source: Source) -> bool | None:
        """Whether the code says that a value is of the class; None if it does not say."""
        bare = before
        while (shorter := _BRACKETED.sub("", bare)) != bare:
            bare = shorter
        bare = bare.rstrip("?!").strip()
        words: list[str] = _WORD.findall(bare)
        if not words:
            return None
        if words[0] == "new" and bare.startswith("new "):
            return words[-1] == self._class
        if words[-1] == self._class:
            return not self._is_foreign(before, source)
        if before.endswith((")", "}")):
            return self._is_made([each for each in words if each not in _BUILT_IN])
        if words[-1][0].isupper() and source.family not in ("go", "csharp"):
            return False
        around = [each for each in source.outline if each.start <= line <= each.end]
        function = max(
            (each for each in around if each.kind == "function"), key=lambda e: e.size, default=None
        )
        if function is not None and len(words) == 1:
            local = source.lines[function.head - 1 : function.end]
            if (said := self._is_declared(words[-1], local, source)) is not None:
                return said
        return self._is_declared(words[-1], source.lines, source)

    def _is_foreign(self, type_: str, source: Source) -> bool:
        """Whether a type of that name is of another package, in Go, or of other arity, in C#."""
        if source.family == "csharp" and self._above is not None:
            name = f"{self._class}<"
            return (name in type_) != (name in self._home.head(self._above))
        return (
            source.family == "go"
            and not self._is_near(source)
            and f"{self._module}.{self._class}" not in type_
        )

    def _is_made(self, words: Sequence[str]) -> bool | None:
        """Whether a call returns such an object, by the words of what is called."""
        if not words:
            return None
        if words[-1] == self._class or (words[-1] in _MADE and self._class in words[-2:-1]):
            return True
        made, mine = parts_of(words[-1]), parts_of(self._class)
        if mine and made[-len(mine) :] == mine:
            return True
        is_class = words[-1][0].isupper() or (words[-1] == "new" and len(words) > 1)
        return False if is_class and self._home.family not in ("go", "csharp") else None

    def _is_declared(self, word: str, lines: Sequence[str], source: Source) -> bool | None:
        said: bool | None = None
        for pattern, is_value in _declarations(word, source.family):
            for line in lines:
                if word not in line:
                    continue
                for match in pattern.finditer(line[:500]):
                    words = [w for w in _WORD.findall(match[1]) if w not in _BUILT_IN]
                    if is_value:
                        found = self._is_made(words)
                    elif self._class in words:
                        found = True
                    else:
                        is_type = any(w[0].isupper() for w in words)
                        found = False if is_type or (words and source.family == "go") else None
                    if found and self._is_foreign(match[0], source):
                        found = False
                    if found:
                        return True
                    said = found if found is not None else said
        return said


def _declarations(word: str, family: str) -> Iterator[tuple[re.Pattern[str], bool]]:
    """What declares a variable's type, or else is its value, as the group of a pattern."""
    name = rf"(?<!\w){re.escape(word)}"
    if family == "go":
        kind = r"((?:\[\]|[*&]|map\[\w+\])*(?:\w+\.)?[A-Za-z]\w*)"
        yield re.compile(rf"(?<![\w.]){re.escape(word)}\s+(?!range\b|in\b){kind}"), False
    elif family in ("java", "csharp", "cpp", "php"):
        kind = r"([A-Za-z_\\][\w:.\\]*(?:<[^;()=]*>)?)"
        yield re.compile(rf"{kind}[\s*&?\[\]]+\$?{name}\s*(?=[=;,){{:]|$)"), False
    else:
        yield re.compile(rf"{name}\??\s*:(?!:)\s*([^=,;){{]+)"), False
    value = r"((?:[\w$]+(?:\.|::|->|\?\.|\\))*[\w$]+(?:\.new\b)?)(?:<[^()]*>)?\s*(?:[({]|$)"
    made = r"\s*(?::=|=(?!=))\s*(?:await\s+|new\s+|[&*]+)*"
    yield re.compile(name + made + value), True


def family_of(path: str) -> str:
    """A file's language, of languages that use each other's names one; empty for none."""
    if path.rpartition(".")[2].lower() in _COMPONENTS:
        return "javascript"
    language = language_of(path)
    return _FAMILIES.get(language, language)


def module_of(path: str) -> str:
    """What other files call a file: its name, or that of its folder."""
    folder, _, file = path.rpartition("/")
    stem, _, suffix = file.partition(".")
    return folder.rpartition("/")[2] if suffix == "go" or stem in _INDEX else stem


def last_word(before: str) -> str:
    """The last name of what stands before a dot, without arguments; empty for none."""
    bare = before
    while (shorter := _BRACKETED.sub("", bare)) != bare:
        bare = shorter
    match = _LAST.search(bare.strip())
    return match[1] if match else ""


def likeness(word: str, name: str) -> int:
    """How much a variable is called like a class: 2 as a whole, 1 by its last word, or 0."""
    mine, its = parts_of(word), parts_of(name)
    if not mine or not its:
        return 0
    if mine == its:
        return 2
    if mine[-1] == its[-1] and set(mine) <= set(its):
        return 1
    return int(len(mine) == 1 and len(mine[0]) > 2 and its[-1].startswith(mine[0]))


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w$]){re.escape(word)}(?![\w$])", text) is not None


def _has_class(source: Source, name: str) -> bool:
    return any(each.kind == "class" and each.last_name == name for each in source.outline)


def _has_member(source: Source, holder: str, name: str) -> bool:
    return any(
        each.last_name == name and source.holder(each) == holder and each.kind != "class"
        for each in source.outline
    )


def bases_around(source: Source, line: int) -> set[str]:
    """What the innermost class around a line is derived from."""
    definition = next((each for _, each in source.classes(line) if each is not None), None)
    return source.bases(definition) if definition is not None else set()


def words_shared(name: str, words: Collection[str]) -> int:
    """How many words of a name are among the words."""
    return len({part for part in parts_of(name) if len(part) > 3} & set(words))

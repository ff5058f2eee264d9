"""Whether a name in a file means a certain definition, by what can be said without a compiler.

What stands before the name, the classes around it, what the file imports and what it says about the
type of a variable count. Where these leave it open, the name does not mean the definition: a wrong
link is worse than none.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Final

from explorer.answers.source import (
    Source,
    has_word,
    last_word,
    likeness,
    module_of,
    parts_of,
    without_brackets,
)
from explorer.definitions import Definition
from explorer.definitions.names import Name

_IMPLICIT: Final = frozenset("java kotlin csharp cpp ruby scala swift".split())
"""Languages in which a method is called without naming the object that it is called on."""
_SPREAD: Final = frozenset("c cpp csharp ruby rust go swift".split())
"""Languages in which the methods of one class stand in several files."""
_BY_NAME: Final = frozenset("python javascript".split())
"""Languages in which another file's names are seen only if it is imported by name."""
_BY_FOLDER: Final = frozenset("go java kotlin scala".split())
"""Languages in which the files of a folder see each other's names."""
SELF: Final = frozenset("self this cls static Self super super() base parent me".split())
_SUPER: Final = frozenset("super super() base parent".split())
_MADE: Final = frozenset("new create instance getInstance get_instance default of from".split())
_BUILT_IN: Final = frozenset(
    "return new await in else case throw const yield not is as typeof delete range and or var let"
    " val go defer if void public private protected static final readonly".split()
)

_WORD: Final = re.compile(r"[A-Za-z_$][\w$]*")
_FROM: Final = re.compile(
    r"^\s*from\s+([\w.]+)\s+import|(?:\bfrom|\brequire\s*\(|\bimport\s*\()\s*[\"']([^\"']+)"
)
_GENERATIONS: Final = 3
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_ASSERTED: Final = re.compile(r"\.\(\s*\*?([\w.]+)\s*\)$")
_HIDDEN: Final = re.compile(r"\b(?:private|fileprivate)\b(?!\[|\()")


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
        namesakes = {home.holder(each) for each in home.named[self._name]}
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
                source.has_member(cls, self._name) for cls, _ in source.classes(name.line)
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
        return any(
            has_word(_QUOTED.sub("", each), word) and has_word(each, self._module)
            for each in source.imports
        )

    def _is_visible(self, source: Source) -> bool:
        """Whether the name stands for it, in another file, with nothing before it."""
        family = source.family
        if any(
            not source.holder(each)
            and (each.parent < 0 or source.outline[each.parent].kind == "class")
            for each in source.named.get(self._name, ())
        ):
            return False
        if family == "go":
            return self._is_near(source)
        folder = self._folder.rpartition("/")[2]
        known = [each for each in (self._module, folder) if each]
        for statement in source.imports:
            if not has_word(statement, self._name):
                continue
            if family in _BY_NAME:
                return self._is_imported(statement)
            return self._is_only or any(map(partial(has_word, statement), known))
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

    def _is_imported(self, statement: str) -> bool:
        """Whether a statement imports from its module, or the only one from a folder around it."""
        match = _FROM.search(statement)
        if match is None:
            return self._is_only
        said = re.sub(r"\.[cm]?[jt]sx?$", "", match[1] or match[2])
        last = re.split(r"[./]" if self._home.family == "python" else "/", said)[-1].strip(".")
        folders = {"", "index", *self._folder.split("/")}
        return last == self._module or (self._is_only and last in folders)

    @property
    def _is_nested(self) -> bool:
        return bool(self.holder) and not self._extended

    def _is_member(self, name: Name, source: Source) -> bool:
        before = name.before
        if before is None:
            return source.family in _IMPLICIT and self._is_of_class(name.line, source, super_=False)
        before = before.lstrip("$@").strip()
        if before in SELF or before.startswith("super("):
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
                is_spread = source.family in _SPREAD and not source.has_member(cls, self._name)
                return is_spread and (source.family != "go" or self._is_near(source))
            if not super_ and source.has_member(cls, self._name):
                return False
            if definition is not None and self.holder in self._ancestors(definition, source):
                return self._is_here(source) or not source.has_class(self.holder)
            if super_ or source.family == "ruby":
                return False
        return False

    def _ancestors(self, definition: Definition, source: Source) -> set[str]:
        found = source.bases(definition)
        for _ in range(_GENERATIONS):
            for where in (source, self._home):
                for name in tuple(found):
                    for each in where.named.get(name, ()):
                        found |= where.bases(each) if each.kind == "class" else set()
        return found

    def _is_of_object(self, before: str, line: int, source: Source) -> bool:
        """Whether a value can be an object of the class: by its type, or else by its name."""
        if not self._is_here(source) and source.family not in _SPREAD:
            # A class of that name is another one.
            if source.has_class(self.holder):
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
            for each in where.named.get(self._name, ())
            if (other := where.holder(each)) != self._class
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
        # What begins with a capital and is called otherwise is another class or package.
        if others or self._extended or word[:1].isupper():
            return False
        return is_only and (self._is_rare or is_known)

    def _is_mentioned(self, source: Source) -> bool:
        return any(self._class in line and has_word(line, self._class) for line in source.lines)

    def _is_said(self, before: str, line: int, source: Source) -> bool | None:
        """Whether the code says that a value is of the class; None if it does not say."""
        if match := _ASSERTED.search(before):
            return match[1].rpartition(".")[2] == self._class
        bare = without_brackets(before).rstrip("?!").strip()
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
        lines = source.lines
        if function is not None and len(words) == 1:
            local = source.lines[function.head - 1 : function.end]
            if (said := self._is_declared(words[-1], local, source)) is not None:
                return said
            if source.family not in _IMPLICIT:
                # No field, which needs an object there, but it may be the file's.
                lines = [each for each in lines if not each[:1].isspace()]
        return self._is_declared(words[-1], lines, source)

    def _is_foreign(self, type_: str, source: Source) -> bool:
        """Whether a type of that name is of another package, in Go, or of other arity, in C#."""
        if source.family == "csharp" and self._above is not None:
            name = f"{self._class}<"
            head = self._head if self._extended else self._home.head(self._above)
            return (name in type_) != (name in head)
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

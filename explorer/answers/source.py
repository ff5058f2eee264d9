"""A file's lines and definitions, and what can be read off them: classes, bases, imports."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from explorer.definitions import Definition, outline
from explorer.definitions.languages import language_of

_FAMILIES: Final = {"typescript": "javascript", "tsx": "javascript", "c": "cpp"}
_COMPONENTS: Final = frozenset("vue svelte".split())
_INDEX: Final = frozenset("__init__ index mod lib main init".split())
"""Files that are imported by the name of their folder."""
_EXPORTS: Final = frozenset("exports prototype module".split())
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

    @cached_property
    def named(self) -> Mapping[str, Sequence[Definition]]:
        """Its definitions by their last name."""
        found: dict[str, list[Definition]] = {}
        for each in self.outline:
            found.setdefault(each.last_name, []).append(each)
        return found

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
        text = "\n".join(re.split(r"//|#(?!\[)", line[:500])[0] for line in lines)
        return text.partition("{")[0] if definition.kind != "function" else text

    def holder(self, definition: Definition) -> str:
        """The class that the definition is a member of; empty for none."""
        above = self.outline[definition.parent] if definition.parent >= 0 else None
        name = definition.name
        if above is not None and above.kind in ("value", "field"):
            # It is in an object or a table.
            return "" if above.last_name in _EXPORTS else above.last_name
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

    def has_class(self, name: str) -> bool:
        """Whether it defines a class of that name."""
        return any(each.kind == "class" for each in self.named.get(name, ()))

    def has_member(self, holder: str, name: str) -> bool:
        """Whether a class of it has a member of that name."""
        return any(
            self.holder(each) == holder and each.kind != "class"
            for each in self.named.get(name, ())
        )

    def bases(self, definition: Definition) -> set[str]:
        """What a class is derived from, and what is mixed into it."""
        text = self.head(definition)
        if self.family != "python":
            text = without_brackets(text)
        found = set(_WORD.findall(text))
        if self.family in ("ruby", "php"):
            for line in self.lines[definition.head : definition.own_end]:
                if match := _MIXED_IN.match(line):
                    found.update(_WORD.findall(match[1]))
        return found - _CLASS_WORDS - {definition.last_name}

    def bases_around(self, line: int) -> set[str]:
        """What the innermost class around a line is derived from."""
        definition = next((each for _, each in self.classes(line) if each is not None), None)
        return self.bases(definition) if definition is not None else set()


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


def family_of(path: str) -> str:
    """A file's language, of languages that use each other's names one; empty for none."""
    if path.rpartition(".")[2].lower() in _COMPONENTS:
        return "javascript"
    language = language_of(path)
    return _FAMILIES.get(language, language)


def module_of(path: str) -> str:
    """What other files call a file: its name, or that of its folder."""
    folder, _, file = path.rpartition("/")
    stem, _, suffix = file.rpartition(".")
    return folder.rpartition("/")[2] if suffix == "go" or stem in _INDEX else stem


def parts_of(name: str) -> list[str]:
    """The words of a name, in lower case."""
    return [part.lower() for part in _PART.findall(name)]


def last_word(before: str) -> str:
    """The last name of what stands before a dot, without arguments; empty for none."""
    match = _LAST.search(without_brackets(before).strip())
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


def without_brackets(text: str) -> str:
    """The text without what stands in brackets."""
    while (bare := _BRACKETED.sub("", text)) != text:
        text = bare
    return text


def has_word(text: str, word: str) -> bool:
    """Whether the text has the word as a whole."""
    return re.search(rf"(?<![\w$]){re.escape(word)}(?![\w$])", text) is not None

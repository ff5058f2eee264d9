"""The parts of files that are no programs: sections, keys, rules, statements, targets, cells.

Each is found line by line. A part has the name that a person would call it by.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

Part = tuple[str, int, int]
"""A name and the first and last line."""

_LARGE_LINES: Final = 12
"""A key with more lines than this has its own keys as parts, too."""
_DEEPEST: Final = 3

_HEADING: Final = re.compile(r"(#{1,6})\s+(.+?)\s*#*$")
_UNDERLINE: Final = re.compile(r"([=\-~^\"'`#*+])\1{2,}\s*$")


def markdown(lines: Sequence[str]) -> Iterator[Part]:
    """Sections under headings, named ``Title > Heading``; a section ends where the next begins."""
    heads: list[tuple[int, int, str]] = []
    fence = ""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        mark = re.match(r"(`{3,}|~{3,})", text)
        if mark and (not fence or text.startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and (match := _HEADING.match(line)):
            heads.append((number, len(match[1]), match[2]))
        elif not fence and number > 1 and text and _UNDERLINE.match(text):
            above = lines[number - 2].strip()
            if above and len(text) >= min(3, len(above)) and not above.startswith(("|", "-", ">")):
                level = "=-~^\"'`#*+".index(text[0]) + 1
                heads.append((number - 1, level, above))
    return _sections(heads, len(lines))


def _sections(heads: Sequence[tuple[int, int, str]], count: int) -> Iterator[Part]:
    above: list[tuple[int, str]] = []
    for index, (number, level, title) in enumerate(heads):
        end = heads[index + 1][0] - 1 if index + 1 < len(heads) else count
        above = [each for each in above if each[0] < level]
        name = " > ".join([*(text for _, text in above[-1:]), title])
        above.append((level, title))
        yield name, number, max(number, end)


_YAML_KEY: Final = re.compile(r"(\s*)(?:- )?([\"']?[\w.$/@*-][\w .$/@*-]*[\"']?)\s*:(?:\s|$)")
_ASSIGNED: Final = re.compile(r"\s*([\w.\"'-]+)\s*[=:]")
_TABLE: Final = re.compile(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}\s*(?:#.*)?$")


def yaml(lines: Sequence[str]) -> Iterator[Part]:
    """Keys with their values; those inside large ones as ``outer.inner``."""
    yield from _keys(lines, lambda line: _YAML_KEY.match(line))


_JSON_KEY: Final = re.compile(r"(\s*)(\"(?:[^\"\\]|\\.)*\")\s*:")


def json_keys(lines: Sequence[str]) -> Iterator[Part]:
    """Keys with their values, as in ``yaml``, of JSON that is written with line breaks."""
    yield from _keys(lines, lambda line: _JSON_KEY.match(line))


def _keys(lines: Sequence[str], key: Callable[[str], "re.Match[str] | None"]) -> Iterator[Part]:
    found: list[tuple[int, int, str]] = []
    indents = []
    for number, line in enumerate(lines, 1):
        indents.append(len(line) - len(line.lstrip()) if line.strip() else -1)
        if match := key(line):
            found.append((number, indents[-1], match[2].strip("\"'")))
    levels = sorted({indent for _, indent, _ in found})[:_DEEPEST]
    above: list[tuple[int, str, bool]] = []
    for number, indent, name in found:
        if indent not in levels:
            continue
        end = _deeper_until(lines, indents, number, indent)
        above = [each for each in above if each[0] < indent]
        if all(is_large for _, _, is_large in above):
            yield ".".join([*(each for _, each, _ in above), name]), number, end
        above.append((indent, name, end - number >= _LARGE_LINES))


def _deeper_until(lines: Sequence[str], indents: Sequence[int], number: int, indent: int) -> int:
    end = number
    for after in range(number + 1, len(indents) + 1):
        depth = indents[after - 1]
        text = lines[after - 1].lstrip()
        if 0 <= depth <= indent and not text.startswith(("}", "]", "- ", "-\n")):
            break
        if 0 <= depth < indent:
            break
        if depth >= 0:
            end = after
            if depth == indent and text.startswith(("}", "]")):
                break
    return end


def tables(lines: Sequence[str]) -> Iterator[Part]:
    """Tables of TOML and INI with their keys; keys of several lines as ``table.key``."""
    heads = [(n, match[1]) for n, line in enumerate(lines, 1) if (match := _TABLE.match(line))]
    first = heads[0][0] if heads else len(lines) + 1
    bounds = [*heads, (len(lines) + 1, "")]
    yield from _assigned(lines, 1, first - 1, "")
    for (number, name), (following, _) in zip(bounds, bounds[1:], strict=False):
        end = _last_text(lines, number, following - 1)
        yield name, number, end
        if end - number >= _LARGE_LINES:
            yield from _assigned(lines, number + 1, end, f"{name}.")


def _assigned(lines: Sequence[str], first: int, last: int, prefix: str) -> Iterator[Part]:
    starts = [
        (n, match[1].strip("\"'"))
        for n in range(first, last + 1)
        if (match := _ASSIGNED.match(lines[n - 1])) and not lines[n - 1][:1].isspace()
    ]
    for (number, name), (following, _) in zip(starts, [*starts[1:], (last + 1, "")], strict=False):
        yield prefix + name, number, _last_text(lines, number, following - 1)


def _last_text(lines: Sequence[str], first: int, last: int) -> int:
    """The last line that is neither blank nor a comment."""
    while last > first and (not (text := lines[last - 1].strip()) or text.startswith(("#", ";"))):
        last -= 1
    return last


_TARGET: Final = re.compile(r"([\w.%/$(){}-][\w .%/$(){}-]*?)\s*::?(?!=)(?:\s|$)")
_SET: Final = re.compile(r"(?:export\s+|override\s+)?([\w.-]+)\s*[:?+!]?=|define\s+([\w.-]+)")


def make(lines: Sequence[str]) -> Iterator[Part]:
    """Targets with their recipes, and variables."""
    for number, line in enumerate(lines, 1):
        if line[:1].isspace() or line.startswith("#"):
            continue
        match = _SET.match(line) or _TARGET.match(line)
        if match is None:
            continue
        end = number
        is_set = bool(_SET.match(line))
        while end < len(lines):
            goes_on = lines[end - 1].rstrip().endswith("\\")
            following = lines[end]
            if not goes_on and (is_set or not following.startswith("\t")):
                break
            end += 1
        yield (match[1] or match[2]), number, end


_SQL: Final = re.compile(
    r"\s*(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?:(?:TEMP|TEMPORARY|UNIQUE|GLOBAL|MATERIALIZED"
    r"|RECURSIVE|DEFINER\s*=\s*\S+)\s+)*(?:TABLE|VIEW|FUNCTION|PROCEDURE|TRIGGER|INDEX|TYPE|SCHEMA"
    r"|SEQUENCE|DATABASE|EXTENSION|POLICY|ROLE|DOMAIN)\s+(?:CONCURRENTLY\s+)?(?:IF\s+(?:NOT\s+)?EXISTS"
    r"\s+)?([\w.\"`\[\]-]+)",
    re.IGNORECASE,
)
_STATEMENT: Final = re.compile(
    r"\s*(SELECT|INSERT\s+INTO\s+\S+|UPDATE\s+\S+|DELETE\s+FROM\s+\S+|WITH\s+\w+|MERGE\s+INTO\s+\S+"
    r"|GRANT|--\s*name:\s*\S+)",
    re.IGNORECASE,
)
_DOLLAR: Final = re.compile(r"\$\w*\$")


def sql(lines: Sequence[str]) -> Iterator[Part]:
    """Statements; one that creates or alters something is called by its name."""
    start, name, quote = 0, "", ""
    for number, line in enumerate(lines, 1):
        if not start:
            if created := _SQL.match(line):
                start, name = number, created[1].strip('"`[]')
            elif other := _STATEMENT.match(line):
                start, name = number, " ".join(other[1].split())
        if not start:
            continue
        for mark in _DOLLAR.findall(line):
            quote = "" if mark == quote else quote or mark
        if not quote and line.split("--")[0].rstrip().endswith(";"):
            yield name, start, number
            start = 0
    if start:
        yield name, start, len(lines)


def styles(lines: Sequence[str]) -> Iterator[Part]:
    """Rules of CSS, SCSS and Less with what is nested in them, and mixins."""
    open_: list[tuple[int, str]] = []
    selector: list[str] = []
    begun = 0
    in_comment = False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if in_comment or text.startswith("/*"):
            in_comment = "*/" not in text
            continue
        if text.startswith("//") or not text:
            continue
        code = text.split("/*")[0]
        if "{" in code.replace("#{", ""):
            name = " ".join([*selector, code.rpartition("{")[0].strip()])
            open_.append((begun or number, " ".join(name.split())))
            selector, begun = [], 0
            surplus = code.count("{") - 1
            open_ += [(number, "")] * (surplus if surplus > 0 and "#{" not in code else 0)
        elif code.endswith(","):
            begun = begun or number
            selector.append(code)
        else:
            selector, begun = [], 0
        for _ in range(code.count("}") - code.count("#{")):
            if open_:
                start, name = open_.pop()
                if name:
                    yield name, start, number


_BLOCK: Final = re.compile(r"<(template|script|style|i18n|docs)\b([^>]*)>", re.IGNORECASE)
_TAGGED: Final = re.compile(
    r"\s*<(?:(h[1-6])[^>]*>([^<]{2,80})|(\w[\w-]*)[^>]*\bid\s*=\s*[\"']([\w:.-]+))", re.IGNORECASE
)


def blocks(lines: Sequence[str]) -> Iterator[tuple[str, str, int, int]]:
    """The outermost ``template``, ``script`` and ``style`` of a component.

    For each its tag, its attributes, and its first and last line.
    """
    at = 0
    while at < len(lines):
        match = _BLOCK.match(lines[at])
        if not match:
            at += 1
            continue
        closing = f"</{match[1].lower()}"
        end = next(
            (n for n in range(at, len(lines)) if lines[n].lower().startswith(closing)),
            at if closing in lines[at].lower() else len(lines) - 1,
        )
        yield match[1].lower(), match[2], at + 1, end + 1
        at = end + 1


def html(lines: Sequence[str]) -> Iterator[Part]:
    """Elements that have an id, and what follows each heading."""
    marks = []
    for number, line in enumerate(lines, 1):
        if match := _TAGGED.match(line[:500]):
            marks.append((number, 1, (match[2] or f"{match[3]}#{match[4]}").strip()))
    return ((name.rpartition(" > ")[2], a, b) for name, a, b in _sections(marks, len(lines)))


_CELL: Final = re.compile(r'\s*"cell_type"\s*:\s*"(\w+)"')
_SOURCE: Final = re.compile(r'(\s*)"source"\s*:\s*(\[)?')


def notebook(lines: Sequence[str]) -> Iterator[Part]:
    """The source of each cell, called by its first line."""
    for number, line in enumerate(lines, 1):
        match = _SOURCE.match(line)
        if match is None:
            continue
        indent, end = len(match[1]), number
        if match[2] and "]" not in line[match.end() :]:
            while end < len(lines) and not (
                lines[end].strip().startswith("]")
                and len(lines[end]) - len(lines[end].lstrip()) <= indent
            ):
                end += 1
            end += 1
        first = _string(lines[number]) if end > number and number < len(lines) else ""
        yield first.strip(" #\n")[:60] or f"cell at line {number}", number, min(end, len(lines))


def _string(line: str) -> str:
    try:
        value = json.loads(line.strip().rstrip(","))
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""


_READERS: Final = {
    "md markdown mdx rst adoc asciidoc mkd qmd": markdown,
    "yaml yml": yaml,
    "json jsonc json5 webmanifest": json_keys,
    "toml ini cfg conf properties editorconfig": tables,
    "mk mak": make,
    "sql ddl psql": sql,
    "css scss less sass pcss": styles,
    "html htm xhtml hbs handlebars mustache jinja jinja2 j2 twig ejs erb njk": html,
    "ipynb": notebook,
}
_READER_OF: Final = {
    suffix: reader for suffixes, reader in _READERS.items() for suffix in suffixes.split()
}
_NAMED: Final = {"makefile": make, "gnumakefile": make, "justfile": make}
COMPONENTS: Final = frozenset(("vue", "svelte", "astro"))


def reader_of(path: str) -> Callable[[Sequence[str]], Iterator[Part]] | None:
    """What finds the parts of a file with this path; None for a program, or what is unknown."""
    name = path.rpartition("/")[2].lower()
    return _NAMED.get(name) or _READER_OF.get(name.rpartition(".")[2] if "." in name else "")


def suffix_of(path: str) -> str:
    """The suffix in lower case, without its dot; empty for none."""
    name = path.rpartition("/")[2].lower()
    return name.rpartition(".")[2] if "." in name else ""

"""What a question has that stands in the code word for word: a route, an option, a target, a table.

None is a definition, but each has a place: the line that registers the route, that declares the
option of a command line, that begins the target of a Makefile or creates the table. A route may be
registered below a prefix, so its parts are looked for if the whole is nowhere.
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
"""From here on the lines found decide."""
_USED: Final = 0.8
"""How much less a line counts that does not register the route."""
_ASIDE: Final = 1.6
"""The same for a comment."""
_SHORTENED: Final = 0.4
"""How much less a route counts for each part of its beginning that is left out."""

_MOST_OUTSIDE_WORDS: Final = 4
_LOOK_S: Final = 1.0
_MAX_OUTPUT_BYTES: Final = 1 << 20
_MOST_LINES: Final = 200

_BEFORE_LINES: Final = 3
COMMENT: Final = re.compile(
    rb"\s*(?://|/\*|\*(?:[ /]|$)|#(?![\[{]|(?:define|error|warning)\b)|--|<!--|;|\"\"\"|''')"
)

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

_OPTION: Final = re.compile(
    r"(?<![\w-])--(?P<long>[a-z][\w.-]*\w)"
    # Not "to switch", nor "users switch the language".
    r"|\b(?!(?:an?|the|this|that|these|those|to|not|and|or|wh\w+|how|do|does|can|could|will|would"
    r"|should|must|may|i|it|we|you)\b)(?P<called>[a-z][a-z\d-]+)[\"'`]*"
    r" (?:(?:flag|switch)(?! (?:an?|the|this|that|these|those|their|them|its?|between|from|to|over"
    r"|off|on|back)\b)"
    r"|(?:command[- ]line|cli) option)\b",
    re.IGNORECASE,
)
_ABOUT_OPTIONS: Final = re.compile(
    r"(?i)\b(?:defin\w+|declar\w+|regist\w+|pars\w+|add\w*|document\w*|default)\b"
)
_DECLARES: Final = re.compile(
    rb"(?i)\b(?!has|get|is)\w*(?:flag|option|switch|argument)\w*|\b(?:arg|opts?|param)\b|long\b"
    rb"|\w*Var\w*\("
)
"""What a line has, or one just before it, that declares an option."""
_USES: Final = re.compile(
    rb"(?i)\b(?:has|get|is)_?\w*(?:flag|option|argument)\w*\(|\bassert|\btest_|#\[test\]|\bin\s+\w*argv"
    rb"|\bit\(|\brun\w*\(|\bexec\w*\(|subprocess|Command::"
)
"""The same for a line that asks whether it is given, or gives it."""
_NEGATED: Final = 0.4
"""How much less ``--color`` counts where ``--no-color`` is asked for."""
_TARGET: Final = re.compile(
    r"`(?P<tool>make|just|rake|npm run|yarn(?: run)?|pnpm(?: run)?|composer|tox -e|task) "
    r"(?P<ticked>[\w:.-]+)`"
    r"|(?:^|\b(?:does|is|of|for) )(?P<asked>make|just|rake|(?:npm|yarn|pnpm) run|tox -e) "
    r"(?P<said>[a-z][\w:.-]*\w)(?= do(?:es)?\b| work| mean|\s*\??$| (?:defined|declared|target))"
    r"|\b(?:(?P<kind>make(?:file)?|just|rake|npm|yarn|composer|tox) )?"
    r"(?:target|recipe|script|task) "
    r"[\"'`]?(?P<named>[a-z][\w:.-]*\w)[\"'`]?(?= (?:defined|declared|do|run)|\s*\??$)",
    re.IGNORECASE,
)
_TARGET_FILES: Final = (
    (
        r"make|task$|target",
        r"(?:^|/)(?:GNU)?[Mm]akefile(?:\.\w+)?$|\.mk$",
        r"^(?:[\w.%/-]+[ \t]+)*{name}(?:[ \t]+[\w.%/-]+)*[ \t]*::?(?:[^=]|$)",
    ),
    (r"just", r"(?:^|/)\.?[Jj]ustfile$|\.just$", r"^@?{name}(?: [^:=\n]*)?:(?:[^=]|$)"),
    (r"rake|task$", r"(?:^|/)[Rr]akefile$|\.rake$", r"\b(?:task|file) *\(?[:\"']?{name}\b"),
    (r"npm|yarn|pnpm", r"(?:^|/)package\.json$", r"^\s*\"{name}\"\s*:\s*\""),
    (r"composer", r"(?:^|/)composer\.json$", r"^\s*\"{name}\"\s*:\s*[\"\[]"),
    (r"tox", r"(?:^|/)(?:tox\.ini|setup\.cfg|pyproject\.toml)$", r"\[(?:testenv:|env\.){name}\]"),
    (r"task$", r"(?:^|/)[Tt]askfile\.ya?ml$", r"^ +{name}:"),
)
"""By the name of a tool the files that have its targets, and the line that begins one."""
_ANYTHING: Final = re.compile(rb"")
_MOST_TABLE_WORDS: Final = 8
_TABLE: Final = re.compile(r"\b(\w{3,})[\"'`]? table\b|\btable [\"'`]?(\w{3,})", re.IGNORECASE)
_CREATES: Final = (
    r"\bcreate\s+(?:\w+\s+)?table\s+(?:if\s+not\s+exists\s+)?[\"'`\[]*(?:\w+[\"'`\]]*\.[\"'`\[]*)?{name}\b"
    r"|\b(?:__tablename__|db_table|table_name|tableName)\s*[=:]\s*[\"']{name}[\"']"
    r"|\b(?:create_?table|op\.create_table|Schema::create|Table)\s*\(?\s*(?:name\s*=\s*)?[:\"']{name}\b"
)

_WITH_METHOD: Final = r"(?i)\b(?:{0}|{0}mapping|http{0})\b"


@dataclass(frozen=True, slots=True)
class Literal:
    """A text to be found word for word."""

    pattern: "re.Pattern[bytes]"
    level: float
    """How plainly a line has what is asked for that has it."""
    registers: "re.Pattern[bytes]"
    """What a line has, or one just before it, that is its place and no mention."""
    path: "re.Pattern[str] | None" = None
    """The paths of files that stand for it."""
    within: "re.Pattern[str] | None" = None
    """The paths of the only files that can have it."""
    uses: "re.Pattern[bytes] | None" = None
    """What a line has, or one just before it, that only uses it."""


def literals_of(query: Query) -> tuple[Literal, ...]:
    """What the question quotes, the plainest first; empty for a text of more than one line."""
    if not query.is_plain:
        return ()
    text = query.text
    return (*_routes(text), *_options(text), *_targets(text), *_tables(text))


def _options(text: str) -> list[Literal]:
    """The options of a command line that the question is about."""
    found: list[Literal] = []
    for match in _OPTION.finditer(text):
        name = match["long"] or match["called"]
        rest = len(text.replace(match[0], " ").split())
        if match["long"] and rest > _MOST_OUTSIDE_WORDS and not _ABOUT_OPTIONS.search(text):
            continue
        spelled = [(name, 0.0)]
        if name.startswith("no-"):
            spelled.append((name.removeprefix("no-"), _NEGATED))
        for each, less in spelled:
            dashed, snake = re.escape(each), re.escape(each.replace("-", "_"))
            found += [
                Literal(_bytes(pattern), level - less, _DECLARES, uses=_USES)
                for pattern, level in (
                    (rf"[\"'`]--{dashed}[\"'`= ,<|\[]", WHOLE),
                    (rf"[\"'`]{dashed}[\"'`|, ]", PART + 1.4),
                    (rf"\b{snake}\s*:[^:]", PART + 0.8),
                )
            ]
    return found


def _targets(text: str) -> list[Literal]:
    """The targets of Makefiles, scripts of packages and the like that the question is about."""
    found: list[Literal] = []
    for match in _TARGET.finditer(text):
        name = re.escape(match["ticked"] or match["said"] or match["named"])
        tool = (match["tool"] or match["asked"] or match["kind"] or "make").lower()
        for names, files, line in _TARGET_FILES:
            if re.match(names, tool):
                pattern = _bytes(line.format(name=name))
                found.append(Literal(pattern, WHOLE, _ANYTHING, within=re.compile(files)))
    return found


def _tables(text: str) -> list[Literal]:
    """The tables of a database that the question is about."""
    if len(text.split()) > _MOST_TABLE_WORDS:
        return []
    names = (next(filter(None, match.groups())) for match in _TABLE.finditer(text))
    return [
        Literal(_bytes(_CREATES.format(name=re.escape(name))), WHOLE, _ANYTHING) for name in names
    ]


def _bytes(pattern: str) -> "re.Pattern[bytes]":
    return re.compile(pattern.encode("utf-8", "replace"), re.IGNORECASE | re.MULTILINE)


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
    """How plainly the file has one of the texts, and its 1-based line; 0.0 and 0 if it has none."""
    best, where = 0.0, 0
    for each in literals:
        if each.within is not None and not each.within.search(path):
            continue
        if each.path is not None and each.path.search(path):
            return each.level, 1
        if each.level <= best:
            continue
        for count, match in enumerate(each.pattern.finditer(text)):
            if count == _MOST_LINES:
                break
            at = match.start()
            level = each.level - _aside(text, at, each.registers, each.uses)
            if level > best:
                best, where = level, text.count(b"\n", 0, at) + 1
    return best, where


def _aside(
    text: bytes, at: int, registers: "re.Pattern[bytes]", uses: "re.Pattern[bytes] | None"
) -> float:
    """How much less the text at an offset counts than one that raises or registers."""
    begin = text.rfind(b"\n", 0, at) + 1
    stop = text.find(b"\n", at)
    end = stop if stop >= 0 else len(text)
    if COMMENT.match(text[begin:at]):
        return _ASIDE
    if uses is not None:
        goes_on = not text[begin:at].strip()
        own = text.rfind(b"\n", 0, max(0, begin - 1)) + 1 if goes_on else begin
        if uses.search(text[own:end]):
            return _ASIDE
    for _ in range(_BEFORE_LINES):
        begin = text.rfind(b"\n", 0, max(0, begin - 1)) + 1
    return 0.0 if registers.search(text[begin:end]) else _USED

"""Names that a question asks for, and the lines that define them.

The index says which files may define a name, by its words; their text says whether one does, and
how plainly: a class or function of exactly that name more than a constant, a member or a key, and
those more than the same letters in another case.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_PART: Final = r"[^\W\d][\w$]*|[A-Za-z_$][\w$-]*"
_NAME: Final = rf"[@$.#]?(?:{_PART})(?:(?:::|->|[.#/\\])(?:{_PART}))*"
_KIND: Final = (
    r"(?:class|function|method|struct|trait|interface|enum|type|module|constant|variable|field"
    r"|option|setting|config(?:uration)? (?:key|option|setting|value|field)|key"
    r"|environment variable|env var|macro|property|attribute|hook|command|component|definition"
    r"|declaration|implementation|source|symbol)"
)
_ALONE: Final = re.compile(
    r"\s*(?i:(?:(?:where|what)(?:'s| is| are| does)|how (?:does|is)|find|show(?: me)?|open|go to"
    r"|locate|look up|(?P<asks>(?:which|what) (?:file|place|code|module) (?:defines|declares|sets"
    r"|reads|has)|(?:where|what) (?:is|are) the default(?: value)? (?:of|for)))\s+)?(?i:the )?"
    rf"(?i:{_KIND}(?: of| for)?\s+)?(?i:the )?(?i:{_KIND}\s+)?"
    rf"(?P<quote>[`'\"]*)(?P<name>{_NAME})(?P<call>[?!]?\([^()\n]{{0,40}}\)|[?!](?=\s+\w)|!(?=\s*$))?"
    r"(?P=quote)"
    rf"(?:\s+{_KIND})?\s*(?:(?:is |be )?(?:defined|declared|implemented|located|live|come from|do"
    r"|work|set|used|(?P<does>mean|control|read|registered|configured|documented|applied|checked"
    r"|enforced|evaluated|honou?red|respected)))?\s*[?.!]?\s*$"
)
"""A question about a name; with what is ``asks`` or ``does`` one about a word, unless it is code:
"where is logging configured?" asks for no definition of ``logging``."""
_CODE: Final = re.compile(
    rf"(?<!`)`{{1,3}}(?P<ticked>{_NAME})(?:\([^()\n`]{{0,60}}\))?`+|(?<![\w./:@-])(?P<plain>{_NAME})(?P<call>\(\)?)?"
)
_LOOKS_CODED: Final = re.compile(
    r"[a-z0-9][A-Z]|\w_\w|^_+[a-z]|^[A-Z]{2,}[\d_]|[A-Z]+[A-Z][a-z]|::|->|\w[.#]\w"
)
_SUFFIXED: Final = re.compile(
    r"\.(?:com|org|net|io|html?|md|txt|rst|json|ya?ml|toml|cfg|ini|lock)$"
)
_SEPARATOR: Final = re.compile(r"::|->|[.#/\\]")
_QUESTION_WORDS: Final = frozenset(
    "where what how why who when which find show is are the a an this that it and or of in".split()
)
MAX_NAMES: Final = 12


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a question has."""

    last: str
    """What is defined: ``method`` of ``Class.method``."""
    scope: tuple[str, ...]
    """What stands before it: classes, modules, packages."""
    alone: bool = False
    """True when the question is nothing but the name."""
    mark: str = ""
    """The ``!`` or ``?`` that the question has behind it; it may belong to the name."""


def names_in(text: str) -> tuple[Name, ...]:
    """The names in the text, in its order; one alone if the text is nothing but a name."""
    match = _ALONE.match(text) if len(text) < 200 else None
    if match and match["name"].lower() not in _QUESTION_WORDS:
        said = match["name"]
        coded = match["quote"] or match["call"] or said.isupper() or _LOOKS_CODED.search(said)
        if coded or not (match["asks"] or match["does"]):
            mark = (match["call"] or "")[:1].strip("(")
            return (_name(said, alone=True, mark=mark),)
    found: dict[tuple[str, tuple[str, ...]], Name] = {}
    for match in _CODE.finditer(text):
        said = match["ticked"] or match["plain"]
        coded = match["ticked"] or match["call"] == "()" or _LOOKS_CODED.search(said)
        if coded and not _SUFFIXED.search(said.lower()):
            each = _name(said)
            if len(each.last) > 1:
                found.setdefault((each.last, each.scope), each)
        if len(found) == MAX_NAMES:
            break
    return tuple(found.values())


def _name(said: str, *, alone: bool = False, mark: str = "") -> Name:
    *scope, last = [part for part in _SEPARATOR.split(said.lstrip("@.$#")) if part] or [said]
    return Name(last, tuple(scope), alone, mark)


TYPE, MODULE, VALUE, READ, KEY, FOLDED = 5.0, 4.5, 4.0, 3.8, 3.0, 2.0
"""How plainly a line defines a name: as a type or function, a value or member, an environment
variable that it reads, a key; or only in another case. A file of that name defines it as a
module."""
PROPERTY: Final = VALUE + 0.2
"""The same for a name of three parts or more that stands in a string as a whole."""
COMPOSED: Final = KEY + 0.5
"""The same for a name whose beginning is that of what encloses the line."""
_TAGGED: Final = 0.6
_FORWARD: Final = 2.5
EXTENDS: Final = 2.0
MOST_OCCURRENCES: Final = 300
"""The most places of a text where a name is looked at."""
_MOST_CUTS: Final = 2
_LEAST_REST: Final = 4
MOST_CHARS: Final = 240
"""The most that is looked at of a line before and behind a name."""
_COMMENTS: Final = (b"//", b"/*", b"* ", b"# ", b"--")
_GENERICS: Final = re.compile(rb"<[^<>]*>|\([^()]*\)")

_BEFORE_TYPE: Final = re.compile(
    rb"(?:^|[\s({;>])(?:class|struct|trait|interface|enum|union|type|module|protocol|actor|object"
    rb"|record|defmodule|defprotocol|namespace|mod|typealias|associatedtype|newtype)"
    rb"\s+(?:\w+(?:::|\.))*$"
)
_BEFORE_CALLABLE: Final = re.compile(
    rb"(?:^|[\s({;])(?:def|defp|defmacrop?|defguardp?|fn|func|fun|function\s*\*?|sub|proc"
    rb"|macro_rules!|macro|procedure)\s+(?:\w+(?:::|\.|:))*$"
)
_BEFORE_VALUE: Final = re.compile(
    rb"(?:^|\s)(?:#\s*define|const|let|var|val|static|my|our|global)\s+(?:mut\s+|\w+\s+)?$"
)
_BEFORE_EXTENDS: Final = re.compile(rb"^\s*(?:[\w@]+\s+)*(?:extension|impl|category)\s+$")
_BEFORE_OWN: Final = re.compile(rb"^(?:\s*(?:[\w]+(?:\.prototype)?\.|@)?|\s*(?:[\w.*&]+\s+)+\**)$")
_BEFORE_METHOD: Final = re.compile(
    rb"^\s*(?!(?:return|new|throw|else|await|if|while|for|yield|case|assert|and|or|not|in|raise|puts"
    rb"|print|echo|use|import|from|elif|when|do|try|goto|typedef)\b)(?:[\w:\[\],.?*&~@]+[\s*&]+)*"
    rb"(?:\w+::)*[*&]*$"
)
_BEFORE_C_TYPE: Final = re.compile(rb"(?:^|[\s({;])(?:struct|enum|union)\s+$")
_AFTER_C_TYPE: Final = re.compile(rb"\s*(?:[*&),]|[A-Za-z_]\w*\s*(?:[;,()=\[]|$))")
"""``struct pool *p`` or ``enum state next(void)`` names the type of something else."""
_AFTER_EXPORT: Final = re.compile(rb"\s+\w+\s*(?:[:{]|final\b|$)")
"""``class SHOP_EXPORT Cart {`` names a macro before the class."""
_AFTER_ASSIGNED: Final = re.compile(rb"\s*(?::[^=]{1,80})?(?:=(?![=>~])|:=)")
_AFTER_METHOD: Final = re.compile(rb"\s*\([^;]*$")
_OPENS: Final = re.compile(
    rb"(?:\{|,|\(|\)|=>?|:|->.*|where.*|const|override|noexcept|throws .*)\s*$"
)
_BEFORE_KEY: Final = re.compile(rb"(?:^|[\s({\[,])(?:-\s+)?(?:[\"']-{0,2}|:|\[)?$")
_AFTER_KEY: Final = re.compile(rb"[\"'\]]*\s*(?::(?!:)|=(?!=)|[\"'],)")
_BEFORE_READ: Final = re.compile(
    rb"(?i)(?:\b(?!\w*set_?env)\w*env(?:ironment|iron)?(?:_?(?:var|os))*(?:\.get|\.fetch|::var(?:_os)?)?)"
    rb"\s*[.(\[]+\s*[\"']?$"
)
"""What stands before the name of an environment variable where it is read."""
_BEFORE_TAG: Final = re.compile(
    rb"(?:\b(?:json|ya?ml|toml|mapstructure|envconfig|env|koanf|hcl|ini):|\b(?:rename|alias)\s*=\s*"
    rb"|@(?:JsonProperty|SerialName|SerializedName|JsonKey|Value)\()\"(?:\$\{)?(?:[\w-]+\.)*$"
)
"""What stands before a key of a configuration where a field of the code is given it."""
_BEFORE_DOTTED: Final = re.compile(rb"(?:[\w-]+\.){2,}$")
_FORWARDED: Final = re.compile(
    rb"^\s*(?:(?:export\s+)?(?:enum\s+)?(?:class|struct|enum|union)\s+[\w:]+\s*;|(?:pub\s+)?mod\s+\w+;"
    rb"|(?:friend|from|import|use|export\s*\{|#\s*include)\b)"
)


def defining_line(text: bytes, name: Name) -> tuple[float, int]:
    """How plainly the text defines the name, and its 1-based line; 0.0 and 0 if it does not."""
    last = name.last.encode("utf-8", "replace")
    best = _best(text, last)
    if name.scope and best[0] >= KEY:
        # Of two methods of that name, the one behind the head of its class.
        _, head = _best(text, name.scope[-1].encode("utf-8", "replace"))
        begin = 0
        for _ in range(head - 1):
            begin = text.find(b"\n", begin) + 1
        within = _best(text[begin:], last) if head else (0.0, 0)
        if within[0] >= best[0]:
            best = within[0], within[1] + head - 1
    if len(name.scope) > 1 and best[0] < PROPERTY:
        whole = re.escape(".".join((*name.scope, name.last)).encode("utf-8", "replace"))
        if match := re.search(rb"[(\[,=]\s*[\"'](?:\$\{)?" + whole + rb"[\"':}]", text):
            best = PROPERTY, text.count(b"\n", 0, match.start()) + 1
    if best[0] < VALUE and len(last) > 2:
        level, line = _best(text.lower(), last.lower())
        if min(level, FOLDED) > best[0]:
            best = min(level, FOLDED), line
    return best


def _best(text: bytes, name: bytes) -> tuple[float, int]:
    """The plainest definition of exactly the name, the first of equals."""
    best, where = 0.0, -1
    at = text.find(name)
    for _ in range(MOST_OCCURRENCES):
        if at < 0 or best == TYPE:
            break
        end = at + len(name)
        if not (is_word(text[at - 1 : at]) or is_word(text[end : end + 1])):
            begin = text.rfind(b"\n", 0, at) + 1
            stop = text.find(b"\n", end)
            line_end = stop if stop >= 0 else len(text)
            if at - begin <= MOST_CHARS:
                after = text[end : min(line_end, end + MOST_CHARS)]
                following = text[line_end + 1 : line_end + 80].lstrip()[:1]
                level = _plainness(text[begin:at], name, after, following)
                # What is read from the environment is no variable of that name.
                if {level, best} == {VALUE, READ}:
                    is_plainer = level == READ
                else:
                    is_plainer = level > best
                if is_plainer:
                    best, where = level, at
        at = text.find(name, end)
    return best, text.count(b"\n", 0, where) + 1 if where >= 0 else 0


def is_word(char: bytes) -> bool:
    """Whether a byte belongs to a name."""
    return char.isalnum() or char in (b"_", b"$") and bool(char)


def _plainness(before: bytes, name: bytes, after: bytes, following: bytes) -> float:
    """How plainly a line defines the name in it; ``following`` begins the next line."""
    if is_comment(before) or _FORWARDED.match(before + name + after):
        is_forward = bool(_BEFORE_TYPE.search(before)) and before.lstrip()[:1] not in b"/*#-"
        return _FORWARD if is_forward else 0.0
    if _BEFORE_TYPE.search(before):
        if _BEFORE_C_TYPE.search(before) and _AFTER_C_TYPE.match(after):
            return 0.0
        if name.isupper() and _AFTER_EXPORT.match(after):
            return 0.0
        # ``class X;`` declares; ``struct X<int>`` may be a special case of ``struct X``.
        if after.lstrip()[:1] == b";":
            return _FORWARD if b"class" in before else VALUE
        return TYPE - 0.1 * (after[:1] == b"<")
    plain = _GENERICS.sub(b"", before)
    if _BEFORE_CALLABLE.search(plain) or _BEFORE_CALLABLE.search(before):
        return TYPE
    if _BEFORE_TYPE.search(plain) or _BEFORE_VALUE.search(plain):
        return VALUE
    if _BEFORE_OWN.match(plain) and _AFTER_ASSIGNED.match(after):
        return VALUE
    if _AFTER_METHOD.match(after) and _BEFORE_METHOD.match(plain):
        if _OPENS.search(after) or following == b"{":
            return VALUE
    if before.strip() == b"}" and after.lstrip()[:1] in (b";", b","):
        return VALUE
    if before.lstrip().startswith(b"typedef") and after.lstrip()[:1] in (b";", b")"):
        return VALUE
    if _BEFORE_EXTENDS.match(plain):
        return EXTENDS
    if _BEFORE_TAG.search(before):
        return KEY + _TAGGED
    if _BEFORE_READ.search(before):
        return READ
    if _BEFORE_KEY.search(before) and _AFTER_KEY.match(after):
        # ``get("pool_size", 4)`` asks for a key as often as it sets one.
        return KEY - 0.4 * after.startswith((b'",', b"',"))
    if _BEFORE_DOTTED.match(before) and _AFTER_KEY.match(after):
        return KEY
    return 0.0


def composed_line(path: str, text: bytes, name: Name) -> tuple[float, int]:
    """The same for a name that the code puts together: ``worker_pool`` of ``pool`` in ``worker``.

    The rest of the name is defined in a block that its beginning opens, in a file of that name, or
    in one that has the beginning as a text of its own: ``env_prefix = "APP_"``.
    """
    parts = [part for part in re.split(r"[_.-]", name.last) if part]
    lower = text.lower()
    for cut in range(1, min(len(parts), _MOST_CUTS + 1)):
        first = "_".join(parts[:cut]).lower()
        last = "_".join(parts[cut:]).lower()
        is_in_path = first in re.split(r"[/._]", path.lower())
        if len(last) < _LEAST_REST or not (is_in_path or first.encode() in lower):
            continue
        level, line = _best(lower, last.encode("utf-8", "replace"))
        if level < KEY:
            continue
        quoted = re.compile(rb"[\"']" + re.escape(first.encode()) + rb"[_.-][\"']")
        if _encloses(lower, line, first.encode()):
            return COMPOSED, line
        if is_in_path or quoted.search(lower):
            return COMPOSED - 0.5, line
    return 0.0, 0


def _encloses(text: bytes, line: int, word: bytes) -> bool:
    """Whether a line that encloses the 1-based one, by its indentation, has the word."""
    lines = text.split(b"\n")[:line]
    least = len(lines[-1]) - len(lines[-1].lstrip())
    for each in reversed(lines[:-1]):
        indent = len(each) - len(each.lstrip())
        if each.strip() and indent < least:
            least = indent
            if re.search(rb"(?<!\w)" + re.escape(word) + rb"(?!\w)", each):
                return True
    return False


def within_scope(path: str, text: bytes, name: Name) -> float:
    """The share of the name's scope that the file is in or defines; 1 for a name without one."""
    if not name.scope:
        return 1.0
    folders = {part.lower() for part in re.split(r"[/.]", path)}
    held = 0
    for part in name.scope:
        plain = part.lower()
        if plain in folders or plain.replace("_", "") in {f.replace("_", "") for f in folders}:
            held += 1
        elif _best(text, part.encode("utf-8", "replace"))[0] >= VALUE:
            held += 1
    return held / len(name.scope)


def stem_is(path: str, names: Iterable[str]) -> bool:
    """Whether the file is called like one of the names, in any spelling."""
    stem = path.rpartition("/")[2].lstrip(".").partition(".")[0]
    plain = re.sub(r"[\W_]", "", stem).lower()
    return any(plain == re.sub(r"[\W_]", "", each).lower() for each in names)


def is_module(path: str, name: str) -> bool:
    """Whether the file is called exactly like the name."""
    return path.rpartition("/")[2].rpartition(".")[0] == name


def is_comment(line: bytes) -> bool:
    """Whether a line begins as comments do."""
    return line.lstrip()[:2] in _COMMENTS

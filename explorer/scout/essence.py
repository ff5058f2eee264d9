"""What an issue says, without what its form, its tracker and its machine add.

Headings of templates, hidden comments, ticked boxes, addresses of the web, printed environments and
long dumps are blanked; all other text stays where it was. They are hundreds of words, and rare
ones: whatever file prints versions would be found instead of the fault.
"""

import re
from typing import Final

_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_URL: Final = re.compile(r"\b(?:https?|ftp|git|ssh)://[^\s<>()\[\]\"'`]+|\bwww\.[^\s<>()\[\]\"'`]+")
_TAG: Final = re.compile(
    r"</?(?:details|summary|p|br|img|b|i|tt|pre|code|sub|h\d)\b[^>\n]{0,200}>", re.IGNORECASE
)
_BOX: Final = re.compile(r"^\s*[-*+] \[[ xX]\].*$", re.MULTILINE)
_HEADING: Final = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+(?P<hash>\S.{0,120}?)|\*\*(?P<bold>[^*\n]{2,120})\*\*[ :?]*"
    r"|(?P<label>[A-Z][\w' /-]{2,60}):)[ \t]*#*[ \t]*$"
)
_RULED: Final = re.compile(r"[ \t]*[-=~]{3,}[ \t]*$")
_WORD: Final = re.compile(r"[a-z]+(?:'[a-z]+)?")
_FORM_WORDS: Final = frozenset(
    """
    a about actual additional affected an and any anything applies are as attach behavior behaviour
    being bug bugs can check checklist checks code command commands complete configuration confirm
    confirmation context copy current currently dependencies describe description details did do
    document does else environment error example exact expect expected extensions extra feature
    first fix for found full goal happen happened happening happens have how i if in info
    information installed is issue it its know like link links list log logs mcve minimal more
    mvce need number of operating or os other our output paste pastable platform please possible
    problem project prerequisites python question related relevant repository reproduce reproducer
    reproducible reproducing reproduction request result results sample screenshot screenshots
    section self solution specs stack step steps suggested suggestion summary system tell template
    test tests that the this to tools trace traceback try up used using verifiable version versions
    want we what what's when where which why with would you you'd your
    """.split()
)
_MACHINE: Final = re.compile(
    r"\b(?:environment|versions?|system (?:info|information|details)|installed|platform|specs"
    r"|dependencies|extra tools|pip (?:list|freeze)|os)\b|\bshow_versions\b",
    re.IGNORECASE,
)
_PAIR: Final = re.compile(
    r"\s*[-*+|]?\s*[\w.\[\]/ ()-]{1,40}(?:\s*(?:==|>=|~=|[:=|])|\s{2,}|\s+v?(?=\d+\.))"
    r".{0,80}$|\[GCC .*\]\s*$"
)
_NUMBERED: Final = re.compile(r"(?:==|[:=|]|\s)\s*v?\d+(?:\.[\w+-]+)+|:\s*(?:None|Linux|Windows)\b")
_FENCE: Final = re.compile(r"^[ \t]*(```+|~~~+)")
_DATA: Final = re.compile(r"[\s\"'\w.,:;\[\]{}()+\-<>/|\\=*#]*$")
_OPENS: Final = re.compile(r"\s*[\[{]")
_LEAST_CHARS: Final = 200
"""A shorter text is a question, not an issue."""
_LIST_LINES: Final = 5
"""So many versions one below the other are a printed environment."""
_DUMP_LINES: Final = 12
_KEPT_LINES: Final = 4


def essence(text: str) -> str:
    """The text with what says nothing about the fault blanked, every line where it was."""
    text = _URL.sub(_blank, text.replace("\r", " "))
    if len(text) < _LEAST_CHARS:
        return text
    for pattern in (_COMMENT, _BOX):
        text = pattern.sub(_blank, text)
    lines = text.split("\n")
    kept = [True] * len(lines)
    _leave_machine(lines, kept)
    _leave_lists(lines, kept)
    _leave_dumps(lines, kept)
    kept[0] = True
    left = (line if keep else " " * len(line) for line, keep in zip(lines, kept, strict=True))
    return _TAG.sub(_blank, "\n".join(left))


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _heading(lines: list[str], number: int) -> str:
    """The heading that the line is; "" for another line."""
    if match := _HEADING.match(lines[number]):
        return next(each for each in match.groups() if each is not None)
    below = lines[number + 1] if number + 1 < len(lines) else ""
    line = lines[number].strip()
    return line if 2 < len(line) < 60 and _RULED.match(below) else ""


def _leave_machine(lines: list[str], kept: list[bool]) -> None:
    """Leave out headings of forms, and all below those about the machine."""
    fenced = aside = False
    for number, line in enumerate(lines):
        if _FENCE.match(line):
            fenced = not fenced
        said = "" if fenced else _heading(lines, number)
        if said:
            words = set(_WORD.findall(said.lower()))
            form = bool(words) and words <= _FORM_WORDS
            machine = bool(_MACHINE.search(said)) and len(words - _FORM_WORDS) <= 2
            aside = machine
            kept[number] = not (form or machine) and kept[number]
        elif aside:
            # A trace may stand below the versions; nothing else there tells of the fault.
            kept[number] = "Traceback" in line or 'File "' in line
            aside = "</details>" not in line


def _leave_lists(lines: list[str], kept: list[bool]) -> None:
    """Leave out versions that stand one below the other."""
    run: list[int] = []
    for number in range(len(lines) + 1):
        line = lines[number] if number < len(lines) else "."
        if not line.strip() or _PAIR.match(line):
            run += [number] if line.strip() else []
            continue
        if len(run) >= _LIST_LINES:
            numbered = sum(bool(_NUMBERED.search(lines[each])) for each in run)
            for each in run if 5 * numbered >= 2 * len(run) else ():
                kept[each] = False
        run = []


def _leave_dumps(lines: list[str], kept: list[bool]) -> None:
    """Of a long fenced dump of data leave only its first lines."""
    begin = -1
    for number, line in enumerate(lines):
        if not _FENCE.match(line):
            continue
        if begin < 0:
            begin = number
            continue
        inside = [each for each in lines[begin + 1 : number] if each.strip()]
        data = sum(bool(_OPENS.match(each) or each.strip()[-1:] in ",[{]}") for each in inside)
        if len(inside) > _DUMP_LINES and _OPENS.match(inside[0]) and 4 * data > 3 * len(inside):
            for each in range(begin + 1 + _KEPT_LINES, number):
                kept[each] = False
        begin = -1

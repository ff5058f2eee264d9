"""The checked arguments of the calls that the model writes.

Calls are read tolerantly where their meaning is certain. Accepted are tool names in any case, the
aliases below, dashes and camelCase, numbers and flags as strings, a list of the one string asked
for, a range of lines in one argument or behind the path, JSON encoded twice, and null for "left
out". Unknown arguments are ignored. One sentence says everything that is wrong with a call.
"""

import re
from collections.abc import Hashable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from explorer.lenient_json import parse
from explorer.records import ToolCall

OutputMode = Literal["content", "files_with_matches", "count"]

MAX_CONTEXT_LINES = 200


class ArgumentProblem(Exception):
    """A call that cannot be understood. ``str`` of it is the observation."""


def _quoted(value: object) -> str:
    text = repr(value).encode("ascii", "backslashreplace").decode("ascii")
    return text if len(text) <= 80 else text[:77] + "..."


def _text(value: object) -> object:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"must be one string, not {_quoted(value)}")
    if any("\ud800" <= char <= "\udfff" for char in value) or "\0" in value:
        raise ValueError("must be valid Unicode without NUL")
    return value


def _texts(value: object) -> object:
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(text for text in map(_text, values) if text)


def _number(value: object) -> object:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        return int(value.strip()) if isinstance(value, str) else int(value)
    except (ValueError, OverflowError):
        pass
    try:
        if isinstance(value, str) and float(value).is_integer():
            return int(float(value))
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"must be a number, not {_quoted(value)}")


_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}


def _flag(value: object) -> object:
    flag = _FLAGS.get(str(value).strip().casefold())
    if flag is None:
        raise ValueError(f"must be true or false, not {_quoted(value)}")
    return flag


_MODES = {
    "content": "content",
    "lines": "content",
    "matches": "content",
    "files_with_matches": "files_with_matches",
    "files": "files_with_matches",
    "paths": "files_with_matches",
    "count": "count",
    "counts": "count",
}


def _mode(value: object) -> object:
    mode = _MODES.get(str(_text(value)).strip().casefold().replace("-", "_"))
    if mode is None:
        raise ValueError(f"must be content, files_with_matches or count, not {_quoted(value)}")
    return mode


Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Number = Annotated[int, BeforeValidator(_number)]
Flag = Annotated[bool, BeforeValidator(_flag)]


class _Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


_DASH = r"[-\u2010-\u2015\u2212,~]|\.{2,3}|\bto\b"


def _range_of(dash: str, column: str) -> str:
    return (
        rf"L?(?P<start>\d{{1,9}})(?:{column})?"
        rf"(?:\s?(?:{dash})\s?(?:L?(?P<end>\d{{1,9}})(?:{column})?|end|-1)?)?"
    )


_LINES = re.compile(
    rf"\s?[\[(]?\s?(?:lines?\s)?{_range_of(f'{_DASH}|:', r'C[0-9]+')}\s?[\])]?\s?", re.IGNORECASE
)
_BEHIND = re.compile(
    r"(?:[:#]|[\s,]{0,4}[(\[]?\s?lines?[\s:]{1,4}|\s?[(\[])\s?"
    rf"{_range_of(_DASH, r'(?:C|:)[0-9]+')}\s?[\])]?$",
    re.IGNORECASE,
)
"""A range of lines behind a path; ``:4:6`` is a line and a column, as compilers write them."""
_BEHIND_CHARS = 60


class ReadArguments(_Arguments):
    """Arguments of Read."""

    path: Text
    offset: Number = 1
    """1-based; less than 1 means 1."""
    limit: Number | None = None
    """Lines; less than 1 means that the model sets no limit."""
    end: Number | None = None
    """The last line. It is not in the schema, but some calls give a range this way."""

    def placed(self) -> "list[ReadArguments]":
        """The ways to read the end of the path as lines, the shortest path first; often none."""
        path = self.path.strip().strip("\"'`<>")
        cut = max(1, len(path) - _BEHIND_CHARS)
        places = (_BEHIND.match(path, at) for at in range(cut, len(path)))
        return [self._at(path[: place.start()], place) for place in places if place]

    def _at(self, path: str, place: re.Match[str]) -> "ReadArguments":
        if self.model_fields_set & {"offset", "limit", "end"}:
            return self.model_copy(update={"path": path})
        first, last = _ordered(place)
        return ReadArguments(path=path, offset=first, end=last)


def _ordered(match: re.Match[str]) -> tuple[int, int | None]:
    """The first and the last line of a range; None for one that goes on to the end."""
    first = int(match["start"])
    if match["end"] is None:
        return first, None
    return min(first, int(match["end"])), max(first, int(match["end"]))


def _with_range(named: dict[str, Any]) -> dict[str, Any]:
    """Read's arguments, a range of lines that came as one argument taken apart."""
    value = named.pop("lines", None)
    if value is None or "offset" in named or "end" in named:
        return named
    if isinstance(value, Mapping):
        return _renamed("Read", value) | named
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    match = _LINES.fullmatch(text)
    if match is None or text.strip("[( )]").isdigit():
        raise ArgumentProblem(f"Read: lines must be a range such as 10-20, not {_quoted(value)}.")
    first, last = _ordered(match)
    return named | {"offset": first, "end": last}


class GlobArguments(_Arguments):
    """Arguments of Glob."""

    pattern: Texts = Field(min_length=1)
    directory: Text = ""


class GrepArguments(_Arguments):
    """Arguments of Grep. Without an output mode the lines are shown."""

    pattern: Text = Field(min_length=1)
    path: Text = ""
    glob: Texts = ()
    output_mode: Annotated[OutputMode, BeforeValidator(_mode)] = "content"
    after: Number = Field(0, alias="-A")
    before: Number = Field(0, alias="-B")
    context: Number = Field(0, alias="-C")
    numbers: Flag = Field(True, alias="-n")
    ignore_case: Flag = Field(False, alias="-i")
    type: Text = ""
    head_limit: Number = 0
    """Lines or entries; less than 1 means that the model sets no limit."""
    multiline: Flag = False

    def context_lines(self) -> tuple[int, int]:
        """Lines before and after each match; ``-A`` and ``-B`` win over ``-C``, as in rg."""
        before = self.before or self.context
        after = self.after or self.context
        return _clamped(before), _clamped(after)


def _clamped(lines: int) -> int:
    return max(0, min(lines, MAX_CONTEXT_LINES))


Arguments = ReadArguments | GlobArguments | GrepArguments

_TOOLS: Mapping[str, type[Arguments]] = {
    "Read": ReadArguments,
    "Glob": GlobArguments,
    "Grep": GrepArguments,
}
_NAMES = {"read": "Read", "readfile": "Read", "glob": "Glob", "grep": "Grep", "ripgrep": "Grep"}

_PATH = ("path", "file_path", "filepath", "file", "filename", "absolute_path", "target_file")
_DIRECTORY = ("directory", "path", "dir", "folder", "root", "cwd", "directory_path", "dir_path")
_ALIASES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Read": {
        "path": _PATH,
        "offset": ("offset", "start", "start_line", "line", "from", "line_start"),
        "limit": ("limit", "num_lines", "line_count", "count", "max_lines", "length"),
        "end": ("end", "end_line", "to", "line_end"),
        "lines": ("lines", "view_range", "range", "line_range", "lines_range", "line_numbers"),
    },
    "Glob": {
        "pattern": ("pattern", "glob", "query", "glob_pattern", "file_pattern", "patterns"),
        "directory": _DIRECTORY,
    },
    "Grep": {
        "pattern": ("pattern", "query", "regex", "regexp", "search", "search_pattern"),
        "path": (*_PATH, *(name for name in _DIRECTORY if name != "path")),
        "glob": ("glob", "include", "file_pattern", "glob_pattern", "globs"),
        "output_mode": ("output_mode", "mode", "output"),
        "-A": ("-A", "A", "after", "after_context", "lines_after"),
        "-B": ("-B", "B", "before", "before_context", "lines_before"),
        "-C": ("-C", "C", "context", "context_lines"),
        "-n": ("-n", "n", "line_numbers", "line_number"),
        "-i": ("-i", "i", "ignore_case", "case_insensitive"),
        "type": ("type", "file_type", "filetype"),
        "head_limit": ("head_limit", "limit", "max_results", "max_count", "head"),
        "multiline": ("multiline", "multi_line"),
    },
}


def proper_name(written: str) -> str | None:
    """The name of the tool that is meant; None if there is none of that name."""
    return _NAMES.get(re.sub(r"[\s_-]", "", written).casefold().removeprefix("functions."))


def parse_call(call: ToolCall) -> tuple[str, Arguments]:
    """The tool's proper name and the checked arguments.

    Raises:
        ArgumentProblem: the tool is unknown, the arguments are not a JSON object, or one of them
            has the wrong type.
    """
    name = proper_name(call.name)
    if name is None:
        raise ArgumentProblem(f"There is no tool {_quoted(call.name)}; use Read, Glob or Grep.")
    named = _renamed(name, _object(name, call.arguments))
    if name == "Read":
        named = {key: value for key, value in _with_range(named).items() if value is not None}
    try:
        return name, _TOOLS[name].model_validate(named)
    except ValidationError as error:
        problems = "; ".join(_problem(one) for one in error.errors(include_url=False))
        raise ArgumentProblem(f"{name}: {problems}.") from None


def canonical_key(call: ToolCall) -> Hashable | None:
    """A key that is equal for calls that mean the same; None for one that cannot be understood."""
    try:
        name, arguments = parse_call(call)
    except ArgumentProblem:
        return None
    values = arguments.model_dump()
    for key in ("path", "directory"):
        if key in values:
            values[key] = _plain_path(values[key])
    return name, tuple(values.items())


def _plain_path(text: str) -> str:
    stripped = text.strip()
    plain = "/".join(part for part in stripped.split("/") if part not in ("", "."))
    return "/" + plain if stripped.startswith("/") and plain else plain


def _object(name: str, text: str) -> Mapping[str, Any]:
    try:
        value = parse(text) if text.strip() else {}
        if isinstance(value, str):
            value = parse(value)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ArgumentProblem(f"{name}: the arguments are not valid JSON: {reason}.") from None
    except RecursionError:
        raise ArgumentProblem(f"{name}: the arguments are nested too deeply.") from None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and len(value) == 1:
        ((key, inner),) = value.items()
        if key in ("arguments", "parameters", "input") and isinstance(inner, dict):
            value = inner
    if not isinstance(value, dict):
        raise ArgumentProblem(f"{name}: the arguments must be a JSON object.")
    return value


def _renamed(tool: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under their proper names, which win over aliases; null is left out."""
    present = {key: value for key, value in given.items() if value is not None}
    plain = {_plain_key(key): value for key, value in reversed(present.items())}
    named: dict[str, Any] = {}
    for field, aliases in _ALIASES[tool].items():
        for alias in aliases:
            if alias in present or alias in plain:
                named[field] = present[alias] if alias in present else plain[alias]
                break
    return named


def _plain_key(key: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key.strip())
    if len(snake.strip("-")) == 1:
        return snake  # -A and -a differ.
    return snake.strip("-_ ").replace("-", "_").replace(" ", "_").casefold()


def _problem(error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else "arguments"
    if error["type"] == "missing":
        return f"{field} is missing"
    if error["type"] in ("string_too_short", "too_short"):
        return f"{field} must not be empty"
    context = error.get("ctx", {}).get("error")
    return f"{field} {context if context is not None else error['msg']}"

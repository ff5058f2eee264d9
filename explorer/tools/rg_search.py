"""The rg command of a Grep, and its output, parsed while it streams.

Paths end with NUL (``-0``), so no file name can imitate other output. The output for a file that is
not wanted is dropped as it passes and takes no memory.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from explorer.repository.paths import shown
from explorer.tools.arguments import GrepArguments, OutputMode
from explorer.tools.glob import name_glob
from explorer.tools.observation import ToolLimits

MAX_PATTERN_CHARS = 2_000

_MAX_FILE = "64M"
"""Larger files are left out of a search through directories: rg holds a whole line in memory."""
_MAX_FILE_FRUGAL = "2M"
"""Small enough for every thread of rg to hold one in memory."""
_MAX_FILE_MULTILINE = "16M"
"""With --multiline rg holds the whole file."""
_LONGEST_TOKEN_CHARS = 300
"""So much more of a line is asked for than is shown, as half a token is not known for a secret."""
_REGEX_LIMITS = ("--regex-size-limit=20M", "--dfa-size-limit=20M")
_MODEL_TYPE = "fastcontextmodel"

_UNBALANCED = (
    "unclosed",
    "unopened",
    "repetition operator missing expression",
    "repetition quantifier expects a valid decimal",
    "unexpected end of input",
    "incomplete escape sequence",
    "unrecognized escape sequence",
    "invalid repetition count range",
)


@dataclass(frozen=True, slots=True)
class RgCommand:
    """Everything that an rg command depends on, except for the directory it runs in."""

    pattern: str
    mode: OutputMode
    before: int
    after: int
    ignore_case: bool
    multiline: bool
    rules: tuple[str, ...]
    target: str
    """``./`` or, for one file, ``./name``."""
    line_chars: int
    fixed: bool = False
    in_order: bool = False
    file_type: str = ""
    frugal: bool = False
    """Whether only small files are searched, because rg ran out of memory."""
    name_globs: tuple[str, ...] = ()
    """Globs for file names; files with other names cannot be wanted."""
    notes: tuple[str, ...] = ()
    """What was changed because rg had refused a command."""
    ignored: bytes = b""
    """The ignore file that rg reads on its standard input."""

    def args(self) -> list[str]:
        """The options of rg; the pattern behind ``-e``, the path behind ``--``."""
        return [
            *self.rules,
            *_REGEX_LIMITS,
            "--color=never",
            "--no-messages",
            "--null",
            "--with-filename",
            *_MODE_ARGS[self.mode],
            *self._content_args(),
            *(["--fixed-strings"] if self.fixed else ["--crlf"]),
            *(["--ignore-case"] if self.ignore_case else []),
            *(["--multiline", "--multiline-dotall"] if self.multiline else []),
            *(["--sort=path"] if self.in_order else []),
            *self._file_args(),
            "-e",
            self.pattern,
            "--",
            self.target,
        ]

    def _content_args(self) -> list[str]:
        if self.mode != "content":
            return []
        args = [f"--max-columns={self.line_chars}", "--max-columns-preview"]
        if self.before:
            args.append(f"--before-context={self.before}")
        if self.after:
            args.append(f"--after-context={self.after}")
        return args

    def _file_args(self) -> list[str]:
        args = []
        if self.target != "./":
            args.append("--text")  # It was probed: NUL bytes further down do not end the search.
            args.append("--no-mmap")  # The memory that rg may use is less than a file can have.
        if self.frugal:
            args.append(f"--max-filesize={_MAX_FILE_FRUGAL}")
        elif self.multiline:
            args.append(f"--max-filesize={_MAX_FILE_MULTILINE}")
        elif self.target == "./":
            args.append(f"--max-filesize={_MAX_FILE}")
        if self.file_type:
            args.append(f"--type={self.file_type}")
        # Unlike a --glob, a type brings back nothing that is ignored; the overrides among the
        # rules keep out what is hidden by name.
        args += [f"--type-add={_MODEL_TYPE}:{glob}" for glob in self.name_globs]
        if self.name_globs:
            args.append(f"--type={_MODEL_TYPE}")
        return args


_MODE_ARGS: dict[OutputMode, tuple[str, ...]] = {
    "content": ("--heading", "--line-number"),
    "files_with_matches": ("--files-with-matches",),
    "count": ("--count",),
}


def command_for(
    arguments: GrepArguments,
    globs: Sequence[str],
    rules: tuple[str, ...],
    limits: ToolLimits,
    file: str = "",
    ignored: bytes = b"",
) -> RgCommand:
    """The first command for a search through directories or, if it is named, one file."""
    before, after = arguments.context_lines()
    file_type = arguments.type.strip().lstrip("*.").casefold()
    names = [name_glob(one) for one in globs]
    # Two --type options widen a search, so names narrow it only where the model gives no type.
    narrow = not file_type and bool(names) and None not in names
    return RgCommand(
        pattern=arguments.pattern,
        mode=arguments.output_mode,
        before=before,
        after=after,
        ignore_case=arguments.ignore_case,
        multiline=arguments.multiline,
        rules=rules,
        target=f"./{file}",
        line_chars=limits.grep_line_chars + _LONGEST_TOKEN_CHARS,
        file_type=file_type,
        name_globs=tuple(name for name in names if name) if narrow else (),
        ignored=ignored,
    )


def repaired(command: RgCommand, stderr: str) -> RgCommand | None:
    """A command that means the same and that rg may accept; None when there is none.

    A newline in the pattern turns on multiline; an unknown type is taken as a file extension; a
    pattern that is no regular expression because of its brackets or the like is searched as text.
    """
    if '"\\n" is not allowed' in stderr and not command.multiline:
        return replace(command, multiline=True)
    if "unrecognized file type" in stderr and re.fullmatch(r"[\w+#-]+", command.file_type):
        name = f"*.{command.file_type}"
        return replace(command, file_type="", name_globs=(name,))
    reason = regex_error(stderr)
    if not command.fixed and reason.startswith(_UNBALANCED):
        pattern = shown(command.pattern)
        note = f"({pattern} is not a regular expression: {reason}; searched for as text)"
        return replace(command, fixed=True, notes=(*command.notes, note))
    return None


def frugal(command: RgCommand) -> RgCommand | None:
    """A command that needs little memory, for rg ran out of it; None when there is none."""
    if command.frugal or command.target != "./":
        return None
    note = f"(ripgrep ran out of memory: files larger than {_MAX_FILE_FRUGAL}iB were left out)"
    return replace(command, frugal=True, notes=(*command.notes, note))


def regex_error(stderr: str) -> str:
    """Why rg refused the pattern, on one line; empty when it gave no reason."""
    found = re.search(r"^error: (.+)$", stderr, re.MULTILINE)
    if found:
        return found[1].strip()
    first = stderr.strip().split("\n", 1)[0]
    return first.removeprefix("rg: ").strip()


_ROW = re.compile(rb"(\d+)([:-])(.*)", re.DOTALL)
_ROW_START = re.compile(rb"^\d+[:-]", re.MULTILINE)
_OMITTED = re.compile(rb" \[\.\.\. (?:omitted end of long line|\d+ more match(?:es)?)\]$")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a file as rg printed it."""

    number: int
    """0 for the gap between two groups of lines."""
    is_match: bool
    text: str
    """Without the line end; ``...`` stands for what was cut at its end."""


GAP = Row(0, False, "--")

# What ends a file's part: an empty line, the end of the only line, or nothing. With --crlf rg ends
# most of the lines that it adds itself with \r\n, but not all.
_PART_ENDS: dict[OutputMode, re.Pattern[bytes]] = {
    "content": re.compile(rb"\n\r?\n"),
    "count": re.compile(rb"\r?\n"),
    "files_with_matches": re.compile(rb""),
}


class Collector:
    """A sink for rg that keeps each wanted file's part of the output."""

    def __init__(
        self, mode: OutputMode, wanted: Callable[[bytes], str | None], max_bytes: int
    ) -> None:
        """``wanted`` gives the path under which to keep a file that rg names, or None."""
        self.parts: dict[str, bytes] = {}
        """By path: the rows (content), nothing (files), or the number (count)."""
        self.full = False
        """True once there was more than ``max_bytes`` to keep."""
        self._wanted = wanted
        self._max_bytes = max_bytes
        self._end = _PART_ENDS[mode]
        self._buffer = bytearray()
        self._kept_bytes = 0
        self._in_part = False
        self._path: str | None = None
        self._searched = 0

    def __call__(self, chunk: bytes) -> bool:
        """Take a chunk; False when enough is kept."""
        self._buffer += chunk
        while self._take_path() and self._take_part():
            pass
        self.full = self._kept_bytes + len(self._buffer) > self._max_bytes
        return not self.full

    def close(self) -> None:
        """Keep the last part, which only the end of rg's output ends."""
        if self._in_part and self._path is not None:
            complete = len(self._buffer)
            if self.full:  # It was cut anywhere: keep up to the last whole line.
                complete = self._buffer.rfind(b"\n")
            if complete > 0:
                self.parts[self._path] = bytes(self._buffer[:complete]).rstrip(b"\r\n")
        self._buffer.clear()
        self._in_part = False

    def _take_path(self) -> bool:
        if self._in_part:
            return True
        end = self._buffer.find(b"\0", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            return False
        self._path = self._wanted(bytes(self._buffer[:end]))
        del self._buffer[: end + 1]
        self._in_part, self._searched = True, 0
        return True

    def _take_part(self) -> bool:
        found = self._end.search(self._buffer, self._searched)
        if found is None:
            if self._path is None:  # Not wanted: keep only what may begin the part's end.
                del self._buffer[:-2]
            self._searched = max(0, len(self._buffer) - 2)
            return False
        start, end = found.span()
        del found  # While it holds the buffer, that cannot shrink.
        if self._path is not None:
            self.parts[self._path] = bytes(self._buffer[:start])
            self._kept_bytes += start + len(self._path)
        del self._buffer[:end]
        self._in_part, self._searched = False, 0
        return True


def rows_of(part: bytes) -> Iterator[Row]:
    """The rows of a file's part, in order, without rg's remark about binary data further down."""
    position = 0
    while position <= len(part):
        end = part.find(b"\n", position)
        end = len(part) if end < 0 else end
        line = part[position:end]
        position = end + 1
        found = _ROW.match(line)
        if found:
            raw = _OMITTED.sub(b"...", found[3].removesuffix(b"\r"))
            text = raw.decode("utf-8", "replace").replace("\0", "\ufffd")
            yield Row(int(found[1]), found[2] == b":", text)
        elif line in (b"--", b"--\r"):
            yield GAP


def count_rows(part: bytes) -> int:
    """How many rows a file's part has, gaps not counted."""
    return len(_ROW_START.findall(part))


def order_of(path: str) -> str:
    """A sort key that orders paths as ``rg --sort path`` does: part by part."""
    return path.replace("/", "\0")

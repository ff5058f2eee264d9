"""The rg command of a Grep, and what to change when rg refuses it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from explorer.repository.paths import shown
from explorer.tools.arguments import GrepArguments, OutputMode
from explorer.tools.globs import name_glob
from explorer.tools.limits import ToolLimits

MAX_PATTERN_CHARS = 2_000

_MAX_FILE = "64M"
"""Larger files are left out of a search through directories: rg holds a whole line in memory."""
_MAX_FILE_MULTILINE = "16M"
"""With --multiline rg holds the whole file."""
_REGEX_LIMITS = ("--regex-size-limit=20M", "--dfa-size-limit=50M")
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
class Plan:
    """Everything that decides an rg command but for the directory it runs in."""

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
    name_globs: tuple[str, ...] = ()
    """Files with other names cannot be wanted."""
    notes: tuple[str, ...] = ()
    """What was changed after rg refused the plan before."""

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
            args.append("--text")  # It was looked at: NUL bytes far behind do not end the search.
        if self.multiline:
            args.append(f"--max-filesize={_MAX_FILE_MULTILINE}")
        elif self.target == "./":
            args.append(f"--max-filesize={_MAX_FILE}")
        if self.file_type:
            args.append(f"--type={self.file_type}")
        # A type cannot bring back what is ignored, as a --glob would; what is hidden by name is
        # held back by the overrides among the rules.
        args += [f"--type-add={_MODEL_TYPE}:{glob}" for glob in self.name_globs]
        if self.name_globs:
            args.append(f"--type={_MODEL_TYPE}")
        return args


_MODE_ARGS: dict[OutputMode, tuple[str, ...]] = {
    "content": ("--heading", "--line-number"),
    "files_with_matches": ("--files-with-matches",),
    "count": ("--count",),
}


def plan_for(
    arguments: GrepArguments, globs: Sequence[str], rules: tuple[str, ...], limits: ToolLimits
) -> Plan:
    """The first plan for a search through directories."""
    before, after = arguments.context_lines()
    file_type = arguments.type.strip().lstrip("*.").casefold()
    names = [name_glob(one) for one in globs]
    # Two --type options widen a search, so names narrow it only where the model gives no type.
    narrow = not file_type and bool(names) and None not in names
    return Plan(
        pattern=arguments.pattern,
        mode=arguments.output_mode,
        before=before,
        after=after,
        ignore_case=arguments.ignore_case,
        multiline=arguments.multiline,
        rules=rules,
        target="./",
        line_chars=limits.grep_line_chars,
        file_type=file_type,
        name_globs=tuple(name for name in names if name) if narrow else (),
    )


def repaired(plan: Plan, stderr: str) -> Plan | None:
    """A plan that means the same and that rg may accept; None when there is none.

    A newline in the pattern turns multiline on; an unknown type is taken as an extension; a pattern
    that only fails to be a regular expression by its brackets or the like is searched as text.
    """
    if '"\\n" is not allowed' in stderr and not plan.multiline:
        return replace(plan, multiline=True)
    if "unrecognized file type" in stderr and re.fullmatch(r"[\w+#-]+", plan.file_type):
        name = f"*.{plan.file_type}"
        return replace(plan, file_type="", name_globs=(name,))
    reason = regex_error(stderr)
    if not plan.fixed and reason.startswith(_UNBALANCED):
        note = (
            f"({shown(plan.pattern)} is not a regular expression: {reason}; searched for as text)"
        )
        return replace(plan, fixed=True, notes=(*plan.notes, note))
    return None


def regex_error(stderr: str) -> str:
    """The reason why rg refused the pattern, on one line; empty when it gave none."""
    found = re.search(r"^error: (.+)$", stderr, re.MULTILINE)
    if found:
        return found[1].strip()
    first = stderr.strip().split("\n", 1)[0]
    return first.removeprefix("rg: ").strip()

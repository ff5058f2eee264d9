"""Opens a place in the user's editor, at its line."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.errors import ServerError, UsageError

_FORMS: Final = {
    ("+{line}", "{file}"): (
        "ed ex vi view vim nvim gvim mvim emacs emacsclient nano pico micro kak joe mg ne jed gedit"
    ),
    ("--goto", "{file}:{line}"): "code codium vscodium cursor windsurf positron antigravity kiro",
    ("--line", "{line}", "{file}"): (
        "idea pycharm webstorm goland clion rubymine phpstorm rider rustrover kate mate"
    ),
    ("{file}:{line}",): "subl sublime zed zeditor hx helix atom",
}
"""What each form of arguments opens, by the first letters of the program's name."""
_ARGUMENTS: Final = {name: form for form, names in _FORMS.items() for name in names.split()}


class EditorFailed(ServerError):
    """The editor could not be started, or says that it failed."""


@dataclass(frozen=True, slots=True)
class Editor:
    """The editor that the user's environment names."""

    command: tuple[str, ...]
    """The program by its path, and the arguments that the user gives it."""

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Editor":
        """The one that ``VISUAL``, or else ``EDITOR``, names.

        Raises:
            UsageError: neither does, or there is no such program.
        """
        name = next((each for each in ("VISUAL", "EDITOR") if variables.get(each, "").strip()), "")
        if not name:
            hint = 'name your editor, such as: export VISUAL="code --wait", or EDITOR=vim'
            raise UsageError("neither VISUAL nor EDITOR names an editor", hint)
        try:
            words = shlex.split(variables[name])
        except ValueError as error:
            hint = "quote it as in a shell"
            raise UsageError(f"{name} is {variables[name]!r}: {error}", hint) from None
        program = shutil.which(words[0], path=variables.get("PATH")) if words else None
        if program is None:
            hint = f"correct {name}, or install the editor"
            raise UsageError(f"{name} is {variables[name]!r}, which is not found", hint)
        return cls((program, *words[1:]))

    def arguments(self, file: Path, line: int) -> list[str]:
        """The whole command that opens the file at the line; at its top in an unknown editor.

        An editor is known by the first letters of its name: ``vim.basic``, ``code-insiders``,
        ``idea64`` and ``emacs-30`` too.
        """
        letters = re.match("[a-z]*", Path(self.command[0]).name.lower())
        form = _ARGUMENTS.get(letters[0] if letters else "", ("{file}",))
        return [*self.command, *(each.format(file=file, line=line) for each in form)]

    def open(self, file: Path, line: int) -> None:
        """Run the editor until it ends, or until it has passed the file to its window.

        Raises:
            EditorFailed: it does not start, or its exit status is not 0.
        """
        command = self.arguments(file, line)
        shown = shlex.join(command)
        try:
            status = subprocess.run(command, check=False).returncode
        except OSError as error:
            problem = f"{shown} does not start: {error.strerror}"
            raise EditorFailed(problem, "correct VISUAL or EDITOR") from None
        if status:
            raise EditorFailed(f"{shown} ended with status {status}", "see what the editor says")


def editor_of_user() -> Editor:
    """The editor of this process's user.

    Raises:
        UsageError: as in ``Editor.of``.
    """
    return Editor.of(os.environ)

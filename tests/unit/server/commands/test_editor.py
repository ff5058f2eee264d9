"""How the editors of users are told a file and a line."""

from pathlib import Path

import pytest

from server.commands.editor import Editor, EditorFailed
from server.errors import UsageError

FILE = Path("/r/src/a b:c.py")


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("vim", ["+7", str(FILE)]),
        ("/usr/bin/vim.basic", ["+7", str(FILE)]),
        ("nvim", ["+7", str(FILE)]),
        ("emacsclient", ["+7", str(FILE)]),
        ("emacs-30", ["+7", str(FILE)]),
        ("nano", ["+7", str(FILE)]),
        ("code", ["--goto", f"{FILE}:7"]),
        ("code-insiders", ["--goto", f"{FILE}:7"]),
        ("Cursor.exe", ["--goto", f"{FILE}:7"]),
        ("windsurf", ["--goto", f"{FILE}:7"]),
        ("subl", [f"{FILE}:7"]),
        ("zed", [f"{FILE}:7"]),
        ("hx", [f"{FILE}:7"]),
        ("idea64", ["--line", "7", str(FILE)]),
        ("pycharm-community", ["--line", "7", str(FILE)]),
        ("notepad", [str(FILE)]),
        ("2much", [str(FILE)]),
    ],
)
def test_an_editor_gets_the_line_in_its_own_form(program: str, expected: list[str]) -> None:
    editor = Editor((program, "--wait"))
    assert editor.arguments(FILE, 7) == [program, "--wait", *expected]


def program(folder: Path, name: str, text: str = "exit 0") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_visual_counts_before_editor_and_may_have_arguments(tmp_path: Path) -> None:
    code, vim = program(tmp_path, "code"), program(tmp_path, "vim")
    variables = {"PATH": str(tmp_path), "VISUAL": "code --wait 'a b'", "EDITOR": "vim"}
    assert Editor.of(variables) == Editor((str(code), "--wait", "a b"))
    assert Editor.of({**variables, "VISUAL": " "}) == Editor((str(vim),))


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "neither VISUAL nor EDITOR"),
        ({"VISUAL": "", "EDITOR": "  "}, "neither VISUAL nor EDITOR"),
        ({"EDITOR": "no-such-editor -x"}, "EDITOR is 'no-such-editor -x', which is not found"),
        ({"VISUAL": "'unfinished", "EDITOR": "vim"}, 'VISUAL is "\'unfinished"'),
    ],
)
def test_without_an_editor_the_user_is_told_what_to_set(
    variables: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match="VISUAL|EDITOR") as raised:
        Editor.of({"PATH": "/nowhere", **variables})
    assert says in str(raised.value)
    assert raised.value.hint


def test_an_editor_that_fails_or_does_not_start_is_an_error_that_names_it(tmp_path: Path) -> None:
    failing = Editor((str(program(tmp_path, "vim", "exit 3")),))
    with pytest.raises(EditorFailed, match="vim .* ended with status 3"):
        failing.open(FILE, 7)
    with pytest.raises(EditorFailed, match="gone .*does not start: No such file"):
        Editor((str(tmp_path / "gone"),)).open(FILE, 7)

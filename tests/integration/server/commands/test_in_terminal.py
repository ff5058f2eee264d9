"""The command line where somebody sits: colours, progress, the editor, what it says alone, Tab."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server.commands.terminal import live
from tests.serving import PATIENCE_S, ROOT, bare_environment
from tests.tooling import write_tree

COMMAND = [
    sys.executable, "-P", "-c",
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    "from server.commands.root import main; main()",
    str(ROOT),
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "home", {".cursor/mcp.json": "{}", ".claude.json": "{}"})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    files = {".git/HEAD": "", "a b.py": "import x\n\n\ndef retry_delay(attempt):\n    return 1\n"}
    return write_tree(tmp_path / "repository", files)


def in_terminal(home: Path, cwd: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """The exit status, and all that a terminal got."""
    control, terminal = pty.openpty()
    environment = bare_environment(home, TERM="xterm-256color", **variables)
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=cwd, env=environment, stdin=terminal, stdout=terminal,
        stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        # On Linux the end of the other side is an error, on macOS an empty read.
        while piece := os.read(control, 65_536):
            shown += piece
    except OSError:
        pass
    finally:
        os.close(control)
    return process.wait(PATIENCE_S), shown.decode().replace("\r\n", "\n")


def test_an_answer_has_colours_and_links_and_its_first_place_is_opened_in_the_editor(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    opened = tmp_path / "opened"
    editor = tmp_path / "bin" / "vim"
    script = f'#!/bin/sh\n[ -t 1 ] && printf "%s\\n" "$@" > "{opened}"\n'
    write_tree(tmp_path, {"bin/vim": script})
    editor.chmod(0o755)
    status, shown = in_terminal(
        home, repository, "explore", "retry delay of an attempt", "--open",
        TERM_PROGRAM="WezTerm", VISUAL=f"{editor} -R",
    )  # fmt: skip
    assert status == 0, shown
    assert "the scout is " in shown  # What it does, until the answer is there.
    assert "\x1b[35mdef\x1b[0m \x1b[1;34mretry_delay\x1b[0m(attempt):" in shown
    assert "/repository/a%20b.py\x1b\\" in shown
    assert opened.read_text().split("\n") == ["-R", "+4", str(repository / "a b.py"), ""]


def test_without_an_editor_nobody_waits_for_an_answer(home: Path, repository: Path) -> None:
    status, shown = in_terminal(home, repository, "explore", "retry delay", "--open")
    assert status == 2
    assert shown.startswith("error: neither VISUAL nor EDITOR names an editor\nhint: ")


def test_quiet_shows_no_progress(capfd: pytest.CaptureFixture[str]) -> None:
    from explorer.events import Note

    for quiet in (False, True):
        with live(quiet=quiet) as (say, hear):
            say("searching")
            hear(Note(1, "corrected"))
        assert capfd.readouterr().err == ("" if quiet else "turn  1  corrected\n")


def test_alone_it_says_what_it_is_who_answers_where_it_is_set_up_and_what_comes_next(
    home: Path, repository: Path
) -> None:
    status, shown = in_terminal(home, repository)
    assert status == 0
    assert "finds the code that a question is about" in shown
    assert "Answers:   the scout, which needs no model" in shown
    assert "Not in:    Claude Code, Cursor" in shown
    assert "Next: fastcontext install\n" in shown
    entry = {"mcpServers": {"fastcontext": {"command": "fastcontext"}}}
    (home / ".cursor/mcp.json").write_text(json.dumps(entry))
    (home / ".claude.json").write_text("no object")
    endpoint = "http://127.0.0.1:9/v1"
    _, shown = in_terminal(home, repository, FASTCONTEXT_ENDPOINT=endpoint)
    assert f"Answers:   a model: the endpoint {endpoint} is configured" in shown
    assert "Set up in: Cursor" in shown
    assert "the files of Claude Code cannot be read" in shown
    assert 'Next: fastcontext explore "' in shown


def test_alone_it_names_the_setting_that_is_wrong_and_what_to_do(
    home: Path, repository: Path
) -> None:
    status, shown = in_terminal(home, repository, FASTCONTEXT_MAX_TURNS="many")
    assert status == 0
    assert "Answers:   nobody: setting 'max_turns'" in shown
    assert "Next: set FASTCONTEXT_MAX_TURNS" in shown


def test_into_a_pipe_it_gives_the_help_and_the_status_of_wrong_usage(home: Path) -> None:
    control, terminal = pty.openpty()
    done = subprocess.run(
        COMMAND, env=bare_environment(home), stdin=terminal, capture_output=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip
    os.close(control)
    os.close(terminal)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"Usage: fastcontext [OPTIONS] COMMAND")


COMPLETE = """
eval "$(fastcontext --show-completion)"
complete -p fastcontext >&2
for words in "engine pl" "install claude-c"; do
    COMP_WORDS=(fastcontext $words)
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _fastcontext_completion fastcontext
    echo "${COMPREPLY[@]}"
done
"""


@pytest.mark.timeout(120)
def test_bash_completes_commands_and_clients(home: Path, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    # A shell that completes may give the command no terminal, with which it otherwise serves.
    quoted = " ".join(f"'{word}'" for word in COMMAND)
    write_tree(tmp_path, {"bin/fastcontext": f'#!/bin/sh\nexec {quoted} "$@"\n'})
    (tmp_path / "bin/fastcontext").chmod(0o755)
    environment = bare_environment(home)
    environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"
    done = subprocess.run(
        [bash, "--norc", "-c", COMPLETE], env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=3 * PATIENCE_S,
    )  # fmt: skip
    assert "-F _fastcontext_completion fastcontext" in done.stderr
    assert done.stdout.split("\n") == ["plan", "claude-code", ""]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_call_the_command(
    home: Path, shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import typer

    from server.commands.root import commands

    monkeypatch.setenv("_FASTCONTEXT_COMPLETE", f"source_{shell}")
    command = typer.main.get_command(commands())
    with pytest.raises(SystemExit) as ended:
        command.main([], prog_name="fastcontext", standalone_mode=False)
    script = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"_FASTCONTEXT_COMPLETE=complete_{shell}" in script
    interpreter = shutil.which(shell)
    if interpreter is not None:
        checked = subprocess.run([interpreter, "-n"], input=script, text=True, check=False)
        assert checked.returncode == 0

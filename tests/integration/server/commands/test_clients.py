"""``install``, ``uninstall`` and ``instructions`` as people call them."""

import json
import os
import pty
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from server.clients.instructions import BEGIN, END
from server.clients.locations import UserEnvironment, user_file
from server.clients.staying import Copy
from server.clients.table import CLIENTS
from server.commands.clients import _refuse_passing_interpreter
from server.errors import UsageError
from tests.serving import PATIENCE_S, ROOT, bare_environment, served


def fastcontext(
    home: Path, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1));"
        "from server.commands.root import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", code, str(ROOT), *arguments],
        cwd=cwd or home,
        env=bare_environment(home),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def config_of(client: str, home: Path) -> Path:
    environment = {"XDG_CONFIG_HOME": str(home / "config")}
    return user_file(CLIENTS[client].name, UserEnvironment(sys.platform, home, environment))


@pytest.mark.parametrize("client", ["claude-desktop", "codex", "vscode"])
def test_what_was_installed_starts_a_server_from_another_folder(
    tmp_path: Path, client: str
) -> None:
    done = fastcontext(tmp_path, "install", client)
    assert done.returncode == 0, done.stderr
    path = config_of(client, tmp_path)
    assert str(path) in done.stdout
    load = tomllib.loads if client == "codex" else json.loads
    made = load(path.read_text())[CLIENTS[client].section]["fastcontext"]
    hostile = tmp_path / "hostile"
    (hostile / "server").mkdir(parents=True)
    (hostile / "server" / "__init__.py").write_text("raise SystemExit('imported')\n")
    with served(tmp_path, command=[made["command"], *made["args"]], cwd=hostile) as server:
        server.initialize()
        tools = server.answer(server.send("tools/list"))["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["explore_repository", "engine_status"]


def test_installing_again_does_nothing_and_uninstalling_takes_it_out(tmp_path: Path) -> None:
    path = config_of("cursor", tmp_path)
    path.parent.mkdir()
    path.write_text('{\n  // mine\n  "mcpServers": {"other": {"command": "x"}}\n}\n')
    before = path.read_text()
    assert fastcontext(tmp_path, "install", "cursor").returncode == 0
    installed = path.read_text()
    again = fastcontext(tmp_path, "install", "cursor")
    assert "nothing to do" in again.stdout
    assert path.read_text() == installed
    assert "// mine" in installed
    fastcontext(tmp_path, "uninstall", "cursor")
    assert path.read_text() == before
    assert Path(f"{path}.fastcontext-backup").read_text() == before


def test_a_dry_run_shows_the_change_and_makes_none(tmp_path: Path) -> None:
    done = fastcontext(tmp_path, "install", "windsurf", "--dry-run")
    assert done.returncode == 0
    assert '+    "fastcontext": {' in done.stdout
    assert not config_of("windsurf", tmp_path).exists()


def test_all_installs_where_a_client_left_its_folder(tmp_path: Path) -> None:
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".codex").mkdir()
    done = fastcontext(tmp_path, "install", "--all")
    assert done.returncode == 0, done.stderr
    assert "Cursor" in done.stdout
    assert "Codex" in done.stdout
    assert "Windsurf" not in done.stdout


def test_a_project_gets_its_own_file(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    arguments = ["--scope", "project", "--project", str(project)]
    assert fastcontext(tmp_path, "install", "claude-code", *arguments).returncode == 0
    assert "fastcontext" in json.loads((project / ".mcp.json").read_text())["mcpServers"]
    done = fastcontext(tmp_path, "install", "codex", *arguments)
    assert "you trust the project" in done.stdout
    assert (
        "fastcontext" in tomllib.loads((project / ".codex/config.toml").read_text())["mcp_servers"]
    )
    refused = fastcontext(tmp_path, "install", "windsurf", *arguments)
    assert refused.returncode == 2
    assert "error: windsurf has no project scope" in refused.stderr


def test_roots_and_endpoint_travel_in_the_entry(tmp_path: Path) -> None:
    given = ["--root", "a", "--root", "/b", "--endpoint", "http://127.0.0.1:1/v1"]
    done = fastcontext(tmp_path, "install", "--print", *given)
    made = json.loads(done.stdout)["mcpServers"]["fastcontext"]
    assert made["env"] == {
        "FASTCONTEXT_ROOTS": f"{tmp_path / 'a'}:/b",
        "FASTCONTEXT_ENDPOINT": "http://127.0.0.1:1/v1",
    }
    assert (
        "[mcp_servers.fastcontext]" in fastcontext(tmp_path, "install", "codex", "--print").stdout
    )


def test_a_broken_file_is_left_alone_with_a_reason(tmp_path: Path) -> None:
    path = config_of("cursor", tmp_path)
    path.parent.mkdir()
    path.write_text('{"mcpServers": ')
    done = fastcontext(tmp_path, "install", "cursor")
    assert done.returncode == 2
    assert "not valid JSON" in done.stderr
    assert "hint:" in done.stderr
    assert path.read_text() == '{"mcpServers": '
    assert list(path.parent.iterdir()) == [path]


def test_a_client_and_all_of_them_cannot_both_be_meant(tmp_path: Path) -> None:
    done = fastcontext(tmp_path, "install", "cursor", "--all")
    assert done.returncode == 2
    assert "cursor is named, and --all is given too" in done.stderr


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_without_a_name_and_a_terminal_the_clients_are_listed(tmp_path: Path, command: str) -> None:
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".continue").mkdir()
    assert fastcontext(tmp_path, "install", "gemini").returncode == 0
    done = fastcontext(tmp_path, command)
    assert done.returncode == 2
    listed = done.stdout.splitlines()
    assert [line.split()[:2] for line in listed[1:]] == [["1", "gemini"], ["2", "continue"]]
    assert listed[1].endswith("settings.json (has the server)")
    assert listed[2].endswith("config.yaml")
    assert f"hint: fastcontext {command} gemini, or fastcontext {command} --all" in done.stderr


def test_without_any_client_the_names_are_said(tmp_path: Path) -> None:
    done = fastcontext(tmp_path, "install")
    assert done.returncode == 2
    assert "no client was found on this machine" in done.stderr
    assert "antigravity" in done.stderr


def at_a_terminal(home: Path, answer: str, *arguments: str) -> tuple[int, str]:
    """Exit status and output of ``fastcontext`` to which somebody types an answer."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "server", *arguments]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen(command, cwd=home, env=bare_environment(home), **streams) as process:
        os.close(theirs)
        os.write(ours, answer.encode() + b"\n")
        said = b""
        # Linux says that nobody is there any more by an error.
        with suppress(OSError):
            while piece := os.read(ours, 4096):
                said += piece
        process.wait(PATIENCE_S)
    os.close(ours)
    return process.returncode, said.decode()


def test_at_a_terminal_the_user_chooses(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in (".cursor", ".gemini", ".kiro")]
    for folder in folders:
        folder.mkdir()
    files = [config_of(client, tmp_path) for client in ("cursor", "gemini", "kiro")]
    status, said = at_a_terminal(tmp_path, "1, kiro", "install")
    assert status == 0, said
    assert "Which?" in said
    assert [path.exists() for path in files] == [True, False, True]
    status, said = at_a_terminal(tmp_path, "all", "install")
    assert [path.exists() for path in files] == [True, True, True]
    assert "you have not trusted" in said
    status, said = at_a_terminal(tmp_path, "2", "uninstall")
    assert [path.exists() for path in files] == [True, False, True]
    status, said = at_a_terminal(tmp_path, "", "uninstall")
    assert (status, [path.exists() for path in files]) == (0, [True, False, True])
    status, said = at_a_terminal(tmp_path, "4", "uninstall")
    assert status == 2
    assert "'4' is not one of these clients" in said


def test_what_keeps_an_entry_from_working_is_said_when_it_is_made(tmp_path: Path) -> None:
    assert "you have not trusted" in fastcontext(tmp_path, "install", "gemini").stdout
    project = ["--scope", "project", "--project", str(tmp_path)]
    said = fastcontext(tmp_path, "install", "claude-code", *project).stdout
    assert "pending approval" in said
    assert "pending approval" not in fastcontext(tmp_path, "install", "claude-code").stdout


def test_instructions_are_printed_and_cursor_gets_its_front_matter(tmp_path: Path) -> None:
    printed = fastcontext(tmp_path, "instructions", "--for", "claude").stdout
    assert printed.startswith("## Finding code")
    assert "grep" in printed
    cursor = fastcontext(tmp_path, "instructions", "--for", "cursor").stdout
    assert cursor.startswith("---\ndescription:")
    assert cursor.endswith(printed)


def test_instructions_are_merged_between_markers_and_only_a_new_file_gets_a_head(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules" / "fastcontext.mdc"
    for _ in range(2):
        done = fastcontext(tmp_path, "instructions", "--for", "cursor", "--write", str(rules))
        assert done.returncode == 0, done.stderr
        text = rules.read_text()
        assert text.startswith("---\n")
        assert (text.count(BEGIN), text.count(END), text.count("alwaysApply")) == (1, 1, 1)
    assert "already in" in done.stdout
    own = tmp_path / "AGENTS.md"
    own.write_text("# Mine\n")
    fastcontext(tmp_path, "instructions", "--for", "cursor", "--write", str(own))
    assert own.read_text().startswith("# Mine\n\n" + BEGIN)
    assert "alwaysApply" not in own.read_text()


def test_instructions_keep_windows_line_ends_and_leave_no_empty_line(tmp_path: Path) -> None:
    own = tmp_path / "AGENTS.md"
    own.write_bytes(b"# Mine\r\n")
    write = ("instructions", "--for", "codex", "--write", str(own))
    fastcontext(tmp_path, *write)
    # As somebody would go on after the section.
    once = own.read_bytes() + b"More.\r\n"
    assert b"\n" not in once.replace(b"\r\n", b"")
    own.write_bytes(once.replace(b"Finding", b"Looking for"))
    assert "written to" in fastcontext(tmp_path, *write).stdout
    assert own.read_bytes() == once


def test_a_passing_interpreter_is_not_put_into_a_clients_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/u/.cache/uv/archive-v0/abc")
    with pytest.raises(UsageError, match="will be deleted") as caught:
        _refuse_passing_interpreter()
    # True of a clone and of a released version.
    assert "`uv tool install .`" in caught.value.hint
    assert "`uv tool install fastcontext-mcp`" in caught.value.hint


def test_a_copy_that_uv_cannot_install_is_an_error_that_says_why(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho no space left >&2; exit 1\n")
    uv.chmod(0o755)
    with pytest.raises(UsageError, match="uv tool install .* failed: no space left") as caught:
        Copy(str(uv), "fastcontext-mcp==1", tmp_path / "bin/python").install()
    assert "by hand" in caught.value.hint


def test_installs_at_once_end_with_every_entry(tmp_path: Path) -> None:
    path = config_of("cursor", tmp_path)
    path.parent.mkdir()
    path.write_text('{\n  // mine\n  "mcpServers": {}\n}\n')
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda _: fastcontext(tmp_path, "install", "cursor"), range(4)))
    assert [done.returncode for done in ended] == [0] * 4, [done.stderr for done in ended]
    made = path.read_text()
    assert made.count('"fastcontext"') == 1
    assert "// mine" in made
    backup = Path(f"{path}.fastcontext-backup")
    assert sorted(path.parent.iterdir()) == [path, backup]
    assert backup.read_text() == '{\n  // mine\n  "mcpServers": {}\n}\n'


def test_one_broken_file_stops_an_install_everywhere_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".codex").mkdir()
    broken = config_of("codex", tmp_path)
    broken.write_text("a = ")
    done = fastcontext(tmp_path, "install", "--all")
    assert done.returncode == 2
    assert "Codex" in done.stderr
    assert "not valid TOML" in done.stderr
    assert not config_of("cursor", tmp_path).exists()
    assert broken.read_text() == "a = "

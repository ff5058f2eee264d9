"""The table of clients: where each keeps its file, what stands in it, and how it is found."""

import json
import sys
import tomllib
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.clients import install
from server.clients.install import apply, entry, installed_entry, plan_install, plan_uninstall
from server.clients.locations import UserEnvironment, is_found, user_file
from server.clients.table import CLIENTS, Client, ClientName

ARGS = ["-I", "-m", "server.main"]
ENV = {"A": "1"}
PLAIN = {"command": sys.executable, "args": ARGS, "env": ENV}
STDIO = {"type": "stdio", **PLAIN}

EXPECTED: dict[str, tuple[str, dict[str, Any]]] = {
    "claude-desktop": (
        ".config/Claude/claude_desktop_config.json",
        {"mcpServers": {"fastcontext": PLAIN}},
    ),
    "claude-code": (".claude.json", {"mcpServers": {"fastcontext": STDIO | {"alwaysLoad": True}}}),
    "cursor": (".cursor/mcp.json", {"mcpServers": {"fastcontext": PLAIN}}),
    "vscode": (".config/Code/User/mcp.json", {"servers": {"fastcontext": STDIO}}),
    "codex": (
        ".codex/config.toml",
        {
            "mcp_servers": {
                "fastcontext": PLAIN
                | {"required": True, "startup_timeout_sec": 30, "tool_timeout_sec": 120}
            }
        },
    ),
    "windsurf": (".codeium/windsurf/mcp_config.json", {"mcpServers": {"fastcontext": PLAIN}}),
    "gemini": (".gemini/settings.json", {"mcpServers": {"fastcontext": PLAIN}}),
    "qwen": (".qwen/settings.json", {"mcpServers": {"fastcontext": PLAIN}}),
    "opencode": (
        ".config/opencode/opencode.json",
        {
            "mcp": {
                "fastcontext": {
                    "type": "local",
                    "command": [sys.executable, *ARGS],
                    "environment": ENV,
                    "enabled": True,
                    "timeout": 120_000,
                }
            }
        },
    ),
    "copilot": (
        ".copilot/mcp-config.json",
        {"mcpServers": {"fastcontext": {"type": "local", **PLAIN, "tools": ["*"]}}},
    ),
    "cline": (
        ".cline/data/settings/cline_mcp_settings.json",
        {"mcpServers": {"fastcontext": {"transport": STDIO, "timeout": 120}}},
    ),
    "continue": (
        ".continue/config.yaml",
        {
            "name": "Local Agent",
            "version": "1.0.0",
            "schema": "v1",
            "mcpServers": [{"name": "fastcontext", **PLAIN}],
        },
    ),
    "amp": (".config/amp/settings.json", {"amp.mcpServers": {"fastcontext": PLAIN}}),
    "zed": (".config/zed/settings.json", {"context_servers": {"fastcontext": PLAIN}}),
    "kiro": (".kiro/settings/mcp.json", {"mcpServers": {"fastcontext": PLAIN}}),
    "roo": (
        ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json",
        {"mcpServers": {"fastcontext": PLAIN | {"timeout": 120}}},
    ),
    "goose": (
        ".config/goose/config.yaml",
        {
            "extensions": {
                "fastcontext": {
                    "type": "stdio",
                    "cmd": sys.executable,
                    "args": ARGS,
                    "envs": ENV,
                    "name": "fastcontext",
                    "enabled": True,
                    "timeout": 120,
                }
            }
        },
    ),
    "jetbrains": (".junie/mcp/mcp.json", {"mcpServers": {"fastcontext": PLAIN}}),
    "antigravity": (".gemini/config/mcp_config.json", {"mcpServers": {"fastcontext": PLAIN}}),
}
LOAD = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=list(CLIENTS))
def test_a_client_gets_the_entry_that_it_documents_in_its_own_file_and_loses_it_again(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "is_installed", lambda: True)
    name, expected = EXPECTED[client.name]
    path = user_file(client.name, UserEnvironment("linux", tmp_path, {}))
    assert path == tmp_path / name
    apply(plan_install(client, path, entry(client, environment=ENV)))
    assert LOAD[client.format](path.read_text()) == expected
    made = installed_entry(client, path)
    assert made == entry(client, environment=ENV)
    assert client.form.start(made) == ([sys.executable, *ARGS], ENV)
    apply(plan_uninstall(client, path))
    assert not path.exists()


def test_the_names_of_the_command_line_are_those_of_the_table() -> None:
    assert list(CLIENTS) == list(typing.get_args(ClientName)) == list(EXPECTED)


@pytest.mark.parametrize("client", CLIENTS.values(), ids=list(CLIENTS))
def test_a_client_is_found_by_its_folder(client: Client, tmp_path: Path) -> None:
    user = UserEnvironment("linux", tmp_path, {})
    assert not is_found(client.name, user)
    (client.folder(user) / client.traces[0] / "x").mkdir(parents=True)
    assert is_found(client.name, user)


def test_a_client_is_found_by_its_program(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "gemini"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    user = UserEnvironment("linux", tmp_path, {"PATH": str(program.parent)})
    assert [name for name in CLIENTS if is_found(CLIENTS[name].name, user)] == ["gemini"]


def test_antigravity_in_the_folder_of_gemini_is_told_from_gemini(tmp_path: Path) -> None:
    user = UserEnvironment("linux", tmp_path, {})
    (tmp_path / ".gemini").mkdir()
    assert not is_found("antigravity", user)
    (tmp_path / ".gemini" / "antigravity").mkdir()
    assert is_found("antigravity", user)


@pytest.mark.parametrize(
    ("client", "file"),
    [("opencode", "opencode.jsonc"), ("antigravity", "antigravity/mcp_config.json")],
)
def test_the_file_that_is_there_is_the_one_that_is_changed(
    client: ClientName, file: str, tmp_path: Path
) -> None:
    user = UserEnvironment("linux", tmp_path, {})
    path = CLIENTS[client].folder(user) / file
    assert user_file(client, user) != path
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert user_file(client, user) == path


@pytest.mark.parametrize(
    ("client", "platform", "expected"),
    [
        ("zed", "darwin", ".config/zed/settings.json"),
        ("zed", "win32", "AppData/Roaming/Zed/settings.json"),
        ("goose", "win32", "AppData/Roaming/Block/goose/config/config.yaml"),
        ("goose", "darwin", ".config/goose/config.yaml"),
        ("opencode", "darwin", ".config/opencode/opencode.json"),
        (
            "roo",
            "darwin",
            "Library/Application Support/Code/User/globalStorage/rooveterinaryinc.roo-cline/"
            "settings/mcp_settings.json",
        ),
    ],
)
def test_files_on_other_systems(
    client: ClientName, platform: str, expected: str, tmp_path: Path
) -> None:
    assert user_file(client, UserEnvironment(platform, tmp_path, {})) == tmp_path / expected


@pytest.mark.parametrize(
    ("client", "variable", "expected"),
    [
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("qwen", "QWEN_HOME", "settings.json"),
        ("copilot", "COPILOT_HOME", "mcp-config.json"),
        ("cline", "CLINE_DIR", "data/settings/cline_mcp_settings.json"),
        ("cline", "CLINE_DATA_DIR", "settings/cline_mcp_settings.json"),
        ("continue", "CONTINUE_GLOBAL_DIR", "config.yaml"),
        ("opencode", "XDG_CONFIG_HOME", "opencode/opencode.json"),
    ],
)
def test_the_variables_that_move_a_file_are_followed(
    client: ClientName, variable: str, expected: str, tmp_path: Path
) -> None:
    user = UserEnvironment("linux", Path("/home/u"), {variable: str(tmp_path)})
    assert user_file(client, user) == tmp_path / expected


def test_an_entry_with_the_usual_names_becomes_one_of_the_clients_form(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for name in ("opencode", "cline", "goose"):
        client = CLIENTS[name]
        flat = {"type": "stdio", "command": "/old", "args": ["x"], "env": ENV, "disabled": False}
        path.write_text(install.with_entry(client, "", flat))
        apply(plan_install(client, path, entry(client)))
        assert installed_entry(client, path) == entry(client, environment=ENV) | {"disabled": False}

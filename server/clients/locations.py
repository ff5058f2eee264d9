"""Where each client keeps its configuration, on Linux, macOS and Windows.

Paths and keys as the clients' own documentation gave them in November 2026.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from server.homes import home

ClientName = Literal["claude-desktop", "claude-code", "cursor", "vscode", "codex", "windsurf"]
Scope = Literal["user", "project"]
Format = Literal["json", "toml"]


@dataclass(frozen=True, slots=True)
class Client:
    """What one client expects of an entry."""

    name: ClientName
    title: str
    section: str
    """The object in the file that holds one entry per server."""
    format: Format = "json"
    project_file: str | None = None
    """Relative to the project, with ``/``; None where the client has no project scope."""
    typed: bool = False
    """True where an entry has to say ``"type": "stdio"``."""
    restart: str = "Restart it."
    """What makes the client read its configuration again."""


CLIENTS: Mapping[str, Client] = {
    client.name: client
    for client in (
        Client(
            "claude-desktop",
            "Claude Desktop",
            "mcpServers",
            restart="Quit Claude Desktop completely and start it again.",
        ),
        Client(
            "claude-code",
            "Claude Code",
            "mcpServers",
            project_file=".mcp.json",
            typed=True,
            restart="Start a new session; /mcp shows the server.",
        ),
        Client(
            "cursor",
            "Cursor",
            "mcpServers",
            project_file=".cursor/mcp.json",
            restart="Cursor reads the file again by itself; Settings > MCP shows the server.",
        ),
        Client(
            "vscode",
            "VS Code",
            "servers",
            project_file=".vscode/mcp.json",
            typed=True,
            restart="Run 'MCP: List Servers' and start it.",
        ),
        Client(
            "codex",
            "Codex",
            "mcp_servers",
            "toml",
            project_file=".codex/config.toml",
            restart="Start a new session; for a project's file, trust the project when asked.",
        ),
        Client(
            "windsurf",
            "Windsurf",
            "mcpServers",
            restart="Press Refresh in Windsurf's MCP settings.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class UserEnvironment:
    """What decides where a user's clients keep their configuration."""

    platform: str
    """As ``sys.platform``: linux, darwin, win32."""
    home: Path
    variables: Mapping[str, str]

    @classmethod
    def this(cls) -> "UserEnvironment":
        """The one of this process."""
        return cls(sys.platform, home(), dict(os.environ))

    def config_home(self) -> Path:
        """The folder in which desktop programs keep their configuration."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        if self.platform == "win32":
            return self.from_variable("APPDATA", self.home / "AppData" / "Roaming")
        return self.from_variable("XDG_CONFIG_HOME", self.home / ".config")

    def from_variable(self, name: str, default: Path) -> Path:
        """The absolute path that a variable holds, else ``default``."""
        value = self.variables.get(name, "")
        return Path(value) if value and Path(value).is_absolute() else default


def user_file(client: ClientName, user: UserEnvironment) -> Path:
    """The file of the user scope, which need not exist."""
    home = user.home
    match client:
        case "claude-desktop":
            return _claude_desktop(user)
        case "claude-code":
            return user.from_variable("CLAUDE_CONFIG_DIR", home) / ".claude.json"
        case "cursor":
            return home / ".cursor" / "mcp.json"
        case "vscode":
            return user.config_home() / "Code" / "User" / "mcp.json"
        case "codex":
            return user.from_variable("CODEX_HOME", home / ".codex") / "config.toml"
        case "windsurf":
            return home / ".codeium" / "windsurf" / "mcp_config.json"


def _claude_desktop(user: UserEnvironment) -> Path:
    name = "claude_desktop_config.json"
    if user.platform == "win32":
        # The Store build sees a private copy of the roaming folder.
        local = user.from_variable("LOCALAPPDATA", user.home / "AppData" / "Local")
        for package in sorted(local.glob("Packages/Claude_*")):
            return package / "LocalCache" / "Roaming" / "Claude" / name
    return user.config_home() / "Claude" / name


def project_file(client: ClientName, project: Path) -> Path | None:
    """The file of the project scope, or None where the client has none."""
    relative = CLIENTS[client].project_file
    return project / PurePosixPath(relative) if relative else None


def is_found(client: ClientName, user: UserEnvironment) -> bool:
    """Whether the client seems to be installed: its configuration folder or file is there.

    Claude Code's file usually lies in the home directory itself: there the file decides.
    """
    path = user_file(client, user)
    return path.exists() or (path.parent != user.home and path.parent.is_dir())

"""The clients that the server can be put into: where each keeps its file, and what it expects.

Paths and keys as the clients' own documentation gave them in November 2026. docs/clients.md says
which of them were tried with the real client.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from server.clients.locations import UserEnvironment

ClientName = Literal[
    "claude-desktop",
    "claude-code",
    "cursor",
    "vscode",
    "codex",
    "windsurf",
    "gemini",
    "qwen",
    "opencode",
    "copilot",
    "cline",
    "continue",
    "amp",
    "zed",
    "kiro",
    "roo",
    "goose",
    "jetbrains",
    "antigravity",
]
Format = Literal["json", "toml", "yaml"]


@dataclass(frozen=True, slots=True)
class Form:
    """Where an entry says how its server is started."""

    type: str = ""
    """The value of ``type``, where an entry needs one."""
    command: str = "command"
    args: str = "args"
    """Empty where the command is a list that holds the arguments too."""
    env: str = "env"
    within: str = ""
    """The object in the entry that holds all of these; empty for the entry itself."""

    def entry(
        self, command: str, args: list[str], env: Mapping[str, str], extras: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The entry of a server that is started so; without ``env`` where that is empty."""
        made: dict[str, Any] = {"type": self.type} if self.type else {}
        if self.args:
            made |= {self.command: command, self.args: args}
        else:
            made[self.command] = [command, *args]
        if env:
            made[self.env] = dict(env)
        return {**({self.within: made} if self.within else made), **extras}

    def start(self, entry: Mapping[str, Any]) -> tuple[list[Any], Mapping[str, Any]]:
        """The words and the variables with which an entry starts its server, as they stand.

        Some clients read the usual names as well as their own.
        """
        inner = entry.get(self.within)
        held = inner if isinstance(inner, Mapping) else entry
        command = held.get(self.command, held.get("command", ""))
        args = held.get(self.args, held.get("args"))
        env = held.get(self.env, held.get("env"))
        words = command if isinstance(command, list) and command else [command]
        return (
            [*words, *(args if isinstance(args, list) else [])],
            env if isinstance(env, Mapping) else {},
        )

    def updated(self, present: Any, made: Mapping[str, Any]) -> dict[str, Any]:
        """``made`` with what ``present`` sets besides: its variables, and keys of its own.

        An entry that starts no server, as one for a URL, has none to keep.
        """
        wanted = dict(made)
        if not isinstance(present, Mapping):
            return wanted
        (command, *_), env = self.start(present)
        if not command:
            return wanted
        written = {"type", "command", "args", "env", self.command, self.args, self.env, self.within}
        wanted |= {name: value for name, value in present.items() if name not in written}
        held = wanted
        if self.within:
            inner = present.get(self.within)
            kept = dict(inner) if isinstance(inner, Mapping) else {}
            held = wanted[self.within] = {**kept, **made[self.within]}
        if env:
            held[self.env] = {**env, **held.get(self.env, {})}
        return wanted


@dataclass(frozen=True, slots=True)
class Client:
    """What one client expects of an entry."""

    name: ClientName
    title: str
    folder: Callable[["UserEnvironment"], Path]
    """The folder that holds its files."""
    files: tuple[str, ...]
    """In the folder, with ``/``: the first that exists holds the entry, else the first."""
    section: str = "mcpServers"
    """The object in the file that holds one entry per server."""
    format: Format = "json"
    is_list: bool = False
    """Whether the section is a list of entries with names."""
    empty: str = ""
    """What a new file holds besides the entry."""
    project_file: str | None = None
    """Relative to the project, with ``/``; None where the client has no project scope."""
    traces: tuple[str, ...] = ("",)
    """In the folder: where one is, the client is there too. By default the folder itself."""
    programs: tuple[str, ...] = ()
    """Its programs: where one is on PATH, the client is there too."""
    form: Form = Form()
    extras: Mapping[str, Any] = field(default_factory=dict)
    """What the entry holds besides; what its user has set there stays."""
    restart: str = "Restart it."
    """What makes the client read its configuration again."""
    note: str = ""
    """What keeps an entry from working although it is there."""
    project_note: str = ""
    """The same of a project's entry."""
    start_limit_s: float | None = None
    """How long the client waits for a server to start, with our entry; None where unknown."""


def _vscode(user: "UserEnvironment") -> Path:
    return user.config_home() / "Code" / "User"


def _zed(user: "UserEnvironment") -> Path:
    if user.platform == "darwin":
        return user.home / ".config" / "zed"
    return user.config_home() / ("Zed" if user.platform == "win32" else "zed")


def _goose(user: "UserEnvironment") -> Path:
    if user.platform == "win32":
        return user.config_home() / "Block" / "goose" / "config"
    return user.dot_config() / "goose"


def _claude_desktop(user: "UserEnvironment") -> Path:
    if user.platform == "win32":
        # The Store build sees a private copy of the roaming folder.
        local = user.from_variable("LOCALAPPDATA", user.home / "AppData" / "Local")
        for package in sorted(local.glob("Packages/Claude_*")):
            return package / "LocalCache" / "Roaming" / "Claude"
    return user.config_home() / "Claude"


_TABLE = (
    Client(
        "claude-desktop",
        "Claude Desktop",
        _claude_desktop,
        ("claude_desktop_config.json",),
        restart="Quit Claude Desktop completely and start it again.",
        note="it starts servers in /: set roots, or name the repository as `path`",
        start_limit_s=60,
    ),
    Client(
        "claude-code",
        "Claude Code",
        lambda user: user.from_variable("CLAUDE_CONFIG_DIR", user.home),
        (".claude.json",),
        project_file=".mcp.json",
        traces=(".claude.json", ".claude"),
        programs=("claude",),
        form=Form(type="stdio"),
        # Else its model has to search for the tool first, and mostly does not.
        extras={"alwaysLoad": True},
        restart="Start a new session; /mcp shows the server.",
        project_note="Claude Code lists a project's entry as pending approval, and starts no "
        "server, until you start `claude` in the project and approve it",
        start_limit_s=30,
    ),
    Client(
        "cursor",
        "Cursor",
        lambda user: user.home / ".cursor",
        ("mcp.json",),
        project_file=".cursor/mcp.json",
        programs=("cursor", "cursor-agent"),
        restart="Cursor reads the file again by itself; Settings > MCP shows the server.",
    ),
    Client(
        "vscode",
        "VS Code",
        _vscode,
        ("mcp.json",),
        "servers",
        project_file=".vscode/mcp.json",
        programs=("code",),
        form=Form(type="stdio"),
        restart="Run 'MCP: List Servers' and start it.",
    ),
    Client(
        "codex",
        "Codex",
        lambda user: user.from_variable("CODEX_HOME", user.home / ".codex"),
        ("config.toml",),
        "mcp_servers",
        "toml",
        project_file=".codex/config.toml",
        programs=("codex",),
        # It waits 10 s for a server to start, and a cold disk may need more; it asks the model
        # without the tools of a server that is not ready unless that server is required.
        extras={"required": True, "startup_timeout_sec": 30, "tool_timeout_sec": 120},
        restart="Start a new session.",
        project_note="Codex reads a project's file once you trust the project",
        start_limit_s=30,
    ),
    Client(
        "windsurf",
        "Windsurf",
        lambda user: user.home / ".codeium" / "windsurf",
        ("mcp_config.json",),
        programs=("windsurf",),
        restart="Press Refresh in Windsurf's MCP settings.",
    ),
    Client(
        "gemini",
        "Gemini CLI",
        lambda user: user.from_variable("GEMINI_CLI_HOME", user.home) / ".gemini",
        ("settings.json",),
        project_file=".gemini/settings.json",
        programs=("gemini",),
        restart="Start a new session; /mcp shows the server.",
        note="Gemini CLI starts no server in a folder that you have not trusted: run `gemini` "
        "there once and trust it, or set GEMINI_CLI_TRUST_WORKSPACE=true",
    ),
    Client(
        "qwen",
        "Qwen Code",
        lambda user: user.from_variable("QWEN_HOME", user.home / ".qwen"),
        ("settings.json",),
        project_file=".qwen/settings.json",
        programs=("qwen",),
        restart="Start a new session; /mcp shows the server.",
    ),
    Client(
        "opencode",
        "opencode",
        lambda user: user.dot_config() / "opencode",
        ("opencode.json", "opencode.jsonc"),
        "mcp",
        project_file="opencode.json",
        programs=("opencode",),
        form=Form(type="local", args="", env="environment"),
        # In ms; it gives a server 5 s to list its tools.
        extras={"enabled": True, "timeout": 120_000},
        restart="Start a new session; `opencode mcp list` shows the server.",
        start_limit_s=120,
    ),
    Client(
        "copilot",
        "Copilot CLI",
        lambda user: user.from_variable("COPILOT_HOME", user.home / ".copilot"),
        ("mcp-config.json",),
        programs=("copilot",),
        form=Form(type="local"),
        extras={"tools": ["*"]},
        restart="Start a new session; /mcp shows the server.",
        start_limit_s=10,
    ),
    Client(
        "cline",
        "Cline",
        lambda user: user.from_variable(
            "CLINE_DATA_DIR", user.from_variable("CLINE_DIR", user.home / ".cline") / "data"
        ),
        ("settings/cline_mcp_settings.json",),
        programs=("cline",),
        form=Form(type="stdio", within="transport"),
        # In s, for a call. An answer may take 45 s.
        extras={"timeout": 120},
        restart="Start a new session.",
        start_limit_s=3,
    ),
    Client(
        "continue",
        "Continue",
        lambda user: user.from_variable("CONTINUE_GLOBAL_DIR", user.home / ".continue"),
        ("config.yaml",),
        format="yaml",
        is_list=True,
        empty="name: Local Agent\nversion: 1.0.0\nschema: v1\n",
        programs=("cn",),
        restart="Continue reads the file again by itself; start a new session of `cn`.",
    ),
    Client(
        "amp",
        "Amp",
        lambda user: user.dot_config() / "amp",
        ("settings.json",),
        "amp.mcpServers",
        project_file=".amp/settings.json",
        programs=("amp",),
        restart="Start a new session.",
        project_note="Amp starts a project's server after `amp mcp approve fastcontext`",
    ),
    Client(
        "zed",
        "Zed",
        _zed,
        ("settings.json",),
        "context_servers",
        project_file=".zed/settings.json",
        programs=("zed", "zeditor"),
        restart="Zed reads the file again by itself; the agent's settings show the server.",
        project_note="Zed starts a project's server once you trust the project",
    ),
    Client(
        "kiro",
        "Kiro",
        lambda user: user.home / ".kiro",
        ("settings/mcp.json",),
        project_file=".kiro/settings/mcp.json",
        programs=("kiro", "kiro-cli"),
        restart="Kiro reads the file again by itself; start a new session of `kiro-cli`.",
    ),
    Client(
        "roo",
        "Roo Code",
        lambda user: _vscode(user) / "globalStorage" / "rooveterinaryinc.roo-cline",
        ("settings/mcp_settings.json",),
        project_file=".roo/mcp.json",
        # In s; 60 by default.
        extras={"timeout": 120},
        restart="Roo Code reads the file again by itself; its MCP settings show the server.",
    ),
    Client(
        "goose",
        "Goose",
        _goose,
        ("config.yaml",),
        "extensions",
        "yaml",
        programs=("goose",),
        form=Form(type="stdio", command="cmd", env="envs"),
        extras={"name": "fastcontext", "enabled": True, "timeout": 120},
        restart="Start a new session.",
    ),
    Client(
        "jetbrains",
        "JetBrains Junie",
        lambda user: user.home / ".junie",
        ("mcp/mcp.json",),
        project_file=".junie/mcp/mcp.json",
        programs=("junie",),
        restart="Settings > Tools > Junie > MCP Settings shows the server.",
        note="this is Junie's file; AI Assistant takes the same entry in Settings > Tools > "
        "AI Assistant > Model Context Protocol",
    ),
    Client(
        "antigravity",
        "Antigravity",
        lambda user: user.home / ".gemini",
        ("config/mcp_config.json", "antigravity/mcp_config.json"),
        traces=("config", "antigravity"),
        programs=("agy", "antigravity"),
        restart="Press Refresh in Manage MCP Servers, or start a new session of `agy`.",
    ),
)
CLIENTS: Mapping[str, Client] = {client.name: client for client in _TABLE}

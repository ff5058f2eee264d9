"""How each real client is pointed at the stand-in, and asked once without its terminal."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.clients.locations import UserEnvironment, user_file
from server.clients.table import CLIENTS, ClientName

PROMPT = "Find the code with explore_repository."
SERVER = "server.main"
"""The module that an entry starts."""
TREE = {
    ".git/HEAD": "ref: refs/heads/main\n",
    "README.md": "# Retry\n\nConnections that fail are tried again.\n",
    "retry/backoff.py": (
        '"""How long to wait between connection retries."""\n\n'
        "FIRST_S = 0.5\n\n\n"
        "def backoff(attempt: int) -> float:\n"
        '    """Seconds of backoff before the retry; doubles with each attempt."""\n'
        "    return FIRST_S * 2.0**attempt\n"
    ),
    "retry/pool.py": "def connection(host: str) -> str:\n    return host\n",
}
"""The repository in which the clients are asked."""
_KEY = "stand-in"
_PROGRAMS = Path(__file__).with_name("programs")


@dataclass(frozen=True, slots=True)
class Ready:
    """A client that has only to be started."""

    command: list[str]
    environment: dict[str, str]
    home: Path
    repository: Path


@dataclass(frozen=True, slots=True)
class NpmClient:
    """A client that npm installs, with the entry that ``fastcontext install`` makes."""

    name: ClientName
    package: str
    program: str
    """Of the package, in ``node_modules/.bin``."""
    arguments: Callable[[str], Sequence[str]]
    """From the stand-in's URL to the arguments with which it is asked once."""
    environment: Callable[[str], Mapping[str, str]] = lambda url: {}
    files: Callable[[str], Mapping[str, str]] = lambda url: {}
    """What it has to find in its home: path -> text."""

    @property
    def title(self) -> str:
        """Its name for a reader."""
        return CLIENTS[self.name].title

    def version(self, modules: Path) -> str:
        """Which one is installed."""
        told = (modules / self.package / "package.json").read_text(encoding="utf-8")
        return str(json.loads(told)["version"])

    def ready(self, modules: Path, folder: Path, url: str, server: str, endpoint: str) -> Ready:
        """The client in a home in ``folder`` that names the stand-in at ``url`` and the server.

        ``server`` is the module that is to be started, ``endpoint`` the one that it is to ask.
        """
        home = _written(folder / "home", self.files(url))
        ready = Ready(
            [str(modules / ".bin" / self.program), *self.arguments(url)],
            _environment(home) | dict(self.environment(url)),
            home,
            _written(folder / "retry", TREE),
        )
        install = [sys.executable, "-P", "-m", "server", "install", self.name]
        install += ["--endpoint", endpoint] if endpoint else []
        subprocess.run(install, env=_environment(home), cwd=home, check=True, capture_output=True)
        entry = user_file(self.name, UserEnvironment(sys.platform, home, {}))
        text = entry.read_text(encoding="utf-8")
        entry.write_text(text.replace(f'"{SERVER}"', f'"{server}"'), encoding="utf-8")
        return ready


@dataclass(frozen=True, slots=True)
class Library:
    """A library whose programs start the server; each in a virtual environment of its own."""

    name: str
    """Also of its distribution, and of its virtual environment's folder."""
    program: str

    @property
    def title(self) -> str:
        """Its name for a reader."""
        return self.name

    def version(self, environments: Path) -> str:
        """Which one is installed."""
        code = f"from importlib.metadata import version; print(version({self.name!r}))"
        command = [str(self._python(environments)), "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def ready(
        self, environments: Path, folder: Path, url: str, server: str, endpoint: str
    ) -> Ready:
        """As of a client; the program gets the server's command as arguments."""
        home = _written(folder / "home", {})
        command = [str(self._python(environments)), str(_PROGRAMS / self.program), url]
        command += [sys.executable, "-I", "-m", server]
        command += ["--endpoint", endpoint] if endpoint else []
        return Ready(command, _environment(home), home, _written(folder / "retry", TREE))

    def _python(self, environments: Path) -> Path:
        return environments / self.name / "bin" / "python"


def _written(folder: Path, texts: Mapping[str, str]) -> Path:
    """``folder`` with files of these texts."""
    folder.mkdir(parents=True)
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def _environment(home: Path) -> dict[str, str]:
    """That of a user who has nothing else set."""
    return {"HOME": str(home), "PATH": os.environ.get("PATH", os.defpath), "TERM": "dumb"}


def _codex(url: str) -> list[str]:
    provider = {"name": "x", "base_url": f"{url}/v1", "wire_api": "responses", "env_key": "KEY"}
    settings = [
        word
        for key, value in provider.items()
        for word in ("-c", f"model_providers.stand_in.{key}={json.dumps(value)}")
    ]
    chosen = ["-c", 'model_provider="stand_in"', "-m", "gpt-5.1-codex"]
    return ["exec", *settings, *chosen, "--skip-git-repo-check", PROMPT]


def _opencode(url: str) -> dict[str, str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{url}/v1", "apiKey": _KEY},
        "models": {"stand-in": {"name": "stand-in"}},
    }
    config = {"model": "it/stand-in", "provider": {"it": provider}, "autoupdate": False}
    return {".config/opencode/opencode.json": json.dumps(config, indent=2)}


def _continue(url: str) -> dict[str, str]:
    return {
        ".continue/config.yaml": (
            "name: Test\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: stand-in\n"
            f"    provider: openai\n    model: stand-in\n    apiBase: {url}/v1\n    apiKey: x\n"
            "    roles: [chat]\n    capabilities: [tool_use]\n"
        )
    }


def _cline(url: str) -> dict[str, str]:
    settings = {"provider": "openai-compatible", "apiKey": _KEY, "baseUrl": f"{url}/v1"}
    settings["model"] = "stand-in"
    provider = {"settings": settings, "updatedAt": "2026-11-28T00:00:00Z", "tokenSource": "manual"}
    held = {"version": 1, "lastUsedProvider": "openai-compatible", "modes": {}}
    held["providers"] = {"openai-compatible": provider}
    return {".cline/data/settings/providers.json": json.dumps(held)}


NPM_CLIENTS = (
    NpmClient(
        "claude-code",
        "@anthropic-ai/claude-code",
        "claude",
        lambda url: (
            *("-p", PROMPT, "--model", "claude-sonnet-4-5"),
            *("--allowedTools", "mcp__fastcontext__explore_repository"),
        ),
        lambda url: {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": _KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        },
    ),
    NpmClient("codex", "@openai/codex", "codex", _codex, lambda url: {"KEY": _KEY}),
    NpmClient(
        "gemini",
        "@google/gemini-cli",
        "gemini",
        lambda url: ("-m", "gemini-2.5-pro", "--yolo", "-p", PROMPT),
        lambda url: {
            "GOOGLE_GEMINI_BASE_URL": url,
            "GEMINI_API_KEY": _KEY,
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
        },
        lambda url: {
            ".gemini/settings.json": '{"security": {"auth": {"selectedType": "gemini-api-key"}}}'
        },
    ),
    NpmClient(
        "opencode",
        "opencode-ai",
        "opencode",
        lambda url: ("run", PROMPT),
        lambda url: {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
        _opencode,
    ),
    NpmClient(
        "copilot",
        "@github/copilot",
        "copilot",
        lambda url: ("-p", PROMPT, "--allow-all-tools"),
        lambda url: {
            "COPILOT_OFFLINE": "true",
            "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
            "COPILOT_PROVIDER_TYPE": "openai",
            "COPILOT_PROVIDER_API_KEY": _KEY,
            "COPILOT_MODEL": "gpt-5",
        },
    ),
    NpmClient(
        "qwen",
        "@qwen-code/qwen-code",
        "qwen",
        lambda url: ("--auth-type", "openai", "--yolo", "-p", PROMPT),
        lambda url: {
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_KEY": _KEY,
            "OPENAI_MODEL": "stand-in",
        },
    ),
    NpmClient(
        "cline",
        "cline",
        "cline",
        lambda url: ("-P", "openai-compatible", "-m", "stand-in", PROMPT),
        files=_cline,
    ),
    NpmClient(
        "continue",
        "@continuedev/cli",
        "cn",
        lambda url: ("--auto", "-p", PROMPT),
        files=_continue,
    ),
)
LIBRARIES = (
    Library("openai-agents", "with_openai_agents.py"),
    Library("pydantic-ai-slim", "with_pydantic_ai.py"),
    Library("langchain-mcp-adapters", "with_langchain.py"),
    Library("smolagents", "with_smolagents.py"),
    Library("fastmcp", "with_fastmcp.py"),
)

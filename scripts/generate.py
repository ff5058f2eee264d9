"""Write every file that follows from the code: ``python -m scripts.generate [--check]``.

The example configuration, the registry's server.json, the bundle's manifest, the Claude Code
plugin and docs/reference all come from the settings, commands, tools and events themselves, so
that none of them can differ from the code. The version is that of pyproject.toml, in all of them
and in the code; the pictures in README show the recorded answer. A test runs the comparison.
"""

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts import picture, reference
from server.clients.instructions import INSTRUCTIONS
from server.clients.table import CLIENTS
from server.protocol import descriptions
from server.settings import PREFIX

ROOT = Path(__file__).parents[1]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION: str = _PROJECT["version"]
REPOSITORY: str = _PROJECT["urls"]["Repository"]
NAME = "io.github.fastcontext-mcp/fastcontext-mcp"
"""In the MCP registry; the README repeats it, which proves that the package is its owner's."""
DESCRIPTION = "Finds the code that a question is about; answers with path:start-end citations"
_OFFERED = ("roots", "endpoint", "model", "api_key", "deadline_s")
"""The settings that people who install from a catalogue are asked for."""


def generated() -> dict[str, str]:
    """Path relative to the repository -> text, of every file that is generated."""
    plugin = "plugins/claude-code"
    return {
        "server/__init__.py": _code_with_version(),
        "claude_desktop_config.example.json": _json(_example()),
        "server.json": _json(_registry()),
        "bundle/manifest.json": _json(_manifest()),
        ".claude-plugin/marketplace.json": _json(_marketplace()),
        f"{plugin}/.claude-plugin/plugin.json": _json(_plugin()),
        f"{plugin}/.mcp.json": _json({"mcpServers": {"fastcontext": _in_plugin()}}),
        f"{plugin}/commands/explore.md": _command(),
        f"{plugin}/skills/finding-code/SKILL.md": _skill(),
        f"{plugin}/README.md": _plugin_readme(),
        "docs/reference/settings.md": reference.settings_page(),
        "docs/reference/commands.md": reference.commands_page(),
        "docs/reference/tool.md": reference.tools_page(),
        "docs/reference/trajectory.md": reference.trajectory_page(),
        **picture.pictures(),
    }


def stale(root: Path = ROOT) -> list[str]:
    """The generated files that do not say what the code says."""
    return [
        name
        for name, text in generated().items()
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text
    ]


def _code_with_version() -> str:
    text = (ROOT / "server/__init__.py").read_text(encoding="utf-8")
    return re.sub(r'return "[^"]*"', f'return "{VERSION}"', text)


def _example() -> dict[str, Any]:
    entry = {
        "command": "/absolute/path/to/fastcontext-mcp/.venv/bin/python",
        "args": ["-I", "-m", "server.main"],
        "env": {f"{PREFIX}ROOTS": "/absolute/path/to/the/folder/with/your/repositories"},
    }
    return {"mcpServers": {"fastcontext": entry}}


def _in_plugin() -> dict[str, Any]:
    # From the repository, since no release is on the package index yet.
    words = ["--from", f"git+{REPOSITORY}", _PROJECT["name"], "serve"]
    return {"command": "uvx", "args": words} | CLIENTS["claude-code"].extras


def _registry() -> dict[str, Any]:
    variables = [
        {
            "name": f"{PREFIX}{name.upper()}",
            "description": reference.first_sentence(reference.meanings()[name]),
            "isRequired": False,
            **({"isSecret": True} if name == "api_key" else {}),
        }
        for name in _OFFERED
    ]
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": NAME,
        "title": "FastContext",
        "description": DESCRIPTION,
        "version": VERSION,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": _PROJECT["name"],
                "version": VERSION,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "packageArguments": [{"type": "positional", "value": "serve"}],
                "environmentVariables": variables,
            }
        ],
    }


def _manifest() -> dict[str, Any]:
    def asked(kind: str, title: str, name: str, **more: Any) -> dict[str, Any]:
        told = reference.first_sentence(reference.meanings()[name])
        return {"type": kind, "title": title, "description": told, "required": False, **more}

    return {
        "manifest_version": "0.4",
        "name": "fastcontext-mcp",
        "display_name": "FastContext",
        "version": VERSION,
        "description": DESCRIPTION,
        "author": {"name": "fastcontext-mcp developers"},
        "license": "MIT",
        "server": {
            "type": "uv",
            "entry_point": "server/main.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "server/main.py"],
                "env": {
                    f"{PREFIX}ROOTS": "${user_config.roots}",
                    f"{PREFIX}ENDPOINT": "${user_config.endpoint}",
                    f"{PREFIX}API_KEY": "${user_config.api_key}",
                },
            },
        },
        "tools": [
            {"name": "explore_repository", "description": descriptions.EXPLORE_TITLE},
            {"name": "engine_status", "description": descriptions.STATUS_TITLE},
        ],
        "prompts": [
            {
                "name": "explore",
                "description": descriptions.PROMPT_DESCRIPTION,
                "arguments": ["question"],
                "text": descriptions.PROMPT.replace("{question}", "${arguments.question}"),
            }
        ],
        "user_config": {
            "roots": asked("directory", "Folder with your repositories", "roots")
            | {"required": True, "default": "${HOME}"},
            "endpoint": asked("string", "Model endpoint", "endpoint", default=""),
            "api_key": asked(
                "string", "Key of the endpoint", "api_key", sensitive=True, default=""
            ),
        },
        "compatibility": {
            "platforms": ["darwin", "linux"],
            "runtimes": {"python": ">=3.11"},
        },
    }


def _marketplace() -> dict[str, Any]:
    plugin = {
        "name": "fastcontext",
        "source": "./plugins/claude-code",
        "description": DESCRIPTION,
    }
    owner = {"name": "fastcontext-mcp developers"}
    return {
        "name": "fastcontext-mcp",
        "description": "The plugin of fastcontext-mcp",
        "owner": owner,
        "plugins": [plugin],
    }


def _plugin() -> dict[str, Any]:
    return {
        "name": "fastcontext",
        "version": VERSION,
        "description": DESCRIPTION,
        "author": {"name": "fastcontext-mcp developers"},
        "license": "MIT",
    }


def _command() -> str:
    asked = descriptions.PROMPT.replace("{question}", "$ARGUMENTS")
    head = f"description: {descriptions.PROMPT_DESCRIPTION}\nargument-hint: QUESTION"
    return f"---\n{head}\n---\n\n{asked}\n"


def _skill() -> str:
    told = (
        "Use when a task needs code whose place is not known (how a feature works, where a "
        "behaviour or an error message comes from, which files a change touches). Says when "
        "explore_repository finds it sooner and when grep does"
    )
    head = f"name: finding-code\ndescription: {told}"
    return f"---\n{head}\n---\n\n{INSTRUCTIONS}"


def _plugin_readme() -> str:
    return (
        f"# fastcontext for Claude Code\n\n{DESCRIPTION}.\n\n"
        "Starts the server by `uvx`, which has to be on PATH (it comes with uv), adds the command "
        "`/fastcontext:explore QUESTION`, and a skill that says when to call the tool and when to "
        "grep.\n\n"
        f"```console\n$ claude plugin marketplace add {REPOSITORY}.git\n"
        "$ claude plugin install fastcontext@fastcontext-mcp\n```\n\n"
        "Each start asks the repository for its newest commit, so it needs a network. The entry "
        "of `fastcontext install claude-code` does not.\n"
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Exit status: 1 when ``--check`` finds a file that is stale."""
    found = stale()
    if "--check" in sys.argv[1:]:
        for name in found:
            sys.stderr.write(f"error: {name} is stale\nhint: python -m scripts.generate\n")
        return 1 if found else 0
    texts_by_name = generated()
    for name in found:
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts_by_name[name], encoding="utf-8")
        sys.stdout.write(f"{name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

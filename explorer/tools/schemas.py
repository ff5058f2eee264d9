"""What the model is told about the tools.

Names, parameters, types, order and defaults are those of the model's training (released harness,
microsoft/fastcontext); the texts are this project's own. They hold nothing that varies, so that
every request about every repository begins with the same tokens.
"""

from typing import Any


def _tool(
    name: str, description: str, required: list[str], properties: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": required,
            },
        },
    }


_READ = _tool(
    "Read",
    "Reads a file and shows its lines with their numbers, at most 2000 lines at a time. "
    "Use offset and limit for a part of a long file. For a directory, its entries are listed.",
    ["path"],
    {
        "path": {"type": "string", "description": "Absolute path of the file."},
        "offset": {
            "type": "integer",
            "description": "Number of the first line to show, counted from 1.",
            "default": 1,
        },
        "limit": {"type": "integer", "description": "How many lines to show."},
    },
)

_GLOB = _tool(
    "Glob",
    "Finds files by a pattern on their paths, such as `**/*.py` or `src/**/*.{ts,tsx}`. "
    "Lists their paths, the file changed last first. Files that git ignores are left out.",
    ["pattern"],
    {
        "pattern": {"type": "string", "description": "Glob pattern that the paths must match."},
        "directory": {
            "type": "string",
            "description": "Directory to search; the whole workspace when left out.",
        },
    },
)

_GREP = _tool(
    "Grep",
    "Searches the contents of files with ripgrep and its regular expressions. "
    "Files that git ignores are left out.",
    ["pattern"],
    {
        "pattern": {"type": "string", "description": "Regular expression to search for."},
        "path": {
            "type": "string",
            "description": "File or directory to search; the whole workspace when left out.",
        },
        "glob": {
            "type": "string",
            "description": "Search only files whose paths match, such as `*.js` or `src/**/*.py`.",
        },
        "output_mode": {
            "type": "string",
            "enum": ["content", "files_with_matches", "count"],
            "description": "content shows matching lines, files_with_matches only the paths, "
            "count the number of matching lines per file.",
        },
        "-A": {"type": "number", "description": "Lines to show after each match (content)."},
        "-B": {"type": "number", "description": "Lines to show before each match (content)."},
        "-C": {"type": "number", "description": "Lines to show around each match (content)."},
        "-n": {
            "type": "boolean",
            "description": "Whether to show line numbers (content).",
            "default": True,
        },
        "-i": {"type": "boolean", "description": "Whether to ignore upper and lower case."},
        "type": {
            "type": "string",
            "description": "Search only files of this type, such as `py`, `js`, `rust` or `go`.",
        },
        "head_limit": {
            "type": "number",
            "description": "Show only the first so many lines or entries.",
        },
        "multiline": {
            "type": "boolean",
            "description": "Whether a match may span lines, with `.` matching newlines too.",
        },
    },
)

SCHEMAS: tuple[dict[str, Any], ...] = (_READ, _GLOB, _GREP)
"""Read, Glob, Grep: the trained order."""

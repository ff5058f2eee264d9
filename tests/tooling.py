"""Trees to look at and calls to look with, for the tests of the workspace and its tools."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from explorer.records import ToolCall, ToolResult
from explorer.repository.ripgrep import find_rg
from explorer.tools import ToolBox


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def clone_of(files: Mapping[str, str], folder: Path) -> str:
    """The only commit of a new repository ``work`` in ``folder``, with a bare clone beside it.

    The clone is where benchmarks look for that of ``o/shop``: ``mirror/o+shop/repo``.
    """
    work = write_tree(folder / "work", files)
    commit = commit_all(work)
    _git(work, "clone", "-q", "--bare", ".", str(folder / "mirror/o+shop/repo"))
    return commit


def commit_all(folder: Path) -> str:
    """The only commit of the new repository that the folder becomes."""
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-qm", "one")
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write_name_that_is_no_utf8(root: Path, content: str) -> None:
    try:
        Path(os.fsdecode(os.fsencode(root) + b"/bad\xff.py")).write_text(content)
    except OSError:
        pass  # APFS takes UTF-8 only.


def swap(path: Path, *, by: Path, keep: Path) -> None:
    """Put ``by`` where ``path`` is, and that under ``keep``."""
    path.rename(keep)
    by.rename(path)


@contextmanager
def without_root() -> Iterator[None]:
    """Nobody's rights while inside: root may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)


def python_that_runs(code: str, folder: Path) -> str:
    """A stand-in for a Python, which runs the code whatever it is told to run."""
    program = folder / "child.py"
    program.write_text(code)
    wrapper = folder / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def bare_rg(root: Path, *args: str) -> str:
    return subprocess.run(
        [find_rg(), "--no-config", *args], cwd=root, capture_output=True, text=True, check=False
    ).stdout


def call(name: str, arguments: object) -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall("call", name, text)


async def run(
    box: ToolBox, name: str, /, max_chars: int | None = None, **named: object
) -> ToolResult:
    """The result of a call; ``_A`` stands for ``-A``."""
    arguments = {key.replace("_", "-", 1) if len(key) == 2 else key: v for key, v in named.items()}
    result = await box.run(call(name, arguments), max_chars=max_chars)
    result.text.encode("utf-8")  # An observation is always valid Unicode.
    return result

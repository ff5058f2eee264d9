"""Indexes what a command has left of a repository, in a process of its own.

A command leaves as soon as it has answered, with a part of a large repository indexed. The process
has a low priority and an end, keeps what it has indexed as it goes, and is alone: of two commands
about one repository only the first one's goes on.
"""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_MOST_S: Final = 60.0
"""The most time, at low priority; most repositories take one to five seconds."""
_NICE: Final = 10

_started: list["subprocess.Popen[bytes]"] = []
"""Kept, because nobody waits for their end."""


def start(root: Path, index_dir: Path, *, include_hidden: bool) -> None:
    """Index the rest of the repository; without such a process the next question does more."""
    from launch.process import boot

    command = boot(__name__, str(root), str(index_dir), str(int(include_hidden)))
    with suppress(OSError):
        _started.append(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        )


def main(arguments: Sequence[str]) -> None:
    """Index the repository that the arguments of ``start`` name."""
    import anyio

    from explorer.errors import ExplorerError
    from explorer.repository.ripgrep import never_run_from
    from explorer.scout.store import alone_with

    root, index_dir, hidden = Path(arguments[0]), Path(arguments[1]), arguments[2] == "1"
    os.nice(_NICE)
    never_run_from(root)
    with alone_with(index_dir, root, include_hidden=hidden) as is_alone:
        if is_alone:
            # The repository may be gone by now; nobody is there to be told.
            with suppress(ExplorerError):
                anyio.run(_index, root, index_dir, hidden)


async def _index(root: Path, index_dir: Path, include_hidden: bool) -> None:
    from explorer.repository.workspace import Workspace
    from explorer.scout import Scout

    with Workspace.open(root, include_hidden=include_hidden) as workspace:
        scout = Scout(workspace, index_dir)
        await scout.index(_MOST_S)
        scout.close()

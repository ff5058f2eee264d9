"""The server as a file to be run: ``python server/main.py``, ``mcp run server/main.py``.

Thin on purpose. ``mcp run`` loads this file outside ``sys.modules``, and every launch form leaves
a different first entry on ``sys.path``: the working directory, which may be the very repository
to be explored, or this folder. Neither may be imported from.
"""

# ruff: noqa: PTH117, PTH119, PTH120 - pathlib is not loaded yet and could come from the wrong folder

import os
import sys


def _quiet_stdout() -> int | None:
    """A copy of stdout, which is redirected to stderr from now on; None if stdout is closed."""
    try:
        wire = os.dup(1)
        os.dup2(2, 1)
    except OSError:
        return None
    return wire


def _restore_stdout(wire: int | None) -> None:
    if wire is not None:
        sys.stdout.flush()
        os.dup2(wire, 1)
        os.close(wire)


def _import_from_here_only() -> None:
    here = os.path.dirname(os.path.realpath(__file__))
    root = os.path.dirname(here)
    try:
        first = os.path.realpath(sys.path[0]) if sys.path else ""
        unwanted = first in (here, os.path.realpath(os.curdir)) and first != root
    except OSError:
        # The working directory is gone; run as a file, this folder is first all the same.
        unwanted = bool(sys.path) and sys.path[0] in ("", here)
    if unwanted:
        del sys.path[0]
    # Relative entries mean the working directory, whatever it is at the time of an import.
    sys.path[:] = [entry for entry in sys.path if os.path.isabs(entry)]
    # First, because ``server`` and ``explorer`` are names that another distribution may use too.
    # Installed, the root is site-packages, which must not come before the standard library.
    if os.path.basename(root) not in ("site-packages", "dist-packages"):
        sys.path[:] = [root, *(entry for entry in sys.path if entry != root)]
    from fastcontext_mcp import prefer_installed

    prefer_installed()


_wire = _quiet_stdout()
_import_from_here_only()

try:
    from server.protocol import entry

    mcp = entry.build(stdio=__name__ == "__main__" and len(sys.argv) == 1)
except KeyboardInterrupt:
    # The status that shells report for SIGINT, which nothing handles yet.
    os._exit(130)

_restore_stdout(_wire)

if __name__ == "__main__":
    if len(sys.argv) > 1:
        from server.commands.root import main

        main(["serve", *sys.argv[1:]])
    mcp.run()

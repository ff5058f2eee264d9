"""The ``fastcontext`` command, as it is installed and as ``python -m server``.

Thin, and it imports only what the interpreter has already loaded: Ctrl-C may come during the rest.
"""

# ruff: noqa: PTH120 - pathlib is not loaded yet and could come from the wrong folder

import os
import sys

_ON_SIGINT = 130


def main() -> None:
    """Run the command and leave the process; what clients start, without the command line."""
    try:
        if sys.argv[1:] == ["serve"]:
            from server.protocol import entry

            entry.build(stdio=True).run()
        from server.process.importing import lasting

        with lasting():
            from server.commands.root import main as command
        command()
    except KeyboardInterrupt:
        # It came during the import; from then on the command itself handles signals.
        os._exit(_ON_SIGINT)


def _import_from_here_only() -> None:
    """Take the working directory off the path: it may be the repository to be explored, or gone."""
    try:
        from_here = bool(sys.path) and os.path.realpath(sys.path[0]) == os.path.realpath(os.curdir)
    except OSError:
        return
    if from_here:
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


if __name__ == "__main__":
    # ``-m`` puts the working directory first.
    _import_from_here_only()
    from fastcontext_mcp import prefer_installed

    prefer_installed()
    main()

"""The ``fastcontext`` command as it is installed.

Thin, and with no import but what the interpreter has loaded itself: all else can be interrupted.
"""

import os

_ON_SIGINT = 130


def main() -> None:
    """Run the command and leave the process."""
    try:
        from server.commands.root import main as command

        command()
    except KeyboardInterrupt:
        # While that was loaded; from then on the command itself ends on signals.
        os._exit(_ON_SIGINT)

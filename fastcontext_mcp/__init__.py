"""The command under a name that no other package has, so that no other is started in its place.

``server`` and ``launch`` are common names: a sourced ROS 2 puts a package ``launch`` on PYTHONPATH
for everything that its user starts. Imports only what the interpreter has already loaded.
"""

# ruff: noqa: PTH120 - pathlib could come from a folder on PYTHONPATH

import os
import sys


def prefer_installed() -> None:
    """Put the folders of PYTHONPATH last on the import path, but for the one this is in."""
    own = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = {os.path.realpath(entry) for entry in given if entry} - {own}
    sys.path.sort(key=lambda entry: os.path.realpath(entry) in others)  # Otherwise in their order.


def main() -> None:
    """Run the command and leave the process."""
    prefer_installed()
    from server.__main__ import main as command

    command()

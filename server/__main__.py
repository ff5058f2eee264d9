"""``python -m server`` is the ``fastcontext`` command."""

# ruff: noqa: PTH120 - pathlib is not loaded yet and could come from the wrong folder

import os
import sys

# ``-m`` puts the working directory first, which may be the repository to be explored, or gone.
try:
    _from_here = bool(sys.path) and os.path.realpath(sys.path[0]) == os.path.realpath(os.curdir)
except OSError:
    _from_here = False
if _from_here:
    _root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    sys.path[0] = _root

from server.entry import main

main()

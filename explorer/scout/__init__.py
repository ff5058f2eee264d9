"""The scout, a lexical explorer that needs neither a model nor a GPU.

It reads only the repository; nothing here knows the loop, an engine or a tool.
"""

import os

_THREADS = "OPENBLAS_NUM_THREADS"


def _load_numpy() -> None:
    """Load numpy with one thread for products of matrices, unless the user wants another number.

    The scout's matrices are small: two threads wait for each other longer than they compute. No
    child process inherits this.
    """
    given = os.environ.get(_THREADS)
    os.environ.setdefault(_THREADS, "1")
    import numpy  # noqa: F401

    if given is None:
        del os.environ[_THREADS]


_load_numpy()

from explorer.scout.answer import ScoutAnswer  # noqa: E402
from explorer.scout.scout import Scout  # noqa: E402

__all__ = ["Scout", "ScoutAnswer"]

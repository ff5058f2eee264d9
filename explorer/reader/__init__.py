"""The reader: a small cross-encoder that says how well a definition answers a question.

``words`` makes its tokens, ``passages`` cuts definitions into what it reads at once.
"""

import os

_THREADS = "OPENBLAS_NUM_THREADS"


def _load_numpy() -> None:
    """Load numpy with one thread for products of matrices, unless the user wants another number.

    The scout's matrices are small: two threads wait for each other longer than they compute. It is
    done here because the scout imports the reader. No child process inherits this.
    """
    given = os.environ.get(_THREADS)
    os.environ.setdefault(_THREADS, "1")
    import numpy  # noqa: F401

    if given is None:
        del os.environ[_THREADS]


_load_numpy()

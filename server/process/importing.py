"""What makes a process that imports much begin sooner."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting() -> Iterator[None]:
    """Collect no garbage within, and never look at what was made within: modules stay.

    Collecting between the imports of the SDK takes 40 of 580 ms. To find no plugins, pydantic reads
    the metadata of everything that is installed, so it is told to look for none.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

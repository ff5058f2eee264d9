"""The scout, a lexical explorer that needs neither a model nor a GPU.

It reads only the repository; nothing here knows the loop, an engine or a tool.
"""

import explorer.reader  # noqa: F401 - before all else, because it loads numpy as both need it
from explorer.scout.answer import ScoutAnswer
from explorer.scout.scout import Scout

__all__ = ["Scout", "ScoutAnswer"]

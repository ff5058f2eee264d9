"""The scout, a lexical explorer that needs neither a model nor a GPU.

It reads the repository alone; nothing here knows the loop, an engine or a tool.
"""

from explorer.scout.scout import Scout, ScoutAnswer

__all__ = ["Scout", "ScoutAnswer"]

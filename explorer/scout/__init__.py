"""The scout, a lexical explorer that needs neither a model nor a GPU."""

from explorer.scout.scout import Scout, ScoutAnswer

__all__ = ["Scout", "ScoutAnswer"]

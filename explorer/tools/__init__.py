"""Read, Glob and Grep with the names, parameters and outputs that the model was trained on.

Read-only functions of the repository and the arguments; nothing here knows an engine.
"""

from explorer.tools.arguments import canonical_key, proper_name
from explorer.tools.observation import ToolLimits
from explorer.tools.schemas import SCHEMAS
from explorer.tools.toolbox import ToolBox

__all__ = ["SCHEMAS", "ToolBox", "ToolLimits", "canonical_key", "proper_name"]

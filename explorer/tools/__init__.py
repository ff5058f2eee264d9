"""Read, Glob and Grep with the names, parameters and outputs that the model was trained on."""

from explorer.tools.arguments import canonical_key
from explorer.tools.limits import ToolLimits
from explorer.tools.schemas import SCHEMAS
from explorer.tools.toolbox import ToolBox

__all__ = ["SCHEMAS", "ToolBox", "ToolLimits", "canonical_key"]

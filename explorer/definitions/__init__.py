"""The definitions of a source file: functions, classes, values, sections, with names and lines.

They are read from the file's text alone, when it is a candidate; no more than the last few outlines
are kept. Grammars come from the ``tree-sitter-LANGUAGE`` wheels. Nothing here knows a question.
"""

from explorer.definitions.outline import Definition, extent, outline

__all__ = ["Definition", "extent", "outline"]

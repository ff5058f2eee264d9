"""The paragraph that tells an agent when to call the explorer, and its merge into a file."""

from typing import Literal

from server.clients import ConfigError
from server.clients.jsonc import line_end

Agent = Literal["claude", "codex", "cursor"]

BEGIN = "<!-- fastcontext: begin -->"
END = "<!-- fastcontext: end -->"

INSTRUCTIONS = """\
## Finding code

Call the `explore_repository` tool (server `fastcontext`) first when a task needs code whose place \
you do not know: how a feature works, where a behaviour comes from, which files a change touches, \
what lies behind an error message. Ask one full question with the names, messages and symptoms \
that you have. It answers with `path:start-end` citations and the code of the first ones, and \
every cited line was read in the working tree: work from that code, without reading it again, \
before you search further.

Use grep or open the file yourself when you know the exact identifier or path, or for a single \
fact in a known file: that is faster. An answer of low confidence is a hint to check, not a fact.
"""
"""The section, Markdown, without markers: the same for every agent."""

_CURSOR_HEAD = """\
---
description: When to call explore_repository and when to grep
alwaysApply: true
---

"""


def head(agent: Agent) -> str:
    """What a new file for ``agent`` begins with: Cursor's front matter, else nothing."""
    return _CURSOR_HEAD if agent == "cursor" else ""


def merge(text: str) -> str:
    """``text`` with the instructions between markers: instead of older ones, or at the end.

    Raises:
        ConfigError: a marker is missing, or there more than once.
    """
    newline = line_end(text)
    block = f"{BEGIN}\n{INSTRUCTIONS.strip()}\n{END}\n".replace("\n", newline)
    begins, ends = text.count(BEGIN), text.count(END)
    if begins == ends == 0:
        before = text.rstrip() + newline * 2 if text.strip() else ""
        return before + block
    if begins != 1 or ends != 1 or text.index(BEGIN) > text.index(END):
        raise ConfigError(
            f"the markers {BEGIN!r} and {END!r} must be there once each, in this order"
        )
    tail = text[text.index(END) + len(END) :]
    return text[: text.index(BEGIN)] + block + tail.removeprefix(newline)

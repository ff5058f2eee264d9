"""The paragraph that tells an agent when to call the explorer, and its merge into a file."""

from typing import Literal

from server.clients import ConfigError
from server.clients.jsonc import line_end

Agent = Literal["claude", "codex", "cursor"]

BEGIN = "<!-- fastcontext: begin -->"
END = "<!-- fastcontext: end -->"

DEFAULT_FILES: dict[Agent, str] = {
    "claude": "CLAUDE.md",
    "codex": "AGENTS.md",
    "cursor": ".cursor/rules/fastcontext.mdc",
}
"""Where each agent looks for instructions, relative to the project."""

_BODY = """\
## Finding code

Call the `explore_repository` tool (server `{server}`) first when a task needs code whose place \
you do not know: how a feature works, where a behaviour comes from, which files a change touches, \
what lies behind an error message. Ask one full question with the names, messages and symptoms \
that you have. It answers with `path:start-end` citations that exist in the working tree; read \
those ranges before you search further.

Use grep or open the file yourself when you know the exact identifier or path, or for a single \
fact in a known file: that is faster. A citation of low confidence is a hint to check, not a fact.
"""

_CURSOR_HEAD = """\
---
description: When to call explore_repository and when to grep
alwaysApply: true
---
"""


def head(agent: Agent) -> str:
    """What a new file for ``agent`` begins with: Cursor's front matter, else nothing."""
    return f"{_CURSOR_HEAD}\n" if agent == "cursor" else ""


def instructions(*, server: str = "fastcontext") -> str:
    """The section, Markdown, without markers: the same for every agent."""
    return _BODY.format(server=server)


def merge(text: str, section: str) -> str:
    """``text`` with the section between the markers, replaced if it is there, else appended.

    Raises:
        ConfigError: one marker stands without the other, or they stand more than once.
    """
    newline = line_end(text)
    block = f"{BEGIN}\n{section.strip()}\n{END}\n".replace("\n", newline)
    begins, ends = text.count(BEGIN), text.count(END)
    if begins == ends == 0:
        head = text.rstrip() + newline * 2 if text.strip() else ""
        return head + block
    if begins != 1 or ends != 1 or text.index(BEGIN) > text.index(END):
        raise ConfigError(f"the markers {BEGIN!r} and {END!r} do not stand once each, in order")
    tail = text[text.index(END) + len(END) :]
    return text[: text.index(BEGIN)] + block + tail.removeprefix(newline)

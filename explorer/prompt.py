"""The texts that the model reads, in the order and the Markdown form of its training.

Nothing here depends on the clock, the machine or the environment: the system prompt depends only on
the workspace's name and its top-level entries, so that every exploration of a repository begins
with the same tokens, which the engine's prefix cache then holds.
"""

import re
from collections.abc import Sequence

from explorer.events import Message
from explorer.repository.workspace import Workspace

LISTED_ENTRIES = 200
"""Top-level entries named in the prompt; a repository rarely has more."""

MAX_PROBLEMS = 20
"""Wrong citations named in one correction; a model that has more of them was guessing."""

_CONTROL = re.compile(r"<(?=\|[A-Za-z_]{1,40}\|>|/?tool_response>)")
"""The marks of turns and tool results in chat templates, which a tokenizer turns into control
tokens wherever they occur (ChatML, as in Qwen3's tokenizer_config.json)."""

_QUERY_TAG = re.compile(r"<\s*(/?)\s*query\s*>", re.IGNORECASE)

_SYSTEM = """\
You are a codebase exploration specialist. You are given a question about a repository in a \
`<query>` tag, and you find the places in its code that answer the question.

## Strengths

- Finding files by name with glob patterns
- Searching code with regular expressions
- Reading files and judging which lines matter

## Guidelines

- Search broadly while you do not know where something lives; read directly once you do.
- Start broad, then narrow down.
- Check several places and consider different naming conventions before you decide.
- Cite only lines that you have seen in a tool result.

Be fast: whenever calls do not depend on each other, issue them together in one message, so that \
they run in parallel.

## Required output

When you have found the places, give an optional explanation of at most 50 words, then the \
citations, one `path:start-end` per line, each with an optional short reason in brackets:

<final_answer>
{root}/src/example.py:10-42 (where the value is computed)
{root}/src/config.py:5-9
</final_answer>

## Working environment

- Operating system: Linux
- Shell: bash
- Workspace: {root}

Contents of the workspace:
```
{listing}
```

Answer efficiently: explore as much as the question needs, and no more."""

LAST_CALL = (
    "Stop exploring now: no more tools can be called. Answer with what you have found so far: a "
    "`<final_answer>` block with one `path:start-end` citation per line."
)
NUDGE = (
    "Your message holds no final answer. Either call a tool, or give the citations now, one "
    "`path:start-end` per line between <final_answer> and </final_answer>."
)
ONCE_MORE = (
    "Tools cannot be called any more. Write only the <final_answer> block, with one "
    "`path:start-end` citation per line, from what you have already read."
)
REPEATED = "You made this very call before; its result stands above and has not changed."
TURN_IS_FULL = (
    "Not shown: the results of this message are too long together. Ask for less: a narrower "
    "pattern, a path, or a range of lines."
)
CONTEXT_IS_FULL = "Not shown: there is no room left for more results."


def opening(query: str, workspace: Workspace) -> tuple[Message, Message]:
    """The system message and the one user message of an exploration.

    Lists the workspace's files, blocking, if that has not been done yet.
    """
    system = _SYSTEM.format(root=workspace.virtual_root, listing=_listing(workspace.entries()))
    return (
        {"role": "system", "content": system},
        {"role": "user", "content": f"<query>{_contained(query)}</query>"},
    )


def correction(problems: Sequence[str]) -> str:
    """The request to correct the citations that could not be verified."""
    lines = "\n".join(f"- {harmless(problem)}" for problem in problems[:MAX_PROBLEMS])
    return (
        f"These citations could not be verified:\n{lines}\n"
        "Read what you want to cite if you have not, then give the whole <final_answer> again, "
        "with only lines that you have seen."
    )


def malformed(problem: str) -> str:
    """The observation for a call that could not be read."""
    return (
        f"The tool call could not be read: {problem}. Write it as "
        '<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call> with valid JSON.'
    )


def _listing(entries: Sequence[str]) -> str:
    names = sorted(harmless(entry.removesuffix("/")) for entry in entries)
    shown = names[:LISTED_ENTRIES]
    if len(names) > len(shown):
        shown.append(f"... ({len(names) - len(shown)} more)")
    return "\n".join(shown)


def _contained(query: str) -> str:
    """The query with its own query tags broken, so that it cannot end the one around it."""
    return _QUERY_TAG.sub(lambda tag: f"<{tag[1]} query>", harmless(query))


def harmless(text: str) -> str:
    """The text with its control tokens broken by a space; the same object if it has none.

    A file that contains ``<|im_end|>`` would otherwise end the tool result in which it is shown,
    and what follows would be read as a message from the system or the user.
    """
    return _CONTROL.sub("< ", text) if "<|" in text or "tool_response>" in text else text

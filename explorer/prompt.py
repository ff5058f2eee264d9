"""The conversation with the model: its words, and the messages as they are sent.

The words have the order and the Markdown form of the model's training. They do not depend on the
clock, the machine or the environment: a prompt is a function of the workspace's name and its
top-level entries, so every exploration of a repository begins with the same tokens, which the
engine's prefix cache then holds. The transcript is append-only for the same reason.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from explorer import lenient_json
from explorer.events import Message
from explorer.records import ToolCall
from explorer.repository.workspace import Workspace

LISTED_ENTRIES = 200
"""Top-level entries named in the prompt; a repository rarely has more."""

MAX_PROBLEMS = 20
"""Wrong citations named in one correction; a model that has more of them was guessing."""

_CONTROL = re.compile(r"<(?=\|\w{1,60}\|>|\uff5c|/?tool_response>|(?:start|end)_of_turn>)")
"""The marks of turns and tool results in chat templates, which a tokenizer turns into
control tokens wherever they occur: of ChatML, as in Qwen3's tokenizer_config.json, of Llama 3 and
gpt-oss, of DeepSeek and of Gemma."""

_QUERY_TAG = re.compile(r"<\s*+(/?)\s*+query\s*+>", re.IGNORECASE)

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
UNTAGGED = (
    "Your message holds a tool call without its tags, so it was not run. Write each call as "
    '<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>, with nothing else in the tags; '
    "or give the citations, one `path:start-end` per line between <final_answer> and "
    "</final_answer>."
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
        f"The tool call could not be read: {harmless(problem)}. Write it as "
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
    return _CONTROL.sub("< ", text) if _CONTROL.search(text) else text


class Transcript:
    """The messages of one run; request n+1 is request n with messages appended.

    The one exception is ``take_back_observations``: after the server refused a request for its
    length, the next request extends the last one that was accepted.
    """

    def __init__(
        self, opening: Sequence[Message] = (), schemas: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.messages: list[Message] = []
        """What the next request sends."""
        self.chars = sum(map(size_of, schemas))
        """Characters of the tools' schemas and all messages as JSON, for estimating tokens."""
        self._sent = 0
        for message in opening:
            self.append(message)

    def append(self, message: Message) -> None:
        """Append one message."""
        self.messages.append(message)
        self.chars += size_of(message)

    def newly_sent(self) -> tuple[Message, ...]:
        """The messages that no request has carried yet; from now on they count as sent."""
        new = tuple(self.messages[self._sent :])
        self._sent = len(self.messages)
        return new

    def take_back_observations(self) -> list[str]:
        """Remove all messages after the model's last one; returns the ids of the calls answered."""
        length = len(self.messages)
        while length and self.messages[length - 1]["role"] != "assistant":
            length -= 1
        removed = self.messages[length:]
        del self.messages[length:]
        self.chars -= sum(map(size_of, removed))
        self._sent = min(self._sent, length)
        return [each["tool_call_id"] for each in removed if each["role"] == "tool"]


def assistant(text: str, parsed: Sequence[ToolCall]) -> Message:
    """The assistant's message as it goes back to the server.

    Without parsed calls the text is kept verbatim, hermes tags included, so that templates render
    it as the tokens that were generated. With parsed calls, arguments that are a JSON object are
    kept verbatim, and a line break at the end of the text is removed, because the template writes
    one before the first call.
    """
    if not parsed:
        return {"role": "assistant", "content": text}
    return {
        "role": "assistant",
        "content": text.removesuffix("\n"),
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _object(call.arguments)},
            }
            for call in parsed
        ],
    }


def _object(arguments: str) -> str:
    """The arguments as a JSON object, which servers require in the calls that are sent back.

    Verbatim if they are one, otherwise repaired, or empty if that fails. For anything else,
    llama.cpp and vLLM up to 0.23 refuse the whole request; vLLM 0.32 empties the arguments.
    """
    if lenient_json.is_whole(arguments, dict):
        return arguments
    try:
        value = lenient_json.parse(arguments)
    except ValueError:
        return "{}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "{}"


def observation(call_id: str, text: str) -> Message:
    """The tool message that answers a call."""
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def user(text: str) -> Message:
    """A user message."""
    return {"role": "user", "content": text}


def size_of(part: Mapping[str, Any]) -> int:
    """Characters of a message or schema as JSON."""
    return len(json.dumps(part, ensure_ascii=False))

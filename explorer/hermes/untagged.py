"""Calls that came without hermes tags: a server without the right tool parser leaves them as text.

Read are the forms of other model families: JSON, bare or in a fence; ``<|python_tag|>`` (Llama);
``[TOOL_CALLS]`` (Mistral); ``<function=NAME>`` with ``<parameter=NAME>`` (Qwen's coders), and the
same with ``<invoke name="NAME">``.
"""

import json
import re
from collections.abc import Callable

from explorer import lenient_json
from explorer.hermes.calls import XML_CALL, Call, Malformed, read_calls, read_xml_calls

IsTool = Callable[[str], bool]
"""Whether a tool of that name was offered."""

MAX_CHARS = 100_000
"""A longer message is no list of calls."""

_BETWEEN = re.compile(
    r"(?:[\s,;]|```[a-z_]*|~~~[a-z_]*|<\|(?:python_tag|eom_id|eot_id|im_end)\|>|</s>|\[TOOL_CALLS\]"
    r"|</?(?:tool_calls?|function_calls?|tools?)>)*+",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?P<name>[A-Za-z_][\w.-]{0,60})\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\]\s*)?(?=\{)"
)
"""``[TOOL_CALLS]Read[ARGS]{"path": ...}``."""
_SIGN = re.compile(
    r"[\"'](?:name|function|tool|tool_name)[\"']\s{0,8}:\s{0,8}[\"'](?P<json>[\w.-]{1,60})[\"']"
    r"|<(?:function|invoke)(?:=|\s{1,8}name=)[\"']?(?P<xml>[\w.-]{1,60})"
    r"|\[TOOL_CALLS\](?=[^\w\n]{0,8}(?P<mistral>[\w.-]{1,60}))"
)


def untagged_calls(text: str, is_tool: IsTool) -> list[Call]:
    """The calls of a message that is nothing but calls of offered tools; else none."""
    calls: list[Call] = []
    at = 0
    while len(text) <= MAX_CHARS:
        between = _BETWEEN.match(text, at)
        at = between.end() if between else at
        if at == len(text):
            return calls
        found, at = _next_calls(text, at)
        if not found or not all(isinstance(call, Call) and is_tool(call.name) for call in found):
            break
        calls += [call for call in found if isinstance(call, Call)]
    return []


def holds_untagged_call(text: str, is_tool: IsTool) -> bool:
    """Whether something in the text looks like a call of an offered tool."""
    return any(is_tool(sign[sign.lastgroup or 0]) for sign in _SIGN.finditer(text))


def _next_calls(text: str, at: int) -> tuple[list[Call | Malformed], int]:
    """The calls that begin here, and where they end; none if nothing readable begins here."""
    if found := XML_CALL.match(text, at):
        # Without its end, it may have been cut off in the middle of an argument.
        return read_xml_calls(found[0]) if found[0].endswith(">") else [], found.end()
    name = ""
    if text[at] not in "{[":
        named = _NAMED.match(text, at)
        if named is None:
            return [], at
        name, at = named["name"], named.end()
    try:
        _, end = json.JSONDecoder().raw_decode(text, at)
    except RecursionError:
        return [], at
    except ValueError:
        # Not strict: then it has to be the last one, so that there is one place where it can end.
        end = len(text.rstrip().removesuffix("```").rstrip())
    body = text[at:end]
    if name:
        return _with_arguments(name, body), end
    return read_calls(body), end


def _with_arguments(name: str, body: str) -> list[Call | Malformed]:
    try:
        return [Call(name, body)] if isinstance(lenient_json.parse(body), dict) else []
    except ValueError:
        return []

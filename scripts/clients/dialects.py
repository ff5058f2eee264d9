"""The protocols in which clients talk to a model: what a request holds, and how it is answered.

Each dialect reads the tools and the observations out of a request's body, and makes the answer
to it: one call of a tool, or a short text. Anthropic's messages, OpenAI's chat completions and
responses, and Gemini's generateContent, as the clients sent them in November 2026.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DONE = "Done: see the places."
"""What the stand-in says when it has nothing to call."""
SEARCHES = ("ToolSearch", "tool_search")
"""Tools of clients that bring in tools which the request does not hold."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the model is shown it."""

    name: str
    description: str
    schema: Any
    namespace: str = ""

    def completed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, and those that the schema requires besides, as a model would give them."""
        known = {"string": "", "boolean": False, "array": [], "object": {}}
        made = dict(arguments)
        for name in (self.schema or {}).get("required", []):
            told = self.schema["properties"][name]
            usual = told.get("minimum", known.get(told.get("type", ""), 0))
            made.setdefault(name, told.get("default", usual))
        return made


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the model makes."""

    name: str
    arguments: Mapping[str, Any]
    namespace: str = ""

    @property
    def dumped(self) -> str:
        """The arguments as JSON text."""
        return json.dumps(self.arguments)


Event = tuple[str, Any]
"""The name, which may be empty, and the data of a server-sent event."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One protocol: how its requests are read and answered."""

    path: str
    """What a request's path holds."""
    tools: Callable[[Any], Iterator[Tool]]
    observations: Callable[[Any], Iterator[str]]
    """The observations in a request, each as the text that the model reads."""
    calls: Callable[[Any], Iterator[str]]
    """The names of the tools that were called before."""
    answer: Callable[[Any, Call | None], Any]
    stream: Callable[[Any], list[Event]]
    """The events that bring an answer piece by piece."""

    def next_call(self, body: Any, wanted: str, arguments: Mapping[str, Any]) -> Call | None:
        """The call of the tool whose name ends in ``wanted``, once; a search where it is absent."""
        before = list(self.calls(body))
        if any(name.endswith(wanted) for name in before):
            return None
        tools = list(self.tools(body))
        for tool in tools:
            if tool.name.endswith(wanted):
                return Call(tool.name, tool.completed(arguments), tool.namespace)
        for tool in tools:
            if tool.name in SEARCHES and tool.name not in before:
                return Call(tool.name, {"query": f"select:mcp__fastcontext__{wanted}"})
        return None


def text_of(value: Any) -> str:
    """The text in an observation's content, whose blocks are joined by line ends."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, map(text_of, value)))
    if isinstance(value, dict):
        if set(value) <= {"type", "text", "cache_control"}:
            return str(value.get("text", ""))
        if set(value) <= {"output", "content"}:
            return text_of(list(value.values()))
        return json.dumps(value)
    return ""


def _id(prefix: str) -> str:
    return f"{prefix}_{time.time_ns()}"


def _blocks(body: Any, kind: str) -> Iterator[Any]:
    for message in body.get("messages", []):
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if block.get("type") == kind:
                yield block


def _anthropic_tools(body: Any) -> Iterator[Tool]:
    for tool in body.get("tools") or []:
        yield Tool(tool["name"], tool.get("description", ""), tool.get("input_schema"))


def _anthropic_answer(body: Any, call: Call | None) -> Any:
    block: dict[str, Any] = {"type": "text", "text": DONE}
    if call:
        block = {"type": "tool_use", "id": _id("toolu"), "name": call.name}
        block["input"] = dict(call.arguments)
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": body.get("model", ""),
        "content": [block],
        "stop_reason": "tool_use" if call else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 10},
    }


def _anthropic_stream(answer: Any) -> list[Event]:
    block = answer["content"][0]
    if block["type"] == "text":
        empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    stop = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**answer, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 10}},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def _chat_tools(body: Any) -> Iterator[Tool]:
    for tool in body.get("tools") or []:
        function = tool.get("function") or {}
        yield Tool(
            function.get("name", ""), function.get("description", ""), function.get("parameters")
        )


def _chat_calls(body: Any) -> Iterator[str]:
    for message in body.get("messages", []):
        for call in message.get("tool_calls") or []:
            yield call["function"]["name"]


def _chat_observations(body: Any) -> Iterator[str]:
    for message in body.get("messages", []):
        text = text_of(message.get("content"))
        # smolagents speaks as the user.
        if message["role"] == "tool" or text.startswith("Observation:"):
            yield text


def _chat_answer(body: Any, call: Call | None) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": None if call else DONE}
    if call:
        function = {"name": call.name, "arguments": call.dumped}
        message["tool_calls"] = [{"id": _id("call"), "type": "function", "function": function}]
    finish = "tool_calls" if call else "stop"
    return {
        "id": _id("chatcmpl"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
    }


def _chat_stream(answer: Any) -> list[Event]:
    whole = answer["choices"][0]
    delta = dict(whole["message"])
    for index, call in enumerate(delta.get("tool_calls", [])):
        call["index"] = index
    base = {**answer, "object": "chat.completion.chunk"}
    usage = base.pop("usage")
    first = {"index": 0, "delta": delta, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": whole["finish_reason"]}
    return [
        ("", {**base, "choices": [first]}),
        ("", {**base, "choices": [last]}),
        ("", {**base, "choices": [], "usage": usage}),
        ("", "[DONE]"),
    ]


def _items(body: Any) -> list[Any]:
    given = body.get("input")
    return given if isinstance(given, list) else []


def _responses_tools(body: Any) -> Iterator[Tool]:
    for tool in body.get("tools") or []:
        inner = tool.get("tools", []) if tool.get("type") == "namespace" else [tool]
        namespace = tool["name"] if tool.get("type") == "namespace" else ""
        for each in inner:
            yield Tool(
                each.get("name", ""), each.get("description", ""), each.get("parameters"), namespace
            )


def _responses_answer(body: Any, call: Call | None) -> Any:
    text = {"type": "output_text", "text": DONE, "annotations": []}
    item: dict[str, Any] = {"type": "message", "id": "msg_1", "role": "assistant"}
    item |= {"status": "completed", "content": [text]}
    if call:
        item = {"type": "function_call", "id": "fc_1", "call_id": _id("call"), "name": call.name}
        item |= {"arguments": call.dumped, "status": "completed"}
        if call.namespace:
            item["namespace"] = call.namespace
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": body.get("model", ""),
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 10,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 20,
        },
    }


def _responses_stream(answer: Any) -> list[Event]:
    item = answer["output"][0]
    begun = {**item, "status": "in_progress"}
    at = {"item_id": item["id"], "output_index": 0}
    if item["type"] == "message":
        begun["content"] = []
        text = item["content"][0]
        at["content_index"] = 0
        middle = [
            {"type": "response.content_part.added", **at, "part": {**text, "text": ""}},
            {"type": "response.output_text.delta", **at, "delta": DONE},
            {"type": "response.output_text.done", **at, "text": DONE},
        ]
    else:
        kind = "response.function_call_arguments"
        middle = [
            {"type": f"{kind}.delta", **at, "delta": item["arguments"]},
            {"type": f"{kind}.done", **at, "arguments": item["arguments"], "name": item["name"]},
        ]
    created = {**answer, "status": "in_progress", "output": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": created},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        *middle,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": answer},
    ]
    return [
        (event["type"], {**event, "sequence_number": number})
        for number, event in enumerate(events, 1)
    ]


def _gemini_tools(body: Any) -> Iterator[Tool]:
    for tool in body.get("tools") or []:
        for each in tool.get("functionDeclarations") or []:
            schema = each.get("parametersJsonSchema") or each.get("parameters")
            yield Tool(each["name"], each.get("description", ""), schema)


def _gemini_parts(body: Any, kind: str) -> Iterator[Any]:
    for message in body.get("contents", []):
        for part in message.get("parts", []):
            if kind in part:
                yield part[kind]


def _gemini_answer(body: Any, call: Call | None) -> Any:
    part: dict[str, Any] = {"text": DONE}
    if call:
        part = {"functionCall": {"name": call.name, "args": dict(call.arguments)}}
    content = {"role": "model", "parts": [part]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 10,
            "candidatesTokenCount": 10,
            "totalTokenCount": 20,
        },
        "modelVersion": "stand-in",
    }


DIALECTS = (
    Dialect(
        "/messages",
        _anthropic_tools,
        lambda body: (text_of(block.get("content")) for block in _blocks(body, "tool_result")),
        lambda body: (block["name"] for block in _blocks(body, "tool_use")),
        _anthropic_answer,
        _anthropic_stream,
    ),
    Dialect(
        "/chat/completions",
        _chat_tools,
        _chat_observations,
        _chat_calls,
        _chat_answer,
        _chat_stream,
    ),
    Dialect(
        "/responses",
        _responses_tools,
        lambda body: (
            text_of(each.get("output"))
            for each in _items(body)
            if each.get("type") == "function_call_output"
        ),
        lambda body: (each["name"] for each in _items(body) if each.get("type") == "function_call"),
        _responses_answer,
        _responses_stream,
    ),
    Dialect(
        "enerateContent",
        _gemini_tools,
        lambda body: (
            text_of(each.get("response")) for each in _gemini_parts(body, "functionResponse")
        ),
        lambda body: (each["name"] for each in _gemini_parts(body, "functionCall")),
        _gemini_answer,
        lambda answer: [("", answer)],
    ),
)


def dialect_of(path: str) -> Dialect | None:
    """The dialect of a request to ``path``, or None where it is no question to a model."""
    bare = path.partition("?")[0]
    if bare.endswith("count_tokens"):
        return None
    return next((each for each in DIALECTS if each.path in bare), None)

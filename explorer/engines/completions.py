"""Chat completion JSON, streamed or whole, turned into engine events.

Tolerant, because servers differ: null or missing fields, content as a list of parts, arguments as
an object, call pieces without an index or with the same index for several calls. Reasoning, in
``reasoning_content`` or ``reasoning``, is dropped.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from explorer.engines.protocol import CallDelta, EngineEvent, Finished, TextDelta
from explorer.hermes import lenient_json
from explorer.records import Usage


class _Function(BaseModel):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _CallPiece(BaseModel):
    index: int | None = None
    id: str | int | None = None
    function: _Function | None = None


class _Message(BaseModel):
    content: str | list[Any] | None = None
    tool_calls: list[_CallPiece] | None = None


class _Choice(BaseModel):
    index: int | None = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Chunk(BaseModel):
    object: str | None = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    message: Any = None
    code: Any = None


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class ServerError(Exception):
    """The server put an error object where a completion was due."""

    def __init__(self, message: str, code: int | None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _OpenCall:
    index: int
    id: str | None
    named: bool
    arguments: str


class Completion:
    """Collects one completion from its JSON texts."""

    def __init__(self) -> None:
        self._calls: dict[int, _OpenCall] = {}
        self._count = 0
        self._last_key = 0
        self._usage: Usage | None = None
        self.begun = False
        """Whether choices or usage came."""
        self.reason: str | None = None
        """The finish reason, once it came."""

    def read(self, text: str) -> list[EngineEvent]:
        """The deltas in one JSON text: a chunk of a stream, or a whole completion.

        An object with neither choices nor usage has none: servers send them as a sign of life.

        Raises:
            ServerError: the text is an error object.
            ValueError: the text is no JSON object, or a field of it is not what it has to be.
        """
        try:
            chunk = _Chunk.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"]) from None
        if chunk.error or chunk.object == "error":
            raise _server_error(chunk)
        self.begun = self.begun or chunk.choices is not None or chunk.usage is not None
        self._usage = _read_usage(chunk.usage) or self._usage
        events: list[EngineEvent] = []
        for choice in chunk.choices or ():
            if choice.index:
                continue  # Only one completion is ever asked for.
            self.reason = choice.finish_reason or self.reason
            message = choice.delta or choice.message
            if message:
                events += self._deltas(message)
        return events

    def finished(self) -> Finished:
        """The last event."""
        return Finished(self.reason, self._usage)

    def _deltas(self, message: _Message) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        if text := _text(message.content):
            events.append(TextDelta(text))
        # A whole completion numbers its calls by their order alone.
        pieces = message.tool_calls or []
        for place, piece in enumerate(pieces):
            key = piece.index
            if key is None:
                key = place if len(pieces) > 1 else self._last_key
            events.append(self._call_delta(piece, key))
        return events

    def _call_delta(self, piece: _CallPiece, key: int) -> CallDelta:
        function = piece.function or _Function()
        call_id = None if piece.id in (None, "") else str(piece.id)
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        call = self._calls.get(key)
        if call is None or _begins_another(call, call_id, function.name):
            call = _OpenCall(self._count, call_id, False, "")
            self._calls[key] = call
            self._count += 1
        name = None if call.named else function.name or None
        call.named = call.named or bool(name)
        call.id = call.id or call_id
        call.arguments += arguments
        self._last_key = key
        return CallDelta(call.index, call_id, name, arguments)


def _begins_another(call: _OpenCall, call_id: str | None, name: str | None) -> bool:
    """Whether a piece under the index of a call belongs to a new one.

    Ollama sends each parallel call whole, all with index 0; some servers repeat id and name with
    every piece of the same call.
    """
    if not name or not call.named:
        return False
    if call_id is not None and call.id is not None:
        return call_id != call.id
    return lenient_json.is_whole(call.arguments)


def _text(content: str | list[Any] | None) -> str:
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return content or ""


def _read_usage(value: Any) -> Usage | None:
    """The counts, or None when the server left out one that cannot be told from the others."""
    try:
        usage = _Usage.model_validate(value)
    except ValidationError:
        return None
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is not None and completion is None and usage.total_tokens is not None:
        completion = usage.total_tokens - prompt
    if prompt is None or completion is None or prompt < 0 or completion < 0:
        return None
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens if details else None) or 0
    return Usage(prompt, min(max(cached, 0), prompt), completion, requests=1)


def _server_error(chunk: _Chunk) -> ServerError:
    """The error in either of its forms: under ``error``, or as the object itself (vLLM)."""
    error = chunk.error or {"message": chunk.message, "code": chunk.code}
    if not isinstance(error, dict):
        return ServerError(str(error), None)
    code = error.get("code")
    message = error.get("message") or error.get("detail") or json.dumps(error)
    return ServerError(str(message), code if isinstance(code, int) else None)

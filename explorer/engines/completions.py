"""The body of a chat completion, streamed or whole, turned into engine events as it arrives.

It is tolerant, because servers differ: null or missing fields, content as a list of parts,
arguments as an object, call pieces without an index or with the same index for several calls.
Reasoning, in ``reasoning_content`` or ``reasoning``, is dropped, unless nothing else comes.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from explorer import lenient_json
from explorer.engines.protocol import CallDelta, EngineEvent, Finished, TextDelta
from explorer.engines.sse import SseDecoder
from explorer.limits import Usage


class _Function(BaseModel):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _CallPiece(BaseModel):
    index: int | None = None
    id: str | int | None = None
    function: _Function | None = None


class _Message(BaseModel):
    content: str | list[Any] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
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


class CompletionError(Exception):
    """The server sent an error object instead of a completion."""

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
    """One completion, collected from its JSON texts."""

    def __init__(self) -> None:
        self._calls: dict[int, _OpenCall] = {}
        self._count = 0
        self._last_key = 0
        self._usage: Usage | None = None
        self._reasoning: list[str] | None = []
        """None once anything else has come."""
        self.begun = False
        """Whether choices or usage have come."""
        self.reason: str | None = None
        """The finish reason, once it has come."""

    def read(self, text: str) -> list[EngineEvent]:
        """The deltas in one JSON text: a chunk of a stream, or a whole completion.

        An object with neither choices nor usage has none: servers send it to keep the connection.

        Raises:
            CompletionError: the text is an error object.
            ValueError: the text is not a JSON object, or a field has the wrong type.
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
                continue  # Only one choice is ever asked for.
            self.reason = choice.finish_reason or self.reason
            message = choice.delta or choice.message
            if message:
                events += self._deltas(message)
        return events

    def finished(self) -> Finished:
        """The last event."""
        return Finished(self.reason, self._usage, "".join(self._reasoning or ()))

    def _deltas(self, message: _Message) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        if text := _text(message.content):
            events.append(TextDelta(text))
        # In a whole completion the calls have no index: their order numbers them.
        pieces = message.tool_calls or []
        for place, piece in enumerate(pieces):
            key = piece.index
            if key is None:
                key = place if len(pieces) > 1 else self._last_key
            events.append(self._call_delta(piece, key))
        if pieces or text.strip():
            self._reasoning = None
        if self._reasoning is not None:
            # vLLM has renamed the field and some versions send both.
            self._reasoning.append(_text(message.reasoning_content) or _text(message.reasoning))
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
    """Whether a piece with the index of a known call belongs to a new one.

    Ollama sends each parallel call whole, all with index 0; some servers repeat id and name with
    every piece of the same call.
    """
    if not name or not call.named:
        return False
    if call_id is not None and call.id is not None:
        return call_id != call.id
    return lenient_json.is_whole(call.arguments)


def _text(content: Any) -> str:
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _read_usage(value: Any) -> Usage | None:
    """The counts; None when one is missing that does not follow from the others."""
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


def _server_error(chunk: _Chunk) -> CompletionError:
    """The error of either form: under ``error``, or as the object itself (vLLM)."""
    error = chunk.error or {"message": chunk.message, "code": chunk.code}
    if not isinstance(error, dict):
        return CompletionError(str(error), None)
    code = error.get("code")
    message = error.get("message") or error.get("detail") or json.dumps(error)
    return CompletionError(str(message), code if isinstance(code, int) else None)


_BLANK = b"\xef\xbb\xbf \t\r\n"


class NotACompletion(ValueError):
    """The body or one of its events is not a completion; ``text`` holds it."""

    def __init__(self, text: str) -> None:
        super().__init__("the body is not a chat completion")
        self.text = text


class CutShort(EOFError):
    """The body ended before the completion did."""


class CompletionStream:
    """Reads server-sent events, or the one JSON object of a server that does not stream.

    The first character tells them apart; the content type does not, because servers and proxies
    set it wrongly. A stream is complete with ``[DONE]`` or a finish reason.
    """

    def __init__(self) -> None:
        self._completion = Completion()
        self._decoder = SseDecoder()
        self._head = bytearray()
        self._streamed = False
        self._stray = ""
        """The first object that came before the completion and is not part of it."""
        self.done = False
        """Whether ``[DONE]`` has come; nothing after it is read."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing but white space has come."""
        return not self._streamed and not self._head

    def feed(self, chunk: bytes) -> list[EngineEvent]:
        """The deltas that this piece of the body completes.

        Raises:
            NotACompletion: an event is not a completion's JSON.
            EventTooLarge: an event does not end.
            CompletionError: an event is an error object.
        """
        if not self._streamed:
            # Blank lines keep a connection alive while the engine still reads the prompt.
            self._head += chunk if self._head else chunk.lstrip(_BLANK)
            if self._head[:1] in b"{[<":
                return []
            self._streamed = True
            chunk = bytes(self._head)
        return self._events(self._decoder.feed(chunk))

    def close(self) -> list[EngineEvent]:
        """The last events, the very last of them ``Finished``.

        Raises:
            NotACompletion: as in ``feed``, or the body held no event.
            CutShort: the completion is not complete.
            CompletionError: the body, or its last event, is an error object.
        """
        if self._streamed:
            events = self._events(self._decoder.close())
        else:
            events = self._events([self._head.decode("utf-8", "replace")])
        if not self.done and self._completion.reason is None:
            if stray := self._decoder.stray or self._stray:
                raise NotACompletion(stray)
            raise CutShort
        return [*events, self._completion.finished()]

    def _events(self, texts: list[str]) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        for text in texts:
            self.done = self.done or text.strip() == "[DONE]"
            if self.done:
                break
            if text.strip():
                events += self._read(text)
        return events

    def _read(self, text: str) -> list[EngineEvent]:
        try:
            events = self._completion.read(text)
        except ValueError:
            raise NotACompletion(text) from None
        if not self._completion.begun:
            self._stray = self._stray or text
        return events

"""The body of a chat completion answer, byte by byte as it arrives, turned into engine events."""

from explorer.engines.completions import Completion
from explorer.engines.protocol import EngineEvent
from explorer.engines.sse import SseDecoder

_BLANK = b"\xef\xbb\xbf \t\r\n"


class NotACompletion(ValueError):
    """The body, or an event in it, is something else; ``text`` holds it."""

    def __init__(self, text: str) -> None:
        super().__init__("the body is not a chat completion")
        self.text = text


class CutShort(EOFError):
    """The body ended before the completion did."""


class CompletionStream:
    """Reads server-sent events, or the one JSON object of a server that does not stream.

    Which of them it is shows in the first character; the content type is not relied on, because
    servers and proxies set it wrongly. A stream is complete with ``[DONE]`` or a finish reason.
    """

    def __init__(self) -> None:
        self._completion = Completion()
        self._decoder = SseDecoder()
        self._head = bytearray()
        self._streamed = False
        self._stray = ""
        """The first object that came before the completion and is no part of it."""
        self.done = False
        """Whether ``[DONE]`` came; nothing after it is read."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing came but white space."""
        return not self._streamed and not self._head

    def feed(self, chunk: bytes) -> list[EngineEvent]:
        """The deltas that this piece of the body completes.

        Raises:
            NotACompletion: an event is no JSON of a completion.
            sse.EventTooLarge: an event does not end.
            completions.ServerError: an event is an error object.
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
        """The last events, ``Finished`` the very last.

        Raises:
            NotACompletion: as ``feed``, or nothing in the body was an event.
            CutShort: the completion is not complete.
            completions.ServerError: the body, or its last event, is an error object.
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

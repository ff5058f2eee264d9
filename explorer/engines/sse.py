"""Server-sent events, decoded by hand because servers do not keep to the standard."""

import re

MAX_EVENT_BYTES = 8 * 2**20
"""The largest line or event that is kept. A chunk of a completion is below 1 kB, a whole answer
sent as one event below 100 kB; this bounds the memory that a broken server can take."""

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class EventTooLarge(ValueError):
    """A line or an event is larger than ``MAX_EVENT_BYTES``."""


class SseDecoder:
    """Turns bytes, split anywhere, into the ``data`` of each event.

    Tolerated are ``data:`` without a space after it, any of the three line ends, comments, other
    fields, data over several lines, and a last event without a blank line after it.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[str] = []
        self._held = b""
        self._line_bytes = 0
        self._data_chars = 0
        self.stray = ""
        """The first line that is not a field of an event; empty if all were."""

    def feed(self, chunk: bytes) -> list[str]:
        """The data of the events that this chunk completes.

        Raises:
            EventTooLarge: a line or event grows beyond ``MAX_EVENT_BYTES``.
        """
        chunk = self._held + chunk
        # Only the next byte shows whether a carriage return at the very end is a line end.
        self._held = b"\r" if chunk.endswith(b"\r") else b""
        done: list[str] = []
        at = 0
        for end in _LINE_END.finditer(chunk):
            self._line.append(chunk[at : end.start()])
            at = end.end()
            self._take_line(done)
        rest = chunk[at : len(chunk) - len(self._held)]
        self._line.append(rest)
        self._line_bytes += len(rest)
        if self._line_bytes + self._data_chars > MAX_EVENT_BYTES:
            raise EventTooLarge
        return done

    def close(self) -> list[str]:
        """The data of the last event, if no blank line came after it."""
        done: list[str] = []
        self._take_line(done)
        self._line.clear()
        self._take_line(done)
        return done

    def _take_line(self, done: list[str]) -> None:
        line = b"".join(self._line).decode("utf-8", "replace")
        self._line.clear()
        self._line_bytes = 0
        if not line:
            if self._data:
                done.append("\n".join(self._data))
                self._data.clear()
            self._data_chars = 0
            return
        name, colon, value = line.removeprefix("\ufeff").partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
            self._data_chars += len(value)
        elif name not in ("", "event", "id", "retry") or not colon:
            self.stray = self.stray or line

"""Hermes text, read while the model still writes it: prose, tool calls and the final answer.

Only what the model generates is ever parsed. Prompts, file contents and observations are not, so
text in a repository that imitates a tag stays text.

How the ambiguous cases are read:

* Tags are read in any letter case, and entity-escaped (``&lt;tool_call&gt;``); what stands inside
  an escaped pair is unescaped once.
* A tag between backticks is text, because it is only mentioned. So is an opening ``<tool_call>``
  with neither JSON nor a closing tag before the next tag or the end.
* Inside a JSON string of a call a tag is text. But JSON strings hold no raw line breaks, so two
  kinds of tags show that a closing quote was forgotten, and count: a tag with nothing but blanks
  between it and a line break or the end of the message, and an opening tag before ``{"name"``.
* A call ends at its closing tag or, without one, at the next tag; at the end of the message only
  if its JSON is complete, because otherwise it was cut off there.
* A call inside a final answer is taken out of it; an answer inside a call ends the call.
* ``<think>`` at the start of a line, outside calls and answers, drops everything up to
  ``</think>``.
* A ``</think>`` before any ``<think>`` closes one that the template had opened: all prose and
  answers before it were thought. Calls before it have begun to run, and stay.
* Other closing tags that close nothing are dropped.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from explorer.hermes.calls import Call, CallBody, Malformed, unescape

__all__ = [
    "Call",
    "FinalAnswer",
    "HermesEvent",
    "HermesParser",
    "Malformed",
    "Prose",
    "Thought",
]


@dataclass(frozen=True, slots=True)
class Prose:
    """Text outside calls, answers and thinking, in pieces whose sizes depend on the chunks."""

    text: str


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """One ``<final_answer>`` block, without white space at its ends. The last block counts."""

    text: str
    closed: bool
    """False when the closing tag was missing."""


@dataclass(frozen=True, slots=True)
class Thought:
    """All prose and answers before this were thinking."""


HermesEvent = Prose | Call | Malformed | FinalAnswer | Thought

_OPEN = r"(?:<|&lt;)"
_NAMES = ("tool_call", "final_answer", "thinking", "think")
_TAG = rf"{_OPEN}/?(?:{'|'.join(_NAMES)})[ \t]{{0,3}}(?:>|&gt;)"
_TAG_PARTS = re.compile(rf"{_OPEN}(?P<slash>/?)(?P<name>[a-z_]+)", re.IGNORECASE)
_PREFIXES = "|".join(
    sorted({name[:size] for name in _NAMES for size in range(1, len(name))}, key=len, reverse=True)
)
_PARTIAL_TAG = re.compile(
    r"&(?:l(?:t)?)?|"
    rf"{_OPEN}/?(?:{_PREFIXES}|(?:{'|'.join(_NAMES)})[ \t]{{0,3}}(?:&(?:g(?:t)?)?)?)?",
    re.IGNORECASE,
)
_MAX_TAG_CHARS = len("&lt;/final_answer   &gt;")
_TAG_START = re.compile("[<&]")

_AFTER_STRAY_TAG = re.compile(
    r"[ \t]{0,8}(?:[\r\n]|(?P<json>[\[{]\s{0,8}[\[{]?\s{0,8}[\"'](?:name|arguments|function)))"
)
_MAX_AFTER_CHARS = 8 + 2 + 8 + 8 + 1 + len("arguments")

_SCANS = {
    "text": re.compile(_TAG, re.IGNORECASE),
    "json": re.compile(rf"[\"'{{}}\[\]]|{_TAG}", re.IGNORECASE),
    '"': re.compile(rf"[\"\\]|{_TAG}", re.IGNORECASE),
    "'": re.compile(rf"['\\]|{_TAG}", re.IGNORECASE),
}


class _State(Enum):
    PROSE = auto()
    ANSWER = auto()
    CALL = auto()
    THINK = auto()


class HermesParser:
    """Turns a message into events, chunk by chunk; where the chunks are cut makes no difference.

    Time and memory are linear in the message: with each chunk only the few dozen characters that
    may still become a tag are looked at again.
    """

    def __init__(self) -> None:
        self._state = _State.PROSE
        self._in_answer = False
        """Whether an answer is open, even if a call inside it is being read."""
        self._tail = ""
        """What was fed but is not consumed yet."""
        self._final = False
        self._previous = ""
        """The last character consumed."""
        self._line_blank = True
        """Whether the line up to here is only white space and tags."""
        self._body = CallBody("")
        self._answer: list[str] = []
        self._answer_escaped = False
        self._events: list[HermesEvent] = []
        self._may_be_thought = True
        """Whether no ``think`` tag came yet, so that the template may have opened one."""
        self._kept: list[tuple[str, bool]] = []
        """What was consumed, and whether it is part of a call."""

    def kept(self) -> str:
        """Everything consumed except the thinking: verbatim, with its tags."""
        return "".join(text for text, _ in self._kept)

    def feed(self, text: str) -> list[HermesEvent]:
        """The events that this piece of the message makes certain."""
        data = self._tail + text
        at = 0
        while True:
            before, undecided = self._state, self._may_be_thought
            end = self._step(data, at)
            if end <= at:
                break
            states = (before, self._state)
            decided = undecided and not self._may_be_thought
            if decided and self._events[-1:] == [Thought()]:
                self._kept = [piece for piece in self._kept if piece[1]]
            elif _State.THINK not in states:
                self._kept.append((data[at:end], _State.CALL in states))
            at = end
        self._tail = data[at:]
        events, self._events = self._events, []
        return events

    def close(self) -> list[HermesEvent]:
        """The events that the end of the message makes certain; call it last."""
        self._final = True
        events = self.feed("")
        if self._state is _State.CALL:
            events += self._cut_call()
        if self._in_answer:
            self._finish_answer(closed=False)
            events += self._take_events()
        return events

    def _take_events(self) -> list[HermesEvent]:
        events, self._events = self._events, []
        return events

    # One step consumes the text before the next tag or mark, or the tag or mark itself.

    def _step(self, data: str, at: int) -> int:
        """Where the consumed text ends now; ``at`` when more text has to come first."""
        if at >= len(data):
            return at
        if self._state is _State.CALL and self._body.kind == "lead":
            return self._lead(data, at)
        scan = self._body.scan if self._state is _State.CALL else "text"
        found = _SCANS[scan].search(data, at)
        if not found:
            end = len(data) if self._final else _safe_end(data, at)
        else:
            end = found.start()
        if end > at:
            self._text(data[at:end])
            return end
        if not found or found.start() > at:
            return at
        if len(found[0]) > 1:
            return self._tag(data, found[0], found.end())
        if found[0] == "\\":
            return self._backslash(data, at)
        self._body.mark(found[0])
        self._previous = found[0]
        return found.end()

    def _lead(self, data: str, at: int) -> int:
        """Take the blanks at the start of a call; the character after them decides its kind."""
        end = at
        while end < len(data) and data[end].isspace():
            end += 1
        if end > at:
            self._text(data[at:end])
            return end
        if data[at] in "{[":
            self._body.kind = "json"
            return self._step(data, at)
        if data[at] in "<&":
            found = _SCANS["text"].match(data, at)
            if found:
                return self._tag(data, found[0], found.end())
            if not self._final and _PARTIAL_TAG.fullmatch(data, at):
                return at
        self._text(data[at])
        return at + 1

    def _backslash(self, data: str, at: int) -> int:
        end = at + 2
        if end > len(data) and not self._final:
            return at
        self._text(data[at:end])
        return min(end, len(data))

    def _text(self, text: str) -> None:
        self._previous = text[-1]
        match self._state:
            case _State.PROSE:
                self._events.append(Prose(text))
                line = text.rpartition("\n")
                self._line_blank = (bool(line[1]) or self._line_blank) and not line[2].strip()
            case _State.ANSWER:
                self._answer.append(text)
            case _State.CALL:
                self._body.add(text)
            case _State.THINK:
                pass

    # Tags.

    def _tag(self, data: str, tag: str, end: int) -> int:
        """Act on the tag that ends at ``end``, or take it as text, or wait for what follows it."""
        start = end - len(tag)
        if self._state is _State.CALL and self._body.quote:
            verdict = self._ends_string(data, tag, end)
        elif self._previous == "`":
            verdict = None if end == len(data) and not self._final else data[end : end + 1] != "`"
        else:
            verdict = True
        if verdict is None:
            return start
        parts = _TAG_PARTS.match(tag)
        closing, name = (bool(parts["slash"]), parts["name"].lower()) if parts else (False, "")
        if not verdict or not self._act(tag, name, closing):
            self._text(tag)
            return end
        self._previous = ">"
        return end

    def _ends_string(self, data: str, tag: str, end: int) -> bool | None:
        """Whether a tag in a JSON string shows that the string was never closed."""
        if "think" in tag.lower():
            return False
        if after := _AFTER_STRAY_TAG.match(data, end):
            return not after["json"] or "/" not in tag
        if self._final:
            return not data[end:].strip()
        return False if len(data) - end >= _MAX_AFTER_CHARS else None

    def _act(self, tag: str, name: str, closing: bool) -> bool:
        """Act on the tag; False when it is text here."""
        if self._state is _State.THINK:
            if closing and name.startswith("think"):
                self._state = _State.PROSE
            return True
        if name.startswith("think"):
            return self._think(closing)
        if self._state is _State.CALL:
            own = closing and name == "tool_call"
            self._finish_call(closed=own)
            if own:
                return True
        if closing:
            if name == "final_answer" and self._in_answer:
                self._finish_answer(closed=True)
            return True
        if name == "tool_call":
            self._body = CallBody(tag)
            self._state = _State.CALL
            return True
        if self._in_answer:
            self._finish_answer(closed=False)
        self._in_answer = True
        self._answer_escaped = tag.startswith("&")
        self._state = _State.ANSWER
        return True

    def _think(self, closing: bool) -> bool:
        if self._state is not _State.PROSE:
            return False
        if closing:
            if self._may_be_thought:
                self._events.append(Thought())
        elif self._line_blank:
            self._state = _State.THINK
        self._may_be_thought = False
        return closing or self._state is _State.THINK

    def _resume(self) -> None:
        """Go back to what the call stood in."""
        self._state = _State.ANSWER if self._in_answer else _State.PROSE

    def _finish_call(self, *, closed: bool) -> None:
        """End the call at its closing tag or, if that is missing, at another tag."""
        body = self._body
        self._resume()
        if closed or body.kind == "json":
            self._finish_body(body)
        elif body.kind == "other":
            self._text(body.opening_tag + body.text)

    def _finish_body(self, body: CallBody) -> None:
        self._events += body.events()
        if body.complete and body.prose_after:
            self._text(body.prose_after)

    def _cut_call(self) -> list[HermesEvent]:
        """The events of a call in which the message ended."""
        body = self._body
        self._resume()
        if body.kind == "other":
            self._text(body.opening_tag + body.text)
        elif body.kind == "json" and body.complete:
            self._finish_body(body)
        else:
            self._events.append(Malformed(body.text, "the call was cut off before its end"))
        return self._take_events()

    def _finish_answer(self, *, closed: bool) -> None:
        text = "".join(self._answer)
        text = (unescape(text) if self._answer_escaped else text).strip()
        self._answer.clear()
        self._in_answer = False
        self._state = _State.PROSE
        if text or closed:
            self._events.append(FinalAnswer(text, closed))


def _safe_end(data: str, at: int) -> int:
    """Where the text ends that can in no case become part of a tag."""
    for found in _TAG_START.finditer(data, max(at, len(data) - _MAX_TAG_CHARS)):
        if _PARTIAL_TAG.fullmatch(data, found.start()):
            return found.start()
    return len(data)

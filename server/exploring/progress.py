"""Says in words what a run is doing, at least every few seconds."""

import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio

from explorer.events import CallStarted, Event, Note, TurnStarted
from explorer.records import ToolCall
from server.exploring.report import one_line

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEARTBEAT_S = 4.0
"""Hosts that take silence for a hang wait at least 5 s."""
LOOK_S = 0.1
"""How often to look at what says nothing by itself."""
MESSAGE_CHARS = 120
"""Hosts show one line and cut it."""

_CALLS_CHARS = MESSAGE_CHARS - 24
"""Leaves room for the turn's number and the seconds."""

Say = Callable[[str], None]
"""Takes one short message; must not block."""


def ignore(_message: str) -> None:
    """Ignore a message."""


class Narrator:
    """Puts the events of a run into words; the calls of a turn share one message."""

    def __init__(self) -> None:
        self._turn = 0
        self._calls: list[str] = []

    def __call__(self, event: Event) -> str:
        """What the event means to somebody who is waiting; empty if nothing."""
        match event:
            case TurnStarted(turn=turn, final=final):
                return f"turn {turn}: {'writing the answer' if final else 'the model is thinking'}"
            case CallStarted(turn=turn, call=call):
                if turn != self._turn:
                    self._turn, self._calls = turn, []
                self._calls.append(call_in_words(call))
                return f"turn {turn}: {_together(self._calls)}"
            case Note(turn=turn, text=text):
                return f"turn {turn}: {text}"
        return ""


def call_in_words(call: ToolCall) -> str:
    """A call in short: ``grep retry|backoff``, ``read client.py``."""
    return f"{call.name.lower()} {_subject(call.arguments)}".rstrip()


def _together(calls: Sequence[str]) -> str:
    """The calls on one line; if there are too many, the first ones are only counted."""
    shown = ", ".join(calls)
    left_out = 0
    while len(shown) > _CALLS_CHARS and left_out < len(calls) - 1:
        left_out += 1
        shown = f"{left_out} more, " + ", ".join(calls[left_out:])
    return shown


def _subject(arguments: str) -> str:
    """The argument by which a person recognises a call: a pattern, or the end of a path."""
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(given, dict):
        return ""
    if pattern := given.get("pattern"):
        return one_line(str(pattern), 40)
    path = str(given.get("path") or "").rstrip("/")
    return one_line(path.rpartition("/")[2], 40)


class Feed:
    """The latest message, passed on when it changes and repeated while it does not."""

    def __init__(
        self,
        send: Callable[[float, str], Awaitable[None]],
        *,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """``send`` gets the seconds since the start, strictly increasing, and the message."""
        self._send = send
        self._heartbeat_s = heartbeat_s
        self._message = "starting"
        self._changed = anyio.Event()
        self._started = time.monotonic()

    def say(self, message: str) -> None:
        """Replace the latest message."""
        self._message = message
        self._changed.set()

    async def run(self) -> None:
        """Send messages until cancelled."""
        last = -1.0
        while True:
            elapsed_s = time.monotonic() - self._started
            last = max(elapsed_s, last + 0.001)
            tail = f" ({elapsed_s:.0f} s)"
            text = one_line(self._message, MESSAGE_CHARS - len(tail)) + tail
            self._changed = anyio.Event()
            try:
                await self._send(round(last, 3), text)
            except Exception:
                # Nobody is listening any more; the work itself goes on until it is cancelled.
                logger.debug("a progress message could not be sent", exc_info=True)
                return
            with anyio.move_on_after(self._heartbeat_s):
                await self._changed.wait()


async def reporting(
    send: Callable[[float, str], Awaitable[None]], work: Callable[[Say], Awaitable[T]]
) -> T:
    """What ``work(say)`` returns; what it says reaches ``send`` while it runs.

    Raises:
        Exception: what ``work`` raised, not wrapped in a group.
    """
    feed = Feed(send)
    return await beside(feed.run, partial(work, feed.say))


async def following(look: Callable[[], str], say: Say, every_s: float = LOOK_S) -> None:
    """Say what ``look`` returns, at once and when it returns something else, until cancelled."""
    said = ""
    while True:
        if (seen := look()) != said:
            said = seen
            say(seen)
        await anyio.sleep(every_s)


async def beside(
    companion: Callable[[], Coroutine[Any, Any, None]], work: Callable[[], Awaitable[T]]
) -> T:
    """What ``work`` returns; ``companion`` runs until then.

    Raises:
        Exception: what ``work`` raised, not wrapped in a group.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(companion)
        try:
            result = await work()
        except Exception as error:
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result

"""Which of several endpoints to ask, so that a prompt finds its beginning in the prefix cache.

A prompt's beginning decides the endpoint (rendezvous hashing: when one fails or joins, only its own
prompts move), unless that endpoint has clearly more to do than the others. An exploration stays
where it began. An endpoint that failed is left out for a while, longer each time.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PAUSE_S = 2.0
"""How long an endpoint that failed is left out; doubled with each further failure."""
LONGEST_PAUSE_S = 60.0
OVERLOAD = 1.5
"""An endpoint with more than this many times the mean number of requests is passed over."""
_REMEMBERED = 4_096


@dataclass(slots=True)
class _Member:
    name: str
    running: int = 0
    failures: int = 0
    out_until: float = 0.0


class EndpointPool:
    """Chooses among endpoints by name. To be used from one thread."""

    def __init__(
        self, names: Sequence[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not names or len(set(names)) != len(names):
            raise ValueError(f"endpoints must be distinct and at least one, not {list(names)!r}")
        self._members = [_Member(name) for name in names]
        self._clock = clock
        self._places: OrderedDict[str, str] = OrderedDict()

    def order(self, prefix: str, exploration: str) -> list[str]:
        """Names in the order in which to try them.

        Args:
            prefix: what many prompts begin with, such as a repository's system prompt.
            exploration: what all requests of one exploration begin with.
        """
        now = self._clock()
        ranked = sorted(self._members, key=lambda each: _weight(prefix, each.name))
        there = [each for each in ranked if each.out_until <= now]
        # Those left out come last: when no other answers, one of them may be back.
        rest = sorted((each for each in ranked if each.out_until > now), key=lambda e: e.out_until)
        mean = sum(each.running for each in there) / max(1, len(there))
        most = math.ceil(OVERLOAD * mean + 1)
        free = [each for each in there if each.running < most]
        busy = sorted((each for each in there if each.running >= most), key=lambda e: e.running)
        names = [each.name for each in (*free, *busy, *rest)]
        kept = self._places.get(exploration)
        if kept is not None and any(each.name == kept for each in there):
            names.remove(kept)
            names.insert(0, kept)
        return names

    def began(self, name: str, exploration: str) -> None:
        """A request was given to an endpoint."""
        self._member(name).running += 1
        self._places[exploration] = name
        self._places.move_to_end(exploration)
        if len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)

    def ended(self, name: str, *, failed: bool = False) -> None:
        """That request is over; a failed one leaves its endpoint out for a while."""
        member = self._member(name)
        member.running = max(0, member.running - 1)
        if not failed:
            member.failures = 0
            return
        pause_s = min(LONGEST_PAUSE_S, PAUSE_S * 2**member.failures)
        member.failures += 1
        member.out_until = self._clock() + pause_s

    def _member(self, name: str) -> _Member:
        return next(each for each in self._members if each.name == name)


def _weight(prefix: str, name: str) -> bytes:
    return hashlib.blake2b(f"{name}\0{prefix}".encode(), digest_size=8).digest()

"""The one form of a time limit: how much time was given, and how much of it is left."""

import time
from collections.abc import Callable
from typing import Self

_LAST_STEP_SHARE = 0.35
"""Largest share of the total time that is reserved for the last step."""


class Deadline:
    """A time limit of ``total_s`` seconds, which begins to run when the object is made.

    ``now`` is the clock, in seconds. Cancel scopes are made from ``left_s``.
    """

    def __init__(self, total_s: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self.total_s = total_s
        self._now = now
        self._began = now()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the deadline began to run."""
        return self._now() - self._began

    @property
    def left_s(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.total_s - self.elapsed_s)

    def earlier(self, reserve_s: float) -> Self:
        """A deadline that begins now and ends ``reserve_s`` before this one."""
        return type(self)(max(0.0, self.left_s - reserve_s), now=self._now)

    def is_short_for(self, last_step_s: float) -> bool:
        """Whether the time left is needed for a last step of ``last_step_s`` seconds."""
        return self.left_s < min(_LAST_STEP_SHARE * self.total_s, last_step_s)

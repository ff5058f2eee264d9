"""The one form in which time is limited: what has to be done by when."""

import time
from collections.abc import Callable
from typing import Self

_LAST_STEP_SHARE = 0.35
"""Most of the time that is kept for a last step."""


class Deadline:
    """A moment, and the time that was given until then; it begins to run when it is made.

    ``now`` is the clock, in seconds. Every cancel scope is made from ``left_s``.
    """

    def __init__(self, total_s: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self.total_s = total_s
        self._now = now
        self._began = now()

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return self._now() - self._began

    @property
    def left_s(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self.total_s - self.elapsed_s)

    def earlier(self, reserve_s: float) -> Self:
        """A deadline that begins now and ends ``reserve_s`` before this one."""
        return type(self)(max(0.0, self.left_s - reserve_s), now=self._now)

    def is_short_for(self, last_step_s: float) -> bool:
        """Whether what is left is needed for a last step that takes so long."""
        return self.left_s < min(_LAST_STEP_SHARE * self.total_s, last_step_s)

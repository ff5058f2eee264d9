"""How much of a run's time is left, and how much of it the last request needs."""

import time

_ANSWER_SHARE = 0.35
"""Most of the deadline that is kept for the last request."""

_LEAST_ANSWER_S = 1.0


class Clock:
    """The time of one run; it begins to run when it is made."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        """Seconds that the run may take."""
        self._started = time.monotonic()
        self._slowest_turn_s = 0.0

    def took(self, turn_s: float) -> None:
        """Learn how long a turn took."""
        self._slowest_turn_s = max(self._slowest_turn_s, turn_s)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._started

    @property
    def is_short(self) -> bool:
        """Whether what is left is needed for the last request.

        That is as long as the slowest turn so far, and a little.
        """
        reserve_s = max(_LEAST_ANSWER_S, 1.25 * self._slowest_turn_s)
        return self.deadline_s - self.elapsed_s < min(_ANSWER_SHARE * self.deadline_s, reserve_s)

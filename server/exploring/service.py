"""Answers questions about repositories, several at a time, and keeps what they share."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
import anyio.abc

from explorer.engines.protocol import Engine
from explorer.events import Listener
from explorer.repository.ripgrep import never_run_from
from server.exploring.course import Course
from server.exploring.engines import Engines, EngineStatus, endpoint_client
from server.exploring.open_repositories import OpenRepositories, OpenRepository
from server.exploring.progress import Say, ignore
from server.exploring.question import Question
from server.exploring.report import Report
from server.homes import index_dir
from server.settings import Settings

if TYPE_CHECKING:
    from server.exploring.open_repositories import RepositoryWatch

_SCOUTS = 2
"""Maximum number of scouts running at once, as they are limited by the processor."""


class ExplorationService:
    """Answers one question after another, several at a time. An async context manager."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine_factory: Callable[[Settings], Engine] = endpoint_client,
        listener: Listener | None = None,
        once: bool = False,
    ) -> None:
        """``listener`` hears the events of every run by the model.

        ``once``: the process ends after one question.
        """
        self.settings = settings
        for root in settings.roots:
            never_run_from(root)
        self.listener = listener
        self.engines = Engines(settings, engine_factory)
        self.repositories = OpenRepositories(
            index_dir(), once=once, reader=settings.reader == "auto"
        )
        self._watch: RepositoryWatch | None = None

    async def __aenter__(self) -> Self:
        self._model_slots = anyio.CapacityLimiter(self.settings.max_concurrent)
        self.scout_slots = anyio.CapacityLimiter(_SCOUTS)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.engines.close()
        self.repositories.close()

    async def explore(self, question: Question, say: Say = ignore) -> Report:
        """The report, at the latest shortly after the question's deadline.

        Raises:
            ExplorationFailed: no explorer could answer, or only the scout, which was not allowed.
            UsageError: no endpoint is configured for it, or the record cannot be written.
        """
        return await Course(question, self, say).run()

    async def status(self) -> EngineStatus:
        """Whether the chosen explorer is ready; asks the endpoint."""
        slots = self._model_slots.statistics()
        return await self.engines.status(slots.borrowed_tokens, slots.tasks_waiting)

    @asynccontextmanager
    async def model_slot(self, say: Say) -> AsyncIterator[None]:
        """A slot at the model; ``say`` is told if others are waiting for one."""
        ahead = self._model_slots.statistics().tasks_waiting
        if self._model_slots.available_tokens < 1:
            count = "another exploration" if ahead == 0 else f"{ahead + 1} other explorations"
            say(f"waiting for {count}")
        async with self._model_slots:
            yield

    def keep_warm(self, group: anyio.abc.TaskGroup) -> None:
        """Watch repositories from their first question on, in a task group that outlives it."""
        from server.exploring.open_repositories import RepositoryWatch

        local = self.engines.expected_local()
        self._watch = RepositoryWatch(group, local=local, busy=self._is_busy)

    def watch(self, root: Path, repository: OpenRepository) -> None:
        """Follow a repository that a question is about; a warm-up that is running gives way."""
        if self._watch is not None:
            self._watch.give_way()
            self._watch.watch(root, repository)

    def _is_busy(self) -> bool:
        return self._model_slots.borrowed_tokens > 0 or self.scout_slots.borrowed_tokens > 0

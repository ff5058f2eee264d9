"""One question, checked and complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.errors import UsageError
from server.exploring.repositories import Repository, from_process
from server.protocol.arguments import clean_query
from server.settings import EngineChoice, Settings, client_project_dir


@dataclass(frozen=True, slots=True)
class Ask:
    """Everything that an exploration depends on: nothing in it is left to a default."""

    query: str
    repository: Repository
    engine: EngineChoice
    fallback: bool
    max_turns: int | None
    """None: what the model was made for."""
    max_citations: int
    deadline_s: float
    include_hidden: bool
    record_dir: Path | None
    notes: tuple[str, ...] = ()
    """What was put right about the question itself."""


def make_ask(
    settings: Settings,
    query: str,
    *,
    path: str = "",
    client_roots: Sequence[str] = (),
    max_turns: int = 0,
    max_citations: int = 0,
    include_hidden: bool = False,
) -> Ask:
    """A question from what a caller gave; 0 and empty mean what the settings say.

    Raises:
        UsageError: the query is empty, or trajectories would be written into the repository.
        RepositoryError: there is no repository to explore, or it is refused.
    """
    text, cut = clean_query(query)
    if not text:
        raise UsageError(
            "the query is empty", 'ask in a sentence, such as "where are retries delayed?"'
        )
    resolver = from_process(settings.roots, client_project_dir())
    repository = resolver.resolve(path, client_roots)
    _refuse_recording_inside(settings.record_dir, repository.root)
    return Ask(
        query=text,
        repository=repository,
        engine=settings.engine,
        fallback=settings.fallback,
        max_turns=max_turns or settings.max_turns,
        max_citations=max_citations or settings.max_citations,
        deadline_s=settings.deadline_s,
        include_hidden=include_hidden or settings.include_hidden,
        record_dir=settings.record_dir,
        notes=tuple(note for note in (repository.note, cut) if note),
    )


def _refuse_recording_inside(record_dir: Path | None, root: Path) -> None:
    if record_dir is not None and record_dir.resolve().is_relative_to(root):
        raise UsageError(
            f"trajectories would be written into the explored repository: {str(record_dir)!r}",
            "give a directory outside of it",
        )

"""One question, checked and complete, and the limits of its run."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from explorer.limits import LoopSettings, Sampling, TokenLimits, defaults_for
from server.errors import UsageError
from server.exploring.repositories import Repository, from_process, refuse_hidden
from server.homes import client_project_dir
from server.settings import EngineChoice, Settings

QUERY_CHARS = 16_000
"""About 4,000 tokens. Longer queries are cut in the middle: bug reports end with the error."""
_TAIL_CHARS = 4_000
_HIDDEN_REFUSED = (
    "hidden, secret and ignored files were not searched: include_hidden is set to false"
)
MIN_ANSWER_BYTES = 1_000
"""The shortest answer that can be asked for; the settings know the same bound."""


def clean_query(query: str) -> tuple[str, str]:
    """The query as it can be sent and searched for, and a note if part of it was left out."""
    # A lone surrogate cannot be sent as UTF-8; NUL and other controls mean nothing in a question.
    valid = query.encode("utf-8", "replace").decode("utf-8")
    text = "".join(char for char in valid if char in "\n\t" or ord(char) >= 32).strip()
    if len(text) <= QUERY_CHARS:
        return text, ""
    cut = len(text) - QUERY_CHARS
    head = text[: QUERY_CHARS - _TAIL_CHARS]
    note = f"{cut:,} characters in the middle of the query were left out"
    return f"{head}\n...\n{text[-_TAIL_CHARS:]}", note


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that an exploration depends on, with the settings filled in."""

    query: str
    repository: Repository
    engine: EngineChoice
    fallback: bool
    max_turns: int | None
    """None: the model's default."""
    max_citations: int
    deadline_s: float
    include_hidden: bool
    record_dir: Path | None
    max_bytes: int
    """Maximum bytes of the answer's text, in UTF-8."""
    code: bool = True
    """Whether the answer shows code of the first places."""
    outlines: bool = False
    """Whether the caller shows the outlines of the cited files."""
    notes: tuple[str, ...] = ()
    """What the caller should know about the question itself, such as that it was cut."""


def make_question(
    settings: Settings,
    query: str,
    *,
    path: str = "",
    client_roots: Sequence[str] = (),
    max_turns: int | None = None,
    max_citations: int | None = None,
    max_bytes: int | None = None,
    include_hidden: bool = False,
    code: bool = True,
    outlines: bool = False,
) -> Question:
    """A question from what a caller gave; for None, 0 and empty values the settings apply.

    Raises:
        UsageError: the query is empty.
        RepositoryError: there is no repository to explore, or it is refused.
    """
    text, cut = clean_query(query)
    if not text:
        raise UsageError(
            "the query is empty", 'ask in a sentence, such as "where are retries delayed?"'
        )
    resolver = from_process(settings.roots, client_project_dir())
    repository = resolver.resolve(path, client_roots)
    allowed = settings.include_hidden
    if allowed is False:
        refuse_hidden(repository.root)
    refused = _HIDDEN_REFUSED if include_hidden and allowed is False else ""
    return Question(
        query=text,
        repository=repository,
        engine=settings.engine,
        fallback=settings.fallback,
        max_turns=max_turns or settings.max_turns,
        max_citations=max_citations or settings.max_citations,
        deadline_s=settings.deadline_s,
        include_hidden=include_hidden if allowed is None else allowed,
        record_dir=settings.record_dir,
        max_bytes=max(MIN_ANSWER_BYTES, max_bytes or settings.answer_bytes),
        code=code,
        outlines=outlines,
        notes=tuple(note for note in (repository.note, cut, refused) if note),
    )


def loop_settings(
    settings: Settings, question: Question, model: str, window: int | None
) -> LoopSettings:
    """The limits of one run: those that are set, or else the model's defaults.

    ``window`` is the context that the server says it has, in tokens; the run stays within it.
    """
    defaults = defaults_for(model)
    context = settings.context_tokens or defaults.context_tokens
    if window:
        context = min(context, window)
    standard, sampling = TokenLimits(), defaults.sampling
    given = {each.name: getattr(settings, each.name) for each in fields(Sampling)}
    return LoopSettings(
        max_turns=question.max_turns or defaults.max_turns,
        sampling=replace(sampling, **{name: n for name, n in given.items() if n is not None}),
        limits=TokenLimits(
            context=context,
            answer=min(settings.max_tokens or defaults.max_tokens, context // 4),
            turn=min(standard.turn, context // 4),
            result=min(standard.result, context // 8),
        ),
        max_citations=question.max_citations,
    )

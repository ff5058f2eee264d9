"""The record of one question: its file, and the events that the loop does not know."""

import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from explorer.events import LinesCited, RunStarted
from explorer.records import Citation, OutlineEntry
from explorer.repository.paths import PathProblem
from explorer.repository.secrets import mask_secrets
from explorer.trajectory import TrajectoryError, TrajectoryWriter
from server.errors import UsageError
from server.exploring.question import Question

if TYPE_CHECKING:
    from explorer.repository.workspace import Workspace

CODE_LINES_SHOWN = 80
"""Maximum lines of one cited place in the record and on its page."""
_LONGEST_NAME = 40
_LINE_CHARS = 500
"""Maximum length of a cited line in the record; minified files have lines of megabytes."""


def open_record(question: Question) -> TrajectoryWriter:
    """A listener that writes the trajectory of a question to a new file in its record folder.

    Raises:
        UsageError: it cannot be written, or would lie in the repository.
    """
    assert question.record_dir is not None
    slug = re.sub(r"[^a-z0-9]+", "-", question.query[:200].lower()).strip("-")[:_LONGEST_NAME]
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug}-{secrets.token_hex(3)}.jsonl"
    try:
        return TrajectoryWriter(question.record_dir / name, repository=question.repository.root)
    except TrajectoryError as error:
        raise UsageError(
            str(error), "choose a directory outside the repository that can be written to"
        ) from None


def begun_by_scout(question: Question) -> RunStarted:
    """The beginning of a run by the scout, which has no prompt."""
    settings = {"max_citations": question.max_citations, "deadline_s": question.deadline_s}
    return RunStarted(question.query, "", "scout", (), (), settings)


def lines_cited(
    citations: Iterable[Citation],
    workspace: "Workspace",
    outlines: Mapping[str, Sequence[OutlineEntry]] | None = None,
) -> list[LinesCited]:
    """The lines that a page shows of cited places that can still be read. Reads files, blocking.

    ``outlines``: by path; each is recorded with the first place in its file.
    """
    found: list[LinesCited] = []
    left = dict(outlines or {})
    for each in citations:
        count = min(each.end - each.start + 1, CODE_LINES_SHOWN)
        try:
            window = workspace.window(each.path, each.start, count, line_bytes=_LINE_CHARS)
        except PathProblem:
            continue
        if window.lines:
            text = mask_secrets("\n".join(line[:_LINE_CHARS] for line in window.lines))
            outline = tuple(left.pop(each.path, ()))
            found.append(LinesCited(each.path, window.start, tuple(text.split("\n")), outline))
    return found

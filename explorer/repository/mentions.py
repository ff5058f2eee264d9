"""The files that a question names although they are hidden or ignored, so that it can be said."""

import os
import re
from pathlib import Path

from explorer.repository.listing import ASK_FOR_HIDDEN
from explorer.repository.paths import is_git_store, is_hidden_name, is_one_line, shown, split
from explorer.repository.workspace import Workspace

_MAX_TOKENS = 50
_MAX_NAMED = 3
_PATH = re.compile(r"(?:[\w.@+~-]+/)*[\w.@+~-]+", re.ASCII)


def hidden_mentions(workspace: Workspace, question: str) -> tuple[str, ...]:
    """A sentence for each file or directory that the question names and that is not shown.

    A name without a slash counts if it begins with a dot. Blocks for some calls of ``lstat``.
    """
    if workspace.include_hidden:
        return ()
    tokens = [token for token in _PATH.findall(question) if "/" in token or token.startswith(".")]
    found: dict[str, None] = {}
    for token in tokens[:_MAX_TOKENS]:
        parts = split(token.rstrip("."))
        path = "/".join(parts or ())
        if path and _is_unshown(workspace, path):
            found[path] = None
    return tuple(_sentence(path) for path in list(found)[:_MAX_NAMED])


def _sentence(path: str) -> str:
    how = "hidden" if is_hidden_name(path) else "ignored by git"
    return f"{shown(path)} is {how} and was not searched; {ASK_FOR_HIDDEN}"


def _is_unshown(workspace: Workspace, path: str) -> bool:
    if is_git_store(path) or not is_one_line(path):
        return False
    listing = workspace.listing
    if path in listing.file_set or path in listing.directories:
        return False
    try:
        real = Path(os.path.realpath(workspace.root / path, strict=True))
    except (OSError, ValueError):
        return False
    # A link inside is shown as what it leads to.
    return real == workspace.root / path

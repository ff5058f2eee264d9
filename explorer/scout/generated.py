"""Which files tools have written: lock files, coverage, caches, build output.

They hold many words and nothing that anyone wrote, so they come behind sources.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from explorer.scout.tokens import Mask

_NAME: Final = re.compile(
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|packages\.lock\.json|pnpm-lock\.ya?ml"
    r"|conda-lock\.ya?ml|bun\.lockb?|go\.(?:work\.)?sum|gradle\.lockfile|[^/]*\.lock(?:\.hcl)?"
    r"|(?:package|cartfile)\.resolved|lcov\.info|(?:coverage|cobertura|clover|jacoco)[^/]*\.xml"
    r"|coverage(?:-[^/]*)?\.json|[^/]*\.tsbuildinfo|[^/]*\.(?:min|bundle)\.(?:css|js|mjs)"
    r"|[^/]*\.(?:css|js|mjs)\.map|[^/]*\.egg-info/[^/]*)$",
    re.IGNORECASE,
)
# A folder named ``build``, ``cache``, ``coverage``, ``out`` or ``target`` may hold sources, so what
# is in it, or beside it, has to show that it is output.
_FOLDER: Final = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|site-packages|__pycache__|htmlcov|lcov-report"
    r"|_build|\.(?:nyc_output|cache|next|nuxt|gradle|tox|mypy_cache|pytest_cache|ruff_cache)"
    r"|build/(?:lib|bdist[^/]*|classes|generated|intermediates|reports|static|tmp)"
    r"|dist/(?:assets|cjs|css|esm|js|static|umd)"
    r"|target/(?:classes|debug|doc|generated[^/]*|release|site|surefire-reports)"
    r"|out/(?:artifacts|production|test)|bin/(?:debug|release)|obj/(?:debug|release))/"
    r"|(?:^|/)(?:cache|coverage)/(?:[^/]*/)*[^/]*\.(?:css|html?|info|json|txt|xml)$"
    r"|^(?:build|dist|out)/(?:[^/]*/)*[^/]*\.(?:css|html?|json|txt|xml)$"
    r"|^(?:build|dist|out)/[^/]*\.(?:bundle|chunk|[0-9a-f]{8,20})\.(?:css|js|mjs)$",
    re.IGNORECASE,
)


def are_generated(paths: Sequence[str]) -> Mask:
    """Whether each file is one that tools write, by its path."""
    found = (bool(_NAME.search(path) or _FOLDER.search(path)) for path in paths)
    return np.fromiter(found, np.bool_, len(paths))

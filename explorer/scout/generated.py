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
    r"|[^/]*\.(?:css|js|mjs)\.map|[^/]*\.egg-info/[^/]*|[^/]*\.pb(?:\.gw)?\.go|[^/]*\.pb\.(?:cc|h)"
    r"|[^/]*_pb2(?:_grpc)?\.pyi?|[^/]*\.(?:g|freezed)\.dart|zz_generated[^/]*\.go"
    r"|[^/]*\.designer\.cs|api/[^/]*\.api"
    r"|[^/]*amalgamat(?:ed|ion)[^/]*\.(?:[ch]|cc|cpp|cxx|hpp|hxx))$",
    re.IGNORECASE,
)
# A folder named ``build``, ``cache``, ``coverage``, ``out`` or ``target`` may hold sources, so what
# is in it, or beside it, has to show that it is output.
_FOLDER: Final = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|site-packages|__pycache__|single_include|htmlcov"
    r"|lcov-report|_build"
    r"|\.(?:nyc_output|cache|next|nuxt|gradle|tox|mypy_cache|pytest_cache|ruff_cache)"
    r"|build/(?:lib|bdist[^/]*|classes|generated|intermediates|reports|static|tmp)"
    r"|dist/(?:assets|cjs|css|esm|js|static|umd)"
    r"|target/(?:classes|debug|doc|generated[^/]*|release|site|surefire-reports)"
    r"|out/(?:artifacts|production|test)|bin/(?:debug|release)|obj/(?:debug|release))/"
    r"|(?:^|/)(?:cache|coverage)/(?:[^/]*/)*[^/]*\.(?:css|html?|info|json|txt|xml)$"
    r"|^(?:build|dist|out)/(?:[^/]*/)*[^/]*\.(?:css|html?|json|txt|xml)$"
    r"|^(?:build|dist|out)/[^/]*\.(?:bundle|chunk|[0-9a-f]{8,20})\.(?:css|js|mjs)$",
    re.IGNORECASE,
)


_SUFFIXES: Final = frozenset(
    (
        "api c cc cpp cs css cxx dart go h hcl hpp htm html hxx info js json lock lockb lockfile"
        " map mjs py pyi resolved sum tsbuildinfo txt xml yaml yml"
    ).split()
)
"""Those of all files that the patterns above know by more than their folder."""


def are_generated(paths: Sequence[str]) -> Mask:
    """Whether each file is one that tools write, by its path."""

    def is_either(path: str) -> bool:
        return bool(_NAME.search(path) or _FOLDER.search(path))

    folders = [path.rpartition("/")[0] for path in paths]
    inside = {folder: is_either(f"{folder}/") for folder in set(folders)}
    found = (
        inside[folder] or (path.rpartition(".")[2].lower() in _SUFFIXES and is_either(path))
        for path, folder in zip(paths, folders, strict=True)
    )
    return np.fromiter(found, np.bool_, len(paths))

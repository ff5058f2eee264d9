"""What a file's path says: its terms, its name, and what kind of file it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.tokens import MAX_SCAN_BYTES, PAD, Hashes, Mask, long_enough, scan

CODE_SUFFIXES: Final = frozenset(
    """
    ada adb ads asm astro bash c cc cjs clj cljc cljs coffee cpp cr cs css cu cuh cxx d dart el elm
    erl ex exs f f90 fs fsx go gradle groovy h hh hpp hrl hs hxx idl inl ipp java jl js jsx kt kts
    less lisp lua m mjs mk ml mli mm mts nim nix pas php phtml pl pm proto ps1 py pyi pyx r rake rb
    rkt rs sass scala scm scss sh sol sql svelte swift tcl tf thrift ts tsx v vb vhd vue wat zig zsh
    cts tcc erb pxd
    """.split()
)
DOCUMENT_SUFFIXES: Final = frozenset("md mdx rst txt adoc asciidoc org tex html htm pod".split())
_TEST: Final = re.compile(
    r"(?:^|/)(?:tests?|specs?|__tests__|testing|testdata|fixtures?|e2e|__snapshots__|mocks?"
    r"|integration-tests?|packages-private)(?:/|$)"
    r"|(?:^|/)(?:test_[^/]*|conftest\.py)$"
    r"|[._-](?:test|tests|spec|unittest)\.\w+$|_test\.go$"
    r"|(?:[a-z0-9](?:Test|Tests|TestCase|IT|Spec))\.\w+$",
)
_ASIDE: Final = re.compile(
    r"(?:^|/)(?:docs?|documentation|examples?|samples?|demos?|bench(?:es|marks?)?|changelogs?"
    r"|website|vendor|third_party|thirdparty|deps|node_modules|dist|build|generated|gen"
    r"|migrations?|locales?|i18n|scripts?|tools?|ci|playground|templates?)(?:/|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class PathIndex:
    """The paths of a repository, looked at once for each list of files."""

    paths: tuple[str, ...]
    owner: NDArray[np.int32]
    """Of each entry: which path."""
    terms: Hashes
    in_name: Mask
    """Of each entry: it stands in the file's name without suffix, not in a directory's."""
    stem_whole: Hashes
    """Of each path: the hash of the file's whole name without suffixes."""
    name_size: NDArray[np.float32]
    """Of each path: how many terms its name has."""
    is_test: Mask
    is_aside: Mask
    """Documentation, examples, benchmarks, vendored and generated files, by their directory."""
    is_code: Mask
    is_document: Mask
    is_header: Mask
    depth: NDArray[np.float32]
    common: NDArray[np.float32]
    """Of each path: the share of its suffix among the files of code."""


def index_paths(paths: Sequence[str]) -> PathIndex:
    """The path index of the paths."""
    paths = tuple(paths)
    names = [path.rpartition("/")[2] for path in paths]
    stems = [name.lstrip(".").partition(".")[0] or name for name in names]
    suffixes = [name.rpartition(".")[2].lower() if "." in name else "" for name in names]
    is_test = np.array([bool(_TEST.search(path)) for path in paths], np.bool_)
    is_code = np.array([suffix in CODE_SUFFIXES for suffix in suffixes], np.bool_)
    counts: dict[str, int] = {}
    for suffix, code, test in zip(suffixes, is_code.tolist(), is_test.tolist(), strict=True):
        if code and not test:
            counts[suffix] = counts.get(suffix, 0) + 1
    total = max(1, sum(counts.values()))
    directories = [path.rpartition("/")[0] for path in paths]
    owner, terms, _ = _terms(directories)
    name_owner, name_terms, _ = _terms(stems)
    name_size = np.bincount(name_owner, minlength=len(paths)).astype(np.float32)
    in_name = np.zeros(len(terms) + len(name_terms), np.bool_)
    in_name[len(terms) :] = True
    return PathIndex(
        paths=paths,
        owner=np.concatenate([owner, name_owner]),
        terms=np.concatenate([terms, name_terms]),
        in_name=in_name,
        stem_whole=_terms(stems)[2],
        name_size=name_size,
        is_test=is_test,
        is_aside=np.array([bool(_ASIDE.search(each)) for each in directories], np.bool_),
        is_code=is_code,
        is_document=np.array([suffix in DOCUMENT_SUFFIXES for suffix in suffixes], np.bool_),
        is_header=np.array([suffix in ("h", "hpp", "hh", "pyi") for suffix in suffixes], np.bool_),
        depth=np.array([path.count("/") for path in paths], np.float32),
        common=np.array([counts.get(suffix, 0) / total for suffix in suffixes], np.float32),
    )


def _terms(texts: Sequence[str]) -> tuple[NDArray[np.int32], Hashes, Hashes]:
    """Owner and term of each part and compound of the texts; and of each text its whole's hash."""
    owners: list[NDArray[np.int32]] = []
    terms: list[Hashes] = []
    wholes = np.zeros(len(texts), np.uint32)
    begin = 0
    while begin < len(texts):
        chunk: list[bytes] = []
        size = 0
        while begin + len(chunk) < len(texts) and size < MAX_SCAN_BYTES // 4:
            chunk.append(texts[begin + len(chunk)].encode("utf-8", "replace"))
            size += len(chunk[-1]) + 1
        array = np.frombuffer(PAD + b"\n".join(chunk) + PAD, np.uint8)
        starts = np.cumsum([len(PAD)] + [len(text) + 1 for text in chunk[:-1]])
        found = scan(array)
        keep = long_enough(found, array)
        part = np.searchsorted(starts, found.start[keep], side="right") - 1
        word = np.searchsorted(starts, found.word_start, side="right") - 1
        several = found.compound
        owners.append((np.concatenate([part, word[several]]) + begin).astype(np.int32))
        terms.append(np.concatenate([found.term[keep], found.word_term[several]]))
        wholes[begin + word[::-1]] = found.word_term[::-1]
        begin += len(chunk)
    if not owners:
        return np.zeros(0, np.int32), np.zeros(0, np.uint32), wholes
    return np.concatenate(owners), np.concatenate(terms), wholes

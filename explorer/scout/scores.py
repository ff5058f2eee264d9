"""Scores of every file for a query, from the index and from its path, and the first ranking."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.folding import fold, plain
from explorer.scout.generated import are_generated
from explorer.scout.habits import asides, has_any, superseded, tests
from explorer.scout.query import Query
from explorer.scout.rows import Postings
from explorer.scout.texts import CODE_SUFFIXES
from explorer.scout.tokens import (
    MAX_SCAN_BYTES,
    PAD,
    Floats,
    Hashes,
    Indexes,
    Mask,
    is_among,
    long_enough,
    scan,
)

DOCUMENT_SUFFIXES: Final = frozenset("md mdx rst txt adoc asciidoc org tex html htm pod".split())
_TEST_AFFIX: Final = re.compile(
    r"^tests?_|_(?:test|tests|spec|unittest)$|(?:Tests?|TestCase|Spec|IT)$"
)

_MAYBE_AFFIX: Final = ("est", "pec", "IT")
"""One of these is in each name that has such an affix."""


@dataclass(frozen=True, slots=True)
class PathIndex:
    """What a repository's paths say, computed once for each list of files."""

    paths: tuple[str, ...]
    owner: Indexes
    """The path of each entry."""
    terms: Hashes
    """The term of each entry."""
    in_name: Mask
    """Whether each entry is in the file's name without suffix, not in a directory's."""
    stem_whole: Hashes
    """The hash of the first whole word of each file's name."""
    name_size: Floats
    """How many terms each file's name has."""
    is_test: Mask
    is_aside: Mask
    """Documentation, examples, benchmarks, vendored and generated files, by their directory."""
    is_generated: Mask
    """Lock files, coverage, caches, build output."""
    is_old: Mask
    """Files of an older version than others beside them."""
    is_code: Mask
    is_document: Mask
    is_header: Mask
    depth: Floats
    common: Floats
    """The share of each file's suffix among the files of code."""
    partner: Indexes
    """The number of the name that a file shares with its test, as ``pool`` with ``test_pool``."""


def index_paths(paths: Sequence[str]) -> PathIndex:
    """What the paths say."""
    paths = tuple(paths)
    names = [path.rpartition("/")[2] for path in paths]
    stems = [name.lstrip(".").partition(".")[0] or name for name in names]
    suffixes = [name.rpartition(".")[2].lower() if "." in name else "" for name in names]
    is_test = tests(paths)
    is_code = np.array([suffix in CODE_SUFFIXES for suffix in suffixes], np.bool_)
    counts: dict[str, int] = {}
    for suffix, code, test in zip(suffixes, is_code.tolist(), is_test.tolist(), strict=True):
        if code and not test:
            counts[suffix] = counts.get(suffix, 0) + 1
    total = max(1, sum(counts.values()))
    directories = [path.rpartition("/")[0] for path in paths]
    owner, terms = _terms_of_folders(directories)
    name_owner, name_terms, stem_whole = _terms(stems)
    name_size = np.bincount(name_owner, minlength=len(paths)).astype(np.float32)
    in_name = np.zeros(len(terms) + len(name_terms), np.bool_)
    in_name[len(terms) :] = True
    return PathIndex(
        paths=paths,
        owner=np.concatenate([owner, name_owner]),
        terms=np.concatenate([terms, name_terms]),
        in_name=in_name,
        stem_whole=stem_whole,
        name_size=name_size,
        is_test=is_test,
        is_aside=asides(paths, is_code),
        is_generated=are_generated(paths),
        is_old=superseded(paths),
        is_code=is_code,
        is_document=np.array([suffix in DOCUMENT_SUFFIXES for suffix in suffixes], np.bool_),
        is_header=np.array([suffix in ("h", "hpp", "hh", "pyi") for suffix in suffixes], np.bool_),
        depth=np.array([path.count("/") for path in paths], np.float32),
        partner=_partners(stems),
        common=np.array([counts.get(suffix, 0) / total for suffix in suffixes], np.float32),
    )


def _partners(stems: Sequence[str]) -> Indexes:
    numbers: dict[str, int] = {}
    found = []
    for stem in stems:
        bare = _TEST_AFFIX.sub("", stem) if has_any(stem, _MAYBE_AFFIX) else stem
        bare = bare.lower().replace("_", "") or stem
        found.append(numbers.setdefault(bare, len(numbers)))
    return np.array(found, np.int32)


def _terms_of_folders(folders: Sequence[str]) -> tuple[Indexes, Hashes]:
    """Owner and term as ``_terms`` has them, of texts of which many are the same."""
    number = {folder: at for at, folder in enumerate(dict.fromkeys(folders))}
    owner, terms, _ = _terms(list(number))
    order = np.argsort(owner, kind="stable")
    sizes = np.bincount(owner, minlength=len(number))
    starts = np.cumsum(sizes) - sizes
    which = np.array([number[folder] for folder in folders], np.int64)
    count = sizes[which]
    shift = starts[which] - (np.cumsum(count) - count)
    at = np.repeat(shift, count) + np.arange(int(count.sum()))
    return np.repeat(np.arange(len(folders), dtype=np.int32), count), terms[order][at]


def _terms(texts: Sequence[str]) -> tuple[Indexes, Hashes, Hashes]:
    """Owner and term of each part and compound of the texts; and the hash of each first word."""
    owners: list[Indexes] = []
    terms: list[Hashes] = []
    wholes = np.zeros(len(texts), np.uint32)
    begin = 0
    while begin < len(texts):
        chunk: list[bytes] = []
        size = 0
        while begin + len(chunk) < len(texts) and size < MAX_SCAN_BYTES // 4:
            chunk.append(fold(texts[begin + len(chunk)].encode("utf-8", "replace")))
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


Scores = dict[str, Floats]

# Robertson and Zaragoza, "The probabilistic relevance framework" (2009): the usual range.
_K1: Final = 1.2
_B: Final = 0.6
_SYMBOL_GAIN: Final = 5.0
_NAME_GAIN: Final = 6.0
_DIRECTORY_GAIN: Final = 2.0


def rarity(lengths: Indexes, found: Postings, terms: int) -> Floats:
    """The inverse document frequency of each term, 0 for one that occurs nowhere."""
    files = max(1, int(np.count_nonzero(lengths)))
    frequency = np.bincount(found.term, minlength=terms).astype(np.float32)
    idf = np.log(1.0 + (files - frequency + 0.5) / (frequency + 0.5))
    return np.where(frequency > 0, np.maximum(idf, 0.01), 0.0).astype(np.float32)


def score_files(
    found: Postings, lengths: Indexes, paths: PathIndex, query: Query
) -> tuple[Scores, Floats]:
    """Each score for all files, and the weight of each term: its rarity times its own weight.

    ``found`` and ``lengths`` are those of the files of ``paths``, in their order.
    """
    count, terms = len(paths.paths), len(query.terms)
    idf = rarity(lengths, found, terms)
    path_hits = np.flatnonzero(is_among(paths.terms, query.terms))
    path_term = np.searchsorted(query.terms, paths.terms[path_hits])
    path_owner = paths.owner[path_hits]
    path_in_name = paths.in_name[path_hits]
    # A term that is only in names has no document frequency: it is as rare as can be.
    in_paths = np.bincount(path_term, minlength=terms) > 0
    idf = np.where((idf == 0) & in_paths, np.log(1.0 + count), idf).astype(np.float32)
    weight = idf * query.weight

    full = lengths[lengths > 0]
    mean = max(1.0, float(full.mean())) if len(full) else 1.0
    norm = (1.0 - _B + _B * lengths / mean).astype(np.float32)

    def total(values: NDArray[np.floating], owner: Indexes) -> Floats:
        return np.bincount(owner, weights=values, minlength=count).astype(np.float32)

    def bm25(gain: Floats, norms: Floats) -> Floats:
        saturated = found.count * (_K1 + 1) / (found.count + _K1 * norms[found.file])
        return total(gain[found.term] * saturated, found.file)

    own = weight[found.term]
    scores: Scores = {
        "body": bm25(weight, norm),
        "flat": bm25(weight, np.ones_like(norm)),
        "title": bm25(weight * query.title, norm),
        "lead": bm25(weight * query.lead, norm),
        "rare": total(own * (idf[found.term] > np.log(max(2.0, count / 8))), found.file),
        "code": bm25(weight * query.code, norm),
        "whole": bm25(weight * query.whole, norm),
        "cover": total(own, found.file) / max(1e-6, float(weight.sum())),
        "symbol": total(own * (found.symbol > 0), found.file),
        "symbol_code": total(
            own * (found.symbol > 0) * query.whole[found.term].astype(np.float32), found.file
        ),
    }
    # BM25F: the occurrences in all fields are added up before they are saturated.
    key = found.file.astype(np.int64) * terms + found.term
    field = found.count / norm[found.file] + _SYMBOL_GAIN * found.symbol
    path_key = path_owner.astype(np.int64) * terms + path_term
    path_value = np.where(path_in_name, _NAME_GAIN, _DIRECTORY_GAIN).astype(np.float32)
    keys = np.concatenate([key, path_key])
    distinct, place = np.unique(keys, return_inverse=True)
    mass = np.bincount(place, weights=np.concatenate([field, path_value]))
    gain = weight[(distinct % terms).astype(np.int64)] if terms else mass
    owner = (distinct // max(1, terms)).astype(np.int32)
    scores["fields"] = total((gain * mass * (_K1 + 1) / (mass + _K1)), owner)

    path_weight = weight[path_term]
    scores["path"] = _once(path_owner, path_term, path_weight, terms, count)
    name_owner, name_term = path_owner[path_in_name], path_term[path_in_name]
    name_weight = path_weight[path_in_name]
    scores["name"] = _once(name_owner, name_term, name_weight, terms, count)
    named = np.bincount(name_owner, minlength=count).astype(np.float32)
    scores["name_share"] = np.minimum(1.0, named / np.maximum(1.0, paths.name_size))
    whole_at = np.flatnonzero(is_among(paths.stem_whole, query.terms))
    scores["stem"] = np.zeros(count, np.float32)
    scores["stem"][whole_at] = weight[np.searchsorted(query.terms, paths.stem_whole[whole_at])]
    scoped = np.where(query.scope[path_term], path_weight, 0)
    scores["scope"] = _once(path_owner, path_term, scoped, terms, count)
    tests = np.where(paths.is_test, scores["fields"], 0)
    best = np.zeros(int(paths.partner.max()) + 1 if count else 0, np.float32)
    np.maximum.at(best, paths.partner, tests)
    scores["partner"] = np.where(paths.is_test, 0, best[paths.partner]).astype(np.float32)
    scores["mention"] = _mentions(paths, query)
    return scores, weight


def _once(
    owner: Indexes,
    term: NDArray[np.int64],
    weight: Floats,
    terms: int,
    count: int,
) -> Floats:
    """The sum of the weights of each owner's distinct terms."""
    key, first = np.unique(owner.astype(np.int64) * max(1, terms) + term, return_index=True)
    owners = key // max(1, terms)
    return np.bincount(owners, weights=weight[first], minlength=count).astype(np.float32)


def _mentions(paths: PathIndex, query: Query) -> Floats:
    """1 for a file that the query names with its suffix, 2 with a directory; namesakes share it."""
    result = np.zeros(len(paths.paths), np.float32)
    if not query.paths:
        return result
    by_name: dict[str, list[int]] = {}
    wanted = {each.rpartition("/")[2] for each in query.paths}
    for index, path in enumerate(paths.paths):
        name = plain(path.rpartition("/")[2]).casefold()
        if name in wanted:
            by_name.setdefault(name, []).append(index)
    for each in query.paths:
        directory, _, name = each.rpartition("/")
        for index in by_name.get(name, ()):
            value = 1.0 / len(by_name[name])
            if directory:
                value += _common_tail(plain(paths.paths[index]).casefold(), each)
            result[index] = max(result[index], value)
    return result


def _common_tail(path: str, mentioned: str) -> float:
    """1.0 if both have the same directory above the file, else 0."""
    return float(path.split("/")[-2:-1] == mentioned.split("/")[-2:-1])


CANDIDATES: Final = 48
"""How many files are read for a query; 96% of the files sought are among them."""

_FIRST: Final = {"body": 1.0, "fields": 1.4, "symbol": 0.5, "name": 0.5, "code": 0.4, "path": 0.2}
_TEST_GAIN, _ASIDE_GAIN, _NO_CODE_GAIN, _DOCUMENT_GAIN = 0.45, 0.6, 0.35, 0.6

GENERATED_GAIN: Final = 0.01
"""What a generated file is worth beside others: they come behind all likely sources."""


def sought_kind(paths: PathIndex, seeks: frozenset[str]) -> Mask:
    """Whether each file is of a kind that the question asks for beside sources."""
    kinds = {
        "tests": paths.is_test,
        "documents": paths.is_document,
        "settings": ~paths.is_code & ~paths.is_document & ~paths.is_generated,
    }
    sought = np.zeros(len(paths.paths), np.bool_)
    for kind in seeks:
        sought |= kinds[kind]
    return sought


def first_ranking(scores: Scores, paths: PathIndex, seeks: frozenset[str] = frozenset()) -> Floats:
    """How much each file is worth reading, by the index alone."""
    total = np.zeros(len(paths.paths), np.float32)
    for name, gain in _FIRST.items():
        total += gain * share(scores[name])
    prior = np.where(paths.is_test, _TEST_GAIN, 1.0) * np.where(paths.is_aside, _ASIDE_GAIN, 1.0)
    prior *= np.where(paths.is_code, 1.0, _NO_CODE_GAIN) * np.where(
        paths.is_document, _DOCUMENT_GAIN, 1.0
    )
    prior = np.where(sought_kind(paths, seeks), 1.0, prior)
    prior *= np.where(paths.is_generated, GENERATED_GAIN, 1.0)
    ranking = total * prior + 2.0 * np.minimum(scores["mention"], 2.0)
    return np.asarray(ranking, np.float32)


def choose_candidates(ranking: Floats, count: int = CANDIDATES) -> NDArray[np.int64]:
    """The best files, best first; ties go by path."""
    count = min(count, len(ranking))
    top = np.argpartition(-ranking, count - 1)[:count] if count else np.zeros(0, np.int64)
    top = top[np.lexsort((top, -ranking[top]))]
    return top[ranking[top] > 0]


def share(values: Floats) -> Floats:
    """The values as shares of the largest."""
    most = np.float32(values.max()) if len(values) else np.float32(0)
    return np.asarray(values / most if most > 0 else np.zeros_like(values), np.float32)

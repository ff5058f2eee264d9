"""From all files to the few whose texts are read, and from their cells to places worth citing."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.field import Field
from explorer.scout.paths import PathIndex
from explorer.scout.scores import Scores

CANDIDATES: Final = 48
"""Files whose texts are read for one query; 95% of the files sought are among them."""

Floats = NDArray[np.float32]

_FIRST: Final = {"body": 1.0, "fields": 1.4, "symbol": 0.5, "name": 0.5, "code": 0.4, "path": 0.2}
_PEAKS: Final = {"near": 0.8, "around": 0.8, "block": 0.5, "pairs_near": 0.4, "quoted_near": 0.2}
_CELL: Final = {"around": 1.0, "near": 1.0, "own": 0.5, "pairs_near": 0.5, "quoted_near": 0.3}
_TEST, _ASIDE, _NO_CODE, _DOCUMENT = 0.45, 0.6, 0.35, 0.6


@dataclass(frozen=True, slots=True)
class Place:
    """Consecutive cells of one candidate."""

    file: int
    start: int
    end: int
    score: float


def share(values: Floats) -> Floats:
    """The values as shares of the largest."""
    most = float(values.max()) if len(values) else 0.0
    return values / np.float32(most) if most > 0 else np.zeros_like(values)


def first_ranking(scores: Scores, paths: PathIndex) -> Floats:
    """Of each file how likely it is to be worth reading, from the index alone."""
    total = np.zeros(len(paths.paths), np.float32)
    for name, gain in _FIRST.items():
        total += gain * share(scores[name])
    prior = np.where(paths.is_test, _TEST, 1.0) * np.where(paths.is_aside, _ASIDE, 1.0)
    prior *= np.where(paths.is_code, 1.0, _NO_CODE) * np.where(paths.is_document, _DOCUMENT, 1.0)
    ranking: Floats = total * prior + 2.0 * np.minimum(scores["mention"], 2.0)
    return ranking.astype(np.float32)


def choose_candidates(ranking: Floats, count: int = CANDIDATES) -> NDArray[np.int64]:
    """The best files, best first; ties go by path."""
    count = min(count, len(ranking))
    top = np.argpartition(-ranking, count - 1)[:count] if count else np.zeros(0, np.int64)
    top = top[np.lexsort((top, -ranking[top]))]
    return top[ranking[top] > 0]


def rank_candidates(first: Floats, field: Field) -> Floats:
    """Of each candidate its final score: the first ranking and its best cells."""
    result = share(first) * 2.5
    for name, gain in _PEAKS.items():
        peaks = np.array([field.features[name][a:b].max() for a, b in field.spans], np.float32)
        result += gain * share(peaks)
    return result


def best_places(field: Field, file: int, most: int) -> list[Place]:
    """The best ranges of a candidate, best first: the best cell with good neighbours, and so on."""
    begin, end = (int(each) for each in field.spans[file])
    score = np.zeros(end - begin, np.float32)
    for name, gain in _CELL.items():
        score += gain * share(field.features[name][begin:end])
    places: list[Place] = []
    left = score.copy()
    while len(places) < most:
        peak = int(np.argmax(left))
        best = float(left[peak])
        if places and best < 0.75 * places[0].score:
            break
        low = high = peak
        if low > 0 and left[low - 1] > 0.8 * best:
            low -= 1
        if high + 1 < len(left) and left[high + 1] > 0.8 * best:
            high += 1
        start, stop = int(field.first[begin + low]), int(field.last[begin + high])
        places.append(Place(file, start, max(start, stop), best))
        left[max(0, low - 1) : high + 2] = 0
    return places

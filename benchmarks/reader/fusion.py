"""Fit how the reader's scores are weighed against the words', and say what that gives.

``--records`` are files of ``benchmarks.reader.collect``, ``--scores`` the files of the same names
that ``benchmarks.reader.scoring`` wrote. Cross-validated by repository over the records to fit on;
the other records are answered with the weights of all.
"""

import argparse
import json
import lzma
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.questions_report import f1, same_file
from benchmarks.scout_training import fit_logistic
from explorer.scout.fusion import (
    DEFINITION_COLUMNS,
    FILE_COLUMNS,
    Fusion,
    Values,
    definition_columns,
    file_columns,
    fuse,
    parse_fusion,
)
from explorer.scout.judging import FEATURES
from explorer.scout.networks import calibration_features, file_chances, how_many_files
from explorer.scout.places import LIKELY, LONG_TEXT_LINES, MOST_CITED, word_weights

PARTS: Final = 6
_MOST_FILES: Final = 6
_OF_COMMENTS: Final = ("doc", "doc_share", "cover", "cover_share")
"""These say nothing where the documentation of what is sought is hidden."""
_BUDGETS: Final = (48, 64, 80, 112)
"""How many passages are read; a task is seen with one of them."""
_MEDIUM: Final = 0.4
"""Below this chance the first file was right in 31% of the plain tasks, 30% of the long ones."""
_FILE_HIGH, _PLACE_HIGH = 0.92, 0.95
"""How often the first file, and the first place, has to be right where it is said to be sure; more
than the 90% that are promised, since other repositories are asked about."""
_READER_PRIOR: Final = {"reader": 0.0, "behind": 0.8, "behind_in_file": 0.2}
_FILE_PRIOR: Final = {"chance": 1.0, "best": 0.3, "sum": 0.3, "named": 0.5}


@dataclass(slots=True)
class Example:
    """A task with all that is known of its files and definitions."""

    record: dict[str, Any]
    chances: Values
    table: Values
    owner: NDArray[np.int64]
    read: Values
    right_files: NDArray[np.bool_]
    right: NDArray[np.bool_]

    @property
    def kind(self) -> str:
        """``plain`` or ``long``."""
        return "plain" if self.record["plain"] else "long"

    @property
    def repository(self) -> str:
        """Which one it is about."""
        task = self.record["task"]
        return str(task.get("repo") or task.get("slug"))


def load(records: Path, scores: Path | None, budget: int | None = None) -> list[Example]:
    """The examples of a file of records; ``budget`` passages are read, or some of ``_BUDGETS``."""
    found = []
    with lzma.open(records, "rt") as file:
        rows = [json.loads(line) for line in file]
    known = {}
    if scores is not None:
        with lzma.open(scores, "rt") as file:
            known = {each["id"]: each["scores"] for each in map(json.loads, file)}
    for number, record in enumerate(rows):
        most = budget or _BUDGETS[number % len(_BUDGETS)]
        found.append(_example(record, known.get(record["id"]), most))
    return found


def _example(record: dict[str, Any], scores: list[float] | None, most: int) -> Example:
    definitions = record["definitions"]
    read = np.full(len(definitions), np.nan)
    for (row, *_), score in zip(record["read"][:most], scores or [], strict=False):
        read[row] = np.fmax(read[row], score)
    ranges = sought(record)
    right = np.zeros(len(definitions), np.bool_)
    for row, (file, *_, start, end, head, _size) in enumerate(definitions):
        of_file = ranges.get(record["paths"][file], ())
        right[row] = any(start <= b and a <= end for a, b in of_file) and (
            record["task"].get("kind") not in ("doc", "name") or any(a == head for a, b in of_file)
        )
    return Example(
        record,
        np.array(record["chances"], np.float64),
        np.array(record["features"], np.float64).reshape(-1, len(FEATURES)),
        np.array([each[0] for each in definitions], np.int64),
        read,
        np.array([any(same_file(path, each) for each in ranges) for path in record["paths"]]),
        right,
    )


def sought(record: dict[str, Any]) -> dict[str, list[tuple[int, int]]]:
    """The paths sought, with ranges where these are known."""
    task = record["task"]
    if "files" in task:
        return {path: [tuple(each) for each in ranges] for path, ranges in task["files"].items()}
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for each in task.get("relevant") or task.get("gold") or ():
        found[each["path"]] += [(each["start"], each["end"])] if "start" in each else []
    return dict(found)


def fit(examples: Sequence[Example], pull: float) -> dict[str, dict[str, Any]]:
    """The record of weights for both kinds of question."""
    return {kind: _fit_kind(examples, kind, pull) for kind in ("plain", "long")}


def _fit_kind(examples: Sequence[Example], kind: str, pull: float) -> dict[str, Any]:
    """Tasks of the other kind count a quarter."""
    counts = Counter((each.repository, each.record["task"]["kind"]) for each in examples)
    shares = np.array(
        [
            (1.0 if each.kind == kind else 0.25)
            * min(1.0, 12 / counts[each.repository, each.record["task"]["kind"]])
            for each in examples
        ]
    )
    tables = [file_columns(e.chances, e.table, e.owner, e.read) for e in examples]
    prior = np.array([_FILE_PRIOR.get(name, 0.0) for name in FILE_COLUMNS])
    files = conditional_logit(tables, [e.right_files for e in examples], shares, prior, pull)
    raws = [table @ files for table in tables]
    read = [n for n, each in enumerate(examples) if not each.record["alone"]]
    own = [n for n in read if examples[n].kind == kind] or read
    features = np.concatenate([calibration_features(raws[n]) for n in own]).astype(np.float64)
    right = np.concatenate([examples[n].right_files for n in own]).astype(np.float64)
    calibration = fit_logistic(features, right, 0.1)
    chances = [file_chances(calibration, raw) for raw in raws]
    tables = [
        definition_columns(c, e.table, e.owner, e.read)
        for c, e in zip(chances, examples, strict=True)
    ]
    hidden = [DEFINITION_COLUMNS.index(name) for name in _OF_COMMENTS]
    for table, each in zip(tables, examples, strict=True):
        if each.record["task"]["kind"] == "doc":
            table[:, hidden] = 0.0
    prior = np.array([*word_weights(), *(_READER_PRIOR[n] for n in DEFINITION_COLUMNS[-3:])])
    right_ones = [each.right for each in examples]
    definitions = conditional_logit(tables, right_ones, shares, prior, pull)
    high, _ = _thresholds(
        [(chances[n].max(), bool(examples[n].right_files[np.argmax(raws[n])])) for n in own],
        _FILE_HIGH,
    )
    firsts = []
    for n in own:
        if len(tables[n]):
            scores = tables[n] @ definitions
            share = np.exp(scores - scores.max())
            firsts.append((1.0 / share.sum(), bool(examples[n].right[np.argmax(scores)])))
    place_high, place_medium = _thresholds(firsts, _PLACE_HIGH)
    return {
        "files": dict(zip(FILE_COLUMNS, np.round(files, 4).tolist(), strict=True)),
        "calibration": {
            "weight": np.round(calibration.weight, 6).tolist(),
            "bias": round(calibration.bias, 6),
        },
        "definitions": dict(
            zip(DEFINITION_COLUMNS, np.round(definitions, 4).tolist(), strict=True)
        ),
        "high": high,
        "medium": _MEDIUM,
        "place_high": place_high,
        "place_medium": place_medium,
    }


def _thresholds(firsts: Sequence[tuple[float, bool]], high: float) -> tuple[float, float]:
    """The lowest chances from which on the first is right in the share ``high``, and in 60%."""
    ordered = sorted(firsts, reverse=True)

    def lowest(precision: float) -> float:
        right, best = 0, 1.01
        for count, (chance, hit) in enumerate(ordered, 1):
            right += hit
            if count >= 20 and right >= precision * count:
                best = chance
        return round(float(best), 4)

    return lowest(high), lowest(0.6)


def conditional_logit(
    tables: Sequence[Values],
    right: Sequence[NDArray[np.bool_]],
    shares: Values,
    prior: Values,
    pull: float,
) -> Values:
    """Weights by Adam on the log loss of choosing any of the right rows, drawn to the prior."""
    chosen = [n for n, each in enumerate(right) if each.any() and not each.all()]
    scale = np.concatenate([tables[n] for n in chosen]).std(axis=0) + 0.05
    weight = prior.astype(np.float64).copy()
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    random = np.random.default_rng(0)
    epochs, size, step = 14, 64, 0
    steps = epochs * -(-len(chosen) // size)
    for _ in range(epochs):
        order = random.permutation(chosen)
        for begin in range(0, len(order), size):
            slope = pull * (weight - prior) * scale / max(1.0, float(shares[chosen].sum()))
            batch = order[begin : begin + size].tolist()
            for n in batch:
                scores = tables[n] @ weight
                every = np.exp(scores - scores.max())
                hit = every * right[n]
                gap = every / every.sum() - hit / max(1e-12, float(hit.sum()))
                slope += shares[n] * (tables[n].T @ gap) / scale / len(batch)
            step += 1
            first = 0.9 * first + 0.1 * slope
            second = 0.999 * second + 0.001 * slope * slope
            rate = 0.05 * min(1.0, 8 * step / steps) * (1 - step / (steps + 1))
            move = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            weight -= rate * move / scale
    return weight


Row = dict[str, float]


def answer(each: Example, fusion: Fusion | None) -> Row:
    """What the answer is worth; without a fusion that of the words alone."""
    if fusion is None or each.record["alone"]:
        chances, order = each.chances, np.argsort(-each.chances, kind="stable")
        scores = each.table @ np.array(word_weights())
    else:
        chances, scores = fuse(fusion, each.chances, each.table, each.owner, each.read)
        order = np.argsort(-chances, kind="stable")
    count = each.record["count"] if each.record["alone"] else how_many_files(chances, _MOST_FILES)
    right = each.right_files[order]
    ranges = sought(each.record)
    found = float(right[:count].sum())
    row = {
        "hit1": float(right[0]),
        "hit3": float(right[:3].any()),
        "file_f1": 2 * found / (count + max(1, len(ranges))),
        "ndcg": _ndcg(right[:10], max(1, len(ranges))),
        "files": float(count),
        "high": float(chances.max() >= fusion.levels.high) if fusion else np.nan,
    }
    if row["high"] == 1:
        row["high_right"] = row["hit1"]
    if not any(ranges.values()) or not len(scores):
        return row
    best = np.argsort(-scores, kind="stable")
    share = 1.0 / np.exp(scores - scores.max()).sum()
    row |= {
        "first": float(each.right[best[0]]),
        "three": float(each.right[best[:3]].any()),
        "rank": float(np.flatnonzero(each.right[best]).min(initial=99)),
        "sure": float(share >= fusion.levels.place_high) if fusion else np.nan,
    }
    if row["sure"] == 1:
        row["sure_right"] = row["first"]
    return row | _of_functions(each, best, scores, order[:count].tolist())


def _of_functions(each: Example, best: Any, scores: Values, cited: list[int]) -> Row:
    """The F1 of lines and of functions of the definitions that would be cited."""
    lines, names = 0, set()
    found: set[tuple[str, int]] = set()
    taken = 0
    ranges = sought(each.record)
    wanted = {(p, n) for p, rs in ranges.items() for a, b in rs for n in range(a, b + 1)}
    for row in best.tolist():
        file, name, kind, start, end, *_ = each.record["definitions"][row]
        likely = scores[row] >= scores.max() + np.log(LIKELY)
        if taken and (not likely or taken >= MOST_CITED or file not in cited):
            continue
        if taken and lines + end - start > LONG_TEXT_LINES:
            continue
        taken += 1
        lines += end - start + 1
        path = each.record["paths"][file]
        found |= {(path, n) for n in range(start, end + 1)}
        if kind == "function":
            names.add(f"{path}:{name}")
    result = {"line_f1": 2 * len(found & wanted) / max(1, len(found) + len(wanted))}
    if each.record["task"].get("functions"):
        result["function_f1"] = f1(names, set(each.record["task"]["functions"]))
    return result


def _ndcg(right: NDArray[np.bool_], count: int) -> float:
    gains = 1 / np.log2(np.arange(len(right)) + 2)
    ideal = (1 / np.log2(np.arange(min(count, 10)) + 2)).sum()
    return float(min(1.0, (gains * right).sum() / ideal))


def table_of(rows: Sequence[Row]) -> str:
    """The means in percent of what the rows have."""
    names = list(dict.fromkeys(name for row in rows for name in row if name != "rank"))
    parts = []
    for name in names:
        values = [row[name] for row in rows if name in row and not np.isnan(row[name])]
        if values:
            scale = 1 if name == "files" else 100
            parts.append(f"{name} {scale * np.mean(values):.1f}")
    return f"n {len(rows)}: " + ", ".join(parts)


def main(args: Sequence[str] | None = None) -> int:
    """Fit, print the tables, write the weights; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader.fusion")
    parser.add_argument("--records", type=Path, required=True, help="folder of records")
    parser.add_argument("--scores", type=Path, required=True, help="folder of scores")
    parser.add_argument(
        "--fit", nargs="+", default=["fusion", "asked", "reports"], help="records to fit on"
    )
    parser.add_argument("--show", nargs="*", default=[], help="records to answer")
    parser.add_argument("--pull", type=float, default=100.0, help="towards the prior")
    parser.add_argument("--budget", type=int, default=64, help="passages that are read")
    parser.add_argument("--into", type=Path, help="the file of weights to write")
    options = parser.parse_args(args)

    def records(name: str, budget: int | None) -> list[Example]:
        file = f"{name}.jsonl.xz"
        return load(options.records / file, options.scores / file, budget)

    examples = [each for name in options.fit for each in records(name, None)]
    examples = [each for each in examples if len(each.table)]
    names = sorted({each.repository for each in examples})
    before: dict[str, list[Row]] = defaultdict(list)
    after: dict[str, list[Row]] = defaultdict(list)
    for part in range(PARTS):
        out = set(names[part::PARTS])
        kinds = {
            kind: parse_fusion(data)
            for kind, data in fit(
                [each for each in examples if each.repository not in out], options.pull
            ).items()
        }
        for each in examples:
            if each.repository in out:
                for kind in ("all", each.record["task"]["kind"]):
                    before[kind].append(answer(each, None))
                    after[kind].append(answer(each, kinds[each.kind]))
    for kind in sorted(after):
        print(f"{kind}\n  words  {table_of(before[kind])}\n  fused  {table_of(after[kind])}")
    data = fit(examples, options.pull)
    fusions = {kind: parse_fusion(each) for kind, each in data.items()}
    for name in options.show:
        shown = [each for each in records(name, options.budget) if len(each.table)]
        print(f"{name}\n  words  {table_of([answer(each, None) for each in shown])}")
        print(f"  fused  {table_of([answer(each, fusions[each.kind]) for each in shown])}")
    if options.into:
        options.into.write_text(json.dumps(data, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

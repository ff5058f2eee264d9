"""The reader's training from end to end, on a small sample: mining, int8, teacher, fusion."""

import json
import lzma
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file, save_file

from benchmarks.reader import collect, fusion, graph, mining, tasks
from benchmarks.reader.groups import load_groups, read_scores, write_scores
from explorer.reader.session import pair_of
from explorer.reader.words import Vocabulary
from tests.external import VLLM_PYTHON, external
from tests.fakes.readers import vocabulary_of

THINGS = (
    "account batch cache device editor frame gateway handler index journal kernel ledger".split()
)
DEEDS = "open close read write parse merge split count check reset".split()
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare clone, as miners want it: documented functions, and commits that mend some."""
    folder = tmp_path_factory.mktemp("mirror")
    tree = folder / "tree"
    (tree / "src").mkdir(parents=True)
    for thing in THINGS:
        functions = [
            f"def {deed}_{thing}({thing}, size):\n"
            f'    """{deed.title()} the {thing} with all of the parts that belong to it."""\n'
            f"    found = {thing}.{deed}(size)\n    return found + {len(thing)}\n"
            for deed in DEEDS
        ]
        (tree / "src" / f"{thing}.py").write_text("\n\n".join(functions))
    (tree / "CHANGES.md").write_text("# Changes\n")
    _git(tree, "init", "-q", "-b", "main")
    _commit(tree, "Begin")
    for number, thing in enumerate(THINGS):
        path = tree / "src" / f"{thing}.py"
        deed = DEEDS[number % len(DEEDS)]
        path.write_text(
            path.read_text().replace(f"{thing}.{deed}(size)", f"{thing}.{deed}(size + 1)")
        )
        (tree / "tests").mkdir(exist_ok=True)
        test = (
            f"def test_{deed}():\n    assert {deed}_{thing}(None, 0) is not None, 'too few parts'\n"
        )
        (tree / "tests" / f"test_{thing}.py").write_text(test)
        with (tree / "CHANGES.md").open("a") as file:
            file.write(f"- It is possible again to {deed} the {thing} when the size is zero.\n")
        _commit(tree, f"Let {deed} of the {thing} count the last part too, which it had left out")
    subprocess.run(
        ["git", "clone", "-q", "--bare", str(tree), str(folder / "owner+name" / "repo")], check=True
    )
    return folder


def _git(tree: Path, *arguments: str) -> None:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b"}
    who |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    subprocess.run(["git", "-C", str(tree), *arguments], env=os.environ | who, check=True)


def _commit(tree: Path, message: str) -> None:
    _git(tree, "add", "-A")
    _git(tree, "commit", "-q", "-m", message)


@pytest.fixture(scope="module")
def groups(mirror: Path) -> Path:
    folder = mirror / "groups"
    folder.mkdir()
    options = ["--mirror", str(mirror), "--into", str(folder), "--docs", "60", "--names", "10"]
    assert mining.main(["owner/name", *options]) == 0
    return folder


def _mined(groups: Path) -> dict[str, Any]:
    with lzma.open(groups / "owner+name.json.xz", "rt") as file:
        return dict(json.load(file))


@pytest.fixture(scope="module")
def records(mirror: Path) -> Path:
    """A folder with what the scout would have the reader read for tasks of the repository."""
    folder = mirror / "records"
    folder.mkdir()
    with (mirror / "tasks.jsonl").open("w") as file, redirect_stdout(file):
        assert tasks.main(["owner/name", "--mirror", str(mirror), "--commits", "9"]) == 0
    trees = ["--mirror", str(mirror), "--trees", str(mirror / "trees")]
    into = folder / "fusion.jsonl.xz"
    arguments = ["--tasks", str(mirror / "tasks.jsonl"), *trees, "--into", str(into)]
    assert collect.main(arguments) == 0
    return folder


@pytest.fixture(scope="module")
def vocabulary(groups: Path) -> Path:
    words = {word for text in _mined(groups)["passages"] for word in text.lower().split()}
    letters = sorted({letter for word in words for letter in word})
    names = [*THINGS, *DEEDS, "def", "return", "found", "size", "with", "the", "it"]
    return vocabulary_of(groups.parent, [*names, *letters, *(f"##{letter}" for letter in letters)])


@pytest.fixture(scope="module")
def reader(groups: Path, records: Path, vocabulary: Path) -> Path:
    """The folder of a small reader that was trained on all groups."""
    return _trained([groups, records], vocabulary, groups.parent / "reader")


def test_every_kind_of_question_is_mined(groups: Path) -> None:
    kinds = Counter(group["kind"] for group in _mined(groups)["groups"])
    assert kinds["commit"] == kinds["changelog"] == len(THINGS)
    assert kinds["doc"] == 60
    assert kinds["name"] >= 10
    assert kinds["test"] > 0


def test_what_a_commit_changed_is_sought_and_nothing_else_of_its_file(groups: Path) -> None:
    mined = _mined(groups)
    group = next(g for g in mined["groups"] if g["kind"] == "changelog" and "ledger" in g["q"])
    [sought] = [mined["passages"][n] for n in group["pos"]]
    assert "def write_ledger" in sought or "def " in sought
    assert sought.startswith("src/ledger.py ")
    assert all(mined["passages"][n] != sought for n in group["neg"])


def test_the_documentation_sought_is_not_in_its_passage(groups: Path) -> None:
    mined = _mined(groups)
    for group in mined["groups"]:
        if group["kind"] == "doc":
            [sought] = [mined["passages"][n] for n in group["pos"]]
            assert "with all of the parts" not in sought
            assert "found =" in sought


def test_a_repository_that_is_kept_for_measuring_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        mining.main(["pallets/flask", "--mirror", str(tmp_path), "--into", str(tmp_path)])
    assert "kept for measuring" in capsys.readouterr().err


@pytest.mark.timeout(400)
def test_a_sample_trains_to_the_same_score_again_and_int8_scores_alike(
    groups: Path, records: Path, vocabulary: Path, reader: Path, tmp_path: Path
) -> None:
    again = _trained([groups, records], vocabulary, tmp_path / "again")
    assert _first(reader) == _first(again)
    assert {"commit", "doc", "scout-doc", "scout-name"} <= _first(reader).keys()
    corpus = load_groups([groups, records], vocabulary, 1)
    by_chance = np.mean([len(g.sought) / len([*g.sought, *g.others]) for g in corpus.groups])
    assert _first(reader)["all"] > 200 * by_chance
    first = tmp_path / "reader.onnx"
    arguments = ["--weights", str(reader / "reader.safetensors"), "--into", str(first)]
    assert graph.main(arguments) == 0
    known = Vocabulary.read(vocabulary)
    question = known.tokens("Merge the kernel with all of the parts", 96)
    texts = ["def merge_kernel(kernel, size):", "def open_account(account, size):"]
    whole, small = (
        [_score(path, question, known.tokens(text, 192)) for text in texts]
        for path in (first.with_suffix(".float32.onnx"), first)
    )
    assert np.allclose(whole, small, atol=0.5)


@pytest.mark.timeout(400)
def test_two_processes_train_as_one_does(
    groups: Path, records: Path, vocabulary: Path, reader: Path, tmp_path: Path
) -> None:
    pair = _trained([groups, records], vocabulary, tmp_path / "pair", processes=2)
    assert abs(_first(pair)["all"] - _first(reader)["all"]) < 5
    one, two = (load_file(each / "reader.safetensors") for each in (reader, pair))
    fresh = _trained([groups, records], vocabulary, tmp_path / "fresh", "--limit-s", "0.001")
    begun = load_file(fresh / "reader.safetensors")
    for name, weights in one.items():
        if name.endswith(("key.bias", "score.bias")):
            continue  # They change no order, so what moves them is rounding.
        moved = np.abs(weights - begun[name]).mean()
        assert np.abs(weights - two[name]).mean() <= 0.2 * moved, name


def test_the_mean_of_weights_is_that_of_each_number(tmp_path: Path) -> None:
    for name, value in (("before", 1.0), ("after", 2.0)):
        save_file({"word.weight": np.full((3, 2), value, np.float16)}, tmp_path / name)
    mean = graph.mean_of([tmp_path / "before", tmp_path / "after"])
    assert np.array_equal(mean["word.weight"], np.full((3, 2), 1.5))


def _trained(
    folders: list[Path], vocabulary: Path, into: Path, *more: str | Path, processes: int = 1
) -> Path:
    held = into.with_suffix(".txt")
    held.write_text("another/name\n")
    small = ["--layers", "0", "--hidden", "48", "--size", "8", "--others", "4", "--rate", "2e-3"]
    _run(
        *("benchmarks.reader.training", "--groups", *folders, "--vocabulary", vocabulary),
        *("--into", into, *small, "--epochs", "5", "--device", "cpu"),
        *("--held-out", held, "--score-trained", *more),
        processes=processes,
    )
    return into


def _run(module: str, *arguments: str | Path, processes: int = 1) -> str:
    """What the module prints, run by the Python that has PyTorch."""
    several = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    before = several if processes > 1 else []
    command = [str(external(VLLM_PYTHON)), "-m", *before, module, *map(str, arguments)]
    # Two threads that wait for each other in a busy loop are slower than one wherever others work.
    one = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=one, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _first(trained: Path) -> dict[str, float]:
    return dict(json.loads((trained / "trained.json").read_text())["first"])


@pytest.mark.timeout(400)
def test_the_scores_of_a_teacher_are_what_is_learned(
    groups: Path, records: Path, vocabulary: Path, reader: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "scores.npz"
    _run(
        *("benchmarks.reader.scoring", "--weights", reader / "reader.safetensors"),
        *("--groups", groups, records, "--vocabulary", vocabulary, "--into", kept),
        *("--device", "cpu"),
    )
    corpus = load_groups([groups, records], vocabulary, 1)
    scores = read_scores(kept, corpus)
    _, starts = corpus.pairs(range(len(corpus.groups)))
    ahead = [
        float(scores[begin : begin + len(group.sought)].max())
        - float(scores[begin + len(group.sought) : end].max())
        for (begin, end), group in zip(pairwise(starts), corpus.groups, strict=True)
    ]
    # As they are kept, in float16, some scores of so small a network are equal.
    first = _first(reader)["all"]
    assert 100 * np.mean([each > 0 for each in ahead]) <= first + 1
    assert 100 * np.mean([each >= 0 for each in ahead]) >= first - 1
    # A teacher that likes best what the reader likes least.
    write_scores(kept, corpus, -scores)
    soft = ["--int8", "--from", reader / "reader.safetensors", "--soft", kept, "--soft-share", "1"]
    contrary = _trained([groups, records], vocabulary, tmp_path / "contrary", *soft)
    assert _first(contrary)["all"] < 0.5 * _first(reader)["all"]


@pytest.mark.timeout(400)
def test_a_teacher_computes_what_mpnet_does_and_is_trained_and_scores_records(
    records: Path, vocabulary: Path, tmp_path: Path
) -> None:
    base = tmp_path / "mpnet"
    script = "tests.integration.benchmarks.tiny_mpnet"
    difference, spread = map(float, _run(script, vocabulary, base).split())
    assert difference < 1e-5 < 0.1 < spread
    start = ["--base", base / "model.safetensors", "--teacher-vocabulary", base / "vocab.txt"]
    more = ["--teacher", *start, "--epochs", "3", "--rate", "1e-3"]
    teacher = _trained([records], vocabulary, tmp_path / "teacher", *more)
    assert _first(teacher)["all"] > 20
    _run(
        *("benchmarks.reader.scoring", "--teacher", "--weights", teacher / "teacher.safetensors"),
        *("--records", records / "fusion.jsonl.xz", "--vocabulary", vocabulary),
        *("--into", tmp_path / "scores", "--device", "cpu"),
    )
    read = [(each["id"], len(each["read"])) for each in _lines(records / "fusion.jsonl.xz")]
    scored = list(_lines(tmp_path / "scores" / "fusion.jsonl.xz"))
    assert [(each["id"], len(each["scores"])) for each in scored] == read
    assert len({score for each in scored for score in each["scores"]}) > 10


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt") as file:
        yield from map(json.loads, file)


def _score(path: Path, question: list[int], passage: list[int]) -> float:
    options = onnxruntime.SessionOptions()
    # Without VNNI, sums of two products would be cut at 16 bits.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [score] = session.run(["score"], pair_of(question, passage))
    return float(score[0])


def test_the_fusion_learns_how_far_a_reader_is_to_be_trusted(records: Path, tmp_path: Path) -> None:
    path = records / "fusion.jsonl.xz"
    found = [each["task"] for each in _lines(path)]
    assert {"doc", "name", "changelog"} <= {task["kind"] for task in found}
    (tmp_path / "scores").mkdir()
    trust = {}
    for right in (4.0, -4.0):
        with lzma.open(tmp_path / "scores" / path.name, "wt") as file:
            for each in fusion.load(path, None):
                scores = [right if each.right[row] else -right for row, *_ in each.record["read"]]
                file.write(json.dumps({"id": each.record["id"], "scores": scores}) + "\n")
        examples = fusion.load(path, tmp_path / "scores" / path.name, 112)
        data = fusion.fit(examples, pull=1.0)
        plain = fusion.parse_fusion(data["plain"])
        trust[right] = data["plain"]["definitions"]["behind"]
        assert np.mean([fusion.answer(each, plain)["first"] for each in examples]) > 0.9
    assert trust[-4.0] < 0.6 * trust[4.0]

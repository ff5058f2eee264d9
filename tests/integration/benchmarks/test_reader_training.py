"""The reader's training from end to end, on a small sample: mining, training, int8, the fusion."""

import json
import lzma
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from benchmarks.reader import collect, fusion, graph, mining, tasks
from explorer.reader.session import pair_of
from explorer.reader.words import Vocabulary
from tests.external import VLLM_PYTHON, external

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
    groups: Path, tmp_path: Path
) -> None:
    words = {word for word in _mined(groups)["passages"] for word in word.lower().split()}
    vocabulary = tmp_path / "vocab.txt"
    pieces = ["[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted({letter for word in words for letter in word})
    names = [*THINGS, *DEEDS, "def", "return", "found", "size", "with", "the", "it"]
    pieces += [*names, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary.write_text("\n".join(dict.fromkeys(pieces)) + "\n")
    scores = [_trained(groups, vocabulary, tmp_path / name) for name in ("one", "two")]
    assert scores[0] == scores[1]
    groups_of = _mined(groups)["groups"]
    by_chance = np.mean([len(g["pos"]) / len(g["pos"] + g["neg"]) for g in groups_of])
    assert scores[0]["all"] > 200 * by_chance
    first = tmp_path / "reader.onnx"
    assert (
        graph.main(["--weights", str(tmp_path / "one/reader.safetensors"), "--into", str(first)])
        == 0
    )
    known = Vocabulary.read(vocabulary)
    question = known.tokens("Merge the kernel with all of the parts", 96)
    texts = ["def merge_kernel(kernel, size):", "def open_account(account, size):"]
    whole, small = (
        [_score(path, question, known.tokens(text, 192)) for text in texts]
        for path in (first.with_suffix(".float32.onnx"), first)
    )
    assert np.allclose(whole, small, atol=0.5)


def _trained(groups: Path, vocabulary: Path, into: Path) -> dict[str, float]:
    held = into.with_suffix(".txt")
    held.write_text("another/name\n")
    command = [
        *(str(external(VLLM_PYTHON)), "-m", "benchmarks.reader.training", "--groups", str(groups)),
        *("--vocabulary", str(vocabulary), "--into", str(into), "--layers", "0", "--hidden", "48"),
        *("--epochs", "6", "--size", "8", "--others", "4", "--rate", "2e-3", "--device", "cpu"),
        *("--held-out", str(held), "--score-trained"),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=180)
    return dict(json.loads((into / "trained.json").read_text())["first"])


def _score(path: Path, question: list[int], passage: list[int]) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [score] = session.run(["score"], pair_of(question, passage))
    return float(score[0])


def test_the_fusion_learns_how_far_a_reader_is_to_be_trusted(
    mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tasks.main(["owner/name", "--mirror", str(mirror), "--commits", "9"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"doc", "name", "changelog"} <= {task["kind"] for task in found}
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in found))
    records = tmp_path / "fusion.jsonl.xz"
    trees = ["--mirror", str(mirror), "--trees", str(tmp_path / "trees")]
    arguments = ["--tasks", str(tmp_path / "tasks.jsonl"), *trees, "--into", str(records)]
    assert collect.main(arguments) == 0
    (tmp_path / "scores").mkdir()
    trust = {}
    for right in (4.0, -4.0):
        with lzma.open(tmp_path / "scores" / records.name, "wt") as file:
            for each in fusion.load(records, None):
                scores = [right if each.right[row] else -right for row, *_ in each.record["read"]]
                file.write(json.dumps({"id": each.record["id"], "scores": scores}) + "\n")
        examples = fusion.load(records, tmp_path / "scores" / records.name, 112)
        data = fusion.fit(examples, pull=1.0)
        plain = fusion.parse_fusion(data["plain"])
        trust[right] = data["plain"]["definitions"]["behind"]
        assert np.mean([fusion.answer(each, plain)["first"] for each in examples]) > 0.9
    assert trust[-4.0] < 0.6 * trust[4.0]

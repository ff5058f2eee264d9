"""From a repository's history to tasks, and from tasks to what the models are trained on."""

import json
import subprocess

import pytest

from benchmarks import scout_mining, scout_training

MESSAGE = """\
pool: Fix a leak of connections that were borrowed twice

When borrow() is called again before the first connection came back, the pool forgets the first
one and the server keeps it open until it times out. See src/pool.py and https://example.org/1.
Count them instead, and give back what was borrowed when the pool is closed.

Signed-off-by: Someone <someone@example.org>
"""
POOL = "\n".join(
    ["class Pool:", "    def borrow(self):", "        return self.connections.pop()", ""]
    + [f"def helper_{number}():\n    return {number}\n" for number in range(20)]
)


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def mirror(tmp_path):
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    (work / "tests").mkdir()
    git(work, "init", "-q", "-b", "main")
    (work / "src" / "pool.py").write_text(POOL)
    (work / "src" / "other.py").write_text("def server():\n    return None\n")
    (work / "tests" / "test_pool.py").write_text("def test_borrow():\n    pass\n")
    git(work, "add", ".")
    git(work, "commit", "-qm", "Begin:\x01 nothing is\x02 wrong yet,\x03 this is no fix. " * 6)
    (work / "src" / "pool.py").write_text(POOL.replace("pop()", "pop(0)"))
    (work / "tests" / "test_pool.py").write_text("def test_borrow():\n    assert True\n")
    git(work, "add", ".")
    git(work, "commit", "-qm", MESSAGE)
    (tmp_path / "mirror" / "owner+name").mkdir(parents=True)
    git(work, "clone", "-q", "--bare", ".", tmp_path / "mirror" / "owner+name" / "repo")
    return tmp_path / "mirror"


def mine(mirror, capsys):
    suffixes = ("--suffixes", "py", "--language", "python")
    assert scout_mining.main(["owner/name", "--mirror", str(mirror), *suffixes]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_fix_becomes_a_task_and_the_rest_does_not(mirror, capsys):
    (task,) = mine(mirror, capsys)

    assert task["files"] == {"src/pool.py": [[1, 6]]}
    assert task["files_exact"] == {"src/pool.py": [[3, 3]]}
    assert task["query"].startswith("pool: Fix a leak")
    assert "src/pool.py" not in task["query"]
    assert "https" not in task["query"]
    assert "Signed-off" not in task["query"]
    assert task["stem_in_query"]
    assert task["n_tree_files"] == 3
    assert len(task["base_commit"]) == 40


def test_a_task_becomes_what_the_models_are_trained_on(mirror, capsys, tmp_path):
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(task) + "\n" for task in mine(mirror, capsys)))
    folders = ("--mirror", str(mirror), "--trees", str(tmp_path / "trees"))
    arguments = ("--tasks", str(tasks), "--features", str(tmp_path / "features"))
    assert scout_training.main(["extract", *arguments, *folders]) == 0

    task = json.loads(tasks.read_text())
    (example,) = scout_training.load_examples([task], tmp_path / "features")
    right = [cells for cells in example.cells if example.right[cells.file]]
    (group,) = scout_training.file_groups([example])

    assert example.right.sum() == 1
    assert len(right) == 1
    assert right[0].sought.sum() == 6
    assert right[0].lines.sum() == POOL.count("\n") + (not POOL.endswith("\n"))
    assert group.target.tolist() == example.right.astype(float).tolist()
    assert len(scout_training.cell_groups([example])) == 1


def test_the_shipped_weights_are_scored_on_tasks(mirror, capsys, tmp_path):
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(task) + "\n" for task in mine(mirror, capsys)))
    folders = ("--mirror", str(mirror), "--trees", str(tmp_path / "trees"))
    arguments = ("--tasks", str(tasks), "--features", str(tmp_path / "features"))
    scout_training.main(["extract", *arguments, *folders])
    assert scout_training.main(["score", *arguments]) == 0

    every = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("all "))
    count, file_f1, _, first, *_ = (float(figure) for figure in every.split()[1:])
    assert (count, file_f1, first) == (1, 100, 100)

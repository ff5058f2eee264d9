"""The trees of public repositories at given commits, laid out from bare clones."""

import os
import subprocess
from pathlib import Path

_OPTIONS = ("core.autocrlf=false", "core.hooksPath=/dev/null", "core.bare=false")


def lay_out(repository: str, commit: str, mirror: Path, trees: Path) -> Path:
    """The tree of ``owner/name`` at the commit, without a .git in it.

    ``mirror/<owner>+<name>/repo`` is a bare clone, which is only read. Each repository has one
    tree, which is switched between commits. Blobs that the clone lacks are left out.

    Raises:
        subprocess.CalledProcessError: git does not know the commit.
    """
    name = repository.replace("/", "+")
    bare = (mirror / name / "repo").resolve()
    tree, mark, index = trees / name, trees / f"{name}.at", trees / f"{name}.index"
    objects = (trees / "objects").resolve()
    for directory in (tree, objects):
        directory.mkdir(parents=True, exist_ok=True)
    if mark.exists() and mark.read_text() == commit:
        return tree
    mark.unlink(missing_ok=True)
    environment = os.environ | {
        "GIT_DIR": str(bare),
        "GIT_WORK_TREE": str(tree.resolve()),
        "GIT_INDEX_FILE": str(index.resolve()),
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(bare / "objects"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }

    def git(*arguments: str, stdin: str | None = None) -> str:
        command = ["git", *[part for option in _OPTIONS for part in ("-c", option)], *arguments]
        done = subprocess.run(
            command,
            env=environment,
            cwd=tree,
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    records = [line.partition("\t") for line in git("ls-tree", "-rz", commit).split("\0") if line]
    entries = [(head.split(), path) for head, _, path in records]
    blobs = "".join(f"{head[2]}\n" for head, _ in entries if head[1] == "blob")
    answers = git("cat-file", "--batch-check", stdin=blobs).splitlines()
    gone = {line.split()[0] for line in answers if line.endswith("missing")}
    wanted = commit
    if gone:
        git("read-tree", commit)
        lost = "".join(f"0 {'0' * 40}\t{path}\n" for head, path in entries if head[2] in gone)
        git("update-index", "--index-info", stdin=lost)
        wanted = git("write-tree", "--missing-ok").strip()
    git("read-tree", "-u", "--reset", wanted)
    mark.write_text(commit)
    return tree

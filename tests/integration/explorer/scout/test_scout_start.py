"""What a first question loads besides the scout's own code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import ROOT
from tests.tooling import write_tree

ASK = """
import os, sys
import anyio
from explorer.repository.workspace import Workspace
from explorer.scout import Scout

async def main():
    with Workspace.open(sys.argv[1]) as workspace:
        answer = await Scout(workspace).answer("how is the retry delay computed?")
    assert answer.citations[0].name == "delay_of", answer
anyio.run(main)
print([name for name in ("numpy.ma", "tree_sitter_go") if name in sys.modules])
print(os.environ.get("OPENBLAS_NUM_THREADS"))
"""

WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print(os.environ.get("OPENBLAS_NUM_THREADS"))

sys.meta_path.insert(0, Watch())
__import__(sys.argv[1])
"""


def loaded(code: str, argument: str) -> list[str]:
    """The lines that the code prints in a fresh process."""
    env = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code, argument],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_first_question_loads_no_more_of_numpy_than_it_uses_and_sets_nothing(
    tmp_path: Path,
) -> None:
    text = "def delay_of(retry):\n    return 2**retry\n\n\ndef other():\n    return 1\n"
    root = write_tree(tmp_path, {"a.py": text})
    assert loaded(ASK, str(root)) == ["[]", "None"]


@pytest.mark.parametrize("first", ["explorer.scout", "explorer.reader.session"])
def test_whatever_loads_numpy_first_gives_it_one_thread(first: str) -> None:
    assert loaded(WATCH, first) == ["1"]

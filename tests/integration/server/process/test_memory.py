"""What a hostile repository can make a process take."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.openai_server import says, serving
from tests.serving import ROOT, bare_environment
from tests.tooling import write_tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other units elsewhere")

LIMIT_BYTES = 512_000_000

# Starts the command, and measures the largest of it and of all processes that it waited for.
MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(done.returncode, peak, done.stdout.replace("\\n", " "))
"""
COMMAND = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from server.__main__ import main; main()"
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A line of 1 GiB, and a line of 36 MB for each thread of rg."""
    root = write_tree(
        tmp_path / "hostile",
        {
            ".git/HEAD": "ref: refs/heads/main\n",
            "a.py": "def needle():\n    pass\n",
            "one_line.js": b"needle();" * 4_000_000,
            "huge.txt": b"needle = 1\n" * 20_000,
        },
    )
    with (root / "huge.txt").open("r+b") as file:
        file.truncate(1 << 30)
    for number in range(12):
        os.link(root / "one_line.js", root / f"copy{number}.js")
    return root


def explore(root: Path, home: Path, *options: str) -> str:
    """The answer of a command that stayed within the limit."""
    command = [sys.executable, "-c", MEASURED, sys.executable, "-P", "-c", COMMAND, str(ROOT)]
    done = subprocess.run(
        [*command, "explore", "where is needle?", "--repo", str(root), *options],
        env=bare_environment(home),
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    status, peak, answer = done.stdout.split(" ", 2)
    assert status == "0"
    assert int(peak) < LIMIT_BYTES
    return answer


@pytest.mark.parametrize("ignored", ["a line of 5 MB", "a million names", "an endless device"])
def test_no_process_of_the_scout_passes_512_mb(hostile: Path, tmp_path: Path, ignored: str) -> None:
    rules = hostile / ".gitignore"
    if ignored == "a line of 5 MB":
        rules.write_text("*a" * 2_500_000 + "\n")
    elif ignored == "a million names":
        rules.write_text("".join(f"name{number}/\n" for number in range(1_000_000)))
    else:
        rules.symlink_to("/dev/zero")
    assert "a.py:1-2" in explore(hostile, tmp_path, "--engine", "scout")


def test_no_process_of_the_models_tools_passes_512_mb(hostile: Path, tmp_path: Path) -> None:
    calls = [
        ("Grep", {"pattern": "absent"}),
        ("Grep", {"pattern": "needle.*absent", "multiline": True}),
        ("Grep", {"pattern": "(?i)n\\w{1,200}absent"}),
        ("Grep", {"pattern": "absent", "path": "huge.txt"}),
        ("Grep", {"pattern": "absent", "path": "one_line.js"}),
        ("Read", {"path": "one_line.js"}),
        ("Read", {"path": "huge.txt", "offset": 20_001}),
        ("Read", {"path": "a.py"}),
    ]
    messages = [
        f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"
        for name, arguments in calls
    ]
    answer = says("<final_answer>\na.py:1-2\n</final_answer>")
    with serving([says("\n".join(messages), chunk_chars=500), answer]) as model:
        said = explore(hostile, tmp_path, "--endpoint", model.url, "--no-fallback")
    assert "a.py:1-2" in said
    assert "ran out of memory" in str(model.chats[1].json)

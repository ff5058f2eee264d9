"""Records of real runs: the command line explores a tree with a model that follows a script."""

import json
import subprocess
import sys
from pathlib import Path

from tests.fakes.openai_server import calls, says, serving
from tests.serving import PATIENCE_S, ROOT, bare_environment
from tests.tooling import write_tree

EVIL = '<img src=x onerror="document.title=1"></script><script>document.title=2</script>'
EVIL_NAME = "evil<b>&\"'\u202egnp.py"
EVIL_CODE = f'def retry():\n    return "{EVIL}"  # `${{1}}` {{{{ 7 * 7 }}}}\n'
TREE = {
    ".git/HEAD": "ref: refs/heads/main\n",
    "src/client.py": "".join(f"def retry_{n}():\n    return backoff({n})\n\n\n" for n in range(40)),
    "src/backoff.py": "def backoff(attempt):\n    return min(60, 2.0**attempt)\n",
    EVIL_NAME: EVIL_CODE,
}


def fastcontext(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1));"
        "from server.commands.root import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", code, str(ROOT), *arguments],
        cwd=home,
        env=bare_environment(home, XDG_STATE_HOME=str(home / "state")),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def record_run(home: Path, query: str, *, turns: int = 3) -> Path:
    """The record of a run of so many turns over a tree with hostile names and code."""
    root = write_tree(home / "tree", TREE)
    script = [calls(*_calls(turn), text=f"Turn {turn}: {EVIL}") for turn in range(1, turns)]
    cited = f"src/backoff.py:1-2 (computes it {EVIL})\n{EVIL_NAME}:1-2\nsrc/gone.py:1-2"
    script.append(
        says(f"The delay is computed here. {EVIL}\n<final_answer>\n{cited}\n</final_answer>")
    )
    runs = home / "state" / "fastcontext" / "runs"
    before = set(runs.glob("*.jsonl"))
    with serving(script) as model:
        done = fastcontext(
            home, "explore", query, "--repo", str(root), "--endpoint", model.url,
            "--max-turns", str(turns), "--record",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = set(runs.glob("*.jsonl")) - before
    return made


def _calls(turn: int) -> list[tuple[str, str]]:
    named: list[tuple[str, dict[str, object]]] = [
        (
            "Grep",
            {"pattern": f"retry_{turn}|backoff", "path": "/testbed/tree", "output_mode": "content"},
        ),
        ("Read", {"path": "/testbed/tree/src/client.py", "offset": turn * 8, "limit": 60}),
        ("Read", {"path": "/testbed/tree/src/backoff.py"}),
        ("Read", {"path": f"/testbed/tree/{EVIL_NAME}"}),
        ("Glob", {"pattern": f"**/*{turn}*.py"}),
        ("Read", {"path": f"/testbed/tree/missing_{turn}.py"}),
    ]
    return [(name, json.dumps(arguments)) for name, arguments in named]

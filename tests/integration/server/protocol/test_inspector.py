"""The Inspector's command line against the server over stdio."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.external import node_command
from tests.serving import MAIN
from tests.tooling import write_tree

PACKAGE = "@modelcontextprotocol/inspector"
SCRIPT = "clients/launcher/build/index.js"
ERAS = ["legacy", "auto", "modern"]
INSPECTION_S = 100.0

pytestmark = pytest.mark.timeout(150)


def inspect(home: Path, *arguments: str) -> dict[str, Any]:
    """What the Inspector prints about one method; fails if it finds fault."""
    command, environment = node_command(PACKAGE, SCRIPT)
    done = subprocess.run(
        [*command, "--cli", "--format", "json", "-q", *arguments, "--", sys.executable, MAIN],
        env=environment | {"HOME": str(home), "XDG_CONFIG_HOME": str(home)},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSPECTION_S,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    printed: dict[str, Any] = json.loads(done.stdout)["result"]
    return printed


@pytest.mark.parametrize("era", ERAS)
def test_the_tools_schemas_are_portable(tmp_path: Path, era: str) -> None:
    tools = inspect(tmp_path, "--strict", "--protocol-era", era, "--method", "tools/list")["tools"]
    assert [tool["name"] for tool in tools] == ["explore_repository", "engine_status"]


@pytest.mark.parametrize("era", ERAS)
def test_a_call_with_arguments_typed_by_hand_is_answered(tmp_path: Path, era: str) -> None:
    tree = write_tree(
        tmp_path / "tree", {".git/HEAD": "", "retry.py": "def retry_delay():\n    return 2\n"}
    )
    arguments = ["--tool-arg", "query=Where is the retry delay?", f"path={tree}"]
    method = ["--protocol-era", era, "--method", "tools/call", "--tool-name", "explore_repository"]
    result = inspect(tmp_path, *method, *arguments)
    assert not result.get("isError")
    text = result["content"][0]["text"]
    assert "Answered by the scout" in text
    assert "`retry.py:" in text

"""What is handed out: wheel, sdist, bundle, plugin and the registry's entry."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.bundle import lay_out
from server.clients.instructions import instructions
from server.settings import PREFIX, Settings
from tests.external import node_command
from tests.serving import ROOT, served
from tests.tooling import write_tree

PACKAGE, SCRIPT = "@anthropic-ai/mcpb", "dist/cli/cli.js"
PLUGIN = ROOT / "plugins/claude-code"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
UV = Path(sysconfig.get_path("scripts")) / "uv"

pytestmark = pytest.mark.timeout(240)


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """The output of a command that has to succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with wheel and sdist, built of a copy."""
    copy = tmp_path_factory.mktemp("source") / "project"
    ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", "runs")
    shutil.copytree(ROOT, copy, ignore=ignored)
    out = tmp_path_factory.mktemp("dist")
    run(UV, "build", "-q", "--out-dir", out, copy, cwd=out)
    return out


def test_the_wheel_holds_the_packages_and_their_data_and_nothing_else(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {
        "server",
        "explorer",
        "launch",
        f"fastcontext_mcp-{PROJECT['version']}.dist-info",
    }
    assert "server/view/templates/run.html" in names
    assert any(name.startswith("explorer/scout/weights") for name in names)
    assert not [name for name in names if "__pycache__" in name]


def test_the_sdist_holds_what_its_tests_need(built: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("tests/conftest.py", "scripts/generate.py", "docs/concepts.md", "server.json",
                 "plugins/claude-code/.mcp.json", "bundle/manifest.json", "LICENSE"):  # fmt: skip
        assert name in names


def test_the_installed_wheel_answers_from_another_folder(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    site, tree = tmp_path / "site", tmp_path / "tree"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    write_tree(tree, {"retry.py": "def retry_delay():\n    return 2\n"})
    out = run(
        sys.executable, "-P", "-c",
        "import server; from server.cli import main; print(server.__file__); main()",
        "explore", "Where is the retry delay?", "--repo", tree, "--engine", "scout", "--json",
        cwd=tmp_path, PYTHONPATH=str(site), HOME=str(tmp_path),
    )  # fmt: skip
    first, _, answer = out.partition("\n")
    assert Path(first).is_relative_to(site)
    assert json.loads(answer)["citations"][0]["path"] == "retry.py"


def test_the_command_runs_from_the_sources_by_uvx(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    shown = run(UV, "tool", "run", "--from", wheel, "fastcontext", "--help", cwd=tmp_path)
    assert "explore" in shown


def test_the_bundle_is_valid_packs_and_answers(tmp_path: Path) -> None:
    command, environment = node_command(PACKAGE, SCRIPT)
    run(*command, "validate", ROOT / "bundle/manifest.json", cwd=tmp_path, **environment)
    packed = tmp_path / "fastcontext.mcpb"
    run(*command, "pack", lay_out(tmp_path / "laid"), packed, cwd=tmp_path, **environment)
    names = zipfile.ZipFile(packed).namelist()
    assert {"manifest.json", "pyproject.toml", "server/main.py"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", ".git", ".env"))]
    opened = tmp_path / "opened"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(opened)
    given = json.loads((opened / "manifest.json").read_text())["server"]["mcp_config"]
    words = [word.replace("${__dirname}", str(opened)) for word in given["args"]]
    # What the bundle needs is installed first: the server is asked with a test's patience.
    run(UV, "sync", "-q", "--no-dev", cwd=opened, UV_CACHE_DIR=str(tmp_path / "cache"))
    settings = {"UV_CACHE_DIR": str(tmp_path / "cache"), "UV_NO_DEV": "1"}
    with served(tmp_path, command=[str(UV), *words], **settings) as server:
        assert server.initialize()["result"]["serverInfo"]["version"] == PROJECT["version"]


def test_the_registrys_entry_keeps_its_rules() -> None:
    entry = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.fullmatch(r"io\.github\.[\w.-]+/[\w.-]+", entry["name"])
    assert f"<!-- mcp-name: {entry['name']} -->" in readme
    assert 1 <= len(entry["description"]) <= 100
    [package] = entry["packages"]
    assert package["registryType"] == "pypi"
    assert package["identifier"] == PROJECT["name"]
    assert entry["version"] == package["version"] == PROJECT["version"]
    assert package["transport"] == {"type": "stdio"}
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    variables = {each["name"]: each for each in package["environmentVariables"]}
    assert variables.keys() <= known
    assert variables[f"{PREFIX}API_KEY"]["isSecret"] is True


def test_the_plugin_has_the_form_that_claude_code_reads() -> None:
    manifest = read_json(PLUGIN / ".claude-plugin/plugin.json")
    assert re.fullmatch(r"[a-z][a-z0-9-]*", manifest["name"])
    assert manifest["version"] == PROJECT["version"]
    [server] = read_json(PLUGIN / ".mcp.json")["mcpServers"].values()
    assert server["args"][-2:] == ["fastcontext", "serve"]
    [listed] = read_json(ROOT / ".claude-plugin/marketplace.json")["plugins"]
    assert listed["name"] == manifest["name"]
    assert (ROOT / listed["source"]).resolve() == PLUGIN.resolve()
    command = (PLUGIN / "commands/explore.md").read_text(encoding="utf-8")
    assert command.startswith("---\ndescription: ")
    assert "$ARGUMENTS" in command
    skill = (PLUGIN / "skills/finding-code/SKILL.md").read_text(encoding="utf-8")
    assert re.match(r"---\nname: [a-z-]+\ndescription: .+\n---\n", skill)
    assert instructions() in skill


def read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value

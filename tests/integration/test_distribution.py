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
import yaml

from scripts.bundle import PACKAGES, lay_out
from scripts.generate import REPOSITORY
from server.clients.instructions import INSTRUCTIONS
from server.settings import PREFIX, Settings
from tests.command_lines import commands
from tests.external import CLIENTS, NODE, external, node_command
from tests.serving import ROOT, served
from tests.tooling import commit_all, write_tree

PACKAGE, SCRIPT = "@anthropic-ai/mcpb", "dist/cli/cli.js"
PLUGIN = ROOT / "plugins/claude-code"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DATA = {
    "server/view/templates/run.html",
    "explorer/scout/weights.json",
    "explorer/scout/weights.npz",
    "explorer/reader/weights/card.json",
    "explorer/reader/weights/reader.onnx",
    "explorer/reader/weights/vocab.txt",
}
UNWANTED = re.compile(r"__pycache__|\.pyc$|(^|/)tests?/|(^|/)\.|\.(env|key|pem)$")
LINTER = "skillsaw==0.22.0"
"""It carries the released schema of server.json. Run apart: one of its dependencies owns the same
module as one of ours."""
CHECKER = "twine==7.0.0"
"""It refuses what the package index would refuse."""
UV = Path(sysconfig.get_path("scripts")) / "uv"
UVX = UV.with_name("uvx")

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
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project as a clone holds it, so that no build leaves anything behind."""
    copy = tmp_path_factory.mktemp("source") / "project"
    ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", "runs")
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


@pytest.fixture(scope="module")
def from_repository(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings with which git finds this project's files at the address of its repository."""
    clone = tmp_path_factory.mktemp("repository") / "project"
    shutil.copytree(sources, clone)
    commit_all(clone)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{clone.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": REPOSITORY,
        # Else uv asks the host which commit is the newest.
        "UV_NO_GITHUB_FAST_PATH": "1",
        "UV_CACHE_DIR": str(clone.with_name("cache")),
    }


@pytest.fixture(scope="module")
def built(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with wheel and sdist."""
    out = tmp_path_factory.mktemp("dist")
    run(UV, "build", "-q", "--out-dir", out, sources, cwd=out)
    return out


def test_the_wheel_holds_the_packages_and_their_data_and_nothing_else(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {*PACKAGES, f"fastcontext_mcp-{PROJECT['version']}.dist-info"}
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert DATA <= set(names)
    licences = f"fastcontext_mcp-{PROJECT['version']}.dist-info/licenses"
    assert {f"{licences}/{name}" for name in PROJECT["license-files"]} <= set(names)
    assert not [name for name in names if UNWANTED.search(name)]


def test_the_sdist_holds_what_its_tests_need(built: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("tests/conftest.py", "scripts/generate.py", "docs/concepts.md", "server.json",
                 "plugins/claude-code/.mcp.json", "bundle/manifest.json", "LICENSE",
                 "NOTICE", *DATA):  # fmt: skip
        assert name in names


def test_the_package_index_would_take_both(built: Path, tmp_path: Path) -> None:
    files = [*built.glob("*.whl"), *built.glob("*.tar.gz")]
    said = run(UV, "tool", "run", CHECKER, "check", "--strict", *files, cwd=tmp_path)
    assert said.count("PASSED") == 2


def test_the_package_index_shows_readme_with_links_that_lead_somewhere(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(name).decode()
    links = re.findall(r'\]\(([^)]+)\)|(?:src|srcset)="([^"]+)"', text)
    assert len(links) > 20
    assert not [link for link in map("".join, links) if not link.startswith("https://")]


def test_readmes_first_command_from_a_clone_sets_it_up_and_answers(
    sources: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(sources, clone)
    [line] = re.findall(r"^\$ (python3 -m venv .+)$", README, re.M)
    # uv does in two seconds what takes pip twenty; .github/workflows/package.yml runs pip.
    line = line.replace(".venv/bin/pip install", f"{UV} pip install --python .venv/bin/python")
    answer = run("sh", "-c", line, cwd=clone, HOME=str(tmp_path))
    assert answer.splitlines()[2].startswith("_async/connection.py:")
    # README shows this answer, but for some lines, and the time that it took is another.
    shown = README[README.index("\n_async/connection.py:") :].partition("\n```")[0]
    for line in shown.strip().removesuffix("...").splitlines():
        if line.strip() != "..." and not line.startswith("Answered by"):
            assert line.removesuffix(" ...") in answer


def test_the_installed_wheel_answers_from_another_folder(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    venv, tree = tmp_path / "venv", tmp_path / "tree"
    run(UV, "venv", "-q", "--python", sys.executable, venv, cwd=tmp_path)
    run(UV, "pip", "install", "-q", "--python", venv / "bin/python", wheel, cwd=tmp_path)
    write_tree(tree, {"retry.py": "def retry_delay():\n    return 2\n"})
    asked = ("explore", "Where is the retry delay?", "--repo", tree, "--engine", "scout")
    answer = run(venv / "bin/fastcontext", *asked, "--json", cwd=tmp_path, HOME=str(tmp_path))
    assert json.loads(answer)["citations"][0]["path"] == "retry.py"
    loaded = "from explorer.reader.session import load_reader; print(load_reader().card['version'])"
    card = read_json(ROOT / "explorer/reader/weights/card.json")
    assert run(venv / "bin/python", "-c", loaded, cwd=tmp_path).strip() == card["version"]
    where = "import server; print(server.__file__)"
    assert Path(run(venv / "bin/python", "-c", where, cwd=tmp_path)).is_relative_to(venv)


def test_the_command_runs_from_the_sources_by_uvx(sources: Path, tmp_path: Path) -> None:
    asked = ("fastcontext", "install", "cursor", "--dry-run")
    shown = run(UVX, "--from", sources, *asked, cwd=tmp_path, HOME=str(tmp_path))
    assert f"'fastcontext-mcp @ {sources.as_uri()}'" in shown


def readme_commands(*words: str) -> list[list[str]]:
    """Those commands of README that begin with these words."""
    found = [each for each in commands(README) if tuple(each[: len(words)]) == words]
    assert found, words
    return found


def test_readmes_set_up_puts_a_copy_that_stays_into_each_clients_file(
    from_repository: dict[str, str], tmp_path: Path
) -> None:
    settings = from_repository | {"HOME": str(tmp_path), "UV_TOOL_DIR": str(tmp_path / "tools")}
    install = ("uvx", "--from", f"git+{REPOSITORY}", PROJECT["name"], "install")
    shown = run(UVX, *install[1:], "cursor", "--dry-run", cwd=tmp_path, **settings)
    assert "uv tool install" in shown
    assert not (tmp_path / ".cursor").exists()
    assert not (tmp_path / "tools/fastcontext-mcp").exists()
    for command in readme_commands(*install):
        run(UVX, *command[1:], cwd=tmp_path, **settings)
    entry = read_json(tmp_path / ".cursor/mcp.json")["mcpServers"]["fastcontext"]
    for file in (".claude.json", ".codex/config.toml"):
        assert entry["command"] in (tmp_path / file).read_text(encoding="utf-8")
    assert f'+      "command": "{entry["command"]}",' in shown.splitlines()
    # The entry needs neither uv nor what its cache holds.
    cache = Path(from_repository["UV_CACHE_DIR"])
    hidden = cache.rename(tmp_path / "cache")
    with served(tmp_path, command=[entry["command"], *entry["args"]], PATH="/nowhere") as server:
        assert server.initialize()["result"]["serverInfo"]["version"] == PROJECT["version"]
    hidden.rename(cache)


def test_the_plugin_starts_without_the_package_index(
    from_repository: dict[str, str], tmp_path: Path
) -> None:
    [entry] = read_json(PLUGIN / ".mcp.json")["mcpServers"].values()
    words = [str(UVX), *entry["args"]]
    # What it needs is installed first: the server is asked with a test's patience.
    run(*words, "--help", cwd=tmp_path, **from_repository)
    # From now on there is no index.
    settings = from_repository | {"UV_OFFLINE": "1"}
    with served(tmp_path, command=words, **settings) as server:
        assert server.initialize()["result"]["serverInfo"]["version"] == PROJECT["version"]


def test_the_bundle_is_valid_packs_and_answers(tmp_path: Path) -> None:
    command, environment = node_command(PACKAGE, SCRIPT)
    run(*command, "validate", ROOT / "bundle/manifest.json", cwd=tmp_path, **environment)
    packed = tmp_path / "fastcontext.mcpb"
    run(*command, "pack", lay_out(tmp_path / "laid"), packed, cwd=tmp_path, **environment)
    names = set(zipfile.ZipFile(packed).namelist())
    own = {"manifest.json", "pyproject.toml", "README.md", *PROJECT["license-files"]}
    assert {name.split("/")[0] for name in names} == own | set(PACKAGES)
    assert DATA | {"server/main.py"} <= names
    assert not [name for name in names if UNWANTED.search(name)]
    opened = tmp_path / "opened"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(opened)
    words, settings = as_the_host_starts(opened, home=tmp_path)
    settings |= {"UV_CACHE_DIR": str(tmp_path / "cache"), "UV_NO_DEV": "1"}
    # What the bundle needs is installed first: the server is asked with a test's patience.
    run(UV, "sync", "-q", cwd=opened, **settings)
    with served(tmp_path, command=[str(UV), *words], **settings) as server:
        assert server.initialize()["result"]["serverInfo"]["version"] == PROJECT["version"]


def as_the_host_starts(opened: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments and variables of the manifest for a person who leaves every default."""
    manifest = read_json(opened / "manifest.json")
    known = {"__dirname": str(opened), "HOME": str(home)}
    for name, asked in manifest["user_config"].items():
        known[f"user_config.{name}"] = filled(asked["default"], known)
    given = manifest["server"]["mcp_config"]
    settings = {name: filled(value, known) for name, value in given["env"].items()}
    assert settings[f"{PREFIX}ROOTS"] == str(home)
    return [filled(word, known) for word in given["args"]], settings


def filled(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        text = text.replace("${" + name + "}", value)
    assert "${" not in text
    return text


def test_the_registrys_entry_keeps_its_rules() -> None:
    entry = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"io\.github\.[\w.-]+/[\w.-]+", entry["name"])
    assert f"<!-- mcp-name: {entry['name']} -->" in README
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


def test_the_registrys_entry_starts_the_wheel_as_it_says(built: Path, tmp_path: Path) -> None:
    [package] = read_json(ROOT / "server.json")["packages"]
    assert package["runtimeHint"] == UVX.name
    words = [argument["value"] for argument in package["packageArguments"]]
    settings = {"UV_FIND_LINKS": str(built), "UV_CACHE_DIR": str(tmp_path / "cache")}
    # What the package needs is installed first: the server is asked with a test's patience.
    run(UVX, package["identifier"], *words, "--help", cwd=tmp_path, **settings)
    settings |= {"UV_OFFLINE": "1"}
    command = [str(UVX), package["identifier"], *words]
    with served(tmp_path, command=command, **settings) as server:
        assert server.initialize()["result"]["serverInfo"]["version"] == package["version"]


def test_the_plugin_has_the_form_that_claude_code_reads() -> None:
    manifest = read_json(PLUGIN / ".claude-plugin/plugin.json")
    assert re.fullmatch(r"[a-z][a-z0-9-]*", manifest["name"])
    assert manifest["version"] == PROJECT["version"]
    [server] = read_json(PLUGIN / ".mcp.json")["mcpServers"].values()
    [package] = read_json(ROOT / "server.json")["packages"]
    assert server["command"] == package["runtimeHint"]
    assert server["args"] == ["--from", f"git+{REPOSITORY}", package["identifier"], "serve"]
    assert server["alwaysLoad"] is True
    [listed] = read_json(ROOT / ".claude-plugin/marketplace.json")["plugins"]
    assert listed["name"] == manifest["name"]
    assert (ROOT / listed["source"]).resolve() == PLUGIN.resolve()
    command = (PLUGIN / "commands/explore.md").read_text(encoding="utf-8")
    assert command.startswith("---\ndescription: ")
    assert "$ARGUMENTS" in command
    skill = (PLUGIN / "skills/finding-code/SKILL.md").read_text(encoding="utf-8")
    assert re.match(r"---\nname: [a-z-]+\ndescription: .+\n---\n", skill)
    assert INSTRUCTIONS in skill


def test_claude_code_takes_the_plugin_and_the_entries_that_the_documents_name(
    tmp_path: Path,
) -> None:
    node, modules = external(NODE), external(CLIENTS)
    claude = modules / ".bin/claude"
    path = f"{node.parent}{os.pathsep}{os.environ['PATH']}"
    pages = [ROOT / "docs/clients.md", ROOT / "docs/team.md", PLUGIN / "README.md"]
    named = [words for page in pages for words in commands(page.read_text(encoding="utf-8"))]
    tried = [words[1:] for words in named if words[0] == "claude"]
    assert len(tried) == 4
    for number, words in enumerate(tried):
        # A home for each, since the entries have one name; the plugin's two commands share one.
        home = tmp_path / (str(number) if words[0] == "mcp" else "plugin")
        home.mkdir(exist_ok=True)
        # The repository's address is that of this folder here.
        local = [str(ROOT) if word == f"{REPOSITORY}.git" else word for word in words]
        run(claude, *local, cwd=home, HOME=str(home), PATH=path, DISABLE_AUTOUPDATER="1")
        if words[0] == "mcp":
            assert '"fastcontext"' in (home / ".claude.json").read_text(encoding="utf-8")
    kept = tmp_path / "plugin/.claude/plugins/installed_plugins.json"
    assert "fastcontext@fastcontext-mcp" in read_json(kept)["plugins"]


def test_the_workflows_trust_what_they_have_checked() -> None:
    workflows = {
        path.stem: path.read_text(encoding="utf-8")
        for path in (ROOT / ".github/workflows").glob("*.yml")
    }
    used = re.findall(r"uses: (\S+)(.*)", "\n".join(workflows.values()))
    assert len(used) > 8
    for action, comment in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v[\d.]+", comment), action
    release = yaml.safe_load(workflows["release"])["jobs"]
    assert release["publish"]["needs"] == ["everything", "package"]
    assert release["publish"]["permissions"] == {"id-token": "write"}
    # The versions that are promised are those that are tried.
    tried = yaml.safe_load(workflows["package"])["jobs"]["wheel-and-sdist"]["strategy"]["matrix"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert tried["python"] == promised


def test_a_linter_finds_no_fault_with_plugin_skill_and_entry(tmp_path: Path) -> None:
    for name in (".claude-plugin", "plugins"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copyfile(ROOT / "server.json", tmp_path / "server.json")
    seen = linted(tmp_path)
    assert "marketplace, mcp-registry" in seen.stdout
    assert re.search(r"Plugins: +1\n +Skills: +1\n", seen.stdout)
    assert seen.returncode == 0, seen.stdout
    # The linter looks: an entry that its schema forbids is found.
    wrong = read_json(ROOT / "server.json") | {"description": "long " * 21}
    (tmp_path / "server.json").write_text(json.dumps(wrong))
    seen = linted(tmp_path)
    assert seen.returncode == 1
    assert "mcp-registry-server-json-valid" in seen.stdout


def linted(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(UV), "tool", "run", LINTER, "lint", "--strict", str(tree)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value

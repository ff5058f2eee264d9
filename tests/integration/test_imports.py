"""The arrows between the packages, each checked in a fresh process, and between their folders."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_LIST_MODULES = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(found.name)
print("\\n".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded(code: str, *arguments: str) -> set[str]:
    """What a fresh interpreter has loaded, by the lines that the code prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("explorer", {"mcp", "vllm", "launch", "server", "typer"}),
        ("launch", {"mcp", "explorer", "server", "vllm"}),
    ],
)
def test_a_package_imports_nothing_that_stands_above_it(package: str, forbidden: set[str]) -> None:
    modules = loaded(_LIST_MODULES, package)
    assert package in modules
    assert modules & forbidden == set()


FOLDERS = {
    "explorer": {
        "answers": {"definitions", "repository"},
        "definitions": {"repository"},
        "engines": set(),
        "hermes": set(),
        "reader": {"definitions"},
        "repository": set(),
        "scout": {"definitions", "reader", "repository"},
        "tools": {"repository"},
        # The loop and its parts.
        "": {"answers", "engines", "hermes", "repository", "tools"},
    },
    "launch": {
        "bench": {"plan", "verify"},
        "keeper": {"plan"},
        "plan": set(),
        "quantize": {"plan", "verify"},
        "verify": set(),
        "": set(),
    },
    "server": {
        "clients": set(),
        "commands": {"clients", "doctor", "exploring", "process", "protocol", "view"},
        "doctor": {"clients", "exploring"},
        "exploring": set(),
        "process": set(),
        "protocol": {"exploring", "process", "view"},
        "view": {"exploring"},
        # The two entries.
        "": {"commands", "process", "protocol"},
    },
}
"""Of each folder the folders of its package that it may import from; no arrow runs back."""

SHARED = {
    "explorer": {"errors", "events", "lenient_json", "limits", "records"},
    "launch": {"errors", "files", "nvfp4", "places", "process", "state", "watch"},
    "server": {"", "errors", "homes", "settings", "visible"},
}
"""The modules at each package's root that its folders may import; the others stand above them."""


def imported(path: Path) -> Iterator[str]:
    """The modules that a file names in imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                below = f"{node.module}.{name.name}"
                is_module = (ROOT / below.replace(".", "/")).with_suffix(".py").exists()
                yield below if is_module else node.module


@pytest.mark.parametrize(
    ("package", "folder"), [(package, folder) for package in FOLDERS for folder in FOLDERS[package]]
)
def test_a_folder_imports_only_from_folders_below_it(package: str, folder: str) -> None:
    allowed = FOLDERS[package][folder]
    wrong: list[str] = []
    for path in sorted((ROOT / package / folder).glob("*.py" if not folder else "**/*.py")):
        for name in imported(path):
            first, *rest = name.split(".")
            if first != package:
                continue
            below = rest[0] if rest and (ROOT / package / rest[0]).is_dir() else ""
            if below:
                is_allowed = below == folder or below in allowed
            else:
                is_allowed = not folder or (rest or [""])[0] in SHARED[package]
            wrong += [] if is_allowed else [f"{path.relative_to(ROOT)} imports {name}"]
    assert wrong == []


def test_every_folder_has_its_arrows_and_says_what_lives_there() -> None:
    for package, folders in FOLDERS.items():
        found = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert found == set(folders) - {""}
        for folder in folders:
            text = ast.get_docstring(
                ast.parse((ROOT / package / folder / "__init__.py").read_text())
            )
            assert text is not None
            assert len(text.split()) > 10


def test_the_server_starts_without_what_only_an_exploration_needs() -> None:
    code = (
        "import sys; from server.protocol.app import build_server; build_server();"
        "print('\\n'.join(sys.modules))"
    )
    modules = loaded(code)
    assert "mcp.server" in modules
    heavy = {"numpy", "onnxruntime", "httpx", "typer", "pydantic_settings", "explorer.loop", "vllm"}
    assert modules & heavy == set()


def test_the_command_line_starts_without_the_protocol_and_numpy() -> None:
    modules = loaded("import sys, server.commands.root; print('\\n'.join(sys.modules))")
    assert "typer" in modules
    assert modules & {"mcp", "numpy", "onnxruntime", "httpx", "rich"} == set()


def test_a_question_on_the_command_line_loads_no_other_command() -> None:
    modules = loaded(
        "import sys, server.commands.root as root; root.commands(['explore', 'why?']);"
        "print('\\n'.join(sys.modules))"
    )
    assert "server.commands.explore" in modules
    others = {f"server.commands.{name}" for name in ("bench", "clients", "engine", "quantize")}
    assert modules & (others | {"server.clients.table", "pydantic", "numpy"}) == set()


def test_the_command_alone_looks_at_files_and_loads_no_client_of_anything() -> None:
    code = (
        "import sys; from server.commands.welcome import welcome; welcome();"
        "print('\\n'.join(sys.modules))"
    )
    modules = loaded(code)
    assert "server.clients.table" in modules
    assert modules & {"mcp", "numpy", "httpx", "rich", "jinja2", "explorer.loop"} == set()


def test_finding_the_engine_imports_nothing_that_only_a_start_needs() -> None:
    modules = loaded("import sys, launch.keeper.client; print('\\n'.join(sys.modules))")
    assert "launch.state" in modules
    assert modules & {"http.client", "tempfile", "launch.keeper.child", "launch.plan.spec"} == set()


@pytest.mark.parametrize(
    "module", ["server.protocol.app", "server.commands.root", "server.settings", "explorer"]
)
def test_importing_has_no_effect_on_the_terminal(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("", "")

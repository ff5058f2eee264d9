"""``mcp dev`` with the Inspector's web page, driven in a browser as a person would."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.external import CHROMIUM, external, node_command
from tests.serving import MAIN
from tests.tooling import write_tree

pytestmark = pytest.mark.timeout(300)

START_S = 120.0
"""``uv`` may have to make an environment first: 2 s with a warm cache, minutes without one."""
PATIENCE_MS = 90_000.0
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
TREE = {".git/HEAD": "", "src/retry.py": "def retry_delay(attempt):\n    return 2**attempt\n"}
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/?\?MCP_INSPECTOR_API_TOKEN=\w+")


def free_ports(count: int) -> list[str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(each.getsockname()[1]) for each in held]
    for each in held:
        each.close()
    return ports


def environment(home: Path) -> dict[str, str]:
    """What ``mcp dev`` is run with; its ``npx`` starts the Inspector that is installed already."""
    command, bare = node_command(
        "@modelcontextprotocol/inspector", "clients/launcher/build/index.js"
    )
    npx = home / "bin" / "npx"
    npx.parent.mkdir()
    npx.write_text(f'#!/bin/sh\nshift\nexec {command[0]} {command[1]} "$@"\n')
    npx.chmod(0o755)
    page, sandbox, app = free_ports(3)
    path = [str(npx.parent), str(Path(sys.executable).parent), bare["PATH"]]
    return {
        "PATH": os.pathsep.join(path),
        "HOME": str(home),
        "MCP_AUTO_OPEN_ENABLED": "false",
        "CLIENT_PORT": page,
        "MCP_SANDBOX_PORT": sandbox,
        "MCP_APP_ORIGIN_PORT": app,
    }


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where ``mcp dev server/main.py`` shows its page."""
    external(CHROMIUM)
    env = environment(tmp_path)
    log = tmp_path / "mcp-dev.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("mcp")), "dev", MAIN],
            env=env,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield _address_in(log, process)
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(10.0)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


def _address_in(log: Path, process: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + START_S
    while not (found := _ADDRESS.search(log.read_text(errors="replace"))):
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < until, log.read_text(errors="replace")
        time.sleep(0.1)
    return found[0]


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(external(CHROMIUM)), args=FLAGS)
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(PATIENCE_MS)
        opened.goto(address)
        yield opened
        browser.close()


def test_the_page_connects_lists_the_tools_and_shows_an_answer(page: Page, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", TREE)
    page.get_by_role("switch", name=re.compile("Connect or disconnect")).locator("..").click()
    expect(page.get_by_text("Connected", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_text("Tools", exact=True).first.click()
    expect(page.get_by_role("heading", name="Tools (2)")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_text("explore_repository", exact=True).first.click()
    page.get_by_role("textbox", name="Query").fill("Where is the retry delay computed?")
    page.get_by_role("textbox", name="Path").fill(str(tree))
    page.get_by_role("button", name="Execute Tool").click()
    shown = page.locator("main")
    expect(shown).to_contain_text("src/retry.py:1-2", timeout=PATIENCE_MS)
    if folder := os.environ.get("FASTCONTEXT_TEST_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "inspector.png")
        Path(folder, "inspector.txt").write_text(shown.aria_snapshot())

"""The protocol's own conformance suite against the server over HTTP."""

import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.external import node_command
from tests.serving import PATIENCE_S, ROOT, bare_environment

PACKAGE = "@modelcontextprotocol/conformance"
SCRIPT = "dist/index.js"
BASELINE = ROOT / "tests/conformance_baseline.yml"
SUITE_S = 120.0
PASSING = {
    "server-initialize",
    "ping",
    "tools-list",
    "tools-call-simple-text",
    "tools-call-error",
    "server-sse-multiple-streams",
    "resources-list",
    "prompts-list",
    "dns-rebinding-protection",
}

# The suite cannot send a bearer token. All else is as `fastcontext serve --http` has it: the
# application that stands behind the token, with its checks of Host and Origin.
WITHOUT_TOKEN = """
import sys
sys.path.insert(0, {root!r})
from server.protocol import http_server
from server.protocol.app import build_server
from server.settings import Settings

http_server.BearerToken = lambda app, token: app
settings = Settings(engine="scout")
build_server(settings).run("streamable-http", host="127.0.0.1", port=0)
"""


@contextmanager
def serving_without_token(home: Path) -> Iterator[str]:
    """The URL of a server on a free port that lets anyone on this machine in."""
    log = home / "server.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_TOKEN.format(root=str(ROOT))],
            env=bare_environment(home),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            ready, _, _ = select.select([process.stderr], [], [], PATIENCE_S)
            assert ready, "the server says nothing"
            line = process.stderr.readline().decode()
            url = re.search(r"http://\S+", line)
            assert url is not None, line
            yield url[0]
        finally:
            process.kill()
            errors.write(process.communicate(timeout=PATIENCE_S)[1])


@pytest.mark.timeout(300)
def test_the_server_conforms_but_for_the_known_scenarios(tmp_path: Path) -> None:
    command, environment = node_command(PACKAGE, SCRIPT)
    with serving_without_token(tmp_path) as url:
        arguments = ["server", "--url", url, "--suite", "all", "-o", str(tmp_path / "results")]
        done = subprocess.run(
            [*command, *arguments, "--expected-failures", str(BASELINE)],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SUITE_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    assert set(re.findall(r"✓ ([\w-]+): [1-9]\d* passed, 0 failed", done.stdout)) == PASSING

"""How a serving process ends: soon, and with the model's request closed."""

import array
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.serving import (
    INITIALIZE,
    MAIN,
    PATIENCE_S,
    ROOT,
    Served,
    bare_environment,
    hanging,
    served,
)
from tests.tooling import write_tree

# SDK clients allow 2 s between closing stdin and SIGTERM. More is allowed here, for busy machines.
SOON_S = 5.0


PATIENT_SERVER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from server.process import lifecycle
lifecycle.CLEANUP_S = 3600.0
from server.protocol.app import build_server
build_server().run()
"""
FAILING_SERVER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from server.protocol.app import build_server
from server.exploring.open_repositories import RepositoryWatch

async def fail():
    raise ZeroDivisionError("division by zero")

RepositoryWatch.watch = lambda self, root, warm: self._group.start_soon(fail)
build_server().run()
"""


def unread(pipe: int) -> int:
    """Bytes that wait in the pipe."""
    waiting = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "repository", {".git/HEAD": "", "a.py": "x = 1\n"})


def start_a_call(server: Served, repository: Path) -> int:
    server.initialize()
    return server.call("explore_repository", query="where is x?", path=str(repository))


@pytest.mark.skipif(sys.platform != "linux", reason="asks for the size of a pipe")
def test_a_client_that_reads_nothing_and_closes_stdin_leaves_no_server(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.initialize()
        assert server.process.stdin is not None
        assert server.process.stdout is not None
        # One page, of which the first answer takes a half, so that not all five fit.
        fcntl.fcntl(server.process.stdout, fcntl.F_SETPIPE_SZ, 4_096)
        for _ in range(5):
            server.send("tools/list")
        while not unread(server.process.stdout.fileno()):
            continue
        server.process.stdin.close()
        assert server.process.wait(SOON_S) == 0


@pytest.mark.parametrize(
    "how", ["SIGTERM", "SIGINT", "SIGHUP", "stdin"], ids=lambda how: f"by {how}"
)
def test_the_process_ends_soon_and_closes_the_models_request(
    tmp_path: Path, repository: Path, how: str
) -> None:
    with (
        hanging() as model,
        served(tmp_path, FASTCONTEXT_ENDPOINT=model.url) as server,
    ):
        start_a_call(server, repository)
        model.wait(model.asked)
        if how == "stdin":
            assert server.process.stdin is not None
            server.process.stdin.close()
        else:
            server.process.send_signal(signal.Signals[how])
        assert server.process.wait(SOON_S) == 0
        model.wait(model.closed)
        assert "Traceback" not in server.errors()


def test_the_process_ends_when_its_work_is_closed_though_the_client_keeps_stdin_open(
    tmp_path: Path, repository: Path
) -> None:
    command = [sys.executable, "-c", PATIENT_SERVER]
    with (
        hanging() as model,
        served(tmp_path, command=command, FASTCONTEXT_ENDPOINT=model.url) as server,
    ):
        start_a_call(server, repository)
        model.wait(model.asked)
        server.process.terminate()
        assert server.process.wait(PATIENCE_S) == 0
        model.wait(model.closed)


def test_a_server_whose_work_between_calls_fails_ends_with_1_and_says_why(
    tmp_path: Path, repository: Path
) -> None:
    with served(tmp_path, command=[sys.executable, "-c", FAILING_SERVER]) as server:
        start_a_call(server, repository)
        assert server.process.wait(PATIENCE_S) == 1
        server.end_of_output()
    assert "ZeroDivisionError" in server.errors()


def test_a_dead_client_whose_pipe_another_process_holds_is_noticed(tmp_path: Path) -> None:
    # The client starts the server and a bystander that inherits the server's stdin, then dies.
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE})
    message = message.encode() + b"\n"
    client = textwrap.dedent(f"""
        import os, subprocess, sys
        read, write = os.pipe()
        pipes = {{"stdin": read, "stdout": subprocess.PIPE}}
        server = subprocess.Popen([sys.executable, {MAIN!r}], cwd="/", **pipes)
        os.write(write, {message!r})
        server.stdout.readline()
        holder = subprocess.Popen(["sleep", "60"], pass_fds=[write], stdout=subprocess.DEVNULL)
        print(server.pid, holder.pid, flush=True)
        sys.stdin.readline()
        os._exit(9)
    """)
    started = subprocess.Popen(
        [sys.executable, "-c", client],
        env=bare_environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert started.stdout is not None
    pids = [int(text) for text in started.stdout.readline().split()]
    server, holder = (psutil.Process(pid) for pid in pids)
    try:
        started.communicate(b"\n", timeout=PATIENCE_S)
        server.wait(PATIENCE_S)
        assert holder.is_running()
    finally:
        for process in (server, holder):
            if process.is_running():
                process.kill()


def test_cancelling_a_call_closes_the_models_request_and_the_server_goes_on(
    tmp_path: Path, repository: Path
) -> None:
    with (
        hanging() as model,
        served(tmp_path, FASTCONTEXT_ENDPOINT=model.url) as server,
    ):
        called = start_a_call(server, repository)
        model.wait(model.asked)
        server.send("notifications/cancelled", {"requestId": called}, notify=True)
        model.wait(model.closed)
        assert "result" in server.answer(server.send("ping"))


def test_no_child_is_left_when_the_process_is_told_to_end(tmp_path: Path, repository: Path) -> None:
    with served(tmp_path) as server:
        called = start_a_call(server, repository)
        children = psutil.Process(server.process.pid).children(recursive=True)
        server.process.terminate()
        assert server.process.wait(SOON_S) == 0
        assert called
    _, alive = psutil.wait_procs(children, timeout=SOON_S)
    assert alive == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_command_closes_the_models_request_at_once(
    tmp_path: Path, repository: Path, number: signal.Signals
) -> None:
    with hanging() as model:
        started = subprocess.Popen(
            [sys.executable, "-m", "server", "explore", "where is x?", "--repo", str(repository)],
            cwd=Path(MAIN).parents[1],
            env=bare_environment(tmp_path, FASTCONTEXT_ENDPOINT=model.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            model.wait(model.asked)
            started.send_signal(number)
            out, errors = started.communicate(timeout=SOON_S)
        finally:
            started.kill()
        assert started.returncode == 128 + number
        model.wait(model.closed)
        assert out == b""
        assert b"Traceback" not in errors


def test_a_command_whose_reader_has_gone_ends_without_a_word(
    tmp_path: Path, repository: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "server", "explore", "where is x?", "--repo", str(repository)],
        cwd=Path(MAIN).parents[1],
        env=bare_environment(tmp_path),
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(write)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr

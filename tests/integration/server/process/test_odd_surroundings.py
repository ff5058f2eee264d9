"""The command where streams are closed or narrow, no home is known, or the unforeseen happens."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import MAIN, PATIENCE_S, ROOT, bare_environment
from tests.tooling import write_tree

COMMAND = "import sys; sys.path.insert(0, sys.argv.pop(1)); from server.__main__ import main"
NO_HOME = """
import os, pwd
del os.environ["HOME"], os.environ["XDG_CONFIG_HOME"]
def getpwuid(uid):
    raise KeyError(uid)
pwd.getpwuid = getpwuid
"""
UNFORESEEN = """
import server.exploring.repositories
def fail():
    raise ZeroDivisionError("division by zero")
server.exploring.repositories.default_for_command = fail
"""
UNREADABLE = """
import os
os.access = lambda *_given, **_named: False
"""
INTERRUPTED = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
"""
NARROW = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    tree = {".git/HEAD": "", "a.py": "def retry_delay(): return 'é → 🧨'\n"}
    return write_tree(tmp_path / "repository", tree)


def fastcontext(
    home: Path,
    *arguments: str,
    before: str = "",
    redirect: str = "",
    cwd: Path = ROOT,
    **settings: str,
) -> subprocess.CompletedProcess[bytes]:
    """The command after some Python, with a redirection as in a shell."""
    python = [sys.executable, "-P", "-c", f"{COMMAND}\n{before}\nmain()", str(ROOT)]
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *python, *arguments],
        cwd=cwd,
        env=bare_environment(home, **settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("how", NARROW)
def test_an_answer_fits_any_encoding_of_stdout(tmp_path: Path, repository: Path, how: str) -> None:
    given = ["explore", "où est retry_delay? 🧨", "--repo", str(repository)]
    plain = fastcontext(tmp_path, *given, **NARROW[how])
    assert plain.returncode == 0, plain.stderr
    assert b"a.py:1-1" in plain.stdout
    found = json.loads(fastcontext(tmp_path, *given, "--json", **NARROW[how]).stdout)
    assert found["citations"][0]["evidence"] == "def retry_delay(): return 'é → 🧨'"


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
def test_a_repository_whose_name_is_not_utf_8_is_named_in_valid_json(
    tmp_path: Path, repository: Path
) -> None:
    odd = repository.rename(tmp_path / os.fsdecode(b"repo_\xff"))
    done = fastcontext(tmp_path, "explore", "retry delay", "--repo", str(odd), "--json")
    assert json.loads(done.stdout)["repository"] == f"{tmp_path}/repo_\ufffd"


@pytest.mark.parametrize("command", [["explore", "retry delay"], ["doctor"], ["runs"]])
def test_a_user_without_a_home_directory_is_served(
    tmp_path: Path, repository: Path, command: list[str]
) -> None:
    done = fastcontext(tmp_path, *command, before=NO_HOME, cwd=repository)
    assert done.returncode == 0, done.stderr
    assert b"error:" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["explore", "q"], {"FASTCONTEXT_ROOTS": "~nobody-by-that-name/x"}),
        (["explore", "q", "--repo", "~nobody-by-that-name/x"], {}),
        (["explore", "q", "--record", "~nobody-by-that-name/x"], {}),
        (["serve", "--root", "~nobody-by-that-name/x"], {}),
        (["engine", "plan"], {"FASTCONTEXT_ENGINE_MODELS": "~nobody-by-that-name/x"}),
    ],
)
def test_the_home_of_an_unknown_user_is_wrong_usage(
    tmp_path: Path, arguments: list[str], settings: dict[str, str]
) -> None:
    done = fastcontext(tmp_path, *arguments, **settings)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: '~nobody-by-that-name/x' ")
    assert b"hint: write the whole path" in done.stderr


@pytest.mark.parametrize("redirect", [">/dev/full", ">&-"])
@pytest.mark.parametrize("command", [["explore", "retry delay"], ["--version"]])
def test_an_answer_that_cannot_be_written_fails_the_command(
    tmp_path: Path, repository: Path, command: list[str], redirect: str
) -> None:
    done = fastcontext(tmp_path, *command, redirect=redirect, cwd=repository)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert b"Traceback" not in done.stderr


def test_what_cannot_be_told_on_stderr_leaves_the_exit_status_as_it_is(tmp_path: Path) -> None:
    for redirect in ("2>/dev/full", "2>&-"):
        assert fastcontext(tmp_path, "explore", "", redirect=redirect).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["-m", "server", "explore", "retry delay", "--repo", "{repository}"], 0),
        (["-m", "server", "explore", "retry delay", "--repo", "."], 2),
        ([MAIN], 0),
    ],
)
def test_a_working_directory_that_is_gone_is_missed_only_where_it_is_needed(
    tmp_path: Path, repository: Path, arguments: list[str], status: int
) -> None:
    (tmp_path / "gone").mkdir()
    given = [each.format(repository=repository) for each in arguments]
    done = subprocess.run(
        ["/bin/sh", "-c", 'rmdir ../gone; exec "$@"', "sh", sys.executable, *given],
        cwd=tmp_path / "gone",
        env=bare_environment(tmp_path, PYTHONPATH=str(ROOT)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr


def test_a_closed_stdin_holds_no_question(tmp_path: Path) -> None:
    done = fastcontext(tmp_path, "explore", "-", redirect="<&-")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: the query is empty")


@pytest.mark.parametrize("redirect", ["<&-", ">&-"])
@pytest.mark.parametrize("form", ["serve", "main.py"])
def test_a_server_that_no_client_can_reach_ends_and_says_so(
    tmp_path: Path, form: str, redirect: str
) -> None:
    python = f'"{sys.executable}" "{MAIN}"'
    done = (
        fastcontext(tmp_path, "serve", redirect=redirect)
        if form == "serve"
        else subprocess.run(
            ["/bin/sh", "-c", f"exec {python} {redirect}"],
            env=bare_environment(tmp_path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
    )
    assert done.returncode == 1
    assert b"is closed" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reader_that_has_had_enough_is_no_failure(tmp_path: Path, repository: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{COMMAND}\nmain()", str(ROOT), "explore", "retry delay"],
        cwd=repository,
        env=bare_environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("level", ["WARNING", "DEBUG"])
def test_what_nobody_foresaw_is_an_error_and_at_debug_a_traceback(
    tmp_path: Path, level: str
) -> None:
    done = fastcontext(tmp_path, "explore", "q", before=UNFORESEEN, FASTCONTEXT_LOG_LEVEL=level)
    assert done.returncode == 1
    assert b"error: ZeroDivisionError: division by zero\nhint: " in done.stderr
    assert (b"Traceback" in done.stderr) == (level == "DEBUG")


def test_a_repository_that_may_not_be_read_fails_like_one_that_does_not_exist(
    tmp_path: Path, repository: Path
) -> None:
    for place in (repository, tmp_path / "nowhere"):
        done = fastcontext(tmp_path, "explore", "q", "--repo", str(place), before=UNREADABLE)
        assert done.returncode == 1
        assert b"hint: pass the" in done.stderr


@pytest.mark.parametrize(
    ("module", "run"),
    [
        ("server.commands.root", "from server.__main__ import main; main()"),
        ("server.protocol.app", f"import runpy; runpy.run_path({MAIN!r}, run_name='__main__')"),
    ],
)
def test_an_interruption_while_loading_says_nothing(tmp_path: Path, module: str, run: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module=module) + run],
        cwd=ROOT,
        env=bare_environment(tmp_path),
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, b"", b"")


def test_an_interruption_before_signals_are_watched_ends_the_server_as_one_after(
    tmp_path: Path,
) -> None:
    code = (
        "import anyio, signal\n"
        "from server.process.lifecycle import run_to_end\n"
        "async def serve():\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    await anyio.sleep_forever()\n"
        "run_to_end(serve, watch_parent=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=bare_environment(tmp_path),
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")

import os
import subprocess
import sys
import time
from importlib.metadata import distributions
from pathlib import Path

import pytest

from launch import process
from launch.keeper import lifeline

FAMILY = """
import os, sys, time
from importlib.metadata import entry_points
(plugin,) = entry_points(group="vllm.general_plugins")
if sys.argv[1] == "before": plugin.load()()
child = os.fork()
if child == 0:
    if sys.argv[1] == "after": plugin.load()()
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_ends_soon_after_its_parent_whether_forked_before_or_after(
    tmp_path: Path, when: str
) -> None:
    environment = dict(os.environ) | lifeline.install(tmp_path, {})
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY, when], env=environment, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(2 * lifeline.LOOK_S)
        assert is_there(child)
        parent.kill()
        until = time.monotonic() + 10
        while is_there(child) and time.monotonic() < until:
            time.sleep(0.02)
        assert not is_there(child)


def test_a_process_without_a_codec_still_sees_its_keeper() -> None:
    code = "import os, sys; sys.modules['encodings.ascii'] = None\n"
    code += "from launch.keeper.lifeline import birth; print(birth(os.getpid()), birth(1 << 30))"
    command = [sys.executable, "-X", "utf8", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout)


KEEPER = """
import os, subprocess, sys
from launch import process
from launch.keeper import lifeline
environment = dict(os.environ) | lifeline.install(lifeline.Path(sys.argv[1]), {})
code = "from importlib.metadata import entry_points; import time;"
code += "[each.load()() for each in entry_points(group='vllm.general_plugins')]; time.sleep(60)"
parent = "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', sys.argv[1]]);"
parent += "print(c.pid, flush=True); c.wait()"
subprocess.run([sys.executable, "-c", parent, code], env=environment)
"""


def test_a_process_ends_with_the_keeper_though_its_parent_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KEEPER, str(tmp_path)]
    root = str(Path(lifeline.__file__).parents[2])
    environment = dict(os.environ) | {"PYTHONPATH": root}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        child = int(keeper.stdout.readline())
        time.sleep(2 * lifeline.LOOK_S)
        assert is_there(child)
        keeper.kill()
        until = time.monotonic() + 10
        while is_there(child) and time.monotonic() < until:
            time.sleep(0.02)
        assert not is_there(child)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_paths_that_were_set_stay_and_a_choice_of_plugins_gets_one_more(
    tmp_path: Path,
) -> None:
    given = {"PYTHONPATH": "/opt/site", "VLLM_PLUGINS": "mine"}
    keeper = f"{os.getpid()} {process.birth(os.getpid())}"
    assert lifeline.install(tmp_path, given) == {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}/opt/site",
        "VLLM_PLUGINS": "mine,fastcontext_lifeline",
        "FASTCONTEXT_KEEPER": keeper,
    }
    assert lifeline.install(tmp_path, {}) == {
        "PYTHONPATH": str(tmp_path),
        "FASTCONTEXT_KEEPER": keeper,
    }
    (found,) = distributions(path=[str(tmp_path)])
    assert {(entry.group, entry.name) for entry in found.entry_points} == {
        ("vllm.platform_plugins", "fastcontext_lifeline"),
        ("vllm.general_plugins", "fastcontext_lifeline"),
    }

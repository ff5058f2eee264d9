"""The local engine on a GPU machine: starts, explorations, cache, sleep, crash; weightless models.

    python -m benchmarks.gpu.engine_on_gpu --out DIR [--profiles fp8,marlin,bf16,nvfp4]
        [--vllm /tmp/site/bin/vllm] [--budget-s 560]

The Python is one with this project's dependencies; vLLM may stand in another environment. The
profile ``nvfp4`` is the model card's flags, whatever the GPU.

Writes a row for each measurement to DIR/engine-rows.json as it goes, and prints a summary. Weights
are random: an answer must still come within its deadline, from what was read and from the scout.
Caveats: one run of each; the byte tokenizer makes a token of every byte; power is not measured.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from benchmarks.gpu.seen import cpu_s, gpu_used_mib, is_core, rss_mib
from benchmarks.gpu.timed import api, complete, speeds
from benchmarks.gpu.weightless import write_models
from launch import client, process
from launch.detect import detect
from launch.planner import Wanted
from launch.state import read_state
from server.engine_settings import wanted_engine
from server.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 600,
    "eos_token_id": 599,
    "bos_token_id": 598,
}
TURNS = 8
TURN_TOKENS = 2_000
QUESTION = "where is the time that an exploration may take kept and enforced?"


class Rows:
    """Measurements, written to the disk after each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.all: list[dict[str, Any]] = []

    def add(self, profile: str, what: str, **values: Any) -> None:
        """Keep and print one measurement."""
        row = {"profile": profile, "what": what, **values}
        self.all.append(row)
        self._path.write_text(json.dumps(self.all, indent=1))
        shown = "  ".join(f"{name}={value}" for name, value in values.items())
        print(f"{profile:<7} {what:<28} {shown}", flush=True)


class Bench:
    """One profile's measurements."""

    def __init__(self, name: str, rows: Rows, home: Path, wanted: Wanted, small: bool) -> None:
        self.name, self.rows, self.home, self.wanted, self.small = name, rows, home, wanted, small
        self.places = wanted.places

    def add(self, what: str, **values: Any) -> None:
        """Keep one measurement of this profile."""
        self.rows.add(self.name, what, **values)

    def plan(self) -> None:
        """What ``engine plan`` says here."""
        done = self._fastcontext("engine", "plan")
        print(done.stdout + done.stderr, flush=True)
        self.add("plan", ok=done.returncode == 0, first=(done.stdout or done.stderr)[:200])

    async def up(self, timeout_s: float) -> bool:
        """Start, and how long it took until the API named the model."""
        before = gpu_used_mib()
        began = time.monotonic()
        done = await anyio.to_thread.run_sync(
            lambda: self._fastcontext("engine", "up", "--no-wait", timeout_s=60)
        )
        if done.returncode:
            self.add("up", ok=False, said=done.stderr[-400:])
            return False
        returned_s = time.monotonic() - began
        status = await client.wait_ready(self.places, timeout_s)
        ok = status.get("phase") == "ready"
        self.add(
            "up, first start",
            ok=ok,
            ready_s=round(time.monotonic() - began, 1),
            command_s=round(returned_s, 2),
            gpu_before_mib=before,
            gpu_after_mib=gpu_used_mib(),
            detail=status.get("detail"),
        )
        if not ok:
            print(self._fastcontext("engine", "logs", "-n", "60").stdout, flush=True)
        return ok

    async def attach(self) -> None:
        """From nothing to a held engine, in this process and in a fresh one."""
        times = []
        for _ in range(20):
            began = time.perf_counter()
            async with client.use(self.places, wait_s=5):
                times.append((time.perf_counter() - began) * 1000)
        code = (
            "import time; t = time.perf_counter(); import sys; sys.path.insert(0, sys.argv[1])\n"
            "import anyio, pathlib\nfrom launch import client\nfrom launch.places import Places\n"
            "p = Places(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))\n"
            "async def go():\n    async with client.use(p, wait_s=5):\n"
            "        print((time.perf_counter() - t) * 1000)\nanyio.run(go)\n"
        )
        command = [sys.executable, "-c", code, ROOT, self.places.runtime, self.places.logs]
        fresh = [float((await anyio.run_process(list(map(str, command)))).stdout) for _ in range(5)]
        self.add(
            "attach",
            n=20,
            median_ms=round(statistics.median(times), 2),
            max_ms=round(max(times), 2),
            with_imports_median_ms=round(statistics.median(fresh), 1),
        )

    async def keeper_cost(self, seconds: float) -> None:
        """Memory and processor time of keeper and guard while nothing happens."""
        state = read_state(self.places.state)
        assert state is not None
        before = cpu_s(state.keeper_pid)
        await anyio.sleep(seconds)
        used = cpu_s(state.keeper_pid) - before
        self.add(
            "keeper at rest",
            keeper_mib=rss_mib(state.keeper_pid),
            guard_mib=rss_mib(state.guard_pid),
            cpu_percent=round(100 * used / seconds, 2),
        )

    async def transcript(self) -> None:
        """A replayed transcript: what of each turn's prompt the server had cached, and its TTFT."""
        async with client.use(self.places, wait_s=30) as access, api(access) as http:
            line = "src/pkg/module.py:10-20: def function(argument): return argument + 1\n"
            result = (line * (TURN_TOKENS // len(line) + 1))[:TURN_TOKENS]
            system = "You find code in a repository. " + "Guidelines stand here. " * 80
            messages = [{"role": "system", "content": system}]
            sent, rows = 0, []
            for turn in range(TURNS):
                messages.append({"role": "user", "content": f"result {turn}\n{result}"})
                first_ms, usage = await complete(http, access.model, messages, 16)
                prompt = usage["prompt_tokens"]
                cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
                rows.append(
                    {
                        "turn": turn + 1,
                        "prompt": prompt,
                        "cached": cached,
                        "ttft_ms": round(first_ms, 1),
                        "of_sent_before": round(cached / sent, 4) if sent else None,
                        "of_prompt": round(cached / prompt, 4),
                    }
                )
                sent = prompt
                messages.append({"role": "assistant", "content": "I read on."})
        later = [row["of_sent_before"] for row in rows[1:]]
        self.add("replayed transcript", turns=rows, least_of_sent_before=min(later))

    async def speeds(self) -> None:
        """Time to the first token and tokens a second over a range of prompts and streams."""
        async with client.use(self.places, wait_s=30) as access, api(access) as http:
            longest = 4_000 if self.small else 32_000
            self.add("speeds", **await speeds(http, access.model, longest))

    async def explorations(self, count: int, deadline_s: float) -> None:
        """Explorations side by side through the service, with the scout behind them."""
        from server.ask import make_ask
        from server.service import ExplorationService

        settings = load_settings(
            engine="local", deadline_s=deadline_s, max_turns=3, max_tokens=256, max_concurrent=count
        )
        done: list[dict[str, Any]] = []
        async with ExplorationService(settings) as service:

            async def one(number: int) -> None:
                query = f"{QUESTION} ({number})"
                ask = make_ask(settings, query, path=str(ROOT))
                began = time.monotonic()
                report = await service.explore(ask)
                run = report.exploration
                done.append(
                    {
                        "s": round(time.monotonic() - began, 2),
                        "engine": report.engine,
                        "stop": run.stop_reason,
                        "places": len(run.citations),
                        "turns": run.turns,
                        "prompt": run.usage.prompt_tokens,
                        "cached": run.usage.cached_tokens,
                        "written": run.usage.completion_tokens,
                        "why": report.engine_reason[:120],
                    }
                )

            began = time.monotonic()
            async with anyio.create_task_group() as group:
                for number in range(count):
                    group.start_soon(one, number)
            wall_s = time.monotonic() - began
        self.add(
            f"{count} exploration(s)",
            wall_s=round(wall_s, 2),
            median_s=round(statistics.median(row["s"] for row in done), 2),
            slowest_s=max(row["s"] for row in done),
            deadline_s=deadline_s,
            all_answered=all(row["places"] for row in done),
            rows=done,
        )

    def through_mcp(self, deadline_s: float) -> None:
        """One exploration through the MCP server over stdio, as a client makes it."""
        from tests.serving import served

        environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("FASTCONTEXT_", "XDG_", "LD_", "CUDA", "VIRTUAL"))
        } | {"FASTCONTEXT_DEADLINE_S": str(deadline_s), "FASTCONTEXT_MAX_TURNS": "3"}
        environment["FASTCONTEXT_MAX_TOKENS"] = "256"
        with served(self.home, cwd=ROOT, **environment) as server:
            began = time.monotonic()
            server.initialize()
            ready_s = time.monotonic() - began
            began = time.monotonic()
            number = server.call("explore_repository", query=QUESTION, path=str(ROOT))
            result = server.answer(number).get("result", {})
            found = result.get("structuredContent") or {}
            self.add(
                "exploration through MCP",
                initialize_s=round(ready_s, 2),
                s=round(time.monotonic() - began, 2),
                deadline_s=deadline_s,
                error=bool(result.get("isError")),
                engine=found.get("engine"),
                stop=found.get("stop_reason"),
                places=len(found.get("citations") or ()),
                why=str(found.get("engine_reason"))[:160],
            )

    async def sleep_and_wake(self) -> None:
        """How long both take, and the GPU's memory in between."""
        awake = gpu_used_mib()
        began = time.monotonic()
        answer = await client.ask(self.places, "sleep", timeout_s=90) or {}
        slept_s = time.monotonic() - began
        asleep = gpu_used_mib()
        began = time.monotonic()
        async with client.use(self.places, wait_s=120) as access:
            woke_s = time.monotonic() - began
            async with api(access) as http:
                message = [{"role": "user", "content": "hello"}]
                first_ms, _ = await complete(http, access.model, message, 4)
        self.add(
            "sleep and wake",
            ok=answer.get("ok"),
            slept_s=round(slept_s, 2),
            woke_s=round(woke_s, 2),
            first_token_after_ms=round(first_ms, 1),
            gpu_awake_mib=awake,
            gpu_asleep_mib=asleep,
            gpu_after_mib=gpu_used_mib(),
        )

    async def crash(self, timeout_s: float) -> None:
        """Kill vLLM's engine core: from the kill to ready again, and vLLM's own part of it."""
        state = read_state(self.places.state)
        assert state is not None
        core = next((pid for pid in process.session(state.guard_pid) if is_core(pid)), 0)
        if not core:
            self.add("crash to ready", ok=False, said="no engine core was found")
            return
        began = time.monotonic()
        process.kill([core])
        while (await client.ask(self.places, "status") or {}).get("phase") == "ready":  # noqa: ASYNC110
            await anyio.sleep(0.01)
        noticed_s = time.monotonic() - began
        status = await client.wait_ready(self.places, timeout_s)
        total_s = time.monotonic() - began
        words = str(status.get("detail", "")).split()
        own_s = float(words[2]) if len(words) > 2 and status.get("phase") == "ready" else 0.0
        self.add(
            "crash to ready",
            ok=status.get("phase") == "ready",
            noticed_s=round(noticed_s, 2),
            total_s=round(total_s, 1),
            warm_start_s=own_s,
            added_s=round(total_s - own_s, 2),
        )

    async def down(self) -> None:
        """End it, and what is left."""
        state = read_state(self.places.state)
        began = time.monotonic()
        await client.stop(self.places)
        took_s = time.monotonic() - began
        left = process.session(state.guard_pid) if state else []
        files = sorted(path.name for path in self.places.runtime.iterdir())
        self.add(
            "down",
            s=round(took_s, 2),
            processes_left=len(left),
            files_left=files,
            gpu_after_mib=gpu_used_mib(),
        )

    def _fastcontext(
        self, *arguments: str, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "server.cli", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def settings_for(profile: str, models: dict[str, Path], home: Path, arguments: Any) -> Wanted:
    """Set the environment for one profile, for this process and all that it starts."""
    model = models["nvfp4" if profile in ("nvfp4", "marlin") else "bf16"]
    os.environ |= {
        "HOME": str(home) if arguments.own_home else os.environ["HOME"],
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "FASTCONTEXT_ENGINE_MODELS": str(model),
        "FASTCONTEXT_ENGINE_PROFILE": "" if arguments.small else profile,
        "FASTCONTEXT_ENGINE_WEIGHTLESS": "true",
        "FASTCONTEXT_ENGINE_START": "true",
        "FASTCONTEXT_VLLM": arguments.vllm,
    }
    return wanted_engine(load_settings())


async def measure(bench: Bench, left_s: Callable[[], float], first: bool) -> None:
    """Everything about one profile, as far as the time reaches."""
    try:
        bench.plan()
        if await bench.up(max(30.0, left_s() - 20)):
            await _steps(bench, left_s, first)
    finally:
        with anyio.CancelScope(shield=True):
            await bench.down()


async def _steps(bench: Bench, left_s: Callable[[], float], first: bool) -> None:
    # Seconds that each needs at most where all is well, and the step; the dearest last.
    steps: list[tuple[float, Callable[[], Any]]] = [
        (5, bench.attach),
        (25, bench.transcript),
        (30, bench.speeds),
        (35, lambda: anyio.to_thread.run_sync(bench.through_mcp, 15.0, abandon_on_cancel=True)),
        (25, lambda: bench.explorations(1, 15.0)),
        (35, lambda: bench.explorations(16, 25.0)),
        (40, bench.sleep_and_wake),
    ]
    if first:
        steps.append((15, lambda: bench.keeper_cost(10.0)))
        steps.append((90, lambda: bench.crash(max(30.0, left_s() - 20))))
    for needs_s, step in steps:
        if left_s() - 15 < needs_s:
            bench.add("left out", left_s=round(left_s()))
            continue
        try:
            with anyio.fail_after(min(2 * needs_s, left_s() - 10)):
                await step()
        except Exception as error:
            # One measurement that fails must not cost the others: machine time is dear.
            bench.add("failed", error=f"{type(error).__name__}: {error}"[:300])


def main() -> None:
    """Measure the profiles one after the other, then print a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--profiles", default="fp8,marlin,bf16,nvfp4")
    parser.add_argument("--vllm", default="")
    parser.add_argument("--budget-s", type=float, default=560.0)
    parser.add_argument("--small", action="store_true", help="a tiny shape, to try it on a CPU")
    parser.add_argument("--own-home", action="store_true", help="no compile cache of this user's")
    arguments = parser.parse_args()
    ends_at = time.monotonic() + arguments.budget_s
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = Rows(arguments.out / "engine-rows.json")
    home = Path(tempfile.mkdtemp(prefix="fcgpu", dir="/tmp"))
    (home / "run").mkdir(mode=0o700)
    bf16, nvfp4 = write_models(home / "models", SMALL if arguments.small else None)
    machine = detect()
    rows.add(
        "-",
        "machine",
        gpus=[f"{gpu.name} SM{gpu.sm} driver {gpu.driver}" for gpu in machine.gpus],
        cores=machine.cores,
    )

    def left_s() -> float:
        return ends_at - time.monotonic()

    for number, profile in enumerate(arguments.profiles.split(",")):
        if left_s() < 90:
            rows.add(profile, "left out", left_s=round(left_s()))
            continue
        wanted = settings_for(profile, {"bf16": bf16, "nvfp4": nvfp4}, home, arguments)
        bench = Bench(profile, rows, home, wanted, arguments.small)
        try:
            anyio.run(measure, bench, left_s, number == 0)
        except Exception as error:
            rows.add(profile, "failed", error=f"{type(error).__name__}: {error}"[:300])
        if wanted.places.engine_log.exists():
            shutil.copy(wanted.places.engine_log, arguments.out / f"{profile}-engine.log")
        if wanted.places.keeper_log.exists():
            with (arguments.out / "keepers.log").open("a") as file:
                file.write(f"--- {profile}\n{wanted.places.keeper_log.read_text()}")
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()

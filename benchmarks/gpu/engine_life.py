"""Measures the life of the local engine: plans, starts, attaching, sleep, crash, end."""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks.gpu.measured import Rows, cpu_s, gpu_used_mib, is_core, rss_mib
from benchmarks.gpu.timed import api, complete
from launch import process
from launch.keeper import client
from launch.plan.planner import Wanted
from launch.state import read_state

ROOT = Path(__file__).resolve().parents[2]
_CACHE = re.compile(r"KV cache size: ([\d,]+) tokens")


class Bench:
    """One profile's measurements."""

    def __init__(self, name: str, rows: Rows, home: Path, wanted: Wanted, small: bool) -> None:
        self.name, self.rows, self.home, self.wanted, self.small = name, rows, home, wanted, small
        self.places = wanted.places

    def add(self, what: str, **values: Any) -> None:
        """Keep one measurement of this profile."""
        self.rows.add(self.name, what, **values)

    def plan(self) -> None:
        """The plan that ``engine plan`` makes here."""
        self.add("plan", **planned())

    async def up(self, timeout_s: float) -> bool:
        """Start the engine; measures the time until the API named the model."""
        before = gpu_used_mib()
        began = time.monotonic()
        done = await anyio.to_thread.run_sync(lambda: fastcontext("engine", "up", "--no-wait"))
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
            cache_tokens=self._cache_tokens(),
            detail=status.get("detail"),
        )
        if not ok:
            print(fastcontext("engine", "logs", "-n", "60").stdout, flush=True)
        return ok

    def _cache_tokens(self) -> int:
        """Tokens that the cache holds, by vLLM's log; 0 if it does not say."""
        log = self.places.engine_log
        found = _CACHE.findall(log.read_text(errors="replace")) if log.exists() else []
        return int(found[-1].replace(",", "")) if found else 0

    async def attach(self) -> None:
        """Time until the engine is held, in this process and in a new one."""
        times = []
        for _ in range(20):
            began = time.perf_counter()
            async with client.use(self.places, wait_s=5):
                times.append((time.perf_counter() - began) * 1000)
        code = (
            "import time; t = time.perf_counter(); import sys; sys.path.insert(0, sys.argv[1])\n"
            "import anyio, pathlib\nfrom launch.keeper import client\n"
            "from launch.places import Places\n"
            "p = Places(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))\n"
            "async def go():\n    async with client.use(p, wait_s=5):\n"
            "        print((time.perf_counter() - t) * 1000)\nanyio.run(go)\n"
        )
        command = [sys.executable, "-c", code, ROOT, self.places.runtime, self.places.logs]
        fresh = [
            float((await anyio.run_process(list(map(str, command)))).stdout) for _ in range(20)
        ]
        self.add(
            "attach",
            n=20,
            median_ms=round(statistics.median(times), 2),
            max_ms=round(max(times), 2),
            with_imports_median_ms=round(statistics.median(fresh), 1),
        )

    async def keeper_cost(self, seconds: float) -> None:
        """Memory and processor time of keeper and guard at rest."""
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

    async def sleep_and_wake(self) -> None:
        """How long going to sleep and waking take, and the GPU memory used in between."""
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

    async def restart(self, timeout_s: float) -> None:
        """A warm start: from asking for a restart until another vLLM is ready."""
        before = await client.ask(self.places, "status") or {}
        began = time.monotonic()
        # What `fastcontext engine restart` sends; the answer comes once there is a new plan.
        await client.ask(self.places, "restart", timeout_s=70)
        planned_s = time.monotonic() - began
        status: dict[str, Any] = {}
        with anyio.move_on_after(timeout_s):
            while status.get("phase") not in ("ready", "failed"):
                await anyio.sleep(0.1)
                status = await client.ask(self.places, "status") or {}
                if status.get("guard_pid") == before.get("guard_pid"):
                    status = {}
        self.add(
            "restart, warm start",
            ok=status.get("phase") == "ready",
            total_s=round(time.monotonic() - began, 1),
            planned_s=round(planned_s, 2),
            profile_after=status.get("profile"),
            detail=status.get("detail"),
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
        """End the engine; measures what is left of it."""
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


def planned(**variables: str) -> dict[str, Any]:
    """The choice of ``engine plan`` with these variables: profile, reason and flags."""
    done = fastcontext("engine", "plan", "--json", **variables)
    if done.returncode:
        return {"ok": False, "said": done.stderr[-400:]}
    made = json.loads(done.stdout)
    flags = [" ".join(filter(None, flag[:2])) for flag in made["flags"] if flag[0] != "--uds"]
    return {"ok": True, "chosen": made["profile"], "reason": made["reason"], "flags": flags}


def fastcontext(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of this project's commands, which may take a minute at most."""
    return subprocess.run(
        [sys.executable, "-m", "server.commands.root", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

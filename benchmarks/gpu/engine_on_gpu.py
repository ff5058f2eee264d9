"""The local engine on a GPU machine: starts, explorations, cache, sleep, crash; weightless models.

    python -m benchmarks.gpu.engine_on_gpu --out DIR [--profiles fp8,marlin,bf16,nvfp4]
        [--steps attach,transcript,...,restart,crash] [--vllm /tmp/site/bin/vllm] [--budget-s 560]

Run it with a Python that has this project's dependencies; vLLM may be in another environment. The
profile ``nvfp4`` means the model card's flags on any GPU. A bare machine's first start takes
75 s to 180 s and a warm one 30 s to 60 s, so two profiles fit a call of ten minutes.

Writes a row for each measurement to DIR/engine-rows.json at once, and prints a summary at the end.
Weights are random, so the scout gives the answers, which must still come within their deadline.
Caveats: one run each; the byte tokenizer makes a token of every byte; power is not measured.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from benchmarks.gpu import engine_traffic as traffic
from benchmarks.gpu.engine_life import Bench, planned
from benchmarks.gpu.measured import Rows
from benchmarks.gpu.weightless import write_models
from launch.plan.detect import detect
from launch.plan.planner import Wanted
from server.exploring.engine_settings import wanted_engine
from server.settings import load_settings

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
STEPS = ("attach", "transcript", "first-turn", "explorations", "mcp", "speeds", "sleep", "restart")
"""What is measured by default, in this order: the most expensive last."""
MORE_STEPS = ("rest", "crash")
_START_S = 150.0
"""Reserved for the first start and the measurements of each profile still to come."""


def settings_for(profile: str, models: dict[str, Path], home: Path, arguments: Any) -> Wanted:
    """Set the environment for one profile, for this process and those that it starts."""
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


async def measure(bench: Bench, left_s: Callable[[], float], wanted: list[str]) -> None:
    """Make the wanted measurements of one profile, as far as time allows."""
    try:
        bench.plan()
        if await bench.up(max(30.0, left_s() - 20)):
            await _steps(bench, left_s, wanted)
    finally:
        with anyio.CancelScope(shield=True):
            await bench.down()


async def _steps(bench: Bench, left_s: Callable[[], float], wanted: list[str]) -> None:
    def mcp() -> Any:
        return anyio.to_thread.run_sync(traffic.through_mcp, bench, 15.0, abandon_on_cancel=True)

    # The seconds that each step needs at most if all is well, and the step.
    steps: list[tuple[str, float, Callable[[], Any]]] = [
        ("attach", 10, bench.attach),
        ("transcript", 15, lambda: traffic.transcripts(bench, 1)),
        ("transcript", 40, lambda: traffic.transcripts(bench, 16)),
        ("first-turn", 10, lambda: traffic.first_turn(bench)),
        ("explorations", 20, lambda: traffic.explorations(bench, 1, 15.0)),
        ("explorations", 30, lambda: traffic.explorations(bench, 16, 25.0)),
        ("mcp", 25, mcp),
        ("speeds", 30, lambda: traffic.speed_table(bench)),
        ("sleep", 25, bench.sleep_and_wake),
        ("rest", 15, lambda: bench.keeper_cost(10.0)),
        ("restart", 75, lambda: bench.restart(max(30.0, left_s() - 20))),
        ("crash", 75, lambda: bench.crash(max(30.0, left_s() - 20))),
    ]
    for name, needs_s, step in steps:
        if name not in wanted:
            continue
        if left_s() - 15 < needs_s:
            bench.add("left out", step=name, left_s=round(left_s()))
            continue
        try:
            with anyio.fail_after(min(2 * needs_s, left_s() - 10)):
                await step()
        except Exception as error:
            # A measurement that fails must not cost the others: machine time is expensive.
            bench.add("failed", step=name, error=f"{type(error).__name__}: {error}"[:300])


def choices(rows: Rows, models: dict[str, Path]) -> None:
    """What ``engine plan`` chooses by itself for the checkpoints that are here."""
    for names in ("nvfp4,bf16", "nvfp4", "bf16"):
        found = planned(
            FASTCONTEXT_ENGINE_MODELS=",".join(str(models[name]) for name in names.split(",")),
            FASTCONTEXT_ENGINE_PROFILE="",
        )
        rows.add("-", "plan without a wish", checkpoints=names, **found)


def main() -> None:
    """Measure the profiles one after the other, then print a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--profiles", default="fp8,marlin,bf16,nvfp4")
    known = ",".join(STEPS + MORE_STEPS)
    parser.add_argument("--steps", default=",".join(STEPS), help=f"some of {known}")
    parser.add_argument("--vllm", default="")
    parser.add_argument("--budget-s", type=float, default=560.0)
    parser.add_argument("--small", action="store_true", help="a tiny shape, to try it on a CPU")
    parser.add_argument("--own-home", action="store_true", help="no compile cache of this user's")
    arguments = parser.parse_args()
    wanted = arguments.steps.split(",")
    if unknown := set(wanted) - set(STEPS + MORE_STEPS):
        parser.error(f"no such step: {', '.join(sorted(unknown))}; there are {known}")
    ends_at = time.monotonic() + arguments.budget_s
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = Rows(arguments.out / "engine-rows.json")
    home = Path(tempfile.mkdtemp(prefix="fcgpu", dir="/tmp"))
    (home / "run").mkdir(mode=0o700)
    bf16, nvfp4 = write_models(home / "models", SMALL if arguments.small else None)
    models = {"bf16": bf16, "nvfp4": nvfp4}
    machine = detect()
    rows.add(
        "-",
        "machine",
        gpus=[f"{gpu.name} SM{gpu.sm} driver {gpu.driver}" for gpu in machine.gpus],
        cores=machine.cores,
    )
    profiles = arguments.profiles.split(",")
    for number, profile in enumerate(profiles):
        keep_s = _START_S * (len(profiles) - number - 1)

        def left_s(keep_s: float = keep_s) -> float:
            return ends_at - keep_s - time.monotonic()

        if left_s() < 90:
            rows.add(profile, "left out", left_s=round(left_s()))
            continue
        bench = Bench(
            profile, rows, home, settings_for(profile, models, home, arguments), arguments.small
        )
        if number == 0:
            choices(rows, models)
        _one_profile(bench, left_s, wanted, arguments.out)
    shutil.rmtree(home, ignore_errors=True)


def _one_profile(bench: Bench, left_s: Callable[[], float], wanted: list[str], out: Path) -> None:
    try:
        anyio.run(measure, bench, left_s, wanted)
    except Exception as error:
        bench.add("failed", error=f"{type(error).__name__}: {error}"[:300])
    if bench.places.engine_log.exists():
        shutil.copy(bench.places.engine_log, out / f"{bench.name}-engine.log")
    if bench.places.keeper_log.exists():
        with (out / "keepers.log").open("a") as file:
            file.write(f"--- {bench.name}\n{bench.places.keeper_log.read_text()}")


if __name__ == "__main__":
    main()

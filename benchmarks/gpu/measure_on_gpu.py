"""Measure quantization, matmuls and engines on a GPU machine without a network.

Usage: measure_on_gpu.py OUT SECTION... [--work DIR] [--budget-s N] [--dry]

Sections: machine, matmul, quantize, engine (bf16, fp8, nvfp4), more (nvfp4 with the card's flags, a
start of the checkpoint that ``quantize`` made), starts (each engine twice, the second time with a
warm compile cache; some 400 s, so that ``matmul starts`` is one call). Raw rows go to
OUT/SECTION.jsonl and to stdout as they are made. A section that fails gives a row, and the next one
is run; when the budget is spent, the remaining sections are skipped and named. --dry runs every
path on a CPU with tiny shapes; there the engine sections need vLLM's build for processors.

DIR (default /tmp/fastcontext-gpu) keeps the models and vLLM's compile cache from call to call.
"""

import argparse
import json
import random
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from launch.bench.engine import BenchPlan
from launch.bench.engine import measure as measure_engines
from launch.bench.matmul import layer_shapes
from launch.bench.matmul import measure as measure_matmuls
from launch.bench.variants import Variant, standard_variants, write_weightless

BEGUN = time.monotonic()
TINY = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 2048,
    "max_window_layers": 2,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
TINY_PLAN = BenchPlan(
    prompts=(32, 256), cached=(512, 64), streams=4, context=64, long_context=512, tokens=16,
    repeats=2,
)  # fmt: skip
Emit = Callable[[dict[str, Any]], None]


class Run:
    """The options, and where rows go."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.out: Path = options.out
        self.work: Path = options.work
        self.dry: bool = options.dry
        self.deadline = BEGUN + options.budget_s
        self.work.mkdir(parents=True, exist_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)

    def emitter(self, section: str) -> Emit:
        path = self.out / f"{section}.jsonl"

        def emit(row: dict[str, Any]) -> None:
            line = json.dumps(
                {"section": section, "at_s": round(time.monotonic() - BEGUN, 1), **row}
            )
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            print(line[:1500], flush=True)

        return emit

    def left_s(self) -> float:
        return self.deadline - time.monotonic()

    def models(self) -> tuple[Path, Path]:
        changes = TINY if self.dry else {}
        return write_weightless(self.work / "weightless", **changes)


def machine(run: Run, emit: Emit) -> None:
    import torch

    row: dict[str, Any] = {"kind": "machine", "python": sys.version.split()[0]}
    row |= {"torch": torch.__version__}
    if torch.cuda.is_available():
        row |= {"device": torch.cuda.get_device_name(0)}
        row |= {"capability": torch.cuda.get_device_capability(0)}
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,power.limit",
               "--format=csv,noheader"]  # fmt: skip
    try:
        row["smi"] = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        row["smi"] = repr(error)
    emit(row)


def matmul(run: Run, emit: Emit) -> None:
    if run.dry:
        shapes = layer_shapes(
            hidden=128, intermediate=384, heads=4, kv_heads=2, head_dim=32, layers=2
        )
        measure_matmuls(device="cpu", shapes=shapes, batches=(1, 8), repeats=3, emit=emit)
        return
    measure_matmuls(repeats=20, emit=emit, deadline=min(run.deadline, time.monotonic() + 240))


def quantize(run: Run, emit: Emit) -> None:
    from launch.quantize.calibration import Item
    from launch.quantize.modelopt_steps import Recipe
    from launch.quantize.run import QuantizeRequest
    from launch.quantize.run import quantize as make

    source, out = run.work / "random-bf16", run.work / "random-nvfp4"
    begun = time.monotonic()
    vocabulary = make_random_model(run, source)
    emit({"kind": "random_model", "elapsed_s": time.monotonic() - begun})
    recipe = Recipe(samples=8, tokens=64, batch=4) if run.dry else Recipe()
    rng = random.Random(0)
    items: tuple[Item, ...] = tuple(
        " ".join(f"w{rng.randrange(vocabulary)}" for _ in range(recipe.tokens))
        for _ in range(recipe.samples)
    )
    stages: dict[str, float] = {}

    def progress(stage: str, done: int, total: int) -> None:
        if stage not in stages:
            stages[stage] = time.monotonic()
            emit({"kind": "stage", "stage": stage})
        if done == total:
            emit(
                {
                    "kind": "stage_done",
                    "stage": stage,
                    "elapsed_s": time.monotonic() - stages[stage],
                }
            )

    result = make(
        QuantizeRequest(source, out, recipe, items=items, origin="random words", behaviour=False),
        progress,
    )
    emit({"kind": "quantized", **result.record})
    for check in result.report.checks:
        figures = {} if "tensors" in check.figures else check.figures
        emit({"kind": "check", "name": check.name, "status": check.status,
              "detail": check.detail, **figures})  # fmt: skip


def make_random_model(run: Run, folder: Path) -> int:
    """Write a Qwen3 with random weights and a tokenizer; returns the size of its vocabulary."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, PreTrainedTokenizerFast, Qwen3ForCausalLM

    device = "cpu" if run.dry or not torch.cuda.is_available() else "cuda"
    config = AutoConfig.from_pretrained(str(run.models()[0]))
    vocabulary = min(int(config.vocab_size), 50_000)
    words = Tokenizer(models.WordLevel({f"w{n}": n for n in range(vocabulary)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w1", pad_token="w2")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    if folder.exists():
        return vocabulary
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = Qwen3ForCausalLM(config)
    finally:
        torch.set_default_dtype(default)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": 1}\n')
    del model
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return vocabulary


def variants(run: Run, *names: str) -> list[Variant]:
    if run.dry:
        plain, packed = run.models()
        common = {
            "dtype": "bfloat16",
            "enforce_eager": True,
            "max_model_len": 1024,
            "max_num_seqs": 4,
            "kv_cache_memory_bytes": 64 << 20,
            "block_size": 32,
        }
        folders = {"bf16": plain, "fp8": plain}
        return [Variant(n, folders.get(n, packed), common, True) for n in names]
    import torch

    major, minor = torch.cuda.get_device_capability(0)
    plain, packed = run.models()
    return standard_variants(
        plain, packed, compute_capability=10 * major + minor, weightless=True, names=names
    )


def engine(run: Run, emit: Emit) -> None:
    measure_engines(
        variants(run, "bf16", "fp8", "nvfp4"),
        TINY_PLAN if run.dry else BenchPlan(),
        emit=emit,
        warm_starts=0,
        cache=run.work / "cache",
        timeout_s=400,
        deadline=run.deadline,
        log=run.out / "engine.log",
    )


def more(run: Run, emit: Emit) -> None:
    cache = run.work / "cache"
    plan = TINY_PLAN if run.dry else BenchPlan()
    measure_engines(variants(run, "nvfp4-card"), plan, emit=emit, warm_starts=0, cache=cache,
                    timeout_s=300, deadline=run.deadline, log=run.out / "engine.log")  # fmt: skip
    made = run.work / "random-nvfp4"
    if made.is_dir():
        (packed,) = variants(run, "nvfp4")
        own = Variant("nvfp4-checkpoint", made, packed.arguments)
        measure_engines([own], None, emit=emit, warm_starts=0, cache=cache, timeout_s=150,
                        deadline=run.deadline, log=run.out / "engine.log")  # fmt: skip


def starts(run: Run, emit: Emit) -> None:
    measure_engines(variants(run, "bf16", "fp8", "nvfp4"), None, emit=emit, warm_starts=1,
                    cache=run.work / "cache", timeout_s=250, deadline=run.deadline,
                    log=run.out / "engine.log")  # fmt: skip


SECTIONS: dict[str, Callable[[Run, Emit], None]] = {
    "machine": machine,
    "matmul": matmul,
    "quantize": quantize,
    "engine": engine,
    "more": more,
    "starts": starts,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("sections", nargs="+", choices=tuple(SECTIONS))
    parser.add_argument("--work", type=Path, default=Path("/tmp/fastcontext-gpu"))
    parser.add_argument("--budget-s", type=float, default=530.0)
    parser.add_argument("--dry", action="store_true")
    run = Run(parser.parse_args())
    for name in parser.parse_args().sections:
        emit = run.emitter(name)
        if run.left_s() < 20:
            emit({"kind": "skipped", "reason": "the budget is spent"})
            continue
        begun = time.monotonic()
        try:
            SECTIONS[name](run, emit)
        except Exception:
            emit({"kind": "error", "error": traceback.format_exc()[-3000:]})
        emit({"kind": "section_s", "elapsed_s": time.monotonic() - begun})


if __name__ == "__main__":
    main()

"""BF16, FP8 and NVFP4 engines measured one after the other on one machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch.bench.variants import Variant, weight_bytes
from launch.process import PACKAGE_ROOT

POLL_S = 0.5
STOP_GRACE_S = 10.0
"""Seconds between SIGTERM and SIGKILL for a child: vLLM needs 2 to 4."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What to measure. Lengths in tokens."""

    prompts: tuple[int, ...] = (32, 1024, 8192, 32_768)
    cached: tuple[int, int] = (16_384, 1024)
    """The cached prefix, and the new tokens after it."""
    streams: int = 16
    context: int = 512
    long_context: int = 32_768
    tokens: int = 512
    repeats: int = 5
    """Samples of times to first token and of one stream's decoding; the rest gets 3 at most."""

    def measurements(self) -> list[list[Any]]:
        """The measurements as the child takes them: a method's name and its arguments."""
        several = min(3, self.repeats)
        return [
            ["decode", self.context, self.tokens, self.repeats],
            *(["first_tokens", length, self.repeats] for length in self.prompts),
            ["cached_prefix", *self.cached, self.repeats],
            ["streams", self.streams, self.context, self.tokens, several],
            ["decode", self.long_context, self.tokens // 2, several],
        ]


def measure(
    variants: Sequence[Variant],
    plan: BenchPlan | None,
    *,
    emit: Callable[[Row], None],
    python: str = sys.executable,
    warm_starts: int = 1,
    cache: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 900.0,
    deadline: float = float("inf"),
    log: Path | None = None,
) -> None:
    """Measure each variant in turn and pass its rows to ``emit``.

    Without a plan the variants are only started. Each starts with the compile cache in ``cache``
    (by default an empty one, so "cold"), is measured, and is started ``warm_starts`` times again.
    A variant that fails or takes longer than ``timeout_s`` gives a row with ``error``; after
    ``deadline`` (of ``time.monotonic``) each variant gives a row of kind ``skipped``. The engines'
    output goes to ``log``; the row of a failed engine holds the end of it.
    """
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastcontext-bench-")))
        kept = cache if cache is not None else folder / "cache"
        for variant in variants:
            emit({"variant": variant.name, "kind": "weight_bytes", "median": weight_bytes(variant)})
            # A given folder may hold what was compiled for this variant before.
            state = "cold" if cache is None or not (cache / f"seen-{variant.name}").exists() else ""
            first = plan.measurements() if plan is not None else []
            runs = [(state or "warm", first)] + [("warm", [])] * warm_starts
            for label, measurements in runs:
                left = min(timeout_s, deadline - time.monotonic())
                if left <= 0:
                    emit({"variant": variant.name, "kind": "skipped", "reason": "out of time"})
                    break
                spec = _spec(variant, label, measurements, folder / "rows.jsonl")
                spec["log"] = str(log if log is not None else folder / "log.txt")
                if not _run_child(python, spec, kept, environment or {}, left, emit):
                    break
                (kept / f"seen-{variant.name}").touch()
        emit({"kind": "total", "elapsed_s": time.monotonic() - begun})


def _spec(variant: Variant, label: str, measurements: list[list[Any]], rows: Path) -> Row:
    config = json.loads((variant.model / "config.json").read_text(encoding="utf-8"))
    arguments: Row = {"model": str(variant.model), "skip_tokenizer_init": True}
    if variant.weightless:
        arguments["load_format"] = "dummy"
    longest = int(variant.arguments.get("max_model_len", 4096))
    return {
        "name": variant.name,
        "arguments": arguments | variant.arguments,
        "vocabulary": config["vocab_size"],
        "cache": label,
        "measurements": measurements,
        "warm_up_tokens": min(1024, longest // 4),
        "rows": str(rows),
    }


def _run_child(
    python: str,
    spec: Row,
    cache: Path,
    extra: Mapping[str, str],
    timeout_s: float,
    emit: Callable[[Row], None],
) -> bool:
    """Whether the child succeeded. Its rows are passed on as they come; no process is left."""
    rows = Path(spec["rows"])
    rows.unlink(missing_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    log = Path(spec["log"])
    with log.open("ab") as output:
        before = output.tell()
        child = subprocess.Popen(
            [python, "-m", "launch.bench.engine_child", json.dumps(spec)],
            env=_environment(cache, extra),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        problem = _wait(child, timeout_s, RowFile(rows), emit)
    if not problem:
        return True
    tail = log.read_bytes()[before:][-4000:].decode("utf-8", "replace")
    emit({"variant": spec["name"], "kind": "error", "error": problem, "log_tail": tail})
    return False


def _environment(cache: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """This process's variables for the child, with every compile cache in one folder."""
    inherited = dict(os.environ)
    path = [str(PACKAGE_ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(path),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CACHE_ROOT": str(cache / "vllm"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "FLASHINFER_WORKSPACE_BASE": str(cache / "flashinfer"),
        **extra,
    }


def _wait(
    child: "subprocess.Popen[bytes]", timeout_s: float, rows: "RowFile", emit: Callable[[Row], None]
) -> str:
    """What went wrong, or an empty string. Afterwards the child's whole group is gone."""
    until = time.monotonic() + timeout_s
    code: int | None = None
    try:
        while code is None and time.monotonic() < until:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = child.wait(timeout=POLL_S)
            for row in rows.new():
                emit(row)
    finally:
        _end_group(child)
    for row in rows.new():
        emit(row)
    if code is None:
        return f"not finished within {timeout_s:.0f} s"
    return f"the engine's process ended with {code}" if code else ""


def _end_group(child: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=STOP_GRACE_S)


class RowFile:
    """A file of JSON lines that another process appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0

    def new(self) -> Iterator[Row]:
        """The complete lines that were written since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                yield json.loads(line)

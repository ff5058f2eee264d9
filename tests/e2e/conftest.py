"""The tiny model and two servers of it, made once for all end-to-end tests."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.checkpoint import tiny_checkpoint
from tests.e2e.recordings import plant, record
from tests.e2e.vllm_server import PARSER, VllmServer, vllm_serving
from tests.external import VLLM_PYTHON, external
from tests.serving import ROOT

MODELOPT_PYTHON = "FASTCONTEXT_TEST_MODELOPT_PYTHON"
"""The Python that has ModelOpt, if it is not the one that has vLLM."""
QUANTIZING_S = 400.0
"""15 s on an idle machine."""

# vLLM lists no NVFP4 kernel for processors, yet its emulation runs on them. Names as in 0.32.
PLUGIN = """\
def register():
    from vllm.model_executor.kernels.linear import (
        EmulationNvFp4LinearKernel,
        register_linear_kernel,
    )
    from vllm.platforms.interface import PlatformEnum

    register_linear_kernel(EmulationNvFp4LinearKernel, PlatformEnum.CPU, "nvfp4")
"""


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """The Python that has vLLM."""
    return external(VLLM_PYTHON)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository that the model knows."""
    return plant(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def checkpoint(vllm_python: Path, tree: Path, pytestconfig: pytest.Config) -> Path:
    """The tiny model. Kept between runs in pytest's own cache folder."""
    cache = pytestconfig.cache.mkdir("tiny-model") if pytestconfig.cache else tree.parent / "model"
    return tiny_checkpoint(vllm_python, anyio.run(record, tree), cache)


@pytest.fixture(scope="session", params=["parser on", "parser off"])
def vllm(
    request: pytest.FixtureRequest,
    vllm_python: Path,
    checkpoint: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[VllmServer]:
    """A server that parses calls itself, then one that leaves them in the text."""
    extra = PARSER if request.param == "parser on" else ()
    with vllm_serving(vllm_python, checkpoint, tmp_path_factory.mktemp("vllm"), *extra) as server:
        yield server


@pytest.fixture(scope="session")
def modelopt_python() -> Path:
    """The Python that has ModelOpt."""
    named = os.environ.get(MODELOPT_PYTHON)
    return Path(named) if named else external(VLLM_PYTHON)


@pytest.fixture(scope="session")
def quantized(
    modelopt_python: Path, checkpoint: Path, tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The NVFP4 form of the tiny model, calibrated on what it was taught, and the report."""
    folder = tmp_path_factory.mktemp("quantized")
    recorded = anyio.run(record, tree)
    calibration = folder / "calibration.jsonl"
    lines = [
        json.dumps({"messages": each["messages"], "tools": recorded["tools"]})
        for each in recorded["conversations"]
        if not each["open_ended"]
    ]
    calibration.write_text("\n".join(lines) + "\n")
    out = folder / "nvfp4"
    script = str(ROOT / "tests/e2e/quantize_tiny.py")
    done = subprocess.run(
        [str(modelopt_python), script, str(checkpoint), str(out), str(calibration)],
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=QUANTIZING_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return out, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def nvfp4_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with which vLLM runs NVFP4 on processors."""
    plugin = tmp_path_factory.mktemp("plugin")
    (plugin / "nvfp4_on_cpu.py").write_text(PLUGIN)
    info = plugin / "nvfp4_on_cpu-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nvfp4-on-cpu\nVersion: 1\n")
    entry = "[vllm.general_plugins]\nnvfp4_on_cpu = nvfp4_on_cpu:register\n"
    (info / "entry_points.txt").write_text(entry)
    return plugin

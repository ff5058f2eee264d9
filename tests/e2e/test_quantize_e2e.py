"""A tiny trained model through real ModelOpt, every check, real vLLM, and an exploration."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from launch.verify.run import verify
from tests.e2e.recordings import DELAY
from tests.e2e.vllm_server import PARSER, VllmServer, vllm_serving
from tests.serving import MAIN, SHOWS_VIEWS, bare_environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def nvfp4_vllm(
    vllm_python: Path,
    quantized: tuple[Path, dict[str, Any]],
    nvfp4_plugin: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[VllmServer]:
    folder = tmp_path_factory.mktemp("vllm-nvfp4")
    flags = (*PARSER, "--quantization", "modelopt", "--dtype", "bfloat16")
    with vllm_serving(
        vllm_python, quantized[0], folder, *flags, environment={"PYTHONPATH": str(nvfp4_plugin)}
    ) as server:
        log = (folder / "vllm.log").read_text(errors="replace")
        assert "EmulationNvFp4LinearKernel for NVFP4 GEMM" in log
        yield server


def test_every_check_of_a_freshly_made_checkpoint_passes(
    quantized: tuple[Path, dict[str, Any]],
) -> None:
    _, report = quantized
    assert {check["name"]: check["status"] for check in report["checks"]} == dict.fromkeys(
        [
            "files",
            "quantization config",
            "quantizers",
            "packed linears",
            "scales",
            "16-bit tensors",
            "lm_head",
            "size",
            "tokenizer and template",
            "weights against source",
            "unchanged tensors",
            "logits, weights packed",
            "logits, activations too",
            "tool calls",
        ],
        "passed",
    )
    assert report["record"]["enabled_quantizers"] == 28
    figures = {check["name"]: check["figures"] for check in report["checks"]}
    assert figures["tool calls"] == {"turns": 2, "same": 2}


@pytest.mark.anyio
async def test_an_exploration_through_the_quantized_model_gives_the_answer_of_the_bf16_one(
    nvfp4_vllm: VllmServer, tree: Path, tmp_path: Path
) -> None:
    environment = bare_environment(
        tmp_path, FASTCONTEXT_ENDPOINT=nvfp4_vllm.endpoint, FASTCONTEXT_TEMPERATURE="0"
    )
    command = StdioServerParameters(command=sys.executable, args=[MAIN], env=environment, cwd="/")
    async with Client(command, extensions=[SHOWS_VIEWS]) as client:
        result = await client.call_tool(
            "explore_repository", {"query": DELAY.query, "path": str(tree)}
        )
    found = result.structured_content or {}
    # What test_vllm.py finds with the BF16 checkpoint.
    assert (found["engine"], found["stop_reason"]) == ("endpoint", "answered")
    assert found["answer"] == "The delay doubles with each attempt, up to a limit."
    places = [(each["path"], each["start"], each["end"]) for each in found["citations"]]
    assert places == [("parcels/retry.py", 6, 8), ("parcels/client.py", 12, 18)]


def cut_the_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def lose_the_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def group_by_32(folder: Path) -> None:
    path = folder / "hf_quant_config.json"
    config = json.loads(path.read_text())
    config["quantization"]["group_size"] = 32
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (cut_the_weights, "files"),
        (lose_the_template, "tokenizer and template"),
        (group_by_32, "quantization config"),
    ],
)
def test_damage_to_a_real_export_is_found(
    quantized: tuple[Path, dict[str, Any]],
    checkpoint: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    name: str,
) -> None:
    folder = shutil.copytree(quantized[0], tmp_path / "damaged")
    damage(folder)
    failed = [check.name for check in verify(folder, checkpoint).checks if check.status == "failed"]
    assert failed == [name]

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from launch.errors import CannotRun
from launch.plan.checkpoint import Checkpoint
from launch.plan.command import Address, from_record, plan
from launch.plan.gpus import GIB, Gpu, gpu_of_capability, known_gpu, with_memory
from launch.plan.install import Vllm
from launch.plan.profile import Profile, Wishes, choose, published

NVFP4 = published("nvfp4")
BASE = published("bf16")
BOTH = (NVFP4, BASE)
CARD = (
    "--quantization modelopt --tensor-parallel-size 1 --trust-remote-code --dtype auto "
    "--kv-cache-dtype fp8 --attention-backend flashinfer --gpu-memory-utilization 0.40 "
    "--max-model-len 131072 --max-num-seqs 16 --enable-chunked-prefill "
    "--enable-auto-tool-choice --tool-call-parser hermes"
)


def words(profile: Profile) -> str:
    return " ".join(word for flag in profile.flags for word in flag.words)


def value(profile: Profile, name: str) -> str | None:
    return next((flag.value for flag in profile.flags if flag.name == name), None)


@pytest.mark.parametrize(
    ("gpu", "way", "context", "sequences", "share"),
    [
        ("T4", "marlin", 65_536, 8, 0.88),
        ("RTX 3060", "marlin", 49_152, 6, 0.91),
        ("RTX 3090", "marlin", 98_304, 12, 0.74),
        ("A10G", "marlin", 98_304, 12, 0.79),
        ("A100 40GB", "marlin", 131_072, 16, 0.56),
        ("A100 80GB", "marlin", 131_072, 16, 0.40),
        ("L4", "fp8", 98_304, 12, 0.85),
        ("RTX 4090", "fp8", 98_304, 12, 0.80),
        ("L40S", "fp8", 131_072, 16, 0.53),
        ("H100", "fp8", 131_072, 16, 0.40),
        ("H200", "fp8", 131_072, 16, 0.40),
        ("B200", "nvfp4", 131_072, 16, 0.40),
        ("RTX 5090", "nvfp4", 131_072, 16, 0.42),
        ("RTX PRO 6000", "nvfp4", 131_072, 16, 0.40),
        ("GB10", "nvfp4", 131_072, 16, 0.40),
    ],
)
def test_each_gpu_gets_its_fastest_way_and_what_its_memory_allows(
    gpu: str, way: str, context: int, sequences: int, share: float
) -> None:
    profile = choose(known_gpu(gpu), BOTH, Wishes())

    assert profile.way == way
    assert value(profile, "--max-model-len") == str(context)
    assert value(profile, "--max-num-seqs") == str(sequences)
    assert value(profile, "--gpu-memory-utilization") == f"{share:.2f}"


@pytest.mark.parametrize("gpu", ["B200", "RTX PRO 6000", "GB10"])
def test_the_cards_flags_stand_unchanged_where_fp4_is_native(gpu: str) -> None:
    assert words(choose(known_gpu(gpu), BOTH, Wishes())).startswith(CARD)


def test_the_gpu_is_named_by_its_number_which_every_vllm_understands() -> None:
    profile = choose(replace(known_gpu("H200"), index=3, uuid="GPU-1"), BOTH, Wishes())
    variables = {flag.name: flag.value for flag in profile.environment}
    assert variables["CUDA_VISIBLE_DEVICES"] == "3"
    assert variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.parametrize("gpu", ["H200", "H100", "L40S", "L4", "RTX 4090"])
def test_fp8_is_made_of_the_base_model_where_fp4_is_not_native(gpu: str) -> None:
    profile = choose(known_gpu(gpu), BOTH, Wishes())

    assert profile.checkpoint is BASE
    assert value(profile, "--quantization") == "fp8"
    assert value(profile, "--kv-cache-dtype") == "auto"
    assert value(profile, "--attention-backend") is None


def test_marlin_is_taken_on_hopper_when_only_the_nvfp4_checkpoint_is_here() -> None:
    profile = choose(known_gpu("H200"), (NVFP4,), Wishes())

    assert profile.way == "marlin"
    assert value(profile, "--kv-cache-dtype") == "auto"
    assert value(profile, "--attention-backend") is None
    assert "only the NVFP4 checkpoint" in profile.reason


def test_marlin_is_taken_on_ada_when_memory_is_too_short_to_load_16_bits() -> None:
    assert choose(with_memory(known_gpu("L4"), 8.0), BOTH, Wishes()).way == "marlin"


def test_fp8_is_made_on_blackwell_when_only_the_base_model_is_here() -> None:
    assert choose(known_gpu("B200"), (BASE,), Wishes()).way == "fp8"


def test_turing_gets_float16_because_it_has_no_bfloat16() -> None:
    assert value(choose(known_gpu("T4"), BOTH, Wishes()), "--dtype") == "float16"


def test_a_gpu_before_turing_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(CannotRun, match="too old") as refused:
        choose(known_gpu("V100"), BOTH, Wishes())

    assert "FASTCONTEXT_ENDPOINT" in refused.value.hint


def test_a_full_gpu_is_refused_with_the_memory_that_is_missing() -> None:
    full = replace(known_gpu("H200"), free_bytes=3 * GIB)

    with pytest.raises(CannotRun, match=r"3\.0 GiB of 140\.4 GiB free") as refused:
        choose(full, BOTH, Wishes())

    assert "nvidia-smi" in refused.value.hint


def test_a_partly_used_gpu_gets_a_share_that_is_free() -> None:
    busy = replace(known_gpu("H200"), free_bytes=40 * GIB)
    profile = choose(busy, BOTH, Wishes())

    assert float(value(profile, "--gpu-memory-utilization") or 1) * 140.4 <= 40
    assert value(profile, "--max-model-len") == "131072"


def test_the_4b_model_is_refused_on_processors() -> None:
    with pytest.raises(CannotRun, match="minutes for a turn"):
        choose(None, BOTH, Wishes(), cores=8, memory_bytes=32 * GIB)


def small() -> Checkpoint:
    return Checkpoint("/m/tiny", Path("/m/tiny"), "bf16", 1, 2, 128, 384, 4, 2, 32, 600, True, 8192)


def test_a_small_model_runs_on_processors_and_is_said_to_be_slow() -> None:
    profile = choose(None, (small(),), Wishes(), cores=8, memory_bytes=8 * GIB)

    assert profile.way == "cpu"
    assert not profile.sleeps
    assert value(profile, "--max-model-len") == "8192"
    assert any("slow" in note for note in profile.notes)


def test_every_flag_and_variable_has_a_reason() -> None:
    for gpu in ("T4", "L4", "H200", "GB10"):
        profile = choose(known_gpu(gpu), BOTH, Wishes(speculate=True, weightless=True))
        assert all(flag.reason for flag in (*profile.flags, *profile.environment))


def test_wishes_win_over_the_profile() -> None:
    profile = choose(known_gpu("H200"), BOTH, Wishes(context=20_000, sequences=3, speculate=True))

    assert value(profile, "--max-model-len") == "20000"
    assert value(profile, "--max-num-seqs") == "3"
    assert '"ngram"' in (value(profile, "--speculative-config") or "")


def test_a_context_that_does_not_fit_is_said_to_be_shorter_than_configured() -> None:
    profile = choose(known_gpu("T4"), BOTH, Wishes(context=200_000))
    flag = next(each for each in profile.flags if each.name == "--max-model-len")

    assert flag.value == "65536"
    assert flag.reason == "the longest that memory and model allow; 200,000 were configured"


@pytest.mark.parametrize(("wish", "others"), [("fp8", "marlin, bf16"), ("nvfp4", "marlin, bf16")])
def test_a_profile_that_a_gpu_cannot_run_is_named_with_those_that_it_can(
    wish: str, others: str
) -> None:
    with pytest.raises(CannotRun, match=f"T4 .SM75. cannot serve with profile {wish}") as refused:
        choose(known_gpu("T4"), BOTH, Wishes(way=wish))

    assert f"one of {others}, or" in refused.value.hint


def test_a_profile_whose_checkpoint_is_missing_says_which_it_needs() -> None:
    with pytest.raises(CannotRun, match="with profile fp8, which needs bf16"):
        choose(known_gpu("H200"), (NVFP4,), Wishes(way="fp8"))


def test_flags_of_the_users_own_stand_last_as_they_were_written_with_a_reason() -> None:
    extra = ("--seed=-1", "--no-enable-prefix-caching", "-tp", "2")
    wishes = Wishes(extra=extra)
    vllm = Vllm(("vllm",), "0.23.0", for_cpu=False)
    made = plan(choose(known_gpu("H200"), BOTH, wishes), vllm, Address(port=1), wishes)

    assert made.argv[-4:] == extra
    own = [each for each in made.flags if "FASTCONTEXT_ENGINE_ARGS" in each.reason]
    assert [each.words for each in own] == [
        ("--seed", "-1"),
        ("--no-enable-prefix-caching",),
        ("-tp", "2"),
    ]


def test_a_plan_survives_the_way_to_another_process() -> None:
    profile = choose(known_gpu("H200"), BOTH, Wishes())
    vllm = Vllm(("/opt/vllm",), "0.23.0", for_cpu=False)
    made = plan(profile, vllm, Address(socket=Path("/run/api.sock")), Wishes(extra=("--x", "1")))

    assert from_record(json.loads(json.dumps(asdict(made)))) == made
    assert made.argv[:2] == ("/opt/vllm", "serve")
    assert made.argv[-2:] == ("--x", "1")


def test_routes_without_a_key_are_open_on_a_socket_alone() -> None:
    profile = choose(known_gpu("H200"), BOTH, Wishes())
    vllm = Vllm(("vllm",), "0.23.0", for_cpu=False)
    over_socket = plan(profile, vllm, Address(socket=Path("/run/api.sock")), Wishes())
    over_port = plan(profile, vllm, Address(port=30_000), Wishes())

    assert over_socket.environment["VLLM_SERVER_DEV_MODE"] == "1"
    assert "--enable-sleep-mode" in over_socket.argv
    assert "VLLM_SERVER_DEV_MODE" not in over_port.environment
    assert "--enable-sleep-mode" not in over_port.argv
    assert not over_port.sleeps


@pytest.mark.parametrize("name", ["A100-80", "a100 80gb", "rtx_4090", "h200"])
def test_gpus_are_found_by_loose_names(name: str) -> None:
    assert isinstance(known_gpu(name), Gpu)


@pytest.mark.parametrize(("name", "problem"), [("A100", "several"), ("Voodoo", "not a known GPU")])
def test_an_unknown_or_ambiguous_gpu_name_lists_the_names(name: str, problem: str) -> None:
    with pytest.raises(CannotRun, match=problem):
        known_gpu(name)


@pytest.mark.parametrize("capability", ["9", "9.", ".0", "9.²", "9.٣", "-9.0", "9.0.1", "121", ""])
def test_what_is_no_capability_is_refused(capability: str) -> None:
    with pytest.raises(CannotRun, match="not a compute capability"):
        gpu_of_capability(capability, 24)


def test_a_gpu_without_a_name_is_told_of_by_its_capability() -> None:
    assert choose(gpu_of_capability("12.1", 24), BOTH, Wishes()).way == "nvfp4"
    with pytest.raises(CannotRun, match=r"^GPU of capability 7\.2 \("):
        choose(gpu_of_capability("7.2", 24), BOTH, Wishes())

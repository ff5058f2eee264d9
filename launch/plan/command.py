"""The command and the environment that a profile comes to."""

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
        """``vllm serve`` flags for it."""
        if self.socket is not None:
            reason = "a socket in a directory of mode 700: no other user of the machine reaches it"
            return (Flag("--uds", str(self.socket), reason),)
        return (
            Flag("--host", "127.0.0.1", "this machine alone"),
            Flag("--port", str(self.port), "free when it was chosen" if self.port else "any"),
        )


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """Everything that is needed to start an engine, except the key."""

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
        """The command as it would be typed."""
        words = [f"{flag.name}={shlex.quote(flag.value or '')}" for flag in self.variables]
        return " ".join([*words, shlex.join(self.argv)])


def served_name(name: str) -> str:
    """Name under which a checkpoint is served: a hub id as it is, a folder's last part."""
    return Path(name).name if name.startswith(("/", ".", "~")) else name


def plan(profile: Profile, vllm: Vllm, address: Address, wishes: Wishes) -> EnginePlan:
    """The plan for a profile with the vLLM that is installed."""
    checkpoint = profile.checkpoint
    name = served_name(checkpoint.name)
    flags = (
        *profile.flags,
        Flag("--served-model-name", name, "the name that clients ask for"),
        *address.flags(),
    )
    variables = profile.environment
    if vllm.python_path:
        variables += (Flag("PYTHONPATH", vllm.python_path, "vLLM was installed with --target"),)
    if address.socket is not None:
        # These routes ask for no key, so they are opened on the socket alone.
        variables += (Flag("VLLM_SERVER_DEV_MODE", "1", "opens the routes to sleep and wake up"),)
        if profile.sleeps:
            flags += (Flag("--enable-sleep-mode", None, "gives the memory back when idle"),)
    model = str(checkpoint.path) if checkpoint.path.is_absolute() else checkpoint.name
    words = [word for flag in flags for word in flag.words]
    return EnginePlan(
        # The user's own words as they are: their order and spelling may matter to vLLM.
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
    """A plan out of what ``asdict`` made of one, perhaps through JSON.

    Raises:
        KeyError, TypeError, ValueError: it is of another form.
    """
    values = {field.name: record[field.name] for field in fields(EnginePlan)}
    values |= {name: tuple(Flag(*each) for each in record[name]) for name in ("flags", "variables")}
    values |= {name: tuple(map(str, record[name])) for name in ("argv", "notes")}
    return EnginePlan(**values | {"environment": dict(record["environment"])})

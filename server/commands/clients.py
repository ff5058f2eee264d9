"""``fastcontext install``, ``uninstall`` and ``instructions``: make clients know the server."""

import os
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from server.clients.instructions import Agent
from server.clients.table import ClientName
from server.errors import UsageError
from server.homes import absolute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from server.clients.install import Change
    from server.clients.table import Client

app = typer.Typer(rich_markup_mode=None)

Chosen = Annotated[
    ClientName | None,
    typer.Argument(help="The client. Default: asks which of those found on this machine."),
]
AllFound = Annotated[
    bool, typer.Option("--all", "--all-found", help="All clients found on this machine.")
]
Scope = Annotated[
    Literal["user", "project"], typer.Option(help="For you everywhere, or for one project.")
]
Project = Annotated[Path | None, typer.Option(help="The project. Default: the working directory.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change without making it.")]


@dataclass(frozen=True, slots=True)
class Target:
    """A client whose file is to be changed."""

    client: "Client"
    path: Path
    in_project: bool

    def state(self) -> str:
        """What is to be known of the file before it is chosen, after a blank; mostly nothing."""
        from server.clients import ConfigError
        from server.clients.install import installed_entry

        try:
            return " (has the server)" if installed_entry(self.client, self.path) else ""
        except ConfigError as error:
            return f" ({error})"

    @property
    def note(self) -> str:
        """What may keep the entry from working; empty where nothing does."""
        return self.client.project_note if self.in_project else self.client.note


@app.command()
def install(
    client: Chosen = None,
    all_found: AllFound = False,
    scope: Scope = "user",
    project: Project = None,
    root: Annotated[
        list[Path] | None, typer.Option(help="Directory that may be explored; repeatable.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="URL of the model's API, up to /v1.")] = None,
    dry_run: DryRun = False,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the entry, to be put in by hand.")
    ] = False,
) -> None:
    """Put the server into the configuration of clients."""
    from server.clients import staying
    from server.clients.install import entry, plan_install, with_entry
    from server.clients.table import CLIENTS

    environment = _environment(root or [], endpoint)
    copy = staying.copy() if staying.is_passing() else None
    if copy is None:
        _refuse_passing_interpreter()

    def made(known: "Client") -> "dict[str, Any]":
        python = copy.python if copy else None
        return entry(known, environment=environment, python=python)

    def plan(known: "Client", path: Path) -> "Change":
        return plan_install(known, path, made(known))

    if print_only:
        known = CLIENTS[client or "claude-desktop"]
        sys.stdout.write(with_entry(known, "", made(known)))
        if copy and not copy.python.exists():
            sys.stderr.write(f"hint: it starts a copy that {shlex.join(copy.command)} installs\n")
        return
    targets = _targets("install", client, all_found, scope, project)
    if copy and dry_run:
        sys.stdout.write(f"$ {shlex.join(copy.command)}\n")
    elif copy:
        copy.install()
        sys.stdout.write(f"fastcontext is installed in {copy.python.parents[1]}\n")
    _carry_out(targets, plan, dry_run, is_install=True)


@app.command()
def uninstall(
    client: Chosen = None,
    all_found: AllFound = False,
    scope: Scope = "user",
    project: Project = None,
    dry_run: DryRun = False,
) -> None:
    """Remove the server from the configuration of clients."""
    from server.clients.install import plan_uninstall

    targets = _targets("uninstall", client, all_found, scope, project)
    _carry_out(targets, plan_uninstall, dry_run, is_install=False)


@app.command()
def instructions(
    agent: Annotated[Agent, typer.Option("--for", help="The agent that reads them.")],
    write: Annotated[
        Path | None, typer.Option(help="Write them into this file, between markers.")
    ] = None,
) -> None:
    """Print the paragraph that tells an agent when to call the explorer and when to grep."""
    from server.clients.install import Change, apply, read_text
    from server.clients.instructions import INSTRUCTIONS, head, merge

    if write is None:
        sys.stdout.write(head(agent) + INSTRUCTIONS)
        return
    path = absolute(write)
    with _refused(repr(str(path)), f"fastcontext instructions --for {agent}"):
        before = read_text(path)
        change = Change(path, before, merge(before or head(agent)))
        apply(change)
    sys.stdout.write(f"{'already in' if change.is_empty else 'written to'} {path}\n")


def _refuse_passing_interpreter() -> None:
    """Raise UsageError in an environment that uv made for one command and will delete."""
    from server.clients.staying import is_passing

    if is_passing():
        hint = (
            "install it to stay, by `uv tool install .` in a clone or `uv tool install "
            "fastcontext-mcp` where it is released, then: fastcontext install"
        )
        raise UsageError("this interpreter lies in uv's cache and will be deleted", hint)


def _environment(roots: list[Path], endpoint: str | None) -> dict[str, str]:
    """The settings that the entry carries, since clients pass no environment on."""
    from explorer.engines.endpoint import parse_endpoint

    made: dict[str, str] = {}
    if roots:
        made["FASTCONTEXT_ROOTS"] = os.pathsep.join(str(absolute(root)) for root in roots)
    if endpoint:
        try:
            parse_endpoint(endpoint)
        except ValueError as error:
            message, _, hint = str(error).partition("; hint: ")
            raise UsageError(f"--endpoint: {message}", hint or "give a URL up to /v1") from None
        made["FASTCONTEXT_ENDPOINT"] = endpoint
    return made


def _targets(
    command: str,
    name: ClientName | None,
    every: bool,
    scope: Literal["user", "project"],
    project: Path | None,
) -> "list[Target]":
    """The clients that are meant and their files; asked for where none is named.

    Raises:
        UsageError: no client is named, found or chosen, or the named one has no project scope.
    """
    from server.clients.locations import UserEnvironment, is_found, project_file, user_file
    from server.clients.table import CLIENTS

    if name and every:
        raise UsageError(f"{name} is named, and --all is given too", "leave out one of them")
    user = UserEnvironment.this()
    folder = absolute(project or Path())
    if not folder.is_dir():
        raise UsageError(f"the project {str(folder)!r} is not a directory", "correct --project")
    found: list[Target] = []
    for known in CLIENTS.values():
        if known.name != name if name else not is_found(known.name, user):
            continue
        in_project = scope == "project"
        path = project_file(known.name, folder) if in_project else user_file(known.name, user)
        if path is not None:
            found.append(Target(known, path, in_project))
    if not found and name:
        raise UsageError(f"{name} has no project scope", "use --scope user")
    if not found:
        hint = f"name one of {', '.join(CLIENTS)}"
        raise UsageError("no client was found on this machine", hint)
    return found if name or every else _asked(command, found)


def _asked(command: str, found: "list[Target]") -> "list[Target]":
    """Those of the clients that the user chooses at the terminal.

    Raises:
        UsageError: there is no terminal to ask at, or the answer names another client.
    """
    lines = [
        f"{number:3}  {target.client.name:<15} {target.path}{target.state()}\n"
        for number, target in enumerate(found, 1)
    ]
    sys.stdout.write("Found on this machine:\n" + "".join(lines))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        hint = f"fastcontext {command} {found[0].client.name}, or fastcontext {command} --all"
        raise UsageError("which of these clients is not said", hint)
    words = typer.prompt("Which? Numbers or names, or all", default="", show_default=False)
    chosen: list[Target] = []
    for word in words.replace(",", " ").split():
        if word == "all":
            return found
        match = [t for n, t in enumerate(found, 1) if word in (str(n), t.client.name)]
        if not match:
            raise UsageError(f"{word!r} is not one of these clients", "give their numbers or names")
        chosen += match
    return chosen


def _carry_out(
    targets: "list[Target]",
    plan: "Callable[[Client, Path], Change]",
    dry_run: bool,
    *,
    is_install: bool,
) -> None:
    """Make the changes, a line each; with ``dry_run`` show them.

    Every change is planned before the first is made, so that a broken file stops all of them.

    Raises:
        UsageError: a file is not what its client expects, and none is changed; or one cannot be
            written, and the ones before it are.
    """
    from server.clients.install import carry_out

    done = "installed in" if is_install else "removed from"
    planned: list[tuple[Target, Change]] = []
    for target in targets:
        with _refused(f"{target.client.title}: {str(target.path)!r}"):
            planned.append((target, plan(target.client, target.path)))
    for target, change in planned:
        client, path = target.client, target.path
        if dry_run and not change.is_empty:
            sys.stdout.write(change.diff())
            continue
        with _refused(f"{client.title}: {str(path)!r}"):
            made, backup = carry_out(partial(plan, client, path))
        if made.is_empty:
            sys.stdout.write(f"{client.title}: nothing to do in {path}\n")
            continue
        kept = f"; a backup is kept at {backup}" if backup else ""
        sys.stdout.write(f"{client.title}: {done} {path}{kept}\n")
        sys.stdout.write(f"    {client.restart}\n")
        if is_install and target.note:
            sys.stdout.write(f"    Note: {target.note}.\n")


@contextmanager
def _refused(what: str, by_hand: str = "fastcontext install --print") -> "Iterator[None]":
    """Turn the error of a file that is left alone into a UsageError that names it."""
    from server.clients import ConfigError

    try:
        yield
    except ConfigError as error:
        hint = f"correct the file; nothing was changed. {by_hand} prints what to put in by hand"
        raise UsageError(f"{what}: {error}", hint) from None

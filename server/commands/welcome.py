"""What ``fastcontext`` alone says in a terminal: what it is, whether it is set up, what comes next.

It looks at files alone: nothing is started, and no endpoint is asked.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.errors import ServerError

if TYPE_CHECKING:
    from server.settings import Settings

_QUESTION = 'fastcontext explore "where is ... decided?"'


@dataclass(frozen=True, slots=True)
class Found:
    """The clients on this machine, by the names that people know them by."""

    with_server: tuple[str, ...]
    without: tuple[str, ...]
    unreadable: tuple[str, ...]


def welcome() -> str:
    """The whole text, with a line end."""
    from server import version
    from server.exploring.report import one_line
    from server.settings import load_settings

    found = find_clients()
    step = next_step(found)
    try:
        answers = who_answers(load_settings())
    except ServerError as error:
        answers, step = f"nobody: {one_line(str(error), 300)}", one_line(error.hint, 300)
    rows = [("Answers", answers), *_client_rows(found)]
    commands = [
        (_QUESTION, "ask about the repository around you"),
        ("fastcontext install", "put it into your clients"),
        ("fastcontext doctor", "check all that it needs"),
        ("fastcontext --help", "see every command and option"),
    ]
    lines = [
        f"fastcontext {version()} finds the code that a question is about: for coding agents, as a",
        "tool over MCP, and for you, here. It only reads, and needs neither a model nor a network.",
        "",
        *(f"  {name + ':':<11}{value}" for name, value in rows),
        "",
        f"Next: {step}",
        "",
        *(f"  {command:<45}{what}" for command, what in commands if command != step),
    ]
    return "\n".join(lines) + "\n"


def find_clients() -> Found:
    """The clients that are found on this machine, and whether the user's files name the server."""
    from server.clients import ConfigError
    from server.clients.install import installed_entry
    from server.clients.locations import UserEnvironment, is_found, user_file
    from server.clients.table import CLIENTS

    user = UserEnvironment.this()
    states: dict[str, list[str]] = {"with": [], "without": [], "unreadable": []}
    for client in CLIENTS.values():
        if not is_found(client.name, user):
            continue
        try:
            has_server = installed_entry(client, user_file(client.name, user)) is not None
            states["with" if has_server else "without"].append(client.title)
        except ConfigError:
            states["unreadable"].append(client.title)
    return Found(*(tuple(titles) for titles in states.values()))


def who_answers(settings: "Settings") -> str:
    """Who will answer, by the settings and by the state of this machine's engine.

    Raises:
        UsageError: the settings ask for an endpoint and name none.
    """
    from launch.state import live_state
    from server.exploring.engine_settings import wanted_engine
    from server.exploring.engines import choose_explorer

    choice = choose_explorer(settings, settings.engine)
    if choice.explorer == "endpoint":
        return f"a model: {choice.reason}"
    if choice.explorer == "local" and live_state(wanted_engine(settings).places.state):
        return "a model: this machine's engine, which is running"
    reason = "was asked for" if choice.explorer == "scout" else "needs no model"
    return f"the scout, which {reason}"


def next_step(found: Found) -> str:
    """The command that brings its user further."""
    if found.without and not found.with_server:
        return "fastcontext install"
    return _QUESTION


def _client_rows(found: Found) -> list[tuple[str, str]]:
    rows = [
        ("Set up in", ", ".join(found.with_server)),
        ("Not in", ", ".join(found.without)),
        ("Unclear", f"the files of {', '.join(found.unreadable)} cannot be read"),
    ]
    known = (found.with_server, found.without, found.unreadable)
    shown = [row for row, titles in zip(rows, known, strict=True) if titles]
    return shown or [("Clients", "none found on this machine")]

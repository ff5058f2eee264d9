"""Checks of the servers that clients' files name: all different ones are tried at once."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from server.clients import ConfigError
from server.clients.install import entry, installed_entry
from server.clients.locations import (
    CLIENTS,
    Client,
    UserEnvironment,
    is_found,
    project_file,
    user_file,
)
from server.doctor import Finding
from server.doctor.trial import Trial, try_server, try_url
from server.settings import PREFIX

TRIAL_S = 15.0
"""Longest that a server may take to start and answer; about 1 s on an idle machine."""
URL_S = 3.5
"""Longest wait for a server that runs already."""
_TRIED_BY = ("command", "args", "env", "url", "serverUrl", "headers", "http_headers")
"""The keys of an entry that decide how its server works."""
_LIMITS = frozenset(
    PREFIX + name
    for name in ("ROOTS", "MAX_TURNS", "MAX_CITATIONS", "DEADLINE_S", "INCLUDE_HIDDEN", "LOG_LEVEL")
)
"""Settings that a project may bring: with them nothing is started, reached or sent anywhere."""


@dataclass(frozen=True, slots=True)
class Configured:
    """An entry of this server in a client's file."""

    client: Client
    made: Mapping[str, Any]
    in_project: bool = False

    @property
    def name(self) -> str:
        """Which entry it is, for a reader."""
        return f"{self.client.name}, this project" if self.in_project else self.client.name

    @property
    def install(self) -> str:
        """The command that writes it anew."""
        scope = " --scope project" if self.in_project else ""
        return f"fastcontext install {self.client.name}{scope}"

    @property
    def url(self) -> str:
        """Where the server is reached; empty for one that the client starts."""
        return str(self.made.get("url") or self.made.get("serverUrl") or "")

    def key(self) -> str:
        """Equal for entries whose servers work the same."""
        return json.dumps([self.made.get(name) for name in _TRIED_BY], default=str, sort_keys=True)


def configured_servers(user: UserEnvironment, project: Path | None) -> list[Finding]:
    """A finding on each different entry, each client without an entry, and each unreadable file.

    Without any entry, the server is tried that a client would start. ``project`` is the working
    directory, whose own files count as well.
    """
    checks: list[Finding] = []
    entries: dict[str, list[Configured]] = {}
    for client, path, in_project in _files(user, project):
        try:
            made = installed_entry(client, path)
        except ConfigError as error:
            checks.append(Finding("fail", client.name, f"{path}: {error}", "correct the file"))
            continue
        if isinstance(made, dict):
            found = Configured(client, made, in_project)
            entries.setdefault(found.key(), []).append(found)
        elif not in_project:
            hint = f"fastcontext install {client.name}"
            checks.append(Finding("info", client.name, "found, without this server", hint))
    if not entries:
        command, environment = _started_by(entry(CLIENTS["claude-desktop"]))
        trial = try_server(command, environment, timeout_s=TRIAL_S)
        return [*checks, _check("server (what a client would start)", trial, "install it anew")]
    with ThreadPoolExecutor(len(entries)) as pool:
        return [*checks, *pool.map(partial(_tried, user), entries.values())]


def _files(user: UserEnvironment, project: Path | None) -> Iterator[tuple[Client, Path, bool]]:
    """Files that may hold an entry, the users' first, and whether they are the project's."""
    for client in CLIENTS.values():
        if is_found(client.name, user):
            yield client, user_file(client.name, user), False
    if project is None:
        return
    for client in CLIENTS.values():
        path = project_file(client.name, project)
        if path is not None and path.exists() and path != user_file(client.name, user):
            yield client, path, True


def _tried(user: UserEnvironment, entries: Sequence[Configured]) -> Finding:
    first = entries[0]
    what = f"server ({', '.join(each.name for each in entries)})"
    if reason := _not_to_be_tried(first):
        return Finding("info", what, reason)
    if first.url:
        trial = try_url(first.url, _headers(first.made, user), timeout_s=URL_S)
        return _check(what, trial, "start that server, or correct the entry's URL")
    command, environment = _started_by(first.made)
    trial = try_server(command, environment, timeout_s=TRIAL_S)
    return _check(what, trial, f"{first.install} writes it anew")


def _not_to_be_tried(found: Configured) -> str:
    """Why a server is left alone, or empty.

    A project's files come with the project, and clients ask before they start what those name.
    Without asking, only this very program is started, with limits and nothing else: an endpoint
    that the project names would be sent the user's key.
    """
    if "${" in found.key():
        return "not tried: the client fills in a part of the entry"
    own = entry(found.client)
    same = all(found.made.get(name) == own[name] for name in ("command", "args"))
    named = found.made.get("env") or {}
    if found.in_project and (found.url or not same):
        return "not tried: the project's file names another server than this program"
    if found.in_project and not (isinstance(named, dict) and named.keys() <= _LIMITS):
        return "not tried: the project's file sets more than limits"
    return ""


def _started_by(made: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Command and environment of an entry; numbers become text, as clients do it."""
    arguments, given = made.get("args"), made.get("env")
    words = [made.get("command", ""), *(arguments if isinstance(arguments, list) else [])]
    named = given if isinstance(given, dict) else {}
    return (
        [_word(each) for each in words],
        {str(name): _word(value) for name, value in named.items() if value is not None},
    )


def _headers(made: Mapping[str, Any], user: UserEnvironment) -> dict[str, str]:
    named = made.get("headers") or made.get("http_headers")
    given = named if isinstance(named, dict) else {}
    headers = {str(name): _word(value) for name, value in given.items()}
    # Codex keeps the token out of its file.
    if token := user.variables.get(str(made.get("bearer_token_env_var"))):
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _check(what: str, trial: Trial, otherwise: str) -> Finding:
    if trial.problem:
        return Finding("fail", what, trial.problem, trial.hint or otherwise)
    listed = f"{', '.join(trial.tools)} after {trial.started_s:.1f} s"
    if trial.unasked:
        return Finding("ok", what, f"{listed}; no question was asked: {trial.unasked}")
    answered = f"{listed}; a question answered in {trial.answered_s:.1f} s"
    if not trial.answer_is_right:
        return Finding("fail", what, f"{answered}, wrongly", "check the model at the endpoint")
    return Finding("ok", what, answered)

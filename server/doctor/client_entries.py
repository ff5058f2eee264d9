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
from server.clients.locations import UserEnvironment, is_found, project_file, user_file
from server.clients.table import CLIENTS, Client
from server.doctor import Finding
from server.doctor.trial import Trial, try_server, try_url
from server.settings import PREFIX

TRIAL_S = 15.0
"""Longest that a server may take to start and answer; about 1 s on an idle machine."""
URL_S = 3.5
"""Longest wait for a server that runs already."""
_REMOTE = "mcp-remote"
"""A program that some clients start to reach a server by its URL."""
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
    def note(self) -> str:
        """What may keep the entry from working; empty where nothing does."""
        return self.client.project_note if self.in_project else self.client.note

    def start(self) -> tuple[list[str], dict[str, str]]:
        """Command and environment of the entry; numbers become text, as clients do it."""
        words, named = self.client.form.start(self.made)
        return (
            [_word(each) for each in words],
            {str(name): _word(value) for name, value in named.items() if value is not None},
        )

    def remote(self) -> tuple[str, dict[str, str]]:
        """Where the server is reached and with which headers; no URL where the client starts it."""
        words, _ = self.start()
        for at, word in enumerate(words[:-1]):
            if word.partition("@")[0] == _REMOTE:
                flags = zip(words[at:], words[at + 1 :], strict=False)
                given = (value.partition(":") for flag, value in flags if flag == "--header")
                return words[at + 1], {name.strip(): value.strip() for name, _, value in given}
        url = self.made.get("url") or self.made.get("serverUrl") or ""
        named = self.made.get("headers") or self.made.get("http_headers")
        headers = named if isinstance(named, dict) else {}
        return str(url), {str(name): _word(value) for name, value in headers.items()}

    def key(self) -> str:
        """Equal for entries whose servers work the same."""
        return json.dumps([self.start(), self.remote()])


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
            if found.note:
                checks.append(Finding("info", found.name, found.note))
        elif not in_project:
            hint = f"fastcontext install {client.name}"
            checks.append(Finding("info", client.name, "found, without this server", hint))
    if not entries:
        client = CLIENTS["claude-desktop"]
        command, environment = Configured(client, entry(client)).start()
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
    url, headers = first.remote()
    if url:
        headers |= _token(first.made, user)
        trial = try_url(url, headers, timeout_s=URL_S)
        return _check(what, trial, "start that server, or correct the entry's URL")
    command, environment = first.start()
    trial = try_server(command, environment, timeout_s=TRIAL_S)
    finding = _check(what, trial, f"{first.install} writes it anew")
    limits = {each.client.title: each.client.start_limit_s or TRIAL_S for each in entries}
    late = [
        f"{title} waits {limit:g} s" for title, limit in limits.items() if trial.started_s > limit
    ]
    if not late or trial.problem:
        return finding
    slower = f"{finding.found}; {', '.join(late)} for a server to start"
    return Finding("fail", what, slower, "try again when the machine is less busy")


def _not_to_be_tried(found: Configured) -> str:
    """Why a server is left alone, or empty.

    A project's files come with the project, and clients ask before they start what those name.
    Without asking, only this very program is started, with limits and nothing else: an endpoint
    that the project names would be sent the user's key.
    """
    if "${" in found.key():
        return "not tried: the client fills in a part of the entry"
    own, _ = Configured(found.client, entry(found.client)).start()
    words, named = found.start()
    if found.in_project and (found.remote()[0] or words != own):
        return "not tried: the project's file names another server than this program"
    # Nothing but an object holds variables that can be judged.
    is_plain = isinstance(found.made.get(found.client.form.env) or {}, dict)
    if found.in_project and not (is_plain and named.keys() <= _LIMITS):
        return "not tried: the project's file sets more than limits"
    return ""


def _token(made: Mapping[str, Any], user: UserEnvironment) -> dict[str, str]:
    """The header that Codex makes of a variable, to keep the token out of its file."""
    token = user.variables.get(str(made.get("bearer_token_env_var")))
    return {"Authorization": f"Bearer {token}"} if token else {}


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

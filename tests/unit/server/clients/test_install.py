"""Merging an entry into the configuration files of MCP clients."""

import json
import os
import re
import site
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.clients import ConfigError, install, jsonc, toml_config
from server.clients.install import apply, entry, plan_install, plan_uninstall
from server.clients.locations import UserEnvironment, is_found, project_file, user_file
from server.clients.table import CLIENTS, Client

COMMENTED = """// kept
{
\t/* kept too */
\t"servers": {
\t\t"other": { "command": "x", "args": ["a, b", "}"] }, // tail
\t\t// last words
\t},
\t"inputs": [],
}
"""


def without_comments(text: str) -> str:
    """Plain JSON, of texts whose strings hold neither slashes nor a comma before a bracket."""
    text = re.sub(r"//.*|/\*.*?\*/", "", text)
    return re.sub(r",(\s*[]}])", r"\1", text)


USERS = {
    "linux": UserEnvironment("linux", Path("/home/u"), {}),
    "darwin": UserEnvironment("darwin", Path("/Users/u"), {}),
    "win32": UserEnvironment(
        "win32", Path("/c/Users/u"), {"APPDATA": "/c/Users/u/AppData/Roaming"}
    ),
}


@pytest.mark.parametrize(
    ("client", "platform", "expected"),
    [
        ("claude-desktop", "linux", "/home/u/.config/Claude/claude_desktop_config.json"),
        (
            "claude-desktop",
            "darwin",
            "/Users/u/Library/Application Support/Claude/claude_desktop_config.json",
        ),
        (
            "claude-desktop",
            "win32",
            "/c/Users/u/AppData/Roaming/Claude/claude_desktop_config.json",
        ),
        ("claude-code", "linux", "/home/u/.claude.json"),
        ("cursor", "darwin", "/Users/u/.cursor/mcp.json"),
        ("vscode", "linux", "/home/u/.config/Code/User/mcp.json"),
        ("vscode", "win32", "/c/Users/u/AppData/Roaming/Code/User/mcp.json"),
        ("codex", "linux", "/home/u/.codex/config.toml"),
        ("windsurf", "linux", "/home/u/.codeium/windsurf/mcp_config.json"),
    ],
)
def test_each_client_keeps_its_file_where_its_documentation_says(
    client: str, platform: str, expected: str
) -> None:
    assert user_file(CLIENTS[client].name, USERS[platform]) == Path(expected)


def test_the_store_build_of_claude_desktop_has_a_folder_of_its_own(tmp_path: Path) -> None:
    package = tmp_path / "Packages" / "Claude_abc"
    package.mkdir(parents=True)
    user = UserEnvironment("win32", tmp_path, {"LOCALAPPDATA": str(tmp_path)})
    expected = package / "LocalCache" / "Roaming" / "Claude" / "claude_desktop_config.json"
    assert user_file("claude-desktop", user) == expected


def test_the_variables_that_move_a_clients_folder_are_followed(tmp_path: Path) -> None:
    names = {"CODEX_HOME": "", "XDG_CONFIG_HOME": "x", "CLAUDE_CONFIG_DIR": "claude"}
    user = UserEnvironment(
        "linux", Path("/h"), {name: str(tmp_path / at) for name, at in names.items()}
    )
    assert user_file("claude-code", user) == tmp_path / "claude" / ".claude.json"
    assert user_file("codex", user) == tmp_path / "config.toml"
    assert user_file("vscode", user) == tmp_path / "x" / "Code" / "User" / "mcp.json"


def test_project_files_exist_only_for_clients_that_have_a_project_scope(tmp_path: Path) -> None:
    found = {name: project_file(client.name, tmp_path) for name, client in CLIENTS.items()}
    without = {name for name, path in found.items() if path is None}
    assert without == {
        *("claude-desktop", "windsurf", "copilot", "cline", "continue", "goose", "antigravity")
    }
    assert found["vscode"] == tmp_path / ".vscode" / "mcp.json"
    assert found["codex"] == tmp_path / ".codex" / "config.toml"


def test_a_client_is_found_by_its_folder_but_not_by_the_home_directory(tmp_path: Path) -> None:
    user = UserEnvironment("linux", tmp_path, {})
    assert not is_found("claude-code", user)
    assert not is_found("cursor", user)
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".claude.json").write_text("{}")
    assert is_found("cursor", user)
    assert is_found("claude-code", user)


def test_the_entry_relies_on_neither_path_nor_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(install, "is_installed", lambda: True)
    made = entry(CLIENTS["claude-desktop"])
    assert made == {"command": sys.executable, "args": ["-I", "-m", "server.main"]}
    assert Path(made["command"]).is_absolute()
    assert entry(CLIENTS["vscode"])["type"] == "stdio"


def test_the_entry_finds_an_installation_of_the_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(Path(install.__file__).parents[2]))
    assert entry(CLIENTS["cursor"])["args"][:2] == ["-E", "-P"]


def test_a_checkout_that_is_not_installed_is_started_by_its_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(install, "is_installed", lambda: False)
    main = str(Path(install.__file__).parents[1] / "main.py")
    assert entry(CLIENTS["cursor"])["args"] == ["-I", main]


def test_comments_commas_and_other_entries_survive_to_the_byte() -> None:
    merged = jsonc.put(COMMENTED, "servers", "fc", {"command": "/p"})
    assert json.loads(without_comments(merged))["servers"] == {
        "other": {"command": "x", "args": ["a, b", "}"]},
        "fc": {"command": "/p"},
    }
    remaining = merged
    for line in COMMENTED.splitlines():
        assert line.strip() in remaining
    assert merged.startswith("// kept\n{\n\t/* kept too */\n")
    assert '\n\t\t"fc": {\n\t\t\t"command": "/p"\n\t\t}\n' in merged


@pytest.mark.parametrize(
    "text",
    [
        '{"servers": {"a": {"n": 1}}, "x": [1, 2]}\n',
        '{\n  "x": 1\n}',
        "{}",
        COMMENTED,
        '{"servers": {"a": 1, // c, d\n "b": 2 /* e */ } }',
        '{\r\n  "servers": {\r\n    "a": 1\r\n  }\r\n}\r\n',
    ],
)
def test_an_entry_put_in_and_taken_out_leaves_everything_else(text: str) -> None:
    merged = jsonc.put(text, "servers", "fc", {"command": "/p", "args": []})
    assert jsonc.get(merged, ("servers", "fc")) == {"command": "/p", "args": []}
    taken_out = jsonc.remove(merged, "servers", "fc")
    before, after = (json.loads(without_comments(each)) for each in (text, taken_out))
    assert after == {"servers": {}} | before
    strict = "//" not in text and "/*" not in text
    if strict:
        json.loads(merged)
        json.loads(taken_out)


def test_an_entry_that_stands_first_is_taken_out_with_its_comma() -> None:
    text = '{"s": {"fc": 1, "b": 2}}'
    assert json.loads(jsonc.remove(text, "s", "fc")) == {"s": {"b": 2}}


def test_windows_line_ends_are_kept() -> None:
    merged = jsonc.put('{\r\n  "servers": {}\r\n}\r\n', "servers", "fc", {"command": "/p"})
    again = jsonc.put(merged, "servers", "fc", {"command": "/q", "args": []})
    for text in (merged, again):
        assert "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        '{"a": ',
        "{]",
        '{"servers": []}',
        "\x00",
        "{,}",
        '{"a": [1,,]}',
        "{ /* }",
        "{'a': 1}",
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_the_client_expects_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        jsonc.put(text, "servers", "fc", {})


def test_windows_paths_are_read_and_kept() -> None:
    """As in a file of Windows: the parser takes the backslashes before x and u for escapes."""
    other = {"command": "C:\\xampp\\users\\python.exe", "args": ["C:\\u\\x", "\\\\unc\\x\n\u00e9"]}
    text = json.dumps({"mcpServers": {"a\\x": other}}, indent=2)
    merged = jsonc.put(text, "mcpServers", "fc", other)
    assert json.loads(merged) == {"mcpServers": {"a\\x": other, "fc": other}}
    assert jsonc.get(merged, ["mcpServers", "fc"]) == other
    assert jsonc.get(merged, ["mcpServers", "a\\x"]) is not None
    assert jsonc.remove(merged, "mcpServers", "fc") == text


@pytest.mark.parametrize("comment", ["", "// mine\n"])
def test_line_separators_in_a_string_are_read_and_kept(comment: str) -> None:
    text = comment + '{"notes": "a\u2028b\u2029", "servers": {}}'
    merged = jsonc.put(text, "servers", "fc", {"command": "\u2028"})
    assert '"a\u2028b\u2029"' in merged
    assert jsonc.get(merged, ["notes"]) == "a\u2028b\u2029"
    assert jsonc.get(merged, ["servers", "fc"]) == {"command": "\u2028"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"s": {"a": 1, // mine\n "fc": 2}}', '{"s": {"a": 1 // mine\n}}'),
        (
            '{"s": {"a": 1 /* x, y */, "fc": 2 /* a, b */ , }}',
            '{"s": {"a": 1 /* x, y */ }}',
        ),
        (
            '{"s": {"a": 1, "fc": ["// no comment", ",]"], /* c */ }, /* } */ }',
            '{"s": {"a": 1 /* c */ }, /* } */ }',
        ),
    ],
)
def test_an_entry_among_comments_is_taken_out_with_its_own_commas(text: str, expected: str) -> None:
    assert jsonc.remove(text, "s", "fc") == expected


def test_an_entry_that_stands_twice_is_taken_out_twice() -> None:
    text = '{"s": {"fc": 1, "b": 2, "fc": 3}}'
    assert json.loads(jsonc.remove(text, "s", "fc")) == {"s": {"b": 2}}


def test_what_is_wrong_is_said_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"^not valid JSON \(line 2 column 3\)$"):
        jsonc.put('{\n  "broken', "servers", "fc", {})


_names = st.text(min_size=1, max_size=6)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(_names, _values, max_size=4),
    st.dictionaries(_names, _values, max_size=4),
    st.sampled_from([None, 1, 4, "\t"]),
)
def test_any_document_keeps_its_other_values(
    rest: dict[str, object], servers: dict[str, object], indent: int | str | None
) -> None:
    document = {**rest, "servers": servers}
    text = json.dumps(document, indent=indent)
    merged = jsonc.put(text, "servers", "fc", {"command": "/p"})
    expected = {**document, "servers": {**servers, "fc": {"command": "/p"}}}
    assert json.loads(merged) == expected
    if "fc" not in servers:
        assert json.loads(jsonc.remove(merged, "servers", "fc")) == document


@given(
    st.dictionaries(_names, _values, max_size=4),
    st.dictionaries(_names, _values, max_size=4),
    st.sampled_from(["// a, b }\n", '/* { " , */', " ", "\r\n"]),
    st.booleans(),
)
def test_comments_and_trailing_commas_anywhere_change_nothing(
    rest: dict[str, object], servers: dict[str, object], between: str, trailing: bool
) -> None:
    document = {**rest, "servers": servers}
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[][{}:,]|[^][{}:,"\s]+', json.dumps(document))
    if trailing:
        pairs = zip(tokens, [*tokens[1:], ""], strict=True)
        ends = {"]", "}"}
        starts = {"[", "{"}
        tokens = [
            token + between + "," if after in ends and token not in starts else token
            for token, after in pairs
        ]
    text = between + between.join(tokens) + between
    found = jsonc.read(text)
    assert found is not None
    assert found[0] == document
    merged = jsonc.put(text, "servers", "fc", {"command": "/p"})
    expected = {**document, "servers": {**servers, "fc": {"command": "/p"}}}
    assert jsonc.get(merged, []) == expected
    if "fc" not in servers:
        assert jsonc.get(jsonc.remove(merged, "servers", "fc"), []) == document


ENTRY = {"command": "/p", "env": {"A": "b"}}
BLOCK = '[mcp_servers.fastcontext]\ncommand = "/p"\nenv = {A = "b"}\n'
INLINE = '{command = "/p", env = {A = "b"}}'
CODEX = {
    "empty": ("", BLOCK),
    "no servers": ('# mine\nmodel = "m"\n', f'# mine\nmodel = "m"\n\n{BLOCK}'),
    "a comment on the next table": (
        '[mcp_servers.other] # c\ncommand = "x"\n\n# look\n[tui]\na = 1\n',
        f'[mcp_servers.other] # c\ncommand = "x"\n\n# look\n[tui]\na = 1\n\n{BLOCK}',
    ),
    "out of order": (
        '[mcp_servers.a]\nx = 1\n\n[projects."/x"]\ny = 2\n\n[mcp_servers.b]\nz = 3\n',
        '[mcp_servers.a]\nx = 1\n\n[projects."/x"]\ny = 2\n\n[mcp_servers.b]\nz = 3\n\n' + BLOCK,
    ),
    "inline": (
        'mcp_servers={a={command="b"}}\n',
        f'mcp_servers={{a={{command="b"}},fastcontext = {INLINE}}}\n',
    ),
    "dotted": ('mcp_servers.a.command = "x"\n', f'mcp_servers.a.command = "x"\n\n{BLOCK}'),
    "windows": (
        "[tui]\r\na = 1\r\n",
        "[tui]\r\na = 1\r\n\r\n" + BLOCK.replace("\n", "\r\n"),
    ),
}
"""The file, and the file with the entry."""


@pytest.mark.parametrize(("text", "expected"), CODEX.values(), ids=list(CODEX))
def test_a_codex_file_gets_the_entry_and_loses_it_with_all_else_as_it_was(
    text: str, expected: str
) -> None:
    assert toml_config.put(text, "mcp_servers", "fastcontext", ENTRY) == expected
    assert toml_config.get(expected, "mcp_servers", "fastcontext") == ENTRY
    assert toml_config.remove(expected, "mcp_servers", "fastcontext") == text


OWN = {
    "empty lines and comments around": (
        'a = 1\n\n[mcp_servers.fastcontext]\nargs = [\n  "x",\n]\n\n# look\n[tui]\nb = 1\n',
        f"a = 1\n\n{BLOCK}\n# look\n[tui]\nb = 1\n",
    ),
    "a table below": (
        '[mcp_servers.fastcontext]\ncommand = "o"\n\n[mcp_servers.fastcontext.env]\nB = "c"\n',
        BLOCK,
    ),
    "a quoted key": ('[mcp_servers."fastcontext"]\ncommand = "o"\n[tui]\n', f"{BLOCK}[tui]\n"),
    "a list that looks like a header": (
        "[mcp_servers.fastcontext]\nargs = [\n[1],\n]\n\n[tui]\n",
        f"{BLOCK}\n[tui]\n",
    ),
}
"""A file with an entry, and with it replaced."""


@pytest.mark.parametrize(("text", "expected"), OWN.values(), ids=list(OWN))
def test_a_codex_entry_is_replaced_where_it_stands(text: str, expected: str) -> None:
    assert toml_config.put(text, "mcp_servers", "fastcontext", ENTRY) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a = ",
        "mcp_servers = 3",
        "[[mcp_servers]]\na = 1\n",
        "mcp_servers.fastcontext.command = 'x'\nmcp_servers.b.command = 'y'\n",
    ],
)
def test_a_codex_file_that_is_broken_or_cannot_be_changed_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        toml_config.put(text, "mcp_servers", "fastcontext", {"command": "/p"})


@pytest.mark.parametrize("client", CLIENTS.values(), ids=list(CLIENTS))
def test_installing_twice_changes_nothing_the_second_time(client: object, tmp_path: Path) -> None:
    assert isinstance(client, install.Client)
    path = tmp_path / "deep" / "config"
    assert apply(plan_install(client, path, entry(client))) is None
    assert install.installed_entry(client, path) == entry(client)
    assert plan_install(client, path, entry(client)).is_empty
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    apply(plan_uninstall(client, path))
    assert install.installed_entry(client, path) is None
    assert not path.exists()


def test_the_first_state_is_kept_as_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(COMMENTED)
    path.chmod(0o640)
    client = CLIENTS["vscode"]
    backup = apply(plan_install(client, path, entry(client)))
    assert backup is not None
    assert backup.read_text() == COMMENTED
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    # Nobody is told of a copy where none is made.
    assert apply(plan_install(client, path, entry(client, environment={"A": "1"}))) is None
    assert backup.read_text() == COMMENTED


def test_a_change_by_another_program_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("{}")
    client = CLIENTS["cursor"]
    plan = plan_install(client, path, entry(client))
    path.write_text('{"theirs": 1}')
    with pytest.raises(ConfigError, match="changed by another program"):
        apply(plan)
    assert path.read_text() == '{"theirs": 1}'
    assert list(tmp_path.iterdir()) == [path]


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    link = tmp_path / "mcp.json"
    link.symlink_to(real)
    client = CLIENTS["cursor"]
    apply(plan_install(client, link, entry(client)))
    assert link.is_symlink()
    assert "fastcontext" in real.read_text()


def test_a_folder_in_place_of_the_file_is_an_error_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        plan_install(CLIENTS["cursor"], tmp_path, {})


def test_a_file_that_is_not_utf8_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ConfigError, match="UTF-8"):
        plan_install(CLIENTS["cursor"], path, {})
    assert path.read_bytes() == b'{"a": "\xff"}'


def test_the_diff_names_the_file_and_shows_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    diff = plan_install(CLIENTS["cursor"], path, entry(CLIENTS["cursor"])).diff()
    assert str(path) in diff
    assert '+    "fastcontext": {' in diff
    assert not path.exists()


ORIGINALS = {
    "one line": '{"servers": {"a": 1, // c\n "b": 2 /* e */ } }',
    "commented": COMMENTED,
    "windows": '{\r\n  "x": 1\r\n}\r\n',
    "no section, no last line end": '{ "x": [1,2] }',
    "empty": "",
    "byte order mark": "\ufeff{}\n",
    "blank": " \n\n",
}


@pytest.mark.parametrize("text", ORIGINALS.values(), ids=list(ORIGINALS))
def test_uninstalling_brings_an_untouched_file_back_to_the_byte(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    client = CLIENTS["vscode"]
    for round_trip in (text, text.rstrip() + " \n"):
        path.write_bytes(round_trip.encode())
        for environment in ({"A": "1"}, {"A": "2"}):
            apply(plan_install(client, path, entry(client, environment=environment)))
        assert install.installed_entry(client, path) is not None
        apply(plan_uninstall(client, path))
        assert path.read_bytes() == round_trip.encode()


def test_uninstalling_from_a_codex_file_brings_it_back_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = '# mine\r\nmodel   = "m" # why\r\n\r\n\r\n[mcp_servers]\r\n[tui]\r\na=1'
    path.write_bytes(text.encode())
    client = CLIENTS["codex"]
    apply(plan_install(client, path, entry(client)))
    apply(plan_uninstall(client, path))
    assert path.read_bytes() == text.encode()


@pytest.mark.parametrize("client", CLIENTS.values(), ids=list(CLIENTS))
def test_an_entry_that_was_there_before_is_taken_out_too(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "config"
    old = {"command": "/old/fastcontext", "args": ["serve"]}
    path.write_text(install.with_entry(client, "", old))
    apply(plan_install(client, path, entry(client)))
    assert install.installed_entry(client, path) == entry(client)
    apply(plan_uninstall(client, path))
    assert install.installed_entry(client, path) is None


@pytest.mark.parametrize("client", CLIENTS.values(), ids=list(CLIENTS))
def test_an_entry_that_is_written_anew_keeps_its_settings(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "config"
    own = {"timeout": 600, "tool_timeout_sec": 600}
    old = client.form.entry("/old", ["x"], {"A": "1", "B": "2"}, {**client.extras, **own})
    path.write_text(install.with_entry(client, "", old))
    apply(plan_install(client, path, entry(client, environment={"B": "3", "C": "4"})))
    apply(plan_install(client, path, entry(client)))
    expected = entry(client, environment={"A": "1", "B": "3", "C": "4"}) | own
    assert install.installed_entry(client, path) == expected


def test_an_entry_for_a_url_becomes_one_for_a_command_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "config"
    client = CLIENTS["cursor"]
    remote = {"url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": "Bearer x"}}
    path.write_text(jsonc.put("", client.section, install.SERVER_NAME, remote))
    apply(plan_install(client, path, entry(client)))
    assert install.installed_entry(client, path) == entry(client)


def test_what_somebody_added_since_survives_the_uninstall(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{\n  "servers": {}\n}\n')
    client = CLIENTS["vscode"]
    apply(plan_install(client, path, entry(client)))
    path.write_text(path.read_text().replace('"servers": {', '"servers": {\n    "b": 1,'))
    apply(plan_uninstall(client, path))
    assert json.loads(path.read_text()) == {"servers": {"b": 1}}


def test_a_change_that_loses_against_another_program_is_planned_anew(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    client = CLIENTS["cursor"]
    theirs = iter(["1", "2", "3"])

    def plan() -> install.Change:
        planned = plan_install(client, path, entry(client))
        if number := next(theirs, None):
            path.write_text(f'{{"theirs": {number}}}')
        return planned

    made, _ = install.carry_out(plan)
    assert not made.is_empty
    found = json.loads(path.read_text())
    assert found["theirs"] == 3
    assert "fastcontext" in found["mcpServers"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_read_only_folder_is_an_error_with_a_reason_and_nothing_changes() -> None:
    nobody = 65534
    client = CLIENTS["cursor"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "mcp.json"
        path.write_text("{}")
        folder.chmod(0o555)
        # Root may write anywhere; as somebody else, it may not.
        root = os.geteuid() == 0
        if root:
            os.seteuid(nobody)
        try:
            with pytest.raises(ConfigError, match="cannot be written: Permission denied"):
                apply(plan_install(client, path, entry(client)))
            with pytest.raises(ConfigError, match="cannot be written: Permission denied"):
                apply(plan_install(client, folder / "deep" / "mcp.json", entry(client)))
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)
        assert path.read_text() == "{}"
        assert list(folder.iterdir()) == [path]

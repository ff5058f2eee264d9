"""What README and docs name exists: settings, commands, options, files."""

import re
from pathlib import Path

import pytest

from scripts.generate import generated
from server.clients.table import CLIENTS
from server.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def commands() -> dict[str, str]:
    """The name of each command -> its part of the reference."""
    parts = generated()["docs/reference/commands.md"].split("## `fastcontext ")[1:]
    return {" ".join(re.findall(r"(?<![\w\[])[a-z-]+", part.split("`")[0])): part for part in parts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_variable_that_a_page_names_is_a_setting(page: Path) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(rf"{PREFIX}[A-Z_]+[A-Z]", page.read_text(encoding="utf-8")))
    assert {each for each in named if not each.startswith(f"{PREFIX}TEST_")} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists_with_its_options(
    page: Path, commands: dict[str, str]
) -> None:
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"fastcontext ((?:[a-z]+ ?)[^`\n|#;]*)", text):
        words = line.split("&&")[0].split()
        name = next((name for name in (" ".join(words[:2]), words[0]) if name in commands), None)
        if name is None:
            # Prose, or a group such as `engine up | status`.
            assert any(each.split()[0] == words[0] for each in commands) or not _is_code(line, text)
            continue
        for option in re.findall(r"(?<=\s)--[a-z0-9-]+", f" {line.split('&&')[0]}"):
            assert f"`{option}`" in commands[name], f"{name} has no {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_and_folder_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:docs|benchmarks|plugins|tests|explorer|launch)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def _is_code(line: str, text: str) -> bool:
    return f"`fastcontext {line}" in text or f"$ fastcontext {line}" in text


def test_the_page_of_clients_names_each_with_its_files() -> None:
    text = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    for client in CLIENTS.values():
        row = next(line for line in text.splitlines() if f"| `{client.name}` |" in line)
        for file in (*client.files, client.project_file or ""):
            assert Path(file).name in row

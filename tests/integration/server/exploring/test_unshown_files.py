"""What an answer says of files that are not shown, through the service."""

from pathlib import Path

import pytest

from explorer.engines.scripted import ScriptedEngine
from server.exploring.question import make_question
from server.exploring.report import Report, plain
from server.exploring.service import ExplorationService
from server.settings import Settings
from tests.tooling import write_tree

pytestmark = pytest.mark.anyio

CITE = "There.\n<final_answer>\nsrc/release.py:1-2 (the place)\n</final_answer>"
READ = '<tool_call>\n{"name": "Read", "arguments": {"path": "src/release.py"}}\n</tool_call>'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_tree(
        tmp_path / "repository",
        {
            ".git/HEAD": "ref: refs/heads/main\n",
            ".github/workflows/release.yml": "jobs:\n  release: x\n",
            ".gitignore": "generated/\n",
            "generated/release.py": "def release(): pass\n",
            "src/release.py": "def release():\n    publish_the_release()\n",
        },
    )


async def ask(repository: Path, query: str, **given: bool) -> Report:
    made = Settings(engine="scout")
    async with ExplorationService(made) as service:
        return await service.explore(make_question(made, query, path=str(repository), **given))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("what does `.github/workflows/release.yml` do?", "release.yml' is hidden"),
        ("what does ./.github/workflows/ release?", "'.github/workflows' is hidden"),
        ("how do the workflows in .github release?", "'.github' is hidden"),
        ("what does generated/release.py do", "'generated/release.py' is ignored by git"),
    ],
)
async def test_a_question_that_names_a_hidden_file_is_told_so(
    repository: Path, query: str, said: str
) -> None:
    report = await ask(repository, query)
    assert said in report.exploration.answer
    assert "include_hidden (--hidden)" in report.exploration.answer
    assert report.exploration.confidence in ("low", None)
    shown = await ask(repository, query, include_hidden=True)
    assert "is hidden" not in plain(shown)
    assert "is ignored" not in plain(shown)


@pytest.mark.parametrize(
    "query",
    [
        "what does src/release.py do?",
        "what does .git/HEAD hold?",
        "../repository/.github/x",
        ".. .",
    ],
)
async def test_a_question_that_names_no_hidden_file_is_not(repository: Path, query: str) -> None:
    assert "include_hidden" not in plain(await ask(repository, query))


async def test_the_models_answer_is_told_so_in_a_note(repository: Path) -> None:
    made = Settings(endpoint="http://127.0.0.1:1/v1")
    engine = ScriptedEngine([READ, CITE])
    query = "what does .github/workflows/release.yml do with release?"
    async with ExplorationService(made, engine_factory=lambda _: engine) as service:
        report = await service.explore(make_question(made, query, path=str(repository)))
    assert report.engine == "endpoint"
    assert "release.yml' is hidden" in report.exploration.notes[0]


async def test_an_empty_repository_says_why(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "dotfiles", {".zshrc": "export EDITOR=nvim\n"})
    report = await ask(root, "where is EDITOR set?")
    assert report.exploration.answer.startswith("No file of the repository may be shown: 1 entry")


async def test_what_the_listing_left_out_is_a_note(repository: Path) -> None:
    (repository / "src/.gitignore").symlink_to("/dev/zero")
    report = await ask(repository, "where is the release published?")
    assert "'src/.gitignore' was left out" in report.exploration.notes[0]

"""What real clients show their model: run against a stand-in for it, and as kept from such runs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scripts.clients.__main__ import PAGE, page
from scripts.clients.observing import ask
from scripts.clients.real import LIBRARIES, NPM_CLIENTS, NpmClient
from tests.external import CLIENTS, NODE, external

FIXTURES = sorted((Path(__file__).parents[3] / "data/clients").glob("*.json"))
IN_CI = [
    each for each in NPM_CLIENTS if each.name in ("claude-code", "codex", "gemini", "opencode")
]


def is_markdown_once(observation: str, answer: str) -> bool:
    """Whether the answer is there once, and besides it nothing but the client's own frame."""
    # Some clients hand their model the MCP content as JSON text.
    written = answer if answer in observation else json.dumps(answer, ensure_ascii=False)[1:-1]
    frame = observation.replace(written, "", 1)
    first = answer.splitlines()[0]
    return len(frame) == len(observation) - len(written) < 100 and first not in frame


@pytest.mark.parametrize("client", IN_CI, ids=lambda client: client.name)
def test_the_first_request_has_the_tool_and_the_answer_is_markdown_once(
    client: NpmClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, modules = external(NODE), external(CLIENTS)
    monkeypatch.setenv("PATH", f"{node.parent}{os.pathsep}{os.environ['PATH']}")
    seen = ask(client, modules)
    assert seen.has_tool_at_once
    assert "`retry/backoff.py:" in seen.answer
    assert seen.answer in seen.observation
    assert is_markdown_once(seen.observation, seen.answer), seen.observation


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_what_a_client_showed_its_model_is_markdown_once(path: Path) -> None:
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert is_markdown_once(kept["observation"], kept["answer"]), kept["observation"]
    assert any(each["name"].endswith("explore_repository") for each in kept["tools"])


def test_the_page_shows_the_run_that_is_kept_of_every_client() -> None:
    kept = {path.stem for path in FIXTURES}
    assert kept == {each.name for each in (*NPM_CLIENTS, *LIBRARIES)}
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


@pytest.mark.parametrize(
    ("observation", "is_once"),
    [
        ("A.\nB", True),
        ("Output:\nA.\nB", True),
        ('[{"type":"text","text":"A.\\nB"}]', True),
        ('{"answer": "x"}', False),
        ("A.\nB\n\nA.\nB", False),
        ('{"text": "A.\\nB", "summary": "A."}', False),
    ],
)
def test_what_counts_as_markdown_once(observation: str, *, is_once: bool) -> None:
    assert is_markdown_once(observation, "A.\nB") == is_once

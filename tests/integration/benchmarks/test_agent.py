"""The agent benchmark against a scripted endpoint, with the real tools and the real server."""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from benchmarks import agent
from benchmarks.agent_run import Located, ServerTools, locate
from explorer.engines.http import HttpEngine
from explorer.events import RunFinished
from explorer.limits import LoopSettings
from explorer.repository.workspace import Workspace
from explorer.trajectory import read
from tests.fakes.openai_server import Answer, Received, Reply, calls, error, says, serving
from tests.tooling import clone_of

CART = (
    "class Cart:\n    def total(self):\n        return 1\n\n"
    "    def discount(self):\n        return 2\n"
)
KEY = "sk-benchmark-secret"
FILE = re.compile(r"([\w./-]+\.py):\d+-\d+")


@pytest.fixture
def tasks(tmp_path: Path) -> list[str]:
    """A task of a bare clone, one of a directory without known places, and the arguments."""
    ship = "def ship(order):\n    order.state = 'shipped'\n"
    commit = clone_of({"cart.py": CART, "ship.py": ship}, tmp_path)
    rows = [
        {"id": "o/shop 1", "repo": "o/shop", "base_commit": commit,
         "query": "The discount is wrong", "files": {"cart.py": [[5, 6]]}},
        {"path": "work", "query": "Where is an order shipped?"},
    ]  # fmt: skip
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        *("--model", "m", "--tasks", str(tmp_path / "tasks.jsonl")),
        *("--mirror", str(tmp_path / "mirror"), "--trees", str(tmp_path / "trees")),
        *("--into", str(tmp_path / "into")),
    ]


def scripted(request: Received) -> Reply:
    """An agent that asks the server if there is one, and otherwise reads a file, then answers."""
    messages, tools = request.json["messages"], request.json["tools"]
    served = any(tool["function"]["name"] == "explore_repository" for tool in tools)
    shipping = "shipped" in messages[1]["content"]
    if messages[-1]["role"] == "tool":
        seen = FILE.findall(messages[-1]["content"])[0]
        # Without the server the agent cites a line that is in no function.
        place = f"{seen}:5-6" if served else f"{seen}:1-1"
        return says(f"<final_answer>\n{place}\n</final_answer>")
    if served:
        # Under the name that the agent was told, or under none.
        root = re.findall(r"agent in the repository (\S+)\.", messages[0]["content"])[0]
        query = {"query": messages[1]["content"], "path": "" if shipping else root}
        return calls(("explore_repository", json.dumps(query)))
    return calls(("Read", json.dumps({"path": "ship.py" if shipping else "cart.py"})))


def test_both_arms_are_run_in_turns_and_a_run_goes_on_after_a_failure(
    tasks: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(agent.KEY, KEY)
    into = tmp_path / "into"

    def results() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (into / "results.jsonl").read_text().splitlines()]

    with serving([scripted] * 5 + [error(401)]) as server:
        assert agent.run(["--endpoint", server.url, *tasks]) == 1
    failed = capsys.readouterr()
    assert len(results()) == 2
    assert "hint: to go on, repeat the command with --into" in failed.err
    with serving([scripted]) as server:
        assert agent.run(["--endpoint", server.url, *tasks]) == 0
        again = server.chats
    printed = capsys.readouterr().out
    first_with, first_without, second_without, second_with = results()

    assert {chat.headers["authorization"] for chat in again} == {f"Bearer {KEY}"}
    assert len(again) == 4
    assert [row["arm"] for row in results()] == ["with", "without", "without", "with"]
    assert [row["id"] for row in results()] == ["o/shop 1", "o/shop 1", "2", "2"]
    assert first_with["sought_functions"] == ["cart.py:Cart.discount"]
    assert first_with["functions"] == first_with["sought_functions"]
    assert first_without["functions"] == []
    assert second_with["citations"][0]["path"] == "ship.py"
    assert (first_with["asked"], first_with["failed"], second_without["asked"]) == (1, 0, 0)
    assert (first_with["requests"], first_with["prompt_tokens"]) == (2, 200)
    assert first_with["output_bytes"] > 0
    table = {line[:24].strip(): line[24:].split() for line in printed.splitlines()}
    assert table["requests"][:4] == ["2", "2.0", "2.0", "+0.0"]
    assert table["function F1"] == ["1", "0.0", "100.0", "+100.0", "[+100.0,", "+100.0]"]
    assert "The server was asked in 2 of 2 runs; 2 calls, 0 answered with an error" in printed
    kept = [path for path in into.rglob("*") if path.is_file()]
    assert len([path for path in kept if path.parent.name == "transcripts"]) == 4
    assert not any(KEY in path.read_text() for path in kept)
    with_server = read(into / "transcripts/o%2Fshop%201.with.jsonl")
    assert isinstance(with_server[-1].event, RunFinished)
    assert "explore_repository" in json.dumps(with_server[0].event.messages[0])  # type: ignore[union-attr]


def located(
    root: Path, *replies: Answer, query: str = "?", **settings: Any
) -> tuple[Located, list[dict[str, Any]]]:
    """What an agent without the server answers, and the bodies of its requests."""

    async def ask(url: str) -> Located:
        async with HttpEngine(url, "m") as engine:
            with Workspace.open(root) as workspace:
                return await locate(
                    query,
                    engine=engine,
                    workspace=workspace,
                    tools=ServerTools(workspace),
                    settings=LoopSettings(**settings),
                    listener=lambda _: None,
                )

    with serving(replies) as server:
        found = anyio.run(ask, server.url)
        return found, [chat.json for chat in server.chats]


def test_the_agent_neither_reads_nor_cites_outside_the_tree(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.py"
    root.mkdir()
    secret.write_text("TOKEN = 'classified'\n")
    (root / "link.py").symlink_to(secret)
    (root / "own.py").write_text("x = 1\n")
    outside = ["../secret.py", str(secret), "link.py"]
    reads = [("Read", json.dumps({"path": path})) for path in outside]
    searches = [("Grep", json.dumps({"pattern": "classified", "path": path})) for path in outside]
    cited = "".join(f"{path}:1-1\n" for path in [*outside, "own.py"])
    found, requests = located(
        root, calls(*reads, *searches), says(f"<final_answer>\n{cited}</final_answer>")
    )

    assert len(requests[1]["messages"]) == 9
    assert "TOKEN" not in json.dumps(requests)
    assert [each.path for each in found.result.citations] == ["own.py"]


def test_the_last_request_that_is_allowed_forbids_tools(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    found, requests = located(tmp_path, calls(("Read", '{"path": "a.py"}')), max_turns=3)

    assert [request["tool_choice"] for request in requests] == ["auto", "auto", "none"]
    assert found.result.stop_reason == "max_turns"
    assert found.result.citations == ()


def test_a_request_extends_the_one_before_and_a_message_without_answer_is_asked_for_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = 2\n")
    found, requests = located(
        tmp_path, says("It is in a.py, I think."), says("<final_answer>\na.py\n</final_answer>")
    )
    before, after = (request["messages"] for request in requests)

    assert after[: len(before)] == before
    assert [(each.path, each.start, each.end) for each in found.result.citations] == [
        ("a.py", 1, 2)
    ]


def test_a_refusal_after_the_first_request_ends_the_run_without_an_answer(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    found, _ = located(tmp_path, calls(("Read", '{"path": "a.py"}')), error(400, "too long"))

    assert (found.result.stop_reason, found.result.turns) == ("malformed", 2)
    assert found.output_bytes > 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 of 'tasks.jsonl' is no JSON"),
        ('{"path": "."}', "line 2 of 'tasks.jsonl' has no \"query\""),
        ('{"query": "?"}', 'has neither "path" nor "repo" with "base_commit"'),
        ('{"query": "?", "path": "none"}', "is no directory"),
        ('{"query": "?", "path": ".", "id": "1"}', "repeats the id '1'"),
        ('{"query": "?", "repo": "o/shop", "base_commit": "c"}', "need --mirror and --trees"),
    ],
)
def test_tasks_that_cannot_be_run_are_refused_with_their_line(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text(f'{{"query": "?", "path": "."}}\n{line}\n')
    with pytest.raises(SystemExit):
        agent.run(["--endpoint", "http://127.0.0.1:9/v1", "--model", "m", "--tasks", str(file)])

    assert said in capsys.readouterr().err

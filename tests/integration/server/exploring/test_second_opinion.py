"""The scout beside the model, through the service with a model that follows a script."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from explorer.engines.scripted import ScriptedEngine, Step, Turn
from explorer.errors import EngineUnreachable
from explorer.reader import session
from explorer.repository.workspace import Workspace
from explorer.scout import Scout, ScoutAnswer
from server.exploring.question import make_question
from server.exploring.report import Report, for_client, plain, to_object
from server.exploring.service import ExplorationService
from server.settings import Settings
from tests.fakes.readers import WordReader, at_hand
from tests.tooling import write_tree

pytestmark = pytest.mark.anyio

QUERY = "RetryPolicy.backoff_delay grows without bound: backoff_delay ignores maximum_delay"
TREE = {
    ".git/HEAD": "ref: refs/heads/main\n",
    "net/retry_policy.py": (
        "class RetryPolicy:\n"
        "    def backoff_delay(self, attempt, maximum_delay):\n"
        "        return self.base * 2**attempt\n"
    ),
    "net/socket.py": "def connect(host):\n    return open_socket(host)\n",
    "net/pool.py": "class Pool:\n    def take(self):\n        return self.idle.pop()\n",
    "shop/cart.py": "class Cart:\n    def total(self):\n        return sum(self.items)\n",
    "shop/order.py": "class Order:\n    def ship(self):\n        self.state = 'shipped'\n",
    "web/router.py": "def route(path):\n    return TABLE[path]\n",
}


def read(path: str) -> str:
    return f'<tool_call>\n{{"name": "Read", "arguments": {{"path": "{path}"}}}}\n</tool_call>'


def cite(path: str) -> str:
    return f"It is there.\n<final_answer>\n{path}:1-2 (the place)\n</final_answer>"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "repository", TREE)


async def explore(
    repository: Path, script: Sequence[Step], query: str = QUERY, **settings: object
) -> Report:
    engine = ScriptedEngine(script)
    made = Settings(endpoint="http://127.0.0.1:1/v1", **settings)  # type: ignore[arg-type]
    async with ExplorationService(made, engine_factory=lambda _: engine) as service:
        return await service.explore(make_question(made, query, path=str(repository)))


async def test_agreement_raises_the_stated_confidence(repository: Path) -> None:
    path = "net/retry_policy.py"
    report = await explore(repository, [read(path), cite(path)])

    assert report.engine == "endpoint"
    assert report.exploration.confidence == "high"
    assert report.exploration.place_confidence == "high"
    assert "Confidence: file high, place high." in plain(report)
    text, facts = for_client(report, 10_000)
    assert "Confidence: file high, place high." in text
    assert facts["confidence"] == to_object(report)["confidence"] == "high"


@pytest.fixture
def sure_scout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scout that is sure of what it finds, whatever the shipped weights make of a tiny tree."""
    answer = Scout.answer

    async def sure(self: Scout, *args: Any, **options: Any) -> ScoutAnswer:
        return replace(await answer(self, *args, **options), confidence="high")

    monkeypatch.setattr(Scout, "answer", sure)


@pytest.mark.usefixtures("sure_scout")
async def test_disagreement_lowers_it_and_names_what_the_model_never_looked_at(
    repository: Path,
) -> None:
    report = await explore(repository, [read("shop/cart.py"), cite("shop/cart.py")])

    assert report.exploration.confidence == "low"
    notes = [note for note in report.exploration.notes if "net/retry_policy.py:" in note]
    assert len(notes) == 1
    assert "did not look at" in notes[0]
    assert "\n" not in notes[0]


async def test_what_the_model_verified_is_neither_replaced_nor_moved(repository: Path) -> None:
    report = await explore(repository, [read("shop/cart.py"), cite("shop/cart.py")])

    places = [(each.path, each.start, each.end) for each in report.exploration.citations]
    assert places == [("shop/cart.py", 1, 2)]
    assert report.exploration.answer == "It is there."


@pytest.mark.usefixtures("sure_scout")
async def test_a_place_that_the_model_read_and_did_not_cite_is_not_named(repository: Path) -> None:
    script = [read("net/retry_policy.py"), read("shop/cart.py"), cite("shop/cart.py")]
    report = await explore(repository, script)

    assert report.exploration.confidence == "low"
    assert not any("retry_policy" in note for note in report.exploration.notes)


async def test_an_unsure_scout_leaves_the_models_answer_at_medium(repository: Path) -> None:
    script = [read("shop/cart.py"), cite("shop/cart.py")]
    report = await explore(repository, script, query="where is the xylophone tuned")

    assert report.exploration.confidence == "medium"
    assert report.exploration.notes == ()


async def test_a_scout_that_fails_takes_nothing_from_the_models_answer(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise EngineUnreachable("rg went away")

    monkeypatch.setattr(Scout, "answer", fail)
    report = await explore(repository, [read("shop/cart.py"), cite("shop/cart.py")])

    assert report.engine == "endpoint"
    assert report.exploration.confidence == "medium"
    assert report.exploration.citations[0].path == "shop/cart.py"


@pytest.mark.parametrize(
    "script",
    [
        [EngineUnreachable("no server")],
        [EngineUnreachable("the model is loading")],
        [Turn(), Turn(), Turn()],
        ["I found nothing.\n<final_answer>\n</final_answer>"] * 4,
    ],
    ids=["missing", "loading", "silent", "empty"],
)
async def test_the_scout_answers_with_its_own_confidence_when_the_model_does_not(
    repository: Path, script: list[Step]
) -> None:
    report = await explore(repository, script)

    assert report.engine == "scout"
    assert report.exploration.stop_reason == "fallback"
    assert report.exploration.citations[0].path == "net/retry_policy.py"
    with Workspace.open(repository) as workspace:
        alone = await Scout(workspace).answer(QUERY)
    assert report.exploration.confidence == alone.confidence


async def test_without_fallback_the_scout_has_no_say(repository: Path) -> None:
    script = [read("shop/cart.py"), cite("shop/cart.py")]
    report = await explore(repository, script, fallback=False)

    assert report.exploration.confidence == "medium"
    assert report.exploration.notes == ()


LONG_FILE = (
    "".join(f"def step_{n}(value):\n    return value + {n}\n\n\n" for n in range(30))
    + "def settle(account):\n    return close(account)\n\n\n"
    + "".join(f"def stop_{n}(value):\n    return value - {n}\n\n\n" for n in range(30))
)


async def test_of_a_whole_file_that_the_model_cites_the_reader_chooses_what_is_shown(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "shop/bank.py").write_text(LONG_FILE)
    last = LONG_FILE.count("\n")
    answer = f"<final_answer>\nshop/bank.py:1-{last} (all)\n</final_answer>"
    script = [read("shop/bank.py"), answer]
    question = "where is an account finished"

    async def shown(reader: str) -> str:
        report = await explore(repository, script, question, reader=reader)
        [cited] = report.exploration.citations
        assert (cited.path, cited.start) == ("shop/bank.py", 1)
        return "\n".join(line for each in cited.code for line in each.lines)

    reader = WordReader("settle")
    monkeypatch.setattr(session, "_shared", at_hand(reader)())
    assert "def settle(account):" in await shown("auto")
    assert question in reader.questions
    assert "def settle(account):" not in await shown("off")

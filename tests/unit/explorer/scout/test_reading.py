"""The reader in the scout: what is read, when, and what comes of it."""

from pathlib import Path
from typing import Any

import pytest

from explorer.errors import ReaderError
from explorer.repository.workspace import Workspace
from explorer.scout import Scout, ScoutAnswer
from tests.fakes.readers import WordReader, at_hand

pytestmark = pytest.mark.anyio

ABOUT = '''def retry_delay(attempt):
    """How long to wait before a retry."""
    return base(attempt)


def base(attempt):
    return 2**attempt


def unrelated(value):
    return marker(value)
'''
QUESTION = "How long does a retry wait before it is sent?"


async def ask(root: Path, reader: Any, question: str = QUESTION, **options: Any) -> ScoutAnswer:
    (root / "retry.py").write_text(ABOUT)
    (root / "other.py").write_text("def retry_count():\n    return 3\n")
    with Workspace.open(root) as workspace:
        return await Scout(workspace, reader=reader).answer(question, **options)


async def test_what_the_reader_likes_best_comes_first(tmp_path: Path) -> None:
    alone = await ask(tmp_path, None)
    assert alone.citations[0].name == "retry_delay"
    reader = WordReader("marker(")
    found = await ask(tmp_path, at_hand(reader))
    assert found.citations[0].name == "unrelated"
    assert reader.questions == [QUESTION]
    assert any(text.startswith("other.py retry_count\n") for text in reader.passages)


async def test_the_likeliest_is_read_first(tmp_path: Path) -> None:
    reader = WordReader("marker(")
    await ask(tmp_path, at_hand(reader))
    assert reader.passages[0].startswith("retry.py retry_delay\n")


async def test_a_reader_that_cannot_be_loaded_changes_nothing(tmp_path: Path) -> None:
    broken = at_hand(ReaderError("no weights"))
    assert await ask(tmp_path, broken) == await ask(tmp_path, None)


async def test_a_name_alone_needs_no_reading(tmp_path: Path) -> None:
    reader = WordReader("marker(")
    found = await ask(tmp_path, at_hand(reader), "retry_delay")
    assert found.citations[0].name == "retry_delay"
    assert reader.passages == []


async def test_a_question_may_ask_for_the_words_alone(tmp_path: Path) -> None:
    reader = WordReader("marker(")
    await ask(tmp_path, at_hand(reader), reads=False)
    assert reader.passages == []


async def test_little_is_read_where_the_words_are_sure(tmp_path: Path) -> None:
    others = "".join(f"def other_{n}():\n    return {n}\n\n\n" for n in range(60))
    wait = "    def wait(self):\n        sleep(self.delay)\n        return self.delay\n"
    (tmp_path / "many.py").write_text(f"class Retry:\n{wait}\n\n{others}")
    counts = {}
    for question in ("What does `Retry.wait` return?", "other things that return"):
        reader = WordReader("marker(")
        await ask(tmp_path, at_hand(reader), question)
        counts[question] = len(reader.passages)
    sure, unsure = counts.values()
    assert 0 < sure <= 16 < unsure

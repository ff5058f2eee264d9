"""The reader in the scout: what is read, when, and what comes of it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import pytest

from explorer.errors import ReaderError
from explorer.limits import Deadline
from explorer.reader.session import Reader
from explorer.repository.workspace import Workspace
from explorer.scout import Scout, ScoutAnswer, reading
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
QUESTION = "the wait before a retry is sent"


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


async def test_a_question_of_several_parts_is_read_for_once(tmp_path: Path) -> None:
    times: list[float] = []

    class Timed(WordReader):
        def read(self, *args: Any, deadline: Deadline, **options: Any) -> Any:
            times.append(deadline.total_s)
            return super().read(*args, deadline=deadline, **options)

    question = "1. How long does a retry wait? 2. How are retries counted?"
    await ask(tmp_path, at_hand(Timed("marker(")), question)
    assert times == [reading.BUDGET_S]
    times.clear()
    await ask(tmp_path, at_hand(Timed("marker(")), deadline_s=reading.BUDGET_S)
    assert times[0] < reading.BUDGET_S


async def test_a_reader_that_is_still_loading_is_waited_for_no_longer_than_the_question(
    tmp_path: Path,
) -> None:
    loading: Future[Reader] = Future()
    found = await ask(tmp_path, lambda: loading, deadline_s=1.0)
    assert found == await ask(tmp_path, None)


async def test_while_it_reads_for_one_question_another_is_answered(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(WordReader):
        def read(self, question: str, *args: Any, **options: Any) -> Any:
            if question == QUESTION:
                begun.set()
                assert go_on.wait(20)
            return super().read(question, *args, **options)

    (tmp_path / "retry.py").write_text(ABOUT)
    with Workspace.open(tmp_path) as workspace:
        scout = Scout(workspace, reader=at_hand(Slow("marker(")))
        async with anyio.create_task_group() as group:
            group.start_soon(scout.answer, QUESTION)
            await anyio.to_thread.run_sync(begun.wait)
            other = await scout.answer("what is unrelated to a marker value")
            assert scout.locate(["retry_delay"]) == {"retry_delay": [("retry.py", True)]}
            go_on.set()
    assert other.citations


async def test_a_question_that_is_cancelled_ends_the_reading(tmp_path: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    class Endless(WordReader):
        def read(self, *args: Any, cancelled: Callable[[], bool], **options: Any) -> Any:
            begun.set()
            while not cancelled():
                ended.wait(0.001)
            ended.set()
            return np.zeros(0, np.float32)

    (tmp_path / "retry.py").write_text(ABOUT)
    with Workspace.open(tmp_path) as workspace:
        scout = Scout(workspace, reader=at_hand(Endless("marker(")))
        async with anyio.create_task_group() as group:
            group.start_soon(scout.answer, QUESTION)
            await anyio.to_thread.run_sync(begun.wait)
            group.cancel_scope.cancel()
        assert await anyio.to_thread.run_sync(ended.wait, 20)

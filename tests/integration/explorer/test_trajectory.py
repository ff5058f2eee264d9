"""The record of a run, and the run once more from its record."""

import json
import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from explorer.engines.scripted import Turn
from explorer.errors import EngineRejected, EngineTimeout, EngineUnreachable
from explorer.events import Event, Note, TurnStarted
from explorer.limits import LoopSettings, Sampling, TokenLimits
from explorer.repository.workspace import Workspace
from explorer.trajectory import FORMAT, TrajectoryError, TrajectoryWriter, read
from tests.integration.explorer.loops import (
    ANSWER,
    FORMS,
    answer,
    call,
    call_text,
    explore,
    make_tree,
    read_turn,
)
from tests.replay import replay, settings_from

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "proj")


@pytest.mark.parametrize("form", FORMS)
async def test_a_replayed_run_gives_the_same_exploration(
    root: Path, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "run.jsonl"
    script = [
        Turn(call(form, "Grep", pattern="backoff"), call(form, "Read", path="nowhere.py")),
        Turn(call(form, "Grep", pattern="backoff")),
        read_turn(form),
        answer("src/none.py:1-2"),
        ANSWER,
    ]
    with TrajectoryWriter(path, repository=root) as writer:
        result, engine = await explore(root, script, listener=writer)
    replayed = []
    with Workspace.open(root) as workspace:
        again = await replay(path, workspace, settings=LoopSettings(), listener=replayed.append)
    assert again.citations == result.citations
    assert again.notes == result.notes
    assert again.usage == result.usage
    assert (again.turns, again.tool_calls) == (result.turns, result.tool_calls)
    assert len(engine.requests) == 5


@pytest.mark.parametrize("form", FORMS)
async def test_a_replay_repeats_what_went_wrong_under_the_settings_of_then(
    root: Path, tmp_path: Path, form: str
) -> None:
    for number in range(6):
        (root / f"big{number}.py").write_text("x = 'some more text'\n" * 1500)
    path = tmp_path / "run.jsonl"
    full = EngineRejected("maximum context length is 4096 tokens", status=400)
    script = [
        Turn(call(form, "Glob", pattern="*.py"), "and ", EngineUnreachable("the connection broke")),
        Turn(call_text(form, "Read", '{"path" 3 ]'), call(form, "Read", path="src/net/client.py")),
        Turn(*[call(form, "Read", path=f"big{number}.py") for number in range(6)]),
        full,
        ANSWER,
    ]
    settings = LoopSettings(corrections=1, limits=TokenLimits(turn=9_000))
    with TrajectoryWriter(path, repository=root) as writer:
        result, _ = await explore(root, script, listener=writer, settings=settings)
    replayed: list[Event] = []
    with Workspace.open(root) as workspace:
        again = await replay(path, workspace, listener=replayed.append)
    assert replace(again, elapsed_s=0) == replace(result, elapsed_s=0)
    assert appended(replayed) == appended([timed.event for timed in read(path)])
    assert any("context was full" in note for note in result.notes)


@pytest.mark.parametrize("form", FORMS)
async def test_a_run_that_failed_fails_the_same_way_in_its_replay(
    root: Path, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "run.jsonl"
    with TrajectoryWriter(path, repository=root) as writer, pytest.raises(EngineTimeout) as first:
        await explore(root, [read_turn(form), EngineTimeout("no answer")], listener=writer)
    with Workspace.open(root) as workspace, pytest.raises(EngineTimeout) as second:
        await replay(path, workspace)
    assert str(first.value) == str(second.value)
    assert first.value.partial is not None
    assert second.value.partial is not None
    assert first.value.partial.citations == second.value.partial.citations


def appended(events: Iterable[Event]) -> list[object]:
    """What each request had beyond the one before, as JSON types."""
    started = (event for event in events if isinstance(event, TurnStarted))
    return [[dict(message) for message in event.appended] for event in started]


def test_settings_come_back_from_the_record() -> None:
    settings = LoopSettings(
        max_turns=3, sampling=Sampling(temperature=0.5, seed=1), limits=TokenLimits(context=9_000)
    )
    assert settings_from(settings.plain()) == settings
    assert settings_from({}) == LoopSettings()


async def test_every_line_is_json_and_the_first_names_the_format(
    root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    with TrajectoryWriter(path, repository=root) as writer:
        await explore(root, [read_turn("hermes"), ANSWER], listener=writer)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["format"] == FORMAT
    assert [line["event"] for line in lines[1:]][:2] == ["run_started", "turn_started"]
    assert all(line["at_s"] >= 0 for line in lines[1:])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_record_is_never_written_into_the_repository(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    for path in (root / "t.jsonl", root / "src" / "t.jsonl", tmp_path / "link" / "t.jsonl"):
        with pytest.raises(TrajectoryError, match="never written into"):
            TrajectoryWriter(path, repository=root)
    assert sorted(entry.name for entry in root.iterdir()) == ["README.md", "src"]


def test_an_existing_file_is_not_overwritten(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("mine")
    with pytest.raises(TrajectoryError, match="exists"):
        TrajectoryWriter(path, repository=root)
    assert path.read_text() == "mine"


async def test_a_record_that_was_cut_off_is_read_to_its_last_whole_event(
    root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    with TrajectoryWriter(path, repository=root) as writer:
        await explore(root, [read_turn("hermes"), ANSWER], listener=writer)
    whole = read(path)
    path.write_bytes(path.read_bytes()[:-30])
    assert list(read(path)) == list(whole[:-1])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "run|begin"),
        ("{}\n", "format None"),
        ('{"format": 99}\n', "format 99"),
        ('{"format": 1}\n{"event": "nope", "at_s": 1}\n', "line 2"),
        ('{"format": 1}\n[]\n', "line 2"),
        ('{"format": 1}\n{"event": "note", "at_s": 0}\n', "line 2"),
    ],
)
async def test_a_file_that_is_no_record_is_refused_with_the_line(
    root: Path, tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with Workspace.open(root) as workspace, pytest.raises(TrajectoryError, match=problem):
        await replay(path, workspace, settings=LoopSettings())


def test_line_separators_in_a_text_end_no_line_of_the_record(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    note = Note(1, "a\u2028b\u2029c\x85d\x0ce\rf\ng")
    with TrajectoryWriter(path, repository=root) as writer:
        writer(note)
    assert [timed.event for timed in read(path)] == [note]


def test_text_that_is_not_utf8_can_be_recorded(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with TrajectoryWriter(path, repository=root) as writer:
        writer(Note(1, "half a pair \udc80"))
    (timed,) = read(path)
    assert isinstance(timed.event, Note)


def test_a_full_disk_ends_the_record_and_not_the_run(root: Path, tmp_path: Path) -> None:
    writer = TrajectoryWriter(tmp_path / "t.jsonl", repository=root)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, writer._file.fileno())
    os.close(full)
    writer(Note(1, "x" * 100_000))
    writer(Note(2, "after"))
    writer.close()

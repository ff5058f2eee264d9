"""A checkpoint is fetched with the real huggingface_hub from a hub on the loopback."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.plan.checkpoint import read_checkpoint
from tests.fakes.hub import WEIGHTS, Hub, hub_server
from tests.fakes.openai_server import closed_port
from tests.serving import PATIENCE_S, ROOT

PROGRAM = """
import sys
from pathlib import Path
from launch.plan.download import download
from launch.errors import LaunchError
try:
    print(download(sys.argv[1], Path(sys.argv[2]), print))
except LaunchError as error:
    sys.exit(f"{type(error).__name__}: {error} | {error.hint}")
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as made:
        yield made


def start(url: str, cache: Path, name: str = "org/tiny") -> subprocess.Popen[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cache),
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": url,
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, name, str(cache)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fetch(url: str, cache: Path, name: str = "org/tiny") -> tuple[int, str, str]:
    with start(url, cache, name) as process:
        out, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, errors


def content(cache: Path) -> bytes:
    """The weights in the cache, found as the planner finds them."""
    return (read_checkpoint("org/tiny", cache).path / WEIGHTS).read_bytes()


def partial(cache: Path) -> list[Path]:
    return list(cache.rglob("*.incomplete"))


def test_what_an_engine_needs_is_fetched_once_and_with_progress(hub: Hub, tmp_path: Path) -> None:
    status, out, errors = fetch(hub.url, tmp_path)
    assert status == 0, errors
    assert "the next download continues there" in out
    assert WEIGHTS in errors
    assert content(tmp_path) == hub.files[WEIGHTS]
    (tmp_path / "another").touch()
    weights = read_checkpoint("org/tiny", tmp_path).path / WEIGHTS
    assert weights.stat().st_mode == (tmp_path / "another").stat().st_mode
    assert sorted(hub.fetched) == ["config.json", WEIGHTS, "tokenizer.json"]
    assert fetch(hub.url, tmp_path)[0] == 0
    assert len(hub.fetched) == 3
    assert partial(tmp_path) == []


def test_a_broken_connection_is_followed_by_another_from_there(hub: Hub, tmp_path: Path) -> None:
    hub.breaks_after = 2 << 20
    status, _, errors = fetch(hub.url, tmp_path)
    assert status == 0, errors
    starts = [int(each.removeprefix("bytes=").rstrip("-")) for each in hub.ranges]
    assert len(starts) > 1
    assert starts == sorted(set(starts))
    assert content(tmp_path) == hub.files[WEIGHTS]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_ends_at_once_and_the_next_goes_on(
    hub: Hub, tmp_path: Path, number: signal.Signals
) -> None:
    hub.breaks_after, hub.stalls = 2 << 20, True
    with start(hub.url, tmp_path) as process:
        assert hub.stalled.wait(PATIENCE_S)
        (part,) = wait_for_bytes(tmp_path, 1 << 20)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0
    had = part.stat().st_size
    hub.breaks_after = 0
    status, _, errors = fetch(hub.url, tmp_path)
    assert status == 0, errors
    assert hub.ranges[-1] == f"bytes={had}-"
    assert content(tmp_path) == hub.files[WEIGHTS]


def wait_for_bytes(cache: Path, size: int) -> list[Path]:
    """The partial file, once it has that size."""
    while not any(each.stat().st_size >= size for each in partial(cache)):
        time.sleep(0.01)
    return partial(cache)


def test_a_server_without_ranges_is_read_from_the_start(hub: Hub, tmp_path: Path) -> None:
    hub.breaks_after, hub.knows_ranges = 2 << 20, False
    status, _, errors = fetch(hub.url, tmp_path)
    assert status != 0
    assert "it continues there" in errors
    hub.breaks_after = 0
    assert fetch(hub.url, tmp_path)[0] == 0
    assert content(tmp_path) == hub.files[WEIGHTS]


def test_other_content_than_the_hub_names_is_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.sends = bytes(len(hub.files[WEIGHTS]))
    status, _, errors = fetch(hub.url, tmp_path)
    assert status != 0
    assert "not what the hub announced" in errors
    assert partial(tmp_path) == []
    hub.sends = b""
    assert fetch(hub.url, tmp_path)[0] == 0
    assert content(tmp_path) == hub.files[WEIGHTS]


@pytest.mark.parametrize(
    ("refused", "name", "said"),
    [
        ((403, "GatedRepo"), "org/tiny", "CannotRun: the model 'org/tiny' is gated | accept"),
        ((404, "RepoNotFound"), "org/tiny", "CannotRun: there is no model 'org/tiny' on the hub"),
        ((0, ""), "a b", "CannotRun: 'a b' is neither a folder nor a model on the hub | check"),
    ],
)
def test_what_cannot_be_fetched_is_one_sentence_with_the_next_step(
    hub: Hub, tmp_path: Path, refused: tuple[int, str], name: str, said: str
) -> None:
    hub.refused = refused
    status, _, errors = fetch(hub.url, tmp_path, name)
    assert status == 1
    assert errors.startswith(said)
    assert len(errors.splitlines()) == 1


def test_a_hub_that_does_not_answer_is_one_sentence_with_the_next_step(tmp_path: Path) -> None:
    status, _, errors = fetch(f"http://127.0.0.1:{closed_port()}", tmp_path)
    assert status == 1
    assert errors.startswith("LaunchError: the download of 'org/tiny' was interrupted: ")
    assert errors.endswith("| run the same command again: it continues there\n")

import fcntl
from pathlib import Path

import pytest

from launch.errors import QuantizeError
from launch.quantize.publish import partial_folder


def test_a_folder_appears_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "model"
    with partial_folder(out) as folder:
        (folder / "weights").write_text("x")
        (folder / "weights").chmod(0o600)
        assert not out.exists()
    assert (out / "weights").read_text() == "x"
    assert (out / "weights").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in out.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_run_that_is_interrupted_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def run() -> None:
        with partial_folder(tmp_path / "model") as folder:
            (folder / "weights").write_text("x")
            raise error

    with pytest.raises(error):
        run()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    with pytest.raises(QuantizeError, match="not overwritten"), partial_folder(tmp_path / "model"):
        pytest.fail("was entered")
    assert (tmp_path / "model").read_text() == "mine"


def test_a_dangling_link_counts_as_something_there(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to("nowhere")
    with pytest.raises(QuantizeError, match="exists"), partial_folder(tmp_path / "model"):
        pytest.fail("was entered")


def test_what_appeared_meanwhile_is_not_overwritten_either(tmp_path: Path) -> None:
    out = tmp_path / "model"
    with pytest.raises(QuantizeError, match="not overwritten"), partial_folder(out):
        out.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert list(out.iterdir()) == []


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    stale = tmp_path / ".model.partial-abc"
    stale.mkdir()
    (stale / "weights").write_text("half")
    with partial_folder(tmp_path / "model"):
        assert not stale.exists()


def test_two_runs_do_not_make_the_same_checkpoint(tmp_path: Path) -> None:
    with (tmp_path / ".model.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(QuantizeError, match="another run"),
            partial_folder(tmp_path / "model"),
        ):
            pytest.fail("was entered")


def test_a_parent_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(QuantizeError, match="cannot be written"),
        partial_folder(tmp_path / "file" / "model"),
    ):
        pytest.fail("was entered")

"""A folder that gets its name only when it is complete."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from launch.errors import QuantizeError
from launch.files import Lock


def refuse_existing(out: Path) -> None:
    """Return if nothing has that name yet.

    Raises:
        QuantizeError: something has.
    """
    if os.path.lexists(out):
        raise QuantizeError(
            f"{str(out)!r} exists already and is not overwritten",
            "choose another folder, or remove it first",
        )


@contextlib.contextmanager
def partial_folder(out: Path) -> Iterator[Path]:
    """An empty folder next to ``out`` that is renamed to it at the end, or removed after an error.

    What a killed run left there is removed first.

    Raises:
        QuantizeError: ``out`` exists, another run is making it, or its parent cannot be written.
    """
    refuse_existing(out)
    with _lock(out):
        for stale in out.parent.glob(f".{out.name}.partial-*"):
            shutil.rmtree(stale, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
        try:
            yield folder
            _settle(folder)
            refuse_existing(out)
            folder.rename(out)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    path = out.parent / f".{out.name}.lock"
    lock = Lock(path)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        taken = lock.take()
    except OSError as error:
        raise QuantizeError(f"{str(out.parent)!r} cannot be written: {error}") from None
    if not taken:
        raise QuantizeError(
            f"another run is making {str(out)!r}", "wait for it, or choose another folder"
        )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.drop()


def _settle(folder: Path) -> None:
    """Write the files to the disk before the folder gets the name that says they are complete.

    They become readable for all: mkdtemp and safetensors make them private, and an engine may run
    as another user.
    """
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            with path.open("rb") as file:
                os.fsync(file.fileno())

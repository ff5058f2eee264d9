import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from launch.download import download
from launch.errors import CannotRun, LaunchError


class GatedRepoError(OSError):
    pass


class RepositoryNotFoundError(OSError):
    pass


class Hub:
    """Stands in for huggingface_hub: keeps what it was asked for and fails as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None

    def snapshot_download(self, name: str, **options: Any) -> str:
        self.asked.append((name, options))
        if self.error is not None:
            raise self.error
        return "/hub/snapshots/abc"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    package, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")
    package.snapshot_download = made.snapshot_download  # type: ignore[attr-defined]
    errors.GatedRepoError = GatedRepoError  # type: ignore[attr-defined]
    errors.RepositoryNotFoundError = RepositoryNotFoundError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", package)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return made


def test_a_model_is_fetched_into_the_cache_and_that_is_said(hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    assert download("org/model", tmp_path, said.append) == Path("/hub/snapshots/abc")
    ((name, options),) = hub.asked
    assert (name, options["cache_dir"]) == ("org/model", tmp_path)
    assert "*.safetensors" in options["allow_patterns"]
    assert "goes on where it stopped" in said[0]


@pytest.mark.parametrize(
    ("error", "kind", "problem", "hint"),
    [
        (GatedRepoError("401"), CannotRun, "is gated", "hf auth login"),
        (RepositoryNotFoundError("404"), CannotRun, "no model 'org/model'", "ENGINE_MODELS"),
        (OSError("No space left\nmore"), LaunchError, "broke off: No space left", "goes on there"),
        (httpx.ReadError("reset"), LaunchError, "broke off: reset", "goes on there"),
    ],
)
def test_what_can_go_wrong_is_one_sentence_with_the_next_step(
    hub: Hub, tmp_path: Path, error: Exception, kind: type[LaunchError], problem: str, hint: str
) -> None:
    hub.error = error
    with pytest.raises(kind, match=problem) as told:
        download("org/model", tmp_path, lambda _: None)
    assert hint in told.value.hint
    assert "\n" not in str(told.value)


def test_without_huggingface_hub_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CannotRun, match="needs huggingface_hub") as told:
        download("org/model", tmp_path, lambda _: None)
    assert "pip install" in told.value.hint

import sys
from pathlib import Path

import pytest

from launch.errors import CannotRun
from launch.plan.download import download


def test_without_huggingface_hub_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CannotRun, match="needs huggingface_hub") as told:
        download("org/model", tmp_path, lambda _: None)
    assert "pip install" in told.value.hint

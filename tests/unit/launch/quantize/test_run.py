import json
import sys
from pathlib import Path

import pytest

from launch.errors import QuantizeError
from launch.quantize.run import QuantizeRequest, quantize
from tests.checkpoints import drafts


def test_an_existing_folder_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="not overwritten"):
        quantize(QuantizeRequest(tmp_path / "nothing", tmp_path))


def test_a_source_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="cannot be quantized: config.json is missing"):
        quantize(QuantizeRequest(tmp_path, tmp_path / "out"))


def test_a_truncated_source_is_refused_and_says_which_file(tmp_path: Path) -> None:
    source = drafts()[0].write(tmp_path / "bf16")
    weights = source / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(QuantizeError, match="model.safetensors is truncated"):
        quantize(QuantizeRequest(source, tmp_path / "out"))


def test_a_quantized_source_is_refused(tmp_path: Path) -> None:
    source = drafts()[1].write(tmp_path / "nvfp4")
    with pytest.raises(QuantizeError, match="quantized already"):
        quantize(QuantizeRequest(source, tmp_path / "out"))


def test_a_model_of_another_kind_is_refused_by_its_type(tmp_path: Path) -> None:
    source = drafts()[0].write(tmp_path / "bf16")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))
    with pytest.raises(QuantizeError, match="'mamba'"):
        quantize(QuantizeRequest(source, tmp_path / "out"))


def test_missing_packages_are_named_with_the_extra_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None in sys.modules is how Python itself marks a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "torch", None)
    source = drafts()[0].write(tmp_path / "bf16")
    with pytest.raises(QuantizeError, match="quantizing needs torch") as caught:
        quantize(QuantizeRequest(source, tmp_path / "out"))
    assert "fastcontext-mcp[quantize]" in caught.value.hint
    assert not (tmp_path / "out").exists()

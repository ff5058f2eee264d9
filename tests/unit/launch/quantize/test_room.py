from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launch.errors import QuantizeError
from launch.plan.detect import meminfo
from launch.quantize.room import (
    GIB,
    CalibrationDevice,
    choose_place,
    require_disk,
    require_memory,
)


def torch_with(*, cuda: bool, free: int = 0, integrated: bool = False) -> Any:
    return SimpleNamespace(
        cuda=SimpleNamespace(
            is_available=lambda: cuda,
            mem_get_info=lambda _: (free, free),
            get_device_properties=lambda _: SimpleNamespace(is_integrated=integrated),
        )
    )


def test_the_gpu_is_taken_where_there_is_one() -> None:
    assert choose_place(torch_with(cuda=True, free=5 * GIB), "auto") == CalibrationDevice(
        "cuda", False, 5 * GIB
    )


def test_the_processor_is_taken_where_there_is_none_or_it_is_asked_for() -> None:
    assert choose_place(torch_with(cuda=False), "auto").device == "cpu"
    assert choose_place(torch_with(cuda=True), "cpu").device == "cpu"


def test_a_gpu_that_is_asked_for_and_missing_is_an_error() -> None:
    with pytest.raises(QuantizeError, match="no CUDA device"):
        choose_place(torch_with(cuda=False), "cuda")


def test_unified_memory_counts_what_the_host_would_give_back() -> None:
    place = choose_place(torch_with(cuda=True, free=1, integrated=True), "auto")
    assert place.unified
    assert place.free_bytes > 1


def test_available_memory_is_read_from_the_kernels_figures(tmp_path: Path) -> None:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       100 kB\nMemAvailable:    12 kB\n")
    assert meminfo("MemAvailable", path) == 12 * 1024
    assert meminfo("MemAvailable", tmp_path / "none") == 0


def test_too_little_memory_is_said_with_both_figures() -> None:
    place = CalibrationDevice("cuda", False, 4 * GIB)
    with pytest.raises(QuantizeError, match=r"4\.0 GiB free.*9\.5 GiB") as caught:
        require_memory(place, int(7.5 * GIB))
    assert "--device cpu" in caught.value.hint


def test_enough_memory_and_an_unknown_amount_pass() -> None:
    require_memory(CalibrationDevice("cpu", False, 10 * GIB), int(7.5 * GIB))
    require_memory(CalibrationDevice("cpu", False, 0), int(7.5 * GIB))


def test_too_little_disk_is_said_for_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="GiB are free"):
        require_disk(tmp_path / "not" / "yet", 1 << 60)
    require_disk(tmp_path / "not" / "yet", 1)

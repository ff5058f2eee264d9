"""Several GPUs of one machine, with a process for each, as ``torchrun`` starts them.

Every process runs the same program, and they exchange nothing but sums. Without ``torchrun`` there
is one process, whose sums are its own numbers.
"""

import os
from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, distributed

RANK: Final = int(os.environ.get("RANK", "0"))
RANKS: Final = int(os.environ.get("WORLD_SIZE", "1"))
"""How many processes there are; each takes an equal share of the work."""


def join(device: str) -> None:
    """Meet the other processes; on ``cuda`` each has a GPU of its own."""
    if RANKS == 1:
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")


def add_up(tensors: Iterable[Tensor]) -> None:
    """Set each tensor to the sum of what the processes have in it."""
    if RANKS > 1:
        for work in [distributed.all_reduce(each, async_op=True) for each in tensors]:
            work.wait()


def of_the_first(number: float, device: str) -> float:
    """The number that the first process has."""
    shared = torch.tensor(number if RANK == 0 else 0.0, dtype=torch.float64, device=device)
    add_up([shared])
    return shared.item()


def leave() -> None:
    """Part from the other processes."""
    if RANKS > 1:
        distributed.destroy_process_group()

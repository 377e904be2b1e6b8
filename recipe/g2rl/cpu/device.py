"""The functions of `torch.cuda` that verl calls on its device module, for the CPU.

`torch.cpu` has streams, events, `synchronize` and the device queries; memory counters and random state are added.
A CPU process shares its memory with everything else, so the counters are zero and there is no cache to empty.
"""

import platform

import psutil
import torch
from torch import get_rng_state, manual_seed, set_rng_state
from torch.cpu import (
    Event,
    Stream,
    current_device,
    current_stream,
    device_count,
    is_available,
    set_device,
    stream,
    synchronize,
)

__all__ = [
    "Event",
    "Stream",
    "current_device",
    "current_stream",
    "device_count",
    "empty_cache",
    "get_device_name",
    "get_rng_state",
    "ipc_collect",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "set_device",
    "set_rng_state",
    "stream",
    "synchronize",
]


def get_device_name(device: object = None) -> str:
    return platform.processor() or platform.machine()


def mem_get_info(device: object = None) -> tuple[int, int]:
    """(free, total) bytes of the machine's memory."""
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def memory_allocated(device: object = None) -> int:
    return 0


memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated


def empty_cache() -> None:
    pass


def ipc_collect() -> None:
    pass


def reset_peak_memory_stats(device: object = None) -> None:
    pass


def manual_seed_all(seed: int) -> None:
    torch.manual_seed(seed)

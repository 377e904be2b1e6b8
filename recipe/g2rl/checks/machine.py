"""What a run needs of this machine beside memory and GPUs: shared memory, folders that can be written, limits.

Each error and warning is one sentence with the remedy. `python -m recipe.g2rl.checks` prints them too.
"""

import os
import resource
import shutil
import socket
import tempfile
from pathlib import Path

from omegaconf import DictConfig

from recipe.g2rl.checks.preflight import cluster_address

SHARED_MEMORY = Path("/dev/shm")
# vLLM's queue between a server and its workers: 10 chunks of 16 MiB (vllm/distributed/.../shm_broadcast.py).
SHARED_MEMORY_MIB = 160
# Ray's longest socket in its folder: ray/session_DATE_TIME_MICROSECONDS_PID/sockets/plasma_store
SOCKET_PATH_BYTES = len("/ray/session_2026-01-31_12-00-00_123456_1234567/sockets/plasma_store")
LONGEST_SOCKET_PATH = 107  # of Linux
OPEN_FILES, PROCESSES = 4096, 4096  # fewer are known to run out, with vLLM, Ray's and torch's threads


def check_machine(config: DictConfig) -> list[str]:
    """Warnings.

    Raises:
        ValueError: the run cannot start here; with the remedy.
    """
    _check_shared_memory()
    _check_writable("run_dir", Path(config.run_dir))
    if cluster_address(config) is None:
        _check_writable("HOME, where Ray writes its token,", Path.home())
        _check_temporary_folder(config)
    return _limits() + _addresses()


def _check_shared_memory() -> None:
    if not SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free / 2**20
    if free < SHARED_MEMORY_MIB:
        raise ValueError(
            f"{SHARED_MEMORY} has {free:.0f} MiB free and vLLM alone takes {SHARED_MEMORY_MIB}; give docker "
            f"--shm-size=16g (or --ipc=host), or mount it larger."
        )


def _check_writable(what: str, folder: Path) -> None:
    """By writing, since the bits of a folder say nothing of a read-only file system."""
    folder = folder.expanduser().absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        setting = what.split(",")[0]
        raise ValueError(
            f"{what} is {folder}, which cannot be written ({error.strerror}); set {setting} to a folder that can."
        ) from None


def _check_temporary_folder(config: DictConfig) -> None:
    setting = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), "TMPDIR")
    folder = os.environ.get(setting) or "/tmp"
    if named := config.ray_kwargs.ray_init.get("_temp_dir"):
        setting, folder = "ray_kwargs.ray_init._temp_dir", named
    if len(os.fsencode(folder)) + SOCKET_PATH_BYTES > LONGEST_SOCKET_PATH:
        raise ValueError(
            f"{setting}={folder} is too long: the paths of Ray's sockets in it pass {LONGEST_SOCKET_PATH} bytes; set "
            f"{'RAY_TMPDIR' if setting == 'TMPDIR' else setting}=/tmp (or another folder of at most "
            f"{LONGEST_SOCKET_PATH - SOCKET_PATH_BYTES} bytes)."
        )
    _check_writable(setting, Path(folder))


def _limits() -> list[str]:
    warnings = []
    for flag, kind, enough, what in (
        ("n", resource.RLIMIT_NOFILE, OPEN_FILES, "open files"),
        ("u", resource.RLIMIT_NPROC, PROCESSES, "processes and threads"),
    ):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY and soft < enough:
            warnings.append(
                f"ulimit -{flag} is {soft} {what}, and a run may need more; set it to {16 * enough} first "
                f"(`ulimit -{flag} {16 * enough}`; in docker --ulimit)."
            )
    return warnings


def _addresses() -> list[str]:
    warnings, name = [], socket.gethostname()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("127.0.0.1", 1))  # asks for a route, and sends nothing
    except OSError:  # IPv6 to the outside alone is fine
        warnings.append(
            "127.0.0.1 is no address of this machine, and Ray does not start without it; add it with "
            "`ip link set lo up` and `ip address add 127.0.0.1/8 dev lo`."
        )
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        warnings.append(
            f"the host name {name} does not resolve, which gloo and NCCL may need; add it to /etc/hosts, or put "
            f"GLOO_SOCKET_IFNAME=lo in front on a single machine."
        )
    return warnings

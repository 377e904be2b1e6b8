"""Entry point `vllm.general_plugins`: vLLM calls `register` in each of its processes before a model is loaded.

In a run of ours a vLLM process ends with its parent and, where it is the server, with its engine: vLLM's engine core
outlives a server that is killed, and a server whose engine core is killed answers requests by waiting. The driver,
which may sample itself (`recipe.g2rl.tools.evaluate`), goes on: it has a watchdog.
"""

import contextlib
import os
import threading
import time

import psutil

from recipe.g2rl.driver import watchdog

OF_VLLM = "VLLM::"
ENGINE = "VLLM::Engine"


def register() -> None:
    if watchdog.RUN_ID in os.environ and watchdog.drivers_pid != os.getpid():
        threading.Thread(target=_end_with_family, args=(os.getppid(),), daemon=True).start()
    if os.environ.get("VERL_PLATFORM") == "cpu":
        import recipe.g2rl.cpu.vllm

        recipe.g2rl.cpu.vllm.register()


def _end_with_family(parent: int) -> None:
    before: set[int] = set()
    while os.getppid() == parent and not before - (now := _engines()):
        before = now
        time.sleep(1)
    os._exit(1)


def _engines() -> set[int]:
    """The engine processes among this one's children; none where this one is an engine or a worker itself.

    Between fork and exec an engine's child has its parent's name. And looking for children reads all of /proc, which
    engines and workers, that compute, are spared.
    """
    found: set[int] = set()
    if psutil.Process().name().startswith(OF_VLLM):
        return found
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name().startswith(ENGINE) and child.status() != psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found

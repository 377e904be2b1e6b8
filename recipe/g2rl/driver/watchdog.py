"""Nothing of a run outlives its driver, however the driver ends.

Ray ends its own workers, but vLLM's engine and worker processes are children of those and survive a failed run. A
small process of its own session waits for the driver to end, gives Ray a few seconds, and then ends every process that
carries this run's identifier in its environment, and no other.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid

import psutil

RUN_ID = "G2RL_RUN_ID"
GRACE_S = 8.0

drivers_pid: int | None = None  # while this process, or the one it was forked from, has a watchdog


class Watchdog:
    """While open, a watchdog process waits for this process; leaving the block stops the run's processes at once."""

    def __enter__(self) -> "Watchdog":
        self.run_id = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-m", "recipe.g2rl.driver.watchdog", str(os.getpid()), self.run_id],
            # No stream of the driver's: whoever reads its output to the end would wait for the watchdog too.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C in the terminal does not reach it
        )
        os.environ[RUN_ID] = self.run_id
        global drivers_pid
        drivers_pid = os.getpid()
        # setproctitle, with which Ray and vLLM rename their processes, would write over the environment we look into
        os.environ["SPT_NOENV"] = "1"
        return self

    def __exit__(self, *_) -> None:
        del os.environ[RUN_ID]
        end_processes(self.run_id, wait_s=2.0)
        self.process.kill()
        self.process.wait()


def end_processes(run_id: str, wait_s: float) -> None:
    """End every process, except this one, whose environment carries the run's identifier."""
    deadline = time.monotonic() + wait_s
    while (alive := _processes(run_id)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(sign)
        psutil.wait_procs(alive, timeout=3)
        alive = _processes(run_id)


def _processes(run_id: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(RUN_ID) == run_id:
                found.append(process)
        except psutil.Error:  # gone, a zombie, or somebody else's
            continue
    return found


def main(driver_pid: int, run_id: str) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        driver = psutil.Process(driver_pid)
        while driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE:  # a zombie waits for its parent only
            time.sleep(0.2)
    end_processes(run_id, wait_s=GRACE_S)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

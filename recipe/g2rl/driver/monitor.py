"""Notices that a process of the run has died while the trainer waits for its answer, which would be for ever."""

import _thread
import signal
import threading

import ray

from recipe.g2rl.errors.lost import lost_actor, lost_actor_soon

PERIOD_S = 3.0
GRACE_S = 15.0  # for the trainer's own exception, which knows more
# Not SIGINT, which is ignored in a process that a script started in the background.
SIGNAL = signal.SIGUSR2


class Monitor:
    """From `start`, in the main thread, until `stop`: interrupts the main thread when an actor of this job is lost."""

    def __init__(self) -> None:
        self.found: str | None = None
        self._job: str | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        self._job = ray.get_runtime_context().get_job_id()
        signal.signal(SIGNAL, signal.default_int_handler)  # the only exception that Ray lets through while it waits
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def lost(self, *, soon: bool = False) -> str | None:
        """One of the run's actors that died with its process or node, in words. soon: wait until Ray must know."""
        if self._job is None:  # Ray did not start
            return None
        return lost_actor_soon(self._job) if soon else lost_actor(self._job)

    def _watch(self) -> None:
        while not self._stopped.wait(PERIOD_S):
            if (lost := self.lost()) and not self._stopped.wait(GRACE_S):
                self.found = lost
                _thread.interrupt_main(SIGNAL)
                return

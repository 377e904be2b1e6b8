"""Who died, in words: asked of a real Ray."""

import os
import signal
import time

import pytest
import ray

from recipe.g2rl.checks.nodes import wait_for_nodes
from recipe.g2rl.driver.monitor import Monitor
from recipe.g2rl.errors.one_line import ProcessLost, in_one_line


@pytest.fixture(scope="module")
def cluster():
    ray.init(address="local", num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@ray.remote
class Worker:
    def pid(self) -> int:
        return os.getpid()

    def wait(self) -> None:
        time.sleep(1000)

    def fail(self) -> None:
        raise ValueError("first line\nlast line")


def monitor() -> Monitor:
    watching = Monitor()
    watching.stop()  # no thread: the test asks
    watching.start()
    return watching


def test_only_actors_that_were_not_meant_to_end_are_lost(cluster):
    ended, let_go, killed = (Worker.remote() for _ in range(3))
    pid = ray.get([actor.pid.remote() for actor in (ended, let_go, killed)])[-1]
    ray.kill(ended)
    del let_go
    time.sleep(1)
    watching = monitor()
    assert watching.lost() is None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while watching.lost() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert (
        watching.lost()
        == f"Worker, process {pid} on {ray.util.get_node_ip_address()}, died (killed, crashed or out of memory)"
    )
    with pytest.raises(ray.exceptions.RayActorError) as error:
        ray.get(killed.pid.remote())
    assert in_one_line(error.value) == watching.lost()


def test_the_main_thread_is_interrupted_also_where_sigint_is_ignored(cluster, monkeypatch):
    monkeypatch.setattr("recipe.g2rl.driver.monitor.PERIOD_S", 0.1)
    monkeypatch.setattr("recipe.g2rl.driver.monitor.GRACE_S", 0.1)
    actor = Worker.remote()
    pid = ray.get(actor.pid.remote())
    waits_for_ever = Worker.remote().wait.remote()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        watching = Monitor()
        watching.start()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(KeyboardInterrupt):
            ray.get(waits_for_ever, timeout=30)
    finally:
        signal.signal(signal.SIGINT, before)
    assert watching.found is not None and "died" in watching.found


def test_an_exception_is_its_first_line(cluster):
    actor = Worker.remote()
    with pytest.raises(ray.exceptions.RayTaskError) as error:
        ray.get(actor.fail.remote())
    assert in_one_line(error.value) == "ValueError: first line"
    assert in_one_line(ProcessLost("somebody died")) == "somebody died"
    assert in_one_line(KeyError()) == "KeyError: no message; see the traceback"


def test_nodes_are_waited_for(cluster):
    wait_for_nodes(nodes=1, gpus=1, timeout_s=0)
    with pytest.raises(RuntimeError, match=r"Ray has 1 nodes with 1 GPUs, 1 GPUs in all.*trainer\.nnodes=2"):
        wait_for_nodes(nodes=2, gpus=1, timeout_s=0)
    with pytest.raises(RuntimeError, match="nnodes=1 and 1 GPUs for the rollout"):
        wait_for_nodes(nodes=1, gpus=1, standalone=1, timeout_s=0)
    with pytest.raises(RuntimeError, match="Ray has 0 nodes with 2 GPUs"):
        wait_for_nodes(nodes=1, gpus=2, timeout_s=0)

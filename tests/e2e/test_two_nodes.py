"""One run across two Ray nodes with addresses of their own; one is cut off in mid-step, and comes back."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and iproute2"
    ),
]

HEAD, WORKER, PORT, DEVICE = "10.77.0.1", "10.77.0.2", 6399, "veth0"
OVERRIDES = [
    "exploration=g2rl",
    "data.train_batch_size=4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
    "trainer.nnodes=2",
    "trainer.total_training_steps=5",
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
    "trainer.save_freq=1",
    f"ray_kwargs.ray_init.address={HEAD}:{PORT}",
    # what `ray start` was told already
    "ray_kwargs.ray_init.num_cpus=null",
    "ray_kwargs.ray_init.num_gpus=null",
]


class Network:
    """Two network namespaces with a cable between them."""

    def __init__(self) -> None:
        self.names = {HEAD: f"g2rl-head-{os.getpid()}", WORKER: f"g2rl-worker-{os.getpid()}"}
        for name in self.names.values():
            _run("ip", "netns", "add", name)
        head, worker = self.names.values()
        _run("ip", "-n", head, "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", worker)
        for address, name in self.names.items():
            _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", DEVICE)
            _run("ip", "-n", name, "link", "set", "lo", "up")
            _run("ip", "-n", name, "link", "set", DEVICE, "up")
        self.route(HEAD, via=WORKER)
        self.route(WORKER, via=HEAD)

    def route(self, address: str, via: str) -> None:
        """A default route, by which processes find out their own address."""
        _run("ip", "-n", self.names[address], "route", "add", "default", "via", via)

    def inside(self, address: str, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.names[address], *command]

    def cut(self) -> None:
        _run("ip", "-n", self.names[WORKER], "link", "set", DEVICE, "down")

    def mend(self) -> None:
        _run("ip", "-n", self.names[WORKER], "link", "set", DEVICE, "up")
        self.route(WORKER, via=HEAD)

    def remove(self) -> None:
        for name in self.names.values():
            _run("ip", "netns", "delete", name)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def network():
    network = Network()
    yield network
    network.remove()


@pytest.fixture
def ray_folder():
    """Short, for the sockets in it; not Ray's own, where other programs look for a cluster to join."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        yield folder


def test_a_node_is_lost_and_comes_back(stack, network, ray_folder):
    run = stack("two_nodes")
    run.environment |= {
        "GLOO_SOCKET_IFNAME": DEVICE,
        "MAX_RESTARTS": "1",
        # as scripts/cluster sets them: a node that is gone is known to be within half a minute
        "RAY_health_check_timeout_ms": "5000",
        "RAY_health_check_failure_threshold": "3",
        "RAY_worker_niceness": "0",
        # The nodes share this machine's log folder: each line comes twice, of which Ray would show neither in time.
        "RAY_DEDUP_LOGS": "0",
        "RAY_AUTH_MODE": "disabled",  # whatever token this machine may have
    }
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=16", "--num-gpus=1", "--block"]
    ray += ["--disable-usage-stats", "--log-color=false"]
    start_head = [*ray, "--head", f"--node-ip-address={HEAD}", f"--port={PORT}", "--include-dashboard=false"]
    start_head += [f"--temp-dir={ray_folder}"]
    start_worker = [*ray, f"--address={HEAD}:{PORT}", f"--node-ip-address={WORKER}"]

    def start(address: str, command: list[str], log: str) -> subprocess.Popen:
        with open(run.run_dir / log, "a") as output:
            return subprocess.Popen(
                network.inside(address, *command), env=run.environment, cwd=Path(__file__).parents[2],
                stdout=output, stderr=output,
            )  # fmt: skip

    run.run_dir.mkdir(exist_ok=True)
    start(HEAD, start_head, "ray_head.txt")
    time.sleep(5)
    lost = start(WORKER, start_worker, "ray_worker.txt")
    driver = start(
        HEAD, [sys.executable, "-m", "recipe.g2rl.main", f"run_dir={run.run_dir}", *OVERRIDES], "console.txt"
    )

    run.wait_for("step 2/5", driver)
    time.sleep(1)  # in the middle of the next step
    network.cut()
    run.wait_for("restart 1 of 1", driver, timeout_s=60)
    console = (run.run_dir / "console.txt").read_text()
    assert console.count("error: ") == 1 and "Traceback" not in console

    run.wait_for("waiting for 2 nodes", driver)
    lost.terminate()  # as the scheduler of that node would
    lost.wait(timeout=60)
    network.mend()
    start(WORKER, start_worker, "ray_worker.txt")
    assert driver.wait() == 0, run.story()

    steps = [json.loads(line)["step"] for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)), "a step was done again, although it had been saved"
    assert steps[:2] == [1, 2] and steps[-1] == 5
    for process in run.processes():
        process.kill()

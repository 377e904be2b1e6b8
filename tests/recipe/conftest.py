"""The processes in which tests of the actor's engine run it: ranks on gloo, started once for a file of tests.

With VERL_PLATFORM=nvidia they are on NCCL, a GPU each (scripts/check_gpu.sh).
"""

import multiprocessing
import os
import socket
import subprocess
import sys
from multiprocessing.connection import wait
from pathlib import Path

import pytest
import torch

TIMEOUT_S = 120


class Ranks:
    """A group of rank processes; each case runs on all of them."""

    def __init__(self, world: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.processes, self.connections = [], []
        for rank in range(world):
            mine, theirs = multiprocessing.Pipe()
            group = {"RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, Path(__file__).with_name("engine_rank.py"), str(theirs.fileno())],
                    env=os.environ | {name: str(value) for name, value in group.items()} | {"OMP_NUM_THREADS": "1"},
                    pass_fds=[theirs.fileno()],
                )
            )
            theirs.close()
            self.connections.append(mine)

    def run(self, **case) -> dict[str, list]:
        """The batch's rows in order, from all ranks."""
        for connection in self.connections:
            connection.send(case)
        outstanding, answers = set(self.connections), []
        while outstanding:
            ready = wait(outstanding, TIMEOUT_S)
            if not ready:
                self.stop()
                pytest.fail("a rank did not answer")
            for connection in ready:
                outstanding.discard(connection)
                answers.append(connection.recv())
                if isinstance(answers[-1], str):
                    self.stop()  # the others may wait for this one for ever
                    pytest.fail(answers[-1])
        answers = sorted((a for a in answers if a), key=lambda answer: answer["rows"])
        return {name: [row for answer in answers for row in answer[name]] for name in answers[0]}

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    @property
    def alive(self) -> bool:
        return all(process.poll() is None for process in self.processes)


@pytest.fixture(scope="module")
def ranks():
    """ranks(world) starts the processes of a group at its first use."""
    groups: dict[int, Ranks] = {}

    def group(world: int) -> Ranks:
        if os.environ["VERL_PLATFORM"] != "cpu" and world > torch.cuda.device_count():
            pytest.skip(f"{world} ranks need as many GPUs")
        if world not in groups or not groups[world].alive:
            groups[world] = Ranks(world)
        return groups[world]

    yield group
    for started in groups.values():
        started.stop()

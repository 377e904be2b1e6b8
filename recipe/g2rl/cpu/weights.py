"""Weights from the trainer to separate rollout servers on a machine without a GPU: through a file in shared memory.

verl's own engines for this need a GPU or an RDMA card. Chosen by
`actor_rollout_ref.rollout.checkpoint_engine.{backend=shared_memory,custom_backend_module=recipe.g2rl.cpu.weights}`.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import torch
from verl.checkpoint_engine import CheckpointEngine, CheckpointEngineRegistry
from verl.workers.rollout.utils import ensure_async_iterator

FOLDER = "/dev/shm"


@CheckpointEngineRegistry.register("shared_memory")
class SharedMemoryEngine(CheckpointEngine):
    """The first training rank writes all weights; every rollout worker waits for them and reads them."""

    def __init__(self, bucket_size: int, is_master: bool = False) -> None:
        self.is_master = is_master

    def prepare(self) -> dict[str, Any]:
        return {"folder": tempfile.mkdtemp(prefix="g2rl-weights-", dir=FOLDER)} if self.is_master else {}

    @classmethod
    def build_topology(
        cls, actor_wg_world_size: int, rollout_world_size: int, metadata: list[dict]
    ) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        folder = [metadata[0]["folder"]]
        return {"folder": folder * actor_wg_world_size}, {"folder": folder * rollout_world_size}

    def init_process_group(self, folder: str) -> None:  # type: ignore[override]
        self.folder = folder
        self.path = os.path.join(folder, "weights.pt")

    async def send_weights(self, weights, global_steps: int | None = None) -> None:
        # Every rank goes through the weights, since gathering one is a collective operation.
        gathered = {name: weight.cpu() async for name, weight in ensure_async_iterator(weights)}
        if self.is_master:
            torch.save(gathered, self.path + ".part")
            os.replace(self.path + ".part", self.path)

    async def receive_weights(  # type: ignore[override]
        self, global_steps: int | None = None
    ) -> AsyncIterator[tuple[str, torch.Tensor]]:
        while not os.path.exists(self.path):
            await asyncio.sleep(0.05)
        for name, weight in torch.load(self.path, mmap=True).items():
            yield name, weight

    def finalize(self) -> None:
        if self.is_master:
            os.remove(self.path)
            os.rmdir(self.folder)

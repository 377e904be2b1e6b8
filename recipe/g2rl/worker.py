"""verl's workers, with the engine of `recipe.g2rl.engine` for the actor and the stock one for the reference model."""

from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
from verl.experimental.separation.engine_workers import DetachActorWorker
from verl.utils.device import get_device_name
from verl.utils.distributed import initialize_global_process_group_ray
from verl.utils.py_functional import temp_env_var
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker

from recipe.g2rl.engine import ENGINE_VENDOR

if get_device_name() == "cpu":
    import recipe.g2rl.cpu.fsdp  # noqa: F401  (registers the reference model's engine)


class ExplorationTrainingWorker(TrainingWorker):
    def __init__(self, config) -> None:
        with temp_env_var("VERL_ENGINE_VENDOR", ENGINE_VENDOR):  # verl's switch between engines for one device
            super().__init__(config)


class _Exploration(ActorRolloutRefWorker):
    actor_worker_cls = ExplorationTrainingWorker

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if get_device_name() == "cpu":
            # verl 0.9.1 asks for the backend "cpu:gloo,cpu:gloo", which torch rejects; it keeps a group that exists.
            initialize_global_process_group_ray(backend="cpu:gloo")


class ExplorationWorker(_Exploration):
    """For trainers whose rollout shares the devices."""


class ExplorationDetachWorker(_Exploration, DetachActorWorker):
    """For the trainer with separate rollout, which keeps the weights that the old log-probs come from.

    verl 0.9.1 copies shards and expects nothing else, but after a forward pass without gradients the root of an FSDP1
    model stays whole, and with `reshard_after_forward=false` every unit of an FSDP2 model: what is restored below would
    not be what the next pass computes with. Not needed once verl reshards before it copies.
    """

    @property
    def restore_handler(self) -> Callable:
        restore = super().restore_handler

        def restore_shards(module: torch.nn.Module, *saved: Any) -> None:
            reshard(module)
            restore(module, *saved)

        return restore_shards

    @property
    def copy_handler(self) -> Callable:
        # In verl 0.9.1 the "copy" of an FSDP2 shard that is on the CPU already (offloaded, or there is no GPU) is the
        # shard itself (`fsdp2_sharded_save_to_cpu`), which the later mini-batches of a step change.
        save = super().copy_handler

        def save_copies(module: torch.nn.Module) -> Any:
            reshard(module)
            saved = save(module)
            if self.config.actor.strategy != "fsdp2" or next(module.parameters()).device.type != "cpu":
                return saved
            shards, spec = saved
            return {name: (shard.clone(), its_spec) for name, (shard, its_spec) in shards.items()}, spec

        return save_copies


def reshard(module: torch.nn.Module) -> None:
    """Frees the whole parameters of every FSDP unit, so that this rank's shards alone are left."""
    for unit in module.modules():
        if isinstance(unit, FSDPModule):
            unit.reshard()
        elif isinstance(unit, FullyShardedDataParallel):
            handle = unit._handle if unit._is_root is not None else None  # None: nothing was computed yet
            if handle and handle.uses_sharded_strategy:
                handle.reshard(True)

"""verl's FSDP engine, registered for the CPU: the reference model runs on it."""

import copy

import torch
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead


@EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device="cpu")
class CPUFSDPEngine(FSDPEngineWithLMHead):
    def _build_fsdp_module(self, module: torch.nn.Module) -> torch.nn.Module:
        # verl offloads a forward-only model to pinned host memory. Here it is in host memory already, and pinning
        # needs an accelerator: shard it as the actor is sharded. verl 0.9.1 always pins.
        forward_only_config = self.engine_config
        self.engine_config = copy.copy(forward_only_config)
        object.__setattr__(self.engine_config, "forward_only", False)
        try:
            return super()._build_fsdp_module(module)
        finally:
            self.engine_config = forward_only_config

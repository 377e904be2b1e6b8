"""One rank of test_export.py: the actor's engine as a run builds it, its checkpoint, and whole weights beside it."""

import json
import sys

import torch
from torch.distributed.tensor import DTensor
from verl.trainer.config import CheckpointConfig
from verl.utils.distributed import initialize_global_process_group_ray
from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig, TrainingWorkerConfig

from recipe.g2rl.worker import ExplorationTrainingWorker

SDPA = {"attn_implementation": "sdpa"}
FLOAT32 = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}


def main(policy: str, actor: str, model_settings: str) -> None:
    torch.set_num_threads(1)
    initialize_global_process_group_ray(backend="cpu:gloo")
    worker = ExplorationTrainingWorker(
        TrainingWorkerConfig(
            model_type="language_model",
            model_config=HFModelConfig(path=policy, override_config=SDPA, **json.loads(model_settings)),
            engine_config=FSDPEngineConfig(strategy="fsdp2", mixed_precision=FLOAT32, use_torch_compile=False),
            optimizer_config=FSDPOptimizerConfig(lr=1e-3, total_training_steps=1),
            checkpoint_config=CheckpointConfig(),
        )
    )
    worker.reset()
    torch.manual_seed(torch.distributed.get_rank())
    with torch.no_grad():  # a step that changes what is trained; fresh adapters are zero
        for parameter in worker.engine.module.parameters():
            if parameter.requires_grad:
                local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
                local += 0.1 * torch.randn_like(local)
    worker.engine.save_checkpoint(actor, global_step=7)
    state = worker.engine.module.state_dict()
    whole = {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in state.items()}
    if torch.distributed.get_rank() == 0:
        torch.save(whole, f"{actor}/../whole.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])

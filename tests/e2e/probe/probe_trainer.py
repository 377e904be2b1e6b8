"""A trainer that writes down, at every step, what reached it: loaded by the end-to-end tests, not by users.

verl imports it in the run's processes because the test names it in VERL_USE_EXTERNAL_MODULES.
"""

import os
from pathlib import Path

import torch
import transfer_queue as tq
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage
from verl.trainer.ppo.v1 import register_trainer

from recipe.trainer import ExplorationTrainerSync

FIELDS = ["prompts", "responses", "old_log_probs", "rollout_log_probs", "features", "advantages", "rm_scores", "uid"]


@register_trainer("probe")
class ProbeTrainer(ExplorationTrainerSync):
    def _compute_advantage(self, batch, metrics):
        if os.environ.get("PROBE_FAILS_AT_STEP") == str(self.global_steps):
            raise RuntimeError(f"the probe fails at step {self.global_steps}")
        batch = super()._compute_advantage(batch, metrics)
        fields = [name for name in FIELDS if name != "features" or "features" in self.method.inputs]
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=[*fields, "response_mask"]
        )
        rows = {name: [row.clone() for row in data[name].unbind()] for name in fields if name != "uid"}
        mask = data["response_mask"].to_padded_tensor(0)
        grpo, _ = compute_grpo_outcome_advantage(data["rm_scores"].to_padded_tensor(0.0), mask, list(data["uid"]))
        rows["grpo"] = [row[: len(response)] for row, response in zip(grpo, rows["responses"], strict=True)]
        rows["uid"] = list(data["uid"])
        torch.save(rows, Path(self.config.run_dir) / f"probe_{self.global_steps}.pt")
        return batch

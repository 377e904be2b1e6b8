"""What reached the trainer, written down at every step: a checkpoint callback, verl's own hook, for these tests."""

import json
import os
from pathlib import Path

import torch
import transfer_queue as tq
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

FIELDS = ["prompts", "responses", "old_log_probs", "rollout_log_probs", "features", "advantages", "rm_scores"]


class Probe(CheckpointCallback):
    def on_save(self, trainer, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs) -> None:
        if os.environ.get("PROBE_FAILS_AT_STEP") == str(global_step):
            raise RuntimeError(f"the probe fails at step {global_step}")
        keys = [key for key, tag in tq.kv_list("train")["train"].items() if not tag.get("is_prompt", False)]
        data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=[*FIELDS, "response_mask", "uid"])
        rows = {name: [row.clone() for row in data[name].unbind()] for name in FIELDS}
        mask = data["response_mask"].to_padded_tensor(0)
        grpo, _ = compute_grpo_outcome_advantage(data["rm_scores"].to_padded_tensor(0.0), mask, list(data["uid"]))
        rows["grpo"] = [row[: len(response)] for row, response in zip(grpo, rows["responses"], strict=True)]
        torch.save(rows, Path(self.config.run_dir) / f"probe_{global_step}.pt")


class Prompts(CheckpointCallback):
    """Appends to `prompts.jsonl` what each step was trained on."""

    def on_save(self, trainer, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs) -> None:
        keys = [key for key, tag in tq.kv_list("train")["train"].items() if not tag.get("is_prompt", False)]
        data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["prompts"])
        prompts = sorted(trainer.tokenizer.decode(row) for row in data["prompts"].unbind())
        with open(Path(self.config.run_dir) / "prompts.jsonl", "a") as file:
            file.write(json.dumps({"step": global_step, "prompts": prompts}) + "\n")

"""What reached the trainer, written down at every step: a checkpoint callback, verl's own hook, for these tests."""

import json
import os
from pathlib import Path

import torch
import transfer_queue as tq
from torch.nn.utils.rnn import pad_sequence
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

FIELDS = ["prompts", "responses", "old_log_probs", "rollout_log_probs", "advantages", "rm_scores"]
VECTORS = {"features", "hidden_states"}  # where the method names them
NOT_TENSORS = ["uid", "extra_fields"]


class Probe(CheckpointCallback):
    def on_save(self, trainer, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs) -> None:
        if os.environ.get("PROBE_FAILS_AT_STEP") == str(global_step):
            raise RuntimeError(f"the probe fails at step {global_step}")
        rows = {name: [] for name in [*FIELDS, *(trainer.method.inputs & VECTORS), "response_mask", *NOT_TENSORS]}
        keys = []
        for key, tag in tq.kv_list("train")["train"].items():
            if tag.get("is_prompt", False) or tag.get("is_padding", False):
                continue
            data = tq.kv_batch_get(keys=[key], partition_id="train", select_fields=list(rows))
            if "old_log_probs" not in data.keys():  # noqa: SIM118  (sampled for a later step)
                continue
            keys.append(key)
            for name, values in rows.items():
                values.append(data[name][0] if name in NOT_TENSORS else data[name][0].clone())
        mask = pad_sequence(rows["response_mask"], batch_first=True)
        scores = pad_sequence(rows["rm_scores"], batch_first=True)
        grpo, _ = compute_grpo_outcome_advantage(scores, mask, rows["uid"])
        rows["grpo"] = [row[: len(response)] for row, response in zip(grpo, rows["responses"], strict=True)]
        torch.save(rows | {"keys": keys}, Path(self.config.run_dir) / f"probe_{global_step}.pt")


class Prompts(CheckpointCallback):
    """Appends to `prompts.jsonl` what each step was trained on."""

    def on_save(self, trainer, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs) -> None:
        keys = [key for key, tag in tq.kv_list("train")["train"].items() if not tag.get("is_prompt", False)]
        data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["prompts"])
        prompts = sorted(trainer.tokenizer.decode(row) for row in data["prompts"].unbind())
        with open(Path(self.config.run_dir) / "prompts.jsonl", "a") as file:
            file.write(json.dumps({"step": global_step, "prompts": prompts}) + "\n")

"""verl's V1 trainers with an exploration method: hooks around mini-batches, log-probs, advantages, validation.

The trainer does not know which method runs: it asks the method what it needs, fetches that, and lets verl go on.

Shape suffixes: N responses (rows of the batch), H hidden size.
"""

import logging
from collections import Counter
from typing import Any

import numpy as np
import ray
import torch
import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, register_adv_est
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1 import PPOTrainerSeparateAsync, PPOTrainerSync, register_trainer
from verl.utils.seqlen_balancing import log_seqlen_unbalance
from verl.workers.engine_workers import ActorRolloutRefWorker

from g2rl.evaluation import equal_in_pool, validation_metrics
from g2rl.methods.base import Samples, sample_metrics
from g2rl.methods.progrpo import answer_confidence, prompt_confidence
from g2rl.verify import VerifierPool
from recipe.g2rl.checks.settings import build_method
from recipe.g2rl.driver.console import RunLog, report
from recipe.g2rl.engine import FEATURES_FLAG
from recipe.g2rl.estimator import ExplorationEstimator
from recipe.g2rl.inputs.embeddings import answer_text, start_embedder
from recipe.g2rl.mini_batches import rows_of_devices
from recipe.g2rl.reward_manager import reward_metrics, reward_settings
from recipe.g2rl.saving.checkpoints import WholeCheckpoints
from recipe.g2rl.worker import ExplorationDetachWorker, ExplorationWorker


class ExplorationHooks(WholeCheckpoints):
    """Mixed into one of verl's trainers; `base_mode` is the `trainer_mode` that trainer goes by."""

    base_mode: str
    worker_cls: type[ActorRolloutRefWorker] = ExplorationWorker

    def __init__(self, config: DictConfig) -> None:
        # verl's base class asks for its own mode's name in several places (replay buffer, checkpoints).
        with open_dict(config):
            config.trainer.v1.trainer_mode = self.base_mode
        super().__init__(config)
        self.method = build_method(config.exploration)
        self.estimator = ExplorationEstimator(self.method)
        if config.algorithm.adv_estimator not in ADV_ESTIMATOR_REGISTRY:
            register_adv_est(config.algorithm.adv_estimator)(self.estimator)
        self._log_probs: Any = None  # nested tensors of the coming step, as is what the embedder promised
        self._embeddings: Any = None
        settings = reward_settings(config)
        self._verifiers = VerifierPool(settings.pool_workers, settings.timeout_s, memory_mb=settings.memory_mb)

    def _build_replay_buffer(self):
        replay_buffer = super()._build_replay_buffer()
        replay_buffer.poll_interval = self.config.poll_interval_s
        return replay_buffer

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        for role in (Role.Actor, Role.ActorRollout, Role.ActorRolloutRef, Role.RefPolicy):
            if role in self.role_worker_mapping:
                self.role_worker_mapping[role] = ray.remote(self.worker_cls)

    def _setup(self) -> None:
        report("loading the model into the actors and the rollout servers")
        super()._setup()
        if "embeddings" in self.method.inputs:
            pool = next(iter(self.resource_pool_manager.resource_pool_dict.values()))
            self._embedder = start_embedder(
                self.config, pool.get_placement_groups(device_name=self.config.trainer.device)[0]
            )
            # vLLM measures the device while it loads, so the rollout must not take or give back memory meanwhile.
            ray.get(self._embedder.__ray_ready__.remote())
        report(f"ready at step {self.global_steps} of {self.total_training_steps}")
        if self.global_steps >= self.total_training_steps:
            report("nothing is left to train: raise trainer.total_training_steps, or name another run_dir")

    # ------------------------------------------------------------------ a step

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict, *args: Any, **options: Any) -> KVBatchMeta:
        batch = super()._balance_batch(batch, metrics, *args, **options)
        actor = self.config.actor_rollout_ref.actor
        of_device = rows_of_devices(
            batch.keys,
            batch.tags,
            list(self._fetch(batch, "index")["index"]),
            rows_of_mini_batch=actor.ppo_mini_batch_size * self.config.actor_rollout_ref.rollout.n,
            devices=max(self.actor_rollout_wg._dispatch_info["actor"]) + 1,
        )
        lengths = [tag["seq_len"] for tag in batch.tags]
        metrics.update(log_seqlen_unbalance(lengths, of_device, prefix="global_seqlen"))  # verl's is of its own order
        batch.reorder([row for rows in of_device for row in rows])
        return batch

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        batch.extra_info[FEATURES_FLAG] = "features" in self.method.inputs
        if "embeddings" in self.method.inputs:  # at the same time as the log-prob pass
            self._embeddings = self._embedder.embed.remote(self._answer_texts(batch))
        batch = super()._compute_old_log_prob(batch, metrics)
        batch.extra_info[FEATURES_FLAG] = False  # the reference model's pass needs none
        if "confidence" in self.method.inputs:
            # Now, since the reference model's pass writes its own log-probs over these.
            self._log_probs = self._fetch(batch, "log_probs", "old_log_probs", "response_mask")
        return batch

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        samples, real_N, verdicts = self._collect(batch)
        self.estimator.hand_over(samples, real_N)
        batch = super()._compute_advantage(batch, metrics)
        metrics.update(sample_metrics(samples, self.method.log_geometry))
        metrics.update(self.estimator.metrics)
        metrics.update(reward_metrics(verdicts))
        metrics["reward/pass_rate"] = samples.correct.float().mean().item()
        return batch

    def _collect(self, batch: KVBatchMeta) -> tuple[Samples, torch.Tensor, list[dict]]:
        """The real rows as the method's samples, which rows are real [N], and the reward manager's word on each."""
        real_N = torch.tensor([not tag.get("is_padding", False) for tag in batch.tags])
        rows = real_N.nonzero()[:, 0].tolist()
        data = self._fetch(batch, "uid", "extra_fields", *self._tensor_fields())
        extra_fields = list(data["extra_fields"])
        verdicts = [extra_fields[row]["reward_extra_info"] for row in rows]
        uids = np.array(list(data["uid"]))[rows]
        inputs: dict[str, torch.Tensor] = {}
        if "features" in self.method.inputs:
            inputs["features"] = data["features"].values().view(len(real_N), -1)[rows].float()
        if "embeddings" in self.method.inputs:
            inputs["embeddings"] = torch.from_numpy(ray.get(self._embeddings))[rows]
        if "confidence" in self.method.inputs:
            inputs |= {name: values[rows] for name, values in self._confidences().items()}
        samples = Samples(
            rewards=torch.tensor([2.0 * float(verdict["acc"]) - 1.0 for verdict in verdicts]),
            group_ids=torch.from_numpy(np.unique(uids, return_inverse=True)[1]),
            valid=torch.tensor([bool(verdict["pred"]) for verdict in verdicts]),
            **inputs,
        )
        return samples, real_N, verdicts

    def _answer_texts(self, batch: KVBatchMeta) -> list[str]:
        responses = self._fetch(batch, "responses")["responses"].unbind()
        return [answer_text(text) for text in self.tokenizer.batch_decode(responses, skip_special_tokens=True)]

    def _tensor_fields(self) -> tuple[str, ...]:
        return ("features",) if "features" in self.method.inputs else ()

    def _confidences(self) -> dict[str, torch.Tensor]:
        log_probs, mask = self._log_probs["log_probs"], self._log_probs["response_mask"]
        # Row t of a sequence predicts its token t + 1: rows 0 ... P - 2 those of a prompt of P tokens.
        prompt_rows_N = log_probs.offsets().diff() - mask.offsets().diff() - 1
        log_probs_NL = log_probs.to_padded_tensor(0.0)
        prompt_mask_NL = torch.arange(log_probs_NL.shape[1]) < prompt_rows_N[:, None]
        return {
            "response_confidence": answer_confidence(
                self._log_probs["old_log_probs"].to_padded_tensor(0.0), mask.to_padded_tensor(0)
            ),
            "prompt_confidence": prompt_confidence(log_probs_NL, prompt_mask_NL),
        }

    @staticmethod
    def _fetch(batch: KVBatchMeta, *fields: str):
        return tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=list(fields))

    # ------------------------------------------------------------------ validation and reporting

    def _val_metrics_update(
        self, data_sources, sample_uids, reward_extra_infos_dict, sample_turns, expected_acc_counts=None
    ) -> dict[str, float]:
        metrics = super()._val_metrics_update(
            data_sources, sample_uids, reward_extra_infos_dict, sample_turns, expected_acc_counts=expected_acc_counts
        )
        answers = [pred or None for pred in reward_extra_infos_dict["pred"]]
        samples = list(zip(data_sources, sample_uids, reward_extra_infos_dict["acc"], answers, strict=True))
        there = Counter((str(source), str(uid)) for source, uid, _, _ in samples)
        for problem, expected in (expected_acc_counts or {}).items():  # what could not be sampled is wrong
            samples += [(*problem, 0.0, None)] * (expected - there[problem])
        return metrics | validation_metrics(*zip(*samples, strict=True), equal_many=equal_in_pool(self._verifiers))

    def on_validate_begin(self) -> None:
        super().on_validate_begin()
        report("validating")
        self._attach_run_log()

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self._attach_run_log()

    def _attach_run_log(self) -> None:
        """One more of verl's loggers: verl's own file logger starts its file anew when a run resumes."""
        if "run_log" not in self.logger.logger:
            self.logger.logger["run_log"] = RunLog(  # type: ignore[assignment]
                self.config.run_dir, self.total_training_steps
            )


@register_trainer("g2rl_sync")
class ExplorationTrainerSync(ExplorationHooks, PPOTrainerSync):
    """Trainer and rollout take turns on the same devices."""

    base_mode = "sync"


@register_trainer("g2rl_separate_async")
class ExplorationTrainerSeparateAsync(ExplorationHooks, PPOTrainerSeparateAsync):
    """Rollout on devices of its own, up to some steps ahead of the weights.

    Features, like old log-probs, come from the weights at the start of the step, which verl brings back for the later
    mini-batches of the step: they are not those of the older policy that sampled the responses.
    """

    base_mode = "separate_async"
    worker_cls = ExplorationDetachWorker

    def _setup(self) -> None:
        # One of verl's messages, under hybrid_engine=false, has an argument that loggers do not take.
        # Not needed once verl drops `flush=True` from it.
        logging.getLogger(PPOTrainerSeparateAsync.__module__).setLevel(logging.WARNING)
        super()._setup()

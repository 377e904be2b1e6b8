"""verl's V1 trainers with an exploration method: hooks around mini-batches, log-probs, advantages, validation.

The trainer knows neither the method that runs nor what it computes from: it fetches the columns that the method names,
asks the inputs that are computed elsewhere, and lets verl go on.

Shape suffix: R responses of a step.
"""

import logging
from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
import ray
import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf, open_dict
from tensordict import TensorDict
from torch import Tensor
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1 import PPOTrainerColocateAsync, PPOTrainerSeparateAsync, PPOTrainerSync, register_trainer
from verl.utils.seqlen_balancing import log_seqlen_unbalance
from verl.workers.engine_workers import ActorRolloutRefWorker

from g2rl.evaluation import equal_in_pool, validation_metrics
from g2rl.methods.base import Samples, shaped_rewards
from g2rl.methods.build import build_method
from g2rl.verify import VerifierPool, verifier_table
from recipe.g2rl import correctness
from recipe.g2rl.engine import COLUMNS_KEY
from recipe.g2rl.errors.lost import lost_actor_soon
from recipe.g2rl.errors.one_line import ProcessLost
from recipe.g2rl.inputs import build_inputs, pass_columns
from recipe.g2rl.inputs.columns import OF_VERL
from recipe.g2rl.mini_batches import rows_of_devices
from recipe.g2rl.responses import add_to_advantages, add_to_scores, of_responses, response_rows
from recipe.g2rl.saving.checkpoints import WholeCheckpoints
from recipe.g2rl.saving.run_log import RunLog, report
from recipe.g2rl.settings.config import base_estimator
from recipe.g2rl.worker import ExplorationDetachWorker, ExplorationWorker

VERIFIERS = 2  # processes that compare final answers


class ExplorationHooks(WholeCheckpoints):
    """Mixed into one of verl's trainers; `base_mode` is the `trainer_mode` that trainer goes by."""

    base_mode: str
    worker_cls: type[ActorRolloutRefWorker] = ExplorationWorker

    def __init__(self, config: DictConfig) -> None:
        with open_dict(config):
            # verl's base class asks for its own mode's name in several places (replay buffer, checkpoints).
            config.trainer.v1.trainer_mode = self.base_mode
            config.algorithm.adv_estimator = base_estimator(config)
        super().__init__(config)
        self.method = build_method(config.exploration)
        self.inputs = build_inputs(config, self.method)
        self._columns: dict[str, Any] = {}  # of the coming step
        self._reward_gap = config.reward_gap or 1.0  # else of the last step with right and wrong responses

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
        pool = next(iter(self.resource_pool_manager.resource_pool_dict.values()))
        for input in self.inputs.values():
            input.start(self.config, pool.get_placement_groups(device_name=self.config.trainer.device))
        report(f"ready at step {self.global_steps} of {self.total_training_steps}")
        if self.global_steps >= self.total_training_steps:
            report("nothing is left to train: raise trainer.total_training_steps, or name another run_dir")

    # ------------------------------------------------------------------ a step

    def on_sample_end(self) -> None:
        if failed := self.replay_buffer.failure_keys["train"]:  # verl goes on with what is there of their groups
            report(f"responses to {len(failed)} prompts of step {self.global_steps} failed; the log says why")
            if lost := lost_actor_soon(ray.get_runtime_context().get_job_id()):
                raise ProcessLost(lost)  # else the step would be trained with what is left, and saved
        super().on_sample_end()

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict, *args: Any, **options: Any) -> KVBatchMeta:
        batch = super()._balance_batch(batch, metrics, *args, **options)
        actor = self.config.actor_rollout_ref.actor
        of_device = rows_of_devices(
            batch.keys,
            batch.tags,
            list(_fetch(batch, "index")["index"]),
            rows_of_mini_batch=actor.ppo_mini_batch_size * self.config.actor_rollout_ref.rollout.n,
            devices=max(self.actor_rollout_wg._dispatch_info["actor"]) + 1,
        )
        lengths = [tag["seq_len"] for tag in batch.tags]
        # In place of those that verl logged for its own order of the rows.
        metrics.update(log_seqlen_unbalance(lengths, of_device, prefix="global_seqlen"))
        batch.reorder([row for rows in of_device for row in rows])
        return batch

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        for input in self.inputs.values():
            input.ask(lambda *fields: _fetch(batch, *fields), self.tokenizer)
        columns = sorted(pass_columns(self.config, self.method))
        batch.extra_info[COLUMNS_KEY] = columns
        batch = super()._compute_old_log_prob(batch, metrics)
        batch.extra_info[COLUMNS_KEY] = []  # the reference model's pass computes none
        # Now, since that pass writes its own log-probs over the actor's.
        self._columns = dict(_fetch(batch, *columns).items()) if columns else {}
        return batch

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        rows, session_of_row = response_rows(batch.keys, batch.tags)
        data = _fetch(batch, "uid", "extra_fields", "rm_scores")
        scores = data["rm_scores"]
        extra_fields, uids = list(data["extra_fields"]), list(data["uid"])
        infos = [extra_fields[row].get("reward_extra_info", {}) for row in rows]
        scores_R = torch.stack([score.sum() for score in scores.unbind()])[rows]
        samples = self._samples(rows, [uids[row] for row in rows], infos, scores_R)

        shaped_R, method_metrics = shaped_rewards(self.method, samples)
        change_R = shaped_R - samples.rewards
        if self.config.reward_gap is None:
            self._reward_gap = correctness.reward_gap(scores_R, samples.correct) or self._reward_gap
        if change_R.any():  # in units in which right and wrong, +1 and −1, lie 2 apart
            _put(batch, rm_scores=add_to_scores(scores, session_of_row, change_R * (self._reward_gap / 2)))
        batch = super()._compute_advantage(batch, metrics)
        if change_R.any():
            _put(batch, rm_scores=scores)  # what verl logs of a step is the user's own reward
        if self.method.reweights:
            data = _fetch(batch, "advantages", "response_mask")  # rejection sampling has changed the mask by now
            advantages, mask = data["advantages"], data["response_mask"]
            standardised_R = of_responses(advantages, mask, rows)
            reweighted_R, more_metrics = self.method.reweight_advantages(standardised_R, samples)
            if self.method.replaces_advantages:
                advantages, standardised_R = advantages * 0, standardised_R * 0
            advantages = add_to_advantages(advantages, mask, session_of_row, reweighted_R - standardised_R)
            _put(batch, advantages=advantages, returns=advantages)
            method_metrics |= more_metrics
        metrics.update(method_metrics)
        metrics.update(correctness.reward_metrics(infos))
        metrics["reward/pass_rate"] = samples.correct.float().mean().item()
        return batch

    def _samples(self, rows: list[int], uids: list[str], infos: list[dict], scores: Tensor) -> Samples:
        """The step's responses as the method sees them, in the order of `rows`."""
        columns = {name: _rows_of(column, rows, name in OF_VERL) for name, column in self._columns.items()}
        return Samples(
            correct=correctness.correct(infos, scores, self.config.correct_above),
            group_ids=torch.from_numpy(np.unique(uids, return_inverse=True)[1]),
            valid=correctness.valid(infos),
            columns=columns | {name: input.answer()[rows] for name, input in self.inputs.items()},
            step=self.global_steps,
        )

    # ------------------------------------------------------------------ validation and reporting

    def _val_metrics_update(
        self, data_sources, sample_uids, reward_extra_infos_dict, sample_turns, expected_acc_counts=None
    ) -> dict[str, float]:
        metrics = super()._val_metrics_update(
            data_sources, sample_uids, reward_extra_infos_dict, sample_turns, expected_acc_counts=expected_acc_counts
        )
        scores = reward_extra_infos_dict["reward"]
        marks = reward_extra_infos_dict.get("acc", scores)
        marks = [score if mark is None else mark for mark, score in zip(marks, scores, strict=True)]
        right = [float(mark > self.config.correct_above) for mark in marks]
        answers = [correctness.answer(pred) for pred in reward_extra_infos_dict.get("pred", [None] * len(right))]
        samples = list(zip(data_sources, sample_uids, right, answers, strict=True))
        there = Counter((str(source), str(uid)) for source, uid, _, _ in samples)
        for problem, expected in (expected_acc_counts or {}).items():  # what could not be sampled is wrong
            samples += [(*problem, 0.0, None)] * (expected - there[problem])
        table = verifier_table(OmegaConf.select(self.config, "reward.reward_kwargs.verifiers"))
        ours = validation_metrics(
            *zip(*samples, strict=True),
            equal_many=equal_in_pool(self._verifiers),
            without_majority=[source for source, verifier in table.items() if verifier == "code"],
        )
        if "pred" not in reward_extra_infos_dict:  # nobody knows the final answers, so none has a majority
            ours = {name: value for name, value in ours.items() if "/maj@" not in name}
        return metrics | ours

    @cached_property
    def _verifiers(self) -> VerifierPool:
        """Compares final answers for maj@k."""
        return VerifierPool(VERIFIERS)

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


def _fetch(batch: KVBatchMeta, *fields: str) -> TensorDict:
    return tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=list(fields))


def _put(batch: KVBatchMeta, **fields: Tensor) -> None:
    tensors = TensorDict(fields, batch_size=len(batch))  # type: ignore[arg-type]
    tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=tensors)


def _rows_of(column: Tensor, rows: list[int], per_token: bool) -> Tensor:
    """The given rows of a column of the batch: nested where they are per token, else [R, D]."""
    of_rows = column.unbind()
    values = [of_rows[row] for row in rows]
    return torch.nested.as_nested_tensor(values, layout=torch.jagged) if per_token else torch.stack(values)


@register_trainer("g2rl_sync")
class ExplorationTrainerSync(ExplorationHooks, PPOTrainerSync):
    """Trainer and rollout take turns on the same devices."""

    base_mode = "sync"


@register_trainer("g2rl_colocate_async")
class ExplorationTrainerColocateAsync(ExplorationHooks, PPOTrainerColocateAsync):
    """They share the devices, and responses that are unfinished when a step has enough go on in the next."""

    base_mode = "colocate_async"


@register_trainer("g2rl_separate_async")
class ExplorationTrainerSeparateAsync(ExplorationHooks, PPOTrainerSeparateAsync):
    """Rollout on devices of its own, up to some steps ahead of the weights.

    Features, like old log-probs, come from the weights at the start of the step, which verl brings back for the later
    mini-batches of the step: they are not those of the older policy that sampled the responses.
    """

    base_mode = "separate_async"
    worker_cls = ExplorationDetachWorker

    def _setup(self) -> None:
        # In verl 0.9.1 one message, under hybrid_engine=false, is logged with `flush=True`, which loggers do not take.
        logging.getLogger(PPOTrainerSeparateAsync.__module__).setLevel(logging.WARNING)
        super()._setup()

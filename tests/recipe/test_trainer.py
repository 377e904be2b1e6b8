"""What the trainer makes of verl's validation, and of its advantages where tokens are rejected."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.utils.tensordict_utils import get_tensordict

from g2rl.methods.build import build_method
from g2rl.verify import VerifierPool
from recipe.g2rl.correctness import valid
from recipe.g2rl.settings.config import base_estimator
from recipe.g2rl.trainer import ExplorationTrainerSync


def test_a_validation_sample_that_failed_counts_as_wrong():
    trainer = object.__new__(ExplorationTrainerSync)
    problems = ["p"] * 3 + ["q"] * 4
    correct = [1.0] * 3 + [0.0] * 4
    expected = {("math", name): 4 for name in "pqr"}  # all four samples of r failed, and one of p
    trainer.config = OmegaConf.create({"correct_above": 0.5})
    infos = {"reward": correct, "acc": correct, "pred": ["7"] * 3 + ["8"] * 4}
    with VerifierPool(1) as trainer._verifiers:
        metrics = trainer._val_metrics_update(["math"] * 7, problems, infos, [], expected_acc_counts=expected)
    assert metrics["val/math/pass@1"] == pytest.approx(3 / 12)
    assert metrics["val/math/pass@4"] == pytest.approx(1 / 3)
    assert metrics["val/math/maj@4"] == pytest.approx(1 / 3)


def test_final_answers_may_be_numbers():
    trainer = object.__new__(ExplorationTrainerSync)
    trainer.config = OmegaConf.create({"correct_above": 0.5})
    infos = {"reward": [0.0, 0.0, 0.0, 1.0], "pred": [0, 0, 0.0, 3]}
    with VerifierPool(1) as trainer._verifiers:
        metrics = trainer._val_metrics_update(["math"] * 4, ["p"] * 4, infos, [])
    assert metrics["val/math/maj@4"] == 0.0  # three votes for 0
    assert valid([{"pred": 0}, {"pred": ""}, {"pred": None}, {}]).tolist() == [True, False, False, True]


class Store:
    """TransferQueue's two calls, in this process."""

    def __init__(self, **fields):
        self.fields = fields

    def kv_batch_get(self, keys, partition_id, select_fields):
        return get_tensordict({name: self.fields[name] for name in select_fields if name in self.fields})

    def kv_batch_put(self, keys, partition_id, fields):
        self.fields.update(fields.items())
        return KVBatchMeta(partition_id=partition_id, keys=keys, tags=[{} for _ in keys])


@pytest.fixture
def advantages(composed, monkeypatch):
    """One group, whose first response is right; its first token is far from what the rollout says, and so rejected."""

    def compute(*overrides):
        rows, lengths = range(4), [3, 4, 5, 3]
        scores = [torch.zeros(length) for length in lengths]
        for row, score in enumerate(scores):
            score[-1] = 1.0 if row == 0 else -1.0
        of_rollout = [torch.full((length,), -1.0) for length in lengths]
        of_rollout[0][0] = -4.0
        nested = {
            "rm_scores": scores,
            "response_mask": [torch.ones(length, dtype=torch.int64) for length in lengths],
            "old_log_probs": [torch.full((length,), -1.0) for length in lengths],
            "rollout_log_probs": of_rollout,
        }
        store = Store(
            uid=np.array(["u"] * 4, dtype=object),
            extra_fields=np.array([{"reward_extra_info": {"acc": float(row == 0)}} for row in rows], dtype=object),
            **{name: torch.nested.as_nested_tensor(values, layout=torch.jagged) for name, values in nested.items()},
        )
        monkeypatch.setattr("recipe.g2rl.trainer.tq", store)
        monkeypatch.setattr("verl.trainer.ppo.v1.trainer_base.tq", store)
        config = composed(
            *overrides,
            "reward_gap=2.0",
            "actor_rollout_ref.rollout.n=4",
            "algorithm.rollout_correction.rollout_rs=token_k1",
            "algorithm.rollout_correction.rollout_rs_threshold='0.5_2.0'",
        )
        config.algorithm.adv_estimator = base_estimator(config)
        trainer = object.__new__(ExplorationTrainerSync)
        trainer.config, trainer.method = config, build_method(config.exploration)
        trainer.inputs, trainer._columns, trainer._reward_gap, trainer.global_steps = {}, {}, 2.0, 1
        keys = [f"u_{row}_0" for row in rows]
        batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{} for _ in keys])
        trainer._compute_advantage(batch, {})
        return [row.tolist() for row in store.fields["advantages"].unbind()]

    return compute


@pytest.mark.parametrize("estimator", ["grpo", "reinforce_plus_plus"])
def test_advantages_are_replaced_where_a_token_is_rejected_and_whatever_the_estimator(advantages, estimator):
    found = advantages("exploration=maxrl", f"algorithm.adv_estimator={estimator}", "algorithm.gamma=0.9")
    assert found[0] == pytest.approx([0, 3, 3], abs=1e-4)
    assert found[1:] == [pytest.approx([-1] * length, abs=1e-4) for length in (4, 5, 3)]

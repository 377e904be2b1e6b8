"""What the trainer makes of verl's validation."""

import pytest
from omegaconf import OmegaConf

from g2rl.verify import VerifierPool
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

"""The two methods that are verl's own train on the real stack and log the geometry when asked; the others are in
test_training.py."""

import json

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SMALL = [
    "data.train_batch_size=4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
    "trainer.total_training_steps=2",
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
    "trainer.save_freq=-1",
]


@pytest.mark.parametrize("method", ["grpo", "entropy"])
def test_verls_own_methods_log_the_geometry(stack, method):
    run = stack(method)
    run.finish(*SMALL, f"exploration={method}", "exploration.log_geometry=true")
    run.assert_all_gone()
    records = [json.loads(line) for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 2]
    for record in records:
        assert "exploration/cosine_mean" in record["data"]
        assert all(value == value for value in record["data"].values()), "a NaN"

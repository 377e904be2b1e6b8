"""Every method trains on the real stack, on two ranks where extra tensors travel; what each adds to the log."""

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


@pytest.mark.parametrize(
    ("method", "ranks", "logged"),
    [
        ("grpo", 1, "exploration/cosine_mean"),
        ("entropy", 1, "exploration/cosine_mean"),
        ("evol", 2, "exploration/shaped_reward_max"),
        ("progrpo", 2, "exploration/uniform_group_share"),
    ],
)
def test_every_method_trains(stack, method, ranks, logged):
    run = stack(method)
    geometry = ["exploration.log_geometry=true"] if method in ("grpo", "entropy") else []
    run.finish(*SMALL, f"exploration={method}", f"trainer.n_gpus_per_node={ranks}", *geometry)
    run.assert_all_gone()
    records = [json.loads(line) for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 2]
    for record in records:
        assert logged in record["data"]
        assert all(value == value for value in record["data"].values()), "a NaN"

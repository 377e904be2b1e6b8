"""The laboratory trains as the recipe does: 15 steps of both on the same problems in the same order."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from oracle import metrics

from g2rl.lab.compose import compose_lab
from g2rl.lab.train import Laboratory
from g2rl.methods.build import build_method

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

STEPS, SEEDS = 15, range(1, 7)
CURVES = ["reward/pass_rate", "actor/entropy", "response_length/mean", "actor/grad_norm", "actor/kl_loss"]


def windows(records: list[dict[str, float]]) -> np.ndarray:
    """[curve, 3]: means over five steps, and of the KL loss its root, since it grows with the square of the steps."""
    values = np.array([[record[name] for record in records] for name in CURVES])
    values[CURVES.index("actor/kl_loss")] **= 0.5
    return values.reshape(len(CURVES), 3, -1).mean(-1)


@pytest.mark.parametrize("method", ["grpo", "g2rl"])
def test_both_stacks_have_the_same_curves_within_the_noise_of_seeds(stack, tmp_path, method):
    run = stack(f"both_{method}")
    tiny, data = run.environment["G2RL_MODEL_PATH"], Path(run.environment["G2RL_DATA_PATH"])
    torch.set_num_threads(1)
    laboratories = [
        Laboratory(config, build_method(config.exploration), task)
        for config, task in (
            compose_lab([f"exploration={method}", f"seed={seed}", f"actor_rollout_ref.model.path={tiny}"])
            for seed in SEEDS
        )
    ]
    problems = laboratories[0].problems
    order = [problems.index(problem) for step in range(1, STEPS + 1) for problem in laboratories[0].batch(step)]
    rows = pq.read_table(data / "train.parquet").take(order)
    assert [prompt[0]["content"] for prompt in rows["prompt"].to_pylist()] == [problems[i].question for i in order]
    pq.write_table(rows, tmp_path / "ordered.parquet")

    run.finish(
        f"exploration={method}",
        f"data.train_files={tmp_path / 'ordered.parquet'}",
        "data.shuffle=false",
        "data.train_batch_size=16",
        "actor_rollout_ref.actor.ppo_mini_batch_size=16",
        "actor_rollout_ref.rollout.n=8",
        f"trainer.total_training_steps={STEPS}",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
    )
    run.assert_all_gone()
    recipe = windows([record["data"] for record in metrics(run.run_dir)])
    ours = []
    for laboratory in laboratories:  # samples of its own, the problems of the first one
        laboratory.batch = laboratories[0].batch
        ours.append(windows([laboratory.step(step) for step in range(1, STEPS + 1)]))
    mean, sd = np.mean(ours, axis=0), np.std(ours, axis=0, ddof=1)
    # One run against six: 5 standard deviations of their difference is Student's t at 0.4 %, for each of 15 numbers.
    allowed = 5 * sd * (1 + 1 / len(SEEDS)) ** 0.5
    report = "\n".join(
        f"{name}: recipe {recipe[i].round(4)}, laboratory {mean[i].round(4)}, allowed ± {allowed[i].round(4)}"
        for i, name in enumerate(CURVES)
    )
    print(report)
    assert (np.abs(recipe - mean) <= allowed).all(), report
    assert recipe[0, 2] > recipe[0, 0] + 0.05  # there was something to compare

"""verl's own configuration, data, scorers and reward functions, with an exploration method in one more argument."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from g2rl.data.rows import write_rows

pytestmark = pytest.mark.e2e

# Arguments of verl's entry point, at the size of a test.
THEIRS = [
    "--config-name=verl",
    "exploration=g2rl",
    "+hardware=cpu",
    "algorithm.use_kl_in_reward=False",
    "data.train_batch_size=8",
    "data.max_prompt_length=64",
    "data.max_response_length=64",
    "data.filter_overlong_prompts=True",
    "data.val_batch_size=8",
    "data.val_max_samples=8",
    "actor_rollout_ref.model.use_remove_padding=True",
    "actor_rollout_ref.actor.optim.lr=1e-4",
    "actor_rollout_ref.actor.use_dynamic_bsz=True",
    "actor_rollout_ref.rollout.name=vllm",
    "actor_rollout_ref.rollout.calculate_log_probs=True",
    "actor_rollout_ref.rollout.n=4",
    "trainer.logger=[console]",
    "trainer.project_name=theirs",
    "trainer.experiment_name=run",
    "trainer.default_local_dir=${run_dir}",
    "trainer.checkpoint_callback_class=probe.Probe",
    "trainer.save_freq=1",
    "trainer.total_epochs=1",
    "trainer.total_training_steps=2",
]

# What people's functions do, by the row's number.
REWARD = """
import os, time
def mine(data_source, solution_str, ground_truth, extra_info=None):
    what = extra_info["index"] % 8
    if what == 1:
        raise KeyError("no such field")
    if what == 2:
        os._exit(3)
    if what == 3:
        time.sleep(600)
    if what == 4:
        return bytearray(10**11)
    return {"score": 0.25 if what == 5 else 0.75, "acc": float(what != 5)}
"""


def theirs(run, tmp_path: Path, rows: int) -> list[str]:
    """Rows as verl's own preprocessing makes them, named as GSM8K; the run's folder is verl's."""
    table = pq.read_table(Path(run.environment["G2RL_DATA_PATH"]) / "train.parquet").slice(0, rows)
    found = [row | {"data_source": "openai/gsm8k"} for row in table.to_pylist()]
    path = write_rows(found, tmp_path / "train.parquet")
    files = [f"data.train_files={path}", f"data.val_files={path}"]
    return [*THEIRS, *files, f"actor_rollout_ref.model.path={run.environment['G2RL_MODEL_PATH']}"]


def test_verls_scorer_and_estimator(stack, tmp_path):
    run = stack("scorer")
    run.finish(
        *theirs(run, tmp_path, 16),
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        "algorithm.adv_estimator=rloo",
        "trainer.val_before_train=True",
    )
    run.assert_all_gone()
    assert "rewards: verl's scorers for openai/gsm8k" in (run.run_dir / "console.txt").read_text()
    records = [json.loads(line)["data"] for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert records[0]["val/openai/gsm8k/pass@1"] == 0.0  # the policy writes no "####"
    assert len(records) == 3
    for record in records[1:]:
        assert record["critic/score/mean"] == 0.0 and record["reward/pass_rate"] == 0.0
        assert record["exploration/uniform_group_share"] == 1.0
        assert record["critic/advantages/max"] > 0  # what G2RL's equations make of groups that are all wrong


@pytest.mark.slow
def test_a_reward_function_that_fails_in_every_way(stack, tmp_path):
    function = tmp_path / "reward.py"
    function.write_text(REWARD)
    run = stack("function")
    run.finish(
        *theirs(run, tmp_path, 16),
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.actor.policy_loss.loss_mode=gspo",
        "algorithm.adv_estimator=grpo",
        f"reward.custom_reward_function.path={function}",
        "reward.custom_reward_function.name=mine",
        "reward_limits.timeout_s=2",
        "trainer.val_before_train=False",
        "data.shuffle=False",
    )
    run.assert_all_gone()
    records = [json.loads(line)["data"] for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert len(records) == 2
    for step, record in enumerate(records, start=1):
        # Eight prompts of four responses: one prompt for each thing that goes wrong (memory is an exception too).
        assert (record["reward/errors"], record["reward/crashes"], record["reward/timeouts"]) == (8, 4, 4)
        assert record["reward/pass_rate"] == pytest.approx(3 / 8)
        assert record["critic/score/mean"] == pytest.approx((3 * 0.75 + 0.25) / 8)
        rows = torch.load(run.run_dir / f"probe_{step}.pt", weights_only=False)
        for scores, extra in zip(rows["rm_scores"], rows["extra_fields"], strict=True):
            info = extra["reward_extra_info"]
            assert scores.sum() == info["score"] and (info["verdict"] == "scored") == (info["score"] > 0)
    console = (run.run_dir / "console.txt").read_text()
    assert "mine of" in console and "counted under reward/" in console
    assert "KeyError: 'no such field'" in (run.run_dir / "train.log").read_text()

"""What a run computes is what the method says, on one rank and on two, before and after a weight update."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from oracle import check_advantages, check_step, metrics, probed, samples_of
from transformers import AutoTokenizer

from g2rl.methods.g2rl import G2RL

pytestmark = pytest.mark.e2e

SMALL = [
    "data.train_batch_size=4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
    "actor_rollout_ref.actor.optim.lr=1e-3",
    "data.val_max_samples=8",
    "trainer.checkpoint_callback_class=probe.Probe",
    # the whole weights of each step, for the recomputation
    "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
    "trainer.save_freq=1",
    "trainer.max_actor_ckpt_to_keep=null",
]

TWO_STEPS = [
    "trainer.n_gpus_per_node=2",  # so that the method's own tensors travel
    "trainer.total_training_steps=2",
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
]

DIFFERS = re.compile("^timing|perf/|seconds|^val-.*(best|worst|maj)@")

LOGGED = ["cosine_mean", "negative_pair_share", "score_mean", "score_std", "clipped_share", "uniform_group_share"]
LOGGED += ["shaped_reward_min", "shaped_reward_mean", "shaped_reward_max"]


def test_one_rank_survives_kill_and_resumes(stack):
    run = stack("one_rank")
    overrides = [*SMALL, "exploration=g2rl", "trainer.total_training_steps=4", "trainer.test_freq=4"]
    process = run.start(*overrides)
    run.wait_for("step 2/4", process)
    process.kill()
    process.wait()
    run.assert_all_gone()

    checkpoints = run.run_dir / "checkpoints"
    saved = int((checkpoints / "latest_checkpointed_iteration.txt").read_text())
    before = [record["step"] for record in metrics(run.run_dir)]
    run.finish(*overrides)
    run.assert_all_gone()
    steps = [record["step"] for record in metrics(run.run_dir)]
    assert steps[: len(before)] == before
    assert steps[len(before) :][-1] == 4
    assert saved + 1 in steps[len(before) :] and not any(0 < step <= saved for step in steps[len(before) + 1 :])

    tiny = Path(run.environment["G2RL_MODEL_PATH"])
    check_step(run.run_dir, 1, tiny)
    check_step(run.run_dir, 2, checkpoints / "global_step_1/actor/huggingface")
    check_step(run.run_dir, 4, checkpoints / "global_step_3/actor/huggingface")
    for step in (1, 2, 4):
        rows = probed(run.run_dir, step)
        check_advantages(rows, samples_of(rows, features=torch.stack(rows["features"])), G2RL())
    first, last = metrics(run.run_dir)[0]["data"], metrics(run.run_dir)[-1]["data"]
    assert first["val/arithmetic/pass@1"] > 0
    missing = {f"exploration/{name}" for name in LOGGED} - last.keys()
    assert not missing
    console = (run.run_dir / "console.txt").read_text()
    assert "step 4/4" in console and "pass@1" in console
    assert len(console.splitlines()) < 60


def test_two_ranks_with_packed_sequences_and_dynamic_batches(stack):
    run = stack("two_ranks")
    run.finish(
        *SMALL,
        "exploration=g2rl",
        "exploration.scale=0.0",
        "trainer.n_gpus_per_node=2",
        "trainer.total_training_steps=2",
        "trainer.val_before_train=false",
        # more prompts than vLLM takes at once
        "actor_rollout_ref.rollout.max_num_seqs=16",
        "actor_rollout_ref.rollout.max_num_batched_tokens=128",
        # several micro-batches of unequal numbers of rows, in an order of verl's choosing
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=256",
    )
    run.assert_all_gone()
    check_step(run.run_dir, 1, Path(run.environment["G2RL_MODEL_PATH"]))
    check_step(run.run_dir, 2, run.run_dir / "checkpoints/global_step_1/actor/huggingface")
    for step in (1, 2):
        rows = probed(run.run_dir, step)
        for advantage, grpo in zip(rows["advantages"], rows["grpo"], strict=True):
            assert torch.equal(advantage, grpo)


@pytest.mark.slow
def test_a_response_ends_with_the_turn_where_the_end_of_text_is_another_token(stack, tmp_path):
    """As of base models: their tokenizer's end of text is not what the chat template ends a turn with."""
    run = stack("end_of_turn")
    base = tmp_path / "base"
    shutil.copytree(run.environment["G2RL_MODEL_PATH"], base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    turn = tokenizer.eos_token_id
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.save_pretrained(base)
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((base / name).read_text()) | {"eos_token_id": tokenizer.eos_token_id}
        (base / name).write_text(json.dumps(settings))
    run.environment["G2RL_MODEL_PATH"] = str(base)
    run.finish(*SMALL, "exploration=grpo", "trainer.total_training_steps=1", "trainer.val_before_train=false")
    responses = probed(run.run_dir, 1)["responses"]
    ended = [turn in response.tolist() for response in responses]
    assert sum(ended) >= len(ended) - 2  # a few may be cut off at the limit
    assert all(turn not in response[:-1].tolist() for response in responses)
    assert metrics(run.run_dir)[-1]["data"]["reward/ended_turn_share"] == pytest.approx(sum(ended) / len(ended))


@pytest.mark.slow
def test_a_column_and_an_input_of_the_users_own(stack):
    run = stack("own")
    own = ["exploration=grpo", "exploration._target_=own.Own"]
    run.finish(*SMALL, *TWO_STEPS, *own, "+inputs.lengths._target_=own.Lengths", "+inputs.lengths.scale=2.0")
    for record in metrics(run.run_dir):
        assert record["data"]["exploration/own_length_error"] == 0.0
        assert record["data"]["exploration/own_entropy_error"] < 1e-5 < record["data"]["exploration/own_entropy_mean"]


@pytest.mark.slow
def test_adapters_of_lora_reach_vllm(stack):
    """The policy that samples is the one that is trained: their log-probs agree, also when the adapters have moved."""
    run = stack("lora")
    run.finish(
        *SMALL,
        "exploration=g2rl",
        "actor_rollout_ref.model.lora_rank=8",
        "actor_rollout_ref.model.lora_alpha=16",
        "actor_rollout_ref.rollout.load_format=safetensors",
        "actor_rollout_ref.actor.checkpoint.save_contents=[model]",
        "trainer.total_training_steps=3",
        "trainer.val_before_train=false",
    )
    run.assert_all_gone()
    steps = [record["data"] for record in metrics(run.run_dir)]
    assert steps[-1]["actor/kl_loss"] > 0  # away from the model without adapters
    assert all(step["training/rollout_probs_diff_max"] < 1e-4 for step in steps)


@pytest.mark.slow
def test_features_come_from_the_policy_of_the_old_log_probs(stack):
    """Rollout on devices of its own, ahead of the weights."""
    run = stack("separate")
    run.finish(
        *SMALL,
        "exploration=g2rl",
        "trainer.v1.trainer_mode=separate_async",
        # two updates a step, on responses sampled up to a step earlier
        "trainer.v1.separate_async.parameter_sync_step=2",
        "actor_rollout_ref.actor.ppo_mini_batch_size=2",
        "actor_rollout_ref.hybrid_engine=false",
        "actor_rollout_ref.rollout.nnodes=1",
        "actor_rollout_ref.rollout.n_gpus_per_node=1",
        "actor_rollout_ref.rollout.checkpoint_engine.backend=shared_memory",
        "actor_rollout_ref.rollout.checkpoint_engine.custom_backend_module=recipe.g2rl.cpu.weights",
        "ray_kwargs.ray_init.num_gpus=2",
        "trainer.total_training_steps=3",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
    )
    run.assert_all_gone()
    check_step(run.run_dir, 1, Path(run.environment["G2RL_MODEL_PATH"]), same_policy=False)
    for step in (2, 3):
        started_from = run.run_dir / f"checkpoints/global_step_{step - 1}/actor/huggingface"
        check_step(run.run_dir, step, started_from, same_policy=False)
    assert [record["step"] for record in metrics(run.run_dir)] == [1, 2, 3]
    assert all("exploration/score_mean" in record["data"] for record in metrics(run.run_dir))


@pytest.mark.slow
def test_two_runs_with_the_same_seeds_log_the_same(stack):
    """All but times and memory, up to the last digits, which the order of rows decides: verl names them at random.

    Not the same either are verl's own best@k, worst@k and maj@k, drawn at random from the responses to a problem in the
    order in which they came back; ours (val/) are exact.
    """
    logged = []
    for name in ("first", "second"):
        run = stack(name)
        run.finish(
            *SMALL,
            "exploration=g2rl",
            "actor_rollout_ref.actor.ppo_mini_batch_size=2",
            "trainer.save_freq=-1",
            "trainer.total_training_steps=5",
            "trainer.test_freq=5",
        )
        logged.append(metrics(run.run_dir))
    for first, second in zip(*logged, strict=True):
        assert first["step"] == second["step"]
        names = {name for name in first["data"] if not DIFFERS.search(name)}
        assert names == {name for name in second["data"] if name in names}
        different = {
            name: (first["data"][name], second["data"][name])
            for name in names
            if first["data"][name] != pytest.approx(second["data"][name], rel=1e-3, abs=1e-5)
        }
        assert not different, (first["step"], different)

"""Sessions of an agent that leave several outputs, tokens that the policy did not write, or nothing."""

import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from oracle import check_advantages, check_step, check_two_steps, metrics, probed, samples_of
from transformers import AutoTokenizer

from g2rl.data.arithmetic_tool import answer
from g2rl.methods.g2rl import G2RL
from g2rl.models import tiny_policy

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_an_agent_loop_of_the_users_own(stack, tmp_path):
    loops = tmp_path / "loops.yaml"
    loops.write_text("- name: sessions\n  _target_: agents.Sessions\n")
    run = stack("agents")
    run.finish(
        "exploration=g2rl",
        "actor_rollout_ref.rollout.agent.default_agent_loop=sessions",
        f"actor_rollout_ref.rollout.agent.agent_loop_config_path={loops}",
        "data.train_batch_size=4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.actor.optim.lr=1e-3",
        "trainer.checkpoint_callback_class=probe.Probe",
        "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
        "trainer.save_freq=1",
        "trainer.n_gpus_per_node=2",
        "trainer.total_training_steps=2",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
    )
    run.assert_all_gone()
    check_two_steps(run.run_dir, "exploration/score_mean")
    models = [Path(run.environment["G2RL_MODEL_PATH"]), run.run_dir / "checkpoints/global_step_1/actor/huggingface"]
    for step, model in enumerate(models, start=1):
        check_step(run.run_dir, step, model)
        rows = probed(run.run_dir, step)
        sessions = [key.rpartition("_")[0] for key in rows["keys"]]
        outputs = Counter(sessions)
        assert set(outputs.values()) == {1, 2}
        assert {sum(s.startswith(prompt) for s in outputs) for prompt in set(rows["uid"])} == {3, 4}
        assert any(0 < mask.sum() < len(mask) for mask in rows["response_mask"])

        last = [i for i, key in enumerate(rows["keys"]) if int(key.rpartition("_")[2]) == outputs[sessions[i]] - 1]
        of_last = {name: [values[i] for i in last] for name, values in rows.items()}
        check_advantages(of_last, samples_of(of_last, features=torch.stack(of_last["features"])), G2RL())
        value = {sessions[i]: rows["advantages"][i][0] for i in last}
        for i, session in enumerate(sessions):
            assert torch.equal(rows["advantages"][i], value[session] * rows["response_mask"][i])


def test_a_calculator_that_the_policy_asks(stack):
    """verl's own tool agent: what the tool says is in the response and has no weight in feature and loss."""
    run = stack("calculator")
    del run.environment["G2RL_MODEL_PATH"], run.environment["G2RL_DATA_PATH"]
    run.finish(
        "exploration=g2rl",
        "task=arithmetic_tool",
        "data.train_batch_size=4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.rollout.n=4",
        "trainer.checkpoint_callback_class=probe.Probe",
        "trainer.save_freq=1",
        "trainer.total_training_steps=1",
        "trainer.test_freq=-1",
    )
    run.assert_all_gone()
    model = tiny_policy(Path(os.environ.get("G2RL_CACHE", ".cache")), "arithmetic_tool")
    check_step(run.run_dir, 1, model)
    rows = probed(run.run_dir, 1)
    check_advantages(rows, samples_of(rows, features=torch.stack(rows["features"])), G2RL())
    tokenizer = AutoTokenizer.from_pretrained(model)
    asked = 0
    for response, mask in zip(rows["responses"], rows["response_mask"], strict=True):
        turns = tokenizer.decode(response).split("\n<|im_start|>tool\n")
        said = [turn.partition("<|im_end|>")[0] for turn in turns[1:]]
        assert said == [answer(turn) for turn in turns[:-1]]
        written = tokenizer.decode(response[mask.bool()])
        assert not any(f"tool\n{number}" in written for number in said)
        asked += bool(said)
    assert asked > 0
    assert 0 < metrics(run.run_dir)[0]["data"]["val/arithmetic_tool/pass@1"] < 1

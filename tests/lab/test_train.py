"""Runs of the laboratory on an untrained policy of two layers."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from transformers import Qwen3ForCausalLM

from g2rl.data.arithmetic import VOICES, distinct_problems
from g2rl.lab.policy import prefill
from g2rl.lab.settings import compose_lab
from g2rl.lab.train import Laboratory, run
from g2rl.methods.build import build_method
from g2rl.methods.g2rl import G2RL
from g2rl.models.pretrain import Recipe, build_model
from g2rl.models.tokenizer import build_tokenizer
from g2rl.report import plot_run, summary_table

SMALL = [
    "data.train_batch_size=3",
    "data.train_max_samples=12",
    "data.val_max_samples=4",
    "data.max_response_length=12",
    "actor_rollout_ref.actor.ppo_mini_batch_size=3",
    "actor_rollout_ref.rollout.n=4",
    "actor_rollout_ref.rollout.val_kwargs.n=2",
    "trainer.total_training_steps=2",
    "trainer.test_freq=2",
]


@pytest.fixture(scope="module", autouse=True)
def policy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    corpus = [VOICES[0](next(iter(p.strategies.values())), p.answer) for p in distinct_problems("train", 50, 0)]
    tokenizer = build_tokenizer([*corpus, "user", "assistant"], 300)
    torch.manual_seed(0)
    recipe = Recipe(hidden_size=32, num_layers=2, num_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64)
    build_model(recipe, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    patch = pytest.MonkeyPatch()
    patch.setenv("G2RL_MODEL_PATH", str(folder))
    yield folder
    patch.undo()


def laboratory(*overrides):
    config, task = compose_lab([*SMALL, *overrides])
    return Laboratory(config, build_method(config.exploration), task)


class Spy(G2RL):
    """Keeps what it was given."""

    needs = frozenset({"features", "hidden_states", "log_probs", "old_log_probs", "response_mask"})
    seen: ClassVar[list] = []

    def shape_rewards(self, samples):
        self.seen.append(samples)
        return super().shape_rewards(samples)


def test_columns_are_those_of_plain_passes(policy):
    lab = laboratory("exploration=g2rl")
    lab.method = Spy()
    lab.step(1)
    samples = Spy.seen[-1]
    model = Qwen3ForCausalLM.from_pretrained(policy)
    prompts = lab.prompts(lab.batch(1))
    responses = lab.sample(prefill(lab.reference, prompts), samples.group_ids, 1.0, "1-1")  # step 1 has rate 0
    for row, response in enumerate(responses.split(responses.tokens)):
        prompt = prompts[samples.group_ids[row]]
        ids = torch.tensor([prompt + response.tolist()])
        output = model(ids, output_hidden_states=True)
        log_probs = output.logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
        hidden = output.hidden_states[-1][0, len(prompt) - 1 : -1]
        torch.testing.assert_close(samples["log_probs"].unbind()[row][:-1], log_probs, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(samples["old_log_probs"].unbind()[row], log_probs[len(prompt) - 1 :])
        assert samples["response_mask"].unbind()[row].tolist() == [1] * len(response)
        torch.testing.assert_close(samples["hidden_states"][row], hidden.mean(0), rtol=1e-4, atol=1e-5)
        head = model.lm_head.weight
        feature = (head[response] - (hidden @ head.T).softmax(-1) @ head).mean(0)
        torch.testing.assert_close(samples["features"][row], feature, rtol=1e-3, atol=1e-5)


def test_a_run_is_the_same_again_and_can_be_drawn(tmp_path):
    files = []
    for place in ("first", "second"):
        lab = laboratory("exploration=g2rl")
        outcomes = run(lab, tmp_path / place)
        files.append([json.loads(line) for line in (tmp_path / place / "metrics.jsonl").read_text().splitlines()])
        assert list(outcomes) == [0, 2] and [len(row) for row in outcomes[2]] == [2] * 4
    for step in files[0] + files[1]:
        for name in [name for name in step["data"] if name.startswith("timing_s")]:
            del step["data"][name]
    assert files[0] == files[1]
    assert [step["step"] for step in files[0]] == [0, 1, 2]
    plot_run(tmp_path / "first" / "metrics.jsonl", tmp_path / "curves.png")
    assert "validation arithmetic/pass@1" in summary_table(tmp_path / "first" / "metrics.jsonl")


@pytest.mark.parametrize(
    "overrides",
    [
        ["exploration=progrpo"],
        ["exploration=weighted_maxrl"],
        ["exploration=g2rl", "score_on=hidden_states"],
        [
            "exploration=entropy",
            "actor_rollout_ref.actor.ppo_mini_batch_size=1",
            "actor_rollout_ref.actor.ppo_epochs=2",
        ],
        ["exploration._target_=tests.lab.test_train.Spy"],
    ],
    ids=" ".join,
)
def test_methods_run(overrides):
    lab = laboratory(*overrides)
    before = [parameter.clone() for parameter in lab.model.parameters()]
    lab.step(1)  # of learning rate 0
    assert all(torch.equal(one, other) for one, other in zip(before, lab.model.parameters(), strict=True))
    metrics = lab.step(2)
    assert all(value == value for value in metrics.values())


def test_the_oracle_knows_the_equations():
    lab = laboratory("exploration=g2rl", "score_on=derivations")
    lab.method, texts = Spy(), [f"{i % 3}+1={i}. " for i in range(12)]
    lab.texts = lambda responses: texts
    lab.step(1)
    features = Spy.seen[-1]["features"]
    same = torch.tensor([[one == other for one in texts] for other in texts])
    assert torch.equal((features @ features.T).bool(), same)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match=r"task=math is not in the laboratory"):
        laboratory("task=math")


def test_the_laboratory_imports_neither_verl_nor_ray():
    import subprocess
    import sys

    code = (
        "import sys, g2rl.lab.study, g2rl.lab.see, g2rl.lab.tables; print({'verl', 'ray', 'vllm'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout == "set()\n"

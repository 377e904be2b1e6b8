"""Runs of the laboratory on an untrained policy of two layers."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from transformers import Qwen3ForCausalLM

from g2rl.data.arithmetic import VOICES
from g2rl.data.generated import distinct_problems
from g2rl.lab.compose import compose_lab
from g2rl.lab.policy import prefill
from g2rl.lab.run import run
from g2rl.lab.see import compared, table, write
from g2rl.lab.see_smollm2 import SOLUTIONS, given
from g2rl.lab.study import FOLDER, LOCKS, policy_of, run_file
from g2rl.lab.train import Laboratory
from g2rl.methods.build import build_method
from g2rl.methods.g2rl import G2RL
from g2rl.models.pretrain import Recipe, build_model
from g2rl.models.tokenizer import build_tokenizer
from g2rl.report import plot_run, summary_table
from g2rl.utils.files import locked

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
    corpus = [
        VOICES[0](next(iter(p.strategies.values())), p.answer) for p in distinct_problems("arithmetic", "train", 50, 0)
    ]
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
        ["exploration=kl_cov", "actor_rollout_ref.actor.ppo_mini_batch_size=1"],
        ["exploration=clip_cov", "actor_rollout_ref.actor.ppo_mini_batch_size=1"],
        ["exploration=dra"],
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


def test_the_method_of_the_documentation_runs(tmp_path, monkeypatch):
    """As its page says: saved as my_methods.py, named by an override."""
    page = (Path(__file__).parents[2] / "docs" / "write_your_own_method.md").read_text()
    code = next(part for part in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class HiddenNovelty" in part)
    (tmp_path / "my_methods.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    lab = laboratory("exploration=grpo", "exploration._target_=my_methods.HiddenNovelty", "+exploration.beta=0.5")
    assert "exploration/bonus_mean" in lab.step(1)


def test_a_run_of_the_study_is_one_processs_and_leaves_no_file_when_interrupted(tmp_path, monkeypatch):
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "g2rl.lab.study", "--folder", str(tmp_path / "study")]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # also in the background
    )
    metrics = tmp_path / "outputs" / "study" / "grpo-seed11" / "metrics.jsonl"
    while not metrics.exists() and process.poll() is None:
        time.sleep(0.1)
    monkeypatch.chdir(tmp_path)
    with locked(LOCKS / "grpo-seed11.lock") as is_free:
        assert not is_free
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130 and "grpo seed 11 was stopped" in errors and "Traceback" not in errors
    assert not list(tmp_path.glob("study/runs/*"))
    with locked(LOCKS / "grpo-seed11.lock") as is_free:
        assert is_free


def test_the_oracle_knows_the_equations():
    lab = laboratory("exploration=g2rl", "score_on=derivations")
    lab.method, texts = Spy(), [f"{i % 3}+1={i}. " for i in range(12)]
    lab.texts = lambda responses: texts
    lab.step(1)
    features = Spy.seen[-1]["features"]
    same = torch.tensor([[one == other for one in texts] for other in texts])
    assert torch.equal((features @ features.T).bool(), same)


def test_given_solutions_and_what_a_score_compares(policy, tmp_path):
    lab = laboratory("exploration=g2rl")
    texts = ["3+4=7. \\boxed{7}.", "7.", "It is 7.", "First 4+3=7. So the answer is \\boxed{7}."]
    responses = given(lab.model, lab.tokenizer, "What is 3+4?", texts)
    found = compared(lab.model, responses, texts, ["a", "a", "b", "b"], [0, 2, 3], lab.embedder)
    prompt = lab.prompts([lab.validation[0].__class__("What is 3+4?", "7", "sum")])[0]
    head = lab.model.lm_head.weight
    for place, text in enumerate([texts[0], *texts[2:]]):
        response = [*lab.tokenizer(text)["input_ids"], lab.tokenizer.eos_token_id]
        output = lab.model(torch.tensor([prompt + response]), output_hidden_states=True)
        hidden = output.hidden_states[-1][0, len(prompt) - 1 : -1]
        log_probs = (hidden @ head.T).log_softmax(-1)
        features = head[response] - log_probs.exp() @ head
        torch.testing.assert_close(found.vectors["hidden states"][place], hidden.mean(0), rtol=1e-4, atol=1e-5)
        for name, weights in {
            "gradient features": torch.ones(len(response)),
            "gradient features, a_t = entropy": -(log_probs.exp() * log_probs).sum(-1),
            "gradient features, a_t = −log p": -log_probs.gather(1, torch.tensor(response)[:, None])[:, 0],
        }.items():
            expected = (weights[:, None] * features).sum(0) / weights.sum()
            torch.testing.assert_close(found.vectors[name][place], expected, rtol=1e-3, atol=1e-5)
    assert found.ways.tolist() == [0, 1, 1] and found.texts.tolist() == [0, 1, 2]
    write({"policy": table([found])}, tmp_path / "sees")
    rows = (tmp_path / "sees.csv").read_text().splitlines()
    assert len(rows) == 1 + 7 * 5 and all(row.startswith("policy,") and row.endswith(",1") for row in rows[1:])
    assert "1 problems have both kinds of pairs" in (tmp_path / "sees.md").read_text()


def test_solutions_of_two_methods():
    problems = [json.loads(line) for line in SOLUTIONS.read_text().splitlines()]
    assert len(problems) >= 10
    for problem in problems:
        texts = [text for method in problem["solutions"].values() for text in method]
        assert [len(method) for method in problem["solutions"].values()] == [2, 2] and len(set(texts)) == 4


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match=r"task=math is not in the laboratory"):
        laboratory("task=math")


def test_the_laboratory_imports_neither_verl_nor_ray():
    code = (
        "import sys, g2rl.lab.study, g2rl.lab.see, g2rl.lab.tables; print({'verl', 'ray', 'vllm'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.slow
def test_the_studys_runs_began_with_its_policy():
    config, task = compose_lab(["exploration=grpo", "seed=14", "trainer.total_training_steps=0", policy_of("grpo")])
    outcomes = Laboratory(config, build_method(config.exploration), task).validate(0)
    record = json.loads(gzip.decompress(run_file(FOLDER, "grpo", 14).read_bytes()))
    ways, rows = record["derivations"], record["outcomes"]["0"]
    before = [[None if number < 0 else ways[number] for number in row] for row in rows]
    same = [now == then for pair in zip(outcomes, before, strict=True) for now, then in zip(*pair, strict=True)]
    # All 2,048 on one kind of processor; a policy pre-trained on another kind has 1,577 of them.
    assert sum(same) / len(same) > 0.95

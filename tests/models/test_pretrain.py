import hashlib
import json
import random
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import islice

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from g2rl import models
from g2rl.data import programs
from g2rl.data.arithmetic import problems, worked_solution
from g2rl.data.generated import distinct_problems
from g2rl.models.pretrain import IGNORED, RECIPES, Recipe, batches, build_model, pretrain
from g2rl.models.tokenizer import build_tokenizer
from g2rl.models.untrained import JUDGES, check

SIZES = {"hidden_size": 64, "num_layers": 1, "num_heads": 2, "num_key_value_heads": 1, "intermediate_size": 64}
SMALL = Recipe(**SIZES, steps=12, batch_size=8, warmup_steps=2, threads=1)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([problem.question for problem in islice(problems("train", 0), 200)], 320)


def test_batches_carry_loss_on_the_solutions_only(tokenizer):
    for batch in batches(replace(SMALL, steps=3), tokenizer):
        for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
            assert torch.equal(labels[labels != IGNORED], ids[labels != IGNORED])
            prompt, solution = tokenizer.decode(ids[labels == IGNORED]), tokenizer.decode(ids[labels != IGNORED])
            assert prompt.rstrip("<|endoftext|>").endswith("<|im_start|>assistant\n")  # noqa: B005
            assert "\\boxed{" in solution and solution.endswith("<|im_end|>")


@pytest.mark.parametrize("tied", [True, False])
def test_models_tied_and_untied(tokenizer, tied, tmp_path):
    build_model(replace(SMALL, tie_word_embeddings=tied), tokenizer).save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert (model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()) == tied
    assert model.lm_head.weight.shape == (len(tokenizer), 64)


def test_the_corpus_of_arithmetic_is_what_it_was_before_there_was_a_second_task():
    """Its weights are not the same on every machine; the tokens that they come from are."""
    recipe, rng = RECIPES["arithmetic"], random.Random(0)
    corpus = ["system", "user", "assistant"]
    for problem in islice(problems("train", recipe.seed), 2000):
        corpus += [problem.question, worked_solution(problem, rng)]
    digest = hashlib.sha256()
    for batch in islice(batches(recipe, build_tokenizer(corpus, recipe.vocab_size)), 20):
        digest.update(repr(batch["input_ids"].tolist()).encode())
    assert digest.hexdigest() == "d48912aae4412087a7862f5e6d400031e2d276a520760098370b984271048462"


@pytest.mark.parametrize("task", RECIPES)
def test_the_judge_of_a_task_is_the_one_of_its_rewards(task):
    right, wrong = RIGHT_AND_WRONG[task]
    chosen = distinct_problems(task, "val", 20, seed=0)
    golds = [problem.gold for problem in chosen]
    assert JUDGES[task]([right(problem) for problem in chosen], golds) == [True] * 20
    assert JUDGES[task]([wrong(problem) for problem in chosen], golds) == [False] * 20
    assert JUDGES[task](["no answer"], golds[:1]) == [False]


BOXES = (
    lambda p: f"So \\boxed{{{p.gold}}}.",
    lambda p: f"\\boxed{{{p.gold}}}? \\boxed{{{p.gold}1}}",
)
RIGHT_AND_WRONG = {
    "arithmetic": BOXES,
    "arithmetic_tool": BOXES,
    "room": BOXES,
    "programs": (
        lambda p: programs.in_a_block(programs.line_by_line(p)),
        lambda p: programs.in_a_block(programs.one_expression(p) + "+1"),
    ),
}


def test_same_recipe_same_weights_and_check():
    first, tokenizer = pretrain(SMALL)
    second, _ = pretrain(SMALL)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    outcome = check(first, tokenizer, num_problems=4, samples=3, max_new_tokens=8)
    assert outcome == check(first, tokenizer, num_problems=4, samples=3, max_new_tokens=8)
    assert 0 <= outcome.pass_at_1 <= outcome.pass_at_n <= 1 and outcome.max_tokens <= 8


def test_cached_and_rebuilt_when_the_recipe_changes(tmp_path, capfd):
    folder = models.tiny_policy(tmp_path, recipe=SMALL)
    assert "pass@1" in capfd.readouterr().err
    weights = (folder / "model.safetensors").stat()
    assert models.tiny_policy(tmp_path, recipe=SMALL) == folder
    assert (folder / "model.safetensors").stat() == weights  # not built again
    assert capfd.readouterr().err == ""
    other = models.tiny_policy(tmp_path, recipe=replace(SMALL, seed=1))
    assert other != folder and sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, other.name])
    assert AutoModelForCausalLM.from_pretrained(folder).config.model_type == "qwen3"
    assert AutoTokenizer.from_pretrained(folder).chat_template


def test_every_task_has_a_folder_of_its_own_with_a_version(tmp_path):
    small = {name: value for name, value in asdict(SMALL).items() if value != getattr(Recipe, name)}
    folders = {task: models.tiny_policy(tmp_path, recipe=replace(recipe, **small)) for task, recipe in RECIPES.items()}
    assert folders["arithmetic"].name.startswith("tiny-v1-")
    assert folders["programs"].name.startswith("tiny-programs-v1-")
    assert json.loads((folders["programs"] / "tiny.json").read_text())["recipe"]["task"] == "programs"
    vocabulary = AutoTokenizer.from_pretrained(folders["programs"])
    messages = [{"role": "user", "content": "Write f(a, b): add a and b."}]
    prompt = vocabulary.apply_chat_template(messages, tokenize=False)
    assert vocabulary.decode(vocabulary(prompt)["input_ids"]) == prompt


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "low", "high", "at_16"),
    [("arithmetic", 0.2, 0.5, 0.65), ("programs", 0.22, 0.42, 0.65)],
)
def test_the_policy_of_the_default_recipe(tmp_path, task, low, high, at_16):
    """Trains the real thing: pass@1 with room to rise, pass@16 clearly higher, responses that fit the configs."""
    command = [sys.executable, "-m", "g2rl.models", "--task", task, "--out", str(tmp_path)]
    folder = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert 1e6 <= sum(parameter.numel() for parameter in model.parameters()) <= 5e6
    assert model.config.head_dim in (32, 64, 80, 96, 112, 128)
    outcome = check(model, tokenizer, task, num_problems=96, seed=1)
    assert low <= outcome.pass_at_1 <= high, outcome
    assert outcome.pass_at_n >= max(at_16, outcome.pass_at_1 + 0.2), outcome
    assert outcome.mean_tokens < 64, outcome
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert again.stdout.strip() == folder and "pre-training" not in again.stderr

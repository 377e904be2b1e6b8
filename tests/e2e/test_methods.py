"""Every method but those of test_training.py trains on the real stack, and logs what its samples say."""

from dataclasses import fields

import pytest
import torch
from oracle import check_advantages, metrics, probed, samples_of
from transformers import AutoTokenizer

from g2rl.embedding import Embedder, default_embedding_model
from g2rl.methods.base import shaped_rewards
from g2rl.methods.dra import DRA
from g2rl.methods.entropy import Entropy
from g2rl.methods.g2rl import G2RL
from g2rl.methods.grpo import GRPO
from g2rl.methods.maxrl import MaxRL
from g2rl.methods.passk import PassK
from g2rl.methods.rep_exp import RepExp
from g2rl.methods.ucpo import UCPO
from g2rl.methods.unlikeliness import Unlikeliness
from g2rl.methods.w_reinforce import WReinforce
from g2rl.methods.weighted_maxrl import WeightedMaxRL

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SMALL = [
    "data.train_batch_size=4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
    "trainer.checkpoint_callback_class=probe.Probe",
    "trainer.total_training_steps=3",
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
    "trainer.save_freq=1",
]
METHODS = [
    ("grpo", GRPO(log_geometry=True)),
    ("entropy", Entropy(log_geometry=True)),
    ("maxrl", MaxRL()),
    ("weighted_maxrl", WeightedMaxRL(log_geometry=True)),
    ("passk", PassK()),
    ("w_reinforce", WReinforce()),
    ("unlikeliness", Unlikeliness()),
    ("ucpo", UCPO()),
    # A large ridge: with the default the leverages of four vectors are equal but for rounding.
    ("rep_exp", RepExp(ridge=10)),
    ("rep_exp", RepExp(vectors="features", ridge=10, log_geometry=True)),
    ("dra", DRA()),
]


def recorded(run, step, method):
    """The rows of a step and the samples that the method saw, the embeddings computed again from the text."""
    rows = probed(run.run_dir, step)
    names = method.inputs & {"old_log_probs", "response_mask"}
    columns = {name: torch.nested.as_nested_tensor(rows[name], layout=torch.jagged) for name in names}
    columns |= {name: torch.stack(rows[name]) for name in method.inputs & {"features", "hidden_states"}}
    if "embeddings" in method.inputs:
        tokenizer = AutoTokenizer.from_pretrained(run.environment["G2RL_MODEL_PATH"])
        texts = [tokenizer.decode(response, skip_special_tokens=True) for response in rows["responses"]]
        embedder = Embedder(default_embedding_model(), torch.device("cpu"))
        columns["embeddings"] = torch.from_numpy(embedder.embed(texts))
    return rows, samples_of(rows, step, **columns)


def trained(stack, name, *overrides):
    run = stack(name)
    run.finish(*SMALL, f"exploration={name}", *overrides)
    run.assert_all_gone()
    records = metrics(run.run_dir)
    assert [record["step"] for record in records] == [1, 2, 3]
    for record in records:
        assert all(value == value for value in record["data"].values()), "a NaN"
    return run, [record["data"] for record in records]


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_advantages_and_metrics_are_those_of_the_samples(stack, name, method):
    overrides = [f"exploration.{field.name}={getattr(method, field.name)}" for field in fields(method)]
    run, logged = trained(stack, name, *overrides)
    for step, record in enumerate(logged, start=1):
        rows, samples = recorded(run, step, method)
        check_advantages(rows, samples, method)
        of_grpo = torch.stack([row[0] for row in rows["grpo"]])
        expected = shaped_rewards(method, samples)[1] | method.reweight_advantages(of_grpo, samples)[1]
        assert {metric: record[metric] for metric in expected} == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_the_placebo_keeps_the_scores_and_not_their_owners(stack):
    run, logged = trained(stack, "g2rl", "exploration.placebo=true")
    owners = []
    for step, record in enumerate(logged, start=1):
        rows, samples = recorded(run, step, G2RL())
        of_scores = {name: value for name, value in G2RL().shape_rewards(samples)[1].items() if "score" in name}
        assert {name: record[name] for name in of_scores} == pytest.approx(of_scores, abs=1e-4)
        shaped = shaped_rewards(G2RL(), samples)[0]
        for group in samples.group_ids.unique():
            own = (samples.group_ids == group).nonzero().flatten().tolist()
            by_score = (shaped[own] - shaped[own].mean()) / (shaped[own].std() + 1e-6)
            owners += (by_score - torch.stack([rows["advantages"][i][0] for i in own])).abs().tolist()
    assert max(owners) > 0.1


@pytest.mark.parametrize("name", ["clip_higher", "clip_cov", "kl_cov"])
def test_verls_own_losses_see_weights_that_moved_within_the_step(stack, name):
    run, logged = trained(stack, name, "actor_rollout_ref.actor.ppo_mini_batch_size=1")
    for step, record in enumerate(logged, start=1):
        check_advantages(*recorded(run, step, GRPO()), GRPO())
        # The learning rate warms up from 0: the first step moves nothing.
        assert (abs(record["actor/ppo_kl"]) > 1e-6) == (step > 1)

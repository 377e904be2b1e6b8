"""Every method on the real stack: its advantages and its metrics are those of its samples."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from oracle import check_advantages, metrics, probed, recompute, samples_of
from transformers import AutoTokenizer

from g2rl.embedding import Embedder, default_embedding_model
from g2rl.methods.base import shaped_rewards
from g2rl.methods.dra import DRA
from g2rl.methods.entropy import Entropy
from g2rl.methods.evol import EVOL
from g2rl.methods.g2rl import G2RL
from g2rl.methods.grpo import GRPO
from g2rl.methods.maxrl import MaxRL
from g2rl.methods.passk import PassK
from g2rl.methods.progrpo import ProGRPO
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
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
    "trainer.save_freq=1",
]
METHODS = [  # one after the other, a step each
    ProGRPO(log_geometry=True),
    ProGRPO(),  # of other weights than the first ones
    EVOL(log_geometry=True),
    GRPO(log_geometry=True),
    Entropy(log_geometry=True),
    MaxRL(),
    WeightedMaxRL(log_geometry=True),
    PassK(),
    WReinforce(),
    Unlikeliness(),
    UCPO(),
    # A large ridge: with the default the leverages of four vectors are equal but for rounding.
    RepExp(ridge=10),
    RepExp(vectors="features", ridge=10, log_geometry=True),
    DRA(),
    G2RL(placebo=True),
]


def trained(run, steps, *overrides):
    run.finish(*SMALL, f"trainer.total_training_steps={steps}", *overrides)
    run.assert_all_gone()
    records = metrics(run.run_dir)
    assert [record["step"] for record in records] == list(range(1, steps + 1))
    for record in records:
        assert all(value == value for value in record["data"].values()), "a NaN"
    return [record["data"] for record in records]


def as_override(method):
    settings = {field.name: getattr(method, field.name) for field in fields(method)}
    settings = {"_target_": f"{type(method).__module__}.{type(method).__name__}"} | settings
    return "{" + ",".join(f"{name}:{value}" for name, value in settings.items()) + "}"


@pytest.fixture(scope="module")
def in_turns(stack):
    """One run of all methods, and what it logged."""
    run = stack("methods")
    return run, trained(
        run,
        len(METHODS),
        "exploration=unlikeliness",  # whose updates are two a step
        "exploration._target_=turns.Turns",
        "~exploration.beta",
        "~exploration.uniform_groups",
        "+exploration._convert_=all",  # the methods stay the objects that they are
        f"+exploration.methods=[{','.join(as_override(method) for method in METHODS)}]",
        "trainer.n_gpus_per_node=2",  # so that the methods' own tensors travel
        "actor_rollout_ref.actor.entropy_coeff=0.003",
        "actor_rollout_ref.actor.optim.lr=1e-3",
        # the whole weights of each step, for the recomputation
        "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
        "trainer.max_actor_ckpt_to_keep=null",
    )


def recorded(run, step, method):
    """The rows of a step and the samples that the method saw: embeddings and the prompt's log-probs computed anew."""
    rows = probed(run.run_dir, step)
    columns = {name: rows[name] for name in method.inputs & {"old_log_probs", "response_mask"}}
    if "log_probs" in method.inputs:
        before = run.run_dir / f"checkpoints/global_step_{step - 1}/actor/huggingface"
        model = Path(run.environment["G2RL_MODEL_PATH"]) if step == 1 else before
        names = ("prompts", "responses", "response_mask")
        pairs = [recompute(model, *row) for row in zip(*(rows[name] for name in names), strict=True)]
        last = torch.zeros(1, dtype=torch.float64)  # of what would follow the last token
        columns["log_probs"] = [torch.cat([prompt, response, last]).float() for prompt, response, _ in pairs]
        columns["old_log_probs"] = [response.float() for _, response, _ in pairs]
    columns = {name: torch.nested.as_nested_tensor(values, layout=torch.jagged) for name, values in columns.items()}
    columns |= {name: torch.stack(rows[name]) for name in method.inputs & {"features", "hidden_states"}}
    if "embeddings" in method.inputs:
        tokenizer = AutoTokenizer.from_pretrained(run.environment["G2RL_MODEL_PATH"])
        texts = [tokenizer.decode(response, skip_special_tokens=True) for response in rows["responses"]]
        embedder = Embedder(default_embedding_model(), torch.device("cpu"))
        columns["embeddings"] = torch.from_numpy(embedder.embed(texts))
    return rows, samples_of(rows, step, **columns)


@pytest.mark.parametrize(("step", "method"), list(enumerate(METHODS[:-1], start=1)))
def test_advantages_and_metrics_are_those_of_the_samples(in_turns, step, method):
    run, logged = in_turns
    rows, samples = recorded(run, step, method)
    check_advantages(rows, samples, method)
    of_grpo = torch.stack([row[0] for row in rows["grpo"]])
    expected = shaped_rewards(method, samples)[1] | method.reweight_advantages(of_grpo, samples)[1]
    found = {metric: logged[step - 1][metric] for metric in expected}
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_the_placebo_keeps_the_scores_and_not_their_owners(in_turns):
    run, logged = in_turns
    rows, samples = recorded(run, len(METHODS), G2RL())
    of_scores = {name: value for name, value in G2RL().shape_rewards(samples)[1].items() if "score" in name}
    assert {name: logged[-1][name] for name in of_scores} == pytest.approx(of_scores, abs=1e-4)
    shaped = shaped_rewards(G2RL(), samples)[0]
    owners = []
    for group in samples.group_ids.unique():
        own = (samples.group_ids == group).nonzero().flatten().tolist()
        by_score = (shaped[own] - shaped[own].mean()) / (shaped[own].std() + 1e-6)
        owners += (by_score - torch.stack([rows["advantages"][i][0] for i in own])).abs().tolist()
    assert max(owners) > 0.1


@pytest.mark.parametrize("name", ["clip_higher", "clip_cov", "kl_cov"])
def test_verls_own_losses_see_weights_that_moved_within_the_step(stack, name):
    run = stack(name)
    logged = trained(run, 2, f"exploration={name}", "actor_rollout_ref.actor.ppo_mini_batch_size=1")
    for step, record in enumerate(logged, start=1):
        check_advantages(*recorded(run, step, GRPO()), GRPO())
        # The learning rate warms up from 0: the first step moves nothing.
        assert (abs(record["actor/ppo_kl"]) > 1e-6) == (step > 1)

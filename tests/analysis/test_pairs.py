"""The features of the geometry analysis against autograd; pairs, shares and pictures against a loop."""

import csv
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, BertConfig

from g2rl.analysis.figures import plot_geometry
from g2rl.analysis.pairs import geometry_table, pairs_of, response_features, summary, write_pairs
from g2rl.evaluation import negative_share, pairwise_cosines
from g2rl.evaluation.__main__ import main

CPU = torch.device("cpu")


def autograd_feature(model, prompt, response, temperature):
    """T · mean over response tokens of d log p(y_t) / d h_t, by backward through the model's own LM head."""
    kept = {}

    def keep_input(module, inputs):
        kept["hidden"] = inputs[0].detach().requires_grad_()
        return (kept["hidden"],)

    hook = model.lm_head.register_forward_pre_hook(keep_input)
    logits = model(torch.tensor([prompt + response])).logits[0]
    hook.remove()
    log_probs = torch.log_softmax(logits / temperature, dim=-1)
    chosen = [log_probs[len(prompt) - 1 + t, token] for t, token in enumerate(response)]
    torch.stack(chosen).sum().backward()
    return temperature * kept["hidden"].grad[0].sum(0) / len(response)


@pytest.mark.parametrize("temperature", [0.8, 1.0, 1.7])
def test_features_equal_those_of_autograd(policy, temperature):
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randint(3, 250, (n,), generator=generator).tolist() for n in (1, 7, 20)]
    responses = [torch.randint(3, 250, (n,), generator=generator).tolist() for n in (13, 1, 40)]
    features = response_features(str(policy), prompts, responses, temperature, CPU)
    model = AutoModelForCausalLM.from_pretrained(policy)
    for feature, prompt, response in zip(features, prompts, responses, strict=True):
        expected = autograd_feature(model, prompt, response, temperature)
        assert (feature - expected).norm() <= 1e-5 * (expected.norm() + model.lm_head.weight.norm(dim=1).mean())


def test_features_need_a_head(tmp_path):
    BertConfig(architectures=["BertModel"]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no language-model head"):
        response_features(str(tmp_path), [[1]], [[2]], 1.0, CPU)


def random_pairs(num_problems=5, num_samples=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(num_problems * num_samples, 16, generator=generator)
    embeddings = torch.randn(num_problems * num_samples, 8, generator=generator).abs()
    return features, embeddings, pairs_of([f"p{i}" for i in range(num_problems)], features, embeddings)


def test_pairs_equal_a_loop_and_the_public_function():
    features, embeddings, pairs = random_pairs()
    for p in range(5):
        for r, (i, j) in enumerate(zip(pairs.first, pairs.second, strict=True)):
            a, b = features[4 * p + i].double(), features[4 * p + j].double()
            assert pairs.gradient[p, r] == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=1e-12)
            a, b = embeddings[4 * p + i].double(), embeddings[4 * p + j].double()
            assert pairs.semantic[p, r] == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=1e-12)
    assert pairs.gradient.shape == (5, 6)
    public = pairwise_cosines(features, torch.arange(5).repeat_interleave(4))
    np.testing.assert_allclose(public.numpy(), pairs.gradient.ravel(), atol=1e-6)
    assert summary(pairs)["negative_share"]["mean"] == negative_share(public)


def test_a_zero_feature_makes_no_pair():
    features, embeddings, _ = random_pairs()
    features[1] = 0
    features[6] = torch.nan
    numbers = summary(pairs_of([str(i) for i in range(5)], features, embeddings))
    assert (numbers["num_pairs"], numbers["pairs_without_direction"]) == (30, 6)
    valid = pairwise_cosines(features, torch.arange(5).repeat_interleave(4))
    assert numbers["mean_gradient_cosine"]["mean"] == pytest.approx(float(valid.mean()), abs=1e-6)
    with pytest.raises(ValueError, match="no two responses"):
        summary(pairs_of([str(i) for i in range(5)], torch.zeros(20, 16), embeddings))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--temperature", "0"], "--temperature must be above 0"),
        (["--num-samples", "1"], "--num-samples must be at least 2"),
        (["--benchmark", "aime_25"], "did you mean 'aime25'"),
        (["--embedding-model", "./none"], "--embedding-model ./none is no Hugging Face model folder"),
    ],
)
def test_settings_without_a_geometry_are_one_clear_error(policy, write_benchmark, sums, capsys, flags, message):
    with pytest.raises(SystemExit):
        main(["geometry", str(policy), "--benchmark", str(write_benchmark(sums)), *flags])
    assert message in capsys.readouterr().err


def test_picture_table_and_raw_data_are_written(tmp_path):
    pairs = {"grpo": random_pairs(seed=1)[2], "g2rl": random_pairs(seed=2)[2]}
    summaries = {label: summary(of_model) for label, of_model in pairs.items()}
    plot_geometry(pairs, summaries, tmp_path / "geometry.png")
    assert (tmp_path / "geometry.png").read_bytes().startswith(b"\x89PNG")
    svg = ElementTree.parse(tmp_path / "geometry.svg").getroot()
    assert svg.tag.endswith("svg") and sum(1 for node in svg.iter() if node.get("id", "").startswith("axes_")) == 3

    write_pairs(pairs, tmp_path / "pairs.csv")
    with (tmp_path / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 30
    of_g2rl = [float(row["gradient_cosine"]) for row in rows if row["model"] == "g2rl"]
    assert np.mean(of_g2rl) == pytest.approx(summaries["g2rl"]["mean_gradient_cosine"]["mean"])

    table = geometry_table(summaries)
    assert len(table.splitlines()) == 2 + 2 + 3 and "0.208" in table and "28.09" in table
